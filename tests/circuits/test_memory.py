"""What a circuit costs to have."""

from __future__ import annotations

import gc
import logging
import random
import tracemalloc

import pytest
from circuit_kit import Boom

from resilient import circuit

KIB = 1024


@pytest.fixture(autouse=True)
def quiet():
    logging.disable()  # what pytest keeps of the log is not the circuit's
    yield
    logging.disable(logging.NOTSET)


def protected(name: str, clock):
    def function(seconds: float = 0.0) -> int:
        clock.advance(seconds)
        return 1

    return circuit(name)(function)


def live_a_minute(call, clock, rng) -> None:
    """10,000 calls whose durations spread over six decades, some of which fail."""
    for n in range(10_000):
        at = clock.monotonic()
        call(10 ** rng.uniform(-5, 1))
        if n % 50 == 0:
            call.circuit.failed(call.circuit.admit(len), Boom())
        clock.step(at + 0.006 - clock.monotonic())


def test_an_idle_circuit_and_a_busy_one(clock):
    rng = random.Random(1)
    live_a_minute(protected("first", clock), clock, rng)  # whatever is made once for all is made now
    gc.collect()
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        made = [protected(f"n{n}", clock) for n in range(50)]
        for one in made:
            one()
        gc.collect()
        idle = (tracemalloc.get_traced_memory()[0] - start) / len(made)
        assert idle <= 6 * KIB, f"an idle circuit takes {idle:.0f} bytes"

        busy = made[0]
        before = tracemalloc.get_traced_memory()[0]
        live_a_minute(busy, clock, rng)
        gc.collect()
        total = idle + tracemalloc.get_traced_memory()[0] - before
        assert total <= 16 * KIB, f"a busy circuit takes {total:.0f} bytes"
    finally:
        tracemalloc.stop()
    print(f"idle {idle:.0f}, busy {total:.0f} bytes")
    assert len(busy.snapshot().latency) > 8000


def test_turns_and_waiting_samples_do_not_pile_up(clock, monkeypatch):
    # A turn is logged: what pytest keeps of it, and what regular expressions remember, is not the circuit's.
    monkeypatch.setattr("resilient.telemetry.logs.write", lambda event, bound: None)
    call = protected("turning", clock)
    call()
    for _ in range(3):
        call.open()
        call.close()
    gc.collect()
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        for _ in range(300):
            call.open()
            call.close()
            for _ in range(10):
                call()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - start < 6 * KIB
    finally:
        tracemalloc.stop()
    assert len(call.circuit.crews) == 1
    assert len(call.circuit.window.fresh) < 128
