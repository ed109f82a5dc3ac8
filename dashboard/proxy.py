"""The pages in a process of their own: everything they show and do is one registry's, asked on their behalf.

The registry is the one this was started with; nothing a browser sends changes that. What the browser says of
itself, its token, is passed on, and nothing else: this process has no rights of its own to lend.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any
from urllib.parse import unquote

import aiohttp
import orjson
from aiohttp import hdrs, web
from yarl import URL

from resilient.web.body import read_body
from resilient.web.problems import problem

from .acting import CSRF, WHAT, own_origin
from .app import HEADERS, JSON, PAGES, kept, plain_sent, sent, without_slash
from .files import Files
from .frames import safe_in_page
from .rights import from_own_page

#: Bytes of one answer that are passed on, and of one request.
_LARGEST, _MOST_BODY = 64 * 1024 * 1024, 64 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=15.0, connect=3.0)
_STREAM = aiohttp.ClientTimeout(total=None, connect=3.0, sock_read=20.0)
_UI = re.compile(rb'"ui":"[0-9a-f]{1,64}"')
_ROLES = re.compile(rb'"roles":\[[^\]]*\]')
#: What of a request is passed on, and what of an answer.
_ASKED = (hdrs.AUTHORIZATION, "Last-Event-ID")
_ANSWERED = (hdrs.WWW_AUTHENTICATE, hdrs.RETRY_AFTER)

_STREAMED: dict[str, str] = {
    **HEADERS,
    hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",
}


class Proxy:
    """The routes. ``registry`` is where the registry's pages are, as ``http://host:port/ui/``."""

    def __init__(self, registry: URL, *, wide: bool = False) -> None:
        self._registry = registry
        self._wide = wide
        self._files = Files()
        self._tag = f'W/"{self._files.version}"'
        self._session: aiohttp.ClientSession | None = None

    def mount(self, app: web.Application) -> None:
        """Add everything under ``/ui/``."""
        router = app.router
        router.add_get("/ui", without_slash)
        for path, view in PAGES.items():
            router.add_get(f"/ui/{path}", partial(self._page, view))
        router.add_get("/ui/plain", self._plain)
        router.add_get("/ui/stream", self._stream, allow_head=False)
        router.add_get("/turbine.stream", self._turbine, allow_head=False)
        router.add_get("/ui/data/{rest:.+}", self._data)
        router.add_post("/ui/act/{what}", self._act)
        router.add_get("/ui/@{version}/{name:.+}", self._file)
        app.on_cleanup.append(self._close)

    async def _close(self, _: web.Application) -> None:
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=True
            )
        return self._session

    def _there(self, request: web.Request) -> URL:
        """The same address at the registry: raw, so that what was encoded stays so."""
        path = request.rel_url.raw_path.removeprefix("/ui/")
        if any(unquote(part) in (".", "..") for part in path.split("/")):
            raise web.HTTPNotFound(headers=HEADERS)
        query = request.rel_url.raw_query_string
        return URL(f"{self._registry}{path}{'?' + query if query else ''}", encoded=True)

    def _headers(self, request: web.Request, **more: str) -> dict[str, str]:
        passed = {name: request.headers[name] for name in _ASKED if name in request.headers}
        return {"Accept": "application/json", "User-Agent": "resilient dashboard", **passed, **more}

    # --- what is shown

    async def _page(self, view: str, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path.removeprefix("/ui/")
        accept = request.headers.get(hdrs.ACCEPT, "")
        if "application/json" in accept and "text/html" not in accept:
            status, body, headers = await self._ask(request, self._there(request))
            return web.Response(status=status, body=body, headers={**headers, hdrs.CONTENT_TYPE: JSON})
        query = {"page": path if path in ("circuits", "topology") else "" if not path else "-"}
        try:
            status, body, headers = await self._ask(request, self._registry / "data" / "boot" % query)
        except web.HTTPServiceUnavailable:
            status, body, headers = 503, b"", {}  # the page says so better than we can, and tries again
        if status in (401, 429):
            return web.Response(status=status, body=body, headers={**headers, hdrs.CONTENT_TYPE: JSON})
        boot: Any = {"v": 1}
        if status == 200:
            boot = orjson.loads(self._greeting(request, body))
        page = self._files.page(path.count("/"), safe_in_page(boot), view)
        return await sent(request, page, "text/html; charset=utf-8", {hdrs.CACHE_CONTROL: "no-cache"})

    async def _plain(self, request: web.Request) -> web.StreamResponse:
        parts = []
        for name in ("services", "circuits", "changes"):
            status, body, headers = await self._ask(request, self._registry / "data" / name)
            if status != 200:
                return web.Response(status=status, body=body, headers={**headers, hdrs.CONTENT_TYPE: JSON})
            parts.append(orjson.loads(body))
        return await plain_sent(request, *parts)

    async def _data(self, request: web.Request) -> web.StreamResponse:
        status, body, headers = await self._ask(request, self._there(request))
        if status != 200:
            return web.Response(status=status, body=body, headers={**headers, hdrs.CONTENT_TYPE: JSON})
        return await sent(request, body, JSON, {hdrs.CACHE_CONTROL: "no-store"})

    async def _ask(
        self, request: web.Request, url: URL, method: str = "GET", body: bytes | None = None, **more: str
    ) -> tuple[int, bytes, dict[str, str]]:
        try:
            async with self._client().request(
                method,
                url,
                data=body,
                headers=self._headers(request, **more),
                allow_redirects=False,
                timeout=_TIMEOUT,
            ) as answer:
                if answer.content_type != "application/json" and answer.status < 400:
                    raise problem(503, "not-ours", "the registry has no pages")
                found = await answer.content.read(_LARGEST + 1)
                while chunk := await answer.content.read(_LARGEST + 1):
                    found += chunk
                    if len(found) > _LARGEST:
                        break
                if len(found) > _LARGEST:
                    raise problem(503, "too-large", "the registry's answer is too large")
                return answer.status, found, _passed(answer)
        except (aiohttp.ClientError, OSError, TimeoutError):
            raise problem(503, "unreachable", "the registry cannot be reached", retry_after=2) from None

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        return await self._relayed(request, self._there(request))

    async def _turbine(self, request: web.Request) -> web.StreamResponse:
        """For Hystrix's tools; of the query only what the registry reads of it."""
        query = {name: request.query[name] for name in ("cluster", "delay") if name in request.query}
        return await self._relayed(request, self._registry.join(URL("../turbine.stream")).with_query(query))

    async def _relayed(self, request: web.Request, url: URL) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        try:
            async with self._client().get(
                url,
                headers=self._headers(request, Accept="text/event-stream"),
                allow_redirects=False,
                timeout=_STREAM,
            ) as answer:
                if answer.status != 200 or answer.content_type != "text/event-stream":
                    status = answer.status if 400 <= answer.status < 600 else 503
                    return web.Response(status=status, headers=_passed(answer), text="Not available.\n")
                response = web.StreamResponse(headers=_STREAMED)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(
                        self._greeting(request, chunk) if b"event: hello" in chunk else chunk
                    )
        except (aiohttp.ClientError, OSError, TimeoutError):
            if response is None:
                raise problem(503, "unreachable", "the registry cannot be reached", retry_after=2) from None
            # The browser has left, or the registry has: the answer has begun, so all there is to say is
            # that it ends, and a browser that is still there asks again.
        return response

    def _greeting(self, request: web.Request, said: bytes) -> bytes:
        """The files are ours, whatever version the registry has; and it only sees us, not who looks."""
        said = _UI.sub(b'"ui":"%b"' % self._files.version.encode(), said, count=1)
        if not self._may_act(request):
            said = _ROLES.sub(b'"roles":["reader"]', said, count=1)
        return said

    def _may_act(self, request: web.Request) -> bool:
        """Whether the registry is to judge. For it we would be a caller on this machine, which a browser
        elsewhere is not."""
        if request.headers.get(hdrs.AUTHORIZATION, "")[:7].lower() == "bearer ":
            return True
        return not self._wide and from_own_page(request.remote, request.headers)

    # --- what is done

    async def _act(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["what"] not in WHAT:
            raise problem(404, "unknown-action", "there is no such action")
        if request.content_type != "application/json":
            raise problem(415, "unsupported-type", "Content-Type must be application/json")
        if request.headers.get(CSRF) != "1" or not own_origin(request):
            raise problem(403, "foreign-page", f"actions come from this server's own page, with {CSRF}: 1")
        if not self._may_act(request):
            raise problem(403, "not-allowed", "this takes the registry's token: unlock the page with it")
        body = await read_body(request, _MOST_BODY)
        origin = str(self._registry.origin())
        more = {hdrs.CONTENT_TYPE: "application/json", hdrs.ORIGIN: origin, CSRF: "1"}
        status, answer, headers = await self._ask(request, self._there(request), "POST", body, **more)
        return web.Response(status=status, body=answer, headers={**headers, hdrs.CONTENT_TYPE: JSON})

    async def _file(self, request: web.Request) -> web.Response:
        if request.match_info["version"] != self._files.version:
            raise web.HTTPNotFound(headers=HEADERS)
        try:
            found = self._files[request.match_info["name"]]
        except KeyError:
            raise web.HTTPNotFound(headers=HEADERS) from None
        return kept(request, found, self._tag)


def _passed(answer: aiohttp.ClientResponse) -> dict[str, str]:
    headers = dict(HEADERS)
    headers.update({str(name): answer.headers[name] for name in _ANSWERED if name in answer.headers})
    return headers
