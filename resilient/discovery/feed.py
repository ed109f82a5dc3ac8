"""The registry's feed of changes: what it says, and when to open it again (pure)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum
from random import Random
from typing import NamedTuple, Self

import orjson

from ..clock import SYSTEM, Clock
from ..errors import WireError
from ..eureka.reading import instance_of
from ..model import Action, Instance
from .sse_reader import Frame

#: Seconds after which a silent stream shows that it is alive, until it says otherwise.
HEARTBEAT = 5.0
#: A stream silent for so many heartbeats is given up.
PATIENCE = 3.0
#: A registry without a feed is asked for one again after so long, in seconds.
ABSENT = 300.0
#: The back-off after a loss: full jitter, from the first to the second, in seconds.
FIRST_BACK_OFF = 1.0
LONGEST_BACK_OFF = 30.0
#: A stream that lasted so long, in seconds, was a good one: what went wrong before it is forgotten.
STEADY = 30.0
#: Seconds that a registry may ask us to wait, at most.
LONGEST_WAIT = 300.0
#: Changes remembered so that they can be laid over a list that was on its way meanwhile.
REMEMBERED = 1024

_POSITION = re.compile(r"([0-9A-Za-z]{1,64})-([0-9]{1,18})")


class Position(NamedTuple):
    """A place in the feed: the number of a change, in the life of one registry process."""

    epoch: str
    number: int

    @classmethod
    def parse(cls, text: object) -> Self | None:
        """``<epoch>-<n>`` as the registry writes it; ``None`` for anything else."""
        found = _POSITION.fullmatch(text) if isinstance(text, str) else None
        return cls(found[1], int(found[2])) if found else None

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"


class Change(NamedTuple):
    """One change. ``instance`` is ``None`` if what the registry says of it makes no sense to us.

    ``fingerprint`` is that of the registry's whole list after it, ``None`` if it does not say.
    """

    at: Position
    action: Action
    instance: Instance | None
    fingerprint: str | None


class Hello(NamedTuple):
    """The stream's first word."""

    heartbeat: float
    watched: bool


class Reset(NamedTuple):
    """What came between our position and this one is not to be had: all must be read."""

    at: Position


class Watched(NamedTuple):
    """Whether somebody looks at circuits."""

    circuits: bool


class Command(NamedTuple):
    """Something to do to a circuit of ours; what exactly is for the circuits' room to judge."""

    payload: Mapping[str, object]


class Gone(NamedTuple):
    """The registry closes the stream on purpose; come back in so many seconds."""

    retry_in: float


Word = Hello | Change | Reset | Watched | Command | Gone


def read(frame: Frame) -> Word | None:
    """What an event means; ``None`` for one that is none of ours. WireError if it makes no sense."""
    if frame.name not in ("change", "hello", "reset", "watched", "command", "gone"):
        return None
    try:
        said = orjson.loads(frame.data)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise WireError(f"an event '{frame.name}' of the feed is not a JSON object")
    match frame.name:
        case "hello":
            beat = _seconds(said.get("heartbeat"), HEARTBEAT)
            return Hello(min(max(beat, 0.05), 60.0), said.get("watched") is True)
        case "watched":
            return Watched(said.get("circuits") is True)
        case "command":
            return Command(said)
        case "gone":
            return Gone(min(_seconds(said.get("retry_in"), 2.0), LONGEST_WAIT))
    at = Position.parse(frame.id)
    if at is None:
        raise WireError(f"an event '{frame.name}' of the feed has no position")
    return Reset(at) if frame.name == "reset" else _change(at, said)


def _change(at: Position, said: Mapping[str, object]) -> Change:
    service, id, fingerprint = said.get("service"), said.get("id"), said.get("hash")
    if not (isinstance(service, str) and isinstance(id, str)):
        raise WireError("a change of the feed names no instance")
    tree = said.get("instance")
    action = said.get("action")
    instance: Instance | None = None
    if action == "DELETED":
        instance = Instance(service=service.lower(), id=id, host="", port=0)
    elif action in ("ADDED", "MODIFIED") and isinstance(tree, dict):
        tree.setdefault("app", service)
        try:
            instance = instance_of(tree, trusted=True)
        except WireError:
            instance = None  # nobody could call it, and whole lists leave it out too
    kind = Action.DELETED if action == "DELETED" else Action.MODIFIED
    return Change(at, kind, instance, fingerprint if isinstance(fingerprint, str) else None)


