import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from resilient.web.limits import Limits
from resilient.web.server import Listener, listen
from resilient.web.stream import Outlet, Streams

GET = b"GET /feed HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Feed:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.streams = Streams(limits)
        self.outlets: list[Outlet] = []
        self.listener: Listener
        self.ended = 0

    async def start(self) -> "Feed":
        app = web.Application()
        self.streams.install(app)
        app.router.add_get("/feed", self.feed)
        app.router.add_get("/count", self.count)
        self.listener = await listen(app, limits=self.limits, shutdown_timeout=5)
        return self

    async def feed(self, request: web.Request) -> web.StreamResponse:
        outlet = self.streams.outlet()
        self.outlets.append(outlet)
        try:
            return await self.streams.serve(request, outlet)
        finally:
            self.ended += 1

    async def count(self, request: web.Request) -> web.StreamResponse:
        async def numbers() -> AsyncIterator[bytes]:
            for i in range(3):
                yield b"data: %d\n\n" % i

        return await self.streams.serve(request, numbers())

    async def reader(self, request: bytes = GET) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port)
        writer.write(request)
        return reader, writer

    async def until(self, check: object) -> None:
        for _ in range(200):
            if check():  # type: ignore[operator]
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not happen")


async def test_events_arrive_and_a_shutdown_ends_the_stream_cleanly() -> None:
    feed = await Feed(Limits()).start()
    reader, writer = await feed.reader()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
    assert b"text/event-stream; charset=utf-8" in head
    assert b"nosniff" in head
    assert b"Server:" not in head
    await feed.until(lambda: feed.outlets)
    assert feed.outlets[0].put(b"data: 1\n\n")
    await asyncio.wait_for(reader.readuntil(b"data: 1\n\n"), 2)
    feed.outlets[0].put(b"data: last\n\n")
    begun = asyncio.get_running_loop().time()
    await feed.listener.close()
    tail = await asyncio.wait_for(reader.read(), 2)
    assert b"data: last" in tail
    assert tail.endswith(b"0\r\n\r\n")
    assert asyncio.get_running_loop().time() - begun < 2
    assert not feed.outlets[0].put(b"late")
    assert len(feed.streams) == 0
    writer.close()


async def test_an_iterator_is_sent_to_its_end() -> None:
    feed = await Feed(Limits()).start()
    reader, writer = await feed.reader(GET.replace(b"/feed", b"/count"))
    body = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 2)
    assert [f"data: {i}".encode() in body for i in range(3)] == [True] * 3
    writer.close()
    await feed.listener.close()


async def test_a_quiet_stream_sends_heartbeats() -> None:
    feed = await Feed(Limits(heartbeat=0.2)).start()
    reader, writer = await feed.reader()
    await asyncio.wait_for(reader.readuntil(b":\n\n"), 1)
    await asyncio.wait_for(reader.readuntil(b":\n\n"), 1)
    writer.close()
    await feed.until(lambda: feed.ended == 1 or feed.outlets[0].put(b":\n\n") is False)
    await feed.listener.close()


async def test_S53_readers_beyond_the_limit_get_503() -> None:
    feed = await Feed(Limits(streams=2)).start()
    first = await feed.reader()
    second = await feed.reader()
    await feed.until(lambda: len(feed.streams) == 2)
    reader, writer = await feed.reader()
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
    assert b" 503 " in answer
    assert b"Retry-After" in answer
    for one in (first[1], second[1], writer):
        one.close()
    await feed.until(lambda: not feed.outlets[0].put(b"x") and not feed.outlets[1].put(b"x"))
    await feed.until(lambda: len(feed.streams) == 0)
    await feed.listener.close()


async def test_head_gets_headers_only() -> None:
    feed = await Feed(Limits()).start()
    reader, writer = await feed.reader(GET.replace(b"GET", b"HEAD"))
    assert b"event-stream" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
    await feed.until(lambda: len(feed.streams) == 0)
    writer.close()
    await feed.listener.close()


async def deaf(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, GET)
    return sock


async def test_R29_a_reader_that_falls_behind_is_cut_and_others_are_not() -> None:
    feed = await Feed(Limits()).start()
    sock = await deaf(feed.listener.port)
    await feed.until(lambda: len(feed.outlets) == 1)
    reader, writer = await feed.reader()
    await feed.until(lambda: len(feed.outlets) == 2)
    slow, good = feed.outlets
    piece = b"data: " + b"x" * 10_000 + b"\n\n"
    seen = asyncio.create_task(reader.readuntil(b"data: end\n\n"))
    reader._limit = 1 << 30  # type: ignore[attr-defined]
    for _ in range(2000):
        slow.put(piece)
        assert slow.waiting <= Limits().stream_buffer
        assert good.put(b"data: tick\n\n")
        if slow.cut:
            break
        await asyncio.sleep(0.001)
    assert slow.cut
    good.put(b"data: end\n\n")
    assert await asyncio.wait_for(seen, 2)
    await feed.until(lambda: feed.ended == 1)
    assert len(feed.streams) == 1
    sock.close()
    writer.close()
    await feed.listener.close()


async def test_S55_a_reader_without_progress_is_cut() -> None:
    feed = await Feed(Limits(stall_timeout=0.4)).start()
    sock = await deaf(feed.listener.port)
    await feed.until(lambda: feed.outlets)
    feed.outlets[0].put(b"data: " + b"x" * 20_000_000 + b"\n\n")
    await feed.until(lambda: feed.ended == 1)
    assert feed.listener.counts.readers == 1
    sock.close()
    await feed.listener.close()


async def test_outlet_forgets_the_oldest_if_told_so() -> None:
    outlet = Outlet(events=3, size=100, overflow="oldest")
    for i in range(5):
        assert outlet.put(b"%d" % i)
    assert outlet.dropped == 2
    assert await outlet.take() == b"234"
    assert outlet.put(b"x" * 500), "one piece may be larger than the limit"
    assert outlet.put(b"y")
    assert outlet.dropped == 3
    assert await outlet.take() == b"y"
    outlet.close()
    assert await outlet.take() is None


@pytest.mark.parametrize("pieces", [[b"a"] * 4, [b"a" * 60, b"b" * 60]])
async def test_outlet_cuts_when_full(pieces: list[bytes]) -> None:
    outlet = Outlet(events=3, size=100)
    cut = []
    outlet.attach(lambda: cut.append(1))
    assert [outlet.put(p) for p in pieces][-1] is False
    assert outlet.cut
    assert cut == [1]
    assert await outlet.take() is None
