"""hystrix.stream: Hystrix's own fields and types, and readers that cost nobody else anything."""

import asyncio
import gc
import json
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from hystrix_kinds import RECORDED, kind, kinds

from resilient.circuits import calls, threads
from resilient.circuits.book import CircuitBook
from resilient.circuits.guard import Guard
from resilient.circuits.latency import Histogram
from resilient.circuits.policy import CircuitPolicy
from resilient.circuits.rescue import Rescue
from resilient.clock import ManualClock
from resilient.telemetry.hystrix import Facts, command, encode, facts, frames
from resilient.telemetry.hystrix_http import handle, handle_asgi
from resilient.telemetry.hystrix_stream import PING, Full, Places, Stream, delay_of, stream_of


class Bench:
    """A book of circuits and a clock that stands still."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.book = CircuitBook(clock=self.clock)

    def guarded(self, name="orders", work=lambda: 1, rescue=None, wrap=calls.sync, **options):
        policy = CircuitPolicy(reset_jitter=0.0, **options)
        return wrap(Guard(name, policy, lambda guard: (self.book.of(guard), True)), work, rescue)

    def events(self):
        return list(frames(self.book, self.book.pools.snapshots(), self.clock.time()))

    def only(self):
        (event,) = self.events()
        return event

    def stream(self, **options):
        async def sleep(seconds):
            self.clock.advance(seconds)
            await asyncio.sleep(0)

        return stream_of(self.book, clock=self.clock, sleep=sleep, **options)


@pytest.fixture
def bench():
    return Bench()


def fails():
    raise OSError("down")


def times(n, call):
    for _ in range(n):
        with suppress(Exception):
            call()


def events_of(data: bytes):
    lines = data.decode().split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


# --- one event


def test_W92_one_call_gives_an_event_with_hystrix_cores_fields_and_whole_numbers(bench) -> None:
    bench.guarded()()
    line = encode(bench.only())
    assert line.startswith(b"data: {")
    assert line.endswith(b"}\n\n")
    assert line.count(b"\n") == 2
    (event,) = events_of(line)
    assert kinds(event) == RECORDED["HystrixCommand"]
    assert list(kinds(event)) == list(RECORDED["HystrixCommand"])
    assert all(kind(value) in ("text", "integer") for name, value in event.items() if name.startswith("x_"))
    assert event["currentTime"] > 2**31
    assert (event["requestCount"], event["rollingCountSuccess"], event["reportingHosts"]) == (1, 1, 1)


def test_W93_a_circuit_that_was_never_called_is_not_there(bench) -> None:
    guard = Guard("idle", CircuitPolicy(), lambda one: (bench.book.of(one), True))
    assert guard.find().state == "closed"
    assert bench.events() == []
    guard.find().open()
    assert bench.only()["isCircuitBreakerOpen"] is True


def test_what_callers_saw_is_counted_in_hystrixs_words(bench) -> None:
    rescue = Rescue(0, None, sync=True, name="orders")
    times(3, bench.guarded(work=fails))
    times(2, bench.guarded(name="orders", work=fails, rescue=rescue))
    event = bench.only()
    assert event["rollingCountFailure"] == event["errorCount"] == event["requestCount"] == 5
    assert event["errorPercentage"] == 100
    assert event["rollingCountFallbackSuccess"] == 2
    assert event["rollingCountFallbackMissing"] == event["rollingCountExceptionsThrown"] == 3


def test_W96_latencies_are_whole_milliseconds_and_0_without_calls(bench) -> None:
    empty = Facts("a", "", 2e9, "open", {}, 0, 0, 0, 0, Histogram())
    assert set(command(empty)["latencyExecute"].values()) == {0}
    assert command(empty)["latencyExecute_mean"] == 0
    slow = bench.guarded(work=lambda: bench.clock.advance(0.25))
    times(10, slow)
    event = bench.only()
    assert event["latencyExecute"]["100"] == event["latencyTotal"]["100"] == 250
    assert event["latencyExecute"]["50"] == pytest.approx(250, rel=0.02)
    assert event["latencyExecute_mean"] == 250


def test_W99_half_open_is_open_to_hystrix_and_told_apart_beside(bench) -> None:
    call = bench.guarded(work=fails, min_calls=2, reset_timeout=5.0)
    times(2, call)
    event = bench.only()
    assert (event["isCircuitBreakerOpen"], event["x_state"], event["x_openForMs"]) == (True, "OPEN", 5000)
    times(1, call)
    assert bench.only()["rollingCountShortCircuited"] == 1
    bench.clock.advance(5.0)
    bench.book.get("orders").breaker.half_open()
    event = bench.only()
    assert (event["isCircuitBreakerOpen"], event["x_state"]) == (True, "HALF_OPEN")


def test_held_by_hand_and_only_observed(bench) -> None:
    bench.guarded()()
    circuit = bench.book.get("orders")
    circuit.open(60)
    event = bench.only()
    assert (event["isCircuitBreakerOpen"], event["x_state"]) == (True, "FORCED_OPEN")
    assert event["propertyValue_circuitBreakerForceOpen"] is True
    circuit.close(60)
    event = bench.only()
    assert (event["isCircuitBreakerOpen"], event["x_state"]) == (False, "FORCED_CLOSED")
    assert event["propertyValue_circuitBreakerForceClosed"] is True
    bench.guarded("watched", observe=True)()
    watched = bench.events()[1]
    assert (watched["x_state"], watched["propertyValue_circuitBreakerEnabled"]) == ("METRICS_ONLY", False)


def test_a_pool_of_threads_is_an_event_of_its_own_once_it_has_worked(bench) -> None:
    call = bench.guarded(wrap=threads.threaded, isolation="thread", pool_size=3, thread_pool="slow ones")
    call()
    commanded, pool = bench.events()
    assert kinds(pool) == RECORDED["HystrixThreadPool"]
    assert list(pool) == list(RECORDED["HystrixThreadPool"])
    assert (pool["name"], pool["currentCorePoolSize"], pool["rollingCountThreadsExecuted"]) == (
        "slow ones",
        3,
        1,
    )
    assert commanded["propertyValue_executionIsolationStrategy"] == "THREAD"
    assert commanded["threadPool"] == "slow ones"


NAMES = st.text(max_size=20) | st.sampled_from(
    ['a"b', "a\nb", "a\r\n\r\ndata: x", "\u2028", "ñ", "\ud800", "\0"]
)


@given(NAMES, NAMES)
def test_W100_any_name_is_one_line_of_json(name: str, group: str) -> None:
    event = command(Facts(name, group, 2e9, "closed", {}, 0, 0, 0, 0, Histogram()))
    line = encode(event)
    assert line.count(b"\n") == 2
    assert b"\r" not in line
    assert json.loads(line[6:])["name"] == name


@given(
    calls=st.integers(0, 10**9),
    bad=st.floats(0, 1),
    seconds=st.none() | st.floats(allow_nan=True),
    rate=st.floats(0, 1),
)
def test_there_is_no_fraction_whatever_the_numbers(calls, bad, seconds, rate) -> None:
    seen = Facts("a", "b", 2e9, "closed", {}, calls, round(bad * calls), 0, 0, Histogram(), timeout=seconds)
    event = command(seen._replace(error_rate=rate, retry_in=seconds, reset_timeout=seconds or 0.0))
    assert kinds(event) == RECORDED["HystrixCommand"]
    assert 0 <= event["errorPercentage"] <= 100


def test_the_most_at_a_time_is_remembered(bench) -> None:
    inner = bench.guarded()
    bench.guarded(work=lambda: inner())()
    assert facts(bench.book.get("orders")).most_in_flight == 2
    assert bench.only()["currentConcurrentExecutionCount"] == 0


# --- readers


async def taken(reader, n):
    return [await anext(reader) for _ in range(n)]


async def test_W93_without_circuits_there_are_pings_at_least_twice_a_second(bench) -> None:
    reader = bench.stream().open(5.0)
    began = bench.clock.monotonic()
    assert await taken(reader, 21) == [PING] * 21
    assert bench.clock.monotonic() - began <= 10.0


async def test_each_moment_has_all_circuits_and_ends_with_a_ping(bench) -> None:
    for n in range(40):
        bench.guarded(f"circuit-{n}")()
    reader = bench.stream().open(0.5)
    data = b"".join(await taken(reader, 3))
    assert data.endswith(PING)
    assert [event["name"] for event in events_of(data)] == [f"circuit-{n}" for n in range(40)]


async def test_readers_share_a_moment_but_never_get_an_old_one(bench) -> None:
    bench.guarded()()
    stream = bench.stream()
    one, other = stream.open(60.0), stream.open(60.0)
    assert await anext(one) is await anext(other)
    bench.clock.advance(0.3)
    (late,) = events_of(await anext(stream.open(60.0)))
    assert late["currentTime"] == int(bench.clock.time() * 1000)


async def test_W94_the_sixth_is_refused_until_one_of_the_five_leaves(bench) -> None:
    stream = bench.stream()
    readers = [stream.open() for _ in range(5)]
    with pytest.raises(Full, match="no more than 5"):
        stream.open()
    readers[0].close()
    readers[0].close()
    readers[0] = stream.open()
    del readers[0]  # forgotten, not closed
    gc.collect()
    assert stream.places.taken == 4


async def test_one_that_leaves_while_a_moment_is_made_spoils_it_for_nobody() -> None:
    def source():
        for n in range(50):
            clock.advance(0.01)
            yield {"type": "HystrixCommand", "name": str(n)}

    clock = ManualClock()
    stream = Stream(source, clock=clock)
    first, second = (asyncio.create_task(anext(stream.open())) for _ in range(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    assert len(events_of(await second)) == 50
    await asyncio.sleep(0)
    assert stream.places.taken == 1


async def test_a_moment_is_made_in_slices() -> None:
    clock, others = ManualClock(), 0

    def source():
        for n in range(100):
            clock.advance(0.001)
            yield {"name": str(n)} if n % 2 else None

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    data = await anext(Stream(source, clock=clock).open())
    task.cancel()
    assert len(events_of(data)) == 50
    assert others >= 30


async def test_closed_it_ends_and_takes_no_more(bench) -> None:
    stream = bench.stream()
    reader = stream.open(5.0)
    await anext(reader)
    stream.close()
    assert [piece async for piece in reader] == []
    with pytest.raises(Full, match="shutting down"):
        stream.open()
    assert stream.places.taken == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2000", 2.0), ("1", 0.1), ("9e9", 60.0), ("", 0.5), (None, 0.5), ("x", 0.5), ("nan", 0.5), ("-5", 0.5)],
)
def test_the_delay_is_in_milliseconds_and_bounded(text, seconds) -> None:
    assert delay_of(text) == seconds


# --- over HTTP


class Served:
    def __init__(self, stream, **options):
        async def answer(request):
            return await handle(request, stream, **options)

        app = web.Application()
        app.router.add_get("/hystrix.stream", answer)
        self.runner = web.AppRunner(app)

    async def __aenter__(self):
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.session = aiohttp.ClientSession(read_bufsize=1024)
        port = site._server.sockets[0].getsockname()[1]
        return self.session, f"http://127.0.0.1:{port}/hystrix.stream"

    async def __aexit__(self, *_):
        await self.session.close()
        await self.runner.cleanup()


async def test_over_aiohttp_with_hystrixs_headers_and_503_for_the_one_too_many(bench) -> None:
    bench.guarded()()
    stream = stream_of(bench.book, places=Places(1))
    async with Served(stream) as (session, url), session.get(url, params={"delay": "100"}) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream;charset=UTF-8"
        assert response.headers["Cache-Control"] == "no-cache, no-store, max-age=0, must-revalidate"
        assert response.headers["Pragma"] == "no-cache"
        assert "Access-Control-Allow-Origin" not in response.headers
        data = await response.content.readuntil(PING)
        assert events_of(data)[0]["name"] == "orders"
        async with session.get(url) as refused:
            assert refused.status == 503
            assert "no more than 1" in await refused.text()
        response.close()
        async with asyncio.timeout(5):
            while stream.places.taken:
                await asyncio.sleep(0.01)
        async with session.get(url) as again:
            assert again.status == 200


async def test_W95_who_does_not_read_is_cut_off_and_holds_up_nobody() -> None:
    big = [{"type": "HystrixCommand", "name": "x" * 1000}] * 20000
    stream = Stream(lambda: big)
    async with Served(stream, patience=0.3) as (session, url), session.get(url) as idle:
        async with session.get(url) as reads:
            size = 0
            async with asyncio.timeout(20):
                async for data in reads.content.iter_any():
                    size += len(data)
                    if size > 25_000_000:
                        break
        async with asyncio.timeout(20):
            while stream.places.taken:
                await asyncio.sleep(0.05)
        assert idle.status == 200


async def test_over_asgi_until_the_client_disconnects(bench) -> None:
    bench.guarded()()
    stream = stream_of(bench.book, places=Places(1))
    sent, gone = [], asyncio.Event()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if message.get("body"):
            gone.set()

    scope = {"type": "http", "method": "GET", "query_string": b"delay=100"}
    await asyncio.wait_for(handle_asgi(scope, receive, send, stream), 5)
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"pragma"]) == (200, b"no-cache")
    assert events_of(sent[1]["body"])[0]["name"] == "orders"
    assert stream.places.taken == 0
    with_one = stream.open()
    sent.clear()
    await handle_asgi(scope, receive, send, stream)
    assert sent[0]["status"] == 503
    with_one.close()
