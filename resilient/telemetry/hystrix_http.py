"""Hystrix's streams over aiohttp, and over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from .hystrix_stream import DELAY, HEADERS, Full, Reader, Stream, delay_of

#: Seconds for which a reader may take nothing before it is cut off.
PATIENCE = 10.0

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
_TEXT = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "Retry-After": "5"}


async def handle(
    request: web.Request, stream: Stream, *, delay: float | None = None, patience: float = PATIENCE
) -> web.StreamResponse:
    """Answer a GET with ``stream`` until the reader leaves; 503 when there are too many.

    ``?delay=`` is in milliseconds, as Hystrix has it; ``delay`` (seconds) holds without it.
    """
    asked = request.query.get("delay")
    try:
        reader = stream.open(delay_of(asked) if asked or delay is None else delay)
    except Full as full:
        return web.Response(status=503, text=f"{full}\n", headers=_TEXT)
    try:
        return await _send(request, reader, patience)
    finally:
        reader.close()


async def _send(request: web.Request, reader: Reader, patience: float) -> web.StreamResponse:
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    if request.method != "HEAD":
        await send_pieces(request, response, reader, patience)
    return response


async def send_pieces(
    request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes], patience: float
) -> None:
    """Write an endless answer. Whoever takes nothing for ``patience`` seconds is cut off."""
    if request.transport is not None:
        # What a slow reader leaves unread waits here: little, so that it is noticed soon.
        request.transport.set_write_buffer_limits(high=64 * 1024)
    try:
        async for piece in pieces:
            async with asyncio.timeout(patience):
                await response.write(piece)
        await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # it has left


async def handle_asgi(
    scope: Mapping[str, Any],
    receive: Receive,
    send: Send,
    stream: Stream,
    *,
    delay: float = DELAY,
    patience: float = PATIENCE,
) -> None:
    """The same for ASGI: one ``http`` request, answered until the client disconnects."""
    asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("delay", [""])[0]
    try:
        reader = stream.open(delay_of(asked) if asked else delay)
    except Full as full:
        await send({"type": "http.response.start", "status": 503, "headers": _raw(_TEXT)})
        await send({"type": "http.response.body", "body": f"{full}\n".encode()})
        return
    sending = asyncio.create_task(_send_asgi(send, reader, patience, head=scope.get("method") == "HEAD"))
    leaving = asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        reader.close()
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _send_asgi(send: Send, reader: Reader, patience: float, *, head: bool) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _raw(HEADERS)})
    if not head:
        async for piece in reader:
            async with asyncio.timeout(patience):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    while (await receive()).get("type") != "http.disconnect":
        pass


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
