"""A service that Prometheus can scrape: ``python ops_service.py NAME [call]``. With ``call`` it calls stock.

What it answers with is told on standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from typing import Any

from aiohttp import web

from resilient import circuit
from resilient.aiohttp import run_app, session
from resilient.runtime import process_runtime

MOOD = {"status": 200.0, "delay": 0.0}


@circuit("get stock", timeout=0.5, default=0, min_calls=5, reset_timeout=0.5)
async def stock(number: int) -> Any:
    async with session().get(f"http://stock/stock/{number}") as response:
        return await response.json()


@circuit("stubborn", observe=True, timeout=5, default=0)
async def stubborn() -> Any:
    async with session().get("http://stock/stock/2") as response:
        return await response.json()


@circuit("slow", observe=True, slow_duration=0.0001)
async def slow() -> None:
    await asyncio.sleep(0.001)


@circuit("disk", isolation="thread", thread_pool="disk", pool_size=2, timeout=5)
def disk() -> int:
    return 1


async def _call() -> None:
    """Twenty calls a second, for ever; whatever becomes of them."""
    while True:
        with contextlib.suppress(Exception):
            await stock(1)
            await stubborn()
            await slow()
            await asyncio.to_thread(disk)
        await asyncio.sleep(0.05)


async def _answer(request: web.Request) -> web.Response:
    await asyncio.sleep(MOOD["delay"])
    return web.json_response({"left": 3}, status=int(MOOD["status"]))


def _listen() -> None:
    """``status 503``, ``delay 2``, ``open NAME``, ``close NAME``."""
    for line in sys.stdin:
        word, value = line.split(maxsplit=1)
        if word in MOOD:
            MOOD[word] = float(value)
        else:
            getattr(process_runtime().circuits.get(value.strip()), word)()


def main() -> None:
    """Serve until told to end."""
    app = web.Application()
    app.router.add_get("/stock/{number}", _answer)
    tasks = []

    async def began(app: web.Application) -> None:
        if "call" in sys.argv:
            tasks.append(asyncio.create_task(_call()))
        threading.Thread(target=_listen, daemon=True).start()

    app.on_startup.append(began)
    run_app(app, sys.argv[1])


if __name__ == "__main__":
    main()
