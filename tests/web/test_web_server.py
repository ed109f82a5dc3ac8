"""Connections: how many, how slow, how they end."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from resilient.errors import ConfigError
from resilient.web.body import read_body
from resilient.web.connection import Watch
from resilient.web.guard import Guard
from resilient.web.limits import Limits
from resilient.web.server import Listener, listen

HEAD = b"Host: localhost\r\n"
GET = b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"


def app() -> web.Application:
    async def ok(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await read_body(request))

    async def bare(request: web.Request) -> web.Response:
        return web.Response(body=await request.content.read())

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.4)
        return web.Response(text="ok")

    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(2000):
            await response.write(b"x" * 10_000)
        return response

    made = web.Application()
    made.router.add_get("/", ok)
    made.router.add_post("/", echo)
    made.router.add_post("/bare", bare)
    made.router.add_post("/unread", ok)
    made.router.add_get("/slow", slow)
    made.router.add_get("/large", large)
    return made


@asynccontextmanager
async def serve(**limits: float) -> AsyncIterator[Listener]:
    listener = await listen(app(), limits=Limits(**limits), shutdown_timeout=0.3)  # type: ignore[arg-type]
    try:
        yield listener
    finally:
        await listener.close()
        assert listener.connections == 0


async def connect(listener: Listener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", listener.port)


async def rest(reader: asyncio.StreamReader, seconds: float = 2) -> bytes:
    """All until the end, however it ends; a connection that stays open is a TimeoutError."""
    got = b""
    try:
        async with asyncio.timeout(seconds):
            while chunk := await reader.read(65536):
                got += chunk
    except ConnectionError:
        pass
    return got


async def test_S24_slowloris_is_cut() -> None:
    async with serve(head_timeout=0.3) as listener:
        reader, writer = await connect(listener)
        begun = asyncio.get_running_loop().time()
        writer.write(b"GET / HTTP/1.1\r\n")

        async def drip() -> None:
            for _ in range(40):
                await asyncio.sleep(0.05)
                writer.write(b"X: y\r\n")

        task = asyncio.create_task(drip())
        answer = await rest(reader)
        took = asyncio.get_running_loop().time() - begun
        task.cancel()
        assert b" 408 " in answer
        assert 0.25 < took < 1.0
        assert listener.counts.heads == 1
        writer.close()


async def test_S51_a_silent_connection_is_cut_and_says_nothing() -> None:
    async with serve(head_timeout=0.2) as listener:
        reader, writer = await connect(listener)
        assert await rest(reader) == b""
        assert listener.counts.heads == 1
        writer.close()


async def test_S51_a_second_head_on_a_kept_connection_has_the_same_time() -> None:
    async with serve(head_timeout=0.3) as listener:
        reader, writer = await connect(listener)
        for _ in range(3):
            writer.write(GET)
            await reader.readuntil(b"ok")
            await asyncio.sleep(0.2)  # resting is not slowness
        await asyncio.sleep(0.4)
        writer.write(b"GET / HT")
        assert b" 408 " in await rest(reader)
        writer.close()


async def test_a_head_in_single_bytes_is_served() -> None:
    async with serve(head_timeout=1) as listener:
        reader, writer = await connect(listener)
        for _ in range(2):
            for i in range(len(GET)):
                writer.write(GET[i : i + 1])
                await asyncio.sleep(0)
            assert await asyncio.wait_for(reader.readuntil(b"ok"), 2)
        await asyncio.sleep(0.1)
        writer.write(POST + b"Content-Length: 4\r\n\r")
        await asyncio.sleep(0.02)
        writer.write(b"\nab")
        await asyncio.sleep(0.02)
        writer.write(b"cd")
        assert await asyncio.wait_for(reader.readuntil(b"abcd"), 2)
        assert listener.counts.heads == 0
        writer.close()


async def test_S51_idle_connections_are_closed() -> None:
    async with serve(idle_timeout=0.3, head_timeout=5) as listener:
        reader, writer = await connect(listener)
        writer.write(GET)
        await reader.readuntil(b"ok")
        assert await rest(reader, 1.5) == b""
        writer.close()


@pytest.mark.parametrize("path", [b"/", b"/bare"])
async def test_S51_a_body_that_does_not_come_is_cut_with_408(path: bytes) -> None:
    async with serve(body_timeout=0.3) as listener:
        reader, writer = await connect(listener)
        writer.write(POST.replace(b" / ", b" " + path + b" ") + b"Content-Length: 10\r\n\r\nabc")
        answer = await rest(reader, 3)
        assert b" 408 " in answer
        assert listener.counts.bodies == 1
        writer.close()


async def test_S51_a_body_below_the_minimum_rate_is_cut() -> None:
    async with serve(body_timeout=2.5, body_grace=0.1, body_rate=10_000) as listener:
        reader, writer = await connect(listener)
        writer.write(POST + b"Content-Length: 1000\r\n\r\n")
        begun = asyncio.get_running_loop().time()

        async def drip() -> None:
            for _ in range(60):
                writer.write(b"x")
                await asyncio.sleep(0.05)

        task = asyncio.create_task(drip())
        assert b" 408 " in await rest(reader, 3)
        assert asyncio.get_running_loop().time() - begun < 2
        task.cancel()
        writer.close()


async def test_a_body_in_pieces_at_a_fair_rate_is_served() -> None:
    async with serve(body_timeout=2, body_grace=0.1, body_rate=100) as listener:
        reader, writer = await connect(listener)
        writer.write(POST + b"Content-Length: 500\r\n\r\n")
        for _ in range(10):
            writer.write(b"x" * 50)
            await asyncio.sleep(0.05)
        assert await asyncio.wait_for(reader.readuntil(b"x" * 500), 2)
        writer.write(GET)
        assert await asyncio.wait_for(reader.readuntil(b"ok"), 2)
        assert listener.counts.bodies == 0
        writer.close()


async def test_a_body_that_nobody_reads_may_come_after_the_answer() -> None:
    async with serve(head_timeout=0.2, head=2000, body_timeout=5) as listener:
        reader, writer = await connect(listener)
        for size in (2, 100_000, 0):
            writer.write(POST.replace(b" / ", b" /unread ") + b"Content-Length: %d\r\n\r\n" % size)
            await asyncio.wait_for(reader.readuntil(b"ok"), 2)
            await asyncio.sleep(0.3)
            writer.write(b"x" * size)
            await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(GET)
        await asyncio.wait_for(reader.readuntil(b"ok"), 2)
        writer.write(GET[:10])
        assert b" 408 " in await rest(reader), "and the next head has its time again"
        assert listener.counts.heads == 1
        writer.close()


async def test_L03_an_oversize_body_that_comes_anyway_gets_one_answer() -> None:
    async with serve() as listener:
        reader, writer = await connect(listener)
        writer.write(POST + b"Content-Length: 3000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(30):
                writer.write(b"x" * 100_000)
                await writer.drain()
        answer = await rest(reader, 3)
        assert answer.startswith(b"HTTP/1.1 413")
        assert answer.count(b"HTTP/1.1") == 1
        writer.close()


async def test_S52_pipelined_requests_are_answered_in_order() -> None:
    async with serve() as listener:
        reader, writer = await connect(listener)
        writer.write(GET * 300)
        for _ in range(300):
            await asyncio.wait_for(reader.readuntil(b"ok"), 5)
        writer.close()


async def test_S51_what_is_pipelined_behind_a_slow_handler_gets_its_time() -> None:
    async with serve(head_timeout=0.2) as listener:
        reader, writer = await connect(listener)
        writer.write(GET.replace(b" / ", b" /slow "))
        await asyncio.sleep(0.05)
        writer.write(GET[:10])
        await asyncio.wait_for(reader.readuntil(b"ok"), 2)
        writer.write(GET[10:])
        assert await asyncio.wait_for(reader.readuntil(b"ok"), 2)
        writer.close()


async def test_S50_connection_cap() -> None:
    async with serve(connections=3) as listener:
        kept = [await connect(listener) for _ in range(3)]
        for reader, writer in kept:
            writer.write(GET)
            await reader.readuntil(b"ok")
        reader, writer = await connect(listener)
        writer.write(GET)
        assert await rest(reader) == b""
        assert listener.counts.connections == 1
        kept[0][1].close()
        await asyncio.sleep(0.05)
        reader, again = await connect(listener)
        again.write(GET)
        assert await asyncio.wait_for(reader.readuntil(b"ok"), 2)
        for _, one in [*kept, (reader, writer), (reader, again)]:
            one.close()


async def test_S50_per_address_cap_spares_loopback_and_vouched_callers() -> None:
    class Fake:
        address = ""

        def __init__(self) -> None:
            self.address = ""

    watch = Watch(Limits(connections_per_address=2), 100, asyncio.get_running_loop())
    for _ in range(5):
        assert watch.admit(Fake(), "127.0.0.1")  # type: ignore[arg-type]
    first, second, third = Fake(), Fake(), Fake()
    assert watch.admit(first, "10.0.0.1")  # type: ignore[arg-type]
    assert watch.admit(second, "10.0.0.1")  # type: ignore[arg-type]
    assert not watch.admit(third, "10.0.0.1")  # type: ignore[arg-type]
    assert watch.admit(Fake(), "10.0.0.2")  # type: ignore[arg-type]
    watch.vouch(first)  # type: ignore[arg-type]
    assert watch.admit(third, "10.0.0.1")  # type: ignore[arg-type]
    for one in (first, second, third):
        watch.leave(one)  # type: ignore[arg-type]
    assert watch.addresses == {"10.0.0.2": 1}


async def test_S55_a_reader_that_takes_nothing_is_cut() -> None:
    async with serve(stall_timeout=0.4) as listener:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", listener.port))
        await asyncio.get_running_loop().sock_sendall(sock, GET.replace(b" / ", b" /large "))
        for _ in range(40):
            await asyncio.sleep(0.05)
            if listener.counts.readers:
                break
        assert listener.counts.readers == 1
        await asyncio.sleep(0.05)
        assert listener.connections == 0
        sock.close()


async def test_close_lets_a_request_finish_and_frees_the_port() -> None:
    listener = await listen(app(), shutdown_timeout=2)
    reader, writer = await connect(listener)
    writer.write(GET.replace(b" / ", b" /slow "))
    await asyncio.sleep(0.1)
    closing = asyncio.create_task(listener.close())
    assert b"ok" in await rest(reader)
    await closing
    await listener.close()
    writer.close()
    with pytest.raises(OSError):
        await connect(listener)
    again = await listen(app(), "127.0.0.1", listener.port)
    await again.close()


async def test_a_taken_port_is_an_error_and_the_app_is_cleaned_up() -> None:
    async with serve() as listener:
        cleaned = []

        async def cleanup(_: web.Application) -> None:
            cleaned.append(1)

        made = app()
        made.on_cleanup.append(cleanup)
        with pytest.raises(OSError):
            await listen(made, "127.0.0.1", listener.port)
        assert cleaned == [1]


async def test_several_may_share_a_port_or_bring_a_socket() -> None:
    first = await listen(app(), reuse_port=True)
    second = await listen(app(), "localhost", first.port, reuse_port=True)
    assert first.port == second.port
    await first.close()
    reader, writer = await connect(second)
    writer.write(GET)
    assert await reader.readuntil(b"ok")
    writer.close()
    await second.close()
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    third = await listen(app(), sock=sock)
    assert (third.port, third.url) == (port, f"http://127.0.0.1:{port}")
    await third.close()


async def test_front_answers_before_the_router() -> None:
    def front(request: web.Request) -> web.Response | None:
        return web.Response(text="front") if request.path == "/front" else None

    listener = await listen(app(), guard=Guard(), front=front)
    reader, writer = await connect(listener)
    writer.write(GET.replace(b" / ", b" /front "))
    assert b"nosniff" in await reader.readuntil(b"front")
    writer.write(GET)
    assert await reader.readuntil(b"ok")
    writer.write(GET.replace(b" / ", b" /front ").replace(b"localhost", b"evil.example"))
    assert b" 421 " in await reader.readuntil(b"\r\n")
    writer.close()
    await listener.close()


@pytest.mark.parametrize("bad", [{"body": 0}, {"head_timeout": -1}, {"connections": 0}])
def test_limits_are_checked(bad: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Limits(**bad)


def test_L01_to_L18_and_S50_to_S55_defaults() -> None:
    limits = Limits()
    assert (limits.line, limits.header_lines, limits.head) == (8192, 100, 32768)
    assert (limits.body, limits.batch_body, limits.batch_items) == (262144, 8388608, 5000)
    assert (limits.ratio, limits.ratio_free, limits.query, limits.parameters) == (100, 65536, 4096, 64)
    assert (limits.connections, limits.connections_per_address) == (10000, 200)
    assert (limits.head_timeout, limits.body_timeout, limits.body_rate, limits.idle_timeout) == (
        10,
        30,
        1024,
        75,
    )
    assert (limits.streams, limits.streams_per_address, limits.stall_timeout) == (2000, 50, 30)
