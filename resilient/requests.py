"""requests' door: an adapter that resolves service names, balances, retries, and shows responses."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Generator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import rewind_body
from urllib3 import HTTPResponse
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from .allowed import DEADLINE, telling
from .balancing.dialect import Dialect, causes
from .balancing.picks import Pick
from .circuits import calls
from .circuits.attempt import current_attempt, watch
from .door import (
    LEAST,
    OwnCircuits,
    connect_limit,
    could_be,
    name_of,
    retry_after,
    time_left,
    tries_for,
)
from .errors import InsecureRedirect
from .runtime import Runtime, current


def _never_sent(error: BaseException) -> bool:
    # requests wraps: its ConnectionError holds urllib3's MaxRetryError, which holds the real reason.
    kinds = (
        NewConnectionError,
        ConnectTimeoutError,
        requests.exceptions.ConnectTimeout,
        ssl.SSLCertVerificationError,
    )
    return isinstance(error, requests.exceptions.ConnectionError) and any(
        isinstance(one, kinds) or isinstance(getattr(one, "reason", None), kinds) for one in causes(error)
    )


#: How requests spells trouble.
REQUESTS = Dialect(
    never_sent_if=_never_sent,
    timeouts=(requests.exceptions.Timeout, TimeoutError),
    broken=(requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError, ConnectionError),
)


class Balanced(HTTPAdapter):
    """Mount it for both schemes and plain host names of services work in that session::

        http = requests.Session()
        for scheme in ("http://", "https://"):
            http.mount(scheme, Balanced())

    ``where`` selects instances by their metadata. Inside a circuit's call the response is shown to it;
    outside, a known service gets a circuit of its own name. A plain function cannot be cancelled, so each try
    gets what is left of the call's time as its socket timeouts.
    """

    def __init__(self, *, where: Mapping[str, str] | None = None, **options: Any) -> None:
        self._where = where
        options.setdefault("pool_connections", 200)  # one for each instance
        options.setdefault("pool_maxsize", 100)
        super().__init__(**options)
        self._own = OwnCircuits(calls.sync, self._balanced)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        runtime = current()
        parts = urlsplit(request.url or "")
        if not runtime.has_directory and could_be(parts.hostname, parts.port):
            runtime.wait()
        service = name_of(runtime, parts.hostname, parts.port)
        options = {"stream": stream, "timeout": timeout, "verify": verify, "cert": cert, "proxies": proxies}
        attempt = current_attempt()
        if service is None:
            request.headers.pop(DEADLINE, None)  # how patient we are is nobody's business outside
            left = time_left()
            if attempt is None:
                if left is not None:
                    options["timeout"] = _limited(timeout, left)
                return super().send(request, **options)
            attempt.aims_at(parts.netloc)
            options["timeout"] = _limited(timeout, left)
            return attempt.judge(super().send(request, **options))
        # An instance is called directly: a proxy for the outside world has never heard of it.
        options["proxies"] = None
        if not runtime.serves(service):
            runtime.seek_now(service)
        if attempt is None and runtime.knows(service):
            response: requests.Response = self._own.call(service)(request, service, runtime, options)
            return response
        return self._balanced(request, service, runtime, options)

    def _balanced(
        self, request: requests.PreparedRequest, service: str, runtime: Runtime, options: dict[str, Any]
    ) -> requests.Response:
        attempt = current_attempt()
        logical = request.url or ""
        position = getattr(request, "_body_position", None)  # of a file, where it can be told
        tries = tries_for(
            runtime,
            service,
            REQUESTS,
            request.method or "GET",
            request.headers,
            secure=logical[:6].lower() == "https:",
            replayable=_replayable(request.body) or isinstance(position, int),
            attempt=attempt,
            where=self._where,
        )
        timeout = options["timeout"]
        try:
            for pick in tries:
                if tries.number > 1 and isinstance(position, int):
                    rewind_body(request)
                if tries.pause:
                    time.sleep(tries.pause)
                request.url = _aim(logical, pick.url)
                options["timeout"] = _limited(timeout, pick.timeout)
                if pick.timeout is not None:
                    request.headers[DEADLINE] = telling(pick.timeout)
                with pick:
                    response = super().send(request, **options)
                    wait = retry_after(runtime, response.headers.get("Retry-After"))
                    if tries.again(response.status_code, wait):
                        response.close()
                        continue
                    response.url = logical  # a relative redirect is balanced again
                    _hold(response, pick)
                    return response if attempt is None else attempt.judge(response)
            raise AssertionError("tries end with an answer or an error")
        finally:
            request.url = logical
            request.headers.pop(DEADLINE, None)  # a redirect copies it


def _replayable(body: object) -> bool:
    return body is None or isinstance(body, bytes | str)


def _aim(logical: str, base: str) -> str:
    target, parts = urlsplit(base), urlsplit(logical)
    return urlunsplit((target.scheme, target.netloc, parts.path, parts.query, ""))


def _limited(timeout: Any, seconds: float | None) -> Any:
    """requests' timeout pair, with no part of it longer than ``seconds``."""
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    most = connect_limit(seconds)
    connect = most if connect is None else min(connect, most)
    if seconds is not None:
        read = max(min(read, seconds) if read is not None else seconds, LEAST)
    return (connect, read)


class _Held(HTTPResponse):
    """A body still to be read: its instance counts as busy until the response was read or closed."""

    pick: Pick

    def stream(
        self, amt: int | None = 2**16, decode_content: bool | None = None
    ) -> Generator[bytes, None, None]:
        try:
            yield from super().stream(amt, decode_content)
        except Exception as error:
            self.pick.broke(error)
            raise

    def release_conn(self) -> None:
        self.pick.release()
        super().release_conn()

    def close(self) -> None:
        self.pick.release()
        super().close()


def _hold(response: requests.Response, pick: Pick) -> None:
    raw = response.raw
    if type(raw) is HTTPResponse:
        raw.__class__ = _Held  # in place: requests, cookies and pools hold on to this very object
        raw.__dict__["pick"] = pick
        pick.hold()


class _Local(threading.local):
    session: requests.Session | None = None


_local = _Local()


class _Session(requests.Session):
    """Does not follow a redirect from https to http."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        found: str | None = super().get_redirect_target(resp)
        if found is not None and (resp.url or "")[:6].lower() == "https:":
            target = urljoin(resp.url, found)
            if urlsplit(target).scheme == "http":
                raise InsecureRedirect(target)
        return found

    def resolve_redirects(self, resp: requests.Response, *args: Any, **options: Any) -> Any:
        if options.get("yield_requests"):  # nobody follows: only to say what would come next
            try:
                self.get_redirect_target(resp)
            except InsecureRedirect:
                return iter(())
        return super().resolve_redirects(resp, *args, **options)


def make_session(*, where: Mapping[str, str] | None = None) -> requests.Session:
    """A requests.Session of your own that knows services by name.

    ``where`` selects instances by their metadata: ``make_session(where={"version": "2"})``.
    """
    made = _Session()
    adapter = Balanced(where=where)
    made.mount("http://", adapter)
    made.mount("https://", adapter)
    return made


def session() -> requests.Session:
    """This thread's shared session, which knows services by name: ``session().get("http://orders/7")``."""
    watch()
    if _local.session is None:
        _local.session = make_session()
    return _local.session
