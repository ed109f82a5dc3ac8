"""An answer on its way to a reader: gzipped if he can read that, and in pieces if it is very large."""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web

from resilient.web.sliced import sliced

from .packing import Answer
from .trust import CHALLENGE

#: Plain bytes from which on a list is sent piece by piece.
STREAMED = 4 * 1024 * 1024
_VARY = "Accept, Accept-Encoding, X-Eureka-Accept"


def empty(status: int, reason: str = "") -> web.Response:
    """A status without a body, as Eureka's clients want it; ``reason`` for people, in a header."""
    response = web.Response(status=status)
    if reason and reason.isascii() and reason.isprintable():
        response.headers["Resilient-Error"] = reason
    if status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = CHALLENGE
    return response


def takes_gzip(request: web.Request) -> bool:
    """Whether the caller reads gzip."""
    coding = request.headers.get(hdrs.ACCEPT_ENCODING, "").lower().replace(" ", "")
    return "gzip" in coding and "gzip;q=0," not in coding + ","


def send(request: web.Request, answer: Answer, *, always: bool = False) -> web.Response:
    """An answer, gzipped if the caller can and it pays (or ``always``)."""
    headers = {hdrs.CONTENT_TYPE: answer.content_type, hdrs.VARY: _VARY}
    if (always or answer.size > 1024) and takes_gzip(request):
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        return web.Response(body=sliced(answer.gzipped), headers=headers)
    return web.Response(body=sliced(answer.plain), headers=headers)


async def stream(request: web.Request, answer: Answer, position: str) -> web.StreamResponse:
    """A very large answer to one of the few who cannot take gzip: never whole in memory."""
    headers = {hdrs.CONTENT_TYPE: answer.content_type, hdrs.VARY: _VARY, "Resilient-Position": position}
    response = web.StreamResponse(headers=headers)
    response.content_length = answer.size
    await response.prepare(request)
    if request.method != "HEAD":
        for part in answer.parts():
            await response.write(part)
            await asyncio.sleep(0)
    await response.write_eof()
    return response
