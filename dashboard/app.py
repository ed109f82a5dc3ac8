"""The web UI as routes of somebody's application: a page, its files, and one live stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import hdrs, web

from resilient.clock import SYSTEM, Clock

from .feed import Feed
from .files import File, Files
from .picture import Source

__all__ = ["Source", "mount"]

#: The addresses of the page's own views; all get the same page.
VIEWS = ("", "circuits", "changes")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_STREAM_HEADERS = {
    **_HEADERS,
    hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",
}
_FOREVER = "public, max-age=31536000, immutable"

#: A browser that takes nothing for so many seconds is let go.
WRITE_TIMEOUT = 20.0


#: Who may look: 0, or the status to refuse a request with.
Allow = Callable[[web.Request], int]


def everybody(request: web.Request) -> int:
    """Let anybody look."""
    return 0


def mount(
    app: web.Application,
    source: Source,
    *,
    clock: Clock = SYSTEM,
    interval: float = 1.0,
    allow: Allow = everybody,
    watch: object | None = None,
) -> None:
    """Add the web UI under ``/ui/``. ``interval`` is the time between two updates, in seconds.

    The source is asked only while a browser watches. ``allow`` is asked before the page and the
    stream are handed out; the files alone tell nothing and are open.
    """
    files = Files()
    # Weak, because plain and compressed answers share it.
    tag = f'W/"{files.version}"'
    feed = Feed(source, clock, version=files.version, interval=interval)

    async def page(request: web.Request) -> web.Response:
        if status := allow(request):
            return _refusal(status)
        return _answer(request, files.page, "no-cache", tag)

    async def file(request: web.Request) -> web.Response:
        if request.match_info["version"] != files.version:
            # An address of another version: its content is not what the browser expects to keep for ever.
            raise web.HTTPNotFound(headers=_HEADERS)
        try:
            found = files[request.match_info["name"]]
        except KeyError:
            raise web.HTTPNotFound(headers=_HEADERS) from None
        return _answer(request, found, _FOREVER, tag)

    async def without_slash(request: web.Request) -> web.Response:
        # Relative, so that it also holds behind a proxy that adds a prefix.
        return web.Response(status=308, headers={**_HEADERS, hdrs.LOCATION: "ui/"})

    async def stream(request: web.Request) -> web.StreamResponse:
        if status := allow(request):
            return _refusal(status)
        reader = feed.join()
        if reader is None:
            return web.Response(
                status=503,
                text="Too many browsers are watching. Try again later.\n",
                headers={**_HEADERS, hdrs.RETRY_AFTER: "15"},
            )
        response = web.StreamResponse(headers=_STREAM_HEADERS)
        try:
            await response.prepare(request)
            await response.write(b"retry: 2000\n\n")
            while (message := await reader.next(feed)) is not None:
                async with asyncio.timeout(WRITE_TIMEOUT):
                    await response.write(message)
        except (ConnectionError, TimeoutError):
            # The browser left or stopped reading; there is nobody to tell.
            if request.transport is not None:
                request.transport.abort()
        finally:
            feed.leave(reader)
        return response

    async def stop(_: web.Application) -> None:
        await feed.close()

    app.router.add_get("/ui", without_slash)
    for view in VIEWS:
        app.router.add_get(f"/ui/{view}", page)
    app.router.add_get("/ui/stream", stream, allow_head=False)
    app.router.add_get("/ui/@{version}/{name:.+}", file)
    app.on_shutdown.append(stop)


def _refusal(status: int) -> web.Response:
    headers = dict(_HEADERS)
    if status == 401:
        # The browser then asks for it, and sends it with the stream's request, too.
        headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="registry", charset="UTF-8"'
    return web.Response(status=status, text="Not allowed.\n", headers=headers)


def _answer(request: web.Request, file: File, caching: str, tag: str) -> web.Response:
    headers = {
        **_HEADERS,
        hdrs.CACHE_CONTROL: caching,
        hdrs.ETAG: tag,
        hdrs.VARY: "Accept-Encoding",
    }
    if request.headers.get(hdrs.IF_NONE_MATCH) == tag:
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = file.type
    if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        return web.Response(body=file.packed, headers=headers)
    return web.Response(body=file.plain, headers=headers)
