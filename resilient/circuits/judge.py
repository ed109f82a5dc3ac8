"""How calls ended, and when that turns the circuit. pybreaker holds the state; we decide when it turns."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

import pybreaker

from ..clock import SYSTEM, Clock
from ..errors import CallTimeout, ResilientError
from ..events import CallEnded, CircuitChanged, Event, Publish, discard
from .attempt import Attempt, Crew
from .latency import Latencies
from .listeners import Breaker
from .policy import FAILURE, TIMEOUT, VOID, CircuitPolicy, Outcome, never_failed, server_error, status_of
from .section import Section
from .storage import ClockedStorage
from .window import BAD, BATCH, LATE, Window

CLOSED, OPEN, HALF_OPEN = pybreaker.STATE_CLOSED, pybreaker.STATE_OPEN, pybreaker.STATE_HALF_OPEN
_GOOD = (Outcome.SUCCESS, Outcome.EXCLUDED)
_BAD = (Outcome.FAILURE, Outcome.TIMEOUT)
_MOST_TYPES = 64
_log = logging.getLogger("resilient.circuits")

#: Stands for the result of a block, which has none.
NO_RESULT: Any = object()


def nobody(kind: type[Event]) -> bool:
    """For ``wants``: nobody subscribed."""
    return False


class Judge:
    """The half of a circuit that learns. Its other half, :class:`~.circuit.Circuit`, admits."""

    __slots__ = (
        "__weakref__", "_complained", "_mode", "_mode_reason", "_mode_until", "_ours", "_publish", "_seen",
        "_since", "_storage", "_trials", "_wants", "_would_open", "breaker", "clock", "crew", "crews",
        "group", "last_error", "latencies", "limit", "name", "now", "open_until", "plain", "policy",
        "queue", "section", "take", "target", "window",
    )  # fmt: skip

    take: Callable[[], Attempt] | None
    queue: Any

    def __init__(
        self,
        name: str,
        policy: CircuitPolicy | None = None,
        *,
        group: str = "",
        storage: pybreaker.CircuitBreakerStorage | None = None,
        listeners: Iterable[pybreaker.CircuitBreakerListener] = (),
        publish: Publish = discard,
        wants: Callable[[type[Event]], bool] = nobody,
        clock: Clock = SYSTEM,
    ) -> None:
        policy = policy or CircuitPolicy()
        self.name = name
        self.group = group
        self.target: str | None = None
        self.policy = policy
        self.clock = clock
        self.now = clock.monotonic
        self.limit = policy.timeout
        self.plain: set[type] = set()
        self.window = Window(policy.window, policy.slices, self.now())
        self.latencies = Latencies()
        self.last_error = ""
        self.open_until = 0.0
        self.take = None
        self.crew = Crew()
        self.crews = [self.crew]
        self.section = Section()
        self._trials: dict[Attempt, float] = {}
        self._mode = "auto"
        self._mode_until = math.inf
        self._mode_reason = ""
        self._publish = publish
        self._wants = wants
        self._would_open = False
        self._complained = False
        self._since = self.now()
        self._ours = storage is None
        self._seen = CLOSED
        self._storage = storage if storage is not None else ClockedStorage(clock, self.turned)
        self.breaker = Breaker(
            self.rewire,
            self.section,
            listeners,
            fail_max=policy.fail_max or 1_000_000_000,
            reset_timeout=policy.reset_timeout,
            success_threshold=policy.success_threshold,
            exclude=policy.exclude,
            state_storage=self._storage,
            name=name,
            throw_new_error_on_trip=False,
        )
        self._seen = self.breaker.state.name
        self.rewire()

    # ------------------------------------------------------------------ turning

    def turned(self) -> None:
        """The storage has a new state: begin a new generation. Late answers of the old one decide nothing."""
        with self.section:
            self.take = None
            now = self.now()
            self._fold(now)
            old, self.crew = self.crew, Crew()
            for attempt in list(old.all):
                attempt.odd = True
            old.dismiss()
            self.crews = [crew for crew in self.crews if crew.busy()] + [self.crew]
            self._trials.clear()
            was, self._seen = self._seen, self._storage.state
            self._since = now
            if self._seen == CLOSED:
                self.window.forgive()
            self.window.due = BATCH
            self._would_open = False
            self._set_open_until()
            self.rewire()
            if was != self._seen:
                self._tell_change(was, self._seen, self.last_error if self._seen == OPEN else "")

    def rewire(self) -> None:
        """Who watches, or who holds the circuit, has changed; the generation stays."""
        ordinary = (
            self._ours
            and self._seen == CLOSED
            and self._mode == "auto"
            and not self.breaker.watches_calls
            and not self._wants(CallEnded)
        )
        self.take = self.crew.idle.pop if ordinary else None

    def _set_open_until(self) -> None:
        if self._mode == "open":
            self.open_until = self._mode_until
        elif self._mode == "auto" and self._seen == OPEN and isinstance(self._storage, ClockedStorage):
            self.open_until = self._storage.since + self.breaker.reset_timeout
        else:
            self.open_until = 0.0

    def _notice(self) -> str:
        """The state as the storage has it; another process may have turned it."""
        state: str = self.breaker.state.name
        if state != self._seen:
            self.turned()
        return state

    def _tell_change(self, old: str, new: str, reason: str) -> None:
        event = CircuitChanged(at=self.clock.time(), circuit=self.name, old=old, new=new, reason=reason)
        self.section.later(self._publish, event)

    # ------------------------------------------------------------------ the way out

    def ended(self, attempt: Attempt, result: Any) -> Any:
        """The long way out with a result. Raises CallTimeout where a coroutine came back too late."""
        self.conclude(attempt, result)
        return result

    def conclude(self, attempt: Attempt, result: Any) -> None:
        """As :meth:`ended`, for those who have the result already."""
        seconds = self._spent(attempt)
        if attempt.expired:
            limit = attempt.deadline or 0.0
            if attempt.task is not None:
                attempt.task.uncancel()
            self.settle(attempt, Outcome.TIMEOUT, seconds)
            _discard(result)
            raise CallTimeout(self.name, limit)
        outcome = attempt.verdict
        if outcome is None or outcome is Outcome.SUCCESS:
            outcome = self._verdict(result)
        self.settle(attempt, outcome, seconds, result=result)

    def spoke_against(self, result: Any) -> str:
        """Why a returned value speaks against the service, in words; empty if it does not."""
        if self._verdict(result) is not Outcome.FAILURE:
            return ""
        return _describe(Outcome.FAILURE, None, result)

    def failed(self, attempt: Attempt, error: BaseException) -> bool:
        """The long way out with an error. True: our deadline ended the call, so raise CallTimeout."""
        seconds = self._spent(attempt)
        if attempt.expired:
            # Compare after taking ours back: if more is left than on entry, somebody else cancelled too.
            theirs = attempt.task is not None and attempt.task.uncancel() > attempt.cancels
            self.settle(attempt, Outcome.VOID if theirs else Outcome.TIMEOUT, seconds, error)
            return not theirs
        outcome = self.classify(error)
        if outcome is FAILURE:
            if attempt.verdict is Outcome.EXCLUDED:
                outcome = Outcome.EXCLUDED  # the service said 404; the function raised its own word for it
            elif attempt.deadline is not None and seconds >= attempt.deadline:
                outcome = TIMEOUT  # a socket gave up when the time was up
        self.settle(attempt, outcome, seconds, error)
        return False

    def _spent(self, attempt: Attempt) -> float:
        return self.now() - attempt.began if attempt.began is not None else 0.0

    def classify(self, error: BaseException) -> Outcome:
        """What an error says about the service. A predicate that fails itself excuses nobody."""
        try:
            return self.policy.classify(error, self.breaker.excluded_exceptions)
        except Exception:
            self._complain("exclude= or ignore=")
            return Outcome.FAILURE

    def verdict(self, result: object) -> Outcome:
        """What a returned value says about the service; one that ``failed=`` cannot read is a failure."""
        try:
            return self.policy.verdict(result)
        except Exception:
            self._complain("failed=")
            return Outcome.FAILURE

    def _complain(self, predicate: str) -> None:
        if not self._complained:  # once: it would be said with every call
            self._complained = True
            _log.exception("circuit %r: the predicate in %s failed", self.name, predicate)

    def _verdict(self, result: Any) -> Outcome:
        kind = type(result)
        if kind in self.plain or result is NO_RESULT:
            return Outcome.SUCCESS
        failed = self.policy.failed
        if failed is never_failed or (failed is server_error and not _may_be_response(result)):
            if len(self.plain) < _MOST_TYPES:  # programs make types too
                self.plain.add(kind)
            return Outcome.SUCCESS
        return self.verdict(result)

    def settle(
        self,
        attempt: Attempt,
        outcome: Outcome,
        seconds: float,
        error: BaseException | None = None,
        *,
        result: Any = None,
    ) -> None:
        """Learn how an admitted call ended: count it, judge it, take the permit back."""
        bad = outcome in _BAD
        text = _describe(outcome, error, result) if bad else ""
        with self.section:
            now = self.now()
            window = self.window
            if window.fresh or now >= window.end:
                self._fold(now)
            window.add(outcome)
            if outcome is not VOID:
                self.latencies.note(seconds, now)
            if bad:
                self.last_error = text
            elif attempt.deadline is not None and seconds > attempt.deadline:
                window.add(LATE)
            if attempt.crew is self.crew:
                self._tell_listeners(outcome, error, text)
                self._judge(attempt, outcome)
            if self._wants(CallEnded):
                event = CallEnded(
                    at=self.clock.time(),
                    circuit=self.name,
                    outcome=outcome.word,
                    seconds=seconds,
                    error=text,
                )
                self.section.later(self._publish, event)
            self._release(attempt)

    def _release(self, attempt: Attempt) -> None:
        attempt.task = attempt.began = attempt.verdict = attempt.outer = attempt.queue = None
        if attempt.odd or attempt.trial:
            attempt.crew.drop(attempt)
        else:
            attempt.give(attempt)

    def _tell_listeners(self, outcome: Outcome, error: BaseException | None, text: str) -> None:
        for listener in self.breaker.listeners:
            if outcome in _GOOD:
                listener.success(self.breaker)
            elif outcome in _BAD:
                listener.failure(self.breaker, error if error is not None else ResilientError(text))

    def _judge(self, attempt: Attempt, outcome: Outcome) -> None:
        storage = self._storage
        if attempt.trial:
            if self._trials.pop(attempt, None) is None:
                return
            if outcome in _GOOD:
                storage.reset_counter()
                storage.increment_success_counter()
                if self.breaker.success_counter >= self.breaker.success_threshold:
                    self.breaker.close()
            elif outcome in _BAD:
                storage.increment_counter()
                self.breaker.open()
            self._notice()
        elif self._seen == CLOSED:
            self.window.judge(outcome)
            if outcome in _GOOD:
                if storage.counter:
                    storage.reset_counter()
            elif outcome in _BAD:
                storage.increment_counter()
            self._consider()

    def _consider(self) -> None:
        """Open, if the window or the row of failures says so; else say when to look again.

        With good calls the rate only falls, so it is enough to look at failures, when old successes have
        left, and at the success that reaches the volume.
        """
        window, policy = self.window, self.policy
        bad, total = window.sums[BAD], window.total
        row = self.breaker.fail_counter
        enough = bad and total >= policy.min_calls and bad >= policy.error_rate * total
        window.due = BATCH
        if enough or row >= self.breaker.fail_max:
            if self._mode == "auto" and not policy.observe:
                self.breaker.open()
                self._notice()
                return
            if not self._would_open:
                self._would_open = True
                self._tell_change(CLOSED, OPEN, "would have opened, but is only observed or held closed")
        else:
            self._would_open = False
        if row:
            window.due = len(window.fresh) + 1  # the next good call ends the row
        elif bad and total < policy.min_calls and bad >= policy.error_rate * policy.min_calls:
            window.due = min(BATCH, len(window.fresh) + policy.min_calls - total)

    # ------------------------------------------------------------------ folding

    def rolled(self, now: float) -> None:
        """The slice has ended: fold, and have the call that noticed it looked at, once it is counted."""
        with self.section:
            self._fold(now)
            self.window.due = 1

    def look(self) -> None:
        """Fold what was only appended, and judge."""
        with self.section:
            self._fold(self.now())
            if self._seen == CLOSED:
                self._consider()

    def _fold(self, now: float) -> None:
        window = self.window
        seconds = window.fold()  # before the slice changes: they ended in the one that is leaving
        if seconds:
            longest = self.latencies.add(seconds, min(now, window.end - window.step))
            if self.limit is not None and longest > self.limit:
                window.add(LATE, sum(one > self.limit for one in seconds))
            if self._seen == CLOSED and self._storage.counter:
                self._storage.reset_counter()
        if now >= window.end:
            window.roll(now)


def _may_be_response(result: object) -> bool:
    try:
        return hasattr(result, "status") or hasattr(result, "status_code")
    except Exception:  # a property of somebody's that raises
        return False


def _describe(outcome: Outcome, error: BaseException | None, result: Any) -> str:
    """The last error as text: an error kept as object would hold frames, arguments and the task."""
    if outcome is TIMEOUT and (error is None or isinstance(error, asyncio.CancelledError)):
        return "timed out"
    if error is None:
        status = status_of(result)
        return f"status {status}" if status is not None else f"bad result ({type(result).__name__})"
    try:
        return f"{type(error).__name__}: {error}"[:200]
    except Exception:  # a __str__ of somebody's that fails must not hide the failure it describes
        return type(error).__name__


def _discard(result: Any) -> None:
    close = getattr(result, "close", None)
    if callable(close) and not asyncio.iscoroutinefunction(close):
        with contextlib.suppress(Exception):  # the caller is to hear of the timeout
            close()
