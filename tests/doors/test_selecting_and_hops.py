"""Which instances a session may choose, where a redirect may lead, and sessions without circuits."""

from __future__ import annotations

import logging
import socket
import ssl
from dataclasses import replace
from typing import Any

import aiohttp
import httpx
import pytest
from door_kit import Door
from flaky import answer
from test_urls import pem, tls

import resilient.aiohttp
import resilient.httpx
import resilient.requests
from resilient import circuit
from resilient.balanced import balanced
from resilient.errors import InsecureRedirect, NoInstance
from resilient.given import instance_from
from resilient.identity import is_loopback
from resilient.member import Member
from resilient.runtime import Runtime
from resilient.settings import Settings

NEW = {"version": "2"}


def two_versions(estate: Any) -> list[Any]:
    _, made = estate("ok", "ok")
    old, new = (instance_from("shop", one.url) for one in made)
    estate(shop=[replace(old, metadata={"version": "1"}), replace(new, metadata=NEW)], rule="round_robin")
    return made


async def test_an_aiohttp_session_selects_by_metadata(estate: Any) -> None:
    old, new = two_versions(estate)

    async def fetch(http: aiohttp.ClientSession) -> int:
        async with http.get("http://shop/x") as response:
            return response.status

    async with resilient.aiohttp.make_session(where=NEW) as http:
        for call in (fetch, circuit("c")(fetch)):
            assert [await call(http) for _ in range(4)] == [200] * 4
    async with resilient.aiohttp.make_session(where={"version": "3"}) as http:
        with pytest.raises(NoInstance, match="selector"):
            await fetch(http)
    assert (old.reached, new.reached) == (0, 8)


async def test_httpx_and_requests_select_too(estate: Any) -> None:
    old, new = two_versions(estate)
    async with httpx.AsyncClient(transport=resilient.httpx.AsyncBalanced(where=NEW)) as client:
        assert [(await client.get("http://shop/x")).status_code for _ in range(4)] == [200] * 4
    with httpx.Client(transport=resilient.httpx.Balanced(where=NEW)) as plain:
        assert [plain.get("http://shop/x").status_code for _ in range(4)] == [200] * 4
    with resilient.requests.make_session(where=NEW) as http:
        assert [http.get("http://shop/x").status_code for _ in range(4)] == [200] * 4
    assert (old.reached, new.reached) == (0, 12)


async def test_a_balanced_function_selects_too(estate: Any) -> None:
    _, new = two_versions(estate)

    @balanced("shop", where=NEW)
    async def chosen(base: str) -> str:
        return base

    @balanced("shop", where=NEW)
    def chosen_now(base: str) -> str:
        return base

    assert {await chosen() for _ in range(4)} == {chosen_now() for _ in range(4)} == {new.url}


# -- redirects -------------------------------------------------------------------------------------


async def test_plain_http_is_not_followed_from_https(estate: Any, flaky: Any) -> None:
    plain = flaky.start("ok")
    secure = flaky.start(lambda seen: answer(302, b"", Location=f"{plain.url}/y"), ssl=tls())
    estate(safe=[secure.url])
    context = ssl.create_default_context(cafile=pem())
    async with resilient.aiohttp.make_session() as session:
        for url in ("https://safe/x", f"{secure.url}/x"):
            with pytest.raises(InsecureRedirect):
                await session.get(url, ssl=context)
            async with session.get(url, ssl=context, allow_redirects=False) as response:
                assert response.status == 302
                async with session.get(response.headers["Location"]) as by_hand:
                    assert by_hand.status == 200
    assert plain.reached == 2
    inner = httpx.HTTPTransport(verify=context)
    with httpx.Client(transport=resilient.httpx.Balanced(inner), follow_redirects=True) as client:
        with pytest.raises(InsecureRedirect):
            client.get("https://safe/x")
        assert client.get("https://safe/x", follow_redirects=False).status_code == 302
    with resilient.requests.make_session() as http:
        with pytest.raises(InsecureRedirect):
            http.get("https://safe/x", verify=pem())
        assert http.get("https://safe/x", verify=pem(), allow_redirects=False).status_code == 302
    assert plain.reached == 2


# -- without circuits ------------------------------------------------------------------------------


def test_switched_off_a_service_has_no_circuit_of_its_own(
    session_door: Door, estate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESILIENT_ENABLED", "0")
    runtime, _ = estate("ok", switched=["http://127.0.0.1:1"])
    with session_door.opened():
        assert session_door.call(path="http://switched/x", name=None) == "refused"
    assert len(runtime.circuits) == 0


# -- who others are told to call -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("LOCALHOST", True), ("10.0.0.1", False),
     ("orders.example", False), ("", False)],
)  # fmt: skip
def test_what_is_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_listening_where_nobody_is_sent_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    runtime = Runtime(settings=Settings.load({}), instances={"stock": ["http://10.0.0.1:80"]})
    runtime.register = lambda me: None  # type: ignore[method-assign]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        one = Member("orders", runtime, host="10.9.9.9")
        with caplog.at_level(logging.WARNING, "resilient.service"):
            one.join(port)
            one.join(port)
        (said,) = caplog.records
        assert f"listens on 127.0.0.1 only, but tells others to call 10.9.9.9:{port}" in said.getMessage()
        caplog.clear()
        Member("orders", runtime, host="127.0.0.1").join(port)
        assert caplog.records == []
