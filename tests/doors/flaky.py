"""Servers that misbehave by script, on a loop of their own so that blocking callers can be tested too."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Flaky:
    """One instance. ``script`` names what each request meets; the last word is for all that follow."""

    script: tuple[object, ...]
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def reached(self) -> int:
        return len(self.seen)

    def next(self) -> object:
        turn = len(self.seen) - 1
        return self.script[min(turn, len(self.script) - 1)]

    async def serve(self, reader: Reader, writer: Writer) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            served = 0
            while (request := await read_request(reader)) is not None:
                self.seen.append(request)
                served += 1
                if not await self._answer(self.next(), request, writer, served):
                    break
        writer.close()

    async def _answer(self, word: object, request: Seen, writer: Writer, served: int) -> bool:
        if callable(word):
            writer.write(word(request))
            await writer.drain()
            return True
        return await BEHAVIOURS[str(word)](self, writer, served)


async def read_request(reader: Reader) -> Seen | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = await reader.readline()
        if not line:
            return None
        head += line
    first, *rest = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in rest if line)
    headers = {name.lower(): value for name, value in headers.items()}
    body = b""
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readline()).strip(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    return Seen(method, target, headers, body)


def answer(status: int = 200, body: bytes = b"fine", **headers: str) -> bytes:
    """A whole response; ``Retry_After="1"`` is spelled with an underscore."""
    lines = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def reset(writer: Writer) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def plain(status: int, **headers: str) -> Callable[[Flaky, Writer, int], Awaitable[bool]]:
    async def behave(flaky: Flaky, writer: Writer, served: int) -> bool:
        writer.write(answer(status, b"fine" if status < 400 else b"no", **headers))
        await writer.drain()
        return True

    return behave


async def _reset(flaky: Flaky, writer: Writer, served: int) -> bool:
    reset(writer)
    return False


async def _disconnect(flaky: Flaky, writer: Writer, served: int) -> bool:
    return False


async def _reset_after_headers(flaky: Flaky, writer: Writer, served: int) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
    await writer.drain()
    await asyncio.sleep(0.03)  # a reset overtakes what the other end has not read yet
    reset(writer)
    return False


async def _hang(flaky: Flaky, writer: Writer, served: int) -> bool:
    for _ in range(1000):
        if flaky.release.is_set() or writer.transport.is_closing():
            break
        await asyncio.sleep(0.01)
    return False


async def _drip(flaky: Flaky, writer: Writer, served: int) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    for _ in range(10):
        await asyncio.sleep(0.01)
        writer.write(b".")
        await writer.drain()
    return True


async def _garbage(flaky: Flaky, writer: Writer, served: int) -> bool:
    writer.write(b"\x00\x01 this is not HTTP\r\n\r\n")
    await writer.drain()
    return False


async def _half_close(flaky: Flaky, writer: Writer, served: int) -> bool:
    writer.write(answer())
    await writer.drain()
    writer.write_eof()
    return True


async def _keep_once(flaky: Flaky, writer: Writer, served: int) -> bool:
    """Answers the first request of each connection and closes it when a second one has arrived."""
    if served > 1:
        return False
    return await plain(200)(flaky, writer, served)


async def _slow(flaky: Flaky, writer: Writer, served: int) -> bool:
    """Headers at once, the body when released."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfi")
    await writer.drain()
    await _hang(flaky, writer, served)
    writer.write(b"ne")
    await writer.drain()
    return True


BEHAVIOURS: dict[str, Callable[[Flaky, Writer, int], Awaitable[bool]]] = {
    "ok": plain(200),
    "404": plain(404),
    "500": plain(500),
    "503": plain(503),
    "503 wait 0": plain(503, Retry_After="0"),
    "503 wait 30": plain(503, Retry_After="30"),
    "reset": _reset,
    "disconnect": _disconnect,
    "reset after headers": _reset_after_headers,
    "hang": _hang,
    "drip": _drip,
    "garbage": _garbage,
    "half-close": _half_close,
    "keep once": _keep_once,
    "slow": _slow,
}


class Servers:
    """Starts instances on a thread of its own; a script of ``refuse`` is a port that nobody listens on."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._bound: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self.instances: list[Flaky] = []

    def start(self, *script: object, ssl: object = None, host: str = "127.0.0.1") -> Flaky:
        flaky = Flaky(script or ("ok",))
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family)
        sock.bind((host, 0))
        port = sock.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        flaky.url = f"{'https' if ssl else 'http'}://{shown}:{port}"
        self.instances.append(flaky)
        if script == ("refuse",):
            self._bound.append(sock)  # bound and not listening: nobody else gets the port meanwhile
            return flaky
        made = asyncio.start_server(flaky.serve, sock=sock, ssl=ssl)
        self._servers.append(asyncio.run_coroutine_threadsafe(made, self._loop).result(5))
        return flaky

    def close(self) -> None:
        for flaky in self.instances:
            flaky.release.set()
        for sock in self._bound:
            sock.close()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    made = Servers()
    try:
        yield made
    finally:
        made.close()
