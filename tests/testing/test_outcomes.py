"""Forced outcomes: the real circuit around a function that is not."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from resilient import CircuitOpen, Runtime, circuit
from resilient.balanced import balanced
from resilient.errors import ConfigError
from resilient.testing import ManualClock, failing, flaky, opened, replaced, runtime


@circuit(default="none", min_calls=4)
def price(sku: str = "") -> Any:
    return f"price of {sku}"


@circuit(min_calls=4)
async def stock(sku: str = "") -> Any:
    await asyncio.sleep(0)
    return f"stock of {sku}"


class Shop:
    @circuit
    def order(self, id: int) -> Any:
        return id

    @classmethod
    @circuit
    def of(cls, name: str) -> Any:
        return name

    @staticmethod
    @circuit
    def rate(a: int) -> Any:
        return a


@pytest.fixture(autouse=True)
def clock() -> Iterator[ManualClock]:
    made = ManualClock()
    with runtime(clock=made):
        yield made


def counts(function: Any) -> dict[str, int]:
    return {word: n for word, n in function.snapshot().counts.items() if n}


# ---------------------------------------------------------------------- opened


def test_opened_refuses_and_gives_back() -> None:
    shop = Shop()
    with opened(price) as held, opened(shop.order):
        assert held is price.circuit
        assert price("a") == "none"
        with pytest.raises(CircuitOpen):
            shop.order(1)
        assert held.snapshot().mode_reason == "opened by a test"
    assert price.snapshot().calls == 0  # a clean window
    assert (price("a"), shop.order(1)) == ("price of a", 1)


def test_opened_stays_open_however_long_it_takes(clock: ManualClock) -> None:
    with opened(price):
        clock.advance(1e6)
        assert price() == "none"
    with opened(Shop.rate, seconds=30):
        with pytest.raises(CircuitOpen) as error:
            Shop.rate(1)
        assert error.value.retry_after == 30
        clock.advance(30)
        assert Shop.rate(1) == 1


def test_what_was_open_before_is_open_after() -> None:
    with opened(price):
        with opened(price):
            pass
        assert price.state == "open"
    assert price.state == "closed"


def test_opened_ends_when_the_test_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        with opened(price):
            raise ZeroDivisionError
    assert price.state == "closed"


def test_opened_by_handle_by_name_and_by_circuit() -> None:
    payments = circuit("payments", fail_max=3)
    pay = payments(lambda: 1)
    for target in (payments, "payments", pay.circuit, functools.wraps(pay)(lambda: pay())):
        with opened(target), pytest.raises(CircuitOpen):
            pay()
    assert pay() == 1


def test_a_name_gets_the_policy_that_is_written_down() -> None:
    handle = circuit("written", fail_max=3)
    with opened("written") as held:
        assert held.policy.fail_max == 3
    assert handle.circuit is held


async def test_a_service_called_outside_any_circuit() -> None:
    from resilient.aiohttp import session

    async with flaky() as server, runtime(orders=server):
        with opened("orders"):
            with pytest.raises(CircuitOpen):
                await session().get("http://orders/")
        async with session().get("http://orders/") as got:
            assert got.status == 200
    assert len(server.calls) == 1


# ---------------------------------------------------------------------- failing and replaced


def test_failing_goes_through_circuit_and_fallback() -> None:
    with failing(price) as stand_in:
        assert [price("a") for _ in range(6)] == ["none"] * 6
        assert price.state == "open"
    assert stand_in.calls == [(("a",), {})] * 4
    assert counts(price)["failure"] == 4
    assert counts(price)["short_circuited"] == 2
    assert price("a") == "none"  # it is as open as it would be


async def test_failing_async_with_the_very_error() -> None:
    error = KeyError("x")
    with failing(stock, error):
        for _ in range(3):
            with pytest.raises(KeyError) as caught:
                await stock()
            assert caught.value is error
            assert len(caught.traceback) < 10  # it does not grow from call to call
    assert await stock("a") == "stock of a"
    assert counts(stock) == {"failure": 3, "success": 1}


async def test_an_error_class_makes_new_errors_and_times_end_it() -> None:
    seen = []
    with failing(stock, TimeoutError, times=2) as stand_in:
        for _ in range(3):
            try:
                seen.append(await stock("b"))
            except TimeoutError as error:
                seen.append(error)
    assert [type(one) for one in seen] == [TimeoutError, TimeoutError, str]
    assert seen[0] is not seen[1]
    assert len(stand_in.calls) == 3


async def test_replaced_may_be_plain_or_async() -> None:
    async def other(sku: str) -> str:
        return f"other {sku}"

    with replaced(stock, lambda sku: f"plain {sku}") as stand_in:
        assert await stock("a") == "plain a"
        assert await asyncio.create_task(stock(sku="b")) == "plain b"
    assert stand_in.calls == [(("a",), {}), ((), {"sku": "b"})]
    with replaced(stock, other, times=1):
        assert [await stock("a"), await stock("a")] == ["other a", "stock of a"]
    with pytest.raises(ConfigError, match="plain function"):
        with replaced(price, other):
            pass
    assert price("a") == "price of a"


def test_methods_of_all_kinds() -> None:
    shop = Shop()
    kept = shop.order
    with replaced(shop.order, lambda self, id: (self is shop, id)):
        assert (kept(1), shop.order(2), Shop.order(shop, 3)) == ((True, 1), (True, 2), (True, 3))
    with replaced(Shop.of, lambda cls, name: (cls, name)):
        assert Shop.of("x") == (Shop, "x")
    with failing(Shop.rate, times=1), pytest.raises(ConnectionError):
        Shop.rate(1)
    assert (kept(1), Shop.of("x"), Shop.rate(1)) == (1, "x", 1)


def test_options_and_names_stay() -> None:
    import inspect

    signature = inspect.signature(price)
    with failing(price):
        assert price.options(default="now")("a") == "now"
        assert inspect.signature(price) == signature
        assert price.__name__ == "price"
        assert "price" in repr(price)
    assert price.options(default="now")("a") == "price of a"


def test_one_inside_another() -> None:
    with replaced(price, lambda sku: 1):
        with replaced(price, lambda sku: 2):
            assert price("") == 2
        assert price("") == 1
    assert price("") == "price of "


def test_a_wrapper_of_somebody_elses() -> None:
    @functools.wraps(price)
    def cached(sku: str) -> Any:
        return price(sku)

    with replaced(cached, lambda sku: "stood in"):
        assert cached("a") == "stood in"


def test_above_balanced_no_instance_is_needed() -> None:
    @circuit
    @balanced("orders")
    def order(base: str, id: int) -> str:
        return f"{base}/{id}"

    with replaced(order, lambda id: f"no base, {id}"):
        assert order(7) == "no base, 7"


def test_threads_are_counted_exactly() -> None:
    made = circuit("threads", min_calls=10_000, max_concurrent=None)(lambda: 1)
    failed: list[BaseException] = []

    def work() -> None:
        for _ in range(100):
            try:
                made()
            except ConnectionError as error:
                failed.append(error)

    with runtime().everywhere(), failing(made, ConnectionError, times=250) as stand_in:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert (len(failed), len(stand_in.calls)) == (250, 400)
        assert counts(made) == {"failure": 250, "success": 150}


@pytest.mark.parametrize("wrong", [lambda: 1, "payments", circuit("handle"), None])
def test_nothing_can_stand_in_for_what_is_not_under_a_circuit(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="under @circuit"):
        with failing(wrong):
            pass


def test_wrong_arguments() -> None:
    for wrong in ("text", int, 3):
        with pytest.raises(ConfigError, match="exception"):
            with failing(price, wrong):  # type: ignore[arg-type]
                pass
    with pytest.raises(ConfigError, match="takes a function"):
        with replaced(price, 3):  # type: ignore[arg-type]
            pass
    with pytest.raises(ConfigError, match="under @circuit"):
        with opened(lambda: 1):
            pass


def test_a_runtime_of_production_works_as_well() -> None:
    with Runtime(clock=ManualClock()).active(), opened(price):
        assert price() == "none"
