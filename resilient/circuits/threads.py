"""``isolation="thread"``: a plain function runs in a thread of its circuit, its caller waits only so long.

The hand-over costs some 20 microseconds, so nothing is gained by a short way: every call takes the long one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from ..errors import CallRejected, CallTimeout
from . import attempt as present
from .allowance import Allowance
from .attempt import CURRENT, Attempt, standing_in
from .calls import named
from .circuit import Circuit
from .guard import Guard
from .ledger import NO_RESULT, discard
from .policy import Outcome
from .rescue import Rescue


class _Work:
    """One call, from the caller's side and from the thread's. Who comes first, end or caller's leaving,
    decides under the lock what the other one finds.
    """

    __slots__ = ("_attempt", "_call", "_circuit", "_lock", "_over", "error", "left", "result")

    def __init__(self, circuit: Circuit, attempt: Attempt, call: Callable[[], Any]) -> None:
        self._circuit = circuit
        self._attempt = attempt
        self._call: Callable[[], Any] | None = call
        self._lock = threading.Lock()
        self._over = threading.Lock()
        self._over.acquire()
        self.left = False
        self.result: Any = NO_RESULT
        self.error: BaseException | None = None

    def __call__(self) -> None:
        result: Any = NO_RESULT
        error: BaseException | None = None
        assert self._call is not None
        try:
            result = self._call()
        except BaseException as raised:  # the caller raises it again, whatever it is
            error = raised
        self._call = None
        with self._lock:
            left = self.left
            if not left:
                self.result, self.error = result, error
                self._over.release()
        if left:
            discard(result)  # nobody waits for it
            self._circuit.abandon(self._attempt, -1)
        del error  # this frame is in its traceback: keeping it would make a ring

    def wait(self, seconds: float | None) -> bool:
        """Wait for the end; False if it has not come in that time."""
        return self._over.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX))

    def leave(self) -> bool:
        """The caller waits no longer; False if it has ended at the last moment."""
        with self._lock:
            if self.result is not NO_RESULT or self.error is not None:
                return False
            self.left = True
        self._circuit.abandon(self._attempt, +1)
        return True


def threaded(guard: Guard, f: Callable[..., Any], rescue: Rescue | None = None) -> Callable[..., Any]:
    """``f`` in a thread, behind the circuit that ``guard`` finds, with the circuit's deadline."""

    def call(*args: Any, **kwargs: Any) -> Any:
        c = guard.circuit or guard.find()
        if c.refuses(rescue is not None and rescue.constant):
            if rescue is None:
                raise c.refusal()
            return rescue.value if rescue.constant else rescue.refused_now(c, args, kwargs)
        outer = standing_in()
        try:
            a = c.admit(f, args, kwargs)
            work = _begin(c, a, outer, f, args, kwargs)
        except CallRejected as error:
            if rescue is None:
                raise
            return rescue.instead_now(c, error, args, kwargs)
        limit = a.deadline
        try:
            in_time = work.wait(a.remaining())
            if not in_time and _give_up(c, a, work, c.lateness(a)):
                raise CallTimeout(c.name, limit or 0.0)
        except CallTimeout as error:
            if rescue is None:
                raise
            return rescue.instead_now(c, error, args, kwargs)
        except BaseException:  # Ctrl-C while waiting
            if not _give_up(c, a, work, Outcome.VOID):
                c.settle(a, Outcome.VOID, 0.0)
            raise
        failure, work.error = work.error, None  # the work's frame is in its traceback: no ring
        if failure is None:
            if rescue is None:
                return c.ended(a, work.result)
            return rescue.after_now(c, a, work.result, args, kwargs)
        c.failed(a, failure)
        try:
            if rescue is None or not rescue.helps(c, failure):
                raise failure
            return rescue.instead_now(c, failure, args, kwargs)
        finally:
            del failure, work  # this frame is in its traceback: keeping it would make a ring

    return named(call, f)


def _begin(
    c: Circuit, a: Attempt, outer: Attempt | Allowance | None, f: Callable[..., Any], args: Any, kwargs: Any
) -> _Work:
    a.odd = True
    a.outer = outer
    began = a.began = c.now()
    context = copy_context()
    if present.watched:
        context.run(CURRENT.set, (a, began, CURRENT.get()))
    work = _Work(c, a, lambda: context.run(f, *args, **kwargs))
    try:
        started = c.pool.start(work)
    except BaseException as error:
        c.failed(a, error)
        raise
    if not started:
        raise c.pool_full(a)
    return work


def _give_up(c: Circuit, a: Attempt, work: _Work, outcome: Outcome) -> bool:
    """Leave the thread to itself: the call is settled now, its permit comes back when the work has ended."""
    seconds = c.now() - (a.began or 0.0)
    if not work.leave():
        return False
    c.settle(a, outcome, seconds, keep=True)
    return True
