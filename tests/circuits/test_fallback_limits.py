"""How many fallbacks at a time, and for how long."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from circuit_kit import Boom, Still, join, together

from resilient import CircuitOpen, Runtime, circuit
from resilient.clock import SYSTEM
from resilient.errors import FallbackFull


async def test_case_68_the_second_of_one_is_refused():
    gate = asyncio.Event()

    async def later() -> str:
        await gate.wait()
        return "later"

    @circuit("tight", fallback=later, fallback_max_concurrent=1, fallback_timeout=None)
    async def call() -> str:
        raise Boom("primary")

    first = asyncio.create_task(call())
    await asyncio.sleep(0)
    with pytest.raises(FallbackFull, match="fallback_max_concurrent=1") as refused:
        await call()
    assert isinstance(refused.value.__cause__, Boom)
    gate.set()
    assert await first == "later"
    assert await call() == "later"
    counts = call.snapshot().counts
    assert (counts["fallback_rejected"], counts["fallback_success"], counts["failure"]) == (1, 2, 3)


def test_case_68_with_threads():
    gate, inside = threading.Event(), threading.Event()

    def later() -> str:
        inside.set()
        assert gate.wait(10)
        return "later"

    @circuit("tight", fallback=later, fallback_max_concurrent=1)
    def call() -> str:
        raise Boom

    call.open()
    answers: list[str] = []
    thread = threading.Thread(target=contextvars.copy_context().run, args=(lambda: answers.append(call()),))
    thread.start()
    assert inside.wait(10)
    with pytest.raises(FallbackFull) as refused:
        call()
    assert isinstance(refused.value.__cause__, CircuitOpen)
    gate.set()
    join([thread])
    assert answers == ["later"]
    assert call() == "later"


def test_a_default_needs_no_place():
    def nested():
        return call()  # all places are taken by ourselves

    @circuit("nested", fallback=nested, fallback_max_concurrent=1, default="default")
    def call():
        raise Boom

    assert call() == "default"
    assert call.snapshot().counts["fallback_rejected"] == 1


def test_no_place_is_lost_however_fallbacks_end(serve):
    ends = iter([Boom(), KeyboardInterrupt(), 7] * 40)

    def fallback(act):
        end = next(ends)
        if isinstance(end, BaseException):
            raise end
        return end

    service = serve(fallback=fallback, fallback_max_concurrent=1, min_calls=1000)
    for _ in range(40):
        service.bad()
        with pytest.raises(KeyboardInterrupt):
            service(Boom())
        assert service(Boom()) == 7


def test_without_a_limit_all_may(runtime):
    everybody = threading.Barrier(8, timeout=10)

    def later() -> int:
        everybody.wait()
        return 1

    @circuit("wide", fallback=later, fallback_max_concurrent=None)
    def call() -> int:
        raise Boom

    assert together(8, call) == [1] * 8


async def test_a_fallback_that_takes_too_long_has_failed():
    ended: list[str] = []

    async def slow() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("slow")
        return "slow"

    async def quick() -> str:
        return "quick"

    with Runtime(clock=SYSTEM, rng=Still()).active():

        @circuit("patient", fallback=[slow, quick], fallback_timeout=0.01)
        async def call() -> str:
            raise Boom

        assert await call() == "quick"
        assert ended == ["slow"]
        counts = call.snapshot().counts
        assert (counts["fallback_failure"], counts["fallback_success"]) == (1, 1)

        @circuit("impatient", fallback=slow, fallback_timeout=0.01)
        async def alone() -> str:
            raise Boom("primary")

        with pytest.raises(Boom, match="primary") as error:
            await alone()
        assert isinstance(error.value.fallback_error, TimeoutError)
        assert asyncio.current_task().cancelling() == 0


async def test_a_fallback_that_swallows_the_cancellation_is_late_all_the_same():
    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "at last"

    with Runtime(clock=SYSTEM, rng=Still()).active():

        @circuit("stubborn", fallback=stubborn, fallback_timeout=0.01, default="default")
        async def call() -> str:
            raise Boom

        assert await call() == "default"
        assert asyncio.current_task().cancelling() == 0


async def test_cancelled_from_outside_during_a_bounded_fallback_is_cancelled():
    started = asyncio.Event()

    async def slow() -> None:
        started.set()
        await asyncio.sleep(60)

    @circuit("outside", fallback=slow, default=1)
    async def call() -> int:
        raise Boom

    task = asyncio.create_task(call())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.circuit.fallback_begins()
    assert call.circuit._fallbacks == 1
