"""``@circuit`` as people write it: on functions and methods, with names, and where it cannot stand."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from resilient import (
    ConfigError,
    Runtime,
    circuit,
)
from resilient.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(autouse=True)
def runtime(clock: ManualClock) -> Iterator[Runtime]:
    with Runtime(clock=clock).active() as runtime:
        yield runtime


@circuit
async def order(id: int, *, fresh: bool = False) -> dict[str, int]:
    """One order."""
    return {"id": id}


@circuit(timeout=1)
def stock(sku: str) -> int:
    """How many are left."""
    return len(sku)


class Client:
    """A client with protected methods of every kind."""

    def __init__(self, base: str = "http://a") -> None:
        self.base = base

    @circuit
    async def order(self, id: int) -> str:
        """An order's URL."""
        return f"{self.base}/{id}"

    @circuit(default="none", max_concurrent=2)
    def stock(self, sku: str) -> str:
        if sku == "bad":
            raise OSError
        return f"{self.base}/{sku}"

    @classmethod
    @circuit
    def make(cls, base: str) -> Client:
        return cls(base)

    @staticmethod
    @circuit
    async def parse(text: str) -> int:
        return int(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Client) and other.base == self.base

    __hash__ = None  # type: ignore[assignment]


async def test_case_103_a_protected_function_is_still_the_function() -> None:
    assert asyncio.iscoroutinefunction(order)
    assert inspect.iscoroutinefunction(order)
    assert not inspect.iscoroutinefunction(stock)
    assert str(inspect.signature(order)) == "(id: 'int', *, fresh: 'bool' = False) -> 'dict[str, int]'"
    assert str(inspect.signature(stock)) == "(sku: 'str') -> 'int'"
    assert (order.__name__, order.__doc__, order.__module__) == ("order", "One order.", __name__)
    assert inspect.unwrap(order).__code__.co_name == "order"
    assert await order(7) == {"id": 7}
    assert await order(id=7, fresh=True) == {"id": 7}
    assert stock("abc") == 3
    coroutine = order(1)
    assert "order" in repr(coroutine)
    await coroutine
    with pytest.raises(TypeError):
        await order()  # type: ignore[call-arg]


async def test_case_103_methods_classmethods_and_staticmethods() -> None:
    client = Client()
    assert await client.order(7) == "http://a/7"
    assert client.stock("x") == "http://a/x"
    assert Client.stock(client, "y") == "http://a/y"
    assert Client.make("http://b").base == "http://b"
    assert await client.parse("7") == await Client.parse("8") - 1 == 7
    for method in (client.order, Client.parse):
        assert asyncio.iscoroutinefunction(method)
        assert inspect.iscoroutinefunction(method)
    assert str(inspect.signature(client.order)) == "(id: 'int') -> 'str'"
    assert str(inspect.signature(client.stock)) == "(sku: 'str') -> 'str'"
    assert client.order.__doc__ == "An order's URL."
    assert client.order.__name__ == "order"
    assert client.order.__self__ is client
    assert client.order.__func__ is Client.order
    assert client.order == client.order
    assert hash(client.order) == hash(client.order)
    assert client.order != Client().order  # equal objects, but not the same one
    assert "order" in repr(client.order)


async def test_a_bound_method_is_a_handle_on_the_circuit_too(clock: ManualClock) -> None:
    client = Client()
    assert client.stock("x") == "http://a/x"
    assert client.stock.state == "closed"
    assert client.stock.snapshot().counts["success"] == 1
    client.stock.open()
    assert Client.stock.state == "open"
    assert client.stock("x") == "none"
    client.stock.close()
    assert client.stock.options(default="other")("bad") == "other"
    assert await client.order.options(timeout=1)(8) == "http://a/8"
    with client.stock.attempt():
        assert client.stock.snapshot().in_flight == 1
    assert not hasattr(client.stock, "nothing")


def test_one_circuit_for_all_objects_of_a_class() -> None:
    assert Client().stock.circuit is Client("http://b").stock.circuit
    assert Client.stock.guard.name == f"{__name__}.Client.stock"


class Slotted:
    __slots__ = ()

    @circuit
    def call(self) -> int:
        return 1


def test_methods_of_slotted_objects_and_subclasses() -> None:
    class Sub(Slotted):
        def call(self) -> int:
            return super().call() + 1

    assert Slotted().call() == 1
    assert Sub().call() == 2


def test_functions_travel_between_processes_by_name() -> None:
    for protected in (order, stock, Client.stock):
        assert pickle.loads(pickle.dumps(protected)) is protected
        assert copy.deepcopy(protected) is protected
    bound = pickle.loads(pickle.dumps(Client("http://c").stock))
    assert bound("x") == "http://c/x"


def test_reprs_name_the_circuit() -> None:
    assert repr(order) == f"<{__name__}.order behind circuit '{__name__}.order'>"
    assert "pay" in repr(circuit("pay"))
    assert "pay" in repr(circuit("pay").attempt())


# ---------------------------------------------------------------- what it may stand on


class Callable_:
    def __call__(self, x: int) -> int:
        return x


class AsyncCallable:
    async def __call__(self, x: int) -> int:
        await asyncio.sleep(0)
        raise OSError


async def test_partials_and_callable_objects() -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    partial = circuit(functools.partial(add, 1))
    assert inspect.iscoroutinefunction(partial)
    assert await partial(2) == 3
    assert "add" in repr(partial)
    assert circuit(Callable_())(7) == 7
    assert circuit(len)([1]) == 1
    failing = circuit(AsyncCallable())
    with pytest.raises(OSError):
        await failing(1)
    assert failing.snapshot().counts["failure"] == 1


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (staticmethod(len), "put @staticmethod above"),
        (classmethod(len), "put @classmethod above"),
        (Client, "function or method"),
        (order, "already"),
    ],
)
def test_where_it_cannot_stand_it_says_so_at_import(thing: Any, words: str) -> None:
    for decorator in (circuit, circuit("named"), circuit(timeout=1)):
        with pytest.raises(ConfigError, match=words):
            decorator(thing)


@pytest.mark.parametrize("wrong", [7, b"name", "", "  "])
def test_what_it_does_not_take(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        circuit(wrong)
    with pytest.raises(ConfigError):
        circuit("pay", wrong)


def test_a_setting_that_is_not_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'timeout'"):
        circuit(timeot=1)  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="called 'reset_timeout' here"):
        circuit("pay", recovery_timeout=1)  # type: ignore[call-overload]


def test_options_beside_a_function_are_not_lost() -> None:
    def fail() -> int:
        raise OSError

    protected = circuit(fail, default=7, min_calls=3)  # type: ignore[call-overload]
    assert protected() == 7
    assert protected.guard.policy.min_calls == 3
