"""aiohttp's way out: a middleware that resolves service names, balances, retries, and shows responses."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, hdrs
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from ..balancing.dialect import Dialect, Verdict, harmless
from ..balancing.picks import Pick, Tries
from ..circuits import calls
from ..circuits.attempt import Attempt, current_attempt
from ..circuits.policy import server_error
from ..door import (
    CONNECT_TIMEOUT,
    OwnCircuits,
    PerLoop,
    TryTimer,
    could_be,
    name_of,
    own_limit,
    present,
    retry_after,
    tries_for,
)
from ..errors import ConfigError
from ..runtime import Runtime, current


class _Aiohttp(Dialect):
    __slots__ = ()

    def judge(self, error: BaseException) -> Verdict:
        if isinstance(error, aiohttp.ClientResponseError):
            # Raised for a status, which is judged as such; or for an answer that was not HTTP.
            return Verdict.FAILED if isinstance(error.__cause__, HttpProcessingError) else Verdict.NEUTRAL
        return super().judge(error)


#: How aiohttp spells trouble.
AIOHTTP = _Aiohttp(
    never_sent=(aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError),
    timeouts=(TimeoutError,),
    broken=(aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError),
)

#: Seconds of silence after which our own sessions give a connection up, where no circuit does it before.
PATIENCE = 300.0
# No total: aiohttp's timer for it is a tenth of what a request costs, and seldom the limit that counts.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)

#: How a connection says that the other end has closed it; aiohttp repeats such a request once by itself.
_DISCONNECTED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
_TLS = ("https", "wss")


async def middleware(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """For ``ClientSession(middlewares=[middleware])``: plain host names of services work in that session.

    Inside a circuit's call the response is shown to it and the time left is what it has; outside, a known
    service gets a circuit of its own name. Raises NoInstance, CircuitOpen, CircuitFull, CallTimeout, and
    whatever aiohttp raises.
    """
    runtime = current()
    url = request.url
    host, port = url.raw_host or "", url.explicit_port
    service = host
    if port is not None or not runtime.knows(host):
        if not runtime.has_directory and could_be(host, port):
            await runtime.ready()
        name = name_of(runtime, host, port)
        if name is None:
            return await _direct(request, handler)
        service = name
    attempt = present()
    if attempt is None and runtime.knows(service):
        answer: _Answer = await _own.call(service)(request, handler, service, runtime)
        return answer.response
    return await _balanced(request, handler, service, runtime, attempt)


async def _direct(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    attempt = current_attempt()
    try:
        async with asyncio.timeout(PATIENCE if _ours(request) else None):
            if attempt is None:
                response = await handler(request)
            else:
                attempt.aims_at(request.url.authority)
                response = attempt.judge(await handler(request))
        _watch_body(request, response, None)
        return response
    except aiohttp.ClientResponseError as error:
        _no_status(error)
        raise


async def _balanced(
    request: ClientRequest,
    handler: ClientHandlerType,
    service: str,
    runtime: Runtime,
    attempt: Attempt | None,
) -> ClientResponse:
    # Each line here is paid for by every request: see benchmarks/session.py before adding to it.
    logical, headers, body = request.url, request.headers, request.body
    began = attempt.began if attempt is not None else None
    tries = tries_for(
        runtime,
        service,
        AIOHTTP,
        request.method,
        headers,
        secure=logical.scheme in _TLS,
        # A file that cannot be rewound is found out when it was sent: see _consumed.
        replayable=not body or not isinstance(body, aiohttp.AsyncIterablePayload),
        attempt=attempt,
    )
    own_host = headers.get(hdrs.HOST) == logical.host_port_subcomponent
    path, query = logical.raw_path, logical.raw_query_string
    known = request.__dict__
    try:
        for pick in tries:
            if tries.number > 1:
                await request.close()  # the try before may still be writing its body
                if tries.pause:
                    await asyncio.sleep(tries.pause)
            scheme, authority, shown = _parts(pick.url)
            # The parts as they are: percent-encoding is the caller's and must arrive untouched.
            request.url = URL.build(
                scheme=scheme, authority=authority, path=path, query_string=query, encoded=True
            )
            if own_host:
                headers[hdrs.HOST] = shown
            known[_NEW] = known["response"] = None
            with pick:
                if pick.timeout is not None:
                    seconds = own_limit(tries, pick, attempt)
                else:  # a circuit without a deadline
                    seconds = PATIENCE if _ours(request) else None
                timer = TryTimer(seconds, attempt, request.loop) if seconds is not None else None
                try:
                    try:
                        response = await handler(request)
                    except _DISCONNECTED:
                        if not _stale(request):
                            raise
                        await request.close()
                        response = await handler(request)
                except asyncio.CancelledError:
                    if timer is None or not timer.mine():
                        raise
                    raise _understood(TimeoutError("no answer in this try's time"), request, tries) from None
                except Exception as error:
                    meant = _understood(error, request, tries)
                    if meant is error:
                        raise
                    raise meant from error
                finally:
                    if timer is not None:
                        timer.end()
                status = response.status
                if status >= 400:  # less than that is good, as is a block that ends well
                    if _consumed(request):
                        tries.harmless = False
                    wait = retry_after(runtime, response.headers.get(hdrs.RETRY_AFTER))
                    if tries.again(status, wait):
                        response.release()
                        continue
                if response.connection is not None:
                    _watch_body(request, response, pick)
                if (
                    attempt is not None
                    and (status >= 400 or attempt.circuit.policy.failed is not server_error)
                    and attempt.began is began  # the call it belongs to is not over
                ):
                    attempt.judge(response)
                return response
        raise AssertionError("tries end with an answer or an error")
    except _DISCONNECTED as error:
        if tries.number == 1 or not request.session._retry_connection:
            raise
        if isinstance(error, aiohttp.ClientConnectorError):
            raise
        # Somebody else's session: aiohttp would go through all of the tries once more.
        raise aiohttp.ClientConnectionError(*error.args) from error
    finally:
        request.url = logical
        tries.pick = None  # a pick knows its tries: without the ring, memory is free at once


@lru_cache(10_000)
def _parts(base: str) -> tuple[str, str, str]:
    url = URL(base)
    return url.scheme, url.raw_authority, url.host_port_subcomponent or ""


def _stale(request: ClientRequest) -> bool:
    """A pooled connection that the other end closed at this very moment says nothing about the instance.

    Only our own sessions know which connections are new; in others aiohttp sees to it.
    """
    return (
        isinstance(request.session.connector, _Connector)
        and not request.__dict__[_NEW]
        and _was_sent(request)
        and harmless(request.method, request.headers)
        and not _consumed(request)
    )


def _understood(error: Exception, request: ClientRequest, tries: Tries) -> Exception:
    """What an error of aiohttp's means, where that is not what it says."""
    if isinstance(error, aiohttp.ClientResponseError):
        _no_status(error)
    if _consumed(request):
        tries.harmless = False  # what was sent of a stream cannot be sent a second time
    elif (
        not _was_sent(request)
        and isinstance(error, TimeoutError)
        and not isinstance(error, aiohttp.ClientError)
    ):
        return aiohttp.ConnectionTimeoutError(f"Connection timeout to host {request.url}")
    return error


