"""Load for the registry's bench: HTTP over raw sockets, so that the generator costs less than the server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .registry_serve import TOKEN

AUTHORIZATION = "Basic " + base64.b64encode(f"any:{TOKEN}".encode()).decode()


def put(path: str) -> bytes:
    """A heartbeat as Eureka's own client sends it."""
    return (
        f"PUT {path}?status=UP&lastDirtyTimestamp=1700000000000 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: {AUTHORIZATION}\r\nAccept: application/json\r\nUser-Agent: bench\r\n\r\n"
    ).encode()


def post(path: str, body: bytes) -> bytes:
    """A write with a JSON body."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {AUTHORIZATION}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way. Answers without a body, or with a length."""

    def __init__(self, done: Callable[[Connection, int], None]) -> None:
        self._done = done
        self._buffer = b""
        self._missing = 0
        self._status = 0
        self.sent = 0.0
        self.transport: Any = None
        self.answer = bytearray()
        self.keep = False
        self._chunks: bytearray | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, request: bytes) -> None:
        self.sent = time.perf_counter()
        self.transport.write(request)

    def _chunk(self, data: bytes) -> None:
        """More of an answer in chunks: Netflix's server sends its lists so."""
        assert self._chunks is not None
        self._chunks += data
        if not self._chunks.endswith(b"0\r\n\r\n"):
            return
        left, self._chunks = bytes(self._chunks), None
        whole = bytearray()
        while left:
            size, _, left = left.partition(b"\r\n")
            whole += left[: int(size, 16)]
            left = left[int(size, 16) + 2 :]
        self.answer = whole
        self._done(self, self._status)

    def data_received(self, data: bytes) -> None:
        if self._chunks is not None:
            self._chunk(data)
            return
        if self._missing:
            self._missing -= len(data)
            if self.keep:
                self.answer += data
            if self._missing <= 0:
                self._done(self, self._status)
            return
        data = self._buffer + data if self._buffer else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = data
            return
        self._buffer = b""
        self._status = int(data[9:12])
        head = data[: end + 2].lower()
        if b"transfer-encoding: chunked" in head:
            self._chunks = bytearray()
            self._chunk(data[end + 4 :])
            return
        at = head.find(b"content-length: ")
        size = 0 if at < 0 else int(data[at + 16 : data.index(b"\r", at)])
        self.answer = bytearray(data[end + 4 :]) if self.keep else bytearray()
        self._missing = size - (len(data) - end - 4)
        if self._missing <= 0:
            self._missing = 0
            self._done(self, self._status)


async def connect(port: int, count: int, done: Callable[[Connection, int], None]) -> list[Connection]:
    loop = asyncio.get_running_loop()
    return [
        (await loop.create_connection(lambda: Connection(done), "127.0.0.1", port))[1] for _ in range(count)
    ]


async def flood(port: int, requests: list[bytes], width: int, wrong: Callable[[int], bool]) -> float:
    """All requests over so many connections, one at a time each. Seconds it took; ends at a wrong answer."""
    left = iter(requests)
    busy = 0
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(connection: Connection, status: int) -> None:
        nonlocal busy
        if wrong(status) and not over.done():
            over.set_exception(AssertionError(f"answered {status}"))
        request = next(left, None)
        if request is not None:
            connection.send(request)
            return
        busy -= 1
        if not busy and not over.done():
            over.set_result(None)

    connections = await connect(port, width, done)
    began = time.perf_counter()
    for connection in connections:
        busy += 1
        connection.send(next(left))
    await over
    took = time.perf_counter() - began
    for connection in connections:
        connection.transport.close()
    return took


async def steady(port: int, requests: list[bytes], rate: float, seconds: float, width: int) -> list[float]:
    """Requests at a fixed rate whatever the server does; the seconds each took, from when it was due."""
    # In turns: a connection that rests for long would be closed by the server.
    idle: deque[Connection] = deque()
    took: list[float] = []
    waiting: deque[float] = deque()
    turn = 0

    def done(connection: Connection, status: int) -> None:
        took.append(time.perf_counter() - connection.sent)
        if status != 200:
            raise AssertionError(f"answered {status}")
        if waiting:
            go(connection, waiting.popleft())
        else:
            idle.append(connection)

    def go(connection: Connection, due: float) -> None:
        nonlocal turn
        connection.send(requests[turn % len(requests)])
        connection.sent = due
        turn += 1

    connections = await connect(port, width, done)
    idle.extend(connections)
    began = time.perf_counter()
    sent = 0
    while (now := time.perf_counter()) - began < seconds:
        while sent < (now - began) * rate:
            due = began + sent / rate
            if idle:
                go(idle.popleft(), due)
            else:
                waiting.append(due)
            sent += 1
        await asyncio.sleep(0.001)
    while len(idle) < len(connections):
        await asyncio.sleep(0.01)
    for connection in connections:
        connection.transport.close()
    return sorted(took)


async def fetch(port: int, path: str) -> tuple[float, bytes]:
    """A gzipped read: seconds, and its body."""
    over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    (one,) = await connect(port, 1, lambda _, status: over.set_result(status))
    one.keep = True
    began = time.perf_counter()
    one.transport.write(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {AUTHORIZATION}\r\n"
        "Accept: application/json\r\nAccept-Encoding: gzip\r\n\r\n".encode()
    )
    status = await over
    one.transport.close()
    assert status == 200, status
    return time.perf_counter() - began, bytes(one.answer)


class Server:
    """A server process that is told commands."""

    def __init__(self, kind: str, most: int = 100_000, snapshot: str = "", core: int | None = None) -> None:
        command = [sys.executable, "-m", "benchmarks.registry_serve", kind, str(most), snapshot]
        self.popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=None
        )
        if core is not None:
            os.sched_setaffinity(self.popen.pid, {core})
        hello = self._line()
        self.port = int(hello["port"])
        self.start_seconds = float(hello["start_seconds"])

    def _line(self) -> dict[str, Any]:
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            raise RuntimeError("the server process ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def _tell(self, what: str, more: dict[str, Any]) -> dict[str, Any]:
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.popen.stdin.flush()
        return self._line()

    async def do(self, what: str, **more: Any) -> dict[str, Any]:
        """What it answers, with its CPU seconds and memory."""
        return await asyncio.to_thread(self._tell, what, more)

    def end(self) -> None:
        self.popen.kill()
        self.popen.wait()
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def serving(kind: str, most: int = 100_000, snapshot: str = "", core: int | None = None) -> Iterator[Server]:
    """A server process; it ends with the block, or with us."""
    server = Server(kind, most, snapshot, core)
    try:
        yield server
    finally:
        server.end()
