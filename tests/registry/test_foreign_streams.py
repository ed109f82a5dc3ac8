"""Hystrix streams of services that are not ours: read while somebody looks, and never trusted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace
from random import Random

import aiohttp
import pytest
from aiohttp import web

from registry_server import foreign
from registry_server.app import running
from registry_server.foreign import Foreign, source_of
from registry_server.foreign_rows import MOST_OF_ONE, STALE_AFTER, ForeignRows, read_event
from registry_server.settings import Settings
from resilient.circuits import calls
from resilient.circuits.book import CircuitBook
from resilient.circuits.guard import Guard
from resilient.circuits.policy import CircuitPolicy
from resilient.clock import SYSTEM
from resilient.errors import WireError
from resilient.model import Instance
from resilient.telemetry.hystrix import frames
from resilient.telemetry.hystrix_http import handle
from resilient.telemetry.hystrix_stream import stream_of

PATH = "/actuator/hystrix.stream"
JAVA = Instance(
    service="shop",
    id="shop-1",
    host="shop.example",
    port=8080,
    address="10.1.2.3",
    metadata={foreign.KEY: PATH},
)


def fails() -> None:
    raise OSError("down")


def event(name="pay", **changes) -> dict:
    """As hystrix-core writes one, of a command that is called."""
    book = CircuitBook()
    guard = Guard(name, CircuitPolicy(timeout=1.5), lambda one: (book.of(one), True))
    work = calls.sync(guard, lambda: 1, None)
    for _ in range(4):
        work()
    with contextlib.suppress(OSError):
        calls.sync(guard, fails, None)()
    (found,) = frames(book, (), 1000.0)
    own = {key: value for key, value in found.items() if not key.startswith("x_")}
    return {**own, "group": "bank", **changes}


def word(now=100.0, **changes):
    found = read_event(json.dumps(event(**changes)), now)
    assert found is not None
    return found


# --- rows


def test_rows_of_two_hosts_are_summed_and_their_percentiles_are_not_merged() -> None:
    rows = ForeignRows(lambda name: name == "bank")
    slow = {"50": 20, "90": 40, "95": 60, "99": 80, "99.5": 90, "100": 99}
    quick = {**slow, "99": 30}
    rows.take("shop", "a", word(latencyTotal=slow, latencyTotal_mean=30, rollingCountTimeout=2))
    rows.take("shop", "b", word(latencyTotal=quick, latencyTotal_mean=10, isCircuitBreakerOpen=True))
    (row,) = rows.rows(101.0)
    assert (row["service"], row["name"], row["target"], row["foreign"], row["merged"]) == (
        "shop", "pay", "bank", True, False,
    )  # fmt: skip
    assert (row["counts"]["success"], row["counts"]["failure"], row["counts"]["timeout"]) == (8, 2, 2)
    assert (row["state"], row["on"], row["states"]) == ("open", 1, {"closed": 1, "open": 1})
    assert (row["latency"]["p99"], row["latency"]["mean"]) == (0.08, 0.02)
    assert (row["rate"], row["error_rate"], row["timeout"]) == (1.2, 4 / 12, 1.5)
    found = rows.detail("shop", "pay", 101.0, 5000.0)
    assert found is not None
    assert [(one["instance"], one["latencyMs"]["p99"]) for one in found["hosts"]] == [("a", 80), ("b", 30)]


def test_who_falls_silent_leaves_the_sums_and_is_forgotten_later() -> None:
    rows = ForeignRows()
    rows.take("shop", "a", word(100.0))
    rows.take("shop", "b", word(100.0 + STALE_AFTER))
    (row,) = rows.rows(101.0 + STALE_AFTER)
    assert (row["processes"], row["silent"], row["counts"]["success"]) == (1, ["a"], 4)
    rows.tick(161.0)
    (row,) = rows.rows(161.0)
    assert row["silent"] == ["b"]
    rows.tick(170.0)
    assert (list(rows.rows(170.0)), len(rows)) == ([], 0)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"isCircuitBreakerOpen": "true"}, "open"),
        ({"propertyValue_circuitBreakerForceOpen": True}, "forced-open"),
        ({"propertyValue_circuitBreakerForceClosed": "true"}, "forced-closed"),
        ({"x_state": "HALF_OPEN"}, "half-open"),
        ({"x_state": "<b>"}, "closed"),
        ({"isCircuitBreakerOpen": {"true": 1}}, "closed"),
    ],
)
def test_states(changes, state) -> None:
    assert word(**changes).state == state


@pytest.mark.parametrize("evil", [-1, 1e300, "7", None, True, [], {}])
def test_numbers_that_are_none_count_nothing(evil) -> None:
    found = word(rollingCountSuccess=evil, currentConcurrentExecutionCount=evil, latencyTotal=evil)
    assert (found.counts["success"], found.in_flight, any(found.latency.values())) == (0, 0, False)
    assert word(propertyValue_metricsRollingStatisticalWindowInMilliseconds=evil).rate >= 0


@pytest.mark.parametrize(
    "text",
    [
        '{"HystrixCommand"',
        '"HystrixCommand"' * 3,
        '{"type":"HystrixCommand"}',
        json.dumps({"type": "HystrixCommand", "name": "n" * 300}),
        '{"a":"HystrixCommand","b":' + "[" * 5000,
    ],
)
def test_garbage_is_an_error(text) -> None:
    with pytest.raises(WireError):
        read_event(text, 0.0)


def test_other_events_are_nobodys() -> None:
    assert read_event('{"type":"HystrixThreadPool","name":"p"}', 0.0) is None
    assert read_event('{"type":"x","name":"HystrixCommand"}', 0.0) is None
    assert read_event('["HystrixCommand"]', 0.0) is None


def test_a_stream_has_so_many_circuits() -> None:
    rows = ForeignRows()
    one = word()
    for number in range(MOST_OF_ONE + 5):
        one.name = f"c{number}"
        rows.take("shop", "a", one)
    assert len(rows) == MOST_OF_ONE


# --- whom it asks


def test_an_address_is_the_instances_own() -> None:
    found = source_of(JAVA, loopback=False)
    assert found is not None
    assert str(found.url) == "http://10.1.2.3:8080/actuator/hystrix.stream?delay=1000"
    six = source_of(replace(JAVA, address="fd00::1", secure=True), loopback=False)
    assert six is not None
    assert str(six.url).startswith("https://[fd00::1]:8080/")


@pytest.mark.parametrize(
    "path",
    ["", "hystrix.stream", "//evil/hystrix.stream", "http://evil/hystrix.stream", "/../hystrix.stream",
     "/admin", "/a/%2e%2e/hystrix.stream", "/hystrix.stream?a=1", "/hystrix.stream#", "/a@b/hystrix.stream",
     "/hystrix.stream\n", "/" + "a/" * 9 + "hystrix.stream", "/shutdown/hystrix.streams"],
)  # fmt: skip
def test_paths_that_are_not_asked(path) -> None:
    assert source_of(replace(JAVA, metadata={foreign.KEY: path}), loopback=True) is None


@pytest.mark.parametrize(
    "address",
    ["", "shop.example", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1",
     "::1", "::", "fe80::1", "fe80::1%eth0", "::ffff:127.0.0.1", "ff02::1", "0x7f000001", "2130706433",
     "127.1"],
)  # fmt: skip
def test_addresses_that_are_not_asked(address) -> None:
    assert source_of(replace(JAVA, address=address), loopback=False) is None


# --- reading


class Script:
    """A server that answers as it is told, and counts."""

    def __init__(self, answer) -> None:
        self.asked = 0
        self.hits: list[str] = []
        self._answer = answer

    async def __aenter__(self):
        async def hit(request):
            self.asked += 1
            self.hits.append(request.path)
            assert "Authorization" not in request.headers
            assert "Cookie" not in request.headers
            return await self._answer(request)

        app = web.Application()
        app.router.add_get("/{path:.*}", hit)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.port = self.runner.addresses[0][1]
        return self

    async def __aexit__(self, *_):
        await self.runner.cleanup()

    @property
    def instance(self) -> Instance:
        return replace(JAVA, address="127.0.0.1", port=self.port)


@contextlib.asynccontextmanager
async def reading(*instances, most=foreign.MOST):
    slept: list[float] = []

    async def sleep(seconds):
        slept.append(seconds)
        await asyncio.sleep(0.001 if len(slept) < 6 else 60)

    one = Foreign(SYSTEM, Random(1), watched=lambda: one.looks, loopback=lambda: True, most=most, sleep=sleep)
    one.looks, one.slept = True, slept
    for instance in instances:
        one.know(instance)
    one.tick()
    try:
        yield one
    finally:
        await one.close()


async def until(what, within=5.0):
    async with asyncio.timeout(within):
        while not (found := what()):
            await asyncio.sleep(0.005)
        return found


async def streamed(request, *pieces, content_type="text/event-stream;charset=UTF-8", stay=True):
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            await response.write(piece)
        if stay:
            await asyncio.sleep(30)
    return response


async def test_the_pages_show_what_a_stream_says() -> None:
    book = CircuitBook()
    work = calls.sync(Guard("pay", CircuitPolicy(), lambda one: (book.of(one), True)), lambda: 1, None)
    work()
    async with (
        Script(lambda request: handle(request, stream_of(book))) as java,
        running(Settings(port=0)) as registry,
        aiohttp.ClientSession() as session,
    ):
        body = {"instance": {"instanceId": "j1", "app": "SHOP", "hostName": "h", "ipAddr": "127.0.0.1",
            "vipAddress": "shop", "status": "UP", "port": {"$": java.port, "@enabled": "true"},
            "dataCenterInfo": {"@class": "x", "name": "MyOwn"}, "metadata": {foreign.KEY: PATH}}}  # fmt: skip
        async with session.post(f"{registry.url}apps/SHOP", json=body) as answer:
            assert answer.status == 204
        registry.foreign.tick()
        await asyncio.sleep(0.05)
        assert java.asked == 0  # nobody looks
        registry.feed.watch.enter()
        registry.foreign.tick()
        await until(lambda: list(registry.source.circuits()))
        assert java.hits == [PATH]
        base = registry.url.partition("/eureka")[0]
        async with session.get(f"{base}/ui/data/circuits") as answer:
            (row,) = (await answer.json())["rows"]
        assert (row["id"], row["foreign"], row["merged"], row["hosts"]) == ("shop/:pay", True, False, 1)
        async with session.get(f"{base}/ui/data/circuits/shop%2F:pay") as answer:
            found = await answer.json()
        assert (found["foreign"], [one["instance"] for one in found["hostsBy"]]) == (True, ["j1"])
        async with session.get(f"{base}/resilient/v1/circuits") as answer:
            assert [one["foreign"] for one in await answer.json()] == [True]
        registry.feed.watch.leave()
        async with session.delete(f"{registry.url}apps/SHOP/j1") as answer:
            assert answer.status == 200
        registry.foreign.tick()
        assert (registry.foreign.sources, list(registry.source.circuits())) == ([], [])


async def test_a_redirect_is_not_followed() -> None:
    async def away(request):
        return web.Response(status=302, headers={"Location": "/elsewhere/hystrix.stream"})

    async with Script(away) as server, reading(server.instance) as one:
        await until(lambda: server.asked >= 3)
        assert set(server.hits) == {PATH}
        assert await until(lambda: one.sources[0].error) == "it answered 302"


@pytest.mark.parametrize(
    ("pieces", "type", "error"),
    [
        ([b"data: " + b"x" * 200_000], "text/event-stream", "a line of the event stream is longer"),
        ([b"data: y\n" * 20_000], "text/event-stream", "an event of the stream is longer"),
        ([b": quiet\n" * 400_000], "text/event-stream", "it says too much"),
        ([b'data: {"type":"HystrixCommand"\n\n'], "text/event-stream", "an event is no JSON"),
        ([b"\xff\xfe\x00 HystrixCommand"], "text/plain", "it is no event stream"),
        ([b"<html>"], "text/html", "it is no event stream"),
    ],
)
async def test_what_is_odd_ends_the_connection_and_is_asked_less_and_less(pieces, type, error) -> None:
    async def odd(request):
        return await streamed(request, *pieces, content_type=type)

    async with Script(odd) as server, reading(server.instance) as one:
        await until(lambda: len(one.slept) >= 6)
        assert one.sources[0].error.startswith(error)
        assert len(one.rows) == 0
        for number, seconds in enumerate(one.slept[:6], 1):
            longest = min(foreign.LONGEST, foreign.AGAIN * 2**number)
            assert longest / 2 <= seconds <= longest


async def test_a_compressed_stream_is_not_unpacked() -> None:
    async def packed(request):
        headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
        return web.Response(body=b"\x1f\x8b", headers=headers)

    async with Script(packed) as server, reading(server.instance) as one:
        assert await until(lambda: one.slept and one.sources[0].error) == "it is no event stream"


async def test_so_many_at_once_and_only_while_somebody_looks() -> None:
    async def silent(request):
        return await streamed(request)

    async with Script(silent) as server:
        many = [replace(server.instance, id=f"i{n}") for n in range(8)]
        async with reading(*many, most=3) as one:
            await until(lambda: server.asked == 3)
            one.tick()
            assert len(one.sources) == 3
            one.looks = False
            one.tick()
            assert one.sources == []
            await asyncio.sleep(0.05)
            assert server.asked == 3
