"""ASGI's door: a lifespan that makes any ASGI application a registered service."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from .allowed import DEADLINE_RAW, TOO_LATE, allowed, lapsed, told, too_late
from .errors import CallRejected, CallTimeout, FallbackFull
from .member import Answer, Health, Member, refusal
from .runtime import Runtime, process_runtime

App = Callable[..., Any]


def lifespan(
    service: str,
    *,
    port: int | None = None,
    host: str | None = None,
    metadata: Mapping[str, str] | None = None,
    health: Health | None = None,
    inner: Callable[[Any], contextlib.AbstractAsyncContextManager[Any]] | None = None,
    runtime: Runtime | None = None,
) -> Callable[[Any], contextlib.AbstractAsyncContextManager[Any]]:
    """For ``FastAPI(lifespan=lifespan("orders"))`` or Starlette: register, heartbeat, sign out.

    The port is the one this process listens on; say ``port=`` where it listens on several. ``inner`` is a
    lifespan of your own that runs inside this one. Several worker processes behind one port are one
    instance; the last one out signs off.
    """

    @contextlib.asynccontextmanager
    async def life(app: Any) -> AsyncIterator[Any]:
        member = Member(
            service, runtime or process_runtime(), host=host, port=port, metadata=metadata, health=health
        )
        member.join_when_listening()
        try:
            if inner is None:
                yield None
            else:
                async with inner(app) as state:
                    yield state
        finally:
            await member.close()

    return life


class Refusals:
    """ASGI middleware: what a service's callers may count on.

    A refused call that escapes the application becomes 503 with ``Retry-After``. What the caller has left of
    its time bounds the calls that are made for it; when that is nothing, the answer is 504.

    ``app.add_middleware(resilient.asgi.Refusals)``
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Mapping[str, Any], receive: App, send: App) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        text = next((value for name, value in scope.get("headers", ()) if name == DEADLINE_RAW), None)
        seconds = told(text) if text is not None else None
        if seconds is not None and too_late(seconds):
            await _answer(TOO_LATE, send)
            return
        begun = False

        async def watched(message: Mapping[str, Any]) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            if seconds is None:
                await self._app(scope, receive, watched)
                return
            with allowed(seconds) as allowance:
                try:
                    await self._app(scope, receive, watched)
                except CallTimeout as error:
                    if begun or not lapsed(error, allowance):
                        raise
                    await _answer(TOO_LATE, send)
        except (CallRejected, FallbackFull) as error:
            if begun:
                raise
            await _answer(refusal(error), send)


async def _answer(answer: Answer, send: App) -> None:
    status, headers, body = answer
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
