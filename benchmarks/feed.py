"""How soon a change is seen: from the registration that is sent to the event that is read, by many readers.

``python -m benchmarks.feed`` starts a registry and four processes of readers. A reader is whatever a
function ``async (url, seen) -> close`` makes, which calls ``seen(n)`` when it knows of the instance
``bench-n``; the one here reads the raw stream, that of `feed_pick` is a whole client which counts what
``pick()`` can return, and ``--reader MODULE:FUNCTION`` names another.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

Seen = Callable[[int], None]
Close = Callable[[], None]
Reader = Callable[[str, Seen], Awaitable[Close]]

PROCESSES = 4
RAW = "benchmarks.feed:raw"
PICK = "benchmarks.feed_pick:picking"
#: Milliseconds to at most 99 of 100 readings, by the number of readers.
BUDGETS = {100: 100.0}
_MARK = b'"id":"bench-'


# --------------------------------------------------------------------- readers


class _Raw(asyncio.Protocol):
    def __init__(self, seen: Seen, ready: asyncio.Future[None]) -> None:
        self._seen = seen
        self._ready = ready
        self._tail = b""

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        if not self._ready.done() and b"event: hello" in data:
            self._ready.set_result(None)
        done = 0
        while (start := data.find(_MARK, done)) >= 0:
            end = data.find(b'"', start + len(_MARK))
            if end < 0:
                break
            self._seen(int(data[start + len(_MARK) : end]))
            done = end
        self._tail = data[max(done, len(data) - 40) :]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ready.done():
            self._ready.set_exception(exc or ConnectionError("the registry closed it"))


async def raw(url: str, seen: Seen) -> Close:
    """A socket, and nothing that understands more than it must."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    transport, _ = await loop.create_connection(lambda: _Raw(seen, ready), parts.hostname, parts.port)
    transport.write(
        f"GET /resilient/v1/feed?snapshot=0 HTTP/1.1\r\nHost: {parts.hostname}:{parts.port}\r\n\r\n".encode()
    )
    await ready
    return transport.abort


def _work(name: str, url: str, count: int, pipe: Connection) -> None:
    """One process of readers: says how many are there, then what they saw whenever it is asked."""
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    module, _, function = name.partition(":")
    reader: Reader = getattr(importlib.import_module(module), function)
    asyncio.run(_read(reader, url, count, pipe))


async def _read(reader: Reader, url: str, count: int, pipe: Connection) -> None:
    sightings: list[tuple[int, int]] = []

    def seen(number: int) -> None:
        sightings.append((number, time.monotonic_ns()))

    closes: list[Close] = []
    while len(closes) < count:
        some = min(50, count - len(closes))
        closes += await asyncio.gather(*(reader(url, seen) for _ in range(some)))
    pipe.send(len(closes))
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    loop.add_reader(pipe.fileno(), asked.set)
    while True:
        await asked.wait()
        asked.clear()
        if pipe.poll():
            if pipe.recv() == "end":
                break
            pipe.send(sightings)
            sightings = []
    loop.remove_reader(pipe.fileno())
    for close in closes:
        close()


# --------------------------------------------------------------------- the registry, and who writes


