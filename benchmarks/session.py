"""What our session costs beside a bare aiohttp session: ``python -m benchmarks.session``.

Client CPU (user and system) for each request, keep-alive, small JSON answers from servers in a process of
their own. Slices of each contender alternate; what counts is the lower quartile over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp

from resilient import circuit, runtime
from resilient.aiohttp import session

BUDGET, HARD = 1.10, 1.15
INSTANCES = 3

_BODY = b'{"id": 7, "item": "anvil", "price": 12.5, "in_stock": true}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: bench\r\n\r\n%s"
) % (len(_BODY), _BODY)


class _Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(_ANSWER * data.count(b"\r\n\r\n"))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(_Server, "127.0.0.1", 0) for _ in range(INSTANCES)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started us is gone


Fetch = Callable[[], Awaitable[object]]


async def _slice(fetch: Fetch, calls: int, width: int) -> float:
    async def some(n: int) -> None:
        for _ in range(n):
            await fetch()

    began = time.process_time()
    await asyncio.gather(*(some(calls // width) for _ in range(width)))
    return (time.process_time() - began) / (calls // width * width)


async def _measure(ports: list[int], rounds: int, calls: int, width: int) -> dict[str, float]:
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    turn = 0
    runtime._process = runtime.Runtime(instances={"orders": urls})  # as in a program, which has only this one
    async with aiohttp.ClientSession() as bare_session:

        async def bare() -> object:
            nonlocal turn
            turn += 1
            async with bare_session.get(f"{urls[turn % INSTANCES]}/orders/{turn & 1023}") as response:
                return await response.read()

        async def ours() -> object:
            nonlocal turn
            turn += 1
            async with session().get(f"http://orders/orders/{turn & 1023}") as response:
                return await response.read()

        contenders: dict[str, Fetch] = {
            "bare aiohttp": bare,
            "our session in a circuit": circuit("order")(ours),
            "our session, its own circuit": ours,
        }
        samples: dict[str, list[float]] = {name: [] for name in contenders}
        for fetch in contenders.values():
            await _slice(fetch, calls, width)
        gc.collect()
        gc.freeze()
        for _ in range(rounds):
            for name, fetch in contenders.items():
                samples[name].append(await _slice(fetch, calls, width))
    return {name: statistics.quantiles(seen, n=4)[0] for name, seen in samples.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=400, help="requests in each slice")
    parser.add_argument("--width", type=int, default=8, help="requests at a time")
    parser.add_argument("--uvloop", action="store_true", help="uvloop instead of asyncio's own loop")
    options = parser.parse_args()
    run = asyncio.run
    if options.uvloop:
        import uvloop

        run = uvloop.run
    if options.serve:
        run(_serve())
        return 0
    command = [sys.executable, "-m", "benchmarks.session", "--serve"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        ports = [int(port) for port in server.stdout.readline().split()]
        found = run(_measure(ports, options.rounds, options.calls, options.width))
    finally:
        server.kill()
        server.wait()
    base = found["bare aiohttp"]
    over = False
    for name, seconds in found.items():
        ratio = seconds / base
        over = over or ratio > HARD
        mark = "" if ratio <= BUDGET else f"  over the budget of {BUDGET:g}"
        print(f"{name:30} {seconds * 1e6:8.1f} µs of CPU  {ratio:5.3f} times{mark}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
