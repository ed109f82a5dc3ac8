"""A JSON API beside Eureka's, for people, scripts and our own tools. docs/api.md tells of it.

``GET  /resilient/v1/feed``            every change as it happens (:mod:`.feed`)
``GET  /resilient/v1/services``        services with their instances (:meth:`.views.Views.services`)
``GET  /resilient/v1/services/{name}`` one service, 404 if it has no instance
``GET  /resilient/v1/instances/{id}``  one instance, 404 if nobody has this id
``GET  /resilient/v1/changes``         the last thousand changes, newest first
``GET  /resilient/v1/node``            this registry: mode, reason, warnings, peers, counts, uptime, version
``GET  /resilient/v1/circuits``        every circuit of every caller (:meth:`.board.Board.view`)
``POST /resilient/v1/circuits``        a process's word on its circuits: 204, or 400 with the reason
``POST /resilient/v1/renewals``        many heartbeats at once (:mod:`.renewals`)
``GET  /resilient/v1/actions``         what was asked of circuits lately, newest first
``POST /resilient/v1/actions``         ask circuits to do something: 202 with an id
``GET  /resilient/v1/openapi.json``    all of this for programs
``GET  /health/live``                  200 while the process answers
``GET  /health/ready``                 200 when reads are complete, else 503

Errors are ``{"error": {"code": "...", "message": "..."}}``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping

from aiohttp import hdrs, web

from resilient.errors import WireError
from resilient.eureka import json
from resilient.eureka.limits import LIMITS, Limits, canonical_id
from resilient.web.guard import caller_of
from resilient.web.problems import problem
from resilient.web.trust import Trust

from . import bodies, openapi, renewals
from .board import Board, Unknown
from .board_push import parse
from .feed.actions import Actions
from .feed.hub import Feed
from .feed.route import FeedRoute
from .slices import sliced
from .trust import CHALLENGE, Action, refusal
from .views import Row, Views

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

POSITION = "Resilient-Position"
#: The most services, or changes, one answer is asked for.
MOST = 10_000
#: Instances made into JSON before others on this loop have a turn.
_AT_ONCE = 200
_JSON: dict[str, str] = {hdrs.CONTENT_TYPE: "application/json; charset=utf-8"}


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON body that nobody keeps."""
    return web.Response(
        status=status,
        body=json.dump(value),
        headers={**_JSON, hdrs.CACHE_CONTROL: "no-store", **(headers or {})},
    )


