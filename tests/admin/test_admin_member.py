"""The pages of a service: what `Member` tells them, and does when told to."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from resilient import Runtime, circuit
from resilient.aiohttp import setup
from resilient.errors import ConfigError
from resilient.member import Member
from resilient.settings import Settings


def runtime(**environ: str) -> Runtime:
    settings = Settings.load({"RESILIENT_REGISTER": "0", "RESILIENT_MDNS": "0", **environ})
    return Runtime(settings=settings, instances={"stock": ["http://10.0.0.1:80"]})


async def until(there: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not there():
            await asyncio.sleep(0.01)


async def test_several_checks_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resilient.member.CHECK_EVERY", 0.01)
    answers = {"disk": True, "db": True}
    app = web.Application()
    checks: Any = {name: lambda name=name: answers[name] for name in answers}
    member = setup(app, "orders", runtime=runtime(), port=4711, health=checks)
    async with TestClient(TestServer(app)) as client:
        assert member.checks().keys() == {"disk", "db"}
        await until(lambda: all(one["status"] == "UP" for one in member.checks().values()))
        answers["db"] = False
        await until(lambda: not member.well)
        said = await (await client.get("/health")).json()
        assert said["status"] == "DOWN"
        assert said["components"]["user:disk"]["status"] == "UP"
        assert said["components"]["user:db"]["detail"] == "the health check said no"
        assert (await client.get("/health/ready")).status == 503
        answers["db"] = True
        await until(lambda: member.well)


async def test_critical_circuits_and_a_registry_that_is_required() -> None:
    app = web.Application()
    here = runtime(RESILIENT_REGISTRY="http://127.0.0.1:9/eureka/")
    member = setup(app, "orders", runtime=here, port=4711, critical=["pay"], require_registry=True)
    with here.active():
        circuit("pay")(lambda: 1)()
    async with TestClient(TestServer(app)) as client:
        assert await (await client.get("/health/ready")).json() == {"status": "STARTING"}
        member.require_registry = False
        monkey = member.since_joined
        member.since_joined = lambda: 11.0  # type: ignore[method-assign]
        assert await (await client.get("/health/ready")).json() == {"status": "UP"}
        here.circuits.get("pay").open(60)
        assert await (await client.get("/health/ready")).json() == {"status": "DOWN"}
        assert 0 < monkey() < 11


async def test_a_port_that_cannot_be_had_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    app = web.Application()
    here = runtime(RESILIENT_ADMIN_PORT="9990", RESILIENT_ADMIN_HOST="203.0.113.1")
    member = setup(app, "orders", runtime=here, port=4711)
    async with TestClient(TestServer(app)) as client:
        assert "orders: the admin pages cannot listen on 203.0.113.1" in caplog.text
        assert member.listener is None
        assert member.instance is not None
        assert member.instance.metadata["management.port"] == "4711"
        assert (await client.get("/health/live")).status == 200


def test_a_short_token_is_an_error_at_the_start() -> None:
    with pytest.raises(ConfigError, match="RESILIENT_ADMIN_TOKEN"):
        Member("orders", runtime(RESILIENT_ADMIN_TOKEN="short"))


async def test_told_to_end_it_leaves_and_then_signals_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    member = Member("orders", runtime(RESILIENT_FETCH_INTERVAL="0.1"))
    member.end(True, 5)  # nobody has joined yet: nothing to leave
    member.join(4711)
    before = asyncio.get_running_loop().time()
    await asyncio.to_thread(member.end, True, 5)
    await until(lambda: member.state == "DRAINING")
    assert sent == []
    await until(lambda: sent)
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert asyncio.get_running_loop().time() - before >= 0.2
    assert member.grace == 5
    await member.close()


async def test_a_second_word_shortens_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    member = Member("orders", runtime())
    member.join(4711)
    member.end(True, 30)  # ten seconds, usually
    await until(lambda: member.state == "DRAINING")
    member.end(False, 30)
    await until(lambda: sent, 3)
    await member.close()


def test_nothing_listens_before_it_joins() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        member = Member("orders", runtime(RESILIENT_ADMIN_PORT=str(taken.getsockname()[1])))
    assert member.listener is None
