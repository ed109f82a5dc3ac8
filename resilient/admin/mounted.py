"""The pages as a small ASGI application, and how they get into one that is there already."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from multidict import CIMultiDict

from .asked import MOST_BODY, PATIENCE, Ask, Reply, close
from .site import Site, find

_log = logging.getLogger("resilient.service")

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Pages:
    """ASGI: the pages of a site, at their own paths or below wherever they are mounted."""

    def __init__(self, site: Site | Callable[[], Site]) -> None:
        self._site = site

    @property
    def site(self) -> Site:
        """The site; made at the first question where it was not given."""
        if not isinstance(self._site, Site):
            self._site = self._site()
        return self._site

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        ask = await self._ask(scope, receive)
        await _send(await self.site.answer(ask), ask.method, receive, send)

    async def _ask(self, scope: Mapping[str, Any], receive: Receive) -> Ask:
        root = scope.get("root_path", "").rstrip("/")
        path: str = scope["path"]
        if root and (path == root or path.startswith(f"{root}/")):
            path = path[len(root) :]
        base = ""
        if root and (not path or find(path) is None):
            # Mounted at /ops, /ops/circuits is our /admin/circuits; so it is when mounted at /admin.
            path, base = f"/admin{path}".rstrip("/"), root
        query = dict(reversed(parse_qsl(scope.get("query_string", b"").decode("latin-1"), max_num_fields=64)))
        headers: CIMultiDict[str] = CIMultiDict(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope.get("headers", ())
        )
        client = scope.get("client") or ("",)
        return Ask(
            method=scope["method"],
            path=path,
            query=query,
            headers=headers,
            peer=str(client[0] or ""),
            body=await _body(receive) if scope["method"] == "POST" else b"",
            base=base,
        )


async def _body(receive: Receive) -> bytes:
    body = b""
    while len(body) <= MOST_BODY:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body


async def _send(reply: Reply, method: str, receive: Receive, send: Send) -> None:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
    if reply.stream is None:
        raw.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    if reply.stream is not None:
        gone = asyncio.ensure_future(_gone(receive))
        sending = asyncio.ensure_future(_pieces(reply.stream, send))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            gone.cancel()
            sending.cancel()
            await asyncio.gather(gone, sending, return_exceptions=True)
            await close(reply.stream)
        return
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.body})


async def _pieces(stream: AsyncIterator[bytes], send: Send) -> None:
    async for piece in stream:
        async with asyncio.timeout(PATIENCE):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def mount(app: Any, site: Site) -> list[str]:
    """Add the pages to a Starlette or FastAPI application; other applications mount `Pages` themselves.

    Its own routes win, with one log line each; those for everything (``/{path:path}``) do not count as its
    own. Answers the paths that are ours.
    """
    routes = getattr(getattr(app, "router", None), "routes", None)
    add = getattr(getattr(app, "router", None), "add_route", None)
    if not isinstance(routes, list) or add is None:
        return []
    # An application may live more than once, in tests: what we added then goes.
    theirs = [route for route in routes if not isinstance(getattr(route, "endpoint", None), Pages)]
    routes[:] = theirs
    pages = Pages(site)
    ours: list[str] = []
    for path in site.paths():
        if any(_takes(route, path.replace("/*", "/x")) for route in theirs):
            _log.info("%s is a route of the application; ours is not mounted there", path)
            continue
        ours.append(path)
        add(path.replace("*", "{name:path}"), pages, include_in_schema=False)
    # Before a route for everything, which would hide them.
    routes[:] = [*routes[len(theirs) :], *theirs]
    return ours


def _takes(route: Any, path: str) -> bool:
    known, pattern = getattr(route, "path", ""), getattr(route, "path_regex", None)
    if not known or known[:2] in ("/", "/{"):
        return False
    methods = getattr(route, "methods", None)
    if methods and "GET" not in methods:
        return False
    return known == path or (pattern is not None and pattern.match(path) is not None)
