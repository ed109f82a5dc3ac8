"""How calls ended, and when that turns the circuit. pybreaker holds the state; we decide when it turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pybreaker

from ..clock import SYSTEM, Clock
from ..errors import CallTimeout
from ..events import CallEnded, CircuitChanged, Event, Publish
from ..events import discard as unheard
from .allowance import hurried
from .attempt import Attempt, Crew
from .kinds import TIMEOUT as LATENESS
from .ledger import CLOSED, HALF_OPEN, NO_RESULT, OPEN, Ledger, describe, discard, nobody
from .listeners import Breaker
from .policy import EXCLUDED, FAILURE, SUCCESS, TIMEOUT, VOID, CircuitPolicy, Outcome
from .replies import retry_after
from .storage import ClockedStorage
from .window import BAD, BATCH, DRAGGED, GOOD, LATE, SLOW, soonest_slow

__all__ = ["CLOSED", "HALF_OPEN", "NO_RESULT", "OPEN", "Judge", "nobody"]

_GOOD = (Outcome.SUCCESS, Outcome.EXCLUDED)
_BAD = (Outcome.FAILURE, Outcome.TIMEOUT)
_MOST_REOPENINGS = 32  # a power of more would be no number of seconds
_chance = Random()
#: What pybreaker is given for "no limit".
NEVER = 1_000_000_000


class Judge(Ledger):
    """The half of a circuit that learns. Its other half, :class:`~.circuit.Circuit`, admits."""

    __slots__ = (
        "_command", "_hand", "_mode", "_mode_by", "_mode_reason", "_mode_until", "_open_for", "_ours",
        "_publish", "_reopened", "_rng", "_since", "_tells_calls", "_told", "_trials", "_wants",
        "_would_open", "crew", "crews", "group", "target", "turned_by",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        policy: CircuitPolicy | None = None,
        *,
        group: str = "",
        storage: pybreaker.CircuitBreakerStorage | None = None,
        listeners: Iterable[pybreaker.CircuitBreakerListener] = (),
        publish: Publish = unheard,
        wants: Callable[[type[Event]], bool] = nobody,
        clock: Clock = SYSTEM,
        rng: Random = _chance,
    ) -> None:
        policy = policy or CircuitPolicy()
        super().__init__(name, policy, clock)
        self.group = group
        self.target: str | None = None
        self.open_until = self.shut_until = 0.0
        self.take = None
        self.crew = Crew(self.now())
        self.crews = [self.crew]
        self._trials: dict[Attempt, float] = {}
        self._mode = "auto"
        self._mode_until = math.inf
        self._mode_reason = self._mode_by = self._command = ""
        #: Who turns it by hand just now, and who brought it where it is: by and reason; ``None``: nobody did.
        self._hand: tuple[str, str] | None = None
        self.turned_by: tuple[str, str] | None = None
        self._publish = publish
        self._wants = wants
        self._rng = rng
        self._would_open = False
        self._since = self.now()
        self._open_for = policy.reset_timeout
        self._reopened = 0
        self._told = 0.0
        self._ours = storage is None
        self._storage = storage if storage is not None else ClockedStorage(clock, self.turned)
        self.breaker = Breaker(
            self.rewire,
            self.section,
            listeners,
            fail_max=policy.fail_max or NEVER,
            reset_timeout=policy.reset_timeout,
            success_threshold=policy.success_threshold,
            exclude=policy.exclude,
            state_storage=self._storage,
            name=name,
            throw_new_error_on_trip=False,
        )
        self._seen = self.breaker.state.name
        self._look_soon()
        self.rewire()

    # ------------------------------------------------------------------ turning

    def turned(self) -> None:
        """The storage has a new state: begin a new generation. Late answers of the old one decide nothing."""
        with self.section:
            self.take = None
            now = self.now()
            self._fold(now)
            old, self.crew = self.crew, Crew(now)
            old.retire()
            self.crews = [crew for crew in self.crews if crew.busy()] + [self.crew]
            self._trials.clear()
            was, self._seen = self._seen, self._storage.state
            if self._seen == OPEN:
                if was == CLOSED and now - self._since >= self.policy.window:
                    self._reopened = 0  # it was well for a whole window: this is a new illness
                self._open_for = self._cooling_time()
            elif self._seen == CLOSED:
                self.window.forgive()
            self._count_turn(was, now - self._since)
            self._since = now
            self._look_soon()
            self._would_open = False
            self._set_open_until()
            self.rewire()
            self.turned_by = self._hand
            if was != self._seen:
                by, reason = self._hand or ("", self.last_error if self._seen == OPEN else "")
                self._tell_change(was, self._seen, reason, by)

    def rewire(self) -> None:
        """Who watches, or who holds the circuit, has changed; the generation stays."""
        self._tells_calls = self._wants(CallEnded)  # asked here, for each failing call would ask it
        ordinary = (
            self._ours
            and self._seen == CLOSED
            and self._mode == "auto"
            and not self.breaker.watches_calls
            and not self._tells_calls
        )
        self.take = self.crew.idle if ordinary else None

    def _cooling_time(self) -> float:
        """Seconds to stay open this time."""
        policy, first = self.policy, self.breaker.reset_timeout
        grown = first * policy.reset_multiplier ** min(self._reopened, _MOST_REOPENINGS)
        seconds = max(first, min(grown, policy.reset_max))
        if policy.reset_jitter:
            seconds *= 1 + self._rng.uniform(0, policy.reset_jitter)
        return max(seconds, self._told)

    def _set_open_until(self) -> None:
        if self._mode == "open":
            self.open_until = self._mode_until
        elif self._mode == "auto" and self._seen == OPEN and isinstance(self._storage, ClockedStorage):
            self.open_until = self._storage.since + self._open_for
        else:
            self.open_until = 0.0
        self.shut_until = 0.0

    def still_shut(self) -> bool:
        """Whether an open circuit refuses a call that comes after `shut_until`; then that is moved on."""
        if self.now() >= self.open_until:
            return False
        self.look()  # a slice has ended, or this is the first call it refuses
        self.shut_until = min(self.open_until, self.window.end)
        return True

    def _notice(self) -> str:
        """The state as the storage has it; another process may have turned it."""
        if self._ours:
            return self._seen  # our own storage has told us
        state: str = self.breaker.state.name
        if state != self._seen:
            self.turned()
        return state

    def _reopen(self, told: float | None = None) -> None:
        """A trial has failed, and the service may have told how long to wait."""
        self._reopened += 1
        self._told = told or 0.0
        self.breaker.open()
        self._notice()
        self._told = 0.0

    def _tell_change(self, old: str, new: str, reason: str, by: str = "") -> None:
        event = CircuitChanged(
            at=self.clock.time(), circuit=self.name, old=old, new=new, reason=reason, by=by
        )
        self.section.later(self._publish, event)

    # ------------------------------------------------------------------ the way out

    def ended(self, attempt: Attempt, result: Any) -> Any:
        """The long way out with a result. Raises CallTimeout where a coroutine came back too late."""
        self.conclude(attempt, result)
        return result

    def conclude(self, attempt: Attempt, result: Any, *, keep: bool = False) -> None:
        """As :meth:`ended`, for those who have the result already. ``keep``: the permit stays taken."""
        seconds = self._spent(attempt)
        if attempt.expired:
            limit = attempt.deadline or 0.0
            if attempt.task is not None:
                attempt.task.uncancel()
            self.settle(attempt, self.lateness(attempt), seconds, keep=keep)
            discard(result)
            raise CallTimeout(self.name, limit)
        outcome = attempt.verdict
        if outcome is None or outcome is Outcome.SUCCESS:
            outcome = self._verdict(result)
        self.settle(attempt, outcome, seconds, result=result, keep=keep)

    def failed(self, attempt: Attempt, error: BaseException) -> bool:
        """The long way out with an error. True: our deadline ended the call, so raise CallTimeout."""
        now, began = self.now(), attempt.began
        seconds = now - began if began is not None else 0.0
        if attempt.expired:
            # Compare after taking ours back: if more is left than on entry, somebody else cancelled too.
            theirs = attempt.task is not None and attempt.task.uncancel() > attempt.cancels
            self.settle(attempt, VOID if theirs else self.lateness(attempt), seconds, error)
            return not theirs
        outcome = self.classify(error)
        if outcome is FAILURE:
            if attempt.verdict is Outcome.EXCLUDED:
                outcome = Outcome.EXCLUDED  # the service said 404; the function raised its own word for it
            elif attempt.deadline is not None and seconds >= attempt.deadline:
                outcome = TIMEOUT  # a socket gave up when the time was up
            elif attempt.outer is not None and hurried(attempt):
                outcome = VOID  # so it did, but the time was our own caller's
        self.settle(attempt, outcome, seconds, error, now=now)
        return False

    def lateness(self, attempt: Attempt) -> Outcome:
        """A timeout, unless the caller gave less time: strangers in a hurry must not open our circuits."""
        return VOID if hurried(attempt) else TIMEOUT

    def _spent(self, attempt: Attempt) -> float:
        return self.now() - attempt.began if attempt.began is not None else 0.0

    def settle(
        self,
        attempt: Attempt,
        outcome: Outcome,
        seconds: float,
        error: BaseException | None = None,
        *,
        result: Any = None,
        keep: bool = False,
        now: float | None = None,
    ) -> None:
        """Learn how an admitted call ended: count it, judge it, take the permit back.

        With ``keep`` the permit stays taken, since the work goes on: :meth:`let_go` takes it back.
        """
        bad = outcome is FAILURE or outcome is TIMEOUT
        text = describe(outcome, error, result) if bad else ""
        longest = self.policy.slow_duration
        slow = longest is not None and seconds > longest and outcome is not VOID
        with self.section:
            now = self.now() if now is None else now
            window = self.window
            if window.fresh or now >= window.end:
                self._fold(now)
            present = attempt.crew is self.crew
            if bad and present and not attempt.trial and self._seen == CLOSED:
                window.fail(outcome)
            else:
                window.add(outcome)
            if outcome is not VOID:
                self.latencies.note(seconds, now)
            if slow:
                window.add(SLOW)
            if bad:
                self.last_error = text
                kind = LATENESS if outcome is TIMEOUT else text if error is None else type(error)
                try:
                    self.kinds.counts[kind] += 1
                except KeyError:
                    self._erred(kind, now)
                if attempt.trial and attempt.told is None:
                    attempt.told = retry_after(result if error is None else error, self.clock.time())
            elif outcome is not VOID and attempt.deadline is not None and seconds > attempt.deadline:
                window.add(LATE)
            if present:
                if self.breaker.heard:
                    self.breaker.tell(outcome, error, text)
                self._judge(attempt, outcome, slow, seconds)
            if self._tells_calls:
                wall, word = self.clock.time(), outcome.word
                event = CallEnded(at=wall, circuit=self.name, outcome=word, seconds=seconds, error=text)
                self.section.later(self._publish, event)
            if not keep:
                self._release(attempt)

    def let_go(self, attempt: Attempt) -> None:
        """The work of an attempt whose outcome is known already has ended too."""
        with self.section:
            self._release(attempt)

    def broke(self, attempt: Attempt, error: BaseException) -> None:
        """What had begun well, a stream, broke later. It counts; but a trial was decided at its beginning."""
        if self.classify(error) is not FAILURE:
            return
        with self.section:
            self._fold(now := self.now())
            self.window.add(FAILURE)
            self.last_error = describe(FAILURE, error, None)
            self._erred(type(error), now)
            if attempt.crew is self.crew and self._seen == CLOSED:
                self.window.judge(FAILURE)
                self._consider()

    def _release(self, attempt: Attempt) -> None:
        attempt.task = attempt.began = attempt.verdict = attempt.outer = attempt.queue = None
        if attempt.odd is True or attempt.trial:
            attempt.crew.drop(attempt)
        else:
            attempt.odd = False
            attempt.crew.idle.append(attempt)

    def _judge(self, attempt: Attempt, outcome: Outcome, slow: bool, seconds: float) -> None:
        storage = self._storage
        if attempt.trial:
            self._trials.pop(attempt, None)
            if outcome in _GOOD and slow:
                self.last_error = f"a trial took {seconds:.3g}s"
                storage.increment_counter()
                self._reopen()
            elif outcome in _GOOD:
                storage.reset_counter()
                storage.increment_success_counter()
                if self.breaker.success_counter >= self.breaker.success_threshold:
                    self.breaker.close()
            elif outcome in _BAD:
                storage.increment_counter()
                self._reopen(attempt.told)
            self._notice()
        elif self._seen == CLOSED:
            if outcome is SUCCESS:
                self.window.add(GOOD)  # a bad one was counted with its column
            if slow and outcome is not Outcome.EXCLUDED:
                self.window.add(DRAGGED)
            # Not "in": that compares numbers, and is asked for each failure.
            if outcome is SUCCESS or outcome is EXCLUDED:
                if storage.counter:
                    storage.reset_counter()
            elif outcome is FAILURE or outcome is TIMEOUT:
                storage.increment_counter()
            self._consider()

    def _consider(self) -> None:
        """Open, if the window or the row of failures says so; else say when to look again.

        With good calls the rate only falls, so it is enough to look at failures, when old successes have
        left, and at the success that reaches the volume.
        """
        window, policy = self.window, self.policy
        sums = window.sums
        bad = sums[BAD]
        total = sums[GOOD] + bad
        slow = sums[DRAGGED]
        row = self._storage.counter
        enough = total >= policy.min_calls
        ill = enough and bad and bad >= policy.error_rate * total
        drags = slow and enough and policy.slow_duration is not None and slow >= policy.slow_rate * total
        window.due = BATCH
        if ill or drags or row >= self.breaker._fail_max:  # asked for each failure; the property is a call
            if drags and not ill:
                self.last_error = f"{slow} of {total} calls took longer than {policy.slow_duration:g}s"
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
        if policy.slow_duration is not None:
            window.due = min(window.due, len(window.fresh) + soonest_slow(policy, slow, total))

    def _look_soon(self) -> None:
        """The judge has nothing to go by, or by other rules: say when to look first."""
        self.window.due = BATCH if self.policy.slow_duration is None else 1

    def look(self) -> None:
        """Fold what was only appended, and judge."""
        with self.section:
            self._fold(self.now())
            if self._seen == CLOSED:
                self._consider()

    def _tidy(self, now: float) -> None:
        self.crew.tidy(now, self.policy.window, self.limit)
