"""What people do from the pages: begun here, told of as done only when it is seen to be done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from resilient.clock import Clock
from resilient.errors import WireError
from resilient.eureka.limits import check_id, check_name
from resilient.model import Status

from .board_ends import End, EndsFile
from .board_source import UiSource
from .feed.actions import Actions, Command
from .feed.hub import Feed
from .registry import Registry

_log = logging.getLogger("resilient.registry")

#: Actions under way, and seconds after which one that was not seen to be done is told of as unconfirmed.
MOST, PATIENCE = 200, 30.0
#: Overrides with an end that are kept, and seconds for which one whose instance is away is kept beyond it.
MOST_ENDS, REMEMBERED = 10_000, 86_400.0
#: Instances changed in one go before others have their turn.
_AT_ONCE = 50
_OVERRIDES = ("UP", "DOWN", "OUT_OF_SERVICE")
_TOLD = {
    "out-of-service": "override_set",
    "override": "override_set",
    "back": "override_removed",
    "deregister": "deregistered",
    "circuit": "circuit",
}


@dataclass(slots=True, kw_only=True)
class Begun:
    """One action of a person, until its outcome is told. ``at`` is monotonic."""

    id: str
    what: str
    subjects: list[str]
    by: str
    reason: str
    at: float
    until: float | None = None
    waiting: set[tuple[str, str]] = field(default_factory=set)
    applied: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)


class UiActor:
    """Does what the pages ask for. Belongs to the registry's event loop."""

    def __init__(
        self,
        registry: Registry,
        source: UiSource,
        feed: Feed,
        actions: Actions,
        file: EndsFile | None = None,
    ) -> None:
        self._registry = registry
        self._source = source
        self._feed = feed
        self._actions = actions
        self._clock: Clock = registry.clock
        self._begun: dict[str, Begun] = {}
        self._number = 0
        self._looking = False
        #: Overrides that end by themselves: when (monotonic), by service and id.
        self.ends: dict[tuple[str, str], float] = {}
        self._file = file
        self._written: dict[tuple[str, str], float] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def act(self, what: str, body: Mapping[str, Any], by: str, authorization: str = "") -> str:
        """Begin; the id of the action. WireError if it makes no sense or its subject is unknown."""
        if len(self._begun) >= MOST:
            raise WireError("too many actions are under way; wait a moment")
        self._number += 1
        seconds = body.get("for")
        begun = Begun(
            id=f"a-{self._number}",
            what=what,
            subjects=[str(one) for one in body["subjects"]],
            by=by,
            reason=str(body["reason"]),
            at=self._clock.monotonic(),
            until=None if seconds is None else self._clock.time() + seconds,
        )
        if what == "circuit":
            self._ask_circuits(begun, body)
        else:
            self._change(begun, _status_of(what, body), seconds)
        return begun.id

    # --- instances

    def _change(self, begun: Begun, status: Status | None, seconds: float | None) -> None:
        places = [_place(subject) for subject in begun.subjects]
        unknown = [one for one in places if self._registry.visible(*one) is None]
        if unknown:
            raise WireError(f"{unknown[0][0]}/{unknown[0][1]} is not registered here")
        begun.waiting.update(places)
        self._begun[begun.id] = begun
        task = asyncio.get_running_loop().create_task(
            self._do(begun, places, status, seconds), name=f"registry action {begun.id}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(
        self, begun: Begun, places: Sequence[tuple[str, str]], status: Status | None, seconds: float | None
    ) -> None:
        registry = self._registry
        for number, (service, id) in enumerate(places, 1):
            self._source.note(
                service,
                id,
                {"by": begun.by, "reason": begun.reason, "at": self._clock.time(), "until": begun.until},
            )
            try:
                if begun.what == "deregister":
                    self.ends.pop((service, id), None)
                    await registry.cancel(service, id)
                elif status is None:
                    await self._back(service, id)
                else:
                    await registry.set_status(service, id, status)
                    self.ends.pop((service, id), None)
                    if seconds is not None:
                        if len(self.ends) >= MOST_ENDS:
                            del self.ends[next(iter(self.ends))]
                        self.ends[service, id] = self._clock.monotonic() + seconds
            except Exception:
                _log.exception("an action on %s/%s failed", service, id)
                continue
            if self._is_done(begun, service, id, status):
                # Also where nothing had to change for it.
                self._seen(begun, service, id)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._conclude(begun)

    async def _back(self, service: str, id: str) -> None:
        self.ends.pop((service, id), None)
        lease = self._registry.visible(service, id)
        if lease is not None and lease.record.override is not Status.UNKNOWN:
            await self._registry.clear_status(service, id, lease.record.own)

    def _is_done(self, begun: Begun, service: str, id: str, status: Status | None) -> bool:
        lease = self._registry.table.get(service, id)
        if begun.what == "deregister":
            return lease is None
        if lease is None:
            return False
        return lease.record.override is (Status.UNKNOWN if status is None else status)

    def _seen(self, begun: Begun, service: str, id: str) -> None:
        if (service, id) in begun.waiting:
            begun.waiting.discard((service, id))
            begun.applied.append(f"{service}/{id}")

    # --- circuits

    def _ask_circuits(self, begun: Begun, body: Mapping[str, Any]) -> None:
        fields = {name: body[name] for name in ("action", "for") if body.get(name) is not None}
        host, worker = body.get("host") or "", body.get("worker") or ""
        commands = []
        for subject in begun.subjects:
            caller, slash, rest = subject.partition("/")
            _, colon, name = rest.partition(":")
            if not (slash and colon):
                raise WireError("subjects: circuits are named caller/target:command")
            asked = {
                **fields,
                "service": caller,
                "circuit": name,
                "reason": begun.reason,
                "by": begun.by,
                "instance": host,
                "worker": worker,
            }
            commands.append(self._actions.read(asked))
        for command in commands:
            self._actions.send(command, self._feed)
        begun.commands = commands
        self._begun[begun.id] = begun
        asyncio.get_running_loop().call_soon(self.look)

    def pushed(self) -> None:
        """A process has told of its circuits: perhaps it says that it did what was asked."""
        if self._begun and not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_soon(self.look)

    def look(self) -> None:
        """Tell the outcome of what is done, and of what has taken too long."""
        self._looking = False
        for begun in list(self._begun.values()):
            if begun.commands:
                states = [self._actions.state(one) for one in begun.commands]
                if all(one.delivered == 0 for one in begun.commands):
                    self._end(begun, False, "no process with this circuit listens to this registry")
                elif all(state == "confirmed" for state in states):
                    self._end(begun, True)
            if begun.id in self._begun and self._clock.monotonic() - begun.at >= PATIENCE:
                self._end(begun, False, "not confirmed within 30 seconds", "unconfirmed")

    def _conclude(self, begun: Begun) -> None:
        if begun.waiting:
            return  # the next look may find it done, or gives it up
        self._end(begun, True)

    def _end(self, begun: Begun, ok: bool, error: str = "", state: str = "") -> None:
        if self._begun.pop(begun.id, None) is None:
            return
        applied, waiting = list(_answered(begun, self._actions))
        well, ill = [self._source.name], list(self._source.ill())
        self._source.tell(
            "action",
            {
                "id": begun.id,
                "ok": ok,
                "state": state or ("confirmed" if ok else "failed"),
                "what": _TOLD[begun.what],
                "sub": begun.subjects,
                "by": begun.by,
                "reason": begun.reason,
                "until": None if begun.until is None else round(begun.until * 1000),
                "applied": applied or well,
                "waiting": waiting or (ill if begun.what != "circuit" else []),
                "error": error,
            },
        )

    # --- time

    async def tick(self) -> None:
        """Once a second: what ends by itself ends."""
        self.look()
        await self._keep()
        now = self._clock.monotonic()
        for service, id in [key for key, at in self.ends.items() if at <= now]:
            lease = self._registry.visible(service, id)
            if lease is None:
                # It is away, and its override is remembered for when it returns: so is its end.
                if now - self.ends[service, id] > REMEMBERED:
                    del self.ends[service, id]
                continue
            del self.ends[service, id]
            if lease.record.override is Status.UNKNOWN:
                continue
            self._source.note(
                service,
                id,
                {"by": "registry", "reason": "its time was over", "at": self._clock.time(), "until": None},
            )
            await self._back(service, id)

    async def _keep(self) -> None:
        """Read once what was left from before, then write what is different."""
        if self._file is None or self.ends == self._written:
            return
        wall, now = self._clock.time(), self._clock.monotonic()
        if self._written is None:
            for one in (await asyncio.to_thread(self._file.read))[:MOST_ENDS]:
                if (one.service, one.id) in self.ends:
                    continue  # somebody was quicker
                self.ends[one.service, one.id] = now + one.until - wall
                self._source.note(
                    one.service,
                    one.id,
                    {"by": one.by, "reason": one.reason, "at": one.at, "until": one.until},
                )
            self._written = {}
        if self.ends == self._written:
            return
        self._written = dict(self.ends)
        told = []
        for (service, id), at in self._written.items():
            note = self._source.notes.get((service, id)) or {}
            by, reason = str(note.get("by") or ""), str(note.get("reason") or "")
            told.append(End(service, id, wall + at - now, by, reason, float(note.get("at") or wall)))
        await asyncio.to_thread(self._file.write, told)

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._written is not None:
            await self._keep()


def _answered(begun: Begun, actions: Actions) -> Iterator[list[str]]:
    """Which processes have confirmed, and how many have not."""
    if not begun.commands:
        yield list(begun.applied)
        yield [f"{service}/{id}" for service, id in sorted(begun.waiting)]
        return
    confirmed = sorted(
        {f"{id}#{worker}" if worker else id for one in begun.commands for id, worker in one.confirmed}
    )
    missing = sum(one.delivered - len(one.confirmed) for one in begun.commands)
    yield confirmed
    yield [f"{missing} more"] if missing > 0 else []


def _place(subject: str) -> tuple[str, str]:
    service, slash, id = subject.partition("/")
    if not slash:
        raise WireError("subjects: instances are named service/id")
    return check_name(service, "subjects").lower(), check_id(id)


def _status_of(what: str, body: Mapping[str, Any]) -> Status | None:
    if what == "out-of-service":
        return Status.OUT_OF_SERVICE
    if what != "override":
        return None
    if body.get("status") not in _OVERRIDES:
        raise WireError(f"status: one of {', '.join(_OVERRIDES)} was expected")
    return Status(body["status"])
