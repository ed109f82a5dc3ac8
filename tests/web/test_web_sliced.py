"""A reader that takes nothing holds a slice, not the whole answer."""

import asyncio

import pytest
from aiohttp import web
from web_site import read_answer

from resilient.web.server import listen
from resilient.web.sliced import SLICE, Sliced, sliced

WHOLE = bytes(range(256)) * 40_000


@pytest.mark.parametrize("size", [0, 1, SLICE, SLICE + 1, 3 * SLICE, len(WHOLE)])
async def test_every_byte_arrives_once(size: int) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=sliced(WHOLE[:size]), headers={"Content-Type": "application/octet-stream"})

    app = web.Application()
    app.router.add_get("/", handler)
    listener = await listen(app)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    try:
        for method in ("GET", "HEAD", "GET"):
            writer.write(f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = await read_answer(reader, method)
            assert not size or answer.headers["content-length"] == str(size)
            assert method == "HEAD" or answer.body == WHOLE[:size]
    finally:
        writer.close()
        await listener.close()


async def test_S55_who_does_not_read_holds_little() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=sliced(WHOLE))

    app = web.Application()
    app.router.add_get("/", handler)
    listener = await listen(app, shutdown_timeout=0.1)
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.sleep(0.2)
        (connection,) = listener._watch.open
        assert connection.wire is not None
        assert 0 < connection.wire.get_write_buffer_size() <= 256 * 1024
    finally:
        writer.transport.abort()
        await listener.close()


def test_small_bodies_stay_bytes() -> None:
    assert sliced(b"x") == b"x"
    assert isinstance(sliced(b"x" * (SLICE + 1)), Sliced)
    assert Sliced(b"text").decode() == "text"
