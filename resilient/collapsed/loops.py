"""Batches of coroutines: one open batch for each loop and object."""

from __future__ import annotations

import asyncio
import weakref
from contextvars import Context
from typing import Any

from ..flights import Shared, Told
from .rules import Rules, clean_context


class Lane:
    """What one loop has open and waiting."""

    __slots__ = ("__weakref__", "open", "pending")

    def __init__(self) -> None:
        self.open: dict[int | None, Batch] = {}
        self.pending = 0


class Batch(Shared):
    """Keys that travel together, and who asked for each of them."""

    def __init__(self, rules: Rules, lane: Lane, owner: tuple[Any, ...], context: Context) -> None:
        super().__init__()
        self._rules = rules
        self._lane = lane
        self._owner = owner  # keeps the object alive, so that its id stays its own
        self._id = id(owner[0]) if owner else None
        self._context = context
        self._slots: dict[Any, list[asyncio.Future[Told]]] = {}
        self._key_of: dict[asyncio.Future[Told], Any] = {}
        self._keys: list[Any] = []
        lane.open[self._id] = self
        self._timer = self.loop.call_later(rules.wait, self.flush)

    def join(self, key: Any) -> asyncio.Future[Told]:
        """A place for one caller; the batch leaves if it is full now."""
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = []
        future = self.joining()
        slot.append(future)
        self._key_of[future] = key
        if len(self._slots) >= self._rules.max_batch:
            self.flush()
        return future

    def flush(self) -> None:
        """Make the call now; nobody joins any more."""
        if self._lane.open.get(self._id) is not self:
            return
        self._close()
        self._keys = list(self._slots)
        self._rules.count(len(self._keys), len(self._key_of))
        self.begin(self._call(), self._context)

    async def _call(self) -> Any:
        return await self._rules.many(*self._owner, self._keys)

    def _close(self) -> None:
        self._timer.cancel()
        if self._lane.open.get(self._id) is self:
            del self._lane.open[self._id]

    def left(self, future: asyncio.Future[Told]) -> None:
        """Nobody asks for a key any more whose last caller has gone before the call was made."""
        key = self._key_of.pop(future, None)
        slot = self._slots.get(key)
        if slot is not None and future in slot:
            slot.remove(future)
            if not slot and self._lane.open.get(self._id) is self:
                del self._slots[key]

    def deserted(self) -> None:
        """Nobody is left: an open batch is never called."""
        self._close()

    def ended(self, value: Any, error: BaseException | None) -> None:
        """Everybody gets his own part."""
        if error is None:
            try:
                parts = self._rules.parts(self._keys, value)
            except Exception as wrong:
                error = wrong
        if error is not None:
            super().ended(None, error)
        else:
            for (part, trouble), futures in zip(parts, self._slots.values(), strict=True):
                self.tell(futures, part, trouble)
        self._slots.clear()  # the futures hold the errors, whose tracebacks hold this batch
        self._key_of.clear()


class Loops:
    """All batches of one function, on however many loops."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._lanes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Lane] = weakref.WeakKeyDictionary()

    async def call(self, owner: tuple[Any, ...], key: Any) -> Any:
        """Ask for one key."""
        hash(key)  # a key that cannot be one is this caller's mistake only
        lane = self._lane()
        if lane.pending >= self._rules.max_pending:
            raise self._rules.refusal()
        batch = lane.open.get(id(owner[0]) if owner else None)
        if batch is None:
            batch = Batch(self._rules, lane, owner, clean_context())
        lane.pending += 1
        try:
            return await batch.wait(batch.join(key))
        finally:
            lane.pending -= 1

    def flush(self) -> None:
        """Make the calls of this loop's open batches now."""
        lane = self._lanes.get(asyncio.get_running_loop())
        for batch in list(lane.open.values()) if lane is not None else ():
            batch.flush()

    @property
    def pending(self) -> int:
        """Callers who wait."""
        return sum(lane.pending for loop, lane in list(self._lanes.items()) if not loop.is_closed())

    def _lane(self) -> Lane:
        loop = asyncio.get_running_loop()
        found = self._lanes.get(loop)
        if found is None:
            with self._rules.lock:
                for old in [one for one in self._lanes if one.is_closed()]:
                    del self._lanes[old]  # what waited there waits no more
                found = self._lanes[loop] = Lane()
        return found
