"""The pages beside an application: aiohttp, Starlette, any ASGI."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from resilient import Runtime, circuit
from resilient.admin.beside import mount
from resilient.admin.mounted import Pages
from resilient.admin.site import ALWAYS
from resilient.aiohttp import setup
from resilient.asgi import admin, lifespan
from resilient.settings import Settings


def runtime(**environ: str) -> Runtime:
    settings = Settings.load({"RESILIENT_REGISTER": "0", "RESILIENT_MDNS": "0", **environ})
    return Runtime(settings=settings, instances={"stock": ["http://10.0.0.1:80"]})


async def mine(request: web.Request) -> web.Response:
    return web.Response(text="mine")


# -- aiohttp -----------------------------------------------------------------------------------


async def test_aiohttp_has_all_pages_and_the_advertisement() -> None:
    app = web.Application()
    here = runtime()
    member = setup(app, "orders", runtime=here, port=4711)
    with here.active():
        circuit("shop.price/eu")(lambda: 1)()
    async with TestClient(TestServer(app)) as client:
        assert member.instance is not None
        assert member.instance.metadata["management.port"] == "4711"
        assert member.instance.metadata["management.path"] == "/admin"
        for path in ("/admin", "/admin/info", "/admin/instances", "/admin/settings", "/metrics", "/health"):
            assert (await client.get(path)).status == 200, path
        answer = await client.get("/admin/circuits/shop.price%2Feu")
        assert (await answer.json())["circuit"]["name"] == "shop.price/eu"
        answer = await client.post("/admin/circuits/shop.price%2Feu", json={"action": "open", "ttl": 5})
        assert (await answer.json())["circuit"]["state"] == "forced-open"
        answer = await client.put("/admin/drain")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert (await client.head("/health")).status == 200
        assert (await client.post("/admin/drain", data=b"x" * 2_000_000)).status in (413, 415)
        async with client.get("/hystrix.stream") as stream:
            assert b"HystrixCommand" in await stream.content.readany()
        components = (await (await client.get("/health")).json())["components"]
        assert components["event_loop"]["loops"][0]["loop"] == "app"
    assert list(member.desk.loops) == []


async def test_an_open_stream_does_not_hold_up_the_end() -> None:
    app = web.Application()
    setup(app, "orders", runtime=runtime(), port=4711)
    async with TestClient(TestServer(app)) as client:
        stream = await client.get("/hystrix.stream")
        assert await stream.content.readany()


async def test_aiohttp_routes_of_the_application_win(caplog: pytest.LogCaptureFixture) -> None:
    app = web.Application()
    app.router.add_get("/metrics", mine)
    app.router.add_get("/admin/{section}", mine)
    app.router.add_get("/{rest:.*}", mine)
    below = web.Application()
    below.router.add_get("/{rest:.*}", mine)
    app.add_subapp("/actuator", below)
    site = setup(web.Application(), "orders", runtime=runtime(), port=1).site
    with caplog.at_level(logging.INFO, "resilient.service"):
        ours = mount(app, site)
    told = " ".join(one.getMessage() for one in caplog.records)
    assert "/metrics" not in ours
    assert "/actuator/health" not in ours
    assert "/admin/tasks" not in ours
    assert {"/health", "/admin", "/admin/circuits/*"} <= set(ours)
    assert "/metrics is a route of the application; ours is not mounted there" in told
    async with TestClient(TestServer(app)) as client:
        for path in ("/metrics", "/admin/tasks", "/actuator/health", "/anything"):
            assert await (await client.get(path)).text() == "mine"
        assert (await (await client.get("/health/ready")).json())["status"] in ("UP", "STARTING")


async def test_with_a_port_of_its_own_the_pages_move_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    app = web.Application()
    member = setup(app, "orders", runtime=runtime(RESILIENT_ADMIN_PORT=str(port)))
    async with TestClient(TestServer(app)) as client:
        for _ in range(200):
            if member.instance is not None:
                break
            await asyncio.sleep(0.02)
        assert member.listener is not None
        assert member.instance is not None
        assert member.instance.port == client.port  # ours is not taken for the application's
        assert member.instance.metadata["management.port"] == str(member.listener.port)
        for path in ALWAYS:
            assert (await client.get(path)).status in (200, 503)
        assert (await client.get("/admin/circuits")).status == 404
        async with httpx.AsyncClient() as other:
            assert (await other.get(f"{member.listener.url}/admin/circuits")).status_code == 200
        listener = member.listener
    assert member.listener is None
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", listener.port), 1).close()


# -- ASGI --------------------------------------------------------------------------------------


def client_of(app: Any, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(peer, 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


@pytest.mark.parametrize("make", [Starlette, FastAPI])
async def test_starlette_gets_the_pages_by_itself(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def own(request: Any) -> Any:
        return PlainTextResponse("mine")

    life = lifespan("orders", runtime=runtime(), port=4711)
    routes = [
        Route("/metrics", own),
        Mount("/actuator", routes=[Route("/health", own)]),
        Route("/{rest:path}", own),
    ]
    app = make(routes=routes, lifespan=life)
    for _ in range(2):  # an application may live more than once
        with caplog.at_level(logging.INFO, "resilient.service"):
            async with app.router.lifespan_context(app), client_of(app) as client:
                assert (await client.get("/health/live")).status_code == 200
                assert (await client.get("/admin/circuits")).json() == {"circuits": []}
                assert (await client.get("/admin/circuits/none")).status_code == 404
                assert (await client.post("/admin/circuits/none", json={"action": "auto"})).status_code == 404
                assert (await client.head("/health")).content == b""
                for path in ("/metrics", "/actuator/health", "/anything"):
                    assert (await client.get(path)).text == "mine"
    assert [one.getMessage().split()[0] for one in caplog.records if "is a route" in one.getMessage()] == [
        "/actuator/health",
        "/metrics",
    ] * 2


async def test_mounted_anywhere() -> None:
    pages = admin(runtime=runtime())
    for base in ("/admin", "/ops/inside"):
        app = Starlette(routes=[Mount(base, app=pages)])
        async with client_of(app) as client:
            assert (await client.get(f"{base}/circuits")).json() == {"circuits": []}
            assert (await client.get(f"{base}/health/live")).text == "UP\n"
            assert (await client.get(f"{base}/ping")).text == "pong\n"
            assert (await client.get(f"{base}/nothing")).json()["error"]["code"] == "not-found"
            page = (await client.get(f"{base}/", headers={"Accept": "text/html"})).text
            assert f'href="{base}/style.css"' in page
            assert f'href="{base}/circuits"' in page
            assert (await client.get(f"{base}/style.css")).status_code == 200
    async with client_of(pages) as client:
        assert (await client.get("/admin/ping")).text == "pong\n"
    async with client_of(pages, "10.0.0.9") as client:
        assert (await client.get("/admin/settings")).status_code == 403


async def test_mounted_pages_belong_to_the_service() -> None:
    app = Starlette(lifespan=lifespan("orders", runtime=runtime(), port=4711))
    app.mount("/ops", admin())
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await client.get("/ops/info")).json()["name"] == "orders"


async def test_asgi_besides_http() -> None:
    pages = admin(runtime=runtime())
    assert isinstance(pages, Pages)
    sent: list[Any] = []
    told = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(told)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await pages({"type": "lifespan"}, receive, send)
    await pages({"type": "websocket"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


async def test_an_asgi_stream_ends_with_its_reader() -> None:
    pages = admin(runtime=runtime())
    sent: list[Any] = []
    left = asyncio.Event()

    async def receive() -> Any:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 2:
            left.set()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/hystrix.stream",
        "headers": [(b"host", b"127.0.0.1")],
        "query_string": b"delay=100",
        "client": ("127.0.0.1", 1),
    }
    await asyncio.wait_for(pages(scope, receive, send), 5)
    assert sent[0]["status"] == 200
    assert pages.site.desk.kept("hystrix", dict).taken == 0


async def test_bodies_in_pieces_are_bounded() -> None:
    pages = admin(runtime=runtime())

    async def body() -> Any:
        for _ in range(100):
            yield b" " * 10_000

    async with client_of(pages) as client:
        headers = {"Content-Type": "application/json"}
        answer = await client.post("/admin/drain", content=body(), headers=headers)
        assert (answer.status_code, json.loads(answer.text)["error"]["code"]) == (413, "too-large")
