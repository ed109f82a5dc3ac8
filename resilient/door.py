"""What all doors share: from a host name to a service, and from a service to the tries of one call.

A door lets one HTTP library in. It knows that library's requests, responses and errors; everything it
decides, it asks here, so that the same trouble gets the same verdict whoever makes the call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from math import inf
from typing import Any, Generic, TypeVar

from .balancing.balancer import Balancer
from .balancing.dialect import Dialect, harmless, parse_retry_after
from .balancing.picks import Pick, Tries
from .circuits.allowance import hurry
from .circuits.attempt import CURRENT, Attempt, current_attempt, time_left, watch
from .circuits.guard import Guard
from .circuits.policy import CircuitPolicy
from .errors import NoInstance
from .model import Instance
from .runtime import Runtime, current, find_circuit, remember
from .telemetry import otel_seams as seams

T = TypeVar("T")

_log = logging.getLogger("resilient.door")

#: Seconds a connection may take to be made: a healthy one on a network takes milliseconds.
CONNECT_TIMEOUT = 1.0
#: The least a socket is asked to wait: zero would mean 'do not block', not 'no time left'.
LEAST = 0.001

_ADDRESS = re.compile(r"[0-9.]+|.*:.*|\[.*")
_MANY = 10_000  # names remembered here at most; a directory can change for years


def name_of(runtime: Runtime, host: str | None, port: int | None) -> str | None:
    """The service that a URL's host names, or ``None`` if the host is to be called directly.

    A name the directory knows is a service. So is any other single label without a port, for what else
    could it be. Addresses, ``localhost``, and unknown names with a dot or a port are hosts. ``port`` is
    the one written in the URL, ``None`` if none was.
    """
    if not host:
        return None
    name = host.lower()
    if runtime.knows(name):
        if port is not None:
            _ignored(name, port)
        return name
    if port is not None or "." in name or name == "localhost" or _ADDRESS.fullmatch(name):
        return None
    return name


def could_be(host: str | None, port: int | None) -> bool:
    """Whether it is worth waiting for the first directory: the host can be nothing but a service."""
    return (
        bool(host)
        and port is None
        and "." not in str(host)
        and host != "localhost"
        and not _ADDRESS.fullmatch(str(host))
    )


_told: set[str] = set()


def _ignored(name: str, port: int) -> None:
    if name not in _told and len(_told) < _MANY:
        _told.add(name)
        _log.warning("port %d in a URL for service %r is ignored: its instances have their own", port, name)


def tries_for(
    runtime: Runtime,
    service: str,
    dialect: Dialect,
    method: str,
    headers: MutableMapping[str, Any],
    *,
    secure: bool,
    replayable: bool,
    attempt: Attempt | None,
    where: Mapping[str, str] | None = None,
) -> Tries:
    """The tries of one request: as many, as long and as harmless as its attempt and its method allow.

    ``replayable`` says that the body can be sent twice; without, only what was never sent goes out again.
    ``where`` selects instances by metadata. ``secure`` says that the caller wrote ``https``. Raises
    NoInstance then, if there are only plain instances: a question meant for TLS never goes out without.
    """
    aim(attempt, service)
    instances = runtime.lookup(service)
    balancer = runtime.balancer if not secure or _all_secure(instances) else _only_secure(runtime, service)
    # With one instance there is nobody to go to, so its only try gets all of the time.
    safe = replayable and len(instances) > 1 and harmless(method, headers)
    if attempt is None:
        free = balancer.tries(service, harmless=safe, dialect=dialect, where=where, remaining=time_left)
        return seams.watched(free, method, headers)
    began = attempt.began  # the call may be over before its tries are, and the attempt another call's

    def remaining() -> float | None:
        return attempt.remaining() if attempt.began is began else 0.0

    tries = balancer.tries(
        service,
        harmless=safe,
        dialect=dialect,
        remaining=remaining,
        stop=lambda: attempt.began is not began or attempt.overtaken,
        command=attempt.circuit.name,
        where=where,
    )
    promise(tries, attempt)
    return seams.watched(tries, method, headers)


def promise(tries: Tries, attempt: Attempt) -> None:
    """Let no instance be blamed for a caller of ours that gave a call less time than its circuit does."""
    if attempt.outer is not None and hurry(attempt) is not None:
        tries.promised = inf if attempt.deadline is None else attempt.deadline / (1 + tries.harmless)


def aim(attempt: Attempt | None, target: str) -> None:
    """A request to ``target`` begins. Tells the attempt only what it does not know: that makes it odd."""
    if attempt is not None and (attempt.verdict is not None or attempt.circuit.target is None):
        attempt.aims_at(target)


def present() -> Attempt | None:
    """As ``current_attempt``, for a caller who checks `~.circuits.attempt.Attempt.began` before each use.

    An attempt that nobody holds is used again by the next call, which is most of what it costs.
    """
    found = CURRENT.get()
    if found is not None and found[2] is None and found[0].began is found[1]:
        return found[0]  # type: ignore[return-value]  # an allowance always has something below it
    return current_attempt() if found is not None else None


def own_limit(tries: Tries, pick: Pick, attempt: Attempt | None) -> float | None:
    """Seconds after which a coroutine's try must be given up; ``None`` where its circuit does that anyway.

    A timer for each try would be a large part of what a balanced request costs.
    """
    if pick.timeout is None or attempt is None or attempt.task is None:
        return pick.timeout
    return pick.timeout if tries.harmless and tries.number <= tries.retries else None


def connect_limit(seconds: float | None) -> float:
    """Seconds for making the connection, a little less than the try has: whoever did not get through in
    that time sent nothing, and may try elsewhere."""
    return CONNECT_TIMEOUT if seconds is None else min(CONNECT_TIMEOUT, max(0.9 * seconds, LEAST))


def retry_after(runtime: Runtime, value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for; ``None`` without a header that makes sense."""
    return parse_retry_after(value, runtime.clock.time()) if value else None


