"""The front door as a type checker sees it. Checked by mypy, never run: see tests/test_typing.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, assert_type

import pybreaker

from resilient import CallTimeout, CircuitOpen, CircuitPolicy, Outcome, Runtime, balanced, circuit
from resilient.circuits.attempt import Attempt
from resilient.circuits.circuit import Circuit
from resilient.circuits.snapshot import CircuitSnapshot


@circuit
async def price(sku: str, *, currency: str = "EUR") -> float:
    return 1.0


@circuit(default=None, timeout=1)
def stock(sku: str, least: int = 0) -> int | None:
    return len(sku)


payments = circuit("payments", CircuitPolicy(fail_max=3), fallback=lambda amount: True)


@payments
async def charge(amount: int) -> bool:
    return True


@circuit(CircuitPolicy.hystrix())
def with_policy(x: int) -> str:
    return str(x)


@circuit(
    "named", error_rate=0.2, exclude=(ValueError, KeyError), listeners=[pybreaker.CircuitBreakerListener()]
)
def named(x: int) -> str:
    return str(x)


class Client:
    @circuit
    async def order(self, id: int, *, fresh: bool = False) -> dict[str, int]:
        return {"id": id}

    @circuit(timeout=None)
    def sync_order(self, id: int) -> int:
        return id


async def functions_keep_their_signature() -> None:
    assert_type(await price("a"), float)
    assert_type(await price("a", currency="USD"), float)
    assert_type(stock("a", 1), int | None)
    assert_type(await charge(1), bool)
    assert_type(with_policy(1), str)
    assert_type(named(1), str)
    coroutine: Coroutine[Any, Any, float] = price("a")
    await coroutine
    takes_callable(stock)
    takes_async(price)

    await price(1)  # type: ignore[arg-type]
    await price()  # type: ignore[call-arg]
    await price("a", "USD")  # type: ignore[call-arg]
    await price("a", currency=1)  # type: ignore[arg-type]
    stock(1)  # type: ignore[arg-type]
    await charge("1")  # type: ignore[arg-type]
    with_policy("1")  # type: ignore[arg-type]
    named("1")  # type: ignore[arg-type]
    takes_callable(named)  # type: ignore[arg-type]


async def methods_lose_self(client: Client) -> None:
    assert_type(await client.order(7), dict[str, int])
    assert_type(await client.order(7, fresh=True), dict[str, int])
    assert_type(client.sync_order(7), int)
    assert_type(await Client.order(client, 7), dict[str, int])
    assert_type(client.order.state, str)
    assert_type(await client.order.options(timeout=1)(7), dict[str, int])

    await client.order("7")  # type: ignore[arg-type]
    await client.order(7, True)  # type: ignore[call-arg]
    client.sync_order("7")  # type: ignore[arg-type]
    client.sync_order()  # type: ignore[call-arg]
    client.sync_order.options(timeout=1)("7")  # type: ignore[arg-type]


async def the_handle() -> None:
    assert_type(price.state, str)
    assert_type(price.circuit, Circuit)
    assert_type(price.snapshot(), CircuitSnapshot)
    price.open(60, reason="deploy")
    price.close()
    payments.open()
    assert_type(await price.options(timeout=1, default=None)("a"), float)
    assert_type(stock.options(fallback=lambda sku: 1)("a"), int | None)
    with payments.attempt() as attempt:
        assert_type(attempt, Attempt)
        assert_type(attempt.remaining(), float | None)
        assert_type(attempt.judge(b"x"), bytes)
    async with payments.attempt() as attempt:
        assert_type(attempt.name, str)

    price.open("60")  # type: ignore[arg-type]
    price.options(timeout="1")  # type: ignore[arg-type]
    price.options(timeot=1)  # type: ignore[call-arg]
    await price.options(timeout=1)(7)  # type: ignore[arg-type]


def decorators_know_their_settings() -> None:
    circuit(timeout=None, fail_max=5, observe=True)
    circuit(timeout="1")  # type: ignore[call-overload]
    circuit(timeot=1)  # type: ignore[call-overload]
    circuit("pay", {"timeout": 1})  # type: ignore[call-overload]
    circuit(7)  # type: ignore[call-overload]
    CircuitPolicy(timeout="1")  # type: ignore[arg-type]
    CircuitPolicy(timeot=1)  # type: ignore[call-arg]
    assert_type(CircuitPolicy.hystrix(timeout=2), CircuitPolicy)
    assert_type(CircuitPolicy().but(timeout=2), CircuitPolicy)
    assert_type(CircuitPolicy().classify(ValueError()), Outcome)


@circuit
@balanced("orders")
async def order_of(base: str, id: int) -> dict[str, int]:
    return {"id": id}


async def balanced_functions_lose_their_base() -> None:
    assert_type(await order_of(7), dict[str, int])
    await order_of("7")  # type: ignore[arg-type]


def errors_have_fields(refused: CircuitOpen, late: CallTimeout) -> None:
    assert_type(refused.retry_after, float | None)
    assert_type(refused.circuit, str)
    assert_type(late.seconds, float)
    error: pybreaker.CircuitBreakerError = refused
    timeout: TimeoutError = late
    del error, timeout


def runtimes() -> None:
    with Runtime().active() as runtime:
        assert_type(runtime, Runtime)
        assert_type(runtime.circuits.get("pay"), Circuit)


def takes_callable(function: Callable[[str], int | None]) -> None: ...
def takes_async(function: Callable[[str], Awaitable[float]]) -> None: ...
