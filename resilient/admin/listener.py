"""The pages on a port and a thread of their own: they answer whatever the application does."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import weakref
from collections.abc import Mapping

from aiohttp import web

from ..background import BackgroundLoop
from ..errors import ConfigError
from ..web.guard import Guard
from ..web.limits import Limits
from ..web.server import Listener, listen
from . import PORTS
from .beside import handler_of
from .desk import Desk
from .site import Site

_log = logging.getLogger("resilient.admin")

PORT = 9990
#: So many ports are tried, from the wished one upwards: several workers of one host get one each.
TRIED = 20
#: Seconds that starting and stopping may take.
PATIENCE = 5.0

_open: weakref.WeakSet[AdminListener] = weakref.WeakSet()


class AdminListener:
    """A listener that is at work. ``port`` and ``url`` are where; ``metadata`` is what tells others."""

    def __init__(self, desk: Desk, *, host: str = "127.0.0.1", port: int = PORT, acts: bool = True) -> None:
        self.desk = desk
        self.site = Site(desk, host=host, acts=acts)
        self._socket = _bound(host, port)
        self.host: str = host
        self.port: int = self._socket.getsockname()[1]
        self._background = BackgroundLoop("resilient-admin")
        self._listener: Listener | None = None
        try:
            self._background.run(self._serve()).result(PATIENCE)
        except BaseException:
            self._socket.close()
            self._background.stop()
            raise
        PORTS.add(self.port)
        _open.add(self)
        _log.info("the admin pages are at %s/admin", self.url)

    @property
    def url(self) -> str:
        """Where to reach it from this machine."""
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{shown}]:{self.port}" if ":" in shown else f"http://{shown}:{self.port}"

    @property
    def metadata(self) -> Mapping[str, str]:
        """For an instance's metadata: where the registry's readers find these pages."""
        return {"management.port": str(self.port), "management.path": "/admin"}

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler_of(self.site))
        # What comes in is judged by the site, too: the guard minds sizes, times and, on loopback, names.
        limits = Limits(connections=200, connections_per_address=50)
        guard = Guard(limits=limits, content_types=None, hosts_checked=())
        self._listener = await listen(app, sock=self._socket, guard=guard, shutdown_timeout=0.5)
        self._minder = asyncio.get_running_loop().create_task(self._mind(), name="resilient-admin-loops")

    async def _mind(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.desk.loops.stuck()  # says so, once

    def stop(self) -> None:
        """Close the port and end the thread. Harmless when called again."""
        PORTS.discard(self.port)
        _open.discard(self)
        if self._background.running:
            with contextlib.suppress(TimeoutError, RuntimeError):
                self._background.run(self._close()).result(PATIENCE)
        self._background.stop()
        self.desk.levels.restore()

    async def _close(self) -> None:
        self._minder.cancel()
        if self._listener is not None:
            await self._listener.close()

    def _after_fork(self) -> None:
        # The thread is not here, and the port is the parent's: let go, without a word to the shared epoll.
        with contextlib.suppress(OSError):
            self._socket.close()


def _bound(host: str, port: int) -> socket.socket:
    """A socket on the wished port, or on one of the next if that is taken. Raises ConfigError."""
    address = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    last = min(port + TRIED, 65536) if port else 1
    for wished in range(port, max(last, port + 1)):
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((address, wished))
            made.listen(128)
        except OSError as error:
            made.close()
            if error.errno == errno.EADDRINUSE:
                continue
            why = os.strerror(error.errno or 0)
            raise ConfigError(
                f"the admin pages cannot listen on {host}:{wished}: {why}; give another host or port"
            ) from None
        made.setblocking(False)
        return made
    raise ConfigError(
        f"the admin pages cannot listen on {host}: ports {port} to {last - 1} are taken; "
        "set RESILIENT_ADMIN_PORT to a free one"
    )


def _after_fork() -> None:
    for listener in list(_open):
        PORTS.discard(listener.port)
        listener._after_fork()
    _open.clear()


os.register_at_fork(after_in_child=_after_fork)
