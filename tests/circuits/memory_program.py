"""Bytes that circuits take, as JSON: in a process of its own, where nothing else allocates."""

from __future__ import annotations

import gc
import json
import random
import sys
import tracemalloc

from circuit_kit import Boom, Still, WildClock

from resilient import Runtime, circuit
from resilient.telemetry import logs


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


def used() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def living(clock) -> dict[str, float]:
    """An idle circuit, and one with a minute behind it."""
    rng = random.Random(1)
    live_a_minute(protected("first", clock), clock, rng)  # whatever is made once for all is made now
    gc.collect()
    tracemalloc.start()
    start = used()
    made = [protected(f"n{n}", clock) for n in range(50)]
    for one in made:
        one()
    idle = (used() - start) / len(made)
    busy = made[0]
    before = used()
    live_a_minute(busy, clock, rng)
    return {"idle": idle, "busy": idle + used() - before, "calls": len(busy.snapshot().latency)}


def turning(clock) -> dict[str, float]:
    """What 300 turns leave behind."""
    # A turn is logged, and nobody asked for the lines: what Python remembers of them is not the circuit's.
    logs.write = lambda event, bound: None
    call = protected("turning", clock)

    def turn() -> None:
        for _ in range(300):
            call.open()
            call.close()
            for _ in range(10):
                call()

    turn()  # what is made once is made now
    gc.collect()
    tracemalloc.start()
    start = used()
    turn()
    grown = used() - start
    return {"grown": grown, "crews": len(call.circuit.crews), "fresh": len(call.circuit.window.fresh)}


clock = WildClock()
with Runtime(clock=clock, rng=Still()).active():
    print(json.dumps({"living": living, "turning": turning}[sys.argv[1]](clock)))
