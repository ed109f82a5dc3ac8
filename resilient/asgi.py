"""ASGI's door: a lifespan that makes any ASGI application a registered service."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from .admin.desk import Desk
from .admin.mounted import Pages, mount
from .admin.site import Site
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
    critical: Iterable[str] = (),
    require_registry: bool = False,
) -> Callable[[Any], contextlib.AbstractAsyncContextManager[Any]]:
    """For ``FastAPI(lifespan=lifespan("orders"))`` or Starlette: register, heartbeat, sign out.

    The port is the one this process listens on; say ``port=`` where it listens on several. ``inner`` is a
    lifespan of your own that runs inside this one. Several worker processes behind one port are one
    instance; the last one out signs off. A Starlette or FastAPI application answers ``/health`` and
    ``/admin`` with what is below them, unless it has such routes itself; others mount :func:`admin`.
    ``health`` is asked every ten seconds and decides between UP and DOWN; several checks are a mapping by
    name. While a circuit named in ``critical`` is open the service is not ready; with ``require_registry``
    not before a registry has answered.
    """

    @contextlib.asynccontextmanager
    async def life(app: Any) -> AsyncIterator[Any]:
        member = Member(
            service,
            runtime or process_runtime(),
            host=host,
            port=port,
            metadata=metadata,
            health=health,
            critical=critical,
            require_registry=require_registry,
        )
        mount(app, member.site)
        member.join_when_listening()
        _members.append(member)
        try:
            if inner is None:
                yield None
            else:
                async with inner(app) as state:
                    yield state
        finally:
            _members.remove(member)
            await member.close()

    return life


_members: list[Member] = []


def admin(*, runtime: Runtime | None = None, acts: bool = True) -> App:
    """The admin pages as an ASGI application: ``app.mount("/admin", resilient.asgi.admin())``.

    They belong to the service that `lifespan` has made of this process, if it has. Every path is found below
    the place where they are mounted: ``/ops/circuits`` when that is ``/ops``. ``acts=False``: nothing can be
    done there, only seen.
    """

    def site() -> Site:
        if _members and runtime is None:
            return Site(_members[-1].desk, acts=acts)
        return Site(Desk(runtime or process_runtime()), acts=acts)

    return Pages(site)


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
