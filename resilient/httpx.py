"""httpx's door: transports that resolve service names, balance, retry, and show responses to circuits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx

from .allowed import DEADLINE, telling
from .balancing.dialect import Dialect
from .balancing.picks import Pick, Tries
from .circuits import calls
from .circuits.attempt import Attempt, current_attempt, watch
from .door import (
    CONNECT_TIMEOUT,
    LEAST,
    OwnCircuits,
    PerLoop,
    connect_limit,
    could_be,
    name_of,
    own_limit,
    retry_after,
    time_left,
    tries_for,
)
from .errors import ConfigError, InsecureRedirect
from .runtime import Runtime, current

#: How httpx spells trouble.
HTTPX = Dialect(
    never_sent=(httpx.ConnectError, httpx.ConnectTimeout),
    timeouts=(httpx.TimeoutException, TimeoutError),
    broken=(httpx.NetworkError, httpx.RemoteProtocolError),
    busy=(httpx.PoolTimeout,),
)


class AsyncBalanced(httpx.AsyncBaseTransport):
    """``httpx.AsyncClient(transport=AsyncBalanced())``: plain host names of services work in that client.

    ``inner`` makes the connections; by default httpx's own transport. ``where`` selects instances by their
    metadata. Inside a circuit's call the response is shown to it; outside, a known service gets a circuit of
    its own name.
    """

    def __init__(
        self, inner: httpx.AsyncBaseTransport | None = None, *, where: Mapping[str, str] | None = None
    ) -> None:
        self._where = where
        self._inner = inner or httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1000))
        self._own = OwnCircuits(calls.timed, self._balanced)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _check_hop(request)
        runtime = current()
        host, port = request.url.host, request.url.port
        if not runtime.has_directory and could_be(host, port):
            await runtime.ready()
        service = name_of(runtime, host, port)
        attempt = current_attempt()
        if service is None:
            request.headers.pop(DEADLINE, None)  # how patient we are is nobody's business outside
            if attempt is not None:
                attempt.aims_at(_authority(request.url))
                return attempt.judge(await self._inner.handle_async_request(request))
            async with asyncio.timeout(time_left()):
                return await self._inner.handle_async_request(request)
        if not runtime.serves(service):
            await runtime.seek(service)
        if attempt is None and runtime.knows(service):
            response: httpx.Response = await self._own.call(service)(request, service, runtime)
            return response
        return await self._balanced(request, service, runtime)

    async def _balanced(self, request: httpx.Request, service: str, runtime: Runtime) -> httpx.Response:
        attempt = current_attempt()
        one = _Balanced(request, service, runtime, attempt, self._where)
        try:
            for pick in one.tries:
                if one.tries.pause:
                    await asyncio.sleep(one.tries.pause)
                one.aim(pick)
                seconds = own_limit(one.tries, pick, attempt)
                with pick:
                    if seconds is None:
                        response = await self._inner.handle_async_request(request)
                    else:
                        async with asyncio.timeout(seconds):
                            response = await self._inner.handle_async_request(request)
                    if one.again(response):
                        await response.aclose()
                        continue
                    pick.hold()
                    response.stream = _AsyncHeld(response.stream, pick)
                    return response if attempt is None else attempt.judge(response)
            raise AssertionError("tries end with an answer or an error")
        finally:
            one.restore()

    async def aclose(self) -> None:
        await self._inner.aclose()


class Balanced(httpx.BaseTransport):
    """``httpx.Client(transport=Balanced())``: the same as :class:`AsyncBalanced`, for plain functions.

    A plain function cannot be cancelled, so each try gets what is left of the call's time as its socket
    timeouts, and a body that comes in drops is given up between two of them.
    """

    def __init__(
        self, inner: httpx.BaseTransport | None = None, *, where: Mapping[str, str] | None = None
    ) -> None:
        self._where = where
        self._inner = inner or httpx.HTTPTransport(limits=httpx.Limits(max_connections=1000))
        self._own = OwnCircuits(calls.sync, self._balanced)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        _check_hop(request)
        runtime = current()
        host, port = request.url.host, request.url.port
        if not runtime.has_directory and could_be(host, port):
            runtime.wait()
        service = name_of(runtime, host, port)
        attempt = current_attempt()
        if service is None:
            request.headers.pop(DEADLINE, None)
            if attempt is not None:
                attempt.aims_at(_authority(request.url))
            given = request.extensions
            _limit(request, given, time_left())
            try:
                answer = self._inner.handle_request(request)
                return answer if attempt is None else attempt.judge(answer)
            finally:
                request.extensions = given
        if not runtime.serves(service):
            runtime.seek_now(service)
        if attempt is None and runtime.knows(service):
            response: httpx.Response = self._own.call(service)(request, service, runtime)
            return response
        return self._balanced(request, service, runtime)

    def _balanced(self, request: httpx.Request, service: str, runtime: Runtime) -> httpx.Response:
        attempt = current_attempt()
        one = _Balanced(request, service, runtime, attempt, self._where)
        try:
            for pick in one.tries:
                if one.tries.pause:
                    time.sleep(one.tries.pause)
                one.aim(pick)
                with pick:
                    response = self._inner.handle_request(request)
                    if one.again(response):
                        response.close()
                        continue
                    pick.hold()
                    response.stream = _Held(response.stream, pick, attempt, request.extensions.get("timeout"))
                    return response if attempt is None else attempt.judge(response)
            raise AssertionError("tries end with an answer or an error")
        finally:
            one.restore()

    def close(self) -> None:
        self._inner.close()


class _Balanced:
    """One request on its way to a service: aimed at an instance for each try, itself again afterwards."""

    def __init__(
        self,
        request: httpx.Request,
        service: str,
        runtime: Runtime,
        attempt: Attempt | None,
        where: Mapping[str, str] | None,
    ) -> None:
        self.request = request
        self.runtime = runtime
        self.logical = request.url
        self.extensions = request.extensions
        self.own_host = request.headers.get("Host") == _authority(request.url)
        self.tries: Tries = tries_for(
            runtime,
            service,
            HTTPX,
            request.method,
            request.headers,
            secure=request.url.scheme == "https",
            replayable=isinstance(request.stream, httpx.ByteStream),
            attempt=attempt,
            where=where,
        )

    def aim(self, pick: Pick) -> None:
        base = httpx.URL(pick.url)
        self.request.url = self.logical.copy_with(scheme=base.scheme, host=base.host, port=base.port)
        if self.own_host:
            self.request.headers["Host"] = _authority(self.request.url)
        if pick.timeout is not None:
            self.request.headers[DEADLINE] = telling(pick.timeout)
        _limit(self.request, self.extensions, pick.timeout)

    def again(self, response: httpx.Response) -> bool:
        wait = response.headers.get("Retry-After")
        return self.tries.again(response.status_code, retry_after(self.runtime, wait))

    def restore(self) -> None:
        self.request.url = self.logical
        if self.own_host:
            self.request.headers["Host"] = _authority(self.logical)  # a redirect copies it
        self.request.headers.pop(DEADLINE, None)
        self.request.extensions = self.extensions


_SECURE = "resilient.secure"


def _check_hop(request: httpx.Request) -> None:
    """Raise InsecureRedirect for the hop of a redirect from https to http: a hop inherits extensions."""
    if request.url.scheme == "https":
        request.extensions = {**request.extensions, _SECURE: True}
    elif request.extensions.get(_SECURE):
        raise InsecureRedirect(str(request.url))


def _authority(url: httpx.URL) -> str:
    return url.netloc.decode("ascii", "replace")


def _limit(request: httpx.Request, given: Any, seconds: float | None) -> None:
    """No socket of this try waits longer than ``seconds``; the caller's own shorter limits stay."""
    if seconds is None:
        return
    limits: dict[str, float | None] = given.get("timeout") or {}
    read = max(seconds, LEAST)
    most = {"connect": connect_limit(seconds), "read": read, "write": read, "pool": read}
    for kind, limit in most.items():
        wished = limits.get(kind)
        if wished is not None and wished < limit:
            most[kind] = wished
    request.extensions = {**given, "timeout": most}


