"""``hystrix.stream`` and ``turbine.stream`` for whatever framework serves them: an async iterator of bytes.

The events of one moment are made once for all readers, in slices, so that the loop is never held up. A reader
has one moment's events before it at most: who is slow misses some, and gets the newest next time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Self

from ..circuits.book import CircuitBook
from ..clock import SYSTEM, Clock
from . import hystrix

#: Seconds between two moments, unless a reader asks for another time; and the least and most it may ask for.
DELAY, LEAST_DELAY, MOST_DELAY = 0.5, 0.1, 60.0
#: Readers at once; the next one is refused. Hystrix's own limit.
READERS = 5
#: Readers give a connection up that is quiet for long: none is for longer than this, in seconds.
QUIET = 0.5
#: Readers share what was made so many seconds ago at most.
OLDEST = 0.25
PING = b"ping: \n\n"
HEADERS = {
    "Content-Type": "text/event-stream;charset=UTF-8",
    "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate",
    "Pragma": "no-cache",
    "X-Accel-Buffering": "no",
}
#: Seconds of work after which others get their turn, and bytes of one piece.
_SLICE, _PIECE = 0.002, 32 * 1024

#: The events of now. ``None`` stands for work that made none: a moment at which others may have their turn.
Source = Callable[[], Iterable[Mapping[str, object] | None]]
Sleep = Callable[[float], Awaitable[object]]


class Full(Exception):
    """No reader more; the text says how many there may be. Answer 503."""


def delay_of(text: str | None) -> float:
    """Seconds between two moments, from a query's ``delay`` in milliseconds; what makes no sense is 500."""
    try:
        seconds = float(text or "") / 1000
    except ValueError:
        return DELAY
    if not math.isfinite(seconds) or seconds <= 0:
        return DELAY
    return min(max(seconds, LEAST_DELAY), MOST_DELAY)


class Places:
    """So many readers at once, over one or several streams, of one or several event loops."""

    def __init__(self, most: int = READERS) -> None:
        self.most = most
        self.closed = False
        #: Readers that were refused, and moments that readers were too slow to be told of.
        self.refused = self.missed = 0
        self._taken: set[object] = set()

    @property
    def taken(self) -> int:
        """How many there are."""
        return len(self._taken)

    def take(self, who: object) -> None:
        """One more. Raises :class:`Full`."""
        if self.closed:
            raise Full("this process is shutting down")
        if len(self._taken) >= self.most:
            self.refused += 1
            raise Full(f"no more than {self.most} readers of this stream at a time")
        self._taken.add(who)

    def give(self, who: object) -> None:
        """One less. Harmless when called again."""
        self._taken.discard(who)


class Stream:
    """Events of ``source``, for as many readers as ``places`` has room for. Belongs to one event loop;
    streams on several loops may share their places.
    """

    def __init__(
        self,
        source: Source,
        *,
        places: Places | None = None,
        clock: Clock = SYSTEM,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.places = places or Places()
        self._source = source
        self.clock = clock
        self.sleep = sleep
        self._pieces: list[bytes] = []
        self._made_at = -math.inf
        self._making: asyncio.Task[list[bytes]] | None = None

    def open(self, delay: float = DELAY) -> Reader:
        """A place for one more reader; close it when it has left. Raises :class:`Full`."""
        reader = Reader(self, delay)
        self.places.take(reader.place)
        return reader

    def close(self) -> None:
        """No more readers; those that are here come to their end with the next moment."""
        self.places.closed = True

    async def moment(self, oldest: float) -> list[bytes]:
        """The events of now, in pieces, or of up to ``oldest`` seconds ago."""
        if self.clock.monotonic() - self._made_at <= oldest:
            return self._pieces
        making = self._making
        if making is None or making.done():
            # A task of its own, for the reader that began it may leave while others wait for it.
            making = self._making = asyncio.get_running_loop().create_task(self._make(), name="hystrix")
        return await asyncio.shield(making)

    async def _make(self) -> list[bytes]:
        now = self.clock.monotonic
        made_at = began = now()
        pieces: list[bytes] = []
        piece = bytearray()
        for frame in self._source():
            if frame is not None:
                piece += hystrix.encode(frame)
            if len(piece) >= _PIECE:
                pieces.append(bytes(piece))
                piece.clear()
            if now() - began >= _SLICE:
                await asyncio.sleep(0)
                began = now()
        piece += PING
        pieces.append(bytes(piece))
        self._pieces, self._made_at = pieces, made_at
        return pieces


class Reader:
    """One reader's way through a stream: an async iterator of pieces. Close it when the reader has left."""

    def __init__(self, stream: Stream, delay: float) -> None:
        self._stream = stream
        self._delay = delay
        self._here = True
        self._pieces = self._make()
        self.place = object()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except BaseException:  # the end, or whoever waited does so no longer
            self.close()
            raise

    async def _make(self) -> AsyncIterator[bytes]:
        stream = self._stream
        now, last = stream.clock.monotonic, None
        while self._here and not stream.places.closed:
            begun = now()
            if last is not None:
                stream.places.missed += max(0, int((begun - last) / self._delay) - 1)
            last = begun
            for piece in await stream.moment(min(self._delay / 2, OLDEST)):
                yield piece
                await asyncio.sleep(0)  # a reader that is quick would be given all of them in one go
            left = self._delay
            while left > QUIET and self._here and not stream.places.closed:
                await stream.sleep(QUIET)
                left -= QUIET
                yield PING
            await stream.sleep(left)

    def close(self) -> None:
        """The reader has left: its place is free. Harmless when called again."""
        self._here = False
        self._stream.places.give(self.place)

    async def aclose(self) -> None:
        """As :meth:`close`, for those who close async iterators."""
        self.close()

    __del__ = close  # whoever forgets it does not keep others out for ever


def stream_of(
    circuits: CircuitBook,
    *,
    places: Places | None = None,
    clock: Clock = SYSTEM,
    sleep: Sleep = asyncio.sleep,
) -> Stream:
    """The ``hystrix.stream`` of one process."""

    def source() -> Iterable[Mapping[str, object]]:
        return hystrix.frames(circuits, circuits.pools.snapshots(), clock.time())

    return Stream(source, places=places, clock=clock, sleep=sleep)