class Server:
    """A registry in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "registry_server", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the registry did not start"

    def memory(self) -> float:
        """Resident KiB."""
        with open(f"/proc/{self._process.pid}/status") as status:
            return next(float(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def cpu(self) -> float:
        """Seconds of processor so far."""
        with open(f"/proc/{self._process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Writer:
    """Registers, and renews, over one connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = f"{parts.hostname}:{parts.port}"
        self._wire = socket.create_connection((parts.hostname or "", parts.port or 0), 10)
        self._wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def register(self, number: int) -> int:
        """Register ``bench-n``; the moment it was sent."""
        instance = {
            "instanceId": f"bench-{number}",
            "hostName": "bench.example.net",
            "app": "BENCH",
            "ipAddr": "10.0.0.1",
            "status": "UP",
            "port": {"$": 8080, "@enabled": "true"},
            "vipAddress": "bench",
            "dataCenterInfo": {
                "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
                "name": "MyOwn",
            },
            "lastDirtyTimestamp": str(number + 1),
            "metadata": {"zone": "a", "version": "1.0"},
        }
        body = json.dumps({"instance": instance}).encode()
        head = (
            f"POST /eureka/apps/BENCH HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        sent = time.monotonic_ns()
        self._ask(head.encode() + body, b"204")
        return sent

    def renew(self, number: int) -> float:
        """Milliseconds a heartbeat took."""
        began = time.monotonic_ns()
        self._ask(
            f"PUT /eureka/apps/BENCH/bench-{number} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode(), b"200"
        )
        return (time.monotonic_ns() - began) / 1e6

    def _ask(self, request: bytes, status: bytes) -> None:
        self._wire.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = self._wire.recv(65_536)
            assert piece, "the registry hung up"
            answer += piece
        assert answer[9:12] == status, answer[:200]

    def close(self) -> None:
        self._wire.close()


# --------------------------------------------------------------------- one measurement


@dataclass(frozen=True, slots=True)
class Result:
    """Milliseconds, but for ``kib`` of a reader, and ``cpu``: microseconds for one event of one reader."""

    readers: int
    seen: int
    missed: int
    p50: float
    p99: float
    worst: float
    heartbeat: float
    kib: float
    cpu: float

    def line(self) -> str:
        return (
            f"{self.readers:>7} {self.p50:>8.1f} {self.p99:>8.1f} {self.worst:>8.1f} {self.heartbeat:>10.1f} "
            f"{self.kib:>9.1f} {self.cpu:>9.1f} {self.missed:>7}"
        )


HEAD = (
    f"{'readers':>7} {'p50 ms':>8} {'p99 ms':>8} {'worst':>8} {'heartbeat':>10} {'KiB each':>9} "
    f"{'us/event':>9} {'missed':>7}"
)


@contextlib.contextmanager
def readers(name: str, url: str, count: int) -> Iterator[list[Connection]]:
    """So many readers, spread over the processes."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        for number in range(min(PROCESSES, count)):
            ours, theirs = context.Pipe()
            share = count // PROCESSES + (number < count % PROCESSES)
            process = context.Process(target=_work, args=(name, url, share, theirs), daemon=True)
            process.start()
            pipes.append(ours)
            processes.append(process)
        assert sum(pipe.recv() for pipe in pipes) == count
        yield pipes
    finally:
        for pipe in pipes:
            with contextlib.suppress(OSError):
                pipe.send("end")
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()


def measure(count: int, changes: int, pause: float, reader: str = RAW) -> Result:
    """``changes`` registrations, ``pause`` seconds apart, seen by ``count`` readers."""
    server = Server()
    try:
        Writer(server.url).register(0)
        empty = server.memory()
        with readers(reader, server.url, count) as pipes:
            time.sleep(0.5)
            # Only now: connections that say nothing are closed, and a thousand readers take their time.
            writer, prober = Writer(server.url), Writer(server.url)
            kib = (server.memory() - empty) / count
            before = server.cpu()
            sent: dict[int, int] = {}
            slowest = 0.0
            for number in range(1, changes + 1):
                sent[number] = writer.register(number)
                until = time.monotonic() + pause
                while time.monotonic() < until:
                    slowest = max(slowest, prober.renew(0))
                    time.sleep(0.005)
            delays, missed = _collect(pipes, sent, count)
            spent = (server.cpu() - before) * 1e6 / max(1, len(delays))
        writer.close()
        prober.close()
        cuts = statistics.quantiles(delays, n=100) if len(delays) > 1 else [float("nan")] * 99
        return Result(count, len(delays), missed, cuts[49], cuts[98], max(delays), slowest, kib, spent)
    finally:
        server.stop()


def _collect(pipes: list[Connection], sent: dict[int, int], count: int) -> tuple[list[float], int]:
    delays: list[float] = []
    wanted = len(sent) * count
    until = time.monotonic() + 10
    while len(delays) < wanted and time.monotonic() < until:
        for pipe in pipes:
            pipe.send("tell")
            delays += [(at - sent[number]) / 1e6 for number, at in pipe.recv() if number in sent]
        time.sleep(0.05)
    return delays, wanted - len(delays)


def main(argv: list[str] | None = None) -> int:
    """The table; 1 if a budget is not kept or an event was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feed", description=__doc__)
    parser.add_argument("--short", action="store_true", help="look whether it works; few readers, no verdict")
    parser.add_argument("--reader", help="MODULE:FUNCTION that makes a reader; both of ours if left out")
    parser.add_argument("--readers", type=int, action="append", help="how many; may be given more than once")
    args = parser.parse_args(argv)
    good = True
    for reader in [args.reader] if args.reader else [RAW, PICK]:
        print("events read off the wire" if reader == RAW else f"what pick() can return: {reader}")
        print(HEAD)
        most_readers = [1, 100, 1_000, 5_000] if reader == RAW else [1, 100, 1_000]
        for count in args.readers or ([1, 20] if args.short else most_readers):
            changes, pause = (10, 0.02) if args.short else (100, 0.05) if count <= 1000 else (20, 0.5)
            if reader != RAW and count > 100:
                changes, pause = 20, 2.0  # a thousand whole clients on this one machine take a while
            result = measure(count, changes, pause, reader)
            print(result.line(), flush=True)
            good = good and not result.missed
            if not args.short and (most := BUDGETS.get(count)) is not None and result.p99 > most:
                print(f"p99 of {count} readers is above {most:g} ms")
                good = False
    return 0 if good else 1


if __name__ == "__main__":
    # By its full name: the processes of readers look for what they run in the module, not in the program.
    from benchmarks.feed import main as named

    raise SystemExit(named())
