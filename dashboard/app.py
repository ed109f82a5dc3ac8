"""The web UI as routes of somebody's application: pages, their files, their data, and one live stream."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import hdrs, web

from resilient.clock import SYSTEM, Clock
from resilient.web.limits import DEFAULTS
from resilient.web.problems import problem
from resilient.web.stream import Streams

from . import plain
from .acting import MayAct, act
from .data import MOST_POINTS, Data
from .files import File, Files
from .frames import dump, safe_in_page
from .hub import MOST_RATES, Hub
from .source import Actor, Source
from .viewer import topics_of

__all__ = ["Actor", "Hub", "Source", "mount"]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
JSON = "application/json; charset=utf-8"
_FOREVER = "public, max-age=31536000, immutable"
#: The pages, below ``/ui/``, and the module that draws each.
PAGES = {
    "": "services",
    "services/{name}": "service",
    "nodes": "nodes",
    "changes": "changes",
    "circuits": "circuits",
    "circuits/{id:.+}": "circuit",
    "topology": "topology",
    "api": "api",
}
#: Browsers at once. Each takes one tick per second, so a slow one is noticed soon.
BROWSERS = 200
_LIMITS = dataclasses.replace(DEFAULTS, streams=BROWSERS, heartbeat=86_400.0)
#: The window of the pages' numbers, in seconds: what circuits have if nobody sets another one.
WINDOW = "10"
#: JSON larger than this is compressed on another thread.
_LARGE = 64 * 1024

#: Who may look: 0, or the status to refuse a request with.
Allow = Callable[[web.Request], int]
#: What the page may offer to who looks: ``reader``, and ``operator`` if its actions would be taken.
Roles = Callable[[web.Request], list[str]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def without_slash(request: web.Request) -> web.Response:
    """``/ui`` leads to ``/ui/``."""
    # Relative, so that it also holds behind a proxy that adds a prefix.
    return web.Response(status=308, headers={**HEADERS, hdrs.LOCATION: "ui/"})


class Watch(Protocol):
    """Told who looks."""

    def enter(self) -> None:
        """A browser begins to look."""
        ...

    def leave(self) -> None:
        """One that looked is gone."""
        ...


def everybody(request: web.Request) -> int:
    """Let anybody look."""
    return 0


def readers(request: web.Request) -> list[str]:
    """Nobody may act."""
    return ["reader"]


def nobody(request: web.Request) -> tuple[int, str]:
    """Take no action from anybody."""
    return 403, "this server takes no actions"


def mount(
    app: web.Application,
    source: Source,
    *,
    clock: Clock = SYSTEM,
    interval: float = 1.0,
    allow: Allow = everybody,
    roles: Roles = readers,
    may_act: MayAct = nobody,
    actor: Actor | None = None,
    watch: Watch | None = None,
    env: str = "",
    features: tuple[str, ...] = ("registry", "circuits"),
    peers: Mapping[str, str] | None = None,
) -> Hub:
    """Add the web UI under ``/ui/``. ``interval`` is the time between two ticks, in seconds.

    The source is asked only while a browser watches. ``allow`` is asked before pages, data and the stream
    are handed out; the files alone tell nothing and are open. ``watch`` is told of each browser that
    looks. ``actor`` does what ``may_act`` lets through. ``peers`` are the addresses of other sites' pages.
    """
    return Site(app, source, clock, interval, allow, roles, may_act, actor, watch, env, features, peers).hub


class Site:
    def __init__(
        self,
        app: web.Application,
        source: Source,
        clock: Clock,
        interval: float,
        allow: Allow,
        roles: Roles,
        may_act: MayAct,
        actor: Actor | None,
        watch: Watch | None,
        env: str,
        features: tuple[str, ...],
        peers: Mapping[str, str] | None,
    ) -> None:
        self.files = Files()
        self.hub = Hub(
            source, clock, version=self.files.version, env=env, features=features, interval=interval
        )
        self.data = Data(self.hub)
        self._allow = allow
        self._roles = roles
        self._may_act = may_act
        self._actor = actor
        self._watch = watch
        self._peers = dict(peers or {})
        # Weak, because plain and compressed answers share it.
        self._tag = f'W/"{self.files.version}"'
        self._streams = Streams(_LIMITS)
        self._routes(app)

    def _routes(self, app: web.Application) -> None:
        router = app.router
        data = self.data

        router.add_get("/ui", without_slash)
        pages: dict[str, Callable[[web.Request], Any]] = {
            "": lambda r: data.services(),
            "services/{name}": lambda r: data.service(r.match_info["name"].lower()),
            "nodes": lambda r: data.nodes(),
            "changes": lambda r: data.changes(r.query),
            "circuits": lambda r: data.circuits(),
            "circuits/{id:.+}": lambda r: data.circuit(r.match_info["id"], _range(r)),
            "topology": lambda r: data.topology(),
            "api": lambda r: {"openapi": "../resilient/v1/openapi.json"},
        }
        assert tuple(pages) == tuple(PAGES)
        for path, answer in pages.items():
            router.add_get(f"/ui/{path}", self._guarded(self._page(path, answer)))
        asked: dict[str, Callable[[web.Request], Any]] = {
            "services": lambda r: data.services(),
            "services/{name}": lambda r: data.service(r.match_info["name"].lower()),
            "services/{name}/beats": lambda r: data.beats(r.match_info["name"].lower()),
            "circuits": lambda r: data.circuits(),
            "circuits/rates": lambda r: self.hub.rates(_number(r, "n", 120, MOST_RATES)),
            "circuits/history": lambda r: data.history(
                r.query.get("k", ""), _number(r, "n", 120, MOST_POINTS)
            ),
            "circuits/{id:.+}/instances": lambda r: data.instances(r.match_info["id"]),
            "circuits/{id:.+}": lambda r: data.circuit(r.match_info["id"], _range(r)),
            "topology": lambda r: data.topology(),
            "changes": lambda r: data.changes(r.query),
            "nodes": lambda r: data.nodes(),
            "nodes/difference": lambda r: data.difference(r.query.get("peer", "")),
            "find": lambda r: data.find(r.query.get("q", "")),
            "having": lambda r: data.having(r.query.getall("meta", [])),
            "boot": lambda r: self._boot(r, r.query.get("page", "")),
            "consequence": lambda r: data.consequence(r.query.get("what", ""), r.query.getall("subject", [])),
        }
        for path, answer in asked.items():
            router.add_get(f"/ui/data/{path}", self._guarded(self._answered(answer)))
        router.add_get("/ui/plain", self._guarded(self._plain))
        router.add_get("/ui/stream", self._guarded(self._stream), allow_head=False)
        router.add_post("/ui/act/{what}", self._act)
        router.add_get("/ui/@{version}/{name:.+}", self._file)

        async def stop(_: web.Application) -> None:
            await self.hub.close()

        app.on_shutdown.append(stop)
        self._streams.install(app)

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if status := self._allow(request):
                headers = dict(HEADERS)
                if status == 401 and not _has_bearer(request):
                    # The browser then asks for it, and sends it with the stream's request, too.
                    headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="registry", charset="UTF-8"'
                return web.Response(status=status, text="Not allowed.\n", headers=headers)
            return await handler(request)

        return guarded

    # --- pages and data

    def _page(self, path: str, answer: Callable[[web.Request], Any]) -> Handler:
        plain = self._answered(answer)

        async def page(request: web.Request) -> web.StreamResponse:
            accept = request.headers.get(hdrs.ACCEPT, "")
            if "application/json" in accept and "text/html" not in accept:
                return await plain(request)
            await self._fresh()
            depth = request.rel_url.raw_path.removeprefix("/ui/").count("/")
            body = self.files.page(depth, safe_in_page(self._boot(request, path)), PAGES[path])
            return await sent(request, body, "text/html; charset=utf-8", {hdrs.CACHE_CONTROL: "no-cache"})

        return page

    async def _plain(self, request: web.Request) -> web.StreamResponse:
        """What is in the pages as tables: for browsers that cannot run them."""
        await self._fresh()
        data = self.data
        return await plain_sent(request, data.services(), data.circuits(), data.changes({}))

    def _boot(self, request: web.Request, path: str) -> dict[str, Any]:
        """What the page needs for its first picture."""
        hub = self.hub
        boot: dict[str, Any] = {
            "v": 1,
            "hello": hub.greeting(self._roles(request)),
            "totals": hub.services.totals,
            "beats": hub.beats(),
            "notices": hub.notices.all(),
            "peers": self._peers,
            "nodes": hub.peers(),
        }
        if path == "":
            boot["services"] = {**hub.services.full(), "s": hub.services.live()}
        elif path in ("circuits", "topology"):
            boot["circuits"] = hub.circuits.full()
            boot["c"] = hub.circuits.ticks
        return boot

    def _answered(self, answer: Callable[[web.Request], Any]) -> Handler:
        async def answered(request: web.Request) -> web.StreamResponse:
            _check_window(request)
            await self._fresh()
            found = answer(request)
            if inspect.isawaitable(found):
                found = await found
            if found is None:
                raise problem(404, "unknown", "nothing of that name is known here")
            return await sent(request, dump(found), JSON, {hdrs.CACHE_CONTROL: "no-store"})

        return answered

    async def _fresh(self) -> None:
        """Look, unless somebody watches and so it was done a moment ago."""
        await self.hub.refreshed()

    async def _file(self, request: web.Request) -> web.Response:
        if request.match_info["version"] != self.files.version:
            # An address of another version: its content is not what the browser expects to keep for ever.
            raise web.HTTPNotFound(headers=HEADERS)
        try:
            found = self.files[request.match_info["name"]]
        except KeyError:
            raise web.HTTPNotFound(headers=HEADERS) from None
        return kept(request, found, self._tag)

    # --- the stream, and actions

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        _check_window(request)
        topics, beats = topics_of(request.query.get("topics", ""))
        last = request.headers.get("Last-Event-ID") or request.query.get("last", "")
        if self._watch is not None:
            self._watch.enter()
        try:
            viewer = await self.hub.join(topics, beats, self._roles(request), last[:64])
            try:
                return await self._streams.serve(
                    request, viewer, headers={**HEADERS, hdrs.CACHE_CONTROL: "no-store"}
                )
            finally:
                self.hub.leave(viewer)
        finally:
            if self._watch is not None:
                self._watch.leave()

    async def _act(self, request: web.Request) -> web.StreamResponse:
        if status := self._allow(request):
            raise problem(status, "not-allowed", "reading takes a token here")
        return await act(request, self._actor, self._may_act)


def _has_bearer(request: web.Request) -> bool:
    """Whether the page's own script sent a token, which the browser then need not ask for."""
    return request.headers.get(hdrs.AUTHORIZATION, "")[:7].lower() == "bearer "


