"""Calls that end well, but too late to be of use."""

from __future__ import annotations

import pytest
from circuit_kit import Boom

from resilient import CircuitOpen


def slowly(service, clock, seconds: float, n: int = 1) -> None:
    for _ in range(n):
        assert service(lambda: clock.advance(seconds) or 1) == 1


@pytest.mark.parametrize(("seconds", "state"), [(1.001, "open"), (1.0, "closed")])
def test_case_18_half_of_twenty_calls_are_slow(serve, clock, seconds, state):
    service = serve(slow_duration=1.0, slow_rate=0.5, window=60)
    service.good(10)
    slowly(service, clock, seconds, 9)
    assert service.state == "closed"
    slowly(service, clock, seconds)
    assert service.state == state
    assert service.counts["slow"] == (10 if state == "open" else 0)
    if state == "open":
        assert "10 of 20 calls took longer than 1s" in str(service.refused())


def test_slow_ones_first_it_opens_at_the_quick_call_that_reaches_the_volume(serve, clock):
    service = serve(slow_duration=1.0, slow_rate=0.5, window=60)
    slowly(service, clock, 2, 10)
    service.good(9)
    assert service.state == "closed"
    service.good()
    assert service.state == "open"


def test_it_opens_exactly_when_the_share_is_reached(serve, clock):
    service = serve(slow_duration=1.0, slow_rate=0.25, window=600)
    service.good(300)
    for n in range(1, 101):
        assert service.state == "closed", n
        slowly(service, clock, 1.5)
    assert service.state == "open"  # 100 of 400


def test_all_of_them_must_be_slow_by_default(serve, clock):
    service = serve(slow_duration=1.0, window=60)
    slowly(service, clock, 2, 19)
    service.good()
    assert service.state == "closed"
    clock.advance(60)
    slowly(service, clock, 2, 19)
    assert service.state == "closed"
    slowly(service, clock, 2)
    assert service.state == "open"


def test_all_within_one_slice(serve, clock):
    service = serve(slow_duration=0.001)
    for _ in range(2):
        slowly(service, clock, 0.002, 19)
        assert service.state == "closed"
        slowly(service, clock, 0.002)
        assert service.state == "open"
        service.f.close()


def test_the_quick_ones_leave_the_window_first(serve, clock):
    service = serve(slow_duration=0.1, slow_rate=1.0)
    service.good(40)
    clock.advance(5)
    slowly(service, clock, 0.2, 20)
    assert service.state == "closed"
    clock.advance(1)
    slowly(service, clock, 0.2)
    assert service.state == "open"


def test_slow_failures_are_slow_too(serve, clock):
    service = serve(slow_duration=1.0, slow_rate=0.5, error_rate=1.0, window=60)

    def fail_slowly():
        clock.advance(2)
        raise Boom

    service.good(10)
    for _ in range(10):
        with pytest.raises(Boom):
            service(fail_slowly)
    assert service.state == "open"
    assert service.f.snapshot().slow_rate == 0.5


def test_without_the_rule_nothing_is_slow(serve, clock):
    service = serve(window=60)
    slowly(service, clock, 4, 30)
    assert service.state == "closed"
    assert service.counts["slow"] == 0


def test_a_slow_trial_has_failed(serve, clock):
    service = serve(slow_duration=1.0)
    service.f.open()
    clock.advance(5)
    slowly(service, clock, 1.1)
    assert service.state == "open"
    assert "a trial took 1.1s" in str(service.refused())
    clock.advance(5)
    slowly(service, clock, 0.9)
    assert service.state == "closed"


def test_closing_forgives_the_slow_ones(serve, clock):
    service = serve(slow_duration=1.0, slow_rate=0.5, window=600)
    slowly(service, clock, 2, 19)
    service.f.close()
    service.good(15)
    slowly(service, clock, 2, 14)
    assert service.state == "closed"
    slowly(service, clock, 2)
    assert service.state == "open"
    with pytest.raises(CircuitOpen):
        service()
