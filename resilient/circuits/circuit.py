"""May this call go out?

The short way of a call through a closed circuit is written in ``calls.py`` and touches nothing here but a
few slots: ``take`` admits (it is the crew's stack of idle attempts while the circuit is closed and ordinary,
else ``None``), ``window.fresh`` counts. Everything out of the ordinary comes through the methods below.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import CallRejected, CircuitFull, CircuitOpen
from ..events import AnsweredFromCache, CallsCollapsed, FallbackUsed, RetryDenied
from . import window as columns
from .attempt import WATCHED, Attempt
from .deadlines import NO_QUEUE, NOWHERE, Unlimited, queue_for
from .judge import CLOSED, HALF_OPEN, OPEN
from .kinds import REJECTED
from .policy import Outcome
from .pool import Pool, Pools
from .snapshot import CircuitSnapshot, taken
from .tuning import Tuned

INHERIT: Any = object()
_NOTHING: Mapping[str, Any] = {}


class Circuit(Tuned):
    """Judges calls by their outcomes and refuses them while the service is ill.

    ``storage`` and ``listeners`` are pybreaker's own objects, used unchanged; the breaker itself is
    :attr:`breaker`. Safe for threads and for several event loops. Times come from ``clock``.
    """

    __slots__ = ("_fallbacks", "_pool", "_pools", "abandoned")

    def __init__(self, name: str, *args: Any, pools: Pools | None = None, **kwargs: Any) -> None:
        self.queue = NOWHERE
        self._fallbacks = 0
        self._pools = pools
        self._pool: Pool | None = None
        self.abandoned = 0
        super().__init__(name, *args, **kwargs)

    # ------------------------------------------------------------------ by hand

    def open(self, seconds: float | None = None, *, reason: str = "", by: str = "") -> None:
        """Open it by hand: the very next call is refused.

        Without ``seconds`` trials follow after ``reset_timeout``, as always. With ``seconds`` it stays open
        that long (``math.inf``: until :meth:`close`), then closes with a clean window. ``reason`` and ``by``
        are for showing.
        """
        self._hold("auto" if seconds is None else "open", seconds, reason, by, self.breaker.open)

    def close(self, seconds: float | None = None, *, reason: str = "", by: str = "") -> None:
        """Close it by hand, with a clean window, and end any hold.

        With ``seconds`` it then stays closed that long whatever happens (``math.inf``: until told otherwise).
        """
        self._hold("auto" if seconds is None else "closed", seconds, reason, by, self.breaker.close)

    def auto(self, *, reason: str = "", by: str = "") -> None:
        """End a hold: it closes with a clean window and decides for itself again. Without one, nothing."""
        with self.section:
            if self._mode != "auto":
                self.close(reason=reason, by=by)

    def obeyed(self, command: str) -> None:
        """Show ``command``, an id, as the last one from afar that was obeyed."""
        self._command = command

    def _hold(
        self, mode: str, seconds: float | None, reason: str, by: str, turn: Callable[[], object]
    ) -> None:
        with self.section:
            self._mode = mode
            self._mode_until = math.inf if seconds is None else self.now() + seconds
            held = mode != "auto"
            self._mode_reason, self._mode_by = (reason, by) if held else ("", "")
            if reason and turn != self.breaker.close:  # what refused calls are told
                self.last_error = reason
            self._hand = by, reason
            try:
                turn()
                self._notice()
            finally:
                self.turned_by, self._hand = self._hand, None
            self._set_open_until()
            self.rewire()

    def _end_hold(self, now: float) -> None:
        if self._mode != "auto" and now >= self._mode_until:
            self._mode, self._mode_until, self._mode_reason, self._mode_by = "auto", math.inf, "", ""
            self.breaker.close()
            self._notice()
            self._set_open_until()
            self.rewire()

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``, as pybreaker calls them."""
        with self.section:
            self._end_hold(self.now())
            return self._notice()

    # ------------------------------------------------------------------ the way in

    def refuses(self, answered: bool = False) -> bool:
        """Whether it is open and cooling right now; counts one refused call if so. No lock, no exception.

        ``answered`` tells that the caller gets a default value at once.
        """
        now = self.now()
        if now >= self.open_until:
            return False
        window = self.window
        if now >= window.end:
            self.rolled(now)
        next(window.answered if answered else window.shut)
        return True

    def refusal(self) -> CircuitOpen:
        """The error for a call that is refused."""
        left = self.open_until - self.now()
        return CircuitOpen(self.name, left if 0 < left < math.inf else None, self.last_error)

    def admit(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] = _NOTHING,
        timed: bool = False,
        limit: Any = INHERIT,
    ) -> Attempt:
        """The long way in: one permit, or CircuitOpen, or CircuitFull.

        With ``timed`` the attempt also gets the running loop's deadline queue, for ``limit`` seconds.
        """
        if self.open_until and self.refuses():
            raise self.refusal()
        refused: CallRejected | None = None
        attempt: Attempt | None = None
        with self.section:
            now = self.now()
            if self.window.fresh or now >= self.window.end:
                self._fold(now)
            self._end_hold(now)
            refused, trial = self._ask(now)
            if refused is not None:
                self.window.add(Outcome.SHORT_CIRCUITED)
            else:
                attempt = self._permit()
            if attempt is not None:
                if trial:
                    attempt.trial = True
                    self._trials[attempt] = now
                attempt.odd = limit is not INHERIT or (WATCHED if self.take is None else False)
                if self.breaker.heard:
                    for listener in self.breaker.listeners:
                        listener.before_call(self.breaker, func, *args, **kwargs)
            elif refused is None:
                refused = CircuitFull(self.name, self.policy.max_concurrent or 0)
                self._count_full(self.policy.max_concurrent)
        if attempt is None:
            assert refused is not None
            try:
                # The short way in lands here from an empty stack; its IndexError is nobody's business.
                raise refused from None
            finally:
                del refused  # this frame is in its traceback: keeping it would make a ring
        attempt.deadline = self.limit if limit is INHERIT else limit
        if timed:
            self._enqueue(attempt, limit is INHERIT)
        return attempt

    def _ask(self, now: float) -> tuple[CircuitOpen | None, bool]:
        """Why this call may not go out, if so; and whether it is a trial."""
        if self._mode == "closed":
            return None, False
        if self._mode == "open":
            return self.refusal(), False
        state = self._notice()
        if state == OPEN:
            refused = self._cooling(now)
            if refused is not None:
                return refused, False
            self.breaker.half_open()
            state = self._notice()
        if state == HALF_OPEN:
            return self._trials_taken(now), True
        return None, False

    def _cooling(self, now: float) -> CircuitOpen | None:
        if now < self.open_until:
            return self.refusal()
        if self._ours:
            return None
        opened_at = self._storage.opened_at  # a foreign storage: wall time, as pybreaker keeps it
        if opened_at is None:
            return None
        if opened_at.tzinfo is None:
            opened_at = opened_at.replace(tzinfo=UTC)
        passed = datetime.fromtimestamp(self.clock.time(), UTC) - opened_at
        left = self._open_for - passed.total_seconds()
        return CircuitOpen(self.name, left, self.last_error) if left > 0 else None

    def _trials_taken(self, now: float) -> CircuitOpen | None:
        longest = self.policy.longest_trial
        if any(now - since >= longest for since in self._trials.values()):
            self.last_error = f"a trial did not end within {longest:g}s"
            self._reopen()
            return self.refusal()
        wanted = self.breaker.success_threshold - self.breaker.success_counter
        if len(self._trials) >= min(self.policy.trials, max(1, wanted)):
            return CircuitOpen(self.name, None, self.last_error)
        return None

    def _permit(self) -> Attempt | None:
        crew = self.crew
        try:
            return crew.idle.pop()  # one that came back meanwhile, before a new one is made
        except IndexError:
            pass
        limit = self.policy.max_concurrent
        if limit is not None and not self.policy.observe:
            stragglers = sum(one.busy() for one in self.crews if one is not crew)
            if crew.made + stragglers >= limit:
                return None
        return crew.new(self)

    def _count_full(self, limit: int | None) -> None:
        self.window.add(Outcome.REJECTED)
        self._erred(REJECTED, self.now())
        # A full circuit is nearly always the first sign of a slow service; but it decides no trial.
        if self.policy.count_rejections and self._seen == CLOSED:
            self.window.judge(Outcome.FAILURE)
            self.last_error = f"{limit} calls were under way"
            self._consider()

    def _enqueue(self, attempt: Attempt, keep: bool) -> None:
        if attempt.deadline is None and keep and asyncio._get_running_loop() is not None:
            self.queue = Unlimited()  # the limit was taken away at run time
        queue = queue_for(attempt.deadline, self.now) if attempt.deadline is not None else None
        task = asyncio.current_task(queue.loop) if queue is not None else None
        if queue is None or task is None:  # no deadline, or a coroutine driven by hand: nothing to cancel
            attempt.queue = NO_QUEUE
            return
        attempt.queue = queue
        attempt.task = task
        attempt.cancels = task.cancelling()
        if attempt.cancels:
            attempt.odd = True
        if keep:
            self.queue = queue

    # ------------------------------------------------------------------ looking

    def fallback_begins(self) -> bool:
        """Take leave to ask a fallback; False if as many as ``fallback_max_concurrent`` are at work."""
        with self.section:
            limit = self.policy.fallback_max_concurrent
            if limit is not None and self._fallbacks >= limit:
                self._fold(self.now())
                self.window.add(columns.FALLBACK_REJECTED)
                return False
            self._fallbacks += 1
            return True

    def fallback_ended(self) -> None:
        """Give that leave back."""
        with self.section:
            self._fallbacks -= 1

    def count_fallback(self, worked: bool, cause: str) -> None:
        """A fallback was asked because of ``cause``: it had an answer, or it failed too."""
        with self.section:
            self._fold(self.now())
            self.window.add(columns.FALLBACK_SUCCESS if worked else columns.FALLBACK_FAILURE)
            if self._wants(FallbackUsed):
                event = FallbackUsed(at=self.clock.time(), circuit=self.name, cause=cause, worked=worked)
                self.section.later(self._publish, event)

    def count_cached(self) -> None:
        """A call was answered by what its request had asked before; nobody was asked now."""
        self._count(columns.FROM_CACHE)
        if self._wants(AnsweredFromCache):
            self._publish(AnsweredFromCache(at=self.clock.time(), circuit=self.name))

    def count_collapsed(self, calls: int, keys: int) -> None:
        """So many single calls for so many different keys have become one call."""
        self._count(columns.COLLAPSED, calls)
        if self._wants(CallsCollapsed):
            self._publish(CallsCollapsed(at=self.clock.time(), circuit=self.name, calls=calls, keys=keys))

    def count_retry(self, granted: bool, error: str = "") -> None:
        """A call under way is repeated after ``error``, or is not because its retry budget is used up."""
        self._count(columns.RETRIED if granted else columns.RETRY_DENIED)
        if not granted and self._wants(RetryDenied):
            self._publish(RetryDenied(at=self.clock.time(), circuit=self.name, error=error))

    def _count(self, column: int, n: int = 1) -> None:
        with self.section:
            now = self.now()
            if now >= self.window.end:
                self._fold(now)
            self.window.add(column, n)

    def snapshot(self) -> CircuitSnapshot:
        """The circuit at this moment."""
        return taken(self)

    # ------------------------------------------------------------------ threads

    @property
    def pool(self) -> Pool:
        """The threads for calls under ``isolation="thread"``; made at first use."""
        if self._pool is None:
            with self.section:
                if self._pool is None:
                    pools = self._pools if self._pools is not None else Pools()
                    self._pool = pools.get(self.policy.thread_pool or self.name, self.policy.pool_size)
        return self._pool

    def pool_full(self, attempt: Attempt) -> CircuitFull:
        """There was a permit, but no thread: take the permit back, count a rejection."""
        with self.section:
            self._fold(self.now())
            self._trials.pop(attempt, None)
            attempt.odd = True
            self._release(attempt)
            size = self.pool.size
            self._count_full(size)
            return CircuitFull(self.name, size)

    def abandon(self, attempt: Attempt, change: int) -> None:
        """The caller has left and the thread works on (+1), or has ended (-1): then the permit comes back."""
        with self.section:
            self.abandoned += change
            if change < 0:
                self._release(attempt)

    def _resize(self, size: int) -> None:
        if self._pool is not None:
            self._pool.size = size

    def after_fork(self) -> None:
        super().after_fork()
        self._fallbacks = self.abandoned = 0
