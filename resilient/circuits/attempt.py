"""One call's way through a circuit: a permit, a record, and what the code inside may ask."""

from __future__ import annotations

import asyncio
import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from .allowance import Allowance
from .policy import Outcome
from .replies import retry_after

if TYPE_CHECKING:
    from .circuit import Circuit

T = TypeVar("T")

#: ``odd`` of an attempt that takes the long way for no other reason than that all of its circuit's do now.
WATCHED = 2


class _Hot:
    """What every call touches: slots of a base class come first, on one line of the processor's cache."""

    __slots__ = ("began", "odd", "task")


class Attempt(_Hot):
    """Leave to make one call. Reused by the next call, unless anything out of the ordinary happened to it.

    ``odd`` is the switch: whoever holds it, judges through it, expires it or turns its circuit sets it, and
    an odd attempt ends the long way and is never used again; one that is only :data:`WATCHED` is.
    """

    __slots__ = (
        "cancels",
        "circuit",
        "crew",
        "deadline",
        "expired",
        "outer",
        "queue",
        "told",
        "trial",
        "verdict",
    )

    began: float | None

    def __init__(self, circuit: Circuit, crew: Crew) -> None:
        self.circuit = circuit
        self.crew = crew
        self.began = None
        self.task: asyncio.Task[object] | None = None
        self.cancels = 0
        self.odd: int = False
        self.expired = False
        self.trial = False
        self.verdict: Outcome | None = None
        self.told: float | None = None
        self.queue: Any = None
        self.deadline: float | None = circuit.limit
        self.outer: Attempt | Allowance | None = None

    def expire(self) -> None:
        """The deadline has passed: cancel the task that makes the call."""
        self.odd = self.expired = True
        if self.task is not None:
            self.task.cancel()

    # What the code inside the call may ask; see current_attempt().

    @property
    def name(self) -> str:
        """The name of the circuit this call goes through."""
        return self.circuit.name

    def remaining(self) -> float | None:
        """Seconds left of this call's time, of the smallest deadline it stands in; ``None`` without one.

        Never negative: 0.0 means that the time is up.
        """
        outer = self.outer.remaining() if self.outer is not None else None
        if self.deadline is None or self.began is None:
            return outer
        own = max(0.0, self.began + self.deadline - self.circuit.now())
        return own if outer is None else min(own, outer)

    def judge(self, result: T) -> T:
        """Show a result or response to the circuit, whatever the function then makes of it.

        The last one shown decides: a 503 answered by a retry's 200 is a success. Returns ``result``.
        """
        self.odd = True
        self.verdict = self.circuit.verdict(result)
        if self.trial:
            self.told = retry_after(result, self.circuit.clock.time())
        return result

    def aims_at(self, service: str) -> None:
        """A request to ``service`` begins: the first service named is the circuit's target."""
        self.odd = True
        self.verdict = None  # what an earlier request was answered says nothing about this one
        if self.circuit.target is None:
            self.circuit.target = service

    def retries(self, granted: bool, error: BaseException) -> None:
        """The call is repeated after ``error``, or is not because its retry budget is used up: count it."""
        self.circuit.count_retry(granted, type(error).__name__)

    @property
    def overtaken(self) -> bool:
        """Whether the circuit has turned since this call went out: retrying has no point then."""
        return self.crew is not self.circuit.crew


