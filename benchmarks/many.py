"""Many circuits in turn: what the caches of the processor make of the figures for one."""

from __future__ import annotations

import gc
from random import Random
from time import process_time_ns
from typing import Any

from . import floors
from .budgets import MANY, REFERENCE, Ratio, check, compare
from .measure import Function, low, target
from .ours import guarded
from .report import Section

SHUFFLED = "10,000 circuits shuffled"
#: What ours may take beside others that wait for memory in the same rounds.
FLOORS = {
    "floor, all on": [("all on", 1.25)],
    "circuitbreaker": [("no deadline", 1.25)],
    "floor, a closure that counts failures": [],
}
_CALLS = 10_000  # per slice and contender


async def run(short: bool) -> Section:
    """One, a thousand and ten thousand circuits: in the order of their making, and in no order at all."""
    measured: dict[str, float] = {}
    section = Section("many", "Many circuits in turn, over a bare awaited no-op", measured)
    for number, shuffled in ((1, False), (1000, False), (10_000, False), (10_000, True)):
        found, floor = await _of(number, shuffled, 10 if short else 30)
        measured |= found
        section.findings += check(MANY, found, floor / REFERENCE["floor: the same and a deadline"])
    section.notes.append(
        "a pass that enters a new second is left out: it opens a slice in every circuit, once per second"
    )
    for name in FLOORS:
        section.findings += compare(
            [Ratio(f"{SHUFFLED}, {ours}", times, f"{SHUFFLED}, {name}") for ours, times in FLOORS[name]],
            measured,
        )
    for name in ("all on", "no deadline", *FLOORS):
        one, many = measured.get(f"1 circuit, {name}"), measured.get(f"{SHUFFLED}, {name}")
        if one and many:
            section.notes.append(f"shuffled / one, {name}: {many / one:.2f}")
    section.notes.append("shuffled, each call waits for memory, and so do the floors: a bare closure too")
    return section


async def _of(number: int, shuffled: bool, count: int) -> tuple[dict[str, float], float]:
    """What is measured, and one floor in the same rounds."""
    f = target()
    contenders: dict[str, list[Function]] = {
        "bare": [f] * number,
        "floor": [floors.dated(f)] * number,
        "all on": [guarded(f) for _ in range(number)],
        "no deadline": [guarded(f, timeout=None) for _ in range(number)],
        "floor, a closure that counts failures": [floors.counter(f) for _ in range(number)],
        "floor, all on": [floors.dated(f) for _ in range(number)],
    }
    try:
        from circuitbreaker import CircuitBreaker
    except ImportError:
        pass
    else:
        contenders["circuitbreaker"] = [CircuitBreaker()(f) for _ in range(number)]
    for calls in contenders.values():
        if shuffled:
            Random(number).shuffle(calls)
        await _pass(calls)
    gc.collect()
    gc.freeze()
    passes = max(_CALLS // number, 1)
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(count):
        for name, calls in contenders.items():
            await _pass(calls)  # opens the new slices
            for _ in range(2):
                start = process_time_ns()
                for _ in range(passes):
                    await _pass(calls)
                samples[name].append((process_time_ns() - start) / passes / number)
    gc.unfreeze()
    found = {name: low(values) for name, values in samples.items()}
    over = {name: ns - found["bare"] for name, ns in found.items() if name != "bare"}
    floor = over.pop("floor")
    words = "1 circuit" if number == 1 else f"{number:,} circuits {'shuffled' if shuffled else 'in turn'}"
    return {f"{words}, {name}": ns for name, ns in over.items()}, floor


async def _pass(calls: list[Any]) -> None:
    for call in calls:
        await call()
