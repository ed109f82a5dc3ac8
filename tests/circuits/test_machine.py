"""The circuit against a model of it that is too simple to be wrong, in any order of events."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from resilient.circuits.circuit import Circuit
from resilient.circuits.policy import CircuitPolicy
from resilient.clock import ManualClock
from resilient.errors import CircuitFull, CircuitOpen

WINDOW, RESET, LIMIT, TRIAL_TIMEOUT = 10, 5, 6, 8


class Excluded(Exception):
    pass


class Failed(Exception):
    pass


ERRORS: dict[str, BaseException | None] = {
    "good": None,
    "bad": Failed(),
    "excluded": Excluded(),
    "cancelled": GeneratorExit(),
}


class Calls(RuleBasedStateMachine):
    @initialize(
        min_calls=st.integers(1, 6),
        rate=st.sampled_from([0.25, 0.5, 1.0]),
        fail_max=st.sampled_from([None, 1, 3]),
        trials=st.integers(1, 3),
        threshold=st.integers(1, 3),
    )
    def begin(self, min_calls, rate, fail_max, trials, threshold) -> None:
        self.clock = ManualClock()
        self.policy = CircuitPolicy(
            min_calls=min_calls,
            error_rate=rate,
            fail_max=fail_max,
            trials=trials,
            success_threshold=threshold,
            window=WINDOW,
            slices=WINDOW,
            reset_timeout=RESET,
            max_concurrent=LIMIT,
            count_rejections=False,
            trial_timeout=TRIAL_TIMEOUT,
            reset_jitter=0,
            timeout=None,
            exclude=Excluded,
        )
        self.circuit = Circuit("machine", self.policy, clock=self.clock)
        self.state = "closed"
        self.generation = 0
        self.opened_at = 0.0
        self.outcomes: list[tuple[int, bool]] = []  # (slice, bad)
        self.row = 0
        self.good_trials = 0
        self.under_way: list[tuple[Any, int, bool, float]] = []  # attempt, generation, trial, began
        self.trials_out: list[Any] = []

    # -------------------------------------------------------------- the model

    def turn(self, state: str) -> None:
        self.state = state
        self.generation += 1
        self.good_trials = 0
        self.trials_out.clear()
        if state == "open":
            self.opened_at = self.clock.monotonic()
        if state == "closed":
            self.outcomes.clear()
            self.row = 0

    def expected(self) -> str:
        """What the next call is told: ``go``, ``trial``, ``refused`` or ``full``. May turn the model."""
        now = self.clock.monotonic()
        if self.state == "open":
            if now < self.opened_at + RESET:
                return "refused"
            self.turn("half-open")
        if self.state == "half-open":
            began = {id(attempt): at for attempt, _, _, at in self.under_way}
            if any(now - began[id(one)] >= TRIAL_TIMEOUT for one in self.trials_out):
                self.turn("open")
                return "refused"
            wanted = self.policy.success_threshold - self.good_trials
            if len(self.trials_out) >= min(self.policy.trials, wanted):
                return "refused"
            return "trial" if len(self.under_way) < LIMIT else "full"
        return "go" if len(self.under_way) < LIMIT else "full"

    def judged(self, how: str) -> None:
        if how in ("good", "excluded"):
            self.row = 0
        if how in ("good", "bad"):
            self.outcomes.append((int(self.clock.monotonic()), how == "bad"))
        if how == "bad":
            self.row += 1
        first = int(self.clock.monotonic()) - WINDOW + 1
        seen = [bad for at, bad in self.outcomes if at >= first]
        bad = sum(seen)
        share = bad and len(seen) >= self.policy.min_calls and bad >= self.policy.error_rate * len(seen)
        if share or (self.policy.fail_max is not None and self.row >= self.policy.fail_max):
            self.turn("open")

    # -------------------------------------------------------------- the rules

    @rule()
    def call(self) -> None:
        expected = self.expected()
        # As the wrappers do it: by the switch if the circuit is ordinary, else the long way.
        try:
            try:
                take = self.circuit.take
                attempt = take.pop() if take is not None else self.circuit.admit(len)
            except IndexError:
                attempt = self.circuit.admit(len)
        except CircuitOpen:
            assert expected == "refused"
            return
        except CircuitFull:
            assert expected == "full"
            return
        assert expected in ("go", "trial")
        attempt.began = self.clock.monotonic()
        if expected == "trial":
            self.trials_out.append(attempt)
        self.under_way.append((attempt, self.generation, expected == "trial", self.clock.monotonic()))

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, LIMIT), how=st.sampled_from(sorted(ERRORS)))
    def end(self, which: int, how: str) -> None:
        attempt, generation, trial, began = self.under_way.pop(which % len(self.under_way))
        circuit = self.circuit
        error = ERRORS[how]
        if error is not None:
            circuit.failed(attempt, error)
        elif attempt.odd or int not in circuit.plain:
            circuit.ended(attempt, 1)
        else:
            attempt.began = None
            attempt.crew.idle.append(attempt)
            now = self.clock.monotonic()
            if now >= circuit.window.end:
                circuit.rolled(now)
            circuit.window.fresh.append(now - began)
            if len(circuit.window.fresh) >= circuit.window.due:
                circuit.look()
        if generation != self.generation:
            return
        if not trial:
            self.judged(how)
            return
        self.trials_out.remove(attempt)
        if how == "bad":
            self.turn("open")
        elif how != "cancelled":
            self.good_trials += 1
            if self.good_trials >= self.policy.success_threshold:
                self.turn("closed")

    @rule(seconds=st.sampled_from([0.25, 1, 4.75, RESET, TRIAL_TIMEOUT, WINDOW, 1000]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def open(self) -> None:
        self.circuit.open()
        self.turn("open")

    @rule()
    def close(self) -> None:
        self.circuit.close()
        self.turn("closed")

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "circuit"):
            return
        assert self.circuit.state == self.state
        assert self.circuit.breaker.current_state == self.state
        snapshot = self.circuit.snapshot()
        assert snapshot.in_flight == len(self.under_way)
        assert len(self.trials_out) <= self.policy.trials
        if self.state == "closed":
            first = int(self.clock.monotonic()) - WINDOW + 1
            assert snapshot.calls == sum(at >= first for at, _ in self.outcomes)
            assert self.circuit.breaker.fail_counter == self.row

    def teardown(self) -> None:
        if hasattr(self, "circuit"):
            for attempt, *_ in self.under_way:
                self.circuit.ended(attempt, 1)
            assert self.circuit.snapshot().in_flight == 0


Calls.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCalls = Calls.TestCase
