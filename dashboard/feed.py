"""One message per second for every browser that looks, made once for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any

import orjson

from resilient.clock import Clock

from .picture import Picture, Source

_log = logging.getLogger("resilient.dashboard")

#: Messages a browser may be behind; one more, and it starts again from the whole picture.
BEHIND = 4


class Reader:
    """One browser's place in the feed."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._rang = asyncio.Event()
        #: The browser is too far behind, or new: it needs everything before it can use a difference.
        self.lost = True

    def offer(self, message: bytes) -> None:
        if not self.lost:
            if len(self._waiting) >= BEHIND:
                self._waiting.clear()
                self.lost = True
            else:
                self._waiting.append(message)
        self._rang.set()

    def wake(self) -> None:
        self._rang.set()

    async def next(self, feed: Feed) -> bytes | None:
        """The next message for this browser; waits until there is one. ``None`` when the feed is closed."""
        while not feed.closed:
            if self.lost:
                self.lost = False
                self._waiting.clear()
                return feed.whole()
            if self._waiting:
                return self._waiting.popleft()
            self._rang.clear()
            await self._rang.wait()
        return None


class Feed:
    """Asks the source once per ``interval`` seconds while somebody reads, and tells all readers.

    At most ``most`` readers are let in.
    """

    def __init__(
        self, source: Source, clock: Clock, *, version: str, interval: float = 1.0, most: int = 100
    ) -> None:
        self._source = source
        self._clock = clock
        self._version = version
        self._interval = interval
        self._most = most
        self._picture = Picture()
        self._readers: set[Reader] = set()
        self._task: asyncio.Task[None] | None = None
        self._whole: bytes | None = None
        self.closed = False

    def __len__(self) -> int:
        return len(self._readers)

    def join(self) -> Reader | None:
        """A place in the feed, or ``None`` when it is full or closed."""
        if self.closed or len(self._readers) >= self._most:
            return None
        if not self._readers:
            # Nobody looked for a while, so what is remembered is old.
            self._turn()
            self._task = asyncio.get_running_loop().create_task(self._run(), name="dashboard feed")
        reader = Reader()
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Give the place back. With the last reader the feed stops asking."""
        self._readers.discard(reader)
        if not self._readers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """Stop for good: readers are woken, so that their handlers end their answers properly."""
        self.closed = True
        for reader in self._readers:
            reader.wake()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def whole(self) -> bytes:
        """Everything, as a message. Made at most once per turn."""
        if self._whole is None:
            self._whole = self._message("all", self._picture.whole())
        return self._whole

    def _turn(self) -> bytes:
        delta: dict[str, Any] = {}
        try:
            delta = self._picture.turn(self._source, self._clock.monotonic())
        except Exception:
            # The page says how old its numbers are only if it still hears from us.
            _log.exception("the dashboard's source failed")
            delta = {"trouble": "The server could not read its own state. Its log says why."}
        self._whole = None
        return self._message("tick", delta)

    def _message(self, event: str, body: dict[str, Any]) -> bytes:
        body = {
            "now": round(self._clock.monotonic(), 2),
            "wall": round(self._clock.time(), 2),
            "ui": self._version,
            **body,
        }
        text = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS, default=str)
        return b"event: " + event.encode() + b"\ndata: " + text + b"\n\n"

    async def _run(self) -> None:
        took = 0.0
        while True:
            # An estate so large that asking takes long is asked less often, or its clients would wait.
            await asyncio.sleep(max(self._interval, took * 9))
            began = self._clock.monotonic()
            message = self._turn()
            took = self._clock.monotonic() - began
            for reader in list(self._readers):
                reader.offer(message)
