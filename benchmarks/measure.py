"""Interleaved rounds: every contender runs a short slice in every round, so that a machine which slows down
slows all of them down. What counts is the lower quartile over the rounds: the upper ones are other programs.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter_ns
from typing import Any

from resilient.circuits import attempt

Function = Callable[..., Any]
Prove = Callable[[], Awaitable[None]]

#: How a slice calls its function. A bare one of each kind is measured too and taken away.
ASYNC, ASYNC_RAISE, SYNC, SYNC_RAISE = "async", "async raise", "sync", "sync raise"


class NotProven(AssertionError):
    """A contender did not do what it is timed for."""


@dataclass(slots=True)
class Case:
    """One contender. ``prove`` shows, just before the clock starts, that it opens and refuses."""

    name: str
    kind: str
    call: Function
    prove: Prove | None = None
    watched: bool = False  # with the context variable that names the present attempt
    weight: int = 1  # calls per slice are divided by it: for what takes microseconds
    less: str = ""  # the case taken away; default: the bare one of the same kind


async def rounds(cases: list[Case], count: int, calls: int) -> dict[str, float]:
    """The lower quartile of nanoseconds per call, by case."""
    samples: dict[str, list[float]] = {case.name: [] for case in cases}
    before = attempt.watched
    gc.collect()
    gc.freeze()
    try:
        for number in range(-2, count):  # two rounds warm up
            for case in cases:
                n = max(calls // case.weight, 20)
                attempt.watched = case.watched
                if case.kind in (ASYNC, ASYNC_RAISE):
                    spent = await _SLICES[case.kind](case.call, n)
                else:
                    spent = _SLICES[case.kind](case.call, n)
                if number >= 0:
                    samples[case.name].append(spent / n)
    finally:
        attempt.watched = before
        gc.unfreeze()
    return {name: low(values) for name, values in samples.items()}


def low(values: Iterable[float]) -> float:
    """The lower quartile."""
    found = sorted(values)
    return statistics.quantiles(found, n=4, method="inclusive")[0] if len(found) > 1 else found[0]


async def _async(call: Function, n: int) -> int:
    start = perf_counter_ns()
    for _ in repeat(None, n):
        await call()
    return perf_counter_ns() - start


async def _async_raise(call: Function, n: int) -> int:
    start = perf_counter_ns()
    for _ in repeat(None, n):
        try:
            await call()
        except Exception:
            pass
    return perf_counter_ns() - start


def call_slice(call: Function, n: int) -> int:
    """Nanoseconds for ``n`` calls."""
    start = perf_counter_ns()
    for _ in repeat(None, n):
        call()
    return perf_counter_ns() - start


def _sync_raise(call: Function, n: int) -> int:
    start = perf_counter_ns()
    for _ in repeat(None, n):
        try:
            call()
        except Exception:
            pass
    return perf_counter_ns() - start


_SLICES: dict[str, Function] = {
    ASYNC: _async,
    ASYNC_RAISE: _async_raise,
    SYNC: call_slice,
    SYNC_RAISE: _sync_raise,
}


# --------------------------------------------------------------------- what is called


class Ill(Exception):
    """What the targets raise when they are told to."""


def target() -> Function:
    """A coroutine function that does nothing, or fails when asked to."""

    async def nothing(well: bool = True) -> int:
        if well:
            return 1
        raise Ill

    return nothing


def target_sync() -> Function:
    """The same without async."""

    def nothing(well: bool = True) -> int:
        if well:
            return 1
        raise Ill

    return nothing


def failing() -> Function:
    """A coroutine function that only fails."""

    async def fails() -> int:
        raise Ill

    return fails


def failing_sync() -> Function:
    """The same without async."""

    def fails() -> int:
        raise Ill

    return fails


def bare() -> list[Case]:
    """What every other case is measured against."""
    return [
        Case("bare awaited no-op", ASYNC, target()),
        Case("bare awaited raise", ASYNC_RAISE, failing()),
        Case("bare call", SYNC, target_sync()),
        Case("bare raise", SYNC_RAISE, failing_sync()),
    ]


BARE = {
    ASYNC: "bare awaited no-op",
    ASYNC_RAISE: "bare awaited raise",
    SYNC: "bare call",
    SYNC_RAISE: "bare raise",
}


def over_bare(cases: list[Case], found: dict[str, float]) -> dict[str, float]:
    """Nanoseconds on top of the bare call, by case."""
    names = set(BARE.values())
    return {
        case.name: found[case.name] - found[case.less or BARE[case.kind]]
        for case in cases
        if case.name not in names
    }
