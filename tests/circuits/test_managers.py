"""Streams whose first item is late, and context managers behind a circuit."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from circuit_kit import Asked, Boom, Still

from resilient import CallTimeout, CircuitFull, Runtime, circuit
from resilient.clock import SYSTEM


async def _await(awaitable):
    return await awaitable


async def test_the_deadline_is_for_the_first_item():
    with Runtime(clock=SYSTEM, rng=Still()).active():
        closed = []

        @circuit("late", timeout=0.02)
        async def late(first: float, second: float):
            try:
                await asyncio.sleep(first)
                yield 1
                await asyncio.sleep(second)
                yield 2
            finally:
                closed.append(1)

        assert [item async for item in late(0, 0.05)] == [1, 2]
        with pytest.raises(CallTimeout):
            async for _ in late(60, 0):
                pass
        assert asyncio.current_task().cancelling() == 0
        assert len(closed) == 2
        counts = late.snapshot().counts
        assert (counts["success"], counts["timeout"], late.snapshot().in_flight) == (1, 1, 0)

        @circuit("late too", timeout=0.02, fallback=lambda *seconds: [7])
        async def rescued(first: float):
            try:
                await asyncio.sleep(first)
            except asyncio.CancelledError:
                pass  # too late all the same
            yield 1

        assert [item async for item in rescued(60)] == [7]
        assert rescued.snapshot().in_flight == 0

        async def many():
            yield 8
            yield 9

        assert [i async for i in rescued.options(fallback=lambda *a: many())(60)] == [8, 9]


async def test_cancelled_while_it_waits_for_the_first_item():
    @circuit("cancelled", default=())
    async def forever():
        await asyncio.sleep(60)
        yield 1

    task = asyncio.create_task(_await(anext(forever())))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    snapshot = forever.snapshot()
    assert (snapshot.counts["void"], snapshot.in_flight) == (1, 0)


@pytest.mark.parametrize("outside", ["circuit", "manager"])
async def test_async_context_managers_in_either_order(outside):
    closed = []

    async def body(x):
        try:
            if isinstance(x, BaseException):
                raise x
            yield x
        finally:
            closed.append(x)

    protect = circuit("managed", max_concurrent=1)
    if outside == "circuit":
        connect = handle = protect(contextlib.asynccontextmanager(body))
    else:
        handle = protect(body)
        connect = contextlib.asynccontextmanager(handle)
    async with connect(7) as seven:
        assert seven == 7
        assert handle.snapshot().in_flight == 1
        assert handle.snapshot().counts["success"] == 1
        with pytest.raises(CircuitFull):
            async with connect(8):
                pass
    assert (handle.snapshot().in_flight, closed) == (0, [7])
    with pytest.raises(Boom):
        async with connect(Boom()):
            pass
    with pytest.raises(Asked):
        async with connect(9):
            raise Asked
    counts = handle.snapshot().counts
    assert (counts["success"], counts["failure"]) == (2, 2)
    assert handle.snapshot().in_flight == 0


@pytest.mark.parametrize("outside", ["circuit", "manager"])
def test_context_managers_in_either_order(outside):
    def body(x):
        if isinstance(x, BaseException):
            raise x
        with contextlib.suppress(Asked):
            yield x

    protect = circuit("managed", max_concurrent=1)
    if outside == "circuit":
        connect = handle = protect(contextlib.contextmanager(body))
    else:
        handle = protect(body)
        connect = contextlib.contextmanager(handle)
    with connect(7) as seven:
        assert seven == 7
        assert handle.snapshot().in_flight == 1
        with pytest.raises(CircuitFull):
            with connect(8):
                pass
    with connect(7):
        raise Asked  # suppressed by the manager
    with pytest.raises(Boom):
        with connect(Boom()):
            pass
    counts = handle.snapshot().counts
    assert (counts["success"], counts["failure"], handle.snapshot().in_flight) == (2, 1, 0)


async def test_what_a_fallback_answers_is_what_a_manager_gives():
    @circuit("given", default=None)
    @contextlib.asynccontextmanager
    async def connect():
        raise Boom
        yield 1

    @circuit("given", fallback=lambda: 7)
    @contextlib.contextmanager
    def plain():
        raise Boom
        yield 1

    async with connect() as nothing:
        assert nothing is None
    with plain() as seven:
        assert seven == 7
    connect.open()
    async with connect() as nothing:
        assert nothing is None
