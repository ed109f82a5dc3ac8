"""This process as a member of the estate: joins the registry, answers for its health, drains, leaves."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .admin import PORTS
from .admin.checks import Check, Function
from .clock import SYSTEM
from .errors import CallRejected, ConfigError, FallbackFull
from .events import ServiceEnding
from .identity import bind_and_show, is_loopback, listening_ports, me, the_port
from .model import Instance, Status
from .runtime import Runtime

if TYPE_CHECKING:
    from .admin.listener import AdminListener

_log = logging.getLogger("resilient.service")

#: A check, or several by name.
Health = Function | Mapping[str, Function]

#: Seconds between health checks, and the most one may take.
CHECK_EVERY, CHECK_TIMEOUT = 10.0, 2.0
#: Seconds an app run by other means may take until it listens.
LISTEN_WITHIN = 60.0

Answer = tuple[int, dict[str, str], bytes]
_JSON = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}


class Member:
    """One service of this process.

    ``health`` is a function, plain or async, or several by name; ``False`` or an error means ill. They are
    asked in the background and decide the status in the registry: UP or DOWN. While a circuit named in
    ``critical`` is open, the service is not ready; with ``require_registry`` not before a registry answered.
    """

    def __init__(
        self,
        service: str,
        runtime: Runtime,
        *,
        host: str | None = None,
        port: int | None = None,
        secure: bool = False,
        metadata: Mapping[str, str] | None = None,
        health: Health | None = None,
        critical: Iterable[str] = (),
        require_registry: bool = False,
    ) -> None:
        self.service = service
        self.runtime = runtime
        self.host = host
        self.port = port or runtime.settings.port or None
        self.secure = secure
        self.metadata = dict(metadata or {})
        self.instance: Instance | None = None
        self.state = "STARTING"
        self.critical = frozenset(critical)
        self.require_registry = require_registry
        #: Seconds that calls under way may take when the process ends.
        self.grace = 30.0
        #: How the process ends when told to, gently or not; by default a signal to itself.
        self.ending: Callable[[bool], None] | None = None
        checks = health if isinstance(health, Mapping) else {} if health is None else {"health": health}
        self._checks = {name: Check(one) for name, one in checks.items()}
        self.well = True
        self._warned = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._joined: float | None = None
        # Those who only call others do not load this.
        from .admin.desk import Desk
        from .admin.site import ALWAYS, Site

        #: The admin pages: what they look at, and those of them that are beside the application.
        self.desk = Desk(runtime, self)
        self.site = Site(self.desk, only=ALWAYS if runtime.settings.admin_port else None)
        self.listener: AdminListener | None = None
        # A wrong name is an error now, not when the first heartbeat is due.
        me(service, host="127.0.0.1", port=1, settings=runtime.settings)

    def where(self) -> tuple[str, str]:
        """(bind address, advertised host)."""
        urls = [one.url for one in self.runtime.settings.registry]
        return bind_and_show(self.host, self.runtime.settings, urls)

    def join(self, port: int, *, host: str | None = None) -> Instance:
        """Register as listening on ``port``; returns at once, the registry is told in the background."""
        shown = host or self.where()[1]
        self._warn_if_unreachable(shown, port)
        self._open()
        where = {"management.port": str(port), "management.path": "/admin"}
        self.instance = me(
            self.service,
            host=shown,
            port=port,
            settings=self.runtime.settings,
            secure=self.secure,
            metadata={**(where if self.listener is None else self.listener.metadata), **self.metadata},
        )
        self.runtime.register(self.instance)
        self.state = "UP"
        self._joined = SYSTEM.monotonic()
        if self._checks:
            self._spawn(self._watch_health())
        return self.instance

    def _open(self) -> None:
        """Watch the application's loop; open the admin pages' own port where one is wished for."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self.desk.loops.watch("app")
        port = self.runtime.settings.admin_port
        if port and self.listener is None:
            from .admin.listener import AdminListener

            try:
                host = self.runtime.settings.admin_host
                self.listener = AdminListener(self.desk, host=host, port=port)
            except ConfigError as error:
                _log.error("%s: %s", self.service, error)

    def _warn_if_unreachable(self, shown: str, port: int) -> None:
        """The registry would send callers to an address on which nobody listens: say so, once."""
        bound = next((address for address, known in listening_ports() if known == port), "")
        if bound and is_loopback(bound) and not is_loopback(shown) and not self._warned:
            self._warned = True
            _log.warning(
                "%s listens on %s only, but tells others to call %s:%d: give the same host to both",
                self.service,
                bound,
                shown,
                port,
            )

    def join_when_listening(self) -> None:
        """Register once this process listens: for apps that somebody else runs."""
        self._open()
        if self.port is not None:
            self.join(self.port)
        else:
            self._spawn(self._wait_for_port())

    async def _wait_for_port(self) -> None:
        waited, pause = 0.0, 0.02
        while waited < LISTEN_WITHIN:
            try:
                port = the_port(self.service, PORTS)
            except ConfigError as error:
                _log.error("%s", error)
                return
            if port is not None:
                self.join(port)
                return
            await asyncio.sleep(pause)
            waited += pause
            pause = min(0.5, pause * 1.5)
        _log.error("%s: this process listens on no port; not registered. Say which: port=", self.service)

    def tell(self, what: str, seconds: float = 0.0) -> None:
        """A step of the end has been reached: see `~.events.ServiceEnding`."""
        id = self.instance.id if self.instance is not None else ""
        event = ServiceEnding(
            at=self.runtime.clock.time(), service=self.service, instance=id, what=what, seconds=seconds
        )
        self.runtime.events.publish(event)

    async def leave(self, wait: float = 0.0) -> None:
        """Sign out, so that nobody new comes; calls under way may end, and make calls of their own.

        ``wait`` is how many seconds whoever runs this goes on serving then.
        """
        if self.state == "DRAINING":
            return
        self.state = "DRAINING"
        self.tell("leaving")
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.runtime.close)
        self.tell("signed-out", wait)

    async def close(self) -> None:
        """Leave, and close what this loop's calls went through."""
        await self.leave()
        await self.runtime.aclose()
        self.desk.close_streams()
        for watch in list(self.desk.loops):
            self.desk.loops.forget(watch)
        listener, self.listener = self.listener, None
        if listener is not None:
            await asyncio.to_thread(listener.stop)
        self.desk.levels.restore()
        self.tell("done")

    @property
    def drain(self) -> float:
        """Seconds until callers have noticed that we have left: none if there is no registry to tell them."""
        return 2 * self.runtime.settings.fetch_interval if self.runtime.has_directory else 0.0

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch_health(self) -> None:
        while True:
            await asyncio.gather(*(one.ask(CHECK_TIMEOUT) for one in self._checks.values()))
            well = all(one.well for one in self._checks.values())
            if well != self.well:
                self.well = well
                detail = "; ".join(one.detail for one in self._checks.values() if not one.well)
                status = Status.UP if well else Status.DOWN
                _log.warning("%s is %s now%s", self.service, status, f": {detail}" if detail else "")
                self.runtime.set_status(status)
            await asyncio.sleep(CHECK_EVERY)

    # ------------------------------------------------------------------ what the admin pages ask and tell

    def checks(self) -> dict[str, dict[str, Any]]:
        """The latest answers of the health checks, by name. Asks none of them."""
        return {name: one.view() for name, one in self._checks.items()}

    def since_joined(self) -> float:
        """Seconds since it began to register; 0 before that."""
        return 0.0 if self._joined is None else SYSTEM.monotonic() - self._joined

    def end(self, gently: bool, grace: float) -> None:
        """Leave and end the process; from any thread. Calls under way get ``grace`` seconds.

        Gently means that callers get the time to notice first, as after SIGTERM.
        """
        self.grace = grace
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin_end, gently)

    def _begin_end(self, gently: bool) -> None:
        if self.ending is not None:
            self.ending(gently)
            return
        if self._ends is not None:
            self._ends.cancel()
        self._ends = asyncio.get_running_loop().create_task(self._end(gently))

    async def _end(self, gently: bool) -> None:
        drain = self.drain if gently else 0.0  # once we have left there is no directory to tell by
        await self.leave(drain)
        await asyncio.sleep(drain)
        # Whoever runs this application knows how to end it.
        os.kill(os.getpid(), signal.SIGTERM)


def refusal(error: CallRejected | FallbackFull) -> Answer:
    """A call that was refused further in, as an answer to our own caller: 503, and when to come back."""
    wait = max(1, math.ceil(min(error.retry_after or 0, 3600)))  # held open by hand, it may be for ever
    body = json.dumps({"error": {"code": type(error).__name__, "message": str(error)}}).encode()
    return (503, {**_JSON, "Retry-After": str(wait)}, body)
