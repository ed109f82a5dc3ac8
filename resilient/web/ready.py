"""The answer that is given most often: 200 without a body, written in one piece.

A response of aiohttp's own is made anew for each request, header by header; here only the date changes, once
a second. It serves all requests at once, for it keeps nothing of any of them.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from email.utils import formatdate
from typing import Any, Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter


class ReadyOk(web.StreamResponse):
    """For requests that :func:`fits`; the connection is kept."""

    def __init__(self) -> None:
        super().__init__(status=200)
        self._second = 0
        self._whole = b""

    @property
    def keep_alive(self) -> bool:
        """The connection goes on: others need an answer of their own."""
        return True

    def prepare(self, request: web.BaseRequest) -> Coroutine[Any, Any, AbstractStreamWriter | None]:
        """Write it all. Not a coroutine function: what is left to wait for is the transport."""
        wire = request.transport
        if wire is None or wire.is_closing():
            raise ConnectionResetError("the caller has hung up")
        second = int(time.time())
        if second != self._second:
            self._second = second
            date = formatdate(second, usegmt=True)
            self._whole = (
                f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {date}\r\n"
                "X-Content-Type-Options: nosniff\r\n\r\n"
            ).encode()
        wire.write(self._whole)
        # A caller that sends and never reads must not fill our memory.
        return request.writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """Everything is written."""


#: The one there is.
READY_OK: Final = ReadyOk()


def fits(request: web.BaseRequest) -> bool:
    """Whether the answer to ``request`` may be :data:`READY_OK`."""
    return request.keep_alive and request.version is HttpVersion11
