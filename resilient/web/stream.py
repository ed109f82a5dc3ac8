"""Server-sent events to many readers: bounded for each, quiet ones kept alive, slow ones cut."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Literal

from aiohttp import web

from .limits import DEFAULTS, Limits
from .problems import problem
from .trust import is_loopback_address, source

# Spelled out: rooms of one floor do not import each other, and the telemetry room has the event format.
_HEARTBEAT = b":\n\n"
_SLICE = 32 * 1024
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-store",
    "X-Accel-Buffering": "no",
}

Overflow = Literal["cut", "oldest"]


class Outlet:
    """What waits for one reader: at most ``events`` pieces and ``size`` bytes (one piece may be larger).

    When it is full, ``"cut"`` ends the reader (it comes back with ``Last-Event-ID``), ``"oldest"`` forgets
    the oldest pieces, for feeds where each event replaces those before. Belongs to one event loop.
    """

    __slots__ = (
        "_closed",
        "_events",
        "_on_cut",
        "_overflow",
        "_pieces",
        "_room",
        "_size",
        "_waiter",
        "_waiting",
        "cut",
        "dropped",
        "quiet",
    )

    def __init__(
        self,
        *,
        events: int = DEFAULTS.stream_events,
        size: int = DEFAULTS.stream_buffer,
        overflow: Overflow = "cut",
    ) -> None:
        self._events = events
        self._size = size
        self._overflow = overflow
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._on_cut: Callable[[], None] | None = None
        self._closed = False
        self.cut = False  #: the reader was too slow
        self.dropped = 0  #: pieces forgotten
        self.quiet = False  #: nothing was put since this was last set

    @property
    def waiting(self) -> int:
        """Bytes that wait."""
        return self._waiting

    @property
    def closed(self) -> bool:
        """Whether nothing more will be taken."""
        return self._closed

    def put(self, piece: bytes) -> bool:
        """Hand one encoded event over. ``False`` once the reader is gone: forget this outlet. Never waits."""
        if self._closed:
            return False
        if self._pieces and self._full(piece):
            if self._overflow == "cut":
                self._cut()
                return False
            while self._pieces and self._full(piece):
                self._waiting -= len(self._pieces.popleft())
                self.dropped += 1
        self._pieces.append(piece)
        self._waiting += len(piece)
        self.quiet = False
        self._wake_up()
        return True

    def close(self) -> None:
        """End the stream once what waits has been sent."""
        self._closed = True
        self._wake_up()
        _wake(self._room)

    async def take(self) -> bytes | None:
        """What waits, in one piece if it is small; ``None`` at the end."""
        while not self._pieces:
            if self._closed:
                return None
            await self._until_woken()
        first = self._pieces.popleft()
        if self._pieces and len(first) < _SLICE:
            batch = [first]
            size = len(first)
            while self._pieces and size + len(self._pieces[0]) <= _SLICE:
                batch.append(self._pieces.popleft())
                size += len(batch[-1])
            first = b"".join(batch)
        self._waiting -= len(first)
        _wake(self._room)
        return first

    async def _until_woken(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake_up(self) -> None:
        _wake(self._waiter)

    async def room(self) -> bool:
        """Wait until nothing waits any more; ``False`` when the reader is gone. For patient producers."""
        while self._pieces and not self._closed:
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None
        return not self._closed

    def _full(self, piece: bytes) -> bool:
        return len(self._pieces) >= self._events or self._waiting + len(piece) > self._size

    def _cut(self) -> None:
        self.cut = True
        self._pieces.clear()
        self._waiting = 0
        self.close()
        if self._on_cut is not None:
            self._on_cut()

    def attach(self, on_cut: Callable[[], None]) -> None:
        """Tell what to do, at once, when the reader is too slow."""
        self._on_cut = on_cut


def _wake(future: "asyncio.Future[None] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)


class Streams:
    """All streams of a process: how many there may be, their heartbeat, and their common end.

    Readers that take nothing for ``limits.stall_timeout`` are cut by the listener's watch.
    """

    def __init__(self, limits: Limits = DEFAULTS) -> None:
        self._limits = limits
        self._open: set[Outlet] = set()
        self._addresses: dict[str, int] = {}
        self._pulse: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def install(self, app: web.Application) -> None:
        """End all streams when ``app`` shuts down; without this a shutdown waits for its time-out."""

        async def close(_: web.Application) -> None:
            await self.close()

        app.on_shutdown.append(close)

    def outlet(self, overflow: Overflow = "cut") -> Outlet:
        """A queue for one reader, with this process's limits."""
        return Outlet(events=self._limits.stream_events, size=self._limits.stream_buffer, overflow=overflow)

    async def serve(
        self,
        request: web.Request,
        pieces: Outlet | AsyncIterator[bytes],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        """Answer ``request`` with events until the outlet is closed, the iterator ends or the reader leaves.

        Raises 503 when too many streams are open (429 for too many from one other machine).
        """
        address = self._admit(request)
        outlet = pieces if isinstance(pieces, Outlet) else self.outlet()
        self._open.add(outlet)
        pump: asyncio.Task[None] | None = None
        response = web.StreamResponse(headers={**_HEADERS, **(headers or {})})
        try:
            await response.prepare(request)
            if request.method == "HEAD":
                return response
            self._beat()
            if not isinstance(pieces, Outlet):
                pump = asyncio.create_task(_fill(outlet, pieces))
            transport = request.transport
            if transport is not None:
                outlet.attach(transport.abort)
            while (piece := await outlet.take()) is not None:
                if len(piece) <= _SLICE:
                    await response.write(piece)
                    continue
                view = memoryview(piece)
                for start in range(0, len(view), _SLICE):
                    await response.write(view[start : start + _SLICE])
            if not outlet.cut:
                await response.write_eof()
        except ConnectionError:
            pass  # the reader left, or was cut
        finally:
            outlet.close()
            self._leave(outlet, address)
            if pump is not None:
                pump.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await pump
        return response

    async def close(self) -> None:
        """End every stream after what waits, and take no more."""
        self._closed = True
        for outlet in tuple(self._open):
            outlet.close()
        if self._pulse is not None:
            self._pulse.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pulse
            self._pulse = None

    def _admit(self, request: web.Request) -> str:
        limits = self._limits
        if self._closed or len(self._open) >= limits.streams:
            raise problem(503, "too-many-streams", "no room for another stream", retry_after=5)
        remote = request.remote or ""
        if not remote or is_loopback_address(remote):
            return ""
        address = source(remote)
        taken = self._addresses.get(address, 0)
        if taken >= limits.streams_per_address:
            raise problem(429, "too-many-streams", "too many streams from there", retry_after=5)
        self._addresses[address] = taken + 1
        return address

    def _leave(self, outlet: Outlet, address: str) -> None:
        self._open.discard(outlet)
        if address:
            left = self._addresses[address] - 1
            if left:
                self._addresses[address] = left
            else:
                del self._addresses[address]
        if not self._open and self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None

    def _beat(self) -> None:
        if self._pulse is None and not self._closed:
            self._pulse = asyncio.create_task(self._keep_alive(), name="resilient-web-heartbeat")

    async def _keep_alive(self) -> None:
        """One task for all readers. It looks twice in each period, so none is quiet for longer than one."""
        while True:
            await asyncio.sleep(self._limits.heartbeat / 2)
            for outlet in tuple(self._open):
                if outlet.quiet:
                    outlet.put(_HEARTBEAT)
                outlet.quiet = True


async def _fill(outlet: Outlet, pieces: AsyncIterator[bytes]) -> None:
    try:
        async for piece in pieces:
            if not (outlet.put(piece) and await outlet.room()):
                break
    finally:
        outlet.close()