def _seconds(value: object, otherwise: float) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
    return float(value) if good else otherwise  # type: ignore[arg-type]


class Trail:
    """The last changes that a stream told, so that they can be laid over a list read meanwhile."""

    def __init__(self, start: Position) -> None:
        self.epoch = start.epoch
        self.last = start.number
        self._floor = start.number
        self._changes: deque[Change] = deque()

    def add(self, change: Change) -> bool:
        """Remember one. False if it was told before, or by another life of the registry."""
        if change.at.epoch != self.epoch or change.at.number <= self.last:
            return False
        self.last = change.at.number
        self._changes.append(change)
        if len(self._changes) > REMEMBERED:
            self._floor = self._changes.popleft().at.number
        return True

    def restart(self, at: Position) -> None:
        """Something is missing before ``at``; nothing that was told earlier can be built upon."""
        self.epoch, self.last, self._floor = at.epoch, at.number, at.number
        self._changes.clear()

    def since(self, at: Position) -> list[Change] | None:
        """All changes after ``at``; ``None`` if they are not known without a gap."""
        if at.epoch != self.epoch or at.number < self._floor:
            return None
        return [one for one in self._changes if one.at.number > at.number]


class End(Enum):
    """How a stream ended, or why there was none."""

    CLOSED = "closed"
    BROKEN = "broken"
    GONE = "gone"
    ABSENT = "absent"
    BUSY = "busy"
    MOVED = "moved"


class FeedPlan:
    """When to open the feed next.

    After a stream that broke off, the registry may be dead or have started anew, and hundreds of others
    have lost theirs in the same moment. So it is opened again only after a poll has had its answer, for
    polls are spread over their interval; and if the registry lives another life, not at once even then.
    An orderly end is followed by a new stream within a second.
    """

    def __init__(self, *, clock: Clock = SYSTEM, rng: Random | None = None) -> None:
        self._clock = clock
        self._rng = rng or Random()
        self._source = ""
        self._due = 0.0
        self._failures = 0
        self._ask_first = False
        self._opened_at: float | None = None

    @property
    def open(self) -> bool:
        """Whether a stream is open now."""
        return self._opened_at is not None

    def wait(self, source: str) -> float:
        """Seconds until the feed of the registry ``source`` may be opened; infinity before a poll worked."""
        if source != self._source:  # what we know of another registry's feed says nothing of this one's
            self._source = source
            self._forget()
        return float("inf") if self._ask_first else max(0.0, self._due - self._clock.monotonic())

    def polled(self, within: float = 0.0) -> None:
        """A poll had its answer; all others get theirs ``within`` so many seconds."""
        if self._ask_first:
            self._ask_first = False
            self._due = max(self._due, self._clock.monotonic() + self._rng.uniform(0.0, within))

    def opened(self) -> None:
        """A stream has begun."""
        self._opened_at = self._clock.monotonic()

    def ended(self, how: End, after: float = 0.0) -> None:
        """A stream has ended, or could not be opened. ``after``: the seconds the registry asked for."""
        now = self._clock.monotonic()
        if self._opened_at is not None and now - self._opened_at >= STEADY:
            self._failures = 0
        self._opened_at = None
        match how:
            case End.MOVED:
                wait = 0.0
            case End.ABSENT:
                wait = ABSENT * self._rng.uniform(0.9, 1.1)
            case End.GONE:
                wait = after * self._rng.uniform(0.5, 1.5)
            case _:
                bound = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** min(self._failures, 30))
                self._failures += 1
                wait = self._rng.uniform(0.0, bound) + min(after, LONGEST_WAIT) * self._rng.uniform(0.5, 1.5)
        self._ask_first = how in (End.BROKEN, End.BUSY, End.GONE)
        self._due = now + wait

    def _forget(self) -> None:
        self._failures = 0
        self._due = 0.0
        self._ask_first = False


def last_words(changes: Iterable[Change]) -> list[tuple[Action, Instance]]:
    """Changes as a directory takes them; those that make no sense are left out."""
    return [(one.action, one.instance) for one in changes if one.instance is not None]