class _AsyncHeld(httpx.AsyncByteStream):
    """A body still to be read: its instance counts as busy until it is closed."""

    def __init__(self, stream: Any, pick: Pick) -> None:
        self._stream = stream
        self._pick = pick

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                yield chunk
        except Exception as error:
            self._pick.broke(error)
            raise

    async def aclose(self) -> None:
        self._pick.release()
        await self._stream.aclose()


class _Held(httpx.SyncByteStream):
    """The same for plain functions, whose body must not take longer than the call may."""

    def __init__(self, stream: Any, pick: Pick, attempt: Attempt | None, limits: Any) -> None:
        self._stream = stream
        self._pick = pick
        self._attempt = attempt
        self._limits = limits

    def __iter__(self) -> Iterator[bytes]:
        left = self._left()
        if left is not None and self._limits:
            self._limits["read"] = max(left, LEAST)  # the transport looks here before the first chunk
        first = True
        try:
            for chunk in self._stream:
                if not first and self._left() == 0.0:
                    raise httpx.ReadTimeout("the body was still coming in when the call's time was up")
                first = False
                yield chunk
        except Exception as error:
            self._pick.broke(error)
            raise

    def _left(self) -> float | None:
        return self._attempt.remaining() if self._attempt is not None else None

    def close(self) -> None:
        self._pick.release()
        self._stream.close()


_TIMEOUT = httpx.Timeout(60, connect=CONNECT_TIMEOUT)
_shared: httpx.Client | None = None
_lock = threading.Lock()
_async: PerLoop[httpx.AsyncClient] = PerLoop(
    lambda: httpx.AsyncClient(transport=AsyncBalanced(), timeout=_TIMEOUT),
    lambda client: client.is_closed,
    lambda client: client.aclose(),
)


def session() -> httpx.Client:
    """The process's shared client, which knows services by name: ``session().get("http://orders/7")``."""
    global _shared
    watch()
    with _lock:
        if _shared is None or _shared.is_closed:
            _shared = httpx.Client(transport=Balanced(), timeout=_TIMEOUT)
        return _shared


def async_session() -> httpx.AsyncClient:
    """This event loop's shared client, which knows services by name. Closed with the runtime or the loop.

    Must be called in a coroutine.
    """
    try:
        return _async.get()
    except RuntimeError:
        raise ConfigError(
            "async_session() belongs in a coroutine; session() is for plain functions"
        ) from None
