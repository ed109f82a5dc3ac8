"""The feed: hears of every change, remembers the last of them, and wakes its readers a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from resilient.eureka.codec import JSON
from resilient.eureka.fingerprint import apps_hash

from ..answers import Form
from ..records import Change
from ..registry import Registry
from .reader import HEARTBEAT, Reader, Wish, event
from .ring import Ring, Services
from .watch import Watch

#: Readers woken before everybody else on this loop has a turn.
AT_ONCE = 100
#: Each reader is looked at twice in a heartbeat, a part of them in each tick.
PARTS = 50
TICK = HEARTBEAT / 2 / PARTS
#: Readers per second that may come back after a planned end.
_RETURNING = 500.0

FORM = Form.of(JSON, False)


class Shown:
    """The registry as snapshots show it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def services(self) -> list[str]:
        """The names of all services."""
        return list(self._registry.table.services())

    def parts(self, service: str) -> Iterator[bytes]:
        """Its instances' JSON, some at a time."""
        return self._registry.answers.parts(service, FORM)

    def count(self, services: Services | None) -> tuple[str, int]:
        """The hash and the number of all instances; for some services the hash is ""."""
        table = self._registry.table
        if services is None:
            return apps_hash(table.counts), len(table)
        return "", sum(len(table.leases(name)) for name in services)


class Feed:
    """All readers of a registry's changes. ``epoch`` names this life of the registry."""

    def __init__(self, registry: Registry, epoch: str) -> None:
        self.ring = Ring(epoch, FORM.fragment, start=registry.table.number)
        self.watch = Watch(registry.clock, self._watched)
        self._registry = registry
        self._directory = Shown(registry)
        self._readers: dict[Reader, None] = {}
        self._by_instance: dict[tuple[str, str], dict[Reader, None]] = {}
        self._touched: set[str] = set()
        self._everybody = False
        self._passing = False
        self._part = 0
        self._clockwork: asyncio.Task[None] | None = None
        self._closed = False
        #: Readers that were too slow, and cut for it.
        self.cut = 0
        self._leave_registry = registry.subscribe(self._heard)

    def __len__(self) -> int:
        """How many read."""
        return len(self._readers)

    @property
    def position(self) -> str:
        """After the last change."""
        return self.ring.position()

    # --- readers

    def join(self, wish: Wish) -> Reader:
        """One more reader. It must :meth:`leave`."""
        self.watch.tick()
        reader = Reader(wish, self.ring, self.watch, self._directory)
        self._readers[reader] = None
        if wish.instance is not None:
            self._by_instance.setdefault(wish.instance, {})[reader] = None
        if self._clockwork is None and not self._closed:
            self._clockwork = asyncio.get_running_loop().create_task(self._run(), name="registry feed")
        return reader

    def leave(self, reader: Reader) -> None:
        """It is gone. Harmless when called twice."""
        reader.close()
        if self._readers.pop(reader, self) is None and reader.cut:
            self.cut += 1
        if (key := reader.wish.instance) is not None and (same := self._by_instance.get(key)) is not None:
            same.pop(reader, None)
            if not same:
                del self._by_instance[key]

    def addressed(self, service: str, instance: str = "", worker: str = "") -> list[Reader]:
        """Who reads on behalf of an instance, of one of its processes, or of any instance of a service."""
        if instance:
            found = list(self._by_instance.get((service, instance), ()))
        else:
            found = [one for key, some in self._by_instance.items() if key[0] == service for one in some]
        return [one for one in found if not worker or one.wish.worker == worker]

    # --- what happens

    def _heard(self, change: Change) -> None:
        if change.same:
            self.ring.skip(change.number)
            return
        self.ring.append(change, apps_hash(self._registry.table.counts))
        if self._readers:
            self._touched.add(change.service)
            self._pass()

    def _watched(self) -> None:
        if self._readers:
            self._everybody = True
            self._pass()

    def _pass(self) -> None:
        """Tell all readers, once what happens in this turn of the loop has happened."""
        if not self._passing:
            self._passing = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        services, self._touched = self._touched, set()
        everybody, self._everybody = self._everybody, False
        self._some(list(self._readers), 0, services, self.ring.head, everybody)

    def _some(self, readers: list[Reader], start: int, services: set[str], upto: int, always: bool) -> None:
        for reader in readers[start : start + AT_ONCE]:
            reader.nudge(services, upto, always=always)
        loop = asyncio.get_running_loop()
        if start + AT_ONCE < len(readers):
            # Behind those just woken, and behind whatever else is due.
            loop.call_soon(self._some, readers, start + AT_ONCE, services, upto, always)
        elif self._touched or self._everybody:
            loop.call_soon(self._begin)
        else:
            self._passing = False

    # --- time

    async def _run(self) -> None:
        while self._readers:
            await asyncio.sleep(TICK)
            self.tick()
        self._clockwork = None

    def tick(self) -> None:
        """A part of the readers is looked at. Every :data:`TICK` seconds."""
        self.watch.tick()
        self._part = (self._part + 1) % PARTS
        for reader in list(self._readers)[self._part :: PARTS]:
            reader.look()

    # --- the end

    async def close(self) -> None:
        """Take leave of all readers, and hear of nothing any more."""
        self._closed = True
        self._leave_registry()
        task, self._clockwork = self._clockwork, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        gone = event("gone", {"retry_in": round(max(1.0, len(self._readers) / _RETURNING), 1)})
        for number, reader in enumerate(list(self._readers), 1):
            reader.end(gone)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
