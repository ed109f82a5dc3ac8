"""Deadlines of coroutines. Real time, a few milliseconds."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from circuit_kit import Boom, join

from resilient import CallTimeout, Runtime, circuit
from resilient.circuits import deadlines
from resilient.clock import SYSTEM

SOON = 0.02


@pytest.fixture(autouse=True)
def runtime():
    with Runtime(clock=SYSTEM).active() as runtime:
        yield runtime


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Run a coroutine on one kind of loop, then on the other."""
    if request.param == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        factory = uvloop.new_event_loop
    else:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner.run


def counts(f) -> dict[str, int]:
    return {word: n for word, n in f.snapshot().counts.items() if n}


def test_a_call_that_takes_too_long(run):
    @circuit("slow", timeout=SOON)
    async def slow() -> None:
        await asyncio.sleep(5)

    async def main() -> None:
        started = time.perf_counter()
        with pytest.raises(CallTimeout, match=r"0\.02s") as error:
            await slow()
        assert SOON <= time.perf_counter() - started < 4  # of five
        assert isinstance(error.value, TimeoutError)
        assert isinstance(error.value.__cause__, asyncio.CancelledError)
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)  # no stray cancellation

    run(main())
    assert counts(slow) == {"timeout": 1}
    assert slow.snapshot().in_flight == 0


def test_calls_in_time_leave_no_trace(run):
    @circuit("quick", timeout=10 * SOON)
    async def quick() -> int:
        await asyncio.sleep(0.001)
        return 1

    async def main() -> None:
        for _ in range(5):
            assert await asyncio.gather(*(quick() for _ in range(10))) == [1] * 10
            await asyncio.sleep(3 * SOON)
        queue = quick.circuit.queue
        await asyncio.sleep(20 * SOON)
        assert not queue.live
        assert not queue.armed

    run(main())
    assert counts(quick) == {"success": 50}


def test_late_ones_are_cancelled_in_their_order(run):
    order: list[int] = []

    @circuit("row", timeout=SOON)
    async def slow(n: int) -> None:
        try:
            await asyncio.sleep(5)
        finally:
            order.append(n)

    async def main() -> None:
        tasks = []
        for n in range(5):
            tasks.append(asyncio.create_task(slow(n)))
            await asyncio.sleep(0.004)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(answer, CallTimeout) for answer in answers)

    run(main())
    assert order == [0, 1, 2, 3, 4]


