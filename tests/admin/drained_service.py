"""A service for the tests of its end, a process of its own: ``python drained_service.py run_app|setup``."""

from __future__ import annotations

import asyncio
import logging
import sys

from aiohttp import web

from resilient.aiohttp import run_app, setup


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(float(request.query["seconds"]))
    return web.Response(text="fine")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s: %(message)s")
    app = web.Application()
    app.router.add_get("/slow", slow)
    if sys.argv[1] == "run_app":
        run_app(app, "drained", host="127.0.0.1", drain=1.5)
    else:
        setup(app, "drained")
        web.run_app(app, host="127.0.0.1", port=0, print=lambda text: print(text, flush=True))
