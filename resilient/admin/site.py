"""Every page in one table, and the way from a question to its answer, whatever framework carries it."""

from __future__ import annotations

import dataclasses
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from ..errors import ConfigError
from ..settings import Settings
from ..web.trust import MIN_TOKEN, Caller, Trust, is_loopback_name
from . import acts, extras, inside, views
from .asked import Ask, Page, Refused, Reply, json_body, same_origin, wants
from .desk import Desk
from .render import COMMON, STYLE, STYLE_PATH, problem, reply

_log = logging.getLogger("resilient.admin")

Answer = Page | Reply
View = Callable[[Desk, Ask], Answer | Awaitable[Answer]]

#: Actions a minute; who needs more has lost control of them.
ACTS_PER_MINUTE = 10


class Right(Enum):
    """Who may see a page."""

    OPEN = "everybody"
    #: Everybody, unless a listener beyond loopback has no token.
    READ = "readers"
    #: The token, or this machine.
    REVEAL = "the token or loopback"


class Route(NamedTuple):
    """One path. A path that ends in ``/*`` names something in its last part. ``act`` is what POST does."""

    path: str
    view: View | None
    right: Right = Right.REVEAL
    act: View | None = None
    menu: str = ""
    about: str = ""


ROUTES: tuple[Route, ...] = (
    Route("/health/live", views.live, Right.OPEN, about="200 as long as the application's loop answers"),
    Route("/health/ready", views.ready, Right.OPEN, about="200 while callers are welcome"),
    Route("/health", views.health, Right.OPEN, menu="health", about="the whole, part by part"),
    Route("/actuator/health", views.health, Right.OPEN, about="the same where Spring's tools look for it"),
    Route("/admin/ping", views.ping, Right.OPEN, about="pong"),
    Route("/admin", views.index, Right.READ, menu="all", about="this list"),
    Route("/admin/info", views.info, Right.READ, menu="info", about="who this process is"),
    Route("/admin/circuits", views.circuits, menu="circuits", about="every circuit with its last seconds"),
    Route("/admin/circuits/*", views.circuit, act=acts.circuit, about="one circuit; POST turns or tunes it"),
    Route("/admin/instances", views.instances, menu="instances", about="what the balancer makes of whom"),
    Route("/admin/directory", views.directory, menu="directory", about="what the registry told"),
    Route("/admin/settings", inside.settings, menu="settings", about="every setting with its source"),
    Route("/admin/lint", inside.lint, menu="lint", about="what looks wrong, and the cure"),
    Route("/admin/lint.json", inside.lint, about="the same under its other name"),
    Route("/admin/tasks", inside.tasks, menu="tasks", about="what each task waits for"),
    Route("/admin/threads", inside.threads, menu="threads", about="where each thread is"),
    Route("/admin/loggers", inside.loggers, menu="loggers", about="levels of loggers"),
    Route("/admin/loggers/*", inside.logger, act=acts.logger, about="one logger; POST sets its level"),
    Route("/admin/profile", None, act=acts.profile, about="POST: where the time goes, as folded stacks"),
    Route("/admin/drain", None, act=acts.drain, about="POST: sign out, let callers notice, finish, end"),
    Route("/admin/shutdown", None, act=acts.shutdown, about="POST: sign out, finish, end"),
    Route(STYLE_PATH, None, Right.OPEN),
    *(Route(path, view, Right.READ, about=about) for path, view, about in extras.VIEWS),
)
#: Those that stay beside the application when the rest has a port of its own.
ALWAYS = ("/health/live", "/health/ready", "/health", "/actuator/health", "/admin/ping", "/admin/info")
MENU = tuple(sorted(((one.path, one.menu) for one in ROUTES if one.menu), key=lambda one: one[1] != "all"))


def find(path: str) -> tuple[Route, str] | None:
    """The route of a path, and what its last part names."""
    known = _EXACT.get(path)
    if known is not None:
        return known, ""
    for route in _NAMING:
        stem = route.path[:-1]
        if path.startswith(stem) and len(path) > len(stem):
            return route, path[len(stem) :]
    return None


_EXACT: Mapping[str, Route] = {route.path: route for route in ROUTES if not route.path.endswith("*")}
_NAMING = tuple(route for route in ROUTES if route.path.endswith("/*"))


def token_of(settings: Settings) -> str | None:
    """The token these pages take: their own, else the registry's. ConfigError if their own is too short."""
    if settings.admin_token:
        if len(settings.admin_token) < MIN_TOKEN:
            raise ConfigError(
                f"admin_token must have at least {MIN_TOKEN} characters, from "
                f"{settings.source('admin_token')}; without one, only this machine may look behind and act"
            )
        return settings.admin_token
    return settings.token if len(settings.token) >= MIN_TOKEN else None


