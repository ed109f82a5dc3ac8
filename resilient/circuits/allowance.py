"""The time that a caller of this process has left: no call made on its behalf may take longer.

Whoever serves a request puts an allowance where the attempts of circuits are found, as the outermost of the
row. So it costs nothing where there is none, and every deadline below is the smaller of the two by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attempt import Attempt, Present

#: A granted time below this (seconds) is none: nothing could be done in it.
LEAST_GRANTED = 0.001


class Allowance:
    """``seconds`` from now on, for everything that is called to serve one request.

    Coroutines under a circuit are given up when it is used up; whoever asks for the remaining time gets at
    most this. It is nobody's failure then: the caller was in a hurry, and what it called is as well as ever.
    The work that serves the request itself is left alone.
    """

    __slots__ = ("_end", "_loop", "_timer", "armed", "began", "live", "now")

    outer: None = None

    def __init__(self, seconds: float, now: Callable[[], float]) -> None:
        self.now = now
        self.began: float | None = now()
        self._end = self.began + seconds
        self._loop = asyncio._get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.live: dict[Attempt, None] = {}
        self.armed = False

    def remaining(self) -> float:
        """Seconds left; 0.0 when it is used up."""
        left = self._end - self.now()
        return left if left > 0.0 else 0.0

    def close(self) -> None:
        """The request is served. Tasks that outlive it are not in its hurry."""
        self.began = None
        if self._timer is not None:
            self._timer.cancel()

    # -- a queue of deadlines, as those of `~.deadlines.Queue` are --

    def arm(self) -> None:
        """Start the one timer."""
        self.armed = True
        assert self._loop is not None
        # Never in less than a millisecond: a clock that does not move must not spin the loop.
        self._timer = self._loop.call_later(max(self._end - self.now(), 0.001), self.fire)

    def fire(self) -> None:
        """Cancel the calls under way. Timers may come early: look again then."""
        self.armed = False
        if self.remaining() > 0.0:
            if self.live:
                self.arm()
            return
        late, self.live = self.live, {}
        for attempt in late:
            if attempt.outer is None:
                attempt.outer = self
            if attempt.began is not None:
                attempt.deadline = self.now() - attempt.began  # what it had, for the error's message
            attempt.expire()

    def take(self, attempt: Attempt, live: Any) -> Any:
        """Put a call that has just begun into this queue instead of ``live``, if it would end here sooner."""
        began, deadline = attempt.began, attempt.deadline
        if began is None or (deadline is not None and began + deadline <= self._end):
            return live
        loop = asyncio._get_running_loop()
        if loop is not self._loop:
            if self.live or self.armed:
                return live  # another loop in a thread: our timer cannot cancel there
            self._loop = loop
        if loop is None:
            return live
        if attempt.task is None:
            task = asyncio.current_task(loop)
            if task is None:
                return live
            attempt.task = task
            attempt.cancels = task.cancelling()
        live.pop(attempt, None)
        self.live[attempt] = None
        if not self.armed:
            self.arm()
        return self.live


def shortened(attempt: Attempt, live: Any, outer: Present) -> Any:
    """The queue that ends a call which begins inside of ``outer``: an allowance's, or ``live`` as before."""
    found: Present | None = outer
    while found is not None:
        holder, began, found = found
        if type(holder) is Allowance and holder.began is began:
            return holder.take(attempt, live)
    return live


def hurry(attempt: Attempt) -> Allowance | None:
    """What bounds all that an attempt stands in, if it is a caller's."""
    outer: Attempt | Allowance | None = attempt.outer
    while outer is not None:
        if type(outer) is Allowance:
            return outer
        outer = outer.outer
    return None


def hurried(attempt: Attempt) -> bool:
    """Whether the caller's time is up, rather than the call's own."""
    allowance = hurry(attempt) if attempt.outer is not None else None
    return allowance is not None and allowance.remaining() <= 0.0
