"""A small JSON API beside Eureka's, for our own tools.

``GET /resilient/v1/services``        services with their instances (:meth:`.views.Views.services`)
``GET /resilient/v1/services/{name}`` one service, 404 if it has no instance
``GET /resilient/v1/changes``         the last thousand changes, newest first
``GET /resilient/v1/node``            this registry: mode, reason, warnings, peers, counts, uptime, version
``GET /resilient/v1/circuits``        every circuit of every caller (:meth:`.board.Board.view`)
``POST /resilient/v1/circuits``       a process's word on its circuits: 204, or 400 with the reason
``GET /health/live``                  200 while the process answers
``GET /health/ready``                 200 when reads are complete, else 503

Errors are ``{"error": {"code": "...", "message": "..."}}``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from resilient.errors import WireError
from resilient.eureka import json
from resilient.eureka.limits import BATCH
from resilient.web.guard import caller_of
from resilient.web.problems import problem
from resilient.web.trust import Trust

from . import bodies
from .board import Board
from .trust import CHALLENGE, Action, refusal
from .views import Views

Handler = Callable[[web.Request], Awaitable[web.Response]]


def answer(value: object, status: int = 200) -> web.Response:
    """A JSON body that nobody keeps."""
    return web.Response(
        status=status,
        body=json.dump(value),
        headers={hdrs.CONTENT_TYPE: "application/json; charset=utf-8", hdrs.CACHE_CONTROL: "no-store"},
    )


class Tools:
    """The routes of this module."""

    def __init__(self, views: Views, board: Board, trust: Trust, ready: Callable[[], bool]) -> None:
        self._views = views
        self._board = board
        self._trust = trust
        self._ready = ready

    def mount(self, app: web.Application) -> None:
        """Add the routes."""
        router = app.router
        router.add_get("/resilient/v1/services", self._guarded(self._services))
        router.add_get("/resilient/v1/services/{name}", self._guarded(self._service))
        router.add_get("/resilient/v1/changes", self._guarded(self._changes))
        router.add_get("/resilient/v1/node", self._guarded(self._node))
        router.add_get("/resilient/v1/circuits", self._guarded(self._circuits))
        router.add_post("/resilient/v1/circuits", self._guarded(self._push, Action.JOIN))
        router.add_get("/health/live", self._live)
        router.add_get("/health/ready", self._is_ready)

    def _guarded(self, handler: Handler, action: Action = Action.READ) -> Handler:
        async def guarded(request: web.Request) -> web.Response:
            caller = caller_of(request, self._trust)
            status = refusal(self._trust, caller, action)
            if not status and action is not Action.READ and hdrs.ORIGIN in request.headers:
                # No page of ours pushes circuits, so a page that does is somebody else's.
                status = 0 if caller.has_token else 403
            if status:
                refused = problem(status, "not-allowed", "this takes a token, or a caller on this machine")
                if status == 401:
                    refused.headers[hdrs.WWW_AUTHENTICATE] = CHALLENGE
                raise refused
            return await handler(request)

        return guarded

    async def _services(self, request: web.Request) -> web.Response:
        return answer(self._views.services())

    async def _service(self, request: web.Request) -> web.Response:
        found = self._views.service(request.match_info["name"].lower())
        if found is None:
            raise problem(404, "unknown-service", "no instance of this service is registered")
        return answer(found)

    async def _changes(self, request: web.Request) -> web.Response:
        return answer(self._views.changes())

    async def _node(self, request: web.Request) -> web.Response:
        return answer(self._views.node())

    async def _circuits(self, request: web.Request) -> web.Response:
        return answer(self._views.circuits())

    async def _push(self, request: web.Request) -> web.Response:
        format, body = await bodies.read_text(request, bodies.PUSH)
        if format.name != "json":
            raise problem(415, "unsupported-type", "Content-Type must be application/json")
        pushed = json.parse(body, BATCH)
        if not isinstance(pushed, dict):
            raise WireError("the body must be an object")
        self._board.put(pushed)
        return web.Response(status=204)

    async def _live(self, request: web.Request) -> web.Response:
        return answer({"status": "UP"})

    async def _is_ready(self, request: web.Request) -> web.Response:
        return answer({"status": "UP"}) if self._ready() else answer({"status": "STARTING"}, 503)
