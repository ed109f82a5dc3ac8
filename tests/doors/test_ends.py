"""What is left when a loop, a runtime or a process ends: nothing, and no complaint."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Callable

import aiohttp
import pytest
from flaky import Flaky, Servers

import resilient.aiohttp
import resilient.httpx
import resilient.requests
from resilient import ConfigError, Runtime
from resilient.aiohttp import make_session

Estate = Callable[..., tuple[Runtime, list[Flaky]]]


def test_the_loops_end_closes_its_session(estate: Estate) -> None:
    estate("ok")

    async def main() -> aiohttp.ClientSession:
        async with resilient.aiohttp.session().get("http://orders/x") as response:
            await response.read()
        return resilient.aiohttp.session()

    session = asyncio.run(main())
    assert session.closed
    assert asyncio.run(main()) is not session


async def test_the_runtimes_end_closes_this_loops_session(estate: Estate) -> None:
    runtime, _ = estate("ok")
    session, client = resilient.aiohttp.session(), resilient.httpx.async_session()
    assert resilient.aiohttp.session() is session
    await runtime.aclose()
    assert session.closed
    assert client.is_closed
    assert not resilient.aiohttp.session().closed  # the next one
    await runtime.aclose()


def test_a_session_outside_a_coroutine_says_how() -> None:
    with pytest.raises(ConfigError, match="belongs in a coroutine"):
        resilient.aiohttp.session()
    with pytest.raises(ConfigError, match="belongs in a coroutine"):
        resilient.httpx.async_session()


def test_plain_sessions_are_shared(estate: Estate) -> None:
    assert resilient.httpx.session() is resilient.httpx.session()
    assert resilient.requests.session() is resilient.requests.session()


async def test_a_session_of_ones_own(estate: Estate) -> None:
    seen: list[str] = []

    async def mine(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        seen.append(request.url.host or "")
        return await handler(request)

    _, (a,) = estate("ok")
    async with make_session(middlewares=[mine], headers={"X-Mine": "1"}) as http:
        async with http.get("http://orders/x") as response:
            assert response.status == 200
            assert str(response.url) == "http://orders/x"
    assert a.seen[0].headers["x-mine"] == "1"
    assert seen == ["127.0.0.1"]  # inside ours: it sees each try


async def test_a_connection_that_closes_as_it_is_used_again_is_no_failure(estate: Estate) -> None:
    """aiohttp repeats such a request by itself; in our own session we do, on the same instance."""
    runtime, (a,) = estate("keep once")
    async with make_session() as http:
        for _ in range(4):
            async with http.get("http://orders/x") as response:
                assert await response.read() == b"fine"
    (one,) = runtime.balancer.nodes("orders")
    assert (one.failures, one.success) == (0, 1.0)
    assert a.connections == 4


async def test_a_post_on_such_a_connection_is_not_repeated(estate: Estate) -> None:
    _, (a,) = estate("keep once")
    async with make_session() as http:
        async with http.post("http://orders/x", data=b"x") as response:
            await response.read()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.post("http://orders/x", data=b"x")
    assert a.reached == 2


async def test_a_connection_that_stands_still_is_given_up(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resilient.aiohttp.tries.PATIENCE", 0.1)
    runtime, (slow, hang) = estate("slow", "hang")
    async with make_session() as http:
        for url in ("http://orders/x", f"{slow.url}/x"):
            async with http.get(url) as response:
                with pytest.raises(aiohttp.SocketTimeoutError, match=r"nothing came for 0\.1s"):
                    await response.read()
        assert [node.in_flight for node in runtime.balancer.nodes("orders")] == [0, 0]
        assert runtime.balancer.nodes("orders")[0].failures == 1
        with pytest.raises(TimeoutError):
            await http.get(f"{hang.url}/x")


async def test_case_80_a_response_that_nobody_kept_is_given_up(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiohttp's own connection holds it, so no finaliser comes: only the silence tells."""
    monkeypatch.setattr("resilient.aiohttp.tries.PATIENCE", 0.05)
    runtime, _ = estate("slow")
    async with make_session() as http:
        await http.get("http://orders/x")
        async with asyncio.timeout(20):
            while runtime.balancer.nodes("orders")[0].in_flight:
                await asyncio.sleep(0.01)


async def test_a_slow_body_is_no_standstill(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resilient.aiohttp.tries.PATIENCE", 0.05)  # a drop comes each 10 ms
    estate("drip")
    async with make_session() as http, http.get("http://orders/x") as response:
        assert await response.read() == b".........."


async def test_many_at_once_leave_no_instance_busy(estate: Estate) -> None:
    runtime, instances = estate("ok", "ok", "ok", rule="two_choices")

    async def one(index: int) -> None:
        async with asyncio.timeout(0.001 * (index % 7)) if index % 2 else asyncio.timeout(5):
            async with resilient.aiohttp.session().get("http://orders/x") as response:
                await response.read()

    await asyncio.gather(*(one(index) for index in range(100)), return_exceptions=True)
    assert [node.in_flight for node in runtime.balancer.nodes("orders")] == [0, 0, 0]
    async with resilient.aiohttp.session().get("http://orders/x") as response:
        assert response.status == 200
    assert sum(one.reached for one in instances) >= 51


PROGRAM = """
    import asyncio, sys
    from resilient import Runtime, circuit
    from resilient.aiohttp import session
    from resilient.httpx import async_session

    @circuit
    async def ask() -> int:
        async with session().get("http://orders/x") as response:
            return response.status

    async def main():
        with Runtime(instances={"orders": [sys.argv[1]]}).active():
            print(await ask(), (await async_session().get("http://orders/x")).status_code)

    asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_program_ends_without_a_complaint(flaky: Servers, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    one = flaky.start("ok")
    program = textwrap.dedent(PROGRAM)
    if loop == "uvloop":
        program = program.replace("asyncio.run(main())", "import uvloop; uvloop.run(main())")
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", program, one.url], capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr) == ("200 200\n", "")
    assert done.returncode == 0
