"""Clocks that misbehave."""

from __future__ import annotations

import pytest
from circuit_kit import Still

from resilient import CircuitOpen, CircuitPolicy
from resilient.circuits import attempt as attempts
from resilient.circuits.circuit import Circuit
from resilient.clock import ManualClock


def opened(service):
    service.bad(20)
    assert service.state == "open"
    return service


def test_case_52_a_clock_that_steps_back_while_closed(serve, clock):
    service = serve()
    service.bad(19)
    clock.step(-3600)
    service.good()
    assert service.f.snapshot().calls == 20
    assert service.state == "open"


def test_case_53_a_clock_that_steps_back_while_open(serve, clock):
    service = opened(serve())
    clock.step(-3600)
    assert service.refused().retry_after == pytest.approx(3605)
    clock.step(3604.9)
    service.refused()
    clock.step(0.1001)
    service.good()
    assert service.state == "closed"


def test_case_53_a_trial_is_no_younger_for_it(clock):
    alone = Circuit("alone", CircuitPolicy(trial_timeout=60), clock=clock, rng=Still())
    alone.open()
    clock.advance(5)
    alone.admit(len)
    clock.step(-3600)
    for seconds in (0.0, 3600.0, 59.9):
        clock.step(seconds)
        with pytest.raises(CircuitOpen) as error:
            alone.admit(len)
        assert error.value.retry_after is None  # a trial is under way, and nobody knows until when
        assert alone.state == "half-open"
    clock.step(0.1001)
    with pytest.raises(CircuitOpen) as error:
        alone.admit(len)
    assert error.value.retry_after == pytest.approx(5)
    assert alone.state == "open"


def test_case_54_a_clock_that_jumps_a_day(serve, clock):
    service = serve()
    service.good(5)
    service.bad(14)
    clock.advance(86400)
    assert service.f.snapshot().calls == 0
    service.bad(20)
    clock.advance(86400)
    service.good()
    assert service.state == "closed"


def test_case_55_wall_time_is_only_shown(serve, clock):
    service = opened(serve())
    before = service.f.snapshot()
    clock.step_wall(-7200)
    after = service.f.snapshot()
    assert after.at == before.at - 7200
    assert after.retry_in == before.retry_in == 5
    service.refused()
    clock.advance(5)
    service.good()


def test_a_circuit_of_its_own_clock_needs_no_runtime():
    clock = ManualClock()
    alone = Circuit("alone", clock=clock, rng=Still())
    alone.open()
    with pytest.raises(CircuitOpen):
        alone.admit(len)
    clock.advance(5)
    attempt = alone.admit(len)
    assert isinstance(attempt, attempts.Attempt)
    assert alone.ended(attempt, 3) == 3
    assert alone.state == "closed"
