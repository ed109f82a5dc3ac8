"""Retry below a circuit: one verdict, one deadline, and no word against an open circuit."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retry_kit import KINDS, Again, Longest, Status
from virtual_loop import LoopClock, run

from resilient import (
    Runtime,
    circuit,
)
from resilient.clock import ManualClock
from resilient.retry import MIN_LEFT, retry

# ---------------------------------------------------------------- below a circuit


def test_case_86_a_call_that_a_retry_repairs_is_one_success(kind: str, clock: ManualClock) -> None:
    guarded = circuit("case 86")
    again = Again(kind, Status(503), around=guarded, clock=clock)
    assert again() == "fine"
    assert again.calls == 2
    counts = guarded.snapshot().counts
    assert (counts["success"], counts["failure"]) == (1, 0)


def test_case_87_a_call_that_fails_twice_is_one_failure(kind: str, clock: ManualClock) -> None:
    guarded = circuit("case 87")
    again = Again(kind, *[Status(503)] * 2, attempts=2, around=guarded, clock=clock)
    with pytest.raises(Status):
        again()
    assert again.calls == 2
    assert guarded.snapshot().counts["failure"] == 1


@pytest.mark.parametrize("when", ["during the call", "during the pause"])
def test_case_88_the_circuit_opens_meanwhile(kind: str, when: str, clock: ManualClock) -> None:
    guarded = circuit("case 88")
    first = TimeoutError("first")

    def opening() -> None:
        guarded.open()
        raise first

    again = Again(kind, opening if when == "during the call" else first, around=guarded, clock=clock)
    if when == "during the pause":
        again.during_nap = guarded.open
    with pytest.raises(TimeoutError) as seen:
        again()
    assert seen.value is first
    assert again.calls == 1
    assert len(again.naps) == (when == "during the pause")


def test_case_90_too_little_time_is_left(kind: str, clock: ManualClock) -> None:
    for left, calls in ((0.030, 1), (0.074, 1), (0.076, 2)):
        first = ConnectionError("first")

        def late(left: float = left, first: Exception = first) -> None:
            clock.advance(1 - left)
            raise first

        again = Again(kind, late, around=circuit(f"case 90 {left}", timeout=1), clock=clock)
        if calls == 1:
            with pytest.raises(ConnectionError) as seen:
                again()
            assert seen.value is first
            assert again.naps == []
        else:
            assert again() == "fine"
        assert again.calls == calls


def test_a_pause_that_took_too_long_leaves_no_time(kind: str, clock: ManualClock) -> None:
    again = Again(kind, ConnectionError("first"), around=circuit("overslept", timeout=1), clock=clock)
    again.during_nap = lambda: clock.advance(0.96)
    with pytest.raises(ConnectionError):
        again()
    assert again.calls == 1


def test_a_retry_after_beyond_the_deadline(kind: str, clock: ManualClock) -> None:
    again = Again(kind, Status(503, Retry_After="1"), around=circuit("beyond", timeout=1), clock=clock)
    with pytest.raises(Status):
        again()
    assert (again.calls, again.naps) == (1, [])


def test_case_91_a_trial_that_a_retry_repairs_closes(kind: str, clock: ManualClock) -> None:
    guarded = circuit("case 91", fail_max=1)
    again = Again(kind, ValueError(), Status(503), around=guarded, clock=clock)
    with pytest.raises(ValueError):
        again()
    assert guarded.state == "open"
    clock.advance(6)
    assert again() == "fine"
    assert guarded.state == "closed"
    assert again.calls == 3


def test_a_real_deadline_ends_a_pause() -> None:
    async def main() -> None:
        with Runtime(clock=LoopClock()).active():

            @circuit(timeout=0.5)
            @retry(attempts=50, base=0.4, cap=0.4, rng=Longest(), clock=LoopClock())
            async def ill() -> None:
                raise ConnectionError

            began = asyncio.get_running_loop().time()
            with pytest.raises(ConnectionError):
                await ill()
            assert asyncio.get_running_loop().time() - began <= 0.5 - MIN_LEFT + 1e-6

    run(main())


def test_what_outlives_its_call_is_not_repeated() -> None:
    async def main() -> None:
        with Runtime(clock=LoopClock()).active():
            tasks: list[asyncio.Task[None]] = []
            calls = 0

            @retry
            async def ill() -> None:
                nonlocal calls
                calls += 1
                await asyncio.sleep(0.1)
                raise ConnectionError

            @circuit
            async def careless() -> None:
                tasks.append(asyncio.create_task(ill()))
                await asyncio.sleep(0)

            await careless()
            await careless()  # the second call may have the attempt of the first
            for task in tasks:
                with pytest.raises(ConnectionError):
                    await task
            assert calls == 2

    run(main())


def test_cancelled_in_a_pause() -> None:
    async def main() -> None:
        calls = 0

        @retry(base=10, cap=10, rng=Longest())
        async def ill() -> None:
            nonlocal calls
            calls += 1
            raise TimeoutError

        task = asyncio.create_task(ill())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert calls == 1

    run(main())


# ---------------------------------------------------------------- whatever happens

_ENDS = st.sampled_from(["fine", "timeout", "refused", "busy", "wrong"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(_ENDS, st.floats(0, 0.6)), max_size=60),
    st.integers(1, 5),
    st.one_of(st.none(), st.floats(0.05, 2)),
    st.integers(0, 1000),
)
def test_both_kinds_do_the_same_within_their_limits(
    script: list[tuple[str, float]], attempts: int, limit: float | None, seed: int
) -> None:
    traces = []
    for kind in KINDS:
        clock = ManualClock()
        with Runtime(clock=clock).active():
            starts: list[float] = []

            def act(
                end: str, seconds: float, clock: ManualClock = clock, starts: list[float] = starts
            ) -> str:
                starts.append(clock.monotonic())
                clock.advance(seconds)
                if end == "fine":
                    return end
                raise {
                    "timeout": TimeoutError(),
                    "refused": ConnectionRefusedError(),
                    "busy": Status(503, Retry_After="1"),
                    "wrong": ValueError(),
                }[end]

            guarded = circuit("model", timeout=limit, min_calls=10_000)
            again = Again(
                kind,
                *[lambda step=step, act=act: act(*step) for step in script],
                attempts=attempts,
                clock=clock,
                rng=random.Random(seed),
                around=guarded,
            )
            trace: list[Any] = []
            calls = 0
            while again.script:
                calls += 1
                began, made, slept = clock.monotonic(), again.calls, len(again.naps)
                try:
                    trace.append(again())
                except Exception as error:
                    trace.append(type(error).__name__)
                used = again.calls - made
                assert 1 <= used <= attempts
                assert len(again.naps) - slept == used - 1
                if limit is not None:
                    for start in starts[made + 1 : again.calls]:
                        assert began + limit - start >= MIN_LEFT - 1e-9
            assert again.calls - calls <= 0.2 * calls + 30 + 3 * (clock.monotonic() - 1000)
            traces.append((trace, again.calls, again.naps))
    assert traces[0] == traces[1]
