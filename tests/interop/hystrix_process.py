"""A process with a circuit that serves hystrix.stream: ``hystrix_process.py ill|well``; prints its port."""

import asyncio
import contextlib
import json
import sys

from aiohttp import web

from resilient.circuits import calls
from resilient.circuits.book import CircuitBook
from resilient.circuits.guard import Guard
from resilient.circuits.policy import CircuitPolicy
from resilient.telemetry.hystrix_http import handle
from resilient.telemetry.hystrix_stream import stream_of


async def main(ill: bool) -> None:
    book = CircuitBook()
    guard = Guard("orders.get", CircuitPolicy(min_calls=5, reset_timeout=300), lambda g: (book.of(g), True))
    guard.group = "orders"

    async def work() -> str:
        await asyncio.sleep(0.001)
        if ill:
            raise OSError("as asked for")
        return "fine"

    call = calls.timed(guard, work)

    async def keep_calling() -> None:
        while True:
            with contextlib.suppress(Exception):
                await call()
            await asyncio.sleep(0.02)

    stream = stream_of(book)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await handle(request, stream)

    app = web.Application()
    app.router.add_get("/hystrix.stream", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(json.dumps({"port": site._server.sockets[0].getsockname()[1]}), flush=True)
    calling = asyncio.create_task(keep_calling())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until whoever started us is gone
    calling.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] == "ill"))
