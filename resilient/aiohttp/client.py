"""aiohttp's way out: a middleware that resolves service names, balances, retries, and shows responses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, hdrs
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from ..balancing.dialect import Dialect, Verdict, harmless
from ..balancing.picks import Pick, Tries
from ..circuits import calls
from ..circuits.attempt import current_attempt, watch
from ..door import CONNECT_TIMEOUT, OwnCircuits, PerLoop, could_be, name_of, own_limit, retry_after, tries_for
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

#: How a connection says that the other end has closed it; aiohttp repeats such a request once by itself.
_DISCONNECTED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


async def middleware(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """For ``ClientSession(middlewares=[middleware])``: plain host names of services work in that session.

    Inside a circuit's call the response is shown to it and the time left is what it has; outside, a known
    service gets a circuit of its own name. Raises NoInstance, CircuitOpen, CircuitFull, CallTimeout, and
    whatever aiohttp raises.
    """
    runtime = current()
    url = request.url
    host, port = url.raw_host, url.explicit_port
    if not runtime.has_directory and could_be(host, port):
        await runtime.ready()
    service = name_of(runtime, host, port)
    attempt = current_attempt()
    if service is None:
        if attempt is None:
            return await handler(request)
        attempt.aims_at(url.authority)
        try:
            return attempt.judge(await handler(request))
        except aiohttp.ClientResponseError as error:
            _no_status(error)
            raise
    if attempt is None and runtime.knows(service):
        response: ClientResponse = await _own.call(service)(request, handler, service, runtime)
        return response
    return await _balanced(request, handler, service, runtime)


async def _balanced(
    request: ClientRequest, handler: ClientHandlerType, service: str, runtime: Runtime
) -> ClientResponse:
    attempt = current_attempt()
    logical, headers = request.url, request.headers
    secure = logical.scheme in ("https", "wss")
    tries = tries_for(
        runtime,
        service,
        AIOHTTP,
        request.method,
        headers,
        secure=secure,
        replayable=_replayable(request),
        attempt=attempt,
    )
    own_host = headers.get(hdrs.HOST) == logical.host_port_subcomponent
    path, query = logical.raw_path, logical.raw_query_string
    try:
        for pick in tries:
            if tries.number > 1:
                await request.close()  # the try before may still be writing its body
                if tries.pause:
                    await asyncio.sleep(tries.pause)
            base = URL(pick.url)
            # The parts as they are: percent-encoding is the caller's and must arrive untouched.
            request.url = aimed = URL.build(
                scheme=base.scheme,
                host=base.raw_host or "",
                port=base.explicit_port,
                path=path,
                query_string=query,
                encoded=True,
            )
            if own_host:
                headers[hdrs.HOST] = aimed.host_port_subcomponent or ""
            with pick:
                seconds = own_limit(tries, pick, attempt)
                try:
                    if seconds is None:
                        response = await _sent(request, handler, tries)
                    else:
                        async with asyncio.timeout(seconds):
                            response = await _sent(request, handler, tries)
                except Exception as error:
                    meant = _understood(error, request, tries)
                    if meant is error:
                        raise
                    raise meant from error
                wait = response.headers.get(hdrs.RETRY_AFTER)
                if response.status >= 400 and _consumed(request):
                    tries.harmless = False
                if tries.again(response.status, retry_after(runtime, wait) if wait else None):
                    response.release()
                    continue
                connection = response.connection
                if connection is not None:  # the body is still to come: the instance stays busy with it
                    pick.hold()
                    connection.add_callback(_when_read(response, pick))
                return response if attempt is None else attempt.judge(response)
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


async def _sent(request: ClientRequest, handler: ClientHandlerType, tries: Tries) -> ClientResponse:
    request.response = None  # aiohttp sets it when something was sent
    known = request.__dict__
    known.pop(_NEW, None)
    try:
        return await handler(request)
    except _DISCONNECTED:
        # A pooled connection that the other end closed at this very moment says nothing about the
        # instance. Only our own sessions know which connections are new; in others aiohttp sees to it.
        if (
            not isinstance(request.session.connector, _Connector)
            or known.get(_NEW)
            or not _was_sent(request)
            or not harmless(request.method, request.headers)
            or _consumed(request)
        ):
            raise
    await request.close()
    return await handler(request)


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


def _replayable(request: ClientRequest) -> bool:
    # A file that cannot be rewound is found out when it was sent: see _consumed.
    return not isinstance(request.body, aiohttp.AsyncIterablePayload)


def _consumed(request: ClientRequest) -> bool:
    return getattr(request.body, "consumed", False)


def _when_read(response: ClientResponse, pick: Pick) -> Callable[[], None]:
    def over() -> None:
        error = response.content.exception()
        # The bare kind is what aiohttp leaves behind when the caller did not want the rest.
        if error is not None and type(error) is not aiohttp.ClientConnectionError:
            pick.broke(error)
        pick.release()

    return over


_own = OwnCircuits(calls.timed, _balanced)

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

    Connections are tried for one second; the total time is the circuit's business, so aiohttp's own limit
    of five minutes stays only as a last resort.
    """
    options["middlewares"] = (middleware, *options.get("middlewares", ()))
    options.setdefault("timeout", aiohttp.ClientTimeout(total=300, sock_connect=CONNECT_TIMEOUT))
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
    watch()
    try:
        return _sessions.get()
    except RuntimeError:
        raise ConfigError("session() belongs in a coroutine: there is no running event loop here") from None
