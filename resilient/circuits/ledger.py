"""What a circuit has seen: its calls counted and timed, and what each result and error means to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pybreaker

from ..clock import Clock
from ..events import Event
from .kinds import GENERATION, NO_KINDS, Kind, Kinds
from .latency import Latencies
from .listeners import Breaker
from .policy import FAILURE, TIMEOUT, CircuitPolicy, Outcome
from .replies import callers_fault, may_be_response, never_failed, only_failed, server_error, status_of
from .section import Section
from .window import DRAGGED, LATE, SLOW, Window

CLOSED, OPEN, HALF_OPEN = pybreaker.STATE_CLOSED, pybreaker.STATE_OPEN, pybreaker.STATE_HALF_OPEN
_MOST_TYPES = 256
#: Types of results that need no look, by what looks at them. Shared by all circuits: what has no status has
#: none anywhere, a set for each would take memory, and many sets in turn would be waited for.
_WITHOUT_STATUS: set[type] = set()
_ANY_TYPE: set[type] = set()
_NO_TYPE: set[type] = set()
_USUAL = [callers_fault]
_NO_TURNS: tuple[int, int, int, float] = (0, 0, 0, 0.0)
_log = logging.getLogger("resilient.circuits")

#: Stands for the result of a block, which has none.
NO_RESULT: Any = object()


def nobody(kind: type[Event]) -> bool:
    """For ``wants``: nobody subscribed."""
    return False


def plain_types(policy: CircuitPolicy) -> set[type]:
    """The types of results that need no look under this policy; whoever has a ``failed=`` looks at all."""
    if policy.failed is server_error:
        return _WITHOUT_STATUS
    return _ANY_TYPE if policy.failed is never_failed else _NO_TYPE


class _Hot:
    """What every call touches, side by side in memory: slots of a base class come first.

    ``take`` is the stack of idle attempts while the circuit is closed and ordinary, else ``None``. Until
    ``shut_until`` an open circuit refuses without any other question; see `~.judge.Judge.still_shut`.
    """

    __slots__ = ("limit", "now", "open_until", "plain", "queue", "shut_until", "take", "window")

    take: list[Any] | None
    queue: Any


class Ledger(_Hot):
    """The part of a circuit that keeps the books. It decides nothing about the state."""

    __slots__ = (
        "__weakref__", "_complained", "_seen", "_storage", "breaker", "clock", "kinds", "last_error",
        "latencies", "name", "policy", "section", "turns",
    )  # fmt: skip

    breaker: Breaker
    _storage: Any

    def __init__(self, name: str, policy: CircuitPolicy, clock: Clock) -> None:
        self.name = name
        self.policy = policy
        self.clock = clock
        self.now = clock.monotonic
        self.limit = policy.timeout
        self.plain = plain_types(policy)
        self.window = Window(policy.window, policy.slices, self.now())
        self.latencies = Latencies()
        self.last_error = ""
        self.kinds = NO_KINDS
        self.section = Section()
        self._complained = False
        self._seen = CLOSED
        #: How often it became closed, open and half-open, and the seconds it was not closed, up to its last
        #: turn. Replaced, never edited: circuits that never turned share one.
        self.turns = _NO_TURNS

    # ------------------------------------------------------------------ meaning

    def spoke_against(self, result: Any) -> str:
        """Why a returned value speaks against the service, in words; empty if it does not."""
        if self._verdict(result) is not Outcome.FAILURE:
            return ""
        return describe(Outcome.FAILURE, None, result)

    def classify(self, error: BaseException) -> Outcome:
        """What an error says about the service. A predicate that fails itself excuses nobody."""
        policy, breaker = self.policy, self.breaker
        # The list itself: pybreaker's property for it makes a tuple each time.
        if not policy.ignore and breaker._excluded_exceptions == _USUAL and only_failed(error):
            return FAILURE
        try:
            return policy.classify(error, breaker.excluded_exceptions)
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
        if failed is never_failed or (failed is server_error and not may_be_response(result)):
            if len(self.plain) >= _MOST_TYPES:  # programs make types too
                self.plain.clear()
            self.plain.add(kind)
            return Outcome.SUCCESS
        return self.verdict(result)

    # ------------------------------------------------------------------ counting

    def rolled(self, now: float) -> None:
        """The slice has ended: fold, and have the call that noticed it looked at, once it is counted."""
        with self.section:
            self._fold(now)
            self.window.due = 1

    def _erred(self, kind: Kind, now: float) -> None:
        """Count a failure by its kind, the long way: it is the first one, or the first of its kind."""
        if self.kinds is NO_KINDS:
            self.kinds = Kinds(now + GENERATION)
        try:
            self.kinds.counts[kind] += 1
        except KeyError:
            self.kinds.learn(kind)

    def _count_turn(self, was: str, seconds: float) -> None:
        """It was in that state for so long, and now is in another one."""
        closed, opened, half, away = self.turns
        if was != self._seen:
            closed += self._seen == CLOSED
            opened += self._seen == OPEN
            half += self._seen == HALF_OPEN
        self.turns = (closed, opened, half, away if was == CLOSED else away + seconds)

    def _is_slow(self, seconds: float) -> bool:
        slow = self.policy.slow_duration
        return slow is not None and seconds > slow

    def _fold(self, now: float) -> None:
        """Count what was only appended; under the lock."""
        window = self.window
        seconds = window.fold()  # before the slice changes: they ended in the one that is leaving
        if seconds:
            longest = self.latencies.add(seconds, min(now, window.end - window.step))
            if self.limit is not None and longest > self.limit:
                window.add(LATE, sum(one > self.limit for one in seconds))
            if self._is_slow(longest):
                n = sum(map(self._is_slow, seconds))
                window.add(SLOW, n)
                window.add(DRAGGED, n)
            if self._seen == CLOSED and self._storage.counter:
                self._storage.reset_counter()
        if now >= window.end:
            window.roll(now)
            self._tidy(now)
        if now >= self.kinds.until:
            self.kinds.turn(now)

    def _tidy(self, now: float) -> None:
        """A slice has ended, so at most some times in a second: time to put things away."""


def describe(outcome: Outcome, error: BaseException | None, result: Any) -> str:
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


def discard(result: Any) -> None:
    """Close a response that came too late for anybody."""
    close = getattr(result, "close", None)
    if callable(close) and not asyncio.iscoroutinefunction(close):
        with contextlib.suppress(Exception):  # the caller is to hear of the timeout
            close()
