"""The pages on aiohttp: beside an application's own routes."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from aiohttp import hdrs, web

from ..telemetry.hystrix_http import send_pieces
from .asked import MOST_BODY, PATIENCE, Ask, Reply, close
from .site import Site

_log = logging.getLogger("resilient.service")


def mount(app: web.Application, site: Site) -> list[str]:
    """Add the pages to an application that has not started. Its own routes win, with one log line each.

    Answers the paths that are ours.
    """
    taken = list(_taken(app))
    ours: list[str] = []
    handler = handler_of(site)
    for path in site.paths():
        probe = path.replace("/*", "/x")
        if any(matches(probe) for matches in taken):
            _log.info("%s is a route of the application; ours is not mounted there", path)
            continue
        ours.append(path)
        # A method that the application has not taken there is ours: so its POST goes on beside our GET.
        app.router.add_route("*", path.replace("*", "{name:.+}"), handler)
    return ours


def _taken(app: web.Application) -> Iterator[Any]:
    """What the application answers a GET on: a function for each resource that is not for everything."""
    for resource in app.router.resources():
        about = resource.get_info()
        prefix = about.get("prefix")
        if prefix is not None:
            if prefix.strip("/"):
                yield lambda path, stem=prefix.rstrip("/"): path == stem or path.startswith(f"{stem}/")
            continue
        if not any(route.method in (hdrs.METH_GET, hdrs.METH_ANY) for route in resource):
            continue
        if "path" in about:
            yield about["path"].__eq__
        elif "pattern" in about and re.match(r"/[^/{]", about.get("formatter", "")):
            yield about["pattern"].fullmatch


def handler_of(site: Site) -> Any:
    """A handler for all our paths."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await send(request, await site.answer(await ask_of(request)))

    return handle


async def ask_of(request: web.Request) -> Ask:
    """An aiohttp request as a question."""
    return Ask(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=request.headers,
        peer=request.remote or "",
        body=await _body(request) if request.method == "POST" else b"",
    )


async def _body(request: web.Request) -> bytes:
    """As much of the body as is allowed, and one byte more if there is more."""
    body = b""
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > MOST_BODY:
            break
    return body


async def send(request: web.Request, reply: Reply) -> web.StreamResponse:
    """An answer, on the wire if it is a stream."""
    if reply.stream is None:
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    try:
        await response.prepare(request)
        await send_pieces(request, response, reply.stream, PATIENCE)
    finally:
        await close(reply.stream)
    return response
