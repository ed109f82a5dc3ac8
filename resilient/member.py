"""This process as a member of the estate: joins the registry, answers for its health, drains, leaves."""

from __future__ import annotations

import asyncio
import hmac
import inspect
import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .errors import CallRejected, ConfigError, FallbackFull
from .identity import bind_and_show, is_loopback, listening_ports, me, the_port
from .model import Instance, Status
from .runtime import Runtime
from .web.trust import is_local_call, presented_token

_log = logging.getLogger("resilient.service")

Health = Callable[[], object | Awaitable[object]]

#: Seconds between health checks, and the most one may take.
CHECK_EVERY, CHECK_TIMEOUT = 10.0, 2.0
#: Seconds an app run by other means may take until it listens.
LISTEN_WITHIN = 60.0

Answer = tuple[int, dict[str, str], bytes]
_TEXT = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
_JSON = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}


class Member:
    """One service of this process.

    ``health`` is a function, plain or async; ``False`` or an error means ill. It is asked in the background
    and decides the status in the registry: UP or DOWN.
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
    ) -> None:
        self.service = service
        self.runtime = runtime
        self.host = host
        self.port = port or runtime.settings.port or None
        self.secure = secure
        self.metadata = dict(metadata or {})
        self.health = health
        self.instance: Instance | None = None
        self.state = "STARTING"
        self.well = True
        self._warned = False
        self.detail = ""
        self._tasks: set[asyncio.Task[None]] = set()
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
        self.instance = me(
            self.service,
            host=shown,
            port=port,
            settings=self.runtime.settings,
            secure=self.secure,
            metadata=self.metadata,
        )
        self.runtime.register(self.instance)
        self.state = "UP"
        if self.health is not None:
            self._spawn(self._watch_health(self.health))
        return self.instance

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
        if self.port is not None:
            self.join(self.port)
        else:
            self._spawn(self._wait_for_port())

    async def _wait_for_port(self) -> None:
        waited, pause = 0.0, 0.02
        while waited < LISTEN_WITHIN:
            try:
                port = the_port(self.service)
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

    async def leave(self) -> None:
        """Sign out, so that nobody new comes; calls under way may end, and make calls of their own."""
        if self.state == "DRAINING":
            return
        self.state = "DRAINING"
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.runtime.close)

    async def close(self) -> None:
        """Leave, and close what this loop's calls went through."""
        await self.leave()
        await self.runtime.aclose()

    @property
    def drain(self) -> float:
        """Seconds until callers have noticed that we have left: none if there is no registry to tell them."""
        return 2 * self.runtime.settings.fetch_interval if self.runtime.has_directory else 0.0

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch_health(self, check: Health) -> None:
        while True:
            well, detail = await self._check(check)
            if well != self.well:
                self.well, self.detail = well, detail
                status = Status.UP if well else Status.DOWN
                _log.warning("%s is %s now%s", self.service, status, f": {detail}" if detail else "")
                self.runtime.set_status(status)
            await asyncio.sleep(CHECK_EVERY)

    async def _check(self, check: Health) -> tuple[bool, str]:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                answer = check()
                if inspect.isawaitable(answer):
                    answer = await answer
        except TimeoutError:
            return False, f"the health check took longer than {CHECK_TIMEOUT:g}s"
        except Exception as error:
            return False, f"{type(error).__name__}: {error}"[:200]
        return answer is not False, "" if answer is not False else "the health check said no"

    # ------------------------------------------------------------------ what it answers

    def answer(self, path: str) -> Answer | None:
        """What to say to a GET of one of our paths; ``None`` if the path is not ours."""
        if path in ("/health/live", "/admin/ping"):
            return (200, _TEXT, b"pong\n" if path.endswith("ping") else b"UP\n")
        if path in ("/health", "/health/ready"):
            ready = self.state == "UP" and self.well
            body = {"status": "UP" if ready else self.state if self.state != "UP" else "DOWN"}
            return (200 if ready else 503, _JSON, json.dumps(body).encode())
        if path == CIRCUITS:
            circuits = [circuit.snapshot().as_dict() for circuit in self.runtime.circuits]
            return (200, _JSON, json.dumps({"circuits": circuits}).encode())
        return None

    def may_ask(self, path: str, peer: str, headers: Mapping[str, str]) -> bool:
        """Whether this caller may see ``path``: what reveals something needs the token, or to be here."""
        if path != CIRCUITS or is_local_call(peer, headers):
            return True
        token = self.runtime.settings.token.encode()
        shown = presented_token(headers.get("Authorization", ""))
        return bool(token) and shown is not None and hmac.compare_digest(shown, token)


CIRCUITS = "/admin/circuits"
#: The paths a member answers, unless the application has routes of its own there.
PATHS = ("/health", "/health/live", "/health/ready", "/admin/ping", CIRCUITS)

FORBIDDEN: Answer = (403, _TEXT, b"with the token, or from this machine\n")


def refusal(error: CallRejected | FallbackFull) -> Answer:
    """A call that was refused further in, as an answer to our own caller: 503, and when to come back."""
    wait = max(1, math.ceil(min(error.retry_after or 0, 3600)))  # held open by hand, it may be for ever
    body = json.dumps({"error": {"code": type(error).__name__, "message": str(error)}}).encode()
    return (503, {**_JSON, "Retry-After": str(wait)}, body)
