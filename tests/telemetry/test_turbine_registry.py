"""turbine.stream of the registry: what processes pushed, for Hystrix's own tools."""

import asyncio
import json
import random

import aiohttp
import pytest
from aiohttp import web
from hystrix_kinds import RECORDED, kinds

from registry_server import turbine as turbine_module
from registry_server.board import Board
from registry_server.feed.watch import Watch
from registry_server.turbine import Turbine, _source
from resilient.circuits.latency import Histogram
from resilient.clock import ManualClock
from resilient.telemetry.hystrix import command
from resilient.telemetry.turbine import total

WELL = {"name": "orders", "target": "orders", "window": 10.0, "calls": 80, "counts": {"success": 80}}
ILL = {
    **WELL,
    "state": "open",
    "retry_in": 4.0,
    "calls": 20,
    "error_rate": 1.0,
    "counts": {"failure": 20, "short_circuited": 7},
}


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def board(clock):
    return Board(clock)


@pytest.fixture
def turbine(board, clock):
    return Turbine(board._processes.values, clock, readers=2)


def push(board, *circuits, service="shop", instance="a", interval=1.0):
    board.put({"service": service, "instance": instance, "interval": interval, "circuits": list(circuits)})


def events(turbine, cluster="default"):
    return [frame for frame in turbine.frames(cluster) if frame is not None]


def test_W97_two_processes_one_of_them_open(board, turbine) -> None:
    push(board, WELL)
    push(board, ILL, instance="b")
    (event,) = events(turbine)
    assert event["name"] == "orders"
    assert event["isCircuitBreakerOpen"] == {"true": 1, "false": 1}
    assert event["reportingHosts"] == 2
    assert event["rollingCountSuccess"] == 80
    assert event["rollingCountShortCircuited"] == 7
    assert (event["requestCount"], event["errorCount"], event["errorPercentage"]) == (100, 20, 100)
    assert event["x_openForMs"] == 4000


def test_W98_who_falls_silent_leaves_the_sums(board, turbine, clock) -> None:
    push(board, WELL)
    push(board, ILL, instance="b")
    clock.advance(3.0)
    push(board, WELL)
    clock.advance(1.1)  # two intervals and two seconds after b's last word
    (event,) = events(turbine)
    assert (event["reportingHosts"], event["rollingCountFailure"]) == (1, 0)
    assert event["isCircuitBreakerOpen"] is False
    clock.advance(10)
    assert events(turbine) == []


def test_an_event_has_hystrixs_fields_and_types(board, turbine) -> None:
    push(board, WELL)
    (event,) = events(turbine)
    assert kinds(event) == RECORDED["HystrixCommand"]


def test_latencies_are_those_of_the_pushed_histogram(board, turbine) -> None:
    took = Histogram()
    took.add([0.1] * 99 + [0.5])
    push(board, {**WELL, "histogram": took.packed(), "latency": {"mean": 0.104, "max": 0.5}})
    (event,) = events(turbine)
    assert event["latencyExecute"]["50"] == pytest.approx(100, rel=0.02)
    assert event["latencyExecute"]["100"] == pytest.approx(500, rel=0.02)


def test_held_by_hand_and_names_of_any_kind(board, turbine) -> None:
    push(board, {**WELL, "name": 'a"\nb', "state": "forced-open", "mode": "open"})
    (event,) = events(turbine)
    assert event["name"] == 'a"\nb'
    assert event["isCircuitBreakerOpen"] is event["propertyValue_circuitBreakerForceOpen"] is True


def test_a_cluster_is_one_service_and_default_is_all(board, turbine) -> None:
    push(board, WELL)
    push(board, {**WELL, "name": "stock"}, service="cart")
    assert [one["name"] for one in events(turbine, "shop")] == ["orders"]
    assert [one["name"] for one in events(turbine, "cart")] == ["stock"]
    assert [one["name"] for one in events(turbine)] == ["orders", "stock"]


def test_another_turbine_may_add_it_up_again(board, turbine) -> None:
    push(board, WELL)
    push(board, ILL, instance="b")
    again = total([*events(turbine), *events(turbine)])
    assert again["reportingHosts"] == 4
    assert again["isCircuitBreakerOpen"] == {"true": 2, "false": 2}


def test_what_is_kept_from_one_moment_to_the_next_is_what_adding_up_anew_gives(board, turbine, clock) -> None:
    source = _source(turbine, "default")

    def kept():
        return [dict(frame) for frame in source() if frame is not None and "deleteData" not in frame]

    rng = random.Random(3)
    took = Histogram()
    took.add([0.1] * 9)
    latency = {"histogram": took.packed(), "latency": {"mean": 0.1, "max": 0.1}}
    for _ in range(300):
        match rng.randrange(5):
            case 0:
                clock.advance(rng.choice([0.1, 1.0, 3.0, 70.0]))
            case 1:
                board.forget("shop", rng.choice("abc"))
            case _:
                told = [
                    dict(one, **rng.choice([{}, latency]))
                    for one in rng.sample([WELL, ILL], rng.randrange(3))
                ]
                for one in told:
                    one["name"] = rng.choice(["orders", "stock"])
                    one["window"] = rng.choice([10.0, 20.0])
                push(board, *told, instance=rng.choice("abc"), interval=rng.choice([1.0, 15.0]))
        assert kept() == events(turbine)


def test_a_circuit_of_which_nothing_new_was_told_is_not_added_up_again(board, turbine, monkeypatch) -> None:
    source = _source(turbine, "default")
    push(board, WELL, {**WELL, "name": "stock"})
    list(source())
    made = []
    monkeypatch.setattr(turbine_module, "command", lambda facts: made.append(facts.name) or command(facts))
    list(source())
    assert made == []
    push(board, WELL, instance="b")
    list(source())
    assert made == ["orders", "orders"]


async def test_over_http_a_reader_is_told_when_a_circuit_is_no_more(board, clock) -> None:
    watch = Watch(clock)
    turbine = Turbine(board._processes.values, clock, readers=1, watch=watch)
    app = web.Application()
    turbine.install(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/turbine.stream"
    push(board, WELL)

    async def next_event(response):
        while not (line := await response.content.readline()).startswith(b"data:"):
            clock.advance(0.3)
        return json.loads(line[5:])

    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        async with session.get(url, params={"cluster": "nobody"}) as unknown:
            assert unknown.status == 404
        async with session.get(url, params={"cluster": "SHOP", "delay": "100"}) as response:
            assert (response.status, watch.on) == (200, True)
            assert (await next_event(response))["rollingCountSuccess"] == 80
            async with session.get(url) as refused:
                assert refused.status == 503
            board.forget("shop", "a")
            while (event := await next_event(response)).get("deleteData") is None:
                pass
            assert event == {"type": "HystrixCommand", "name": "orders", "deleteData": "true"}
    await runner.cleanup()
    assert watch._here == 0
