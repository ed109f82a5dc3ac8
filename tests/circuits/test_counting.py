"""Calls that others spared or repeated: counted at the circuit, and told to those who listen."""

from __future__ import annotations

import asyncio

import pytest
from circuit_kit import Boom

from resilient import cached_per_request, circuit, collapsed, request, retry
from resilient.clock import SYSTEM
from resilient.events import AnsweredFromCache, CallsCollapsed, RetryDenied


def counts(call) -> dict[str, int]:
    return {word: n for word, n in call.guard.find().snapshot().counts.items() if n}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_case_81_a_hit_is_counted_and_no_call(runtime, kind):
    heard = []
    runtime.events.subscribe(heard.append, AnsweredFromCache)

    if kind == "sync":

        @cached_per_request
        @circuit("order")
        def order(n: int) -> int:
            return n

        with request():
            assert [order(1), order(1), order(2), order(1)] == [1, 1, 2, 1]
    else:

        @cached_per_request
        @circuit("order")
        async def order(n: int) -> int:
            await asyncio.sleep(0)
            return n

        with request():
            assert await asyncio.gather(order(1), order(1)) == [1, 1]
            assert [await order(2), await order(1)] == [2, 1]
    assert counts(order) == {"success": 2, "response_from_cache": 2}
    assert [event.circuit for event in heard] == ["order", "order"]


def test_what_is_cached_without_a_circuit_counts_nowhere(runtime):
    @cached_per_request
    def plain(n: int) -> int:
        return n

    with request():
        assert (plain(1), plain(1)) == (1, 1)
    assert len(runtime.circuits) == 0


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_single_calls_that_became_one_are_counted(runtime, kind):
    heard = []
    runtime.events.subscribe(heard.append, CallsCollapsed)
    if kind == "sync":

        @collapsed(max_batch=1)
        @circuit("price")
        def price(skus: list[str]) -> list[int]:
            return [len(sku) for sku in skus]

        assert [price("a"), price("bb")] == [1, 2]
        assert counts(price) == {"success": 2, "collapsed": 2}
        assert [(event.calls, event.keys) for event in heard] == [(1, 1), (1, 1)]
    else:

        @collapsed(wait=0)
        @circuit("price")
        async def price(skus: list[str]) -> list[int]:
            return [len(sku) for sku in skus]

        assert await asyncio.gather(price("a"), price("bb"), price("a")) == [1, 2, 1]
        assert counts(price) == {"success": 1, "collapsed": 3}
        assert [(event.circuit, event.calls, event.keys) for event in heard] == [("price", 3, 2)]


def test_retries_that_were_made_and_denied(runtime, clock):
    heard = []
    runtime.events.subscribe(heard.append, RetryDenied)

    @circuit("stock", min_calls=10_000)
    @retry(on=Boom, attempts=2, clock=clock, sleep=lambda seconds: None)
    def stock() -> None:
        raise Boom

    for _ in range(100):
        with pytest.raises(Boom):
            stock()
    # 30 at once, and one for every five calls.
    assert counts(stock) == {"failure": 100, "retried": 50, "retry_denied": 50}
    assert len(heard) == 50
    assert (heard[0].circuit, heard[0].error) == ("stock", "Boom")


def test_a_retry_without_a_circuit_counts_nowhere(runtime):
    @retry(on=Boom, attempts=2, clock=SYSTEM, sleep=lambda seconds: None)
    def alone() -> None:
        raise Boom

    with pytest.raises(Boom):
        alone()
    assert len(runtime.circuits) == 0


def test_counts_leave_with_their_slice(serve, clock):
    service = serve()
    service.good()
    service.f.circuit.count_cached()
    clock.advance(9)
    service.f.circuit.count_cached()
    assert service.counts["response_from_cache"] == 2
    clock.advance(5)
    service.f.circuit.count_cached()
    assert service.counts["response_from_cache"] == 2
    assert service.f.snapshot().calls == 0


async def test_switched_off_a_block_is_only_a_block(runtime, monkeypatch):
    monkeypatch.setenv("RESILIENT_ENABLED", "0")
    pay = circuit("pay", max_concurrent=1, timeout=0.001)

    @pay
    def pays() -> None: ...

    with pay.attempt() as outer, pay.attempt() as attempt:  # more than max_concurrent
        assert (attempt.name, attempt.remaining(), attempt.overtaken) == ("pay", None, False)
        assert attempt.judge(7) == 7
        attempt.aims_at("money")
        attempt.retries(False, Boom())
        assert outer is not attempt
    async with pay.attempt():
        await asyncio.sleep(0.01)  # longer than its timeout
    with pytest.raises(Boom), pays.attempt():
        raise Boom
    with pytest.raises(Boom):
        async with pays.attempt():
            raise Boom
    assert len(runtime.circuits) == 0
    monkeypatch.setenv("RESILIENT_ENABLED", "1")
    with circuit("pay").attempt():
        pass
    assert runtime.circuits.get("pay").snapshot().counts["success"] == 1