class Crew:
    """The attempts of one generation of a circuit. ``idle.pop`` admits, ``idle.append`` gives back.

    Both are atomic, so the limit is exact under threads without a lock. All methods want the circuit's lock.
    """

    __slots__ = ("_low", "_missing", "_tidied", "all", "idle", "made")

    def __init__(self, now: float) -> None:
        self.idle: list[Attempt] = []
        self.all: set[Attempt] = set()
        self.made = 0
        self._low = 0
        self._missing: frozenset[Attempt] = _NOBODY
        self._tidied = now

    def new(self, circuit: Circuit) -> Attempt:
        """One attempt more."""
        attempt = Attempt(circuit, self)
        self.all.add(attempt)
        self.made += 1
        self._low = 0
        return attempt

    def drop(self, attempt: Attempt) -> None:
        """An attempt that is not used again."""
        if attempt in self.all:
            self.all.remove(attempt)
            self.made -= 1

    def retire(self) -> None:
        """No attempt made so far is used again. Whoever had looked for one already has to ask again."""
        for attempt in self.all:
            attempt.odd = True
        while self.idle:
            self.drop(self.idle.pop())

    def busy(self) -> int:
        """How many are out."""
        return self.made - len(self.idle)

    def tidy(self, now: float, every: float, limit: float | None) -> None:
        """A slice has ended. Each ``every`` seconds drop what nobody needed, and give up what was lost, where
        a call may take ``limit`` seconds; without one it may take as long as it likes."""
        # How few were idle: the difference is what the circuit needs.
        self._low = min(self._low, len(self.idle))
        if now - self._tidied >= every:
            self._tidied = now
            self.trim()
            self.sweep(now, max(_LONGEST_CALL, 10 * limit) if limit is not None else math.inf)

    def trim(self) -> None:
        """Drop the attempts that nobody needed since the last time; those used least lie at the left."""
        for _ in range(self._low):
            if not self.idle:
                break
            self.drop(self.idle.pop(0))
        self._low = len(self.idle)

    def sweep(self, now: float, longest: float) -> None:
        """Give up attempts that were lost, as a signal between taking one and the ``try`` may lose it.

        Lost is what began longer than ``longest`` seconds ago, or was taken but did not begin between one
        sweep and the next. Odd ones are somebody's: they are given back with more care.
        """
        if not self.busy():
            self._missing = _NOBODY
            return
        idle = set(self.idle.copy())  # copied at once, for others take and give meanwhile
        missing = set()
        for attempt in list(self.all):
            if attempt.odd or attempt in idle:
                continue
            began = attempt.began
            lost = attempt in self._missing if began is None else now - began > longest
            if lost:
                attempt.odd = True
                self.drop(attempt)
            elif began is None:
                missing.add(attempt)
        self._missing = frozenset(missing)


#: Seconds after which a call is taken for lost if it also took ten times as long as it may.
_LONGEST_CALL = 3600.0
_NOBODY: frozenset[Attempt] = frozenset()

#: The value names the attempt and the moment it began, so that a task which outlived its call never
#: meets the attempt's next user.
Present = tuple[Attempt | Allowance, float, "Present | None"]
CURRENT: ContextVar[Present | None] = ContextVar("resilient_attempt", default=None)

_over = Allowance(0.0, float)
_over.close()
#: Below an allowance: who looks only at the innermost one takes "nothing below it" for an attempt's mark.
BOTTOM: Present = (_over, 0.0, None)

#: Whether anything in this process may ask for the attempt: circuits set the variable only then.
watched = False


def watch() -> None:
    """From now on circuits say which attempt is the present one. Called by whoever may ask."""
    global watched
    watched = True


def current_attempt() -> Attempt | None:
    """The attempt this code runs in, or ``None`` outside any circuit (or after its call has ended).

    Sessions use it to show responses and to take what is left of the time. Code that imports it before
    the first call under way sees every call.
    """
    found = standing_in()
    return None if isinstance(found, Allowance) else found


def standing_in() -> Attempt | Allowance | None:
    """What this code runs in: an attempt, or only a request whose caller has so much time."""
    return _alive(CURRENT.get())


def time_left() -> float | None:
    """Seconds left of the call, or of the inbound request, that this code runs in; ``None`` without limit.

    For whatever takes a timeout of its own. Never negative.
    """
    found = standing_in()
    return found.remaining() if found is not None else None


def _alive(found: Present | None) -> Attempt | Allowance | None:
    if found is None:
        return None
    attempt, began, outer = found
    if attempt.began is not began:
        return _alive(outer)  # that call is over; the attempt may serve another one by now
    if isinstance(attempt, Allowance):
        return attempt
    attempt.odd = True  # held by somebody: not for use again
    if outer is not None and attempt.outer is None:
        attempt.outer = _alive(outer)
    return attempt
