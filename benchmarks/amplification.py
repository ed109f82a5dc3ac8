"""``python -m benchmarks.amplification``: how much a service that fails is asked, on real sockets.

A server on the loopback answers 503 to everything. Callers ask 200 times a second through ``@retry``, first
without a circuit, then with one. Without, the retry budget bounds what arrives: at most 1.23 times the calls,
over ten seconds or more. With, hardly anything arrives: at most 60 requests in the first window.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from resilient import Runtime, circuit, retry

RATE = 200
#: Requests for each call with the circuit off, and requests of the first window with it on.
MOST_TIMES, MOST_REQUESTS = 1.23, 60
WINDOW = 10.0

_ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown"


class Down(Exception):
    """What the caller makes of a 503."""

    status = 503


@dataclass(frozen=True, slots=True)
class Result:
    """``calls`` were made, and so many ``requests`` reached the server in so many ``seconds``."""

    calls: int
    requests: int
    seconds: float

    @property
    def times(self) -> float:
        """Requests for each call."""
        return self.requests / self.calls


class Server(asyncio.Protocol):
    """Answers 503, and counts."""

    requests = 0
    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        asked = data.count(b"\r\n\r\n")
        type(self).requests += asked
        self.transport.write(_ANSWER * asked)


async def run(seconds: float, *, guarded: bool, rate: float = RATE) -> Result:
    """Ask for so long; ``guarded``: through a circuit with its defaults."""

    class Counting(Server):
        pass

    server = await asyncio.get_running_loop().create_server(Counting, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    with Runtime(instances={}).active():
        async with aiohttp.ClientSession() as session:

            async def ask() -> None:
                async with session.get(url) as response:
                    await response.read()
                    if response.status != 200:
                        raise Down

            call: Callable[[], Awaitable[None]] = retry(attempts=3)(ask)
            if guarded:
                call = circuit("amplified")(call)
            calls = await _steadily(call, rate, seconds)
    server.close()
    await server.wait_closed()
    return Result(calls, Counting.requests, seconds)


async def _steadily(call: Callable[[], Awaitable[None]], rate: float, seconds: float) -> int:
    start = time.monotonic()
    calls = 0
    tasks: set[asyncio.Task[None]] = set()

    async def one() -> None:
        try:
            await call()
        except Exception:
            pass

    while (now := time.monotonic()) - start < seconds:
        while calls < (now - start) * rate:
            task = asyncio.create_task(one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            calls += 1
        await asyncio.sleep(0.5 / rate)
    if tasks:
        await asyncio.wait(tasks)
    return calls


async def measure(seconds: float) -> int:
    """Both, printed; the exit code."""
    off = await run(max(seconds, WINDOW), guarded=False)
    on = await run(WINDOW, guarded=True)
    good = off.times <= MOST_TIMES, on.requests <= MOST_REQUESTS
    print(
        f"circuit off: {off.calls} calls in {off.seconds:g} s, {off.requests} requests, "
        f"{off.times:.3f} for each call; at most {MOST_TIMES}: {'ok' if good[0] else 'FAILED'}"
    )
    print(
        f"circuit on:  {on.calls} calls in {on.seconds:g} s, {on.requests} requests; "
        f"at most {MOST_REQUESTS}: {'ok' if good[1] else 'FAILED'}"
    )
    return 0 if all(good) else 1


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.amplification", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="so long with the circuit off, 10 or more"
    )
    options = parser.parse_args(argv)
    logging.getLogger("resilient").setLevel(logging.CRITICAL)  # a circuit is opened on purpose here
    return asyncio.run(measure(options.seconds))


if __name__ == "__main__":
    sys.exit(main())
