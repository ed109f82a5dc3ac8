"""What a registry keeps its records in, and the engine that is just this process's memory.

A node reads everything once, then follows what changes; every write is conditional, so that two nodes
never overwrite each other unseen. Heartbeats never come here: nodes keep them in their own memory.

Keys are ``i/<app>/<id>`` with the app in upper case and ``/`` and ``%`` inside a part percent-encoded;
the value of such a key is a :class:`~.records.Record`. ``d`` holds the :class:`~.records.Cause` of the
latest removal, written together with it, for a deletion cannot carry a value.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .records import Cause, Record

Value = Record | Cause

REASON = "d"
INSTANCES = "i/"


def instance_key(service: str, id: str) -> str:
    """The key of an instance's record."""
    return f"{INSTANCES}{_quoted(service.upper())}/{_quoted(id)}"


def instance_of_key(key: str) -> tuple[str, str] | None:
    """Service and id of an instance's key; None for other keys."""
    if not key.startswith(INSTANCES):
        return None
    app, slash, id = key[len(INSTANCES) :].partition("/")
    return (_plain(app).lower(), _plain(id)) if slash else None


def _quoted(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F") if "%" in part or "/" in part else part


def _plain(part: str) -> str:
    return part.replace("%2F", "/").replace("%25", "%") if "%" in part else part


@dataclass(frozen=True, slots=True)
class Entry:
    """A key, its value, and the revision that wrote it."""

    key: str
    value: Value
    revision: int


@dataclass(frozen=True, slots=True)
class Written:
    """One event: a key has a new value, or (None) is gone."""

    key: str
    value: Value | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that one revision (or several whole ones) did, in order."""

    revision: int
    events: tuple[Written, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """The key was last written by this revision; 0: it must not exist."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class Operation:
    """Put a value, or (None) delete the key."""

    key: str
    value: Value | None


@dataclass(frozen=True, slots=True)
class Committed:
    """All operations were done, at this revision."""

    revision: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was done, because a condition does not hold; ``entries`` are what is there instead."""

    entries: tuple[Entry, ...]


class Compacted(Exception):
    """The history asked for is gone: take a new snapshot."""


class FeedLost(Exception):
    """The watch broke; watch again from the last revision seen."""


class Session(Protocol):
    """Keys bound to it vanish with it."""

    async def renew(self) -> None: ...

    async def close(self) -> None: ...


class Engine(Protocol):
    """Where records are kept."""

    async def snapshot(self) -> tuple[int, list[Entry]]:
        """Everything, at one revision."""
        ...

    def watch(self, after: int) -> AsyncIterator[Batch]:
        """What happens after a revision. Raises Compacted or FeedLost."""
        ...

    async def commit(
        self, conditions: Sequence[Condition], operations: Sequence[Operation]
    ) -> Committed | Conflict:
        """All or nothing."""
        ...

    async def session(self, ttl: float) -> Session:
        """A session that ends ``ttl`` seconds after its last renewal."""
        ...


class MemorySession:
    """A session that ends with the process."""

    async def renew(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""


class MemoryEngine:
    """Everything in this process. Nothing waits: a commit is done, and told, when it returns.

    :meth:`subscribe` is what makes it special: a node in the same process hears of a batch before its
    writer goes on. ``history`` bounds how far back :meth:`watch` can begin.
    """

    def __init__(self, history: int = 1000) -> None:
        self.revision = 0
        self._entries: dict[str, Entry] = {}
        self._history: deque[Batch] = deque(maxlen=history)
        self._listeners: tuple[Callable[[Batch], None], ...] = ()
        self._news = asyncio.Event()

    def subscribe(self, listener: Callable[[Batch], None]) -> Callable[[], None]:
        """Call ``listener`` with every batch, from inside the commit. Returns the way to leave."""
        self._listeners = (*self._listeners, listener)

        def leave() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not listener)

        return leave

    def revision_of(self, key: str) -> int:
        """The revision that wrote a key; 0 if it does not exist."""
        entry = self._entries.get(key)
        return entry.revision if entry is not None else 0

    async def snapshot(self) -> tuple[int, list[Entry]]:
        """Everything, at one revision."""
        return self.revision, list(self._entries.values())

    async def watch(self, after: int) -> AsyncIterator[Batch]:
        """What happens after a revision, for ever."""
        seen = after
        while True:
            news = self._news
            if seen < self.revision:
                if not self._history or self._history[0].revision > seen + 1:
                    raise Compacted(f"history begins after revision {seen + 1}")
                for batch in [one for one in self._history if one.revision > seen]:
                    seen = batch.revision
                    yield batch
            else:
                await news.wait()

    async def commit(
        self, conditions: Sequence[Condition], operations: Sequence[Operation]
    ) -> Committed | Conflict:
        """All or nothing, at once."""
        return self.commit_now(conditions, operations)

    def commit_now(
        self, conditions: Sequence[Condition], operations: Sequence[Operation]
    ) -> Committed | Conflict:
        """:meth:`commit`, for those who cannot wait."""
        entries = self._entries
        if any(self.revision_of(one.key) != one.revision for one in conditions):
            found = (entries.get(one.key) for one in conditions)
            return Conflict(tuple(entry for entry in found if entry is not None))
        self.revision += 1
        for operation in operations:
            if operation.value is None:
                entries.pop(operation.key, None)
            else:
                entries[operation.key] = Entry(operation.key, operation.value, self.revision)
        batch = Batch(self.revision, tuple(Written(one.key, one.value) for one in operations))
        self._history.append(batch)
        for listener in self._listeners:
            listener(batch)
        self._wake()
        return Committed(self.revision)

    def restore(self, found: Iterable[tuple[str, Value]]) -> None:
        """Records of an earlier life, at one revision and without an event: nobody here is told of them.

        Whoever watches is sent for a new snapshot.
        """
        self.revision += 1
        revision = self.revision
        self._entries.update((key, Entry(key, value, revision)) for key, value in found)
        self._history.clear()
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def session(self, ttl: float) -> Session:
        """A session that ends with the process."""
        return MemorySession()
