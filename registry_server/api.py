"""Eureka's REST resources: parse, call one method of the registry, render.

Every reply to a write and every error has an empty body: Eureka's own clients try to read any body as an
instance, and one that cannot be read hides the status. Reasons for people are in ``Resilient-Error``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import hdrs, web

from resilient.errors import WireError
from resilient.eureka import json
from resilient.eureka.codec import FORMATS, Format, wanted
from resilient.eureka.fields import tree
from resilient.eureka.replication import read_batch, write_replies
from resilient.model import Status
from resilient.web.guard import caller_of
from resilient.web.trust import Caller, Trust

from . import bodies
from .answers import Form
from .front import REPLICATION, STATUS, Front, beat
from .packing import Answer
from .paths import place_of, stamp_of
from .peers import inbound
from .peers.cluster import Cluster
from .ratelimit import RateLimiter
from .records import Renewal
from .registry import Registered, Registry
from .sending import STREAMED, empty, send, stream, takes_gzip
from .server_status import status_json, status_xml
from .trust import Action, refusal

_FORMS = {
    (name, compact): Form.of(format, compact) for name, format in FORMATS.items() for compact in (False, True)
}
Handler = Callable[[web.Request, tuple[str, ...], bool], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """Answer with this status and an empty body."""

    def __init__(self, status: int, reason: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class EurekaApi:
    """The routes below ``/eureka`` and ``/v2``."""

    def __init__(
        self,
        registry: Registry,
        trust: Trust,
        cluster: Cluster,
        *,
        zone: str = "",
        url: str = "",
        delta: bool = True,
        limiter: RateLimiter | None = None,
    ) -> None:
        self._registry = registry
        self._trust = trust
        self._cluster = cluster
        self._zone = zone
        self._offers_delta = delta
        self._limiter = limiter
        self.url = url
        #: For :func:`resilient.web.server.listen`.
        self.front = Front(registry, trust)
        # By the number of segments, their fixed words, and the method.
        self._routes: Mapping[str, Mapping[str, Handler]] = {
            "apps": {"GET": self._everything},
            "apps/delta": {"GET": self._delta, "POST": self._register},
            "apps/*": {"GET": self._application, "POST": self._register},
            "apps/*/*": {"GET": self._instance, "PUT": self._heartbeat, "DELETE": self._cancel},
            "apps/*/*/status": {"PUT": self._set_status, "DELETE": self._clear_status},
            "apps/*/*/metadata": {"PUT": self._metadata},
            "instances/*": {"GET": self._anywhere},
            "vips/*": {"GET": self._vip},
            "svips/*": {"GET": self._vip},
            "peerreplication/batch": {"POST": self._batch},
            "asg/*/status": {"PUT": self._asg},
            "status": {"GET": self._status},
            "serverinfo/statusoverrides": {"GET": self._overrides},
        }

    def mount(self, app: web.Application) -> None:
        """Add the routes. One catches all: the router's part is over before it costs anything."""
        for base in ("/eureka", "/v2"):
            app.router.add_route("*", base, self.handle)
            app.router.add_route("*", base + "/{tail:.*}", self.handle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request below the base paths."""
        try:
            return await self._dispatch(request, request.rel_url.raw_path)
        except Refused as refused:
            return empty(refused.status, refused.reason)
        except (WireError, UnicodeError) as error:
            return empty(400, str(error) if isinstance(error, WireError) else "not UTF-8")

    async def _dispatch(self, request: web.Request, raw: str) -> web.StreamResponse:
        place = place_of(raw)
        methods = self._methods(place.segments) if place is not None else None
        if place is None or methods is None:
            return empty(404)
        method = "GET" if request.method == "HEAD" else request.method
        handler = methods.get(method)
        if handler is None:
            response = empty(405)
            response.headers[hdrs.ALLOW] = ", ".join(sorted(methods))
            return response
        return await handler(request, place.segments, place.v1)

    def _methods(self, segments: tuple[str, ...]) -> Mapping[str, Handler] | None:
        # By pattern, for a segment may hold anything: "apps%2F*" is one, and joined it would be another path.
        match segments:
            case ("apps" | "status",):
                return self._routes[segments[0]]
            case ("apps", "delta") | ("peerreplication", "batch") | ("serverinfo", "statusoverrides"):
                return self._routes[f"{segments[0]}/{segments[1]}"]
            case ("apps" | "instances" | "vips" | "svips" as first, _):
                return self._routes[f"{first}/*"]
            case ("apps", _, _):
                return self._routes["apps/*/*"]
            case ("apps", _, _, "status" | "metadata" as last):
                return self._routes[f"apps/*/*/{last}"]
            case ("asg", _, "status"):
                return self._routes["asg/*/status"]
        return None

    # --- who may

    def _allow(self, request: web.Request, action: Action, owner: str | None = None) -> Caller:
        caller = caller_of(request, self._trust)
        if status := refusal(self._trust, caller, action, owner):
            raise Refused(status)
        return caller

    def _from_peer(self, request: web.Request, caller: Caller) -> bool:
        """Whether this is one registry telling another; a header alone does not make it so."""
        told = request.headers.get(REPLICATION) == "true"
        return told and not refusal(self._trust, caller, Action.ACT)

    def _owner(self, segments: tuple[str, ...]) -> str | None:
        lease = self._registry.table.get(segments[1].lower(), segments[2])
        return lease.record.by if lease is not None else None

    # --- reads

    def _may_fetch(self, request: web.Request, *, limited: bool = True, full: bool = False) -> None:
        """Whether a list may be read now."""
        self._allow(request, Action.READ)
        if limited and self._limiter is not None:
            identity = request.headers.get("DiscoveryIdentity-Name")
            if not self._limiter.allows(identity, full=full):
                raise Refused(503)
        if not self._cluster.ready:
            raise Refused(403, "no peer has given its list yet")

    async def _everything(
        self, request: web.Request, segments: tuple[str, ...], v1: bool
    ) -> web.StreamResponse:
        self._may_fetch(request, full=True)
        return await self._list(request, await self._registry.answers.everything_soon(_form(request, v1)))

    async def _delta(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.StreamResponse:
        self._may_fetch(request)
        if not self._offers_delta:
            raise Refused(403, "this registry offers no deltas")
        return await self._list(request, await self._registry.answers.delta_soon(_form(request, v1)))

    async def _list(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        """A list, with the place in the feed from which on a reader follows it."""
        position = f"{self._cluster.id}-{answer.number}"
        if answer.size > STREAMED and not takes_gzip(request):
            return await stream(request, answer, position)
        response = send(request, answer, always=True)
        response.headers["Resilient-Position"] = position
        return response

    async def _application(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        self._may_fetch(request)
        answer = await self._registry.answers.application_soon(segments[1].lower(), _form(request, v1))
        return send(request, answer) if answer is not None else empty(404)

    async def _vip(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        self._may_fetch(request, limited=False)
        secure = segments[0] == "svips"
        return send(request, self._registry.answers.vip(segments[1], _form(request, v1), secure=secure))

    async def _instance(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        self._allow(request, Action.READ)
        lease = self._registry.visible(segments[1].lower(), segments[2])
        if lease is None:
            return empty(404)
        format = _format(request, v1)
        return send(request, self._registry.answers.instance(lease, format))

    async def _anywhere(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        self._allow(request, Action.READ)
        lease = self._registry.visible_anywhere(segments[1])
        if lease is None:
            return empty(404)
        return send(request, self._registry.answers.instance(lease, _format(request, v1)))

    async def _status(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        self._allow(request, Action.READ)
        format = _format(request, v1)
        write = status_json if format.name == "json" else status_xml
        body = write(self._registry.uptime(), self.url, self._zone, self._cluster.replicas())
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: format.content_type})

    async def _overrides(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        self._allow(request, Action.READ)
        table = self._registry.table
        found = {
            id: lease.record.override.value
            for service in table.services()
            for id, lease in table.leases(service).items()
            if lease.record.override is not Status.UNKNOWN
        }
        return web.Response(body=json.dump(found), headers={hdrs.CONTENT_TYPE: json.CONTENT_TYPE})

    # --- writes

    async def _heartbeat(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        caller = self._allow(request, Action.JOIN)
        service, id = segments[1].lower(), segments[2]
        query = request.rel_url.raw_query_string
        if not self._from_peer(request, caller):
            return beat(self._registry, service, id, query) or web.Response()
        try:
            dirty_at = stamp_of(query)
        except ValueError:
            return empty(400, "lastDirtyTimestamp must be a whole number")
        told = request.query.get("overriddenstatus") or None
        renewal = await self._registry.renew_from_peer(service, id, dirty_at, _status_named(told))
        lease = self._registry.table.get(service, id)
        if renewal is Renewal.NEWER_HERE and lease is not None:
            format = _format(request, v1)
            body = self._registry.answers.instance(lease, format).plain
            response = web.Response(status=409, body=body, headers={hdrs.CONTENT_TYPE: format.content_type})
            # The one error with a body. Sent here, for the guard would empty it like all others.
            await response.prepare(request)
            await response.write_eof()
            return response
        return empty(STATUS[renewal])

    async def _register(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        caller = self._allow(request, Action.JOIN)
        if hdrs.ORIGIN in request.headers and not caller.has_token:
            raise Refused(403, "web pages may not register")
        format, body = await bodies.read_text(request, bodies.WRITE)
        now_ms = int(self._registry.clock.time() * 1000)
        instance = format.read_instance(body, now_ms=now_ms, limits=self._registry.limits)
        if instance.service != segments[1].lower():
            return empty(400, "app must be the one named in the path")
        done = await self._registry.register(
            instance, by=caller.address, replication=self._from_peer(request, caller)
        )
        return empty(507, "the registry is full") if done is Registered.FULL else empty(204)

    async def _cancel(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        caller = self._allow(request, Action.OWN, self._owner(segments))
        told = self._from_peer(request, caller)
        done = await self._registry.cancel(segments[1].lower(), segments[2], replication=told)
        return empty(200 if done else 404)

    async def _set_status(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        caller = self._allow(request, Action.ACT)
        service, id = segments[1].lower(), segments[2]
        if self._registry.visible(service, id) is None:
            return empty(404)
        status = _status_named(_query(request).get("value") or "")
        if status is None:
            return empty(400, "value must be UP, DOWN, STARTING, OUT_OF_SERVICE or UNKNOWN")
        told = self._from_peer(request, caller)
        done = await self._registry.set_status(service, id, status, self._stamp(request), replication=told)
        return empty(200 if done else 404)

    async def _clear_status(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        caller = self._allow(request, Action.ACT)
        service, id = segments[1].lower(), segments[2]
        show = _status_named(_query(request).get("value") or None)
        told = self._from_peer(request, caller)
        done = await self._registry.clear_status(service, id, show, self._stamp(request), replication=told)
        return empty(200 if done else 404)

    async def _metadata(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        caller = self._allow(request, Action.OWN, self._owner(segments))
        service, id, told = segments[1].lower(), segments[2], self._from_peer(request, caller)
        done = await self._registry.add_metadata(service, id, _query(request), replication=told)
        return empty(200 if done else 404)

    async def _asg(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        return empty(400, "auto scaling groups exist on AWS only")

    async def _batch(self, request: web.Request, segments: tuple[str, ...], v1: bool) -> web.Response:
        caller = self._allow(request, Action.ACT)
        _, body = await bodies.read_text(request, bodies.BATCH)
        items = read_batch(body, now_ms=int(self._registry.clock.time() * 1000), limits=self._registry.limits)
        replies = []
        for item in items:
            status, record = await inbound.execute(self._registry, item, caller.address)
            replies.append((status, None if record is None else tree(record.instance, record.standing())))
        return web.Response(body=write_replies(replies), headers={hdrs.CONTENT_TYPE: json.CONTENT_TYPE})

    def _stamp(self, request: web.Request) -> int:
        try:
            dirty_at = stamp_of(request.rel_url.raw_query_string) or 0
        except ValueError:
            raise Refused(400, "lastDirtyTimestamp must be a whole number") from None
        return min(dirty_at, int(self._registry.clock.time() * 1000) + self._registry.limits.skew)


def _format(request: web.Request, v1: bool) -> Format:
    return wanted(request.headers.get(hdrs.ACCEPT), v1=v1)


def _form(request: web.Request, v1: bool) -> Form:
    compact = request.headers.get("X-Eureka-Accept", "").lower() == "compact"
    return _FORMS[_format(request, v1).name, compact]


def _status_named(text: str | None) -> Status | None:
    """The status; None for None. Refused for a word that is none."""
    if text is None:
        return None
    if text not in Status.__members__:
        raise Refused(400, "value must be UP, DOWN, STARTING, OUT_OF_SERVICE or UNKNOWN")
    return Status(text)


def _query(request: web.Request) -> dict[str, str]:
    """The parameters, the first of each name."""
    found: dict[str, str] = {}
    for name, value in request.query.items():
        found.setdefault(name, value)
    return found
