"""How long a circuit stays open: growing, spread by chance, or as the service itself has told."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from circuit_kit import Boom, Reply, Still

from resilient import Runtime, circuit
from resilient.circuits.circuit import Circuit
from resilient.circuits.policy import CircuitPolicy
from resilient.circuits.replies import retry_after


def bad_trial(service, clock, answer=None) -> float:
    """Let the trial fail that is due now; answers how long it then stays open."""
    if answer is None:
        service.bad()
    else:
        service(answer)
    assert service.state == "open"
    return round(service.f.snapshot().retry_in, 6)


def wait(service, clock) -> None:
    clock.advance(service.f.snapshot().retry_in)


def test_case_40_each_bad_trial_waits_longer(serve, clock):
    service = serve(reset_multiplier=2, fail_max=1)
    service.bad()
    waits = [service.f.snapshot().retry_in]
    for _ in range(5):
        wait(service, clock)
        waits.append(bad_trial(service, clock))
    assert waits == [5, 10, 20, 40, 60, 60]

    wait(service, clock)
    service.good()
    assert service.state == "closed"
    clock.advance(9)  # less than a window: still the same illness
    service.bad()
    assert service.f.snapshot().retry_in == 60

    wait(service, clock)
    service.good()
    clock.advance(10)
    service.bad()
    assert service.f.snapshot().retry_in == 5


def test_a_trial_that_does_not_end_is_a_bad_one_here_too(clock):
    alone = Circuit("alone", CircuitPolicy(reset_multiplier=3, trial_timeout=1), clock=clock, rng=Still())
    alone.open()
    clock.advance(5)
    alone.admit(len)
    clock.advance(1)
    assert alone.refuses() is False
    with pytest.raises(Exception, match="is open"):
        alone.admit(len)
    assert alone.snapshot().retry_in == 15


def test_a_wait_longer_than_the_greatest_is_what_was_asked_for(serve, clock):
    service = serve(reset_timeout=120, reset_multiplier=2, fail_max=1)
    service.bad()
    assert service.f.snapshot().retry_in == 120
    wait(service, clock)
    assert bad_trial(service, clock) == 120


def test_opened_by_hand_is_no_bad_trial(serve, clock):
    service = serve(reset_multiplier=2)
    for _ in range(3):
        service.f.open()
    assert service.f.snapshot().retry_in == 5


def test_growing_for_ever_is_no_overflow(serve, clock):
    service = serve(reset_multiplier=99, reset_max=7, fail_max=1)
    service.bad()
    for _ in range(200):
        wait(service, clock)
        assert bad_trial(service, clock) == 7


@pytest.mark.parametrize("jitter", [0.1, 1.0])
def test_processes_do_not_try_in_step(clock, jitter):
    with Runtime(clock=clock, rng=random.Random(1)).active():

        @circuit("spread", reset_jitter=jitter)
        def call():
            raise Boom

        waits = []
        for _ in range(300):
            call.open()
            waits.append(call.snapshot().retry_in)
    assert 5 <= min(waits) < 5 + jitter
    assert 5 * (1 + 0.9 * jitter) < max(waits) <= 5 * (1 + jitter)


class Later(Reply):
    def __init__(self, status: int, after: object) -> None:
        super().__init__(status)
        self.headers = {"Retry-After": after}


class LaterError(Exception):
    def __init__(self, response: Later) -> None:
        self.response = response


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ("30", 30),
        ("100000", 300),
        ("1", 5),
        ("-7", 5),
        ("soon", 5),
        ("", 5),
        ("²", 5),
        ("9" * 5000, 5),
        (object(), 5),
    ],
)
def test_case_41_a_service_that_tells_when_to_come_back_is_believed(serve, clock, after, seconds):
    for n, answer in enumerate((Later(503, after), LaterError(Later(429, after)))):
        service = serve(name=f"told {n}")
        service.f.open()
        clock.advance(5)
        if isinstance(answer, Exception):
            service.bad(1, answer)
        else:
            assert service(answer) is answer
        assert service.state == "open"
        assert service.f.snapshot().retry_in == seconds
        wait(service, clock)
        service.bad()  # the next trial says nothing: the usual time
        assert service.f.snapshot().retry_in == 5
        wait(service, clock)
        service.bad(1, LaterError(Later(429, after)))
        wait(service, clock)
        service.good()
        service.bad(20)  # another illness: what was told once is forgotten
        assert service.f.snapshot().retry_in == 5


def test_a_date_is_understood(clock):
    wall = clock.time()
    date = format_datetime(datetime.fromtimestamp(wall + 42, UTC), usegmt=True)
    assert retry_after(Later(503, date), wall) == pytest.approx(42, abs=1)
    assert retry_after(Later(503, date), wall + 100) == 0
    assert retry_after(Later(500, "7"), wall) is None
    assert retry_after(object(), wall) is None


def test_shown_by_a_session_it_is_believed_too(clock):
    from resilient.circuits.attempt import current_attempt, watch

    watch()

    @circuit("shown")
    def call() -> str:
        current_attempt().judge(Later(503, "30"))
        return "swallowed"

    call.open()
    clock.advance(5)
    assert call() == "swallowed"
    assert call.state == "open"
    assert call.snapshot().retry_in == 30


def test_one_such_answer_opens_no_closed_circuit(serve):
    service = serve()
    service(Later(503, "30"))
    assert service.state == "closed"
    service.good()
