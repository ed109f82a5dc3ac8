"""``@balanced``: what callers see, and what the function gets."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import requests
import urllib3
from door_kit import counts, nodes
from flaky import Flaky

from resilient import CircuitPolicy, ConfigError, NoInstance, Runtime, circuit
from resilient.balanced import ANY, balanced
from resilient.balancing.dialect import Verdict

Estate = Callable[..., tuple[Runtime, list[Flaky]]]


# -- the signature -----------------------------------------------------------------------------


def test_callers_see_exactly_one_parameter_less() -> None:
    @balanced("orders")
    def order(base: str, id: int, *, deep: bool = False) -> dict[str, int]:
        """Read an order."""
        return {base: id}

    assert str(inspect.signature(order)) == "(id: 'int', *, deep: 'bool' = False) -> 'dict[str, int]'"
    assert (order.__name__, order.__doc__) == ("order", "Read an order.")


def test_on_methods_it_is_the_one_after_self() -> None:
    class Shop:
        @balanced("orders")
        async def order(self, base: str, id: int) -> tuple[str, int]:
            return base, id

        @classmethod
        @balanced("orders")
        def count(cls, base: str) -> str:
            return base

    assert str(inspect.signature(Shop.order)) == "(self, id: 'int') -> 'tuple[str, int]'"
    assert str(inspect.signature(Shop().order)) == "(id: 'int') -> 'tuple[str, int]'"
    assert str(inspect.signature(Shop.count)) == "() -> 'str'"
    assert inspect.iscoroutinefunction(Shop.order)


def test_below_a_circuit_the_signature_stays() -> None:
    @circuit
    @balanced("orders")
    async def order(base: str, id: int) -> None: ...

    assert str(inspect.signature(order)) == "(id: 'int') -> 'None'"
    assert inspect.iscoroutinefunction(order)
    assert order.guard.name.endswith(".order")


def test_the_base_url_arrives_where_it_belongs(estate: Estate) -> None:
    _, (a,) = estate("ok")

    class Shop:
        @balanced("Orders")
        def order(self, base: str, id: int, *, deep: bool) -> Any:
            return base, id, deep, self

        @staticmethod
        @balanced("orders")
        def bare(base: str) -> str:
            return base

    shop = Shop()
    assert shop.order(7, deep=True) == (a.url, 7, True, shop)
    assert Shop.bare() == a.url


# -- mistakes are found when the module is imported --------------------------------------------


def test_the_circuit_stands_above() -> None:
    with pytest.raises(ConfigError, match="put @circuit above @balanced on order"):

        @balanced("orders")
        @circuit
        async def order(base: str) -> None: ...


def test_above_it_a_named_circuit_is_refused_too() -> None:
    with pytest.raises(ConfigError, match="put @circuit above @balanced"):
        balanced("orders")(circuit("pay", CircuitPolicy())(lambda base: None))


def test_a_function_without_a_place_for_the_url() -> None:
    with pytest.raises(ConfigError, match="base URL as its first argument"):

        @balanced("orders")
        def order() -> None: ...

    with pytest.raises(ConfigError, match="base URL as its first argument"):

        @balanced("orders")
        def method(self: object) -> None: ...


@pytest.mark.parametrize("name", ["", "  ", None, print])
def test_it_takes_a_name(name: Any) -> None:
    with pytest.raises(ConfigError, match=r"@balanced\('orders'\)"):
        balanced(name)


# -- verdicts ----------------------------------------------------------------------------------


def run(function: Callable[[], Any]) -> Any:
    result = function()
    return asyncio.run(result) if inspect.isawaitable(result) else result


def make(kind: str, body: Callable[[str], Any], **options: Any) -> Callable[[], Any]:
    if kind == "async":

        async def call(base: str) -> Any:
            return body(base)

        return balanced("orders", **options)(call)
    return balanced("orders", **options)(body)


KINDS = pytest.mark.parametrize("kind", ["async", "plain"])


@KINDS
def test_a_result_with_a_status_is_judged_by_it(estate: Estate, kind: str) -> None:
    runtime, _ = estate("ok", "ok")
    answers = iter([503, 200])
    got = run(make(kind, lambda base: SimpleNamespace(status_code=next(answers)), idempotent=True))
    assert got.status_code == 200
    assert [row for _, row, _ in nodes(runtime)] == [1, 0]


@KINDS
def test_without_a_promise_a_status_is_not_asked_for_twice(estate: Estate, kind: str) -> None:
    runtime, _ = estate("ok", "ok")
    assert run(make(kind, lambda base: SimpleNamespace(status=503))).status == 503
    assert [row for _, row, _ in nodes(runtime)] == [1, 0]


@KINDS
def test_an_overloaded_instance_is_left_alone(estate: Estate, kind: str) -> None:
    runtime, _ = estate("ok", "ok")
    busy = SimpleNamespace(status=503, headers={"Retry-After": "20"})
    run(make(kind, lambda base: busy))
    assert [state for state, _, _ in nodes(runtime)] == ["overloaded", "healthy"]


@KINDS
def test_an_error_of_the_functions_own_says_nothing(estate: Estate, kind: str) -> None:
    runtime, _ = estate("ok", "ok")

    def wrong(base: str) -> None:
        raise KeyError("id")

    with pytest.raises(KeyError):
        run(make(kind, wrong, idempotent=True))
    assert nodes(runtime) == [("healthy", 0, 0)] * 2


@KINDS
def test_nobody_to_call(estate: Estate, kind: str) -> None:
    estate("ok")

    def never(base: str) -> None:
        pytest.fail("there is nobody to call")

    with pytest.raises(NoInstance, match="did you mean 'orders'"):
        if kind == "async":

            async def call(base: str) -> None:
                never(base)

            asyncio.run(balanced("order")(call)())
        else:
            balanced("order")(never)()


@KINDS
def test_more_retries_if_wished(estate: Estate, kind: str) -> None:
    estate("refuse", "refuse", "ok")
    tried: list[str] = []

    def body(base: str) -> str:
        tried.append(base)
        if len(tried) < 3:
            raise ConnectionRefusedError
        return "fine"

    assert run(make(kind, body, retries=2)) == "fine"
    assert len(set(tried)) == 3


def test_inside_a_circuit_one_call_is_one_verdict(estate: Estate) -> None:
    runtime, _ = estate("ok", "ok")
    answers = iter([ConnectionResetError(), 7])

    @circuit("calls")
    @balanced("orders", idempotent=True)
    def order(base: str) -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert order() == 7
    assert counts(runtime) == {"success": 1}
    assert runtime.circuits.get("calls").target == "orders"


def test_an_async_function_that_hangs_leaves_time_for_another(estate: Estate) -> None:
    estate("ok", "ok")
    tried: list[str] = []

    @circuit("calls", timeout=2.0)
    @balanced("orders", idempotent=True)
    async def order(base: str) -> str:
        tried.append(base)
        if len(tried) == 1:
            await asyncio.sleep(10)
        return "fine"

    assert asyncio.run(order()) == "fine"
    assert len(set(tried)) == 2


def wrapped() -> urllib3.exceptions.MaxRetryError:
    pool = urllib3.HTTPConnectionPool("127.0.0.1", 1)
    try:
        pool.request("GET", "/", retries=False, timeout=0.1)
    except urllib3.exceptions.NewConnectionError as error:
        return urllib3.exceptions.MaxRetryError(pool, "/", error)
    raise AssertionError


def test_it_understands_every_library_that_is_in_use() -> None:
    connection = SimpleNamespace(host="h", port=1, ssl=True)
    refused = aiohttp.ClientConnectorError(connection, ConnectionRefusedError(111, "refused"))  # type: ignore[arg-type]
    said = {
        refused: Verdict.REFUSED,
        aiohttp.ServerDisconnectedError(): Verdict.FAILED,
        aiohttp.SocketTimeoutError(): Verdict.TIMED_OUT,
        aiohttp.ConnectionTimeoutError(): Verdict.CONNECT,
        requests.exceptions.ReadTimeout(): Verdict.TIMED_OUT,
        requests.exceptions.ChunkedEncodingError(): Verdict.FAILED,
        urllib3.exceptions.ProtocolError("broken"): Verdict.FAILED,
        urllib3.exceptions.ReadTimeoutError(None, "/", "late"): Verdict.TIMED_OUT,  # type: ignore[arg-type]
        wrapped(): Verdict.REFUSED,
        TimeoutError(): Verdict.TIMED_OUT,
        ConnectionResetError(): Verdict.FAILED,
        ValueError("the caller's own"): Verdict.NEUTRAL,
    }
    assert {repr(error): ANY.judge(error) for error in said} == {repr(e): v for e, v in said.items()}
