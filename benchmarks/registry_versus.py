"""The same load on our registry and on Netflix's Eureka server, one after the other on the same core.

``python -m benchmarks.registry --versus``. Needs a JDK (17 or later) and Maven, as the tests under
``tests/interop`` do; their Eureka server (Spring Cloud Netflix) is taken, with its cache of answers as it
comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .measure import NotProven
from .registry_load import fetch, flood, post, put, serving, steady
from .registry_serve import path_of, registration

WIDTH = 64
#: Seconds an instance may stay unseen at most before we give up.
PATIENCE = 90.0
_INTEROP = Path(__file__).parents[1] / "tests"


@dataclass(slots=True)
class Side:
    """What one of the two did."""

    name: str
    beats: float = 0.0
    cpu: float = 0.0
    p99: float = 0.0
    registrations: float = 0.0
    memory: float = 0.0
    visible: float = 0.0

    def cells(self) -> list[str]:
        return [
            f"{self.beats:,.0f}",
            f"{self.cpu * 1e6:.0f} µs",
            f"{self.p99 * 1e3:.1f} ms",
            f"{self.registrations:,.0f}",
            f"{self.memory / 2**20:,.0f} MiB",
            f"{self.visible * 1e3:,.0f} ms" if self.visible < 1 else f"{self.visible:.1f} s",
        ]


ROWS = (
    "heartbeats a second",
    "CPU of a heartbeat",
    "p99 of heartbeats at the same rate",
    "registrations a second",
    "memory of the process",
    "registered until a list shows it (mean)",
)


class _Process:
    """A running server, looked at from outside: the same for both."""

    def __init__(self, name: str, pid: int, port: int) -> None:
        self.name, self.pid, self.port = name, pid, port

    def cpu(self) -> float:
        """Seconds of processor so far, all threads."""
        text = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(text[11]) + int(text[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident bytes."""
        text = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(text[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def _ours(size: int, core: int | None) -> Iterator[_Process]:
    with serving("ours", 2 * size, "", core) as server:
        yield _Process("ours", server.popen.pid, server.port)


@contextlib.contextmanager
def _netflix(core: int | None) -> Iterator[_Process]:
    os.environ.setdefault("INTEROP", "full")  # builds it if need be
    sys.path[:0] = [str(_INTEROP), str(_INTEROP / "interop")]
    import interop_kit as kit

    if why := kit.java_missing():
        raise NotProven(f"Netflix's server cannot be run: {why}")
    port = kit.free_port()
    pin = ["taskset", "-c", str(core)] if core is not None else []
    # The JVM's own choice of compiler and collector; a connection is not closed after 100 requests.
    options = [f"--server.port={port}", "--server.tomcat.max-keep-alive-requests=-1"]
    options += ["--eureka.server.use-read-only-response-cache=true"]
    command = [*pin, "java", "-Xmx1g", "-jar", str(kit._jar("server")), *options]
    popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert popen.stdout is not None
        for line in popen.stdout:
            if ": Started " in line:
                break
        else:
            raise NotProven("Netflix's server did not start")
        drain = subprocess.Popen(["cat"], stdin=popen.stdout, stdout=subprocess.DEVNULL)
        try:
            yield _Process("netflix", popen.pid, port)
        finally:
            drain.kill()
            drain.wait()
    finally:
        popen.kill()
        popen.wait()


def _registering(numbers: range) -> list[bytes]:
    return [
        post(
            f"/eureka/apps/{registration(number)['app']}",
            json.dumps({"instance": registration(number)}).encode(),
        )
        for number in numbers
    ]


async def _one(server: _Process, size: int, rate: float, calls: int, rounds: int) -> Side:
    side = Side(server.name)
    rng = random.Random(5)
    took = await flood(server.port, _registering(range(size)), WIDTH, lambda status: status != 204)
    side.registrations = size / took
    rates, spent = [], []
    for number in range(-2, rounds):
        beats = [put(path_of(rng.randrange(size))) for _ in range(calls)]
        used = server.cpu()
        took = await flood(server.port, beats, WIDTH, lambda status: status != 200)
        if number >= 0:  # the first two are for the JVM to compile what it needs
            rates.append(calls / took)
            spent.append((server.cpu() - used) / calls)
    side.beats, side.cpu = statistics.median(rates), statistics.median(spent)
    beats = [put(path_of(rng.randrange(size))) for _ in range(5000)]
    times = await steady(server.port, beats, rate, 5 if rounds > 2 else 2, WIDTH)
    side.p99 = times[int(len(times) * 0.99)]
    waits = [await _visible(server, size + number) for number in range(3)]
    side.visible = statistics.mean(waits)
    side.memory = server.memory()
    return side


async def _visible(server: _Process, number: int) -> float:
    """Seconds from the answer to a registration until a list that is asked for again and again shows it."""
    await asyncio.sleep(random.Random(number).uniform(0, 2))
    await flood(server.port, _registering(range(number, number + 1)), 1, lambda status: status != 204)
    began = time.perf_counter()
    wanted = registration(number)["instanceId"].encode()
    while time.perf_counter() - began < PATIENCE:
        # As a client that has read everything once asks.
        _, body = await fetch(server.port, "/eureka/apps/delta")
        if wanted in _plain(body):
            return time.perf_counter() - began
        await asyncio.sleep(0.01)
    raise NotProven(f"{server.name} never showed a new instance")


def _plain(body: bytes) -> bytes:
    import gzip

    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


async def versus(core: int | None, size: int, *, short: bool) -> list[Side]:
    """Both sides, ours first."""
    calls, rounds, rate = (2000, 2, 500.0) if short else (20_000, 5, 2000.0)
    sides = []
    for open_ in (lambda: _ours(size, core), lambda: _netflix(core)):
        with open_() as server:
            sides.append(await _one(server, size, rate, calls, rounds))
    return sides


def table(sides: list[Side], size: int) -> str:
    """For people, and for docs/benchmarks.md."""
    lines = [f"| {size:,} instances, one core | ours | Netflix's |", "|---|---|---|"]
    cells = zip(ROWS, *(side.cells() for side in sides), strict=True)
    lines += [f"| {name} | {ours} | {theirs} |" for name, ours, theirs in cells]
    ours, theirs = sides
    behind = [
        name
        for name, worse in (
            ("heartbeats a second", ours.beats < theirs.beats),
            ("CPU of a heartbeat", ours.cpu > theirs.cpu),
            ("p99", ours.p99 > theirs.p99),
            ("registrations a second", ours.registrations < theirs.registrations),
            ("memory", ours.memory > theirs.memory),
            ("time to visible", ours.visible > theirs.visible),
        )
        if worse
    ]
    lines.append(f"\nours is not ahead in: {', '.join(behind) or 'nothing of this'}")
    return "\n".join(lines)
