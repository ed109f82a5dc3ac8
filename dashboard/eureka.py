"""A registry of another make as a source: its directory, asked for now and then while somebody looks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from resilient.clock import SYSTEM, Clock
from resilient.discovery.client import RegistryClient
from resilient.errors import RegistryError
from resilient.model import Directory, Instance, Status
from resilient.settings import RegistryAddress, Settings

from .services import summary_of
from .source import Entry, Heard, Row

#: Seconds between two looks, and for which nobody may look before they stop.
EVERY, LINGER = 5.0, 60.0


class EurekaSource:
    """What can be known of it: who is registered, and what changed from one look to the next.

    It is its own watch: looks are taken only while a browser is there.
    """

    def __init__(self, address: RegistryAddress, settings: Settings, *, clock: Clock = SYSTEM) -> None:
        self._address = address
        self._clock = clock
        self._client = RegistryClient([address], zone=settings.zone, clock=clock)
        self._directory = Directory()
        self._read_at: float | None = None
        self._trouble = ""
        self._listeners: tuple[Heard, ...] = ()
        self._here = 0
        self._left = float("-inf")
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Host and port."""
        return self._address.url.partition("://")[2].partition("/")[0]

    # --- looking

    def enter(self) -> None:
        """A browser begins to look."""
        self._here += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="dashboard eureka")

    def leave(self) -> None:
        """One that looked is gone."""
        self._here -= 1
        self._left = self._clock.monotonic()

    async def _run(self) -> None:
        while self._here or self._clock.monotonic() - self._left < LINGER:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Ask once."""
        try:
            listed = await self._client.full()
        except RegistryError as error:
            self._trouble = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            return
        self._trouble = ""
        before, first = self._directory, self._read_at is None
        self._directory = Directory.of(instance for _, instance in listed.page.entries)
        self._read_at = self._clock.monotonic()
        if not first:
            self._compare(before, self._directory)

    def _compare(self, before: Directory, after: Directory) -> None:
        for name in {*before.services, *after.services}:
            old = {one.id: one for one in before.instances(name)}
            new = {one.id: one for one in after.instances(name)}
            for id in {*old, *new}:
                if id not in old:
                    self._tell("registered", name, id, f"registered, {new[id].status.value}")
                elif id not in new:
                    self._tell("removed", name, id, "is not listed any more")
                elif old[id].status is not new[id].status:
                    text = f"{old[id].status.value} to {new[id].status.value}"
                    self._tell("instance_" + new[id].status.value.lower(), name, id, text)

    def _tell(self, kind: str, service: str, id: str, text: str) -> None:
        row = {"kind": kind, "service": service, "instance": id, "text": text, "at": self._clock.time()}
        for heard in self._listeners:
            heard("change", row)

    async def close(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._client.close()

    # --- what the pages ask

    def summaries(self) -> Iterable[Mapping[str, Any]]:
        """Every service in short. Ages of heartbeats are not told by such a registry."""
        for name in sorted(self._directory.services):
            found = self.service(name)
            if found is not None:
                yield summary_of(found)

    def service(self, name: str) -> Mapping[str, Any] | None:
        """One service with its instances."""
        instances = self._directory.instances(name)
        return {"name": name, "instances": [_row(one) for one in instances]} if instances else None

    def names(self) -> list[str]:
        """All services, in alphabetical order."""
        return sorted(self._directory.services)

    def entries(self, name: str) -> Iterable[Entry]:
        """A service's instances in short."""
        for one in self._directory.instances(name):
            yield one.id, one.url, one.status.value, False, one.metadata

    def beats(self, name: str) -> list[tuple[str, float]]:
        """Not told."""
        return []

    def circuits(self) -> Iterable[Mapping[str, Any]]:
        """It has none."""
        return ()

    def circuit(self, caller: str, name: str) -> Mapping[str, Any] | None:
        """It has none."""
        return None

    def history(self, caller: str, name: str, seconds: int) -> Mapping[str, Any] | None:
        """It has none."""
        return None

    async def rates(self, seconds: int) -> Mapping[str, list[float | None]]:
        """Nobody tells it."""
        return {}

    def balancer(self, caller: str, target: str) -> list[Row]:
        """Nobody tells it."""
        return []

    def node(self) -> Mapping[str, Any]:
        """As much as can be said."""
        age = None if self._read_at is None else self._clock.monotonic() - self._read_at
        return {
            "mode": "normal",
            "foreign": True,
            "counts": {"services": len(self._directory.services), "instances": len(self._directory)},
            "trouble": self._trouble,
            "age": age,
            "version": "",
        }

    def lags(self) -> Mapping[str, list[float]]:
        """Its peers are not known."""
        return {}

    async def difference(self, peer: str) -> Mapping[str, Any] | None:
        """Its peers are not known."""
        return None

    def changes(self) -> list[Row]:
        """Nothing from before."""
        return []

    def subscribe(self, heard: Heard) -> Callable[[], None]:
        """Tell ``heard`` what changed from look to look."""
        self._listeners = (*self._listeners, heard)

        def leave() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not heard)

        return leave


def _row(instance: Instance) -> Row:
    overridden = instance.extra.get("overriddenStatus")
    known = isinstance(overridden, str) and overridden in Status.__members__ and overridden != "UNKNOWN"
    return {
        "id": instance.id,
        "url": instance.url,
        "status": instance.status.value,
        "overridden": overridden if known else None,
        "zone": instance.zone,
        "metadata": dict(instance.metadata),
        "renew_every": instance.renew_every,
        "duration": instance.expire_after,
        "late": False,
    }
