"""One guard in front of every listener: what it refuses, a handler never sees.

It stands before the router, so a heartbeat pays a few look-ups and nothing more, and unknown paths get the
same care as known ones.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from multidict import CIMultiDict

from ..errors import CallRejected, FallbackFull, WireError
from .body import charset_of, coding_of, limits_of, media_of, read_body, too_large
from .connection import BodyTooSlow, Connection
from .limits import DEFAULTS, Limits
from .problems import problem, problem_text
from .trust import Caller, Trust, host_allowed, split_host

log = logging.getLogger("resilient.web")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: Tried before the router: answers at once, or returns ``None`` to let the router have it. Must not wait.
Front = Callable[[web.Request], web.StreamResponse | None]

JSON_AND_XML = frozenset({"application/json", "application/xml", "text/xml"})
_USUAL = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "POST", "DELETE", "PATCH"})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_BODY_HEADERS = (hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH, hdrs.CONTENT_ENCODING, hdrs.TRANSFER_ENCODING)
_GOOD, _FOREIGN, _BAD = 0, 1, 2
_HOST = hdrs.HOST
_MAX_KNOWN = 256
_SHORT = 256


class Guard:
    """What one listener lets through.

    ``bare_errors``: path prefixes below which an error has an empty body; elsewhere it is small JSON.
    ``hosts_checked``: path prefixes where ``Host`` must be an address, ``localhost`` or in ``hosts``;
    ``all_hosts_checked`` for every path (a listener bound to loopback does that by itself).
    ``origins``: exact origins, besides the listener's own, that may write.
    ``content_types`` of bodies, ``application/*+json`` always included; ``None``: any.
    ``bodies``: limits in bytes by path prefix, where they differ from ``limits.body``.
    ``absolute_form``: accept ``GET http://host/path`` (only a proxy wants that).
    """

    def __init__(
        self,
        *,
        limits: Limits = DEFAULTS,
        bare_errors: Iterable[str] = (),
        hosts_checked: Iterable[str] = ("/ui", "/admin"),
        all_hosts_checked: bool = False,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        content_types: Iterable[str] | None = JSON_AND_XML,
        bodies: Mapping[str, int] | None = None,
        absolute_form: bool = False,
    ) -> None:
        self.limits = limits
        self.all_hosts_checked = all_hosts_checked
        self._bare = tuple(bare_errors)
        self._checked = tuple(hosts_checked)
        self._hosts = frozenset(name.lower() for name in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._content_types = None if content_types is None else frozenset(content_types)
        self._bodies = tuple(sorted((bodies or {}).items(), key=lambda item: -len(item[0])))
        self._absolute_form = absolute_form
        self._known_hosts: dict[str, int] = {}

    # -- around a handler

    def wrap(self, handler: Handler, front: Front | None = None) -> Handler:
        """``handler`` with the guard before it. ``front`` may answer in its place."""

        known_hosts = self._known_hosts
        parameters = self.limits.parameters

        async def guarded(request: web.Request) -> web.StreamResponse:
            connection: Connection = request.protocol  # type: ignore[assignment]
            # Connection.begin() and end(), written out: this is the path of every heartbeat.
            connection.busy = True
            connection.headed = False
            connection.waiting_since = 0.0
            passed = False
            try:
                headers = request.headers
                target = request.raw_path
                # What nearly every request looks like; the rest is looked at closely.
                if (
                    known_hosts.get(headers.get(_HOST, ""), _BAD)
                    or headers.get(hdrs.CONTENT_LENGTH, "0") != "0"
                    or hdrs.ORIGIN in headers
                    or hdrs.TRANSFER_ENCODING in headers
                    or target[0] != "/"
                    or len(target) > _SHORT
                    or target.count("&") >= parameters
                    or connection.split
                ):
                    self.check(request)
                passed = True
                if front is None or (response := front(request)) is None:
                    response = await handler(request)
                return response if response.status < 400 else self._shaped(request, response)
            except web.HTTPException as error:
                return self._refused(request, error, passed)
            except Exception as error:
                return self._failed(request, error)
            finally:
                connection.busy = False
                if connection.body is not None or connection.waiting_since:
                    connection.end()

        return guarded

    @property
    def middleware(self) -> Middleware:
        """The same for an app that is not run by ``listen``; dearer, and it keeps no time."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            passed = False
            try:
                self.check(request)
                passed = True
                return self._shaped(request, await handler(request))
            except web.HTTPException as error:
                return self._refused(request, error, passed)
            except Exception as error:
                return self._failed(request, error)

        return guard

    # -- checks

    def check(self, request: web.Request) -> None:
        """Raise the HTTP error to answer with, if this request must not go further."""
        headers = request.headers
        method = request.method
        if method not in _USUAL:
            raise problem(405, "method-not-allowed", "this method is not served")
        target = request.raw_path
        if target[:1] != "/" and not self._absolute_form and target != "*":
            raise problem(400, "bad-target", "the request target must be a path")
        host = headers.get(hdrs.HOST)
        verdict = self._known_hosts.get(host or "")
        if verdict is None:
            verdict = self._judge_host(host or "", request)
        if verdict:
            self._refuse_host(request, verdict)
        if method not in _READS and hdrs.ORIGIN in headers:
            self._check_origin(request, headers[hdrs.ORIGIN], host or "", verdict)
        if headers.get(hdrs.TRANSFER_ENCODING, "chunked").strip().lower() != "chunked":
            # Another one may stand before it ("gzip, chunked"); nobody here undoes that.
            raise problem(400, "bad-transfer-encoding", "the transfer encoding must be chunked")
        query = request.rel_url.raw_query_string
        if query:
            if len(query) > self.limits.query:
                raise problem(414, "query-too-long", f"the query may have {self.limits.query} bytes")
            if query.count("&") >= self.limits.parameters:
                raise problem(
                    400, "too-many-parameters", f"a query may have {self.limits.parameters} parameters"
                )
        protocol = request.protocol
        watched = isinstance(protocol, Connection)
        if watched and protocol.foreign:  # type: ignore[attr-defined]
            raise problem(400, "bad-version", "this server speaks HTTP/1.1")
        if watched and protocol.split:  # type: ignore[attr-defined]
            self._check_head(request)
        if request.body_exists:
            content = request.content
            if watched and not content.is_eof():
                protocol.expect(content)  # type: ignore[attr-defined]
            self._check_body(request)

    def _judge_host(self, host: str, request: web.Request) -> int:
        parts = split_host(host)
        if parts is None:
            # HTTP/1.0 knew no Host; it is nobody's to trust, and no reason to refuse.
            verdict = _FOREIGN if not host and hdrs.HOST not in request.headers else _BAD
        else:
            verdict = _GOOD if host_allowed(parts[0], self._hosts) else _FOREIGN
        if len(host) <= 256:
            if len(self._known_hosts) >= _MAX_KNOWN:
                self._known_hosts.clear()
            if host:
                self._known_hosts[host] = verdict
        return verdict

    def _refuse_host(self, request: web.Request, verdict: int) -> None:
        if verdict == _BAD:
            raise problem(400, "bad-host", "the Host header is not a host")
        if self.all_hosts_checked or _below(request.path, self._checked):
            raise problem(
                421, "foreign-host", "this server is not known by that name; allow it by its hosts setting"
            )

    def _check_origin(self, request: web.Request, origin: str, host: str, verdict: int) -> None:
        wanted = origin.lower()
        if wanted in self._origins:
            return
        # A page of our own: same host and port, and a name that nobody can have pointed here.
        scheme, _, authority = wanted.partition("://")
        if verdict == _GOOD and scheme in ("http", "https") and authority == host.lower():
            return
        raise problem(403, "foreign-origin", "pages of another origin may not write here")

    def _check_head(self, request: web.Request) -> None:
        size = len(request.raw_path)
        for name, value in request.raw_headers:
            size += len(name) + len(value) + 4
        if size > self.limits.head:
            raise problem(431, "header-too-large", "the request head is too large")

    def _check_body(self, request: web.Request) -> None:
        headers = request.headers
        most = self.limits.body
        if self._bodies:
            path = request.path
            for prefix, size in self._bodies:
                if path.startswith(prefix):
                    most = size
                    break
        announced = headers.get(hdrs.CONTENT_LENGTH)
        if announced is not None and int(announced) > most:
            raise too_large(most)
        if self._content_types is None:
            return
        coding_of(request)
        media, charset = media_of(headers.get(hdrs.CONTENT_TYPE, ""))
        if media not in self._content_types and not (
            media.startswith("application/") and media.endswith("+json")
        ):
            raise problem(415, "unsupported-type", "the content type of this body is not served")
        if charset is None:
            charset_of(request)

    # -- answers

    def _refused(self, request: web.Request, error: web.HTTPException, passed: bool) -> web.StreamResponse:
        response = self._shaped(request, error)
        if not passed or error.status in (408, 413):
            response.force_close()
        return response

    def _shaped(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """An error as this listener's paths want it."""
        if response.prepared or response.status < 400:
            return response
        bare = _below(request.path, self._bare)
        if isinstance(response, web.Response) and not isinstance(response, web.HTTPException) and not bare:
            return response
        if not bare and response.content_type == "application/json":
            text = response.text if isinstance(response, web.Response) else None
        else:
            text = None if bare else problem_text(_slug(response.reason), response.reason or "error")
        headers = CIMultiDict(response.headers)
        for name in _BODY_HEADERS:
            headers.popall(name, None)
        shaped = web.Response(
            status=response.status,
            reason=response.reason,
            headers=headers,
            text=text,
            content_type="application/json" if text is not None else None,
        )
        if response.keep_alive is False:
            shaped.force_close()
        return shaped

    def _failed(self, request: web.Request, error: Exception) -> web.StreamResponse:
        transport = request.transport
        if isinstance(error, ConnectionError) and (transport is None or transport.is_closing()):
            raise error  # the caller is gone; aiohttp ends the connection quietly
        if request.writer.output_size > 0:
            if not isinstance(error, (ConnectionError, BodyTooSlow)):
                log.error("a handler failed after its answer had begun", exc_info=error)
            request.protocol.force_close()
            raise ConnectionError("the answer had begun") from error
        close = False
        match error:
            case BodyTooSlow():
                answer, close = problem(408, "too-slow", "the body did not come in time"), True
            case web.RequestPayloadError():
                answer, close = problem(400, "broken-body", "the body is broken or cut off"), True
            case CallRejected() | FallbackFull():
                answer = problem(
                    503, "unavailable", "not available now", retry_after=error.retry_after or 1.0
                )
            case WireError():
                answer = problem(400, "bad-input", str(error))
            case UnicodeError() if hdrs.EXPECT in request.headers:
                # aiohttp repeats an Expect it does not know, and fails where it is not even text.
                answer, close = problem(417, "bad-expect", "Expect must be 100-continue"), True
            case TimeoutError():
                answer = problem(504, "timeout", "this took too long")
            case _:
                log.error("a handler failed", exc_info=error)
                answer = problem(500, "internal-error", "internal error")
        shaped = self._shaped(request, answer)
        if close:
            shaped.force_close()
        return shaped


def _below(path: str, prefixes: tuple[str, ...]) -> bool:
    for prefix in prefixes:
        if path.startswith(prefix) and (
            len(path) == len(prefix) or prefix[-1] == "/" or path[len(prefix)] == "/"
        ):
            return True
    return False


def _slug(reason: str | None) -> str:
    return "-".join((reason or "error").lower().split())[:64]


def caller_of(request: web.Request, trust: Trust) -> Caller:
    """Who sends ``request``. Answers 429 by itself to an address that tried too many wrong tokens (S-07)."""
    caller = trust.caller(request.remote, request.headers)
    if caller.retry_after:
        raise problem(429, "too-many-attempts", "too many wrong tokens", retry_after=caller.retry_after)
    if caller.has_token:
        protocol = request.protocol
        if isinstance(protocol, Connection):
            protocol.watch.vouch(protocol)
    return caller


__all__ = ["JSON_AND_XML", "Front", "Guard", "Handler", "caller_of", "limits_of", "problem", "read_body"]
