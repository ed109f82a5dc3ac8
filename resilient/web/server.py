"""A listener: an aiohttp app behind the guard, on a port."""

import asyncio
import contextlib
import logging
import socket
import ssl as tls
from collections.abc import Callable

from aiohttp import web
from aiohttp.http import HttpRequestParser

from .connection import Connection, Counts, Watch, dressed
from .guard import Front, Guard
from .limits import Limits
from .trust import is_loopback_address

log = logging.getLogger("resilient.web")


class Listener:
    """A running server. Made by :func:`listen`."""

    def __init__(
        self,
        runner: web.AppRunner,
        server: asyncio.Server,
        watch: Watch,
        sweeper: "asyncio.Task[None]",
        scheme: str,
    ) -> None:
        self._runner = runner
        self._server = server
        self._watch = watch
        self._sweeper = sweeper
        self._scheme = scheme
        self._closing: asyncio.Future[None] | None = None
        name = server.sockets[0].getsockname()
        self.host: str = name[0]
        self.port: int = name[1]

    @property
    def url(self) -> str:
        """Where to reach it from this machine, without a slash at the end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return (
            f"{self._scheme}://[{host}]:{self.port}"
            if ":" in host
            else f"{self._scheme}://{host}:{self.port}"
        )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback_address(self.host)

    @property
    def counts(self) -> Counts:
        """What has been refused so far."""
        return self._watch.counts

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._watch.open)

    def stop_accepting(self) -> None:
        """Close the port; connections that are open go on."""
        self._server.close()

    async def close(self) -> None:
        """Stop accepting, let requests under way finish (within ``shutdown_timeout``), close everything."""
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        self._closing = asyncio.get_running_loop().create_future()
        try:
            self._server.close()
            await self._runner.cleanup()
            # A closed connection whose reader takes nothing would keep its buffer for ever.
            for _ in range(20):
                if not self._watch.open:
                    break
                await asyncio.sleep(0 if not any(_pending(c) for c in self._watch.open) else 0.05)
            for connection in tuple(self._watch.open):
                if connection.wire is not None:
                    connection.wire.abort()
        finally:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
            self._closing.set_result(None)


def _pending(connection: Connection) -> bool:
    return connection.wire is not None and connection.wire.get_write_buffer_size() > 0


async def listen(
    app: web.Application,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    limits: Limits | None = None,
    guard: Guard | None = None,
    front: Front | None = None,
    sock: socket.socket | None = None,
    reuse_port: bool = False,
    ssl: tls.SSLContext | None = None,
    shutdown_timeout: float = 10.0,
) -> Listener:
    """Serve ``app`` behind the guard; ``port`` 0 takes any free one.

    ``sock`` is a bound socket to use instead of ``host`` and ``port``; ``reuse_port`` lets several processes
    share one port. ``front`` sees each request after the guard and before the router. On a loopback address
    the Host of every request is checked. ``shutdown_timeout`` is in seconds.
    Raises ``OSError`` when the address cannot be had.
    """
    guard = guard or Guard(limits=limits or Limits())
    limits = limits or guard.limits
    guard.limits = limits
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=shutdown_timeout, access_log=None)
    try:
        await runner.setup()
        manager = runner.server
        if manager is None:
            raise RuntimeError("the app did not start")
        # web.Server keeps what it serves in two plain attributes; its protocols read them when they are made.
        manager.request_handler = guard.wrap(manager.request_handler, front)  # type: ignore[assignment]
        manager.request_factory = dressed(manager.request_factory)
        watch = Watch(limits, _most_connections(limits), loop)
        server = await _bind(_factory(manager, watch), host, port, sock, reuse_port, ssl)
    except BaseException:
        await runner.cleanup()
        raise
    if not has_fast_parser():
        log.warning("aiohttp reads HTTP with its slow parser, the one in Python: install a wheel of it")
    sweeper = loop.create_task(watch.run(), name="resilient-web-watch")
    listener = Listener(runner, server, watch, sweeper, "https" if ssl else "http")
    if listener.is_loopback:
        guard.all_hosts_checked = True
    return listener


def has_fast_parser() -> bool:
    """Whether aiohttp's compiled parser is at work, the stricter and much faster one (S-21)."""
    return HttpRequestParser.__module__ != "aiohttp.http_parser"


def _factory(manager: web.Server, watch: Watch) -> Callable[[], Connection]:
    limits = watch.limits

    def connection() -> Connection:
        return Connection(
            manager,
            watch,
            access_log=None,
            max_line_size=limits.line,
            max_field_size=limits.line,
            max_headers=limits.header_lines,
            keepalive_timeout=limits.idle_timeout,
            # After a refusal: long enough to let the answer arrive, too short to be worth an attack.
            lingering_time=1.0,
            # Inflating is ours: bounded while it happens.
            auto_decompress=False,
        )

    return connection


async def _bind(
    factory: Callable[[], Connection],
    host: str,
    port: int,
    sock: socket.socket | None,
    reuse_port: bool,
    ssl: tls.SSLContext | None,
) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    if sock is not None:
        return await loop.create_server(factory, sock=sock, ssl=ssl, backlog=1024)
    # One family for one name: "localhost" on port 0 would otherwise become two different ports.
    address = "127.0.0.1" if host == "localhost" else host or "0.0.0.0"
    return await loop.create_server(
        factory,
        address,
        port,
        ssl=ssl,
        backlog=1024,
        reuse_address=True,
        reuse_port=reuse_port or None,
    )


def _most_connections(limits: Limits) -> int:
    """As many as allowed, leaving file descriptors for everything else (S-50)."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return limits.connections
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return limits.connections
    return min(limits.connections, max(16, soft - 256))
