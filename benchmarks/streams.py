"""What it costs to serve Hystrix's stream: ``python -m benchmarks.streams``.

A process with 500 circuits serves hystrix.stream to five readers, twice a second. Measured are its processor
time and how long its loop kept others waiting, with and without readers, in turns; and the longest piece of
work between two chances for others, in processor time, which other programs do not spoil. Then the same for a
registry's turbine.stream, to which four processes push those circuits once a second, a tenth of them called.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from registry_server.board import Board
from registry_server.board_push import parse
from registry_server.turbine import Turbine, _source
from resilient.circuits import calls
from resilient.circuits.book import CircuitBook
from resilient.circuits.guard import Guard
from resilient.circuits.policy import CircuitPolicy
from resilient.clock import SYSTEM
from resilient.telemetry.hystrix_http import handle
from resilient.telemetry.hystrix_stream import Stream, stream_of
from resilient.telemetry.stalls import Stalls

from .push import Load

CIRCUITS, READERS, PUSHERS = 500, 5, 4
#: The share of circuits that are called in a second.
BUSY = 0.1
#: Seconds the loop may be kept waiting because of a stream, and the share of one core that it may take.
STALL, SHARE = 0.010, 0.15

_READ = (
    "import socket, sys\n"
    "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
    "s.sendall(f'GET {sys.argv[2]} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'.encode())\n"
    "n = 0\n"
    "while data := s.recv(1 << 18): n += data.count(b'data: {')\n"
    "print(n, flush=True)\n"
)


def busy_book(circuits: int = CIRCUITS) -> CircuitBook:
    """Circuits that have all been used, a tenth of them with failures."""
    book = CircuitBook()

    def fail() -> None:
        raise OSError("as asked for")

    for n in range(circuits):
        guard = Guard(f"shop.orders.circuit_{n}", CircuitPolicy(), lambda one: (book.of(one), True))
        call = calls.sync(guard, lambda: None)
        for _ in range(30):
            call()
        if n % 10 == 0:
            bad = calls.sync(guard, fail)
            for _ in range(3):
                try:
                    bad()
                except OSError:
                    pass
    return book


async def watch(seconds: float, *, quiet: float = 0.002) -> tuple[float, float]:
    """(processor seconds per second, the longest time that others waited) of this process."""
    stalls = Stalls(period=quiet)
    stalls.start()
    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    spent = (time.process_time() - cpu) / (time.perf_counter() - began)
    stalls.stop()
    return spent, stalls.longest


async def serve(mount: Callable[[web.Application], None], path: str, seconds: float) -> dict[str, Any]:
    """Both numbers with readers, in turns with none."""
    app = web.Application()
    mount(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    alone, read = [], []
    for _ in range(3):
        alone.append(await watch(seconds))
        readers = [
            subprocess.Popen(
                [sys.executable, "-c", _READ, str(port), path], stdout=subprocess.PIPE, text=True
            )
            for _ in range(READERS)
        ]
        await asyncio.sleep(1.0)
        read.append(await watch(seconds))
        for reader in readers:
            reader.kill()
            reader.wait()
            assert reader.stdout is not None
            reader.stdout.close()
    await runner.cleanup()
    return {
        "share": min(cpu for cpu, _ in read) - min(cpu for cpu, _ in alone),
        "stall": min(longest for _, longest in read),
        "stall_alone": min(longest for _, longest in alone),
    }


def moment_of(stream: Stream) -> dict[str, float]:
    """Processor seconds that the events of one moment take, and the longest piece of that work."""
    wholes, longest = [], []
    for _ in range(5):
        making, pieces = stream._make(), []
        while True:
            began = time.thread_time()
            try:
                making.send(None)
            except StopIteration:
                break
            finally:
                pieces.append(time.thread_time() - began)
        wholes.append(sum(pieces))
        longest.append(max(pieces))
    return {"moment": min(wholes), "piece": min(longest)}


async def hystrix(seconds: float, circuits: int = CIRCUITS) -> dict[str, Any]:
    """A process's own stream."""
    book = busy_book(circuits)
    stream = stream_of(book)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await handle(request, stream)

    def mount(app: web.Application) -> None:
        app.router.add_get("/hystrix.stream", answer)

    return {**moment_of(stream), **await serve(mount, "/hystrix.stream", seconds)}


async def turbine(seconds: float, circuits: int = CIRCUITS) -> dict[str, Any]:
    """The registry's. ``anew`` is a moment in which every circuit has something new to tell."""
    board = Board(SYSTEM)
    load = Load(circuits)
    load.call()
    first = [load.message() for _ in range(1 + circuits // 25)]
    later = []
    for _ in range(5):
        load.call(BUSY)
        later.append(load.message())

    def tell(message: bytes) -> None:
        for n in range(PUSHERS):
            board.put(parse(message.replace(b"SENDER", b"shop-%d" % n)))

    async def push() -> None:
        for message in itertools.cycle(later):
            await asyncio.sleep(1.0)
            tell(message)

    for message in first:
        tell(message)
    served = Turbine(board._processes.values, SYSTEM)
    anew = moment_of(Stream(served.frames))["moment"]
    made = moment_of(Stream(_source(served, "default")))
    pushing = asyncio.create_task(push())
    try:
        return {**made, "anew": anew, **await serve(served.install, "/turbine.stream?delay=500", seconds)}
    finally:
        pushing.cancel()


async def run(short: bool = False) -> dict[str, dict[str, Any]]:
    seconds, circuits = (0.5, 50) if short else (3.0, CIRCUITS)
    return {"hystrix": await hystrix(seconds, circuits), "turbine": await turbine(seconds, circuits)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true", help="few circuits, a few seconds, judges nothing")
    short = parser.parse_args().short
    bad = 0
    for name, one in asyncio.run(run(short)).items():
        print(
            f"{name}.stream  one moment {one['moment'] * 1000:.1f} ms of processor"
            f"{' (%.1f if all is new)' % (1000 * one['anew']) if 'anew' in one else ''}, "
            f"{one['piece'] * 1000:.1f} ms at a time; "
            f"{READERS} readers at 2 Hz {one['share'] * 100:.1f} % of a core; "
            f"longest stall {one['stall'] * 1000:.1f} ms (without readers {one['stall_alone'] * 1000:.1f} ms)"
        )
        quiet = one["stall_alone"] < STALL / 2  # else the stalls are those of other programs
        stalls = quiet and one["stall"] - one["stall_alone"] > STALL
        bad += stalls or one["piece"] > STALL or one["share"] > SHARE
    if bad and not short:
        print(f"over budget: {STALL * 1000:g} ms of stall, {SHARE:.0%} of a core")
    return int(bad > 0 and not short)


if __name__ == "__main__":
    sys.exit(main())
