"""What a caller has left of its time goes with the call, and bounds what is called on its behalf."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from door_kit import Door, counts
from flaky import Seen, answer

from resilient import CallTimeout, circuit, current_attempt
from resilient.aiohttp import session
from resilient.aiohttp.web import prepare
from resilient.allowed import DEADLINE, MOST, allowed, telling, told
from resilient.asgi import Refusals
from resilient.balanced import balanced
from resilient.circuits.attempt import time_left
from resilient.runtime import Runtime

NAME = DEADLINE.lower()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def test_only_a_plain_number_of_milliseconds_is_believed() -> None:
    assert [told(text) for text in ("0", "1", "250", str(MOST))] == [0.0, 0.001, 0.25, MOST / 1000]
    hostile = [
        "",
        "-1",
        "+1",
        "1.5",
        "1e3",
        " 1",
        "0x1",
        "inf",
        "nan",
        str(MOST + 1),
        "9" * 5000,
        "١٢",
        "1,2",
    ]
    assert [told(text) for text in hostile] == [None] * len(hostile)
    assert told(b"250") == 0.25
    assert told(b"\xd9\xa1") is None


def test_it_is_told_rounded_down_but_never_as_nothing() -> None:
    assert [telling(seconds) for seconds in (0.2509, 0.0001, 0.0, 1e9)] == ["250", "1", "1", str(MOST)]


# -- the way out ---------------------------------------------------------------------------------


def said(seen: Seen) -> int | None:
    return int(seen.headers[NAME]) if NAME in seen.headers else None


@pytest.mark.parametrize("name", ["calls", None])
def test_an_instance_is_told_what_its_try_may_take(session_door: Door, estate: Any, name: str | None) -> None:
    _, (a,) = estate("ok")
    with session_door.opened():
        assert session_door.call(timeout=2.0, name=name) == "200"
        assert session_door.call(timeout=2.0, name=name) == "200"
    most = 2000 if name else 5000
    for seen in a.seen:
        told = said(seen)
        assert told is not None
        assert most - 1000 < told <= most


def test_each_try_is_told_its_own_time(session_door: Door, estate: Any) -> None:
    _, (a, b) = estate("503", "ok")
    with session_door.opened():
        assert session_door.call(timeout=2.0) == "200"
    first, second = said(a.seen[0]), said(b.seen[0])
    assert first is not None
    assert second is not None
    assert first <= 1000 < second <= 2000


def test_other_hosts_are_not_told(session_door: Door, estate: Any) -> None:
    _, (a,) = estate("ok")
    with session_door.opened():
        assert session_door.call(path=f"{a.url}/x") == "200"
        assert session_door.call(path=f"{a.url}/x", headers={DEADLINE: "7"}) == "200"
    assert [said(seen) for seen in a.seen] == [None, None]


def test_nor_is_where_a_redirect_leads(session_door: Door, estate: Any, flaky: Any) -> None:
    elsewhere = flaky.start("ok")
    _, (a,) = estate(lambda seen: answer(302, b"", Location=f"{elsewhere.url}/y"))
    options = {"follow_redirects": True} if session_door.name.startswith("httpx") else {}
    with session_door.opened():
        assert session_door.call(headers={"Authorization": "Bearer secret"}, **options) == "200"
    assert said(a.seen[0]) is not None
    assert [(seen.target, said(seen)) for seen in elsewhere.seen] == [("/y", None)]
    assert "authorization" in a.seen[0].headers
    assert "authorization" not in elsewhere.seen[0].headers


# -- the way in ----------------------------------------------------------------------------------


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[tuple[str, ClientSession]]:
    app = web.Application()
    prepare(app, "front", port=None, host=None, metadata=None, health=None, runtime=Runtime(instances={}))
    app.router.add_get("/", handler)
    async with TestServer(app) as server, ClientSession() as http:
        yield str(server.make_url("/")), http


async def ask(url: str, http: ClientSession, *granted: str) -> tuple[int, str]:
    async with http.get(url, headers=[(DEADLINE, one) for one in granted]) as response:
        return response.status, await response.text()


async def show(request: web.Request) -> web.Response:
    assert current_attempt() is None  # a request is no circuit's call
    return web.Response(text=str(time_left()))


async def test_a_request_that_comes_too_late_is_not_served() -> None:
    served_at_all: list[web.Request] = []

    async def note(request: web.Request) -> web.Response:
        served_at_all.append(request)
        return web.Response()

    async with served(note) as (url, http):
        status, text = await ask(url, http, "0")
        assert (status, served_at_all) == (504, [])
        assert "DeadlineExceeded" in text
        assert (await ask(url, http, "50"))[0] == 200


@pytest.mark.parametrize("granted", ["-1", "soon", str(MOST + 1), "1" * 100])
async def test_what_makes_no_sense_bounds_nothing(granted: str) -> None:
    async with served(show) as (url, http):
        assert await ask(url, http, granted) == (200, "None")
        assert await ask(url, http) == (200, "None")
        _, text = await ask(url, http, "2000")
        assert 1.0 < float(text) <= 2.0


async def test_the_handlers_own_work_is_not_cancelled() -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.1)
        return web.Response(text=f"done, {time_left()}")

    async with served(slow) as (url, http):
        assert await ask(url, http, "20") == (200, "done, 0.0")


async def test_calls_through_circuits_are_given_up_with_the_callers_time_and_nobody_is_to_blame() -> None:
    with Runtime(instances={}).active() as here:
        for timeout in (5, None):
            name = f"inner {timeout}"

            @circuit(name, timeout=timeout)
            async def inner() -> None:
                await asyncio.sleep(3)

            began = time.monotonic()
            with allowed(0.05), pytest.raises(CallTimeout, match=r"longer than 0\.0[5-9]"):
                await inner()
            assert 0.04 < time.monotonic() - began < 1
            assert counts(here, name) == {"void": 1}
            assert here.circuits.get(name).snapshot().in_flight == 0


async def test_a_circuit_in_less_time_than_the_caller_has_is_to_blame_as_ever() -> None:
    with Runtime(instances={}).active() as here:

        @circuit("inner", timeout=0.05)
        async def inner() -> None:
            await asyncio.sleep(3)

        with allowed(2), pytest.raises(CallTimeout):
            await inner()
        assert counts(here, "inner") == {"timeout": 1}


async def test_a_hurried_call_in_a_block_and_in_a_stream() -> None:
    with Runtime(instances={}).active() as here:
        handle = circuit("block", timeout=5).attempt()
        with allowed(0.05), pytest.raises(CallTimeout):
            async with handle:
                await asyncio.sleep(3)
        assert counts(here, "block") == {"void": 1}

        @circuit("stream", timeout=5)
        async def stream() -> AsyncIterator[int]:
            await asyncio.sleep(3)
            yield 1

        with allowed(0.05), pytest.raises(CallTimeout):
            async for _ in stream():
                pass
        assert counts(here, "stream") == {"void": 1}


async def test_what_outlives_the_request_is_not_in_its_hurry() -> None:
    seen: list[float | None] = []

    async def later() -> None:
        await asyncio.sleep(0.02)
        seen.append(time_left())

    with allowed(5):
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    await task
    assert seen == [None]


def test_every_door_gives_up_in_time_and_blames_no_instance(door: Door, estate: Any) -> None:
    runtime, _ = estate("hang", "hang")
    with door.opened(), allowed(0.3):
        for _ in range(3):
            began = time.monotonic()
            assert door.call(timeout=5.0) == "timeout"
            assert time.monotonic() - began < 1.5
    assert set(counts(runtime)) <= {"void"}
    assert {node.state for node in runtime.balancer.nodes("orders")} == {"healthy"}


def test_a_direct_host_outside_any_circuit_is_bounded_too(session_door: Door, estate: Any) -> None:
    _, (a,) = estate("hang")
    began = time.monotonic()
    with session_door.opened(), allowed(0.2):
        assert session_door.call(path=f"{a.url}/x", name=None) == "timeout"
    assert time.monotonic() - began < 1.5


async def test_three_services_in_a_row_share_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []

    async def last(request: web.Request) -> web.Response:
        waits.append(time_left())
        await asyncio.sleep(float(request.query["takes"]))
        return web.Response(text="last")

    def passing_on(to: str) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            waits.append(time_left())
            async with session().get(f"http://{to}/", params=request.query) as response:
                return web.Response(text=f"{to} said {await response.text()}", status=response.status)

        return handler

    async with (
        served(last) as (c, http),
        served(passing_on("c")) as (b, _),
        served(passing_on("b")) as (a, _),
    ):
        runtime = Runtime(instances={"b": [b], "c": [c]})
        monkeypatch.setattr("resilient.runtime._process", runtime)  # what servers find
        status, text = await ask(f"{a}?takes=0", http, "900")
        assert (status, text) == (200, "b said c said last")
        first, second, third = waits
        assert None not in waits
        assert 0.9 >= first > second > third > 0.3  # type: ignore[operator]
        began = time.monotonic()
        status, _ = await ask(f"{a}?takes=3", http, "300")
        assert (status, time.monotonic() - began < 1.5) == (504, True)
        assert {name: counts(runtime, name) for name in ("b", "c")} == {
            "b": {"success": 1, "void": 1},
            "c": {"success": 1, "void": 1},
        }


# -- ASGI ----------------------------------------------------------------------------------------


async def asgi(app: Any, *granted: bytes) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"host", b"x"), *((DEADLINE.lower().encode(), one) for one in granted)]
    await Refusals(app)({"type": "http", "headers": headers}, None, send)
    return sent


async def test_asgi_applications_are_in_the_same_hurry() -> None:
    left: list[float | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        left.append(time_left())

        @circuit("inner", timeout=5)
        async def inner() -> None:
            await asyncio.sleep(3)

        if left[-1] is not None:
            await inner()

    with Runtime(instances={}).active():
        assert await asgi(app) == []
        assert (await asgi(app, b"0"))[0]["status"] == 504
        assert left == [None]
        began = time.monotonic()
        assert (await asgi(app, b"60"))[0]["status"] == 504
        assert time.monotonic() - began < 1


# -- @balanced -----------------------------------------------------------------------------------


async def test_a_balanced_function_can_ask_what_is_left(estate: Any) -> None:
    estate("ok")

    @circuit("calls", timeout=2)
    @balanced("orders")
    async def fetch(base: str) -> float | None:
        return time_left()

    left = await fetch()
    assert left is not None
    assert 1 < left <= 2
    with allowed(0.5):
        left = await fetch()
    assert left is not None
    assert left <= 0.5