def _check_window(request: web.Request) -> None:
    """Shares and counts are those of each circuit's own window: nobody is to take them for another's."""
    if request.query.get("window", "") not in ("", WINDOW):
        raise problem(400, "unknown-window", f"window: {WINDOW} (seconds) is the only one, or leave it out")


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        return default
    return min(max(int(text), 1), most)


def _range(request: web.Request) -> int:
    return _number(request, "range", MOST_POINTS, MOST_POINTS)


async def sent(request: web.Request, body: bytes, type: str, more: Mapping[str, str]) -> web.Response:
    """An answer, compressed if the browser can read that."""
    headers = {**HEADERS, hdrs.CONTENT_TYPE: type, hdrs.VARY: "Accept, Accept-Encoding", **more}
    if len(body) > 1024 and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        if len(body) > _LARGE:
            body = await asyncio.to_thread(gzip.compress, body, 3, mtime=0)
        else:
            body = gzip.compress(body, 3, mtime=0)
    return web.Response(body=body, headers=headers)


async def plain_sent(
    request: web.Request, services: dict[str, Any], circuits: dict[str, Any], changes: dict[str, Any]
) -> web.Response:
    """The plain tables."""
    body = plain.page(services, circuits, changes)
    return await sent(request, body, "text/html; charset=utf-8", {hdrs.CACHE_CONTROL: "no-store"})


def kept(request: web.Request, file: File, tag: str) -> web.Response:
    """A file that the browser may keep for ever."""
    headers = {**HEADERS, hdrs.CACHE_CONTROL: _FOREVER, hdrs.ETAG: tag, hdrs.VARY: "Accept-Encoding"}
    if request.headers.get(hdrs.IF_NONE_MATCH) == tag:
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = file.type
    if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        return web.Response(body=file.packed, headers=headers)
    return web.Response(body=file.plain, headers=headers)
