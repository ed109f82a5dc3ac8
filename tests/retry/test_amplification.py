"""What a service that fails is asked: as the retry budget allows, and hardly anything behind a circuit."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks import amplification
from benchmarks.amplification import Down
from resilient import CircuitOpen, Runtime, circuit, retry
from resilient.clock import ManualClock


def asked(clock: ManualClock, calls: int, *, guarded: bool) -> int:
    """How many requests so many calls become, 200 of them a second."""
    requests = 0

    @retry(attempts=3, clock=clock, rng=Random(1), sleep=lambda seconds: None)
    def ask() -> None:
        nonlocal requests
        requests += 1
        raise Down

    call = circuit("amplified")(ask) if guarded else ask
    for _ in range(calls):
        with pytest.raises((Down, CircuitOpen)):
            call()
        clock.advance(1 / amplification.RATE)
    return requests


def test_with_the_circuit_off_retries_stay_within_their_budget():
    for seconds in (10, 30):
        calls = seconds * amplification.RATE
        requests = asked(ManualClock(), calls, guarded=False)
        assert 1.15 <= requests / calls <= amplification.MOST_TIMES


def test_with_the_circuit_on_hardly_anything_arrives():
    clock = ManualClock()
    with Runtime(clock=clock, rng=Random(1)).active():
        requests = asked(clock, int(amplification.WINDOW * amplification.RATE), guarded=True)
    assert 20 <= requests <= amplification.MOST_REQUESTS


async def test_the_bench_counts_what_arrives_at_a_socket():
    result = await amplification.run(0.3, guarded=False, rate=50)
    assert result.calls >= 5
    assert result.calls < result.requests <= 3 * result.calls