def test_a_call_from_a_task_that_is_being_cancelled_has_its_deadline_too(run):
    seen: list[object] = []

    @circuit("sign-off", timeout=SOON)
    async def sign_off(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "bye"

    async def work() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            seen.append(await sign_off(0))
            try:
                await sign_off(5)
            except CallTimeout as error:
                seen.append(error)

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(main())
    assert seen[0] == "bye"
    assert isinstance(seen[1], CallTimeout)
    assert counts(sign_off) == {"success": 1, "timeout": 1}


def test_a_call_cancelled_again_while_being_cancelled_is_cancelled(run):
    @circuit("sign-off", timeout=60)
    async def sign_off() -> None:
        await asyncio.sleep(5)

    async def work() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            await sign_off()

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        (attempt,) = sign_off.circuit.queue.live
        attempt.expire()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert counts(sign_off) == {"void": 1}


def test_two_loops_in_two_threads_keep_their_own_deadlines(run, runtime):
    @circuit("shared", timeout=SOON, min_calls=10_000)
    async def call(seconds: float) -> int:
        await asyncio.sleep(seconds)
        return threading.get_ident()

    async def some() -> None:
        for _ in range(10):
            quick = [asyncio.create_task(call(0)) for _ in range(10)]
            slow = asyncio.create_task(call(5))
            assert set(await asyncio.gather(*quick)) == {threading.get_ident()}
            with pytest.raises(CallTimeout):
                await slow

    failed: list[BaseException] = []

    def other() -> None:
        with runtime.active():
            try:
                asyncio.run(some())
            except BaseException as error:
                failed.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    run(some())
    join([thread])
    assert failed == []
    assert counts(call) == {"success": 200, "timeout": 20}
    assert call.snapshot().in_flight == 0


def test_one_loop_after_the_other_in_one_thread():
    @circuit("again", timeout=SOON)
    async def call(seconds: float) -> int:
        await asyncio.sleep(seconds)
        return 1

    async def main() -> None:
        assert await call(0) == 1
        with pytest.raises(CallTimeout):
            await call(5)

    for _ in range(3):
        asyncio.run(main())
    assert counts(call) == {"success": 3, "timeout": 3}


def test_a_coroutine_driven_by_hand_has_no_deadline_and_works():
    @circuit("by hand", timeout=SOON)
    async def call() -> int:
        return 7

    with pytest.raises(StopIteration) as stop:
        call().send(None)
    assert stop.value.value == 7
    assert counts(call) == {"success": 1}


async def test_a_deadline_of_one_call_and_none():
    @circuit("options", timeout=5)
    async def call(seconds: float) -> int:
        await asyncio.sleep(seconds)
        return 1

    with pytest.raises(CallTimeout, match=r"0\.02s"):
        await call.options(timeout=SOON)(5)
    assert await call.options(timeout=None)(2 * SOON) == 1
    assert await call.options(default=3, timeout=SOON)(5) == 3

    @circuit("none", timeout=None)
    async def patient(seconds: float) -> int:
        await asyncio.sleep(seconds)
        return 1

    assert await patient.options(default=3)(2 * SOON) == 1
    with pytest.raises(CallTimeout):
        await patient.options(timeout=SOON)(5)
    assert counts(patient) == {"success": 1, "timeout": 1}


async def test_early_timers_and_stuck_clocks_do_not_spin():
    now = 100.0
    loop = asyncio.get_running_loop()
    queue = deadlines.Queue(1.0, loop, lambda: now)
    fired = 0
    original = queue.fire

    class Row:
        began = 99.5

        def expire(self) -> None:
            nonlocal fired
            fired += 1

    row = Row()
    queue.live[row] = None
    original()  # too early: nothing is due
    assert fired == 0
    assert list(queue.live) == [row]
    now = 100.5
    original()
    assert fired == 1
    assert not queue.live
    assert not queue.armed


def test_many_limits_do_not_pile_up_queues():
    async def main() -> None:
        for n in range(2500):
            deadlines.queue_for(1 + n / 1000, time.monotonic)
        assert len(deadlines._local.queues) <= 1000

    asyncio.run(main())


def test_without_a_loop_there_is_no_queue():
    assert deadlines.queue_for(1.0, time.monotonic) is None


def test_inside_asyncio_timeout_both_keep_their_words(run):
    @circuit("inside", timeout=5)
    async def call() -> None:
        await asyncio.sleep(5)

    async def main() -> None:
        with pytest.raises(TimeoutError) as error:
            async with asyncio.timeout(SOON):
                await call()
        assert not isinstance(error.value, CallTimeout)

    run(main())
    assert counts(call) == {"void": 1}


async def test_case_75_a_cancelled_error_raised_by_the_function_itself():
    @circuit("strange", default=3)
    async def call() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await call()
    assert counts(call) == {"void": 1}


async def test_a_good_result_that_came_late_without_being_cancelled_is_shown_as_late():
    @circuit("blocking", timeout=SOON)
    async def call() -> int:
        time.sleep(2 * SOON)
        return 1

    @circuit("plain", timeout=SOON)
    def plain() -> int:
        time.sleep(2 * SOON)
        return 1

    @circuit("plain bad", timeout=SOON)
    def bad() -> int:
        time.sleep(2 * SOON)
        raise Boom

    for _ in range(2):  # the long way, then the short one
        assert await call() == 1
        assert plain() == 1
    assert counts(call) == counts(plain) == {"success": 2, "late": 2}
    with pytest.raises(Boom):
        bad()
    assert counts(bad) == {"timeout": 1}
