from __future__ import annotations

import asyncio

import pytest

from resilient.clock import ManualClock
from resilient.telemetry.stalls import BOUNDS, Stalls


def meter(window: float = 60.0) -> tuple[ManualClock, Stalls]:
    clock = ManualClock()
    return clock, Stalls(window=window, clock=clock)


def test_the_longest_lag_leaves_with_its_window_and_stays_in_the_record() -> None:
    clock, stalls = meter()
    stalls.note(0.2)
    for _ in range(3):
        clock.advance(20)
        stalls.note(0.001)
    assert stalls.lately()[0] == 0.2
    clock.advance(20)
    stalls.note(0.0015)
    assert stalls.lately()[0] == 0.0015
    assert stalls.longest == 0.2
    clock.advance(1000)
    assert stalls.lately() == (0.0, [0] * (len(BOUNDS) + 1))


def test_every_look_is_in_one_bucket() -> None:
    _, stalls = meter()
    for lag in (-1.0, 0.0, 0.0005, *BOUNDS, 5.0):
        stalls.note(lag)
    assert stalls.lately()[1] == stalls.counts == [4, *[1] * len(BOUNDS)]
    assert stalls.total == pytest.approx(0.0005 + sum(BOUNDS) + 5.0)


def test_quantiles_are_bounds_and_never_above_the_longest() -> None:
    _, stalls = meter()
    assert stalls.quantile(0.99) == 0.0
    for _ in range(98):
        stalls.note(0.0001)
    stalls.note(0.03)
    stalls.note(0.03)
    assert stalls.quantile(0.5) == 0.001
    assert stalls.quantile(0.99) == 0.03
    stalls.note(7.0)
    assert stalls.quantile(1.0) == 7.0


def test_what_is_kept_is_bounded() -> None:
    clock, stalls = meter(window=6.0)
    for _ in range(10_000):
        stalls.note(0.001)
        clock.advance(0.5)
    assert len(stalls._slices) <= 8


def test_clear_begins_anew() -> None:
    _, stalls = meter()
    stalls.note(1.0)
    stalls.clear()
    assert stalls.view()["longest_ever_ms"] == 0
    assert stalls.lately()[0] == 0


async def test_it_measures_how_late_it_woke() -> None:
    clock = ManualClock()
    stalls = Stalls(period=0.01, clock=clock)
    late = iter([0.0, 0.25, 0.0])
    done = asyncio.Event()

    async def sleep(seconds: float) -> None:
        lag = next(late, None)
        if lag is None:
            done.set()
            await asyncio.Event().wait()
            return
        clock.advance(seconds + lag)
        await asyncio.sleep(0)

    stalls.start(sleep)
    await done.wait()
    assert stalls.longest == pytest.approx(0.25)
    assert sum(stalls.counts) == 3
    stalls.stop()
    stalls.stop()
