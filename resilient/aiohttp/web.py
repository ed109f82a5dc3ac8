"""aiohttp's way in: an application becomes a registered service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Self

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from ..allowed import DEADLINE, TOO_LATE, allowed, lapsed, told, too_late
from ..errors import CallRejected, CallTimeout, ConfigError, FallbackFull
from ..member import Answer, Health, Member, refusal
from ..runtime import Runtime, process_runtime
from .request import request_middleware

MEMBER: web.AppKey[Member] = web.AppKey("resilient.member", Member)


def setup(
    app: web.Application,
    service: str,
    *,
    port: int | None = None,
    host: str | None = None,
    metadata: Mapping[str, str] | None = None,
    health: Health | None = None,
    secure: bool = False,
    runtime: Runtime | None = None,
    critical: Iterable[str] = (),
    require_registry: bool = False,
) -> Member:
    """Make an application a registered service, however it is run (gunicorn, ``web.run_app``, ...).

    On start-up it waits until this process listens and registers that port; several or none are an error
    that asks for ``port=``. It answers ``/health`` and ``/admin`` with what is below them, unless the
    application has such routes itself, turns refused calls that escape a handler into 503 with
    ``Retry-After``, and signs out on shutdown. ``health`` is asked every ten seconds and decides between UP
    and DOWN; several checks are a mapping by name. While a circuit named in ``critical`` is open the service
    is not ready; with ``require_registry`` not before a registry has answered. Raises ConfigError for a name
    that is none.
    """
    member = prepare(
        app,
        service,
        port=port,
        host=host,
        metadata=metadata,
        health=health,
        secure=secure,
        runtime=runtime,
        critical=critical,
        require_registry=require_registry,
    )

    async def leave(app: web.Application) -> None:
        await member.leave()

    async def life(app: web.Application) -> AsyncIterator[None]:
        member.join_when_listening()
        yield
        await member.close()

    app.on_shutdown.append(leave)  # before the calls under way are waited for
    app.cleanup_ctx.append(life)
    return member


def prepare(
    app: web.Application,
    service: str,
    *,
    port: int | None,
    host: str | None,
    metadata: Mapping[str, str] | None,
    health: Health | None,
    secure: bool = False,
    runtime: Runtime | None = None,
    critical: Iterable[str] = (),
    require_registry: bool = False,
) -> Member:
    """Routes and the 503 of refused calls; joining and leaving are the caller's."""
    member = Member(
        service,
        runtime or process_runtime(),
        host=host,
        port=port,
        metadata=metadata,
        health=health,
        secure=secure,
        critical=critical,
        require_registry=require_registry,
    )
    if MEMBER in app:
        raise ConfigError(f"this application is service {app[MEMBER].service!r} already")
    app[MEMBER] = member
    app.middlewares.append(_refusals)
    app.middlewares.append(request_middleware)
    from ..admin.beside import mount  # those who only call others do not load it

    mount(app, member.site)

    async def hush(app: web.Application) -> None:
        member.desk.close_streams()

    app.on_shutdown.append(hush)  # their readers would be waited for
    return member


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    text = request.headers.get(DEADLINE)
    try:
        if text is None:
            return await handler(request)
        return await _in_time(request, handler, told(text))
    except (CallRejected, FallbackFull) as error:
        return _response(refusal(error))


async def _in_time(request: web.Request, handler: Handler, seconds: float | None) -> web.StreamResponse:
    """Serve a request whose caller has said how long it will wait."""
    if seconds is None or hdrs.UPGRADE in request.headers:  # a web socket lives longer than its handshake
        return await handler(request)
    if too_late(seconds):
        return _response(TOO_LATE)
    with allowed(seconds) as allowance:
        try:
            return await handler(request)
        except CallTimeout as error:
            if not lapsed(error, allowance):
                raise
            return _response(TOO_LATE)


def _response(answer: Answer) -> web.Response:
    status, headers, body = answer
    return web.Response(status=status, headers=headers, body=body)


