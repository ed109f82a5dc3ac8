"""Traces: a span for each protected call, one for each try, and nothing at all until it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
import logging
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import httpx
import pytest
import requests
import structlog

import resilient.aiohttp
import resilient.httpx
import resilient.requests
from resilient import CallTimeout, CircuitOpen, Runtime, circuit
from resilient.balanced import balanced
from resilient.telemetry import logs, otel, otel_seams

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    otel.enable(tracer_provider=provider)
    exporter.provider = provider
    yield exporter
    otel.disable()


def only(spans):
    (span,) = spans.get_finished_spans()
    return span


@pytest.fixture
def runtime():
    with Runtime(instances={}).active() as runtime:
        yield runtime


class Servers:
    """Two instances of a service; answers are taken from one script, whoever is asked."""

    def __init__(self, *script: int) -> None:
        self.script = list(script)
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(outer.script.pop(0) if outer.script else 200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self.ports = [server.server_port for server in self.servers]

    def close(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def servers():
    made = []

    @contextlib.contextmanager
    def servers(*script: int):
        one = Servers(*script)
        made.append(one)
        with Runtime(instances={"orders": [f"http://127.0.0.1:{port}" for port in one.ports]}).active():
            yield one

    yield servers
    for one in made:
        one.close()


async def by_aiohttp(url: str) -> int:
    async with resilient.aiohttp.make_session() as session, session.get(url) as response:
        return response.status


async def by_aiohttp_middleware(url: str) -> int:
    async with aiohttp.ClientSession(middlewares=[resilient.aiohttp.middleware]) as session:
        async with session.get(url) as response:
            return response.status


def by_httpx(url: str) -> int:
    with httpx.Client(transport=resilient.httpx.Balanced()) as client:
        return client.get(url).status_code


async def by_httpx_async(url: str) -> int:
    async with httpx.AsyncClient(transport=resilient.httpx.AsyncBalanced()) as client:
        return (await client.get(url)).status_code


def by_requests(url: str) -> int:
    with resilient.requests.make_session() as session:
        return session.get(url).status_code


DOORS = [by_aiohttp, by_aiohttp_middleware, by_httpx, by_httpx_async, by_requests]


def run(call, *args):
    return asyncio.run(call(*args)) if inspect.iscoroutinefunction(call) else call(*args)


# --- through the doors


@pytest.mark.parametrize("fetch", DOORS)
@pytest.mark.parametrize("protected", [True, False], ids=["circuit", "session alone"])
def test_25_a_call_with_a_second_try_is_three_spans(spans, servers, fetch, protected) -> None:
    call = circuit("shop.order")(fetch) if protected else fetch
    with servers(503) as there:
        assert run(call, "http://orders/orders/7") == 200
    first, second, whole = spans.get_finished_spans()
    assert (first.kind, second.kind, whole.kind) == (SpanKind.CLIENT, SpanKind.CLIENT, SpanKind.INTERNAL)
    assert whole.name == ("shop.order" if protected else "orders")
    assert whole.attributes["resilient.circuit"] == whole.name
    assert whole.attributes["resilient.circuit.state"] == "closed"
    assert whole.attributes["resilient.service"] == "orders"
    assert whole.attributes["resilient.outcome"] == "success"
    assert whole.attributes["resilient.tries"] == 2
    assert whole.status.status_code is StatusCode.UNSET
    assert [one.name for one in whole.events] == ["retry"]
    assert dict(whole.events[0].attributes) == {"reason": "503", "delay": 0.0}
    assert first.parent.span_id == second.parent.span_id == whole.context.span_id
    assert (first.name, second.name) == ("GET", "GET")
    assert first.attributes["http.response.status_code"] == 503
    assert (first.attributes["error.type"], first.status.status_code) == ("503", StatusCode.ERROR)
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert second.attributes["http.response.status_code"] == 200
    assert second.attributes["http.request.method"] == "GET"
    assert second.status.status_code is StatusCode.UNSET
    assert {one.attributes["server.port"] for one in (first, second)} == set(there.ports)
    assert first.attributes["server.address"] == "127.0.0.1"
    told = [one["traceparent"].split("-")[1:3] for one in there.headers]
    assert told == [
        [format_trace_id(one.context.trace_id), format_span_id(one.context.span_id)]
        for one in (first, second)
    ]
    assert told[0][1] != told[1][1]


@pytest.mark.parametrize("fetch", DOORS)
def test_an_instance_that_cannot_be_reached_is_an_error_of_its_try_alone(spans, servers, fetch) -> None:
    with servers() as there:
        for server in there.servers:
            server.shutdown()
            server.server_close()
        with pytest.raises(Exception) as caught:
            run(circuit("shop.order")(fetch), "http://orders/orders/7")
        there.servers.clear()
    *tries, whole = spans.get_finished_spans()
    assert len(tries) == 2
    assert {one.status.status_code for one in tries} == {StatusCode.ERROR}
    assert all(one.attributes["error.type"] for one in tries)
    assert whole.status.status_code is StatusCode.ERROR
    assert type(caught.value).__name__ in whole.attributes["error.type"]
    assert whole.attributes["resilient.outcome"] == "failure"


@pytest.mark.parametrize("fetch", DOORS)
def test_nothing_is_told_and_nothing_traced_once_it_is_switched_off(spans, servers, fetch) -> None:
    call = circuit("shop.order")(fetch)
    otel.disable()
    with servers(503) as there:
        assert run(call, "http://orders/orders/7") == 200
    assert spans.get_finished_spans() == ()
    assert len(there.headers) == 2
    assert all("traceparent" not in one for one in there.headers)


def test_a_door_used_before_is_traced_from_then_on(spans, servers) -> None:
    otel.disable()
    with servers() as there:
        client = httpx.Client(transport=resilient.httpx.Balanced())
        call = circuit("shop.order")(lambda: client.get("http://orders/"))
        assert client.get("http://orders/").status_code == 200
        otel.enable(tracer_provider=spans.provider)
        call()
        client.get("http://orders/")
        client.close()
    assert ["traceparent" in one for one in there.headers] == [False, True, True]
    names = [span.name for span in spans.get_finished_spans() if span.kind is SpanKind.INTERNAL]
    assert names == ["shop.order", "orders"]


# --- calls


def fails() -> None:
    raise OSError("http://user:hunter2@host is down\n")


def test_an_error_that_the_caller_sees_makes_the_span_one(spans, runtime) -> None:
    with pytest.raises(OSError):
        circuit("a")(fails)()
    span = only(spans)
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "OSError"
    assert span.attributes["resilient.outcome"] == "failure"
    (event,) = span.events
    assert event.name == "exception"
    assert "hunter2" not in str(event.attributes) + str(span.status.description)
    assert event.attributes["exception.message"].isprintable()


def test_a_fallback_that_had_an_answer_is_fine(spans, runtime) -> None:
    assert circuit("a", fallback=lambda: 7)(fails)() == 7
    span = only(spans)
    assert span.status.status_code is StatusCode.OK
    assert span.attributes["resilient.fallback"] == "success"
    assert span.attributes["resilient.outcome"] == "failure"


def test_a_fallback_that_had_none_is_not(spans, runtime) -> None:
    def also() -> None:
        raise KeyError("too")

    with pytest.raises(OSError):
        circuit("a", fallback=also)(fails)()
    span = only(spans)
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["resilient.fallback"] == "failure"


@pytest.mark.parametrize("default", [None, []])
def test_refused_and_answered_by_a_default(spans, runtime, default) -> None:
    call = circuit("a", default=default)(fails)
    call.open()
    assert call() == default
    span = only(spans)
    assert span.attributes["resilient.outcome"] == "short_circuited"
    assert span.attributes["resilient.circuit.state"] == "open"
    assert span.attributes["resilient.fallback"] == "success"
    assert span.status.status_code is StatusCode.OK


def test_refused(spans, runtime) -> None:
    call = circuit("a")(fails)
    call.open()
    with pytest.raises(CircuitOpen):
        call()
    span = only(spans)
    assert span.attributes["resilient.outcome"] == "short_circuited"
    assert span.attributes["error.type"] == "resilient.errors.CircuitOpen"


def test_the_turn_of_a_circuit_is_an_event_of_the_call_that_made_it(spans, runtime) -> None:
    call = circuit("a", min_calls=2)(fails)
    for _ in range(2):
        with pytest.raises(OSError):
            call()
    first, second = spans.get_finished_spans()
    assert [one.name for one in first.events] == ["exception"]
    assert [one.name for one in second.events] == ["circuit.opened", "exception"]


async def test_too_late(spans, runtime) -> None:
    @circuit("a", timeout=0.01)
    async def slow() -> None:
        await asyncio.sleep(10)

    with pytest.raises(CallTimeout):
        await slow()
    span = only(spans)
    assert [one.name for one in span.events] == ["timeout", "exception"]
    assert span.attributes["resilient.outcome"] == "timeout"


async def test_given_up_by_its_caller_is_nobodys_error(spans, runtime) -> None:
    @circuit("a")
    async def slow() -> None:
        await asyncio.sleep(10)

    task = asyncio.create_task(slow())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    span = only(spans)
    assert (span.attributes["resilient.outcome"], span.status.status_code) == ("void", StatusCode.UNSET)


async def test_calls_at_the_same_time_keep_their_own_spans(spans, runtime) -> None:
    @circuit("inner")
    async def inner(n: int) -> int:
        await asyncio.sleep(0.01 * (5 - n))
        return n

    @circuit("outer")
    async def outer(n: int) -> int:
        return await inner(n)

    assert await asyncio.gather(*(outer(n) for n in range(5))) == list(range(5))
    spans_of = {span.context.span_id: span for span in spans.get_finished_spans()}
    inners = [span for span in spans_of.values() if span.name == "inner"]
    assert len({span.parent.span_id for span in inners}) == 5
    assert {spans_of[span.parent.span_id].name for span in inners} == {"outer"}
    assert {span.attributes["resilient.outcome"] for span in spans_of.values()} == {"success"}


def test_functions_stay_what_they_were(spans, runtime) -> None:
    class Shop:
        @circuit("method")
        def price(self, sku: str) -> str:
            """What it costs."""
            return sku

        @circuit("quick")
        async def soon(self) -> int:
            return 1

    assert Shop().price("a") == "a"
    assert Shop.price.__doc__ == "What it costs."
    assert Shop.price.state == "closed"
    assert inspect.iscoroutinefunction(Shop().soon)
    assert asyncio.run(Shop().soon.options(timeout=1)()) == 1
    before = Shop.price.func
    otel.disable()
    assert Shop.price.func is before.bare
    assert Shop().price("b") == "b"
    assert [span.name for span in spans.get_finished_spans()] == ["method", "quick"]


def test_lines_of_a_traced_call_name_its_trace(spans, runtime) -> None:
    out = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(stream=out)
    try:
        circuit("a")(lambda: logging.getLogger("mine").warning("inside"))()
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
    line, span = json.loads(out.getvalue()), only(spans)
    assert line["trace_id"] == format_trace_id(span.context.trace_id)
    assert line["span_id"] == format_span_id(span.context.span_id)


# --- when it is not there, or not asked for


def fresh(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_25_without_opentelemetry_all_works_and_enabling_says_what_to_install() -> None:
    said = fresh(
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "import resilient, resilient.aiohttp, resilient.httpx, resilient.requests\n"
        "from resilient.telemetry import otel\n"
        "print(resilient.circuit('a')(lambda: 1)())\n"
        "try: otel.enable()\n"
        "except resilient.ConfigError as error: print(error)\n"
    )
    assert said.splitlines()[0] == "1"
    assert "resilient-sidecar[otel]" in said


def test_25_until_it_is_enabled_nothing_of_it_is_in_the_way() -> None:
    said = fresh(
        "import sys, resilient, resilient.aiohttp, resilient.httpx, resilient.requests\n"
        "f = resilient.circuit('a')(lambda: 1)\n"
        "f()\n"
        "print('resilient.telemetry.otel' in sys.modules, 'structlog' in sys.modules)\n"
        "print(f.func.__module__, f.circuit.take is not None)\n"
    )
    assert said.splitlines() == ["False False", "resilient.circuits.calls True"]
    files = (ROOT / "resilient").rglob("*.py")
    users = [path.name for path in files if "from opentelemetry import" in path.read_text()]
    assert users == ["otel.py"]


def test_the_shell_of_a_function_that_nobody_traces_is_the_very_same(runtime) -> None:
    function = circuit("a")(lambda: 1)
    shell = function.func
    assert otel_seams.dressed(function.guard, shell) is shell
    assert otel_seams.watch is None


@pytest.mark.parametrize("asynchronous", [False, True])
def test_tries_of_a_balanced_function_have_spans_too(spans, servers, asynchronous) -> None:
    def order(base: str) -> requests.Response:
        return requests.get(f"{base}/orders/7", timeout=5)

    async def order_async(base: str) -> requests.Response:
        return order(base)

    function = balanced("orders", idempotent=True)(order_async if asynchronous else order)
    with servers(503):
        assert run(circuit("shop.order")(function)).status_code == 200
    first, second, whole = spans.get_finished_spans()
    assert (first.name, second.name, whole.name) == ("try", "try", "shop.order")
    assert first.attributes["http.response.status_code"] == 503
    assert second.parent.span_id == whole.context.span_id


async def in_a_block(session, url: str) -> int:
    async with circuit("shop.order").attempt(), session.get(url) as response:
        return response.status


async def in_a_stream(session, url: str) -> int:
    @circuit("shop.order")
    async def lines():
        async with session.get(url) as response:
            yield response.status

    (status,) = [status async for status in lines()]
    return status


@pytest.mark.parametrize("fetch", [in_a_block, in_a_stream])
async def test_tries_inside_blocks_and_streams_have_spans_too(spans, servers, fetch) -> None:
    with servers(503) as there:
        async with resilient.aiohttp.make_session() as session:
            assert await fetch(session, "http://orders/orders/7") == 200
    first, second, whole = spans.get_finished_spans()
    assert whole.name == "shop.order"
    assert whole.attributes["resilient.tries"] == 2
    assert first.parent.span_id == second.parent.span_id == whole.context.span_id
    assert all("traceparent" in one for one in there.headers)
