"""Every door behind one small face, so that one test can be run against all of them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import httpx
import requests

import resilient.aiohttp
import resilient.httpx
import resilient.requests
from resilient import Runtime, circuit
from resilient.balanced import balanced
from resilient.balancing.dialect import refused, status_of
from resilient.errors import ResilientError

SERVICE = "orders"
DOORS = [
    "aiohttp",
    "aiohttp-middleware",
    "httpx",
    "httpx-async",
    "requests",
    "balanced-async",
    "balanced-sync",
]
#: The doors that are sessions, in which a service is a host name.
SESSIONS = DOORS[:5]
TIMEOUTS = (TimeoutError, httpx.TimeoutException, requests.exceptions.Timeout)


def word_for(error: BaseException) -> str:
    """What a caller got, in one word that is the same for every library."""
    status = status_of(error)
    if status is not None:
        return str(status)
    if isinstance(error, TIMEOUTS):
        return "timeout"
    if isinstance(error, ResilientError):
        return type(error).__name__
    return "refused" if refused(error) else "broken"


class Door:
    """One door in use. ``fetch`` makes one request and answers with a status, as a library's user would."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asynchronous = name in ("aiohttp", "aiohttp-middleware", "httpx-async", "balanced-async")
        self.function = name.startswith("balanced")
        self._runner: asyncio.Runner | None = None
        self._own: aiohttp.ClientSession | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[Door]:
        if not self.asynchronous:
            yield self
            return
        with asyncio.Runner() as self._runner:
            if self.name == "httpx-async":
                self.run(self._warm)  # reading the system's certificates takes part of a short call's time
            try:
                yield self
            finally:
                self._runner.run(self._close())

    async def _warm(self) -> None:
        resilient.httpx.async_session()

    async def _close(self) -> None:
        if self._own is not None:
            await self._own.close()

    def run(self, work: Callable[[], Any]) -> Any:
        """The result of ``work``: a plain function, or a coroutine function on this door's loop."""
        if not self.asynchronous:
            return work()
        assert self._runner is not None
        return self._runner.run(work(), context=contextvars.copy_context())

    def settle(self) -> None:
        """Let a door's loop hear what its connections have to say."""
        if self.asynchronous:
            self.run(lambda: asyncio.sleep(0.01))

    def function_for(self, method: str, path: str, **options: Any) -> Callable[[], Any]:
        """What a user writes: make the request, read the body, return the status."""
        idempotent = method == "GET" or "Idempotency-Key" in options.get("headers", {})
        if self.name == "balanced-async":
            return balanced(SERVICE, idempotent=idempotent)(self._bare_async(method, path, **options))
        if self.name == "balanced-sync":
            return balanced(SERVICE, idempotent=idempotent)(self._bare(method, path, **options))
        url = path if "//" in path else f"http://{SERVICE}{path}"
        if self.asynchronous:

            async def fetch() -> int:
                async with self.response(method, url, **options) as got:
                    if isinstance(got, httpx.Response):
                        return got.status_code
                    await got.read()
                    return got.status

            return fetch

        def fetch_now() -> int:
            http = resilient.httpx.session() if self.name == "httpx" else resilient.requests.session()
            return http.request(method, url, **self._spelt(options)).status_code

        return fetch_now

    def _spelt(self, options: dict[str, Any]) -> dict[str, Any]:
        if self.name.startswith("httpx"):
            return {"content" if key == "data" else key: value for key, value in options.items()}
        return options

    @contextlib.asynccontextmanager
    async def response(self, method: str, url: str, **options: Any) -> AsyncIterator[Any]:
        if self.name == "httpx-async":
            yield await resilient.httpx.async_session().request(method, url, **self._spelt(options))
            return
        async with self.aiohttp_session().request(method, url, **options) as got:
            yield got

    def aiohttp_session(self) -> aiohttp.ClientSession:
        if self.name == "aiohttp":
            return resilient.aiohttp.session()
        if self._own is None:
            middlewares = [resilient.aiohttp.middleware] if self.name == "aiohttp-middleware" else []
            self._own = aiohttp.ClientSession(middlewares=middlewares)
            if not middlewares:
                self._own._retry_connection = False  # aiohttp's own repeating would count twice here
        return self._own

    def _bare_async(self, method: str, path: str, **options: Any) -> Callable[[str], Awaitable[int]]:
        async def fetch(base: str) -> int:
            async with self.aiohttp_session().request(method, base + path, **options) as got:
                got.raise_for_status()
                await got.read()
                return got.status

        return fetch

    def _bare(self, method: str, path: str, **options: Any) -> Callable[[str], int]:
        def fetch(base: str) -> int:
            from resilient.circuits.attempt import current_attempt

            attempt = current_attempt()
            left = attempt.remaining() if attempt is not None else None
            request = urllib.request.Request(
                base + path, method=method, headers=options.get("headers", {}), data=options.get("data")
            )
            limit = 5.0 if left is None else max(left, 0.01)  # what a careful user writes
            with urllib.request.urlopen(request, timeout=limit) as got:
                got.read()
                return got.status

        return fetch

    def call(
        self,
        method: str = "GET",
        path: str = "/x",
        *,
        name: str | None = "calls",
        timeout: float = 2.0,
        **options: Any,
    ) -> str:
        """Make one call, inside the circuit ``name`` if there is one; what the caller got, in one word."""
        function = self.function_for(method, path, **options)
        if name is not None:
            function = circuit(name, timeout=timeout)(function)
        try:
            return str(self.run(function))
        except Exception as error:
            self.error = error
            return word_for(error)


def counts(runtime: Runtime, name: str = "calls") -> dict[str, int]:
    """A circuit's counts that are not zero."""
    return {word: n for word, n in runtime.circuits.get(name).snapshot().counts.items() if n}


def nodes(runtime: Runtime, service: str = SERVICE) -> list[tuple[str, int, int]]:
    """(state, failures in a row, in flight) of each instance."""
    return [(one.state, one.failures, one.in_flight) for one in runtime.balancer.nodes(service)]
