"""Who wins when a result, a deadline and a cancellation come at one moment."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
from circuit_kit import Reply

from resilient import CallTimeout, Runtime, circuit
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


def test_case_56_whoever_runs_first_wins(run):
    """The result and the timer in one turn of the loop, in random order, a thousand times."""
    rng = random.Random(56)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        @circuit("race", timeout=60, min_calls=10_000, max_concurrent=None)
        async def call(future: asyncio.Future[int]) -> int:
            return await future

        await call(_done(loop))
        won = lost = 0
        for _ in range(1000):
            future: asyncio.Future[int] = loop.create_future()
            task = loop.create_task(call(future))
            await asyncio.sleep(0)
            (attempt,) = call.circuit.queue.live

            def arrive(future=future) -> None:
                if not future.done():
                    future.set_result(1)

            def late(attempt=attempt) -> None:  # what Queue.fire() does with one that is due
                if call.circuit.queue.live.pop(attempt, 0) is None:
                    attempt.expire()

            moments = [(rng.randrange(3), arrive), (rng.randrange(3), late)]
            rng.shuffle(moments)
            for turn in range(3):
                for when, do in moments:
                    if when == turn:
                        loop.call_soon(do)
                await asyncio.sleep(0)
            try:
                assert await task == 1
                won += 1
            except CallTimeout:
                lost += 1
            assert task.cancelling() == 0
        assert won > 50
        assert lost > 50
        assert counts(call) == {"success": won + 1, "timeout": lost}
        assert call.snapshot().in_flight == 0
        assert not call.circuit.queue.live

    def _done(loop: asyncio.AbstractEventLoop) -> asyncio.Future[int]:
        future = loop.create_future()
        future.set_result(0)
        return future

    run(main())


def test_case_57_a_function_that_swallows_its_cancellation_is_late_all_the_same(run):
    reply = Reply(200)

    @circuit("deaf", timeout=SOON)
    async def deaf() -> Reply:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        assert deaf.snapshot().in_flight == 1  # the work has not ended yet
        return reply

    async def main() -> None:
        with pytest.raises(CallTimeout):
            await deaf()
        assert asyncio.current_task().cancelling() == 0

    run(main())
    assert counts(deaf) == {"timeout": 1}
    assert reply.closed
    assert deaf.snapshot().in_flight == 0


def test_a_late_response_that_cannot_be_closed_hides_no_timeout(run):
    class Broken:
        def close(self) -> None:
            raise OSError

    @circuit("deaf", timeout=SOON)
    async def deaf() -> Broken:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        return Broken()

    async def main() -> None:
        with pytest.raises(CallTimeout):
            await deaf()

    run(main())


def test_case_58_an_error_on_the_way_out_is_the_context(run):
    @circuit("clumsy", timeout=SOON)
    async def clumsy() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            raise ValueError("while cleaning up") from None

    async def main() -> None:
        with pytest.raises(CallTimeout) as error:
            await clumsy()
        assert isinstance(error.value.__context__, ValueError)

    run(main())
    assert counts(clumsy) == {"timeout": 1}


def test_case_59_cancelled_and_late_in_one_turn_is_cancelled(run):
    @circuit("both", timeout=60)
    async def both() -> None:
        await asyncio.sleep(5)

    async def main() -> None:
        for first in ("cancel", "expire"):
            task = asyncio.create_task(both())
            await asyncio.sleep(0)
            (attempt,) = both.circuit.queue.live
            del both.circuit.queue.live[attempt]
            steps = [task.cancel, attempt.expire]
            for step in steps if first == "cancel" else reversed(steps):
                step()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()

    run(main())
    assert counts(both) == {"void": 2}
    assert both.snapshot().in_flight == 0


def test_case_60_a_timeout_of_the_functions_own_is_a_failure(run):
    @circuit("own", timeout=5)
    async def own() -> None:
        raise TimeoutError("mine")

    async def main() -> None:
        with pytest.raises(TimeoutError, match="mine") as error:
            await own()
        assert not isinstance(error.value, CallTimeout)

    run(main())
    assert counts(own) == {"failure": 1}


def test_case_61_an_outer_deadline_ends_the_inner_call_too(run):
    @circuit("inner", timeout=5)
    async def inner() -> None:
        from resilient.circuits.attempt import current_attempt

        left = current_attempt().remaining()
        assert left <= SOON
        await asyncio.sleep(5)

    @circuit("outer", timeout=SOON)
    async def outer() -> None:
        await inner()

    from resilient.circuits import attempt

    attempt.watch()

    async def main() -> None:
        with pytest.raises(CallTimeout, match="outer"):
            await outer()

    run(main())
    assert counts(outer) == {"timeout": 1}
    assert counts(inner) == {"void": 1}


def test_two_deadlines_at_one_moment_the_outer_has_it(run):
    @circuit("inner", timeout=60)
    async def inner() -> None:
        await asyncio.sleep(5)

    @circuit("outer", timeout=60)
    async def outer() -> None:
        await inner()

    async def main() -> None:
        task = asyncio.create_task(outer())
        await asyncio.sleep(0)
        live = outer.circuit.queue.live
        assert live is inner.circuit.queue.live  # one limit, one queue
        for attempt in list(live):
            del live[attempt]
            attempt.expire()
        with pytest.raises(CallTimeout, match="outer"):
            await task
        assert task.cancelling() == 0

    run(main())
    assert counts(outer) == {"timeout": 1}
    assert counts(inner) == {"void": 1}


def test_the_inner_deadline_leaves_the_outer_call_alone(run):
    @circuit("inner", timeout=SOON)
    async def inner() -> None:
        await asyncio.sleep(5)

    @circuit("outer", timeout=5)
    async def outer() -> str:
        with contextlib.suppress(CallTimeout):
            await inner()
        await asyncio.sleep(0)
        return "went on"

    assert run(outer()) == "went on"
    assert counts(outer) == {"success": 1}
    assert counts(inner) == {"timeout": 1}