class Site:
    """The pages of one desk, for one place where they are mounted.

    ``host`` is where they listen, ``""`` beside an application. Beyond loopback and without a token they are
    *protected*: strangers get health's status and nothing else. ``acts=False`` has no POST at all; ``only``
    leaves out all other paths. ``trust`` knows who has which token, where it is not that of the settings.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        host: str = "",
        acts: bool = True,
        only: tuple[str, ...] | None = None,
        trust: Trust | None = None,
    ) -> None:
        self.desk = desk
        self._acts = acts
        self._only = only
        self._trust = trust or Trust(token_of(desk.runtime.settings), clock=desk.clock)
        token = self._trust.needs_token
        wide = bool(host) and not is_loopback_name(host)
        self.protected = wide and not token
        self._acted: deque[float] = deque(maxlen=ACTS_PER_MINUTE)
        if host:
            desk.exposed.append((host, token))
        if self.protected:
            _log.warning(
                "the admin pages listen on %s without a token: others than this machine only get health; "
                "set RESILIENT_ADMIN_TOKEN, or listen on 127.0.0.1",
                host,
            )

    def paths(self) -> Iterator[str]:
        """All paths, for whoever mounts them."""
        for route in ROUTES:
            if self._serves(route):
                yield route.path

    def _serves(self, route: Route) -> bool:
        if self._only is not None and route.path not in self._only:
            return False
        return route.view is not None or route.path == STYLE_PATH or (self._acts and route.act is not None)

    async def answer(self, ask: Ask) -> Reply:
        """The answer to one question; never raises."""
        try:
            return await self._answer(ask)
        except Refused as error:
            return problem(error, ask, ask.base)
        except Exception:
            _log.exception("the page %s failed", ascii(ask.path[:200]))
            return problem(Refused(500, "internal-error", "this page failed; the log says why"), ask)

    async def _answer(self, ask: Ask) -> Reply:
        found = find(ask.path)
        if found is None or not self._serves(found[0]):
            raise Refused(404, "not-found", "no such page; /admin lists them")
        route, rest = found
        act = route.act if self._acts else None
        reads = route.view is not None or route.path == STYLE_PATH
        if ask.method == "POST" and act is not None:
            return await self._act(route, act, dataclasses.replace(ask, rest=rest))
        if ask.method not in ("GET", "HEAD") or not reads:
            allowed = [*(("GET", "HEAD") if reads else ()), *(("POST",) if act is not None else ())]
            raise Refused(
                405, "method-not-allowed", "this method is not served", {"Allow": ", ".join(allowed)}
            )
        if route.view is None:
            return Reply(200, STYLE, {"Content-Type": "text/css; charset=utf-8", **COMMON})
        caller = self._caller(ask)
        reveals = caller.has_token or caller.is_loopback
        reads = reveals or (caller.has_read_token if self._trust.needs_read_token else not self.protected)
        if (route.right is Right.REVEAL and not reveals) or (route.right is Right.READ and not reads):
            raise self._forbidden(ask)
        asked = dataclasses.replace(
            ask, rest=rest, caller=caller, may_read=reads, may_reveal=reveals, served=tuple(self.paths())
        )
        return await self._said(route.view, asked)

    async def _said(self, view: View, ask: Ask) -> Reply:
        found = view(self.desk, ask)
        answer = await found if inspect.isawaitable(found) else found
        return answer if isinstance(answer, Reply) else reply(answer, ask, self._menu(), ask.base)

    def _menu(self) -> tuple[tuple[str, str], ...]:
        return MENU if self._only is None else tuple(one for one in MENU if one[0] in self._only)

    def _caller(self, ask: Ask) -> Caller:
        caller = self._trust.caller(ask.peer, ask.headers)
        if caller.retry_after:
            wait = str(max(1, round(caller.retry_after + 0.5)))
            raise Refused(429, "too-many-attempts", "too many wrong tokens", {"Retry-After": wait})
        return caller

    def _forbidden(self, ask: Ask) -> Refused:
        message = "only with the admin token, or from this machine"
        if self._trust.needs_token and wants(ask, False)[0] == "html":
            # A browser asks for it: any user name, the token as password.
            challenge = {"WWW-Authenticate": 'Basic realm="resilient", charset="UTF-8"'}
            return Refused(401, "unauthorized", message, challenge)
        return Refused(403, "forbidden", message)

    async def _act(self, route: Route, act: View, ask: Ask) -> Reply:
        media = ask.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media != "application/json":
            raise Refused(415, "unsupported-type", "send application/json")
        origin = ask.headers.get("Origin")
        foreign = origin is not None and not same_origin(origin, ask.headers.get("Host", ""))
        if foreign or ask.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Refused(403, "foreign-origin", "pages of another origin may not act here")
        caller = self._caller(ask)
        if not (caller.has_token or caller.is_loopback):
            raise self._forbidden(ask)
        payload = json_body(ask.body)
        now = self.desk.clock.monotonic()
        if len(self._acted) == ACTS_PER_MINUTE and now - self._acted[0] < 60:
            wait = str(int(60 - (now - self._acted[0])) + 1)
            raise Refused(429, "too-many-actions", "ten actions a minute", {"Retry-After": wait})
        self._acted.append(now)
        asked = dataclasses.replace(ask, caller=caller, payload=payload, may_read=True, may_reveal=True)
        return await self._said(act, asked)
