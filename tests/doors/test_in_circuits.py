"""Doors inside a circuit's call, and outside any."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from door_kit import Door, counts, nodes, word_for
from flaky import Flaky

import resilient.aiohttp
import resilient.httpx
import resilient.requests
from resilient import Runtime, circuit
from resilient.circuits.attempt import current_attempt

Estate = Callable[..., tuple[Runtime, list[Flaky]]]


def test_a_503_that_the_function_swallows_still_counts(session_door: Door, estate: Estate) -> None:
    runtime, _ = estate("503", "503")
    fetch = session_door.function_for("POST", "/x", data=b"x")

    @circuit("calls")
    async def swallowing() -> None:
        assert await fetch() == 503

    @circuit("calls")
    def swallowing_now() -> None:
        assert fetch() == 503

    with session_door.opened():
        session_door.run(swallowing if session_door.asynchronous else swallowing_now)
    assert counts(runtime) == {"failure": 1}


def test_the_last_of_several_requests_decides(session_door: Door, estate: Estate) -> None:
    runtime, _ = estate(("503", "ok"))
    fetch = session_door.function_for("POST", "/x", data=b"x")

    @circuit("calls")
    async def twice() -> None:
        assert [await fetch(), await fetch()] == [503, 200]

    @circuit("calls")
    def twice_now() -> None:
        assert [fetch(), fetch()] == [503, 200]

    with session_door.opened():
        session_door.run(twice if session_door.asynchronous else twice_now)
    assert counts(runtime) == {"success": 1}


def test_a_second_try_fits_into_the_calls_time(session_door: Door, estate: Estate) -> None:
    _, (a, b) = estate("hang", "ok")
    with session_door.opened():
        began = time.monotonic()
        assert session_door.call(timeout=1.0) == "200"  # the second try had its time
        assert time.monotonic() - began > 0.4  # and the first half of it
    assert (a.reached, b.reached) == (1, 1)


def test_a_nested_call_has_no_more_time_than_the_one_around_it(session_door: Door, estate: Estate) -> None:
    runtime, (a,) = estate("hang")
    inner = circuit("inner", timeout=5)(session_door.function_for("GET", "/x"))

    @circuit("calls", timeout=0.2)
    async def outer() -> Any:
        return await inner()

    @circuit("calls", timeout=0.2)
    def outer_now() -> Any:
        return inner()

    with session_door.opened():
        began = time.monotonic()
        with pytest.raises(Exception) as got:
            session_door.run(outer if session_door.asynchronous else outer_now)
        assert time.monotonic() - began < 4  # of the inner one's five seconds
    assert word_for(got.value) == "timeout"
    assert counts(runtime) == {"timeout": 1}
    assert a.reached == 1


def test_no_retry_once_the_circuit_has_opened(door: Door, estate: Estate) -> None:
    runtime, (a, b) = estate(lambda seen: opened(), "ok")

    def opened() -> bytes:
        runtime.circuits.get("calls").open()
        return b"HTTP/1.1 503 Word\r\nContent-Length: 0\r\n\r\n"

    with door.opened():
        assert door.call() == "503"
    assert (a.reached, b.reached) == (1, 0)


def test_retries_have_a_budget(door: Door, estate: Estate) -> None:
    """30 at once for a fresh process, and one for each five calls."""
    runtime, (a, b) = estate("503", "503")
    with door.opened():
        for number in range(60):
            for node in runtime.balancer.nodes("orders"):
                runtime.balancer.restore("orders", node.id)
            door.call(name=f"calls-{number}")  # another circuit each time: only the budget stops retries
    totals = runtime.balancer.totals("orders")
    assert totals is not None
    assert totals.retries == a.reached + b.reached - 60
    assert 40 <= totals.retries <= 46
    assert totals.budget_exhausted == 60 - totals.retries


def test_outside_a_circuit_a_service_has_its_own(session_door: Door, estate: Estate) -> None:
    runtime, (a, b) = estate("503", "503", rule="round_robin")
    with session_door.opened():
        got = [session_door.call("POST", name=None, data=b"x") for _ in range(22)]
    assert got == ["503"] * 20 + ["CircuitOpen"] * 2
    assert a.reached + b.reached == 20
    assert counts(runtime, "orders") == {"failure": 20, "short_circuited": 2}
    assert runtime.circuits.get("orders").target == "orders"


def test_a_circuit_around_leaves_the_services_own_out(session_door: Door, estate: Estate) -> None:
    runtime, _ = estate("ok")
    with session_door.opened():
        assert session_door.call() == "200"
    assert [one.name for one in runtime.circuits] == ["calls"]


def test_a_refused_call_touches_no_instance(session_door: Door, estate: Estate) -> None:
    runtime, (a,) = estate("ok")
    with session_door.opened():
        assert session_door.call() == "200"
        runtime.circuits.get("calls").open()
        before = runtime.balancer.totals("orders")
        assert session_door.call() == "CircuitOpen"
    assert runtime.balancer.totals("orders") == before
    assert a.reached == 1


def test_a_drop_at_a_time_does_not_outlast_an_async_call(estate: Estate) -> None:
    runtime, _ = estate("drip")
    for name in ("aiohttp", "httpx-async"):
        door = Door(name)
        with door.opened():
            assert door.call(name=name, timeout=0.05) == "timeout"
        assert counts(runtime, name) == {"timeout": 1}


def test_a_drop_at_a_time_does_not_outlast_a_plain_call_of_httpx(estate: Estate) -> None:
    runtime, _ = estate("drip")
    door = Door("httpx")
    assert door.call(timeout=0.05) == "timeout"
    assert counts(runtime) == {"timeout": 1}
    assert nodes(runtime) == [("healthy", 1, 0)]


def test_requests_good_late_answer_is_late_and_good(estate: Estate) -> None:
    """Nothing can interrupt it between two drops; the lateness shows."""
    runtime, _ = estate("drip")
    assert Door("requests").call(timeout=0.05) == "200"
    assert counts(runtime) == {"success": 1, "late": 1}


# -- streaming ---------------------------------------------------------------------------------


def in_flight(runtime: Runtime) -> int:
    return runtime.balancer.nodes("orders")[0].in_flight


@pytest.mark.parametrize("how", ["read", "closed"])
@pytest.mark.parametrize("inside", [True, False], ids=["in a circuit", "outside"])
def test_case_80_an_instance_is_busy_until_aiohttp_has_read(estate: Estate, how: str, inside: bool) -> None:
    runtime, (a,) = estate("slow")

    async def get() -> Any:
        return await resilient.aiohttp.session().get("http://orders/x")

    async def main() -> None:
        response = await (circuit("calls")(get) if inside else get)()
        assert in_flight(runtime) == 1
        if how == "read":
            a.release.set()
            assert await response.read() == b"fine"
        else:
            response.close()
        assert in_flight(runtime) == 0

    asyncio.run(main())


@pytest.mark.parametrize("how", ["read", "closed"])
def test_an_instance_is_busy_until_httpx_has_read(estate: Estate, how: str) -> None:
    runtime, (a,) = estate("slow")
    with resilient.httpx.session().stream("GET", "http://orders/x") as response:
        assert in_flight(runtime) == 1
        if how == "read":
            a.release.set()
            assert response.read() == b"fine"
            assert in_flight(runtime) == 0
    assert in_flight(runtime) == 0


@pytest.mark.parametrize("how", ["read", "closed"])
def test_an_instance_is_busy_until_async_httpx_has_read(estate: Estate, how: str) -> None:
    runtime, (a,) = estate("slow")

    async def main() -> None:
        async with resilient.httpx.async_session().stream("GET", "http://orders/x") as response:
            assert in_flight(runtime) == 1
            if how == "read":
                a.release.set()
                assert await response.aread() == b"fine"
                assert in_flight(runtime) == 0
        assert in_flight(runtime) == 0

    asyncio.run(main())


@pytest.mark.parametrize("how", ["read", "closed", "dropped"])
def test_an_instance_is_busy_until_requests_has_read(estate: Estate, how: str) -> None:
    runtime, (a,) = estate("slow")
    response = resilient.requests.session().get("http://orders/x", stream=True)
    assert in_flight(runtime) == 1
    if how == "read":
        a.release.set()
        assert b"".join(response.iter_content(2)) == b"fine"
    elif how == "closed":
        response.close()
    else:
        del response
    assert in_flight(runtime) == 0


def test_a_body_that_breaks_outside_the_call_speaks_against_the_instance(
    session_door: Door, estate: Estate
) -> None:
    runtime, _ = estate("reset after headers")
    with session_door.opened():
        assert session_door.call(name=None) == "broken"
    assert nodes(runtime) == [("healthy", 1, 0)]


# -- coming to an end --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["aiohttp", "httpx-async"])
def test_a_cancelled_request_leaves_nothing_behind(estate: Estate, name: str) -> None:
    runtime, (a,) = estate(("hang", "ok"))
    door = Door(name)

    async def main() -> None:
        task = asyncio.ensure_future(door.function_for("GET", "/x")())
        while not a.reached:
            await asyncio.sleep(0.005)
        assert in_flight(runtime) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert nodes(runtime) == [("healthy", 0, 0)]
        assert await door.function_for("GET", "/x")() == 200  # the pool still works

    asyncio.run(main())
    assert counts(runtime, "orders") == {"success": 1, "void": 1}


@pytest.mark.parametrize("name", ["aiohttp", "httpx-async"])
def test_two_loops_in_two_threads_have_a_session_each(estate: Estate, name: str) -> None:
    runtime, (a,) = estate("ok")
    sessions: list[object] = []
    door = Door(name)

    def work() -> None:
        async def main() -> None:
            with runtime.active():
                for _ in range(20):
                    assert await door.function_for("GET", "/x")() == 200
                make = resilient.aiohttp.session if name == "aiohttp" else resilient.httpx.async_session
                assert make() is make()
                sessions.append(make())

        asyncio.run(main())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(map(id, sessions))) == 2
    assert a.reached == 40
    assert counts(runtime, "orders") == {"success": 40}
    assert nodes(runtime) == [("healthy", 0, 0)]


def test_the_attempt_is_gone_when_the_call_is_over(estate: Estate) -> None:
    estate("ok")
    Door("requests").call()
    assert current_attempt() is None
