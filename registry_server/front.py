"""A heartbeat, before the router: the way of nearly all requests a registry ever gets."""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

from aiohttp import hdrs, web
from multidict import istr

from resilient.web.connection import Connection
from resilient.web.guard import caller_of
from resilient.web.ready import READY_OK, fits
from resilient.web.trust import Trust

from .paths import stamp_of
from .records import Renewal
from .registry import Registry
from .sending import empty
from .trust import Action, refusal

REPLICATION: Final = istr("x-netflix-discovery-replication")

_RENEWED: Final = Renewal.RENEWED
#: The answer to each renewal.
STATUS = {Renewal.RENEWED: 200, Renewal.UNKNOWN: 404, Renewal.NEWER_THERE: 404, Renewal.NEWER_HERE: 409}


def beat(registry: Registry, service: str, id: str, query: str) -> web.Response | None:
    """Renew one lease. ``None`` if that is all there is to say, else the answer."""
    dirty_at = None
    if query:
        try:
            dirty_at = stamp_of(query)
        except ValueError:
            return empty(400, "lastDirtyTimestamp must be a whole number")
    renewal = registry.renew(service, id, dirty_at)
    return None if renewal is _RENEWED else web.Response(status=STATUS[renewal])


class Front:
    """What stands before the router. ``registry_server.api`` knows the same resource, for all the others."""

    def __init__(self, registry: Registry, trust: Trust) -> None:
        self._registry = registry
        self._trust = trust
        self._open = not trust.needs_token

    def __call__(self, request: web.Request) -> web.StreamResponse | None:
        """The answer to a heartbeat; ``None`` for everything else, and for what needs a second look."""
        if request.method != "PUT":
            return None
        path, _, query = request.raw_path.partition("?")
        parts = path.split("/")
        if (
            len(parts) != 5
            or parts[1] != "eureka"
            or parts[2] != "apps"
            or not parts[3]
            or not parts[4]
            or not path.isascii()
            or "%" in path
            or "#" in path
            or "#" in query
            or REPLICATION in request.headers
        ):
            return None
        if not self._open and (status := self._refused(request)):
            return empty(status)
        answer = beat(self._registry, parts[3].lower(), parts[4], query)
        return answer or (READY_OK if fits(request) else web.Response())

    def _refused(self, request: web.Request) -> int:
        """0 if the caller may renew. Looked at closely once for each connection and header."""
        given = request.headers.get(hdrs.AUTHORIZATION, "")
        protocol = request.protocol
        known = protocol.vouched if isinstance(protocol, Connection) else ""
        # In constant time: a proxy may send the requests of different callers through one connection.
        if known and given.isascii() and compare_digest(given, known) and self._trust.calm:
            return 0
        caller = caller_of(request, self._trust)
        status = refusal(self._trust, caller, Action.JOIN)
        if not status and caller.has_token and given.isascii() and isinstance(protocol, Connection):
            protocol.vouched = given
        return status
