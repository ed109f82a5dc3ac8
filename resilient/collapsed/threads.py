"""Batches of threads: the one that came first waits a moment, then makes the call for all."""

from __future__ import annotations

import threading
import time
from contextvars import Context
from typing import Any

from ..flights import Told, plain, twin
from .rules import Rules, clean_context


class Batch:
    """Keys that travel together. All of it under the condition of its `Threads`."""

    __slots__ = (
        "askers",
        "closed",
        "context",
        "due",
        "led",
        "over",
        "owner",
        "slots",
        "taken",
        "told",
        "trouble",
    )

    def __init__(self, owner: tuple[Any, ...], due: float, context: Context) -> None:
        self.owner = owner
        self.due = due
        self.context = context
        self.slots: dict[Any, int] = {}  # how many ask for each key
        self.askers = 0
        self.taken = 0
        self.led = False  # somebody waits for its time, or calls
        self.closed = False  # nobody joins any more
        self.over = False
        self.told: dict[Any, Told] = {}
        self.trouble: BaseException | None = None


class Threads:
    """All batches of one plain function."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._changed = threading.Condition()
        self._open: dict[int | None, Batch] = {}
        self.pending = 0

    def call(self, owner: tuple[Any, ...], key: Any) -> Any:
        """Ask for one key; blocks until its batch is done."""
        hash(key)
        batch = self._join(owner, key)
        try:
            while not self._lead(batch):
                with self._changed:
                    while batch.led and not batch.over:
                        self._changed.wait()
                    if batch.over:
                        break
        except BaseException:
            self._leave(batch, key)  # Ctrl-C: the others go on without this one
            raise
        with self._changed:
            self.pending -= 1
            value, error = batch.told.get(key, (None, batch.trouble))
            alone = batch.askers == 1
            batch.taken += 1
            if batch.taken == batch.askers:  # the errors' tracebacks hold frames that hold the batch
                batch.told, batch.trouble = {}, None
        if error is None:
            return value
        try:
            # Who asked alone gets the very error; else each thread one of its own.
            raise error if alone else twin(error)
        finally:
            del error

    def flush(self) -> None:
        """Make the calls of all open batches now, in the threads that lead them."""
        with self._changed:
            for batch in self._open.values():
                batch.closed = True
            self._open.clear()
            self._changed.notify_all()

    def _join(self, owner: tuple[Any, ...], key: Any) -> Batch:
        where = id(owner[0]) if owner else None
        with self._changed:
            if self.pending >= self._rules.max_pending:
                raise self._rules.refusal()
            batch = self._open.get(where)
            if batch is None:
                due = time.monotonic() + self._rules.wait
                batch = self._open[where] = Batch(owner, due, clean_context())
            batch.slots[key] = batch.slots.get(key, 0) + 1
            batch.askers += 1
            self.pending += 1
            if len(batch.slots) >= self._rules.max_batch:
                self._close(batch)
            return batch

    def _close(self, batch: Batch) -> None:
        batch.closed = True
        where = id(batch.owner[0]) if batch.owner else None
        if self._open.get(where) is batch:
            del self._open[where]
        self._changed.notify_all()

    def _leave(self, batch: Batch, key: Any) -> None:
        with self._changed:
            self.pending -= 1
            batch.askers -= 1
            batch.slots[key] -= 1
            if not batch.slots[key] and not batch.closed:
                del batch.slots[key]
            if not batch.slots:
                self._close(batch)

    def _lead(self, batch: Batch) -> bool:
        """Wait for the batch's time and call, unless somebody else does; True once it is over."""
        with self._changed:
            if batch.led or batch.over:
                return batch.over
            batch.led = True
        try:
            with self._changed:
                while not batch.closed and (left := batch.due - time.monotonic()) > 0:
                    self._changed.wait(left)
                self._close(batch)
                keys, askers = list(batch.slots), batch.askers
        except BaseException:
            with self._changed:
                batch.led = False  # the next one leads
                self._changed.notify_all()
            raise
        self._rules.count(len(keys), askers)
        self._run(batch, keys)
        return True

    def _run(self, batch: Batch, keys: list[Any]) -> None:
        told: dict[Any, Told] = {}
        trouble: BaseException | None = None
        try:
            answer = batch.context.run(self._rules.many, *batch.owner, keys)
            told = dict(zip(keys, self._rules.parts(keys, answer), strict=True))
        except Exception as error:
            trouble = error
        except BaseException as error:
            trouble = plain(error)  # Ctrl-C is this thread's own; the others hear that there is no answer
            raise
        finally:
            with self._changed:
                batch.told, batch.trouble, batch.over = told, trouble, True
                self._changed.notify_all()
            del trouble, batch
