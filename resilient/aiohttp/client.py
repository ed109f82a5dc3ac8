"""aiohttp's way out: a middleware that resolves service names, balances, retries, and shows responses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from operator import attrgetter
from typing import Any

import aiohttp
from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse, hdrs
from multidict import istr
from yarl import URL

from ..allowed import DEADLINE, telling
from ..balancing.dialect import harmless
from ..balancing.node import Node
from ..balancing.picks import Pick, Tries
from ..balancing.pool import Pool
from ..circuits import calls
from ..circuits.attempt import CURRENT, Attempt
from ..circuits.policy import server_error
from ..door import (
    OwnCircuits,
    PerLoop,
    aim,
    could_be,
    name_of,
    own_limit,
    present,
    retry_after,
    time_left,
    tries_for,
)
from ..errors import ConfigError
from ..runtime import Runtime, current
from ..telemetry import otel_seams as seams
from .connections import NEW, Connector, Request, hops, parts
from .tries import TIMEOUT, FirstTry, TryTimer, patience, watch_body
from .trouble import AIOHTTP, DISCONNECTED, consumed, no_status, replayable, understood, was_sent

_TLS = ("https", "wss")
_PLAIN = ("http", "ws")
_DEADLINE = istr(DEADLINE)


def middleware(request: ClientRequest, handler: ClientHandlerType) -> Awaitable[ClientResponse]:
    """For ``ClientSession(middlewares=[middleware])``: plain host names of services work in that session.

    Inside a circuit's call the response is shown to it and the time left is what it has; outside, a known
    service gets a circuit of its own name. Raises NoInstance, CircuitOpen, CircuitFull, CallTimeout, and
    whatever aiohttp raises.
    """
    # A plain function, for each coroutine on the way costs time. So does each line: benchmarks/session.py.
    found = CURRENT.get()
    if found is not None and found[2] is None:
        attempt: Attempt = found[0]  # type: ignore[assignment]  # below an allowance there is something
        if attempt.began is found[1] and attempt.verdict is None and attempt.circuit.target is not None:
            url = request.url
            if url.explicit_port is None and url.scheme == "http":
                chosen = current().balancer.quick(url.raw_host or "")
                if chosen is not None:
                    return _quick(request, handler, attempt, chosen)
    return _routed(request, handler)


def selecting(where: Mapping[str, str]) -> ClientMiddlewareType:
    """As `middleware`, for instances whose metadata says all that ``where`` says."""
    chosen = dict(where)

    def selective(request: ClientRequest, handler: ClientHandlerType) -> Awaitable[ClientResponse]:
        return _routed(request, handler, chosen)

    return selective


async def _quick(
    request: ClientRequest, handler: ClientHandlerType, attempt: Attempt, chosen: tuple[Pool, Node, float]
) -> ClientResponse:
    """One try, which nearly always ends well; if not, `_balanced` takes over where it ended."""
    logical, headers = request.url, request.headers
    began = attempt.began
    safe = request.method == "GET" or harmless(request.method, headers)
    if request.body and not replayable(request):
        safe = False
    base = chosen[1].url
    scheme, authority, shown, key = parts(base)
    first = FirstTry(chosen, attempt, request, safe)
    own_host = headers.get(hdrs.HOST) == logical.host_port_subcomponent
    if own_host:
        headers[hdrs.HOST] = shown
    seconds = first.timeout
    if seconds is not None:
        headers[_DEADLINE] = str(int(seconds * 1000.0) or 1)  # as telling() does
    ours = key is not None and type(request) is Request and request.plain()
    if ours:
        request.aimed = key  # type: ignore[attr-defined]
    else:
        # The parts as they are: percent-encoding is the caller's and must arrive untouched.
        request.url = URL.build(
            scheme=scheme,
            authority=authority,
            path=logical.raw_path,
            query_string=logical.raw_query_string,
            encoded=True,
        )
    outcome: ClientResponse | BaseException | None
    try:
        outcome = response = await handler(request)
        if response.status < 400 and response.connection is None:
            first.good()
            if attempt.circuit.policy.failed is not server_error and attempt.began is began:
                attempt.judge(response)
            return response
    except BaseException as error:
        outcome = error
    finally:
        if not ours:
            request.url = logical
    if ours:
        request.aimed = None  # type: ignore[attr-defined]
    if own_host:
        headers[hdrs.HOST] = logical.host_port_subcomponent or ""
    try:
        service = chosen[0].service
        return await _balanced(request, handler, service, current(), attempt, (first, outcome))
    finally:
        outcome = None  # an error knows this frame


async def _routed(
    request: ClientRequest, handler: ClientHandlerType, where: Mapping[str, str] | None = None
) -> ClientResponse:
    """Find out who is meant."""
    runtime = current()
    url = request.url
    if hops.seen and url.scheme in _PLAIN:
        hops.check(request)
    host, port = url.raw_host or "", url.explicit_port
    service = host
    if port is not None or not runtime.serves(host):
        if not runtime.has_directory and could_be(host, port):
            await runtime.ready()
        name = name_of(runtime, host, port)
        if name is None:
            return await _direct(request, handler)
        service = name
        if not runtime.serves(service):
            await runtime.seek(service)
    attempt = present()
    if attempt is None and runtime.knows(service):
        answer: _Answer = await _own.call(service)(request, handler, service, runtime, where)
        return answer.response
    return await _balanced(request, handler, service, runtime, attempt, where=where)


async def _direct(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    attempt = present()
    if attempt is not None:
        aim(attempt, request.url.authority)
    began = attempt.began if attempt is not None else None
    request.headers.popall(_DEADLINE, None)  # how patient we are is nobody's business outside
    seconds = patience(request)
    left = time_left() if attempt is None else None
    if left is not None:
        seconds = left if seconds is None else min(left, seconds)
    timer = TryTimer(seconds, None, request.loop) if seconds is not None else None
    try:
        response = await handler(request)
    except asyncio.CancelledError:
        if timer is None or not timer.mine():
            raise
        raise TimeoutError(f"no answer in {seconds:g}s") from None
    except aiohttp.ClientResponseError as error:
        no_status(error)
        raise
    finally:
        if timer is not None:
            timer.end()
    if response.status >= 300:
        hops.note(request, response)
    watch_body(request, response, None)
    _show(response, attempt, began)
    return response


async def _balanced(
    request: ClientRequest,
    handler: ClientHandlerType,
    service: str,
    runtime: Runtime,
    attempt: Attempt | None,
    begun: tuple[FirstTry, ClientResponse | BaseException] | None = None,
    where: Mapping[str, str] | None = None,
) -> ClientResponse:
    """All tries of one request; ``begun`` is the first one and how it ended, if there was one."""
    logical, headers = request.url, request.headers
    began = attempt.began if attempt is not None else None
    tries = tries_for(
        runtime,
        service,
        AIOHTTP,
        request.method,
        headers,
        secure=logical.scheme in _TLS,
        replayable=replayable(request),
        attempt=attempt,
        where=where,
    )
    if begun is not None:
        tries.adopt(begun[0])
    own_host = headers.get(hdrs.HOST) == logical.host_port_subcomponent
    path, query = logical.raw_path, logical.raw_query_string
    try:
        for pick in tries:
            if tries.number > 1:
                await request.close()  # the try before may still be writing its body
                request.__dict__.update({NEW: None, "response": None})
                if tries.pause:
                    await asyncio.sleep(tries.pause)
            scheme, authority, shown, _ = parts(pick.url)
            request.url = URL.build(
                scheme=scheme, authority=authority, path=path, query_string=query, encoded=True
            )
            if own_host:
                headers[hdrs.HOST] = shown
            if pick.timeout is not None:
                headers[_DEADLINE] = telling(pick.timeout)
            with pick:
                timer = _timer(request, tries, pick, attempt)
                try:
                    try:
                        if begun is not None:
                            response = _again(begun[1])
                        else:
                            response = await handler(request)
                    except DISCONNECTED:
                        if not _stale(request):
                            raise
                        await request.close()
                        response = await handler(request)
                except asyncio.CancelledError:
                    if timer is None or not timer.mine():
                        raise
                    raise understood(TimeoutError("no answer in this try's time"), request, tries) from None
                except Exception as error:
                    meant = understood(error, request, tries)
                    if meant is error:
                        raise
                    raise meant from error
                finally:
                    begun = None
                    if timer is not None:
                        timer.end()
                if response.status >= 300:
                    hops.note(request, response)
                if seams.watch is not None:
                    seams.answered(pick, response.status)
                if response.status >= 400:  # less than that is good, as is a block that ends well
                    if consumed(request):
                        tries.harmless = False
                    wait = retry_after(runtime, response.headers.get(hdrs.RETRY_AFTER))
                    if tries.again(response.status, wait):
                        response.release()
                        continue
                watch_body(request, response, pick)
                _show(response, attempt, began)
                return response
        raise AssertionError("tries end with an answer or an error")
    except DISCONNECTED as error:
        if tries.number == 1 or not request.session._retry_connection:
            raise
        if isinstance(error, aiohttp.ClientConnectorError):
            raise
        # Somebody else's session: aiohttp would go through all of the tries once more.
        raise aiohttp.ClientConnectionError(*error.args) from error
    finally:
        request.url = logical
        tries.pick = None  # a pick knows its tries: without the ring, memory is free at once


def _timer(
    request: ClientRequest, tries: Tries, pick: Pick, attempt: Attempt | None
) -> TryTimer | FirstTry | None:
    if isinstance(pick, FirstTry):
        return pick
    if pick.timeout is not None:
        seconds = own_limit(tries, pick, attempt)
    else:  # a circuit without a deadline
        seconds = patience(request)
    return TryTimer(seconds, attempt, request.loop) if seconds is not None else None


def _again(outcome: ClientResponse | BaseException) -> ClientResponse:
    """What happened before happens here."""
    try:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome
    finally:
        del outcome  # an error knows this frame


def _show(response: ClientResponse, attempt: Attempt | None, began: float | None) -> None:
    """Show a response to the call it belongs to, unless that is over, or has nothing to learn from it."""
    if (
        attempt is not None
        and (response.status >= 400 or attempt.circuit.policy.failed is not server_error)
        and attempt.began is began
    ):
        attempt.judge(response)


def _stale(request: ClientRequest) -> bool:
    """A pooled connection that the other end closed at this very moment says nothing about the instance.

    Only our own sessions know which connections are new; in others aiohttp sees to it.
    """
    return (
        isinstance(request.session.connector, Connector)
        and not request.__dict__.get(NEW)
        and was_sent(request)
        and harmless(request.method, request.headers)
        and not consumed(request)
    )


class _Answer:
    """A response on its way through a circuit of our own, which was shown it already."""

    __slots__ = ("response",)

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    def close(self) -> None:
        self.response.close()


async def _inside(
    request: ClientRequest,
    handler: ClientHandlerType,
    service: str,
    runtime: Runtime,
    where: Mapping[str, str] | None,
) -> _Answer:
    found = CURRENT.get()
    if found is not None and found[2] is None and where is None:
        attempt: Attempt = found[0]  # type: ignore[assignment]
        url = request.url
        if attempt.circuit.target is not None and url.explicit_port is None and url.scheme == "http":
            chosen = runtime.balancer.quick(service)
            if chosen is not None:
                return _Answer(await _quick(request, handler, attempt, chosen))
    return _Answer(await _balanced(request, handler, service, runtime, present(), where=where))


_own = OwnCircuits(calls.timed, _inside)


def make_session(*, where: Mapping[str, str] | None = None, **options: Any) -> aiohttp.ClientSession:
    """A ClientSession of your own that knows services by name; ``options`` are ClientSession's.

    Connections are tried for one second, and a call's time is the circuit's business. Where there is none,
    and while a body is read, a connection on which nothing comes for five minutes is given up (aiohttp
    itself ends everything after five minutes). ``timeout=`` given here replaces all of this. ``where``
    selects instances by their metadata: ``make_session(where={"version": "2"})``.
    """
    layer = middleware if where is None else selecting(where)
    options["middlewares"] = (layer, *options.get("middlewares", ()))
    options.setdefault("timeout", TIMEOUT)
    ours = options.get("connector") is None
    if ours:
        options["connector"] = Connector(limit=1000, limit_per_host=0)
        options.setdefault("request_class", Request)
    session = aiohttp.ClientSession(**options)
    if ours:
        # aiohttp repeats a request itself when a connection breaks; here ours is the one layer that
        # retries: on another instance, and within the budget.
        session._retry_connection = False
    return session


_sessions: PerLoop[aiohttp.ClientSession] = PerLoop(
    make_session, attrgetter("closed"), lambda session: session.close()
)


def session() -> aiohttp.ClientSession:
    """This event loop's shared session, which knows services by name: ``session().get("http://orders/7")``.

    Made at first use, closed with the runtime or the loop. Must be called in a coroutine.
    """
    try:
        return _sessions.get()
    except RuntimeError:
        raise ConfigError("session() belongs in a coroutine: there is no running event loop here") from None
