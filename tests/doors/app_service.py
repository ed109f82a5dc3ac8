"""A small service for the tests of serving, a process of its own: ``python app_service.py [aiohttp]``."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

from resilient import circuit
from resilient.aiohttp import run_app, session, setup


@circuit("self", timeout=2)
async def ask(url: str) -> str:
    async with session().get(url) as response:
        return await response.text()


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(float(request.query.get("seconds", "0.5")))
    return web.Response(text="slow but fine")


async def through(request: web.Request) -> web.Response:
    """Calls itself by address, then a name nobody knows."""
    await ask(str(request.url.with_path("/hello")))
    return web.Response(text=await ask("http://nobody/"))


def make() -> web.Application:
    app = web.Application()
    app.add_routes([web.get("/hello", hello), web.get("/slow", slow), web.get("/through", through)])
    return app


if __name__ == "__main__":
    if sys.argv[1:] == ["aiohttp"]:
        app = make()
        setup(app, "hello")
        web.run_app(app, host="127.0.0.1", port=0, print=lambda text: print(text, flush=True))
    else:
        run_app(make(), "hello")
