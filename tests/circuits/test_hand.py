"""Circuits turned by hand, held for a while, or only observed."""

from __future__ import annotations

import dataclasses
import math

import pybreaker
import pytest
from circuit_kit import Boom, Held

from resilient import CircuitFull, CircuitOpen, CircuitPolicy, ConfigError, circuit
from resilient.events import CircuitChanged


def test_open_and_close_by_hand(serve, clock, turns):
    service = serve()
    service.f.open(reason="deploy")
    error = service.refused()
    assert "deploy" in str(error)
    assert service.f.snapshot().mode == "auto"
    service.f.close()
    service.good()
    assert turns == [("closed", "open"), ("open", "closed")]
    service.f.open()
    clock.advance(5)
    service.good()  # opened by hand without an end, it is tried as always
    assert service.state == "closed"


def test_code_may_say_who_turns_it(serve, runtime):
    changes: list[CircuitChanged] = []
    runtime.events.subscribe(changes.append, CircuitChanged)
    service = serve()
    service.bad(3)
    service.f.open(reason="deploy", by="ci")
    service.f.close(by="ada")
    service.f.circuit.breaker.open()  # pybreaker has no word for it
    assert [(one.new, one.by, one.reason) for one in changes] == [
        ("open", "ci", "deploy"),
        ("closed", "ada", ""),
        ("open", "", "deploy"),
    ]


def test_case_42_the_last_word_of_the_operator_holds(serve):
    service = serve()
    service.f.close(60)
    service.f.open(60)
    service.refused()
    assert service.f.snapshot().shown_state == "forced-open"
    service.f.close(60)
    service.good()
    assert service.f.snapshot().shown_state == "forced-closed"


def test_case_43_held_open_for_a_minute(serve, clock, turns):
    service = serve()
    service.bad(10)
    service.f.open(60, reason="migration")
    snapshot = service.f.snapshot()
    assert (snapshot.mode, snapshot.mode_left, snapshot.mode_reason) == ("open", 60, "migration")
    for _ in range(4):
        assert service.refused().retry_after is not None
        clock.advance(14.9)
    assert service.state == "open"
    clock.advance(0.4)
    assert service.state == "closed"
    assert service.f.snapshot().mode == "auto"
    assert service.f.snapshot().calls == 0
    service.bad(19)
    assert service.state == "closed"
    assert ("open", "half-open") not in turns


def test_held_open_until_told_otherwise(serve, clock):
    service = serve()
    service.f.open(math.inf)
    clock.advance(1e6)
    assert service.refused().retry_after is None
    service.f.close()
    service.good()


def test_case_44_held_closed_whatever_happens(serve, clock, runtime):
    changes: list[CircuitChanged] = []
    runtime.events.subscribe(changes.append, CircuitChanged)
    service = serve()
    service.f.close(60)
    service.bad(100)
    assert service.state == "closed"
    assert service.invoked == 100
    assert [(one.old, one.new) for one in changes] == [("closed", "open")]
    assert "would have opened" in changes[0].reason
    clock.advance(60)
    assert service.state == "closed"
    assert service.f.snapshot().calls == 0
    service.bad(19)
    assert service.state == "closed"
    service.bad()
    assert service.state == "open"


def test_case_45_held_closed_it_still_bounds_the_calls_under_way(clock):
    @circuit("depth", max_concurrent=1)
    def again(more: bool) -> int:
        return again(False) if more else 1

    again.close(math.inf)
    with pytest.raises(CircuitFull):
        again(True)
    assert again.snapshot().shown_state == "forced-closed"


def test_case_46_observed_only(serve, runtime):
    changes: list[CircuitChanged] = []
    runtime.events.subscribe(changes.append, CircuitChanged)
    service = serve(observe=True)
    service.bad(40)
    assert service.invoked == 40
    assert service.state == "closed"
    assert len(changes) == 1
    assert "would have opened" in changes[0].reason
    assert service.f.snapshot().error_rate == 1.0
    service.good(60)
    assert service.f.snapshot().error_rate == 0.4
    service.bad(40)  # crosses the line again: told again
    assert len(changes) == 2


async def test_observing_refuses_nobody_for_fullness():
    held = Held(observe=True, max_concurrent=1)
    calls = [await held.begin() for _ in range(3)]
    assert held.f.snapshot().in_flight == 3
    for task, end in calls:
        end.set_result(1)
        await task
    assert held.f.snapshot().in_flight == 0


