"""``GET /resilient/v1/feed``: who may read, what it wants, and the stream itself."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Callable, Iterable

from aiohttp import web

from resilient.errors import WireError
from resilient.eureka.limits import check_id, check_name
from resilient.web.limits import DEFAULTS
from resilient.web.problems import problem
from resilient.web.stream import Streams

from .hub import Feed
from .reader import Wish

#: Readers at once, and those of them from one other machine.
READERS = 5_000
READERS_PER_ADDRESS = DEFAULTS.connections_per_address
#: Names in one filter.
SERVICES = 64
#: Bytes the kernel may hold for one reader. It would take megabytes for each that does not read.
_KERNEL = 128 * 1024
_LIMITS = dataclasses.replace(
    DEFAULTS,
    streams=READERS,
    streams_per_address=READERS_PER_ADDRESS,
    # The feed has a heartbeat of its own, which wakes a few readers at a time.
    heartbeat=86_400.0,
)


class FeedRoute:
    """The handler. ``ready``: reads are answered; ``opens_in``: seconds until they will be."""

    def __init__(self, feed: Feed, ready: Callable[[], bool], opens_in: Callable[[], float]) -> None:
        self._feed = feed
        self._ready = ready
        self._opens_in = opens_in
        self._streams = Streams(_LIMITS)

    def install(self, app: web.Application) -> None:
        """End all streams when ``app`` shuts down, and say so before."""

        async def close(_: web.Application) -> None:
            await self._feed.close()

        app.on_shutdown.append(close)
        self._streams.install(app)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The stream. 503 while the list is not complete, WireError for a wish that makes no sense."""
        if not self._ready():
            wait = max(1.0, min(self._opens_in(), 30.0))
            raise problem(503, "not-ready", "no peer has given its list yet", retry_after=wait)
        reader = self._feed.join(wish_of(request))
        try:
            reader.wire = transport = request.transport
            wire = transport.get_extra_info("socket") if transport is not None else None
            if wire is not None:
                with contextlib.suppress(OSError):
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL)
            return await self._streams.serve(request, reader)
        finally:
            self._feed.leave(reader)


def wish_of(request: web.Request) -> Wish:
    """What a request asks for, or WireError."""
    query = request.query
    who = query.get("instance", "")
    instance: tuple[str, str] | None = None
    if who:
        service, slash, id = who.partition("/")
        if not slash:
            raise WireError("instance must be SERVICE/ID")
        instance = (check_name(service, "instance").lower(), check_id(id))
    worker = query.get("worker", "")
    if len(worker) > 256 or not worker.isprintable():
        raise WireError("worker must be HOST:PID, at most 256 characters")
    snapshot = query.get("snapshot", "1")
    if snapshot not in ("0", "1"):
        raise WireError("snapshot must be 0 or 1")
    last = request.headers.get("Last-Event-ID") or query.get("last", "")
    # One too long to be ours is nonsense like any other: it is answered with a reset.
    return Wish(_services(query.getall("service", ())), instance, worker, last[:64], snapshot == "1")


def _services(given: Iterable[str]) -> frozenset[str] | None:
    names = [name.strip().lower() for text in given for name in text.split(",") if name.strip()]
    if not names:
        return None
    if len(set(names)) > SERVICES:
        raise WireError(f"service may list at most {SERVICES} names")
    return frozenset(check_name(name, "service") for name in names)
