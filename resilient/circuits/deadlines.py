"""Deadlines for coroutines: one queue and one timer per limit and event loop, shared by all circuits.

All calls with the same limit are due in the order in which they began, so the queue is a dict that is
only ever appended to, and a call that ends in time costs one insertion and one removal: no timer of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .attempt import Attempt

T = TypeVar("T")


class Queue:
    """The calls under way on one loop that share one limit (seconds), oldest first."""

    __slots__ = ("armed", "limit", "live", "loop", "now", "thread")

    def __init__(self, limit: float, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self.limit = limit
        self.loop = loop
        self.now = now
        self.thread = threading.get_ident()
        self.live: dict[Attempt, None] = {}
        self.armed = False

    def arm(self) -> None:
        """Start the one timer, if it is not running."""
        self.armed = True
        self.loop.call_later(self.limit, self.fire)

    def fire(self) -> None:
        """Cancel the calls that are late, and look again when the next one would be.

        Timers may come early (uvloop counts whole milliseconds), so nothing is assumed to be due.
        """
        due = self.now() - self.limit
        late = []
        for attempt in self.live:
            began = attempt.began or 0.0
            if began > due:
                # Never in less than a millisecond: a clock that does not move must not spin the loop.
                self.loop.call_later(max(began - due, 0.001), self.fire)
                break
            late.append(attempt)
        else:
            self.armed = False
        for attempt in late:
            del self.live[attempt]
            attempt.expire()


class _Local(threading.local):
    """This thread's queues, for the loop that runs here; replaced when another loop does."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.queues: dict[tuple[float, Callable[[], float]], Queue] = {}


_local = _Local()


def queue_for(limit: float, now: Callable[[], float]) -> Queue | None:
    """The running loop's queue for ``limit``; ``None`` where no loop runs.

    One closed loop per thread stays referenced until another one asks, and not more.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    local = _local
    if local.loop is not loop:
        local.loop = loop
        local.queues = {}
    key = (limit, now)
    queue = local.queues.get(key)
    if queue is None:
        if len(local.queues) >= 1000:  # limits come from per-call options: programs can compute them
            local.queues = {k: q for k, q in local.queues.items() if q.live}
        queue = local.queues[key] = Queue(limit, loop, now)
    return queue


class _Nowhere:
    """A queue that belongs to no thread: the first call from any loop takes the long way and replaces it."""

    thread = 0
    loop = None
    armed = True


NOWHERE = _Nowhere()


class _NoQueue:
    """For calls that nothing can cancel: they are not remembered anywhere."""

    class _Nothing(dict["Attempt", None]):
        def __setitem__(self, attempt: Attempt, value: None) -> None:
            pass

        def __delitem__(self, attempt: Attempt) -> None:
            pass

    live = _Nothing()
    armed = True


NO_QUEUE = _NoQueue()


class Unlimited(_NoQueue):
    """For calls without a limit where the short way expects a queue: it lets this loop's calls pass."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()


class _Wait:
    """One await under a limit; shares its timer with all waits of the same length."""

    __slots__ = ("_task", "began", "cancels", "expired")

    def __init__(self, task: asyncio.Task[Any], began: float) -> None:
        self._task = task
        self.began = began
        self.cancels = task.cancelling()
        self.expired = False

    def expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def mine(self) -> bool:
        # Compared after taking ours back, as in failed(): if more is left, somebody else cancelled too.
        return self.expired and self._task.uncancel() <= self.cancels


class WaitedTooLong(TimeoutError):
    """What :func:`within` raises, to be told from a TimeoutError of what was awaited."""


async def within(limit: float, now: Callable[[], float], waited_for: Awaitable[T]) -> T:
    """Await it for at most ``limit`` seconds, then cancel it and raise TimeoutError."""
    queue: Any = queue_for(limit, now)
    task = asyncio.current_task(queue.loop) if queue is not None else None
    if task is None:  # driven by hand: there is nothing to cancel
        return await waited_for
    wait = _Wait(task, now())
    queue.live[wait] = None
    if not queue.armed:
        queue.arm()
    try:
        result = await waited_for
    except BaseException as error:
        queue.live.pop(wait, None)
        if wait.mine():
            raise WaitedTooLong(f"took longer than {limit:g}s") from error
        raise
    queue.live.pop(wait, None)
    if wait.mine():  # it swallowed the cancellation
        raise WaitedTooLong(f"took longer than {limit:g}s")
    return result
