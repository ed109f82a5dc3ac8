"""Calls to a service of which no instance is known: look again, and wait for the first one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from typing import Protocol

from ..background import shared
from ..circuits.attempt import current_attempt
from ..clock import SYSTEM, Clock

#: Waiting calls, at most; who comes after them is told at once that there is nobody.
MOST = 1000
#: The registry is asked for one name that nobody has at most so often, in seconds, and for all of them ...
AGAIN = 5.0
#: ... so often. A call waits no longer than this for the answer.
LOOK = 1.0


class Registry(Protocol):
    """What is needed of `Discovery`, which lives on the shared background loop."""

    @property
    def live(self) -> bool: ...
    @property
    def connected_url(self) -> str: ...
    async def refreshed(self) -> None: ...


class Seeker:
    """For callers on any thread and loop. ``there`` says whether a service has instances now.

    ``registry`` is our side of the registry, if there is one. `wake` is to be called with every change.
    """

    def __init__(
        self,
        there: Callable[[str], bool],
        registry: Callable[[], Registry | None],
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        self._there = there
        self._registry = registry
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Future[None]]] = {}
        self._count = 0
        self._sought: dict[str, float] = {}
        self._last = float("-inf")

    async def seek(self, service: str, seconds: float) -> bool:
        """Whether there are instances, at the latest after ``seconds`` and a short look."""
        if (search := self._look(service)) is not None:
            await _done(search, bounded(LOOK))
        waiter = self._join(service) if seconds > 0 else None
        if waiter is not None:
            try:
                if not self._there(service):  # asked again: it may have come in between
                    await _done(waiter, bounded(seconds))
            finally:
                self._leave(service, waiter)
        return self._there(service)

    def seek_now(self, service: str, seconds: float) -> bool:
        """As `seek`, for plain functions: blocks this thread."""
        if (search := self._look(service)) is not None:
            with contextlib.suppress(TimeoutError, CancelledError):
                search.result(bounded(LOOK))
        waiter = self._join(service) if seconds > 0 else None
        if waiter is not None:
            try:
                if not self._there(service):
                    with contextlib.suppress(TimeoutError, CancelledError):
                        waiter.result(bounded(seconds))
            finally:
                self._leave(service, waiter)
        return self._there(service)

    def wake(self, services: Iterable[str] | None = None) -> None:
        """These services have changed; ``None``: maybe all."""
        if not self._count:
            return
        with self._lock:
            names = list(self._waiting) if services is None else [x for x in services if x in self._waiting]
            waiting = [one for name in names if self._there(name) for one in self._waiting[name]]
        for one in waiting:
            with contextlib.suppress(Exception):  # it may have left in this moment
                one.set_result(None)

    def after_fork(self) -> None:
        """Whoever waits, waits in the parent."""
        self._lock = threading.Lock()
        self._waiting = {}
        self._count = 0

    def _look(self, service: str) -> Future[None] | None:
        now = self._clock.monotonic()
        with self._lock:
            if self._there(service) or now - self._last < LOOK:
                return None
            if now - self._sought.get(service, float("-inf")) < AGAIN:
                return None
            registry = self._registry()
            if registry is None or registry.live or not registry.connected_url:
                return None
            self._last = now
            if len(self._sought) >= MOST:
                self._sought.clear()
            self._sought[service] = now
        return shared().run(registry.refreshed())

    def _join(self, service: str) -> Future[None] | None:
        with self._lock:
            if self._there(service) or self._count >= MOST:
                return None
            self._count += 1
            waiter: Future[None] = Future()
            self._waiting.setdefault(service, []).append(waiter)
            return waiter

    def _leave(self, service: str, waiter: Future[None]) -> None:
        with self._lock:
            waiting = self._waiting.get(service, [])
            if waiter in waiting:
                waiting.remove(waiter)
                self._count -= 1
                if not waiting:
                    del self._waiting[service]


async def _done(future: Future[None], seconds: float) -> None:
    with contextlib.suppress(TimeoutError, CancelledError):
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), seconds)


def bounded(seconds: float) -> float:
    """No longer than the call under way has: it is to fail with the cause, not with its own deadline."""
    attempt = current_attempt()
    left = attempt.remaining() if attempt is not None else None
    return seconds if left is None else min(seconds, 0.8 * left)
