"""The way in: an application becomes a service."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from process_kit import Process

from resilient import CallRejected, CircuitFull, CircuitOpen, ConfigError, FallbackFull, NoInstance
from resilient.aiohttp import setup
from resilient.asgi import Refusals, lifespan
from resilient.clock import SYSTEM
from resilient.events import EventBus, ServiceEnding
from resilient.model import Instance, Status
from resilient.settings import Settings

SERVICE = str(Path(__file__).parent / "app_service.py")


class FakeRuntime:
    """Remembers what it is told."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings.load({}, **settings)
        self.registered: list[Instance] = []
        self.told: list[str] = []
        self.circuits: list[Any] = []
        self.has_directory = True
        self.clock = SYSTEM
        self.events = EventBus()
        self.steps: list[str] = []
        self.events.subscribe(lambda event: self.steps.append(event.what), ServiceEnding)

    def register(self, me: Instance) -> None:
        self.registered.append(me)

    def set_status(self, status: Status) -> None:
        self.told.append(status.value)

    def close(self) -> None:
        self.told.append("closed")

    async def aclose(self) -> None:
        self.told.append("aclosed")


@pytest.fixture
def runtime() -> Any:
    return FakeRuntime()


async def until(true: Any, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def refusing(error: CallRejected) -> Any:
    async def handler(request: web.Request) -> web.Response:
        raise error

    return handler


# -- setup() for an application that somebody else runs ----------------------------------------


async def test_registers_the_port_it_listens_on_and_leaves(runtime: Any) -> None:
    app = web.Application()
    member = setup(app, "Orders", runtime=runtime, metadata={"version": "2"})
    async with TestServer(app) as server:
        await until(lambda: runtime.registered)
        (me,) = runtime.registered
        assert (me.service, me.host, me.port) == ("orders", "127.0.0.1", server.port)
        assert me.metadata["version"] == "2"
        assert member.state == "UP"
        assert runtime.told == []
    assert member.state == "DRAINING"
    assert runtime.told == ["closed", "aclosed"]
    assert runtime.steps == ["leaving", "signed-out", "done"]


async def test_a_given_port_is_registered_at_once(runtime: Any) -> None:
    app = web.Application()
    setup(app, "orders", runtime=runtime, port=4711, host="10.0.0.7")
    async with TestServer(app):
        assert [(one.host, one.port) for one in runtime.registered] == [("10.0.0.7", 4711)]


async def test_several_ports_are_an_error_that_asks_for_port(
    runtime: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        app = web.Application()
        setup(app, "orders", runtime=runtime)
        async with TestServer(app):
            await until(lambda: caplog.records)
    assert "several ports" in caplog.text
    assert "port=" in caplog.text
    assert runtime.registered == []


async def test_no_port_is_an_error_that_asks_for_port(
    runtime: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resilient.member.LISTEN_WITHIN", 0.1)
    app = web.Application()
    setup(app, "orders", runtime=runtime)
    runner = web.AppRunner(app)
    await runner.setup()  # and no site
    await until(lambda: caplog.records)
    await runner.cleanup()
    assert "listens on no port" in caplog.text
    assert "port=" in caplog.text


def test_a_wrong_name_is_an_error_at_once(runtime: Any) -> None:
    with pytest.raises(ConfigError, match="needs a name"):
        setup(web.Application(), "my orders", runtime=runtime)


def test_an_application_is_one_service(runtime: Any) -> None:
    app = web.Application()
    setup(app, "orders", runtime=runtime)
    with pytest.raises(ConfigError, match="'orders' already"):
        setup(app, "stock", runtime=runtime)


async def test_the_routes_it_brings(runtime: Any) -> None:
    app = web.Application()
    member = setup(app, "orders", runtime=runtime, port=1)
    async with TestClient(TestServer(app)) as client:
        assert await (await client.get("/health/live")).text() == "UP\n"
        assert await (await client.get("/admin/ping")).text() == "pong\n"
        for path in ("/health", "/health/ready", "/actuator/health"):
            answer = await client.get(path)
            assert (answer.status, (await answer.json())["status"]) == (200, "UP")
        member.well = False
        answer = await client.get("/health/ready")
        assert (answer.status, await answer.json()) == (503, {"status": "DOWN"})
        assert (await client.get("/health/live")).status == 200
        member.state = "DRAINING"
        assert await (await client.get("/health/ready")).json() == {"status": "DRAINING"}
        answer = await client.get("/health")
        assert (answer.status, (await answer.json())["status"]) == (503, "OUT_OF_SERVICE")


async def test_circuits_are_for_this_machine_or_the_token(runtime: Any) -> None:
    app = web.Application()
    runtime.settings = Settings.load({"RESILIENT_TOKEN": "a-long-enough-token"})
    setup(app, "orders", runtime=runtime, port=1)
    async with TestClient(TestServer(app)) as client:
        path = "/admin/circuits"
        assert await (await client.get(path)).json() == {"circuits": []}
        proxied = {"X-Forwarded-For": "10.0.0.9"}
        assert (await client.get(path, headers=proxied)).status == 403
        assert (await client.get(path, headers={"Host": "evil.example"})).status == 403
        wrong = {**proxied, "Authorization": "Bearer another-long-token"}
        assert (await client.get(path, headers=wrong)).status == 403
        right = {**proxied, "Authorization": "Bearer a-long-enough-token"}
        assert (await client.get(path, headers=right)).status == 200


async def test_the_applications_own_route_wins(runtime: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def mine(request: web.Request) -> web.Response:
        return web.Response(text="mine")

    app = web.Application()
    app.router.add_get("/health", mine)
    app.router.add_post("/admin/ping", mine)
    with caplog.at_level(logging.INFO, "resilient.service"):
        setup(app, "orders", runtime=runtime, port=1)
    async with TestClient(TestServer(app)) as client:
        assert await (await client.get("/health")).text() == "mine"
        assert await (await client.get("/health/live")).text() == "UP\n"
        assert await (await client.post("/admin/ping")).text() == "mine"
        assert await (await client.get("/admin/ping")).text() == "pong\n"
    told = [one.getMessage() for one in caplog.records if one.name == "resilient.service"]
    assert told == ["/health is a route of the application; ours is not mounted there"]


REFUSED = [
    (CircuitOpen("pay", 2.4), "3", "CircuitOpen"),
    (CircuitFull("pay", 10), "1", "CircuitFull"),
    (NoInstance("stock"), "1", "NoInstance"),
    (FallbackFull("pay", 10), "1", "FallbackFull"),
]


@pytest.mark.parametrize(("error", "wait", "code"), REFUSED)
async def test_a_refused_call_becomes_503(runtime: Any, error: CallRejected, wait: str, code: str) -> None:
    app = web.Application()
    app.router.add_get("/", refusing(error))
    setup(app, "orders", runtime=runtime, port=1)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/")
        assert (answer.status, answer.headers["Retry-After"]) == (503, wait)
        assert (await answer.json())["error"]["code"] == code


async def test_the_health_check_decides_the_status(runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resilient.member.CHECK_EVERY", 0.01)
    answers: Iterator[object] = iter([True, False, False, None, ValueError("broken"), True])

    async def check() -> object:
        answer = next(answers, True)
        if isinstance(answer, Exception):
            raise answer
        return answer

    app = web.Application()
    member = setup(app, "orders", runtime=runtime, port=1, health=check)
    async with TestServer(app):
        await until(lambda: len(runtime.told) == 4)
        assert runtime.told == ["DOWN", "UP", "DOWN", "UP"]
        assert member.well


# -- ASGI --------------------------------------------------------------------------------------


async def test_an_asgi_application_joins_and_leaves(runtime: Any) -> None:
    from contextlib import asynccontextmanager

    steps: list[str] = []

    @asynccontextmanager
    async def inner(app: object) -> Any:
        steps.append("begun")
        yield {"state": 1}
        steps.append("ended")

    life = lifespan("orders", port=8000, host="10.0.0.7", inner=inner, runtime=runtime)
    async with life(object()) as state:
        assert state == {"state": 1}
        assert [one.id for one in runtime.registered] == ["10.0.0.7:orders:8000"]
    assert steps == ["begun", "ended"]
    assert runtime.told == ["closed", "aclosed"]
    assert runtime.steps == ["leaving", "signed-out", "done"]


async def test_fastapi_registers_the_port_uvicorn_listens_on(runtime: Any) -> None:
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI(lifespan=lifespan("orders", runtime=runtime))
    app.add_middleware(Refusals)

    @app.get("/refused")
    async def refused() -> None:
        raise CircuitOpen("pay", 2.4)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("not ours")

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    task = asyncio.ensure_future(server.serve())
    try:
        await until(lambda: runtime.registered)
        (me,) = runtime.registered
        status, headers, body = await asyncio.to_thread(get, f"http://127.0.0.1:{me.port}/refused")
        assert (status, headers["Retry-After"]) == (503, "3")
        assert json.loads(body)["error"]["code"] == "CircuitOpen"
        assert (await asyncio.to_thread(get, f"http://127.0.0.1:{me.port}/broken"))[0] == 500
    finally:
        server.should_exit = True
        await task
    assert runtime.told == ["closed", "aclosed"]
    assert runtime.steps == ["leaving", "signed-out", "done"]


async def test_refusals_leaves_an_answer_that_has_begun_alone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise CircuitOpen("pay")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(CircuitOpen):
        await Refusals(app)({"type": "http"}, None, send)  # type: ignore[arg-type]
    assert len(sent) == 1


# -- run_app(), as a process -------------------------------------------------------------------


def get(url: str, timeout: float = 5) -> tuple[int, Any, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


@pytest.fixture
def service() -> Iterator[Process]:
    # An address at which nobody answers: the service must work all the same.
    process = Process(
        sys.executable, SERVICE, RESILIENT_REGISTRY="http://127.0.0.1:9/eureka/", RESILIENT_HOST="127.0.0.1"
    )
    yield process
    process.popen.kill()
    process.popen.wait()


def address(process: Process) -> str:
    line = process.line(lambda line: "listens on" in line)
    found = re.fullmatch(r"hello listens on (http://127\.0\.0\.1:\d+)", line)
    assert found, line
    return found[1]


def test_a_service_serves_and_ends_without_a_registry(service: Process) -> None:
    url = address(service)
    assert get(f"{url}/hello")[2] == b"hello"
    assert get(f"{url}/health")[0] == 200
    status, _, body = get(f"{url}/through")
    assert (status, json.loads(body)["error"]["code"]) == (503, "NoInstance")
    began = time.monotonic()
    service.popen.send_signal(signal.SIGTERM)
    assert service.popen.wait(10) == 0
    assert time.monotonic() - began < 3
    assert "Unclosed" not in "".join(service.said)
    assert "Traceback" not in "".join(service.said)


def test_calls_under_way_end_before_the_service_does(service: Process) -> None:
    url = address(service)
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        service.popen.send_signal(signal.SIGTERM)
        sock.settimeout(5)
        assert b"slow but fine" in sock.recv(10_000)
    assert service.popen.wait(10) == 0


def test_a_second_signal_ends_it_at_once(service: Process) -> None:
    url = address(service)
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as sock:
        sock.sendall(b"GET /slow?seconds=30 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        service.popen.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert service.popen.poll() is None
        service.popen.send_signal(signal.SIGTERM)
        assert service.popen.wait(5) == 0


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = Process(
            sys.executable, SERVICE, RESILIENT_PORT=str(port), RESILIENT_REGISTRY="http://127.0.0.1:9/"
        )
        assert process.popen.wait(20) == 1
    line = process.line(lambda line: line.startswith("resilient.errors.ConfigError"))
    assert f"cannot listen on 127.0.0.1:{port}" in line


def test_setup_works_under_aiohttps_own_runner() -> None:
    process = Process(sys.executable, SERVICE, "aiohttp", RESILIENT_REGISTRY="http://127.0.0.1:9/eureka/")
    try:
        line = process.line(lambda line: "Running on" in line)
        url = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert url
        assert get(f"{url[0]}/hello")[2] == b"hello"
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(10) == 0
        assert "Unclosed" not in "".join(process.said)
    finally:
        process.popen.kill()
        process.popen.wait()
