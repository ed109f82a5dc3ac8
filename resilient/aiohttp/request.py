"""One aiohttp request as the span in which ``@cached_per_request`` remembers."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from ..request import request as one_request


@web.middleware
async def request_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve each inbound request inside ``resilient.request()``.

    ``web.Application(middlewares=[request_middleware])``
    """
    with one_request():
        return await handler(request)
