"""What our session costs beside a bare aiohttp session: ``python -m benchmarks --only session``.

Client CPU (user and system) for each request, keep-alive, small JSON answers from servers in a process of
their own, on a core of their own where there are two. Slices of the contenders alternate; a ratio is the
median over the rounds. The bare session asks instances at random, as a balanced one does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from .budgets import Ratio, compare
from .measure import NotProven, low
from .report import Section

BARE = "bare aiohttp"
RATIOS = [
    Ratio("our session in a circuit", 1.10, BARE),
    Ratio("our session, its own circuit", 1.10, BARE),
]
INSTANCES = 3

_BODY = b'{"id": 7, "item": "anvil", "price": 12.5, "in_stock": true}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: bench\r\n\r\n%s"
) % (len(_BODY), _BODY)


class _Server(asyncio.Protocol):
    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(_ANSWER * data.count(b"\r\n\r\n"))


async def _serve(count: int) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(_Server, "127.0.0.1", 0) for _ in range(count)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started us is gone


@contextlib.contextmanager
def serving(count: int, core: int | None = None) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A process with so many listening instances, and their URLs; it ends with the block, or with us."""
    command = [sys.executable, "-m", "benchmarks.session", str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        yield process, [f"http://127.0.0.1:{port}" for port in process.stdout.readline().split()]
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def _own_core() -> Iterator[int | None]:
    """Stay on one core; answers with another one, if there is one."""
    if not hasattr(os, "sched_setaffinity") or len(cores := sorted(os.sched_getaffinity(0))) < 2:
        yield None
        return
    os.sched_setaffinity(0, {cores[0]})
    try:
        yield cores[1]
    finally:
        os.sched_setaffinity(0, cores)


Fetch = Callable[[], Awaitable[object]]


async def _slice(fetch: Fetch, calls: int, width: int, times: list[int]) -> float:
    async def some(n: int) -> None:
        for _ in range(n):
            sent = time.perf_counter_ns()
            await fetch()
            times.append(time.perf_counter_ns() - sent)

    began = time.process_time_ns()
    await asyncio.gather(*(some(calls // width) for _ in range(width)))
    return (time.process_time_ns() - began) / (calls // width * width)


async def run(short: bool) -> Section | None:
    """CPU for each request in nanoseconds, and its ratio to the bare session's; ``None`` without aiohttp."""
    try:
        import resilient.aiohttp.client  # noqa: F401
    except ImportError:
        return None
    with _own_core() as core, serving(INSTANCES, core) as (_, urls):
        samples, times = await _measure(urls, 15 if short else 31, 200 if short else 400, 8)
    measured = {name: low(values) for name, values in samples.items()}
    measured |= {f"{name}: 99 of 100 answers within": _late(values) for name, values in times.items()}
    # Each round's own ratio: what slows the machine down slows both sides of it down.
    bare = samples[BARE]
    ratios = {
        name: statistics.median(one / other for one, other in zip(values, bare, strict=True))
        for name, values in samples.items()
    }
    section = Section("session", "CPU of a client for each request; and the time until an answer", measured)
    section.findings = compare(RATIOS, {name: ratio * 1e6 for name, ratio in ratios.items()})
    section.notes.append(
        "8 requests at a time; client and servers each on a core of their own where there are two"
    )
    return section


def _late(times: list[int]) -> float:
    return statistics.quantiles(times, n=100)[98]


async def _measure(
    urls: list[str], rounds: int, calls: int, width: int
) -> tuple[dict[str, list[float]], dict[str, list[int]]]:
    import aiohttp

    from resilient import circuit, runtime
    from resilient.aiohttp.client import make_session
    from resilient.circuits import attempt

    turn = 0
    draw = random.Random(7).choices(urls, k=1009)
    before, watched = runtime._process, attempt.watched
    here = runtime._process = runtime.Runtime(instances={"orders": urls})  # as in a program: the only one
    async with aiohttp.ClientSession() as bare_session, make_session() as our_session:
        attempt.watched = True

        async def bare() -> object:
            nonlocal turn
            turn += 1
            async with bare_session.get(f"{draw[turn % 1009]}/orders/{turn & 1023}") as response:
                return await response.read()

        async def ours() -> object:
            nonlocal turn
            turn += 1
            async with our_session.get(f"http://orders/orders/{turn & 1023}") as response:
                return await response.read()

        contenders: dict[str, Fetch] = {
            BARE: bare,
            "our session in a circuit": circuit("bench order")(ours),
            "our session, its own circuit": ours,
        }
        samples: dict[str, list[float]] = {name: [] for name in contenders}
        times: dict[str, list[int]] = {name: [] for name in contenders}
        try:
            for fetch in contenders.values():
                await _slice(fetch, calls, width, [])
            if len([node for node in here.balancer.nodes("orders") if node.share > 0.1]) < INSTANCES:
                raise NotProven("our session does not spread its requests")
            gc.collect()
            gc.freeze()
            for _ in range(rounds):
                for name, fetch in contenders.items():
                    samples[name].append(await _slice(fetch, calls, width, times[name]))
        finally:
            gc.unfreeze()
            runtime._process, attempt.watched = before, watched
    return samples, times


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