def run_app(
    app: web.Application,
    service: str,
    *,
    host: str | None = None,
    port: int | None = None,
    metadata: Mapping[str, str] | None = None,
    health: Health | None = None,
    drain: float | None = None,
    critical: Iterable[str] = (),
    require_registry: bool = False,
) -> None:
    """Run an application as a registered service until SIGTERM or Ctrl-C.

    Listens on ``port`` (or ``RESILIENT_PORT``; else any free one, so that several copies need no
    configuration), registers what was bound, sends heartbeats. On SIGTERM it signs out, goes on serving for
    ``drain`` seconds until callers have noticed (twice the fetch interval unless given, 0 after Ctrl-C),
    then finishes the calls under way and ends. A second signal ends it at once. POST ``/admin/drain`` is as
    good as SIGTERM, ``/admin/shutdown`` as Ctrl-C. The other arguments are those of `setup`.
    """
    serving = _serve(app, service, host, port, metadata, health, drain, critical, require_registry)
    if sys.implementation.name == "cpython":
        with contextlib.suppress(ImportError):
            import uvloop

            uvloop.run(serving)
            return
    asyncio.run(serving)


async def _serve(
    app: web.Application,
    service: str,
    host: str | None,
    port: int | None,
    metadata: Mapping[str, str] | None,
    health: Health | None,
    drain: float | None,
    critical: Iterable[str],
    require_registry: bool,
) -> None:
    member = prepare(
        app,
        service,
        port=port,
        host=host,
        metadata=metadata,
        health=health,
        critical=critical,
        require_registry=require_registry,
    )
    with _Signals() as signals:
        member.ending = signals.tell
        runner = web.AppRunner(app, shutdown_timeout=30.0)
        await runner.setup()
        try:
            bound = _bind(member)
            site = web.SockSite(runner, bound, backlog=1024)
            await site.start()
            instance = member.join(bound.getsockname()[1])
            print(f"{instance.service} listens on {instance.url}", flush=True)  # noqa: T201
            gently = await signals.next()
            last = asyncio.ensure_future(_finish(member, runner, (drain, member.drain) if gently else (0, 0)))
            again = asyncio.ensure_future(signals.next())
            await asyncio.wait({last, again}, return_when=asyncio.FIRST_COMPLETED)
            again.cancel()
            if last.done():
                last.result()
            else:
                last.cancel()
                member.tell("cut")
        except BaseException:
            await runner.cleanup()
            raise


async def _finish(member: Member, runner: web.AppRunner, drain: tuple[float | None, float]) -> None:
    """Sign out, go on serving until callers have noticed, let the calls under way end."""
    wished, usual = drain
    wait = usual if wished is None else wished
    await member.leave(wait)
    await asyncio.sleep(wait)
    member.tell("closing", member.grace)
    try:
        async with asyncio.timeout(member.grace or 0.001):
            await runner.cleanup()
    except TimeoutError:
        member.tell("cut")
    await member.close()


class _Signals:
    """SIGTERM and Ctrl-C, as long as this block lasts."""

    def __enter__(self) -> Self:
        self._told: asyncio.Queue[bool] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGTERM, self._told.put_nowait, True)
        self._loop.add_signal_handler(signal.SIGINT, self._told.put_nowait, False)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.remove_signal_handler(signal.SIGTERM)
        self._loop.remove_signal_handler(signal.SIGINT)

    def tell(self, gently: bool) -> None:
        """As if a signal had come; on the loop only."""
        self._told.put_nowait(gently)

    async def next(self) -> bool:
        """Wait for one; True for SIGTERM, which means that there is time to drain."""
        return await self._told.get()


def _bind(member: Member) -> socket.socket:
    bind, _ = member.where()
    port = member.port or 0
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((bind, port))
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"{member.service}: cannot listen on {bind}:{port}: {os.strerror(error.errno or 0)}; "
            "give another port= (0 for any free one) or host="
        ) from None
    sock.setblocking(False)
    return sock