def _no_status(error: aiohttp.ClientResponseError) -> None:
    if isinstance(error.__cause__, HttpProcessingError):
        error.status = 0  # the parser's own word for 'this is not HTTP', not the other end's: 400


def _was_sent(request: ClientRequest) -> bool:
    return getattr(request, "response", None) is not None


def _consumed(request: ClientRequest) -> bool:
    return getattr(request.body, "consumed", False)


def _ours(request: ClientRequest) -> bool:
    return request.session.timeout is _TIMEOUT


def _watch_body(request: ClientRequest, response: ClientResponse, pick: Pick | None) -> None:
    """While a body is still to come its instance stays busy; and it must not stand still for ever."""
    connection = response.connection
    if connection is None:
        return
    content = response.content
    timer: asyncio.TimerHandle | None = None
    last = -1

    def look() -> None:
        nonlocal timer, last
        if content.total_bytes == last:
            content.set_exception(aiohttp.SocketTimeoutError(f"nothing came for {PATIENCE:g}s"))
            response.close()
            return
        last = content.total_bytes
        timer = request.loop.call_later(PATIENCE, look)

    def over() -> None:
        if timer is not None:
            timer.cancel()
        if pick is not None:
            error = content.exception()
            # The bare kind is what aiohttp leaves behind when the caller did not want the rest.
            if error is not None and type(error) is not aiohttp.ClientConnectionError:
                pick.broke(error)
            pick.release()

    if pick is not None:
        pick.hold()
    if _ours(request):
        look()
    connection.add_callback(over)


class _Answer:
    """A response on its way through a circuit of our own, which was shown it already."""

    __slots__ = ("response",)

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    def close(self) -> None:
        self.response.close()


async def _inside(
    request: ClientRequest, handler: ClientHandlerType, service: str, runtime: Runtime
) -> _Answer:
    return _Answer(await _balanced(request, handler, service, runtime, present()))


_own = OwnCircuits(calls.timed, _inside)

#: Under this name a request remembers that its connection was made for it.
_NEW = "_resilient_new_connection"


class _Connector(aiohttp.TCPConnector):
    """Knows which requests went out on a new connection."""

    async def _create_connection(self, req: ClientRequest, *args: Any, **kwargs: Any) -> Any:
        made = await super()._create_connection(req, *args, **kwargs)
        req.__dict__[_NEW] = True
        return made


def make_session(**options: Any) -> aiohttp.ClientSession:
    """A ClientSession of your own that knows services by name; ``options`` are ClientSession's.

    Connections are tried for one second, and a call's time is the circuit's business. Where there is none,
    and while a body is read, a connection on which nothing comes for five minutes is given up (aiohttp
    itself ends everything after five minutes). ``timeout=`` given here replaces all of this.
    """
    options["middlewares"] = (middleware, *options.get("middlewares", ()))
    options.setdefault("timeout", _TIMEOUT)
    ours = options.get("connector") is None
    if ours:
        options["connector"] = _Connector(limit=1000, limit_per_host=0)
    session = aiohttp.ClientSession(**options)
    if ours:
        # aiohttp repeats a request itself when a connection breaks; here ours is the one layer that
        # retries: on another instance, and within the budget.
        session._retry_connection = False
    return session


_sessions: PerLoop[aiohttp.ClientSession] = PerLoop(
    make_session, lambda session: session.closed, lambda session: session.close()
)


def session() -> aiohttp.ClientSession:
    """This event loop's shared session, which knows services by name: ``session().get("http://orders/7")``.

    Made at first use, closed with the runtime or the loop. Must be called in a coroutine.
    """
    try:
        return _sessions.get()
    except RuntimeError:
        raise ConfigError("session() belongs in a coroutine: there is no running event loop here") from None
