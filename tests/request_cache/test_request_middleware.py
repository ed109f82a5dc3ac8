"""The middlewares: one request context for each inbound request."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from resilient.aiohttp.request import request_middleware
from resilient.cached import cached_per_request
from resilient.request import PRESENT, RequestScope


async def test_aiohttp_serves_each_request_in_one_of_its_own() -> None:
    calls = 0

    @cached_per_request
    async def customer(id: int) -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return calls

    async def handler(inbound: web.Request) -> web.Response:
        found = await asyncio.gather(customer(1), customer(1))
        return web.json_response([*found, await customer(1)])

    app = web.Application(middlewares=[request_middleware])
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        answers = [await (await client.get("/")).json() for _ in range(2)]
        assert answers == [[1, 1, 1], [2, 2, 2]]
        both = await asyncio.gather(client.get("/"), client.get("/"))
        assert sorted([await one.json() for one in both]) in ([[3, 3, 3], [4, 4, 4]], [[4, 4, 4], [4, 4, 4]])
    assert PRESENT.get() is None


async def test_asgi_serves_each_http_request_in_one_of_its_own() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], PRESENT.get()))
        if scope.get("fails"):
            raise OSError

    wrapped: Any = RequestScope(app)
    for scope in ({"type": "http"}, {"type": "http"}, {"type": "websocket"}, {"type": "lifespan"}):
        await wrapped(scope, None, None)
    try:
        await wrapped({"type": "http", "fails": True}, None, None)
    except OSError:
        pass
    kinds = [kind for kind, here in seen if here is not None]
    assert kinds == ["http", "http", "http"]
    assert len({id(here) for _, here in seen if here is not None}) == 3
    assert all(here.entries is None for _, here in seen if here is not None)
    assert PRESENT.get() is None


async def test_starlette_with_plain_and_async_handlers() -> None:
    import httpx
    from fastapi import FastAPI

    calls = 0

    @cached_per_request
    def plain(id: int) -> int:
        nonlocal calls
        calls += 1
        return calls

    app = FastAPI()
    app.add_middleware(RequestScope)

    @app.get("/plain")
    def handler() -> list[int]:
        return [plain(1), plain(1)]

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/plain")).json() == [1, 1]
        assert (await client.get("/plain")).json() == [2, 2]
