"""Retry, collapsing and the request cache as a type checker sees them: see tests/test_typing.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import assert_type

from resilient import circuit
from resilient.cached import cached_per_request
from resilient.collapsed import Collapsed, CollapseSnapshot, collapsed
from resilient.request import request
from resilient.retry import retry


@collapsed
@circuit(timeout=1)
async def price(skus: list[str]) -> dict[str, float]:
    return dict.fromkeys(skus, 1.0)


@collapsed(max_batch=50, wait=0.005)
async def stock(skus: Sequence[str]) -> list[int | KeyError]:
    return [len(sku) for sku in skus]


@collapsed()
def stock_now(skus: list[str]) -> Mapping[str, int | None]:
    return dict.fromkeys(skus)


class Client:
    @collapsed(max_pending=10)
    async def order(self, ids: list[int]) -> list[str]:
        return [str(id) for id in ids]

    @collapsed
    def order_now(self, ids: list[int]) -> list[str]:
        return [str(id) for id in ids]

    @cached_per_request
    @circuit(default=None)
    @retry
    async def customer(self, id: int, *, fresh: bool = False) -> dict[str, int] | None:
        return {"id": id}


@retry("orders", attempts=2, on=(OSError, lambda error: "again" in str(error)))
async def get(id: int, *, fresh: bool = False) -> str:
    return str(id)


@retry
def get_now(id: int) -> str:
    return str(id)


@cached_per_request(key=lambda id, fresh=False: id)
def cached(id: int, *, fresh: bool = False) -> str:
    return str(id)


async def collapsed_functions_take_one_key(client: Client) -> None:
    assert_type(await price("a"), float)
    assert_type(await stock("a"), int)
    assert_type(stock_now("a"), int | None)
    assert_type(await client.order(7), str)
    assert_type(client.order_now(7), str)
    assert_type(await Client.order(client, 7), str)
    assert_type(price.snapshot(), CollapseSnapshot)
    assert_type(client.order.snapshot().mean_size, float)
    price.flush()
    client.order.flush()
    function: Collapsed[[str], Awaitable[float]] = price
    del function

    await price(1)  # type: ignore[arg-type]
    await price(["a"])  # type: ignore[arg-type]
    await client.order("7")  # type: ignore[arg-type]
    client.order_now("7")  # type: ignore[arg-type]
    collapsed(max_batch="1")  # type: ignore[call-overload]


async def the_others_keep_the_signature(client: Client) -> None:
    assert_type(await get(1, fresh=True), str)
    assert_type(get_now(1), str)
    assert_type(cached(1, fresh=True), str)
    assert_type(await client.customer(7, fresh=True), dict[str, int] | None)
    takes_callable(get_now)

    await get("1")  # type: ignore[arg-type]
    get_now("1")  # type: ignore[arg-type]
    cached("1")  # type: ignore[arg-type]
    await client.customer("7")  # type: ignore[arg-type]
    retry(attempts="3")  # type: ignore[call-overload]
    retry(tries=3)  # type: ignore[call-overload]


async def requests() -> None:
    with request() as here:
        assert_type(here, request)
        assert_type(here.hits, int)
    async with request() as here:
        request.forget(cached, 1)


def takes_callable(function: Callable[[int], str]) -> None: ...