class Tools:
    """The routes of this module. ``ready``: reads are complete; ``opens_in``: seconds until they will be."""

    def __init__(
        self,
        views: Views,
        board: Board,
        trust: Trust,
        feed: Feed,
        actions: Actions,
        *,
        ready: Callable[[], bool],
        opens_in: Callable[[], float] = float,
        foreign: Callable[[], Iterable[Mapping[str, object]]] = tuple,
    ) -> None:
        self._views = views
        self._board = board
        self._foreign = foreign
        self._trust = trust
        self._feed = feed
        self._actions = actions
        self._ready = ready
        self._route = FeedRoute(feed, ready, opens_in)
        self._reading = asyncio.Lock()

    def mount(self, app: web.Application) -> None:
        """Add the routes."""
        router = app.router
        router.add_get("/resilient/v1/feed", self.guarded(self._route.handle), allow_head=False)
        router.add_get("/resilient/v1/services", self.guarded(self._services))
        router.add_get("/resilient/v1/services/{name}", self.guarded(self._service))
        router.add_get("/resilient/v1/instances/{id:.+}", self.guarded(self._instance))
        router.add_get("/resilient/v1/changes", self.guarded(self._changes))
        router.add_get("/resilient/v1/node", self.guarded(self._node))
        router.add_get("/resilient/v1/circuits", self.guarded(self._circuits))
        router.add_post("/resilient/v1/circuits", self.guarded(self._push, Action.JOIN))
        router.add_post("/resilient/v1/renewals", self.guarded(self._renew, Action.JOIN))
        router.add_get("/resilient/v1/actions", self.guarded(self._asked))
        router.add_post("/resilient/v1/actions", self.guarded(self._ask, Action.ACT))
        router.add_get("/resilient/v1/openapi.json", self.guarded(self._openapi))
        router.add_get("/health/live", self._live)
        router.add_get("/health/ready", self._is_ready)
        self._route.install(app)

    def guarded(self, handler: Handler, action: Action = Action.READ) -> Handler:
        """``handler`` for those who may do that."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            caller = caller_of(request, self._trust)
            status = refusal(self._trust, caller, action)
            if not status and action is not Action.READ and hdrs.ORIGIN in request.headers:
                # No page of ours does this without a token, so a page that does is somebody else's.
                status = 0 if caller.has_token else 403
            if status:
                refused = problem(status, "not-allowed", "this takes a token, or a caller on this machine")
                if status == 401:
                    refused.headers[hdrs.WWW_AUTHENTICATE] = CHALLENGE
                raise refused
            return await handler(request)

        return guarded

    # --- the directory

    async def _services(self, request: web.Request) -> web.StreamResponse:
        names = self._views.names()
        if (after := request.query.get("after", "").lower()) != "":
            names = [name for name in names if name > after]
        names = names[: _number(request, "limit", MOST, least=1)]
        headers = {POSITION: self._feed.position}
        if self._views.size() <= _AT_ONCE:
            rows = map(self._views.service, names)
            return answer([row for row in rows if row is not None], headers=headers)
        # Many: written as the reader takes them, and so that nobody's heartbeat has to wait for it.
        response = web.StreamResponse(headers={**_JSON, hdrs.CACHE_CONTROL: "no-store", **headers})
        await response.prepare(request)
        if request.method != "HEAD":
            await self._stream(names, response)
        return response

    async def _stream(self, names: list[str], response: web.StreamResponse) -> None:
        waiting: list[bytes] = []
        made = 0
        for name in names:
            waiting.append(b'%b{"name":%b,"instances":[' % (b"," if made else b"[", json.dump(name)))
            comma = b""
            for row in self._views.instances(name):
                waiting.append(comma + json.dump(row))
                comma = b","
                made += 1
                if made % _AT_ONCE == 0:
                    await response.write(b"".join(waiting))
                    waiting.clear()
                    await asyncio.sleep(0)
            waiting.append(b"]}")
        await response.write(b"".join((*waiting, b"]" if made else b"[]")))
        await response.write_eof()

    async def _service(self, request: web.Request) -> web.Response:
        found = self._views.service(request.match_info["name"].lower())
        if found is None:
            raise problem(404, "unknown-service", "no instance of this service is registered")
        return answer(found, headers={POSITION: self._feed.position})

    async def _instance(self, request: web.Request) -> web.Response:
        id = canonical_id(request.match_info["id"])
        found = self._views.instance(id, request.query.get("service", "").lower())
        if found is None:
            raise problem(404, "unknown-instance", "no instance with this id is registered")
        return answer(found, headers={POSITION: self._feed.position})

    async def _changes(self, request: web.Request) -> web.Response:
        limit = _number(request, "limit", MOST, least=1)
        after, before = _number(request, "after", -1), _number(request, "before", -1)
        newest = self._actions.newest
        headers = {POSITION: self._feed.position, hdrs.ETAG: f'W/"{self._feed.position}-{newest}"'}
        if request.headers.get(hdrs.IF_NONE_MATCH) == headers[hdrs.ETAG]:
            return web.Response(status=304, headers=headers)
        rows = [one for one in self._views.changes() if _within(one, after, before)]
        return answer(rows[:limit], headers={**headers, hdrs.CACHE_CONTROL: "no-cache"})

    async def _node(self, request: web.Request) -> web.Response:
        return answer(self._views.node())

    # --- circuits

    async def _circuits(self, request: web.Request) -> web.Response:
        if "watch" in request.query:
            self._feed.watch.glance()
        body = await sliced(_listed(self._board, self._foreign))
        return web.Response(body=body, headers={**_JSON, hdrs.CACHE_CONTROL: "no-store"})

    async def _renew(self, request: web.Request) -> web.StreamResponse:
        format, body = await bodies.read_text(request, renewals.MOST_BYTES)
        if format.name != "json":
            raise problem(415, "unsupported-type", "Content-Type must be application/json")
        return answer(await self._views.renew(body))

    async def _push(self, request: web.Request) -> web.Response:
        format, body = await bodies.read_text(request, bodies.PUSH)
        if format.name != "json":
            raise problem(415, "unsupported-type", "Content-Type must be application/json")
        try:
            # One a turn of the loop: of many that come at once, all would keep everybody else waiting.
            async with self._reading:
                await asyncio.sleep(0)
                push = await sliced(self._board.putting(parse(body)))
        except Unknown as unknown:
            raise problem(409, "unknown-process", str(unknown)) from None
        for circuit in push.circuits.values():
            if circuit.command:
                self._actions.confirm(circuit.command, push.service, push.instance, push.worker)
        return web.Response(status=204)

    async def _asked(self, request: web.Request) -> web.Response:
        return answer(self._actions.rows())

    async def _ask(self, request: web.Request) -> web.Response:
        # Eureka's clients may leave the header out; but a foreign page could, too.
        if hdrs.CONTENT_TYPE not in request.headers:
            raise problem(415, "unsupported-type", "Content-Type must be application/json")
        command = self._actions.read(await _object(request, bodies.WRITE, LIMITS))
        self._actions.send(command, self._feed)
        return answer({"id": command.id, "delivered": command.delivered}, 202)

    # --- about itself

    async def _openapi(self, request: web.Request) -> web.Response:
        headers: dict[str, str] = {**_JSON, hdrs.CACHE_CONTROL: "no-cache", hdrs.ETAG: openapi.tag()}
        if request.headers.get(hdrs.IF_NONE_MATCH) == headers[hdrs.ETAG]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=openapi.document(), headers=headers)

    async def _live(self, request: web.Request) -> web.Response:
        return answer({"status": "UP"})

    async def _is_ready(self, request: web.Request) -> web.Response:
        return answer({"status": "UP"}) if self._ready() else answer({"status": "STARTING"}, 503)


def _listed(
    board: Board, foreign: Callable[[], Iterable[Mapping[str, object]]]
) -> Generator[None, None, bytes]:
    """All circuits as JSON, step by step."""
    pieces = []
    for row in (yield from board.viewing()):
        pieces.append(json.dump(row))
        yield
    for other in foreign():
        pieces.append(json.dump(other))
        yield
    return b"[%b]" % b",".join(pieces)


async def _object(request: web.Request, most: int, limits: Limits) -> dict[str, object]:
    """A JSON object from a request's body, or the error to answer with."""
    format, body = await bodies.read_text(request, most)
    if format.name != "json":
        raise problem(415, "unsupported-type", "Content-Type must be application/json")
    found = json.parse(body, limits)
    if not isinstance(found, dict):
        raise WireError("the body must be an object")
    return found


def _number(request: web.Request, name: str, default: int, *, least: int = 0) -> int:
    """A whole number in the query, or WireError."""
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and int(text) >= least):
        raise WireError(f"{name} must be a whole number from {least} on")
    return int(text)


def _within(row: Row, after: int, before: int) -> bool:
    """Whether a change is behind ``after`` and in front of ``before`` (-1: no matter)."""
    number = row["number"]
    if not isinstance(number, int):
        return False
    # What was asked of circuits has no number of its own, but that of the change in front of it.
    asked = "command" in row
    return (number >= after if asked else number > after) and (before < 0 or number < before)