# -- https:// only ---------------------------------------------------------------------------------


def _all_secure(instances: Sequence[Instance]) -> bool:
    return all(one.secure for one in instances)


_secure: weakref.WeakKeyDictionary[Runtime, Balancer] = weakref.WeakKeyDictionary()


def _only_secure(runtime: Runtime, service: str) -> Balancer:
    """For a service on its way from http to https: its TLS instances, with a memory of their own."""
    if not any(one.secure for one in runtime.lookup(service)):
        raise NoInstance(service, (service,), "scheme: https was asked for, its instances speak plain http")
    found = _secure.get(runtime)
    if found is None:
        kept: dict[str, tuple[Sequence[Instance], tuple[Instance, ...]]] = {}
        known = weakref.proxy(runtime)

        def lookup(service: str) -> Sequence[Instance]:
            listed = known.lookup(service)
            last = kept.get(service)
            if last is None or last[0] is not listed:  # the same object until something changes
                last = kept[service] = (listed, tuple(one for one in listed if one.secure))
            return last[1]

        found = _secure[runtime] = Balancer(
            lookup, zone=runtime.settings.zone, publish=runtime.events.publish, clock=runtime.clock
        )
    return found


# -- circuits and sessions of the doors' own -------------------------------------------------------


def is_enabled() -> bool:
    """Whether there are circuits at all: ``RESILIENT_ENABLED=0`` is for those who look for a fault."""
    return os.environ.get("RESILIENT_ENABLED", "1").strip().lower() not in ("0", "false", "no", "off")


#: Nobody asked for these circuits, so they bound only what no program does on purpose.
OWN_POLICY = CircuitPolicy(max_concurrent=1000, count_rejections=False)


class OwnCircuits:
    """For calls outside any circuit: each known service has a circuit of its own name.

    ``shell`` is the way a function is put behind a circuit; ``send`` takes whatever the door hands on.
    """

    def __init__(self, shell: Callable[..., Any], send: Callable[..., Any]) -> None:
        self._shell = shell
        self._send = send
        self._calls: dict[str, Callable[..., Any]] = {}
        seams.keep_cache(self)
        watch()

    def call(self, service: str) -> Callable[..., Any]:
        """``send`` behind the circuit of that service."""
        found = self._calls.get(service)
        if found is None:
            if not is_enabled():
                return self._send
            guard = Guard(service, OWN_POLICY, find_circuit)
            remember(guard)
            if len(self._calls) >= _MANY:
                self._calls.clear()
            found = self._calls[service] = seams.dressed(guard, self._shell(guard, self._send))
        return found

    def forget(self) -> None:
        """Make all of them anew when they are asked for."""
        self._calls.clear()


class PerLoop(Generic[T]):
    """One shared client for each event loop, closed with the runtime or else with the loop."""

    def __init__(
        self, make: Callable[[], T], closed: Callable[[T], bool], close: Callable[[T], Awaitable[object]]
    ) -> None:
        self._make = make
        self._closed = closed
        self._close = close
        self._kept: dict[asyncio.AbstractEventLoop, tuple[T, object]] = {}

    def get(self) -> T:
        """This loop's client. RuntimeError outside a coroutine."""
        loop = asyncio.get_running_loop()
        found = self._kept.get(loop)
        if found is not None:
            if not self._closed(found[0]):
                return found[0]
            self._kept.pop(loop, None)
        for old in list(self._kept):
            if old.is_closed():
                self._kept.pop(old, None)
        watch()
        made = self._make()
        keeper = self._until_the_end(made)
        with contextlib.suppress(StopIteration):
            keeper.__anext__().send(None)  # runs to its yield at once: there is nothing to wait for before
        self._kept[loop] = (made, keeper)
        current().at_stop(self.close)
        return made

    async def close(self) -> None:
        """Close this loop's client."""
        found = self._kept.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await self._close(found[0])

    async def _until_the_end(self, made: T) -> AsyncGenerator[None, None]:
        # asyncio.run closes the generators that are still open as its last act; nothing else tells a
        # library that its loop is about to end.
        try:
            yield
        finally:
            if not self._closed(made):
                await self._close(made)


__all__ = [
    "CONNECT_TIMEOUT",
    "LEAST",
    "OwnCircuits",
    "PerLoop",
    "aim",
    "connect_limit",
    "could_be",
    "current",
    "current_attempt",
    "is_enabled",
    "name_of",
    "own_limit",
    "present",
    "promise",
    "retry_after",
    "time_left",
    "tries_for",
]
