"""The runtime for tests: what it lists, whom it reaches, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading
from typing import Any

import pytest
import requests.sessions  # noqa: F401 - loaded before sockets are watched

import resilient.aiohttp
import resilient.requests
from resilient import Instance, NoInstance, Runtime, Status, circuit, current, pick
from resilient.errors import ConfigError
from resilient.settings import Settings
from resilient.testing import LocalRuntime, ManualClock, answer, flaky, runtime


def in_thread(work: Any) -> Any:
    """What ``work`` answers in a thread started bare."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(10)
    return found[0]


def hosts(service: str) -> list[str]:
    return [one.url for one in resilient.instances(service)]


def test_lists_by_keyword_by_name_and_by_anything_with_a_url() -> None:
    down = Instance(service="orders", id="x", host="10.0.0.9", port=80, status=Status.DOWN)
    with flaky() as server, runtime({"My-Books": "http://10.0.0.1:81"}, orders=[server, down]) as here:
        assert hosts("orders") == [server.url]
        assert hosts("my-books") == ["http://10.0.0.1:81"]
        assert sorted(here.services()) == ["my-books", "orders"]


def test_lists_change_and_the_others_stay() -> None:
    with runtime(a=["10.0.0.1:80"], b=["10.0.0.2:80"]) as here:
        before = resilient.instances("a")
        here.announce(b=["10.0.0.3:80"], c=[])
        assert resilient.instances("a") is before
        assert hosts("b") == ["http://10.0.0.3:80"]
        assert hosts("c") == []
        with pytest.raises(NoInstance):
            pick("c")
        with pytest.raises(NoInstance, match="did you mean"):
            with pick("aa"):
                pass


def test_a_wrong_place_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match="is not a URL"):
        runtime(orders=["ftp://x"])


def test_no_network_and_no_thread_even_for_unknown_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any) -> Any:
        raise AssertionError("a socket was used")

    threads = threading.active_count()
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr("resilient.discovery.tasks.Discovery", forbidden)
    me = Instance(service="me", id="me", host="127.0.0.1", port=1)
    with runtime() as here:
        here.register(me)
        here.set_status(Status.DOWN)
        assert here.wait(0.001)
        assert asyncio.run(here.ready(0.001))
        with pytest.raises(NoInstance) as error:
            resilient.requests.session().get("http://orders/1")
        assert not error.value.undecided
    assert threading.active_count() == threads


def test_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESILIENT_REGISTRY", "not a url")
    monkeypatch.setenv("RESILIENT_CIRCUIT_QUICK_TIMEOUT", "3")
    quick = circuit("quick", timeout=1)(lambda: 1)
    with runtime():
        assert quick.circuit.limit == 1
    monkeypatch.delenv("RESILIENT_REGISTRY")
    with runtime(settings=Settings.load()):
        assert quick.circuit.limit == 3


def test_choices_repeat() -> None:
    places = [f"10.0.0.{n}:80" for n in range(9)]

    def choices(**options: Any) -> list[str]:
        found = []
        with runtime(orders=places, rule="random", **options):
            for _ in range(20):
                with pick("orders") as chosen:
                    found.append(chosen.instance.host)
        return found

    assert choices() == choices() == choices(seed=0)
    assert choices(seed=1) != choices()


def test_each_block_has_circuits_of_its_own() -> None:
    function = circuit("shared")(lambda: 1)
    clock = ManualClock()
    with runtime(clock=clock) as one:
        function.open()
        assert function.state == "open"
        with runtime() as two:
            assert function.state == "closed"
            assert current() is two
        assert current() is one
        clock.advance(5)
        assert function() == 1
    assert function.state == "closed"


async def test_async_blocks_reach_tasks() -> None:
    async def inside() -> Runtime:
        await asyncio.sleep(0)
        return current()

    outside = current()
    async with runtime() as here:
        assert await asyncio.create_task(inside()) is here
        assert await asyncio.to_thread(current) is here
    assert current() is outside


async def test_sessions_are_closed_with_an_async_block() -> None:
    async with flaky(answer(200, "hi")) as server, runtime(orders=server):
        session = resilient.aiohttp.session()
        async with session.get("http://orders/") as got:
            assert await got.text() == "hi"
        assert not session.closed
    assert session.closed


def test_a_bare_thread_is_reached_only_everywhere() -> None:
    with runtime() as here:
        assert in_thread(current) is not here
    outside = in_thread(current)
    with runtime().everywhere() as here:
        assert isinstance(here, LocalRuntime)
        assert current() is here
        assert in_thread(current) is here
        with runtime().everywhere() as inner:
            assert in_thread(current) is inner
        assert in_thread(current) is here
        with runtime() as narrow:
            assert current() is narrow
            assert in_thread(current) is here
            with runtime().everywhere() as wide:
                assert current() is wide  # not hidden by the one around it
            assert current() is narrow
    assert current() is outside
    assert in_thread(current) is outside


def test_everywhere_finds_circuits_bound_before_and_frees_them_after() -> None:
    function = circuit("bound")(lambda: 1)
    outside = in_thread(lambda: (function(), function.circuit)[1])
    with runtime().everywhere():
        inside = in_thread(lambda: (function(), function.circuit)[1])
        assert inside is not outside
        assert inside.snapshot().counts["success"] == 1
    assert in_thread(lambda: function.circuit) is outside


def test_everywhere_ends_when_the_block_fails() -> None:
    outside = current()
    with pytest.raises(KeyError):
        with runtime().everywhere():
            raise KeyError("x")
    assert current() is outside


def test_everywhere_leaves_nothing_in_contexts_that_outlive_it() -> None:
    with runtime().everywhere() as here:
        context = contextvars.copy_context()
        assert context.run(current) is here
    assert context.run(current) is current()


async def test_everywhere_in_async_blocks_and_for_applications() -> None:
    from aiohttp import web

    async with runtime().everywhere() as here:
        app = web.Application()
        member = resilient.aiohttp.setup(app, "shop", port=1)
        assert member.runtime is here
        member.join_when_listening()
        await member.close()
    assert current() is not here
