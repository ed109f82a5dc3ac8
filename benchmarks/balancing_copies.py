"""Copies of a service in a process of their own: ``python -m benchmarks.balancing_copies COPIES WORKERS``.

Each works on so many calls at a time for ``WORK`` seconds on the average; what finds it busy waits. One of
them becomes slow, or answers 500 at once, when it is told to: ``POST /turn/slow``, ``/turn/broken``.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from random import Random

from aiohttp import web

WORK = 0.05  # seconds: so long that what these processes need themselves does not count


@contextlib.contextmanager
def copies(count: int, workers: int) -> Iterator[list[str]]:
    """Their URLs; they end with the block, or with us."""
    command = [sys.executable, "-m", "benchmarks.balancing_copies", str(count), str(workers)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield [f"http://127.0.0.1:{port}" for port in process.stdout.readline().split()]
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


class _Copy:
    def __init__(self, number: int, workers: int) -> None:
        self.turn = "well"
        self._free = asyncio.Semaphore(workers)
        self._rng = Random(number)

    async def order(self, request: web.Request) -> web.Response:
        if self.turn == "broken":
            return web.Response(status=500)
        async with self._free:
            mean = 10 * WORK if self.turn == "slow" else WORK
            await asyncio.sleep(self._rng.expovariate(1.0 / mean))
        return web.Response(text="answer")

    async def change(self, request: web.Request) -> web.Response:
        self.turn = request.match_info["turn"]
        return web.Response()


async def _serve(count: int, workers: int) -> None:
    ports = []
    for number in range(count):
        copy = _Copy(number, workers)
        app = web.Application()
        app.add_routes([web.get("/orders/{id}", copy.order), web.post("/turn/{turn}", copy.change)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports.append(runner.addresses[0][1])
    print(*ports, flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
