"""``@balanced``: for functions that use a library without a door."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from .balancing.dialect import STANDARD, Dialect, Verdict, status_of
from .balancing.picks import Tries
from .circuits.attempt import current_attempt, watch
from .circuits.policy import status_of as returned_status
from .door import own_limit, promise, retry_after, time_left
from .errors import ConfigError
from .runtime import Runtime, current
from .telemetry import otel_seams as seams

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class _Balance(Protocol):
    @overload
    def __call__(self, function: Callable[Concatenate[str, P], R], /) -> Callable[P, R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[S, str, P], R], /
    ) -> Callable[Concatenate[S, P], R]: ...


def balanced(
    service: str,
    *,
    idempotent: bool = False,
    retries: int = 1,
    dialect: Dialect | None = None,
    where: Mapping[str, str] | None = None,
) -> _Balance:
    """Give a function the base URL of a chosen instance as its first argument (after ``self``).

    ::

        @circuit
        @balanced("orders")
        async def order(base: str, id: int) -> dict: ...

        await order(7)

    What the function raises or returns tells the balancer how the instance is; an error or result that
    carries an HTTP status is judged by the status first. A refused connection is tried again on another
    instance (at most ``retries`` times), other trouble only with ``idempotent=True``. ``where`` selects
    instances by their metadata: ``where={"version": "2"}``. ``dialect`` says how the library in use spells
    trouble; without, Python's own errors and those of aiohttp, httpx, requests and urllib3 are understood.

    Raises ConfigError, when the module is imported, if it stands above ``@circuit``: the circuit asks first.
    Calls raise NoInstance when there is nobody to call, else what the function raises.
    """
    if not isinstance(service, str) or not service.strip():
        raise ConfigError(f"@balanced takes the name of a service: @balanced('orders'), got {service!r}")
    name = service.strip().lower()
    spelling = dialect if dialect is not None else ANY

    def balance(function: Any) -> Any:
        if hasattr(function, "guard"):
            raise ConfigError(
                f"put @circuit above @balanced on {getattr(function, '__name__', function)}: "
                "the circuit must be asked before an instance is chosen"
            )
        place = _place(function)
        watch()

        def begin(runtime: Runtime) -> Tries:
            attempt = current_attempt()
            safe = idempotent and len(runtime.lookup(name)) > 1
            if attempt is None:
                free = runtime.balancer.tries(
                    name, harmless=safe, dialect=spelling, retries=retries, where=where, remaining=time_left
                )
                return seams.watched(free, "", {})
            attempt.aims_at(name)
            tries = runtime.balancer.tries(
                name,
                harmless=safe,
                dialect=spelling,
                retries=retries,
                remaining=attempt.remaining,
                stop=lambda: attempt.overtaken,
                command=attempt.name,
                where=where,
            )
            promise(tries, attempt)
            return seams.watched(tries, "", {})

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call(*args: Any, **kwargs: Any) -> Any:
                runtime = current()
                if not runtime.has_directory:
                    await runtime.ready()
                if not runtime.serves(name):
                    await runtime.seek(name)
                for pick in (tries := begin(runtime)):
                    if tries.pause:
                        await asyncio.sleep(tries.pause)
                    attempt = current_attempt()
                    with pick:
                        seconds = own_limit(tries, pick, attempt)
                        try:
                            if seconds is None:
                                result = await function(*args[:place], pick.url, *args[place:], **kwargs)
                            else:
                                async with asyncio.timeout(seconds):
                                    result = await function(*args[:place], pick.url, *args[place:], **kwargs)
                        except Exception as error:
                            if not _again(runtime, tries, _status(error), error):
                                raise
                            continue
                        if not _again(runtime, tries, returned_status(result), result):
                            return result
                raise AssertionError("tries end with an answer or an error")

            return _without_base(call, place)

        @functools.wraps(function)
        def call_now(*args: Any, **kwargs: Any) -> Any:
            runtime = current()
            if not runtime.has_directory:
                runtime.wait()
            if not runtime.serves(name):
                runtime.seek_now(name)
            for pick in (tries := begin(runtime)):
                if tries.pause:
                    time.sleep(tries.pause)
                with pick:
                    try:
                        result = function(*args[:place], pick.url, *args[place:], **kwargs)
                    except Exception as error:
                        if not _again(runtime, tries, _status(error), error):
                            raise
                        continue
                    if not _again(runtime, tries, returned_status(result), result):
                        return result
            raise AssertionError("tries end with an answer or an error")

        return _without_base(call_now, place)

    return balance


def _again(runtime: Runtime, tries: Tries, status: int | None, thing: object) -> bool:
    """Whether this error or result carries a status that asks for another try; the status is learnt."""
    if status is None:
        return False
    for owner in (thing, getattr(thing, "response", None)):
        get = getattr(getattr(owner, "headers", None), "get", None)
        text = get("Retry-After") if callable(get) else None
        if isinstance(text, str):
            return tries.again(status, retry_after(runtime, text))
    return tries.again(status)


def _status(error: Exception) -> int | None:
    if type(error.__cause__).__module__ == "aiohttp.http_exceptions" and hasattr(error, "status"):
        error.status = 0  # aiohttp's parser says 400 of an answer that is not HTTP; the instance did not
    return status_of(error)


class _AnyLibrary(Dialect):
    """Understands the errors of every library that has a door, of urllib3, and of Python's own.

    What is needed for that is loaded when an error of that library turns up, not before.
    """

    __slots__ = ()

    def judge(self, error: BaseException) -> Verdict:
        spelling = _LIBRARIES.get(type(error).__module__.partition(".")[0])
        verdict = spelling().judge(error) if spelling is not None else Verdict.NEUTRAL
        if verdict is Verdict.NEUTRAL:
            verdict = super().judge(error)
        reason = getattr(error, "reason", None)  # urllib and urllib3 wrap so
        if verdict is Verdict.NEUTRAL and isinstance(reason, Exception):
            return self.judge(reason)
        return verdict


def _aiohttp() -> Dialect:
    from .aiohttp.trouble import AIOHTTP

    return AIOHTTP


def _httpx() -> Dialect:
    from .httpx import HTTPX

    return HTTPX


def _requests() -> Dialect:
    from .requests import REQUESTS

    return REQUESTS


def _urllib3() -> Dialect:
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProtocolError, TimeoutError

    return Dialect(
        never_sent=(NewConnectionError, ConnectTimeoutError),
        timeouts=(TimeoutError,),
        broken=(ProtocolError,),
    )


def _http() -> Dialect:
    from http.client import BadStatusLine, IncompleteRead, LineTooLong, UnknownProtocol

    return Dialect(broken=(BadStatusLine, IncompleteRead, LineTooLong, UnknownProtocol))


_LIBRARIES: dict[str, Callable[[], Dialect]] = {
    "aiohttp": _aiohttp,
    "http": _http,
    "httpx": _httpx,
    "requests": _requests,
    "urllib3": _urllib3,
}

ANY = _AnyLibrary(
    never_sent=STANDARD.never_sent,
    timeouts=STANDARD.timeouts,
    broken=STANDARD.broken,
    never_sent_if=STANDARD.never_sent_if,
)


def _place(function: Any) -> int:
    """Where the base URL goes: after ``self`` or ``cls`` on methods."""
    names = list(inspect.signature(function).parameters)
    place = 1 if names[:1] in (["self"], ["cls"]) else 0
    if len(names) <= place:
        raise ConfigError(
            f"{function.__qualname__}: a balanced function takes the chosen base URL as its first argument"
        )
    return place


def _without_base(call: Any, place: int) -> Any:
    """The signature that callers see: one argument less."""
    signature = inspect.signature(call)
    rest = [p for i, p in enumerate(signature.parameters.values()) if i != place]
    call.__signature__ = signature.replace(parameters=rest)
    return call
