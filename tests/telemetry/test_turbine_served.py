"""turbine.stream where it is served: by a registry, by a dashboard of its own, and only to readers."""

import asyncio
import contextlib
import json

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from dashboard.proxy import Proxy
from registry_server.app import running
from registry_server.settings import Settings

PUSH = {
    "service": "shop",
    "instance": "a",
    "interval": 1,
    "circuits": [{"name": "orders", "counts": {"success": 3}, "calls": 3}],
}


@contextlib.asynccontextmanager
async def dashboard_of(root: str):
    app = web.Application()
    Proxy(URL(f"{root}/ui/")).mount(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


async def first_event(session, url):
    async with session.get(url) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        return json.loads((await response.content.readline())[5:])


@pytest.mark.parametrize("separate", [False, True], ids=["registry", "dashboard"])
async def test_circuits_that_were_pushed_are_in_the_stream(separate) -> None:
    async with asyncio.timeout(20), running() as registry, aiohttp.ClientSession() as session:
        root = registry.url.removesuffix("/eureka/")
        async with session.post(f"{root}/resilient/v1/circuits", json=PUSH) as pushed:
            assert pushed.status == 204
        async with dashboard_of(root) as dashboard:
            base = dashboard if separate else root
            event = await first_event(session, f"{base}/turbine.stream?cluster=shop&delay=100")
            assert (event["name"], event["rollingCountSuccess"]) == ("orders", 3)
            async with session.get(f"{base}/turbine.stream?cluster=nobody") as unknown:
                assert unknown.status == 404


async def test_with_a_read_token_the_stream_wants_it() -> None:
    settings = Settings(port=0, token="w" * 16, read_token="r" * 16)
    async with asyncio.timeout(20), running(settings) as registry, aiohttp.ClientSession() as session:
        url = registry.url.removesuffix("/eureka/") + "/turbine.stream"
        async with session.get(url) as refused:
            assert refused.status == 401
        async with session.get(url, headers={"Authorization": f"Bearer {'r' * 16}"}) as allowed:
            assert allowed.status == 200