def test_opened_by_hand_while_observing_it_refuses(serve):
    service = serve(observe=True)
    service.f.open()
    service.refused()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"error_rate": 0}, "error_rate"),
        ({"error_rate": 1.01}, "error_rate"),
        ({"error_rate": True}, "error_rate"),
        ({"min_calls": 0}, "min_calls"),
        ({"min_calls": 1.5}, "min_calls"),
        ({"window": 0}, "window"),
        ({"window": math.inf}, "window"),
        ({"slices": 0}, "slices"),
        ({"fail_max": 0}, "fail_max"),
        ({"reset_timeout": -1}, "reset_timeout"),
        ({"trials": 0}, "trials"),
        ({"success_threshold": 0}, "success_threshold"),
        ({"trial_timeout": 0}, "trial_timeout"),
        ({"timeout": "1"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": math.nan}, "timeout"),
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"exclude": "ValueError"}, "exclude"),
        ({"ignore": 7}, "ignore"),
        ({"failed": 500}, "failed"),
        ({"timeouts": 1}, "timeout"),
        ({"failure_threshold": 5}, "fail_max"),
    ],
)
def test_case_50_a_wrong_value_is_refused_whole_and_named(wrong, named):
    with pytest.raises(ConfigError, match=named):
        circuit(**wrong)
    policy = CircuitPolicy(min_calls=7)
    with pytest.raises(ConfigError, match=named):
        policy.but(**{"slices": 3, **wrong})
    assert (policy.min_calls, policy.slices) == (7, 10)


def test_policies_from_text():
    policy = CircuitPolicy().override(
        {
            "timeout": "off",
            "max_concurrent": " 7 ",
            "observe": "yes",
            "error_rate": "0.25",
            "fail_max": "none",
        }
    )
    assert (policy.timeout, policy.max_concurrent, policy.observe) == (None, 7, True)
    assert (policy.error_rate, policy.fail_max) == (0.25, None)
    for raw in ({"timeout": "soon"}, {"nothing": "1"}, {"min_calls": "0"}, {"observe": "maybe"}):
        with pytest.raises(ConfigError, match=next(iter(raw)) + "|" + next(iter(raw)).upper()):
            CircuitPolicy().override(raw, "environment: ")


def test_presets():
    hystrix = CircuitPolicy.hystrix()
    assert (hystrix.timeout, hystrix.max_concurrent, hystrix.min_calls) == (1.0, 10, 20)
    ours = CircuitPolicy.pybreaker(reset_timeout=1)
    assert (ours.fail_max, ours.reset_timeout, ours.timeout) == (5, 1, None)
    assert dataclasses.is_dataclass(ours)


def test_the_pybreaker_preset_opens_like_pybreaker(serve, clock):
    service = serve(**dataclasses.asdict(CircuitPolicy.pybreaker()))
    service.good(100)
    service.bad(4)
    service.good()
    service.bad(4)
    assert service.state == "closed"
    service.bad()
    assert service.state == "open"
    clock.advance(59.9)
    service.refused()
    clock.advance(0.1)
    service.good()
    assert service.state == "closed"


def test_a_hold_that_ends_is_noticed_by_the_call_itself(serve, clock):
    service = serve()
    service.f.open(1)
    clock.advance(1)
    service.good()
    assert service.f.snapshot().mode == "auto"
    service.f.close(1)
    service.bad(30)
    clock.advance(1)
    service.good()
    assert service.state == "closed"


def test_after_a_hold_it_opens_though_nobody_looked(serve, clock):
    service = serve()
    service.f.close(1)
    service.bad(30)
    clock.advance(1)
    service.bad(20)
    service.refused()


def test_closing_by_hand_cleans_the_window(serve):
    service = serve()
    service.bad(19)
    service.f.close()
    service.bad(19)
    assert service.state == "closed"
    assert service.counts["failure"] == 38  # what people read stays


def test_the_error_of_a_hold_without_end_says_so(serve):
    service = serve()
    service.f.open(math.inf)
    with pytest.raises(CircuitOpen, match="no trial is due"):
        service(Boom())


def test_closed_by_hand_after_a_refusal_the_next_call_goes_out_though_it_is_watched(serve):
    class Hears(pybreaker.CircuitBreakerListener):
        def success(self, cb):
            """Wants to hear of each call, so none takes the short way."""

    service = serve(listeners=[Hears()])
    service.f.open()
    service.refused()
    service.f.close()
    service.good()
