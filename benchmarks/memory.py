"""What a circuit holds on to, idle and after a minute of traffic."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from resilient import Runtime
from resilient.clock import ManualClock

from .budgets import MEMORY, check
from .ours import guarded
from .report import Section


async def run(short: bool) -> Section:
    """Bytes per circuit, counted by the allocator: guard, wrapper, breaker, storage, window, latencies."""
    idle, busy = (200, 10) if short else (1000, 40)
    measured = {
        "one idle circuit": await _each(idle, _called_once),
        "one busy circuit": await _each(busy, _a_minute),
    }
    section = Section("memory", "Memory of a circuit", measured, unit="bytes")
    section.findings = check(MEMORY, measured, 1.0)
    section.notes.append(
        "idle: called once. Busy: a minute of 60 calls/s in bursts of 8, durations spread over two decades"
    )
    return section


Use = Callable[[ManualClock, Any], Coroutine[Any, Any, None]]


async def _each(number: int, use: Use) -> float:
    clock = ManualClock()
    with Runtime(clock=clock).active():
        await use(clock, guarded(_sleeper(clock)))  # what is made once per process
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            f = _sleeper(clock)
            kept = [guarded(f) for _ in range(number)]
            for one in kept:
                await use(clock, one)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    return (after - before) / number


def _sleeper(clock: ManualClock) -> Any:
    random = Random(1)

    async def work() -> None:
        await asyncio.sleep(0)
        clock.advance(10 ** random.uniform(-3, 0) / 8)

    return work


async def _called_once(clock: ManualClock, f: Any) -> None:
    await f()


async def _a_minute(clock: ManualClock, f: Any) -> None:
    until = clock.monotonic() + 60
    while (left := until - clock.monotonic()) > 0:
        await asyncio.gather(*(f() for _ in range(8)))
        clock.advance(min(0.1, max(left, 0.0)))
