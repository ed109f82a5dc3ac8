"""How long an event loop kept others waiting. A meter that sleeps and looks how late it woke.

What it cannot see: a stall that begins and ends between two looks is seen by the part of it that lies behind
the moment the meter wanted to wake, so the true one is longer by at most one period.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Awaitable, Callable

from ..clock import SYSTEM, Clock

#: Upper bounds of the histogram's buckets, in seconds; one more bucket holds what is above them all.
BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Stalls:
    """The lag of one loop: the longest one and a histogram over the last ``window`` seconds, and since the
    start. ``period`` is how often it looks, in seconds. :meth:`note` is all that happens at a look.
    """

    def __init__(self, *, period: float = 0.01, window: float = 60.0, clock: Clock = SYSTEM) -> None:
        self.period = period
        self.window = window
        self._clock = clock
        self._slice = window / 6
        # (when it ends, the longest lag, counts by bucket), oldest first; the last one is being filled.
        self._slices: deque[tuple[float, list[float], list[int]]] = deque()
        self._task: asyncio.Task[None] | None = None
        #: The longest lag since the start (or :meth:`clear`), in seconds.
        self.longest = 0.0
        #: Looks by bucket since the start, for metrics.
        self.counts = [0] * (len(BOUNDS) + 1)
        #: The sum of all lags since the start, in seconds.
        self.total = 0.0

    def note(self, lag: float) -> None:
        """A look that came ``lag`` seconds late."""
        lag = max(0.0, lag)
        bucket = bisect_left(BOUNDS, lag)
        self.counts[bucket] += 1
        self.total += lag
        if lag > self.longest:
            self.longest = lag
        now = self._clock.monotonic()
        if not self._slices or now >= self._slices[-1][0]:
            self._drop(now)
            self._slices.append((now + self._slice, [0.0], [0] * (len(BOUNDS) + 1)))
        _, longest, counts = self._slices[-1]
        counts[bucket] += 1
        if lag > longest[0]:
            longest[0] = lag

    def clear(self) -> None:
        """Begin anew."""
        self._slices.clear()
        self.longest = self.total = 0.0
        self.counts = [0] * (len(BOUNDS) + 1)

    def _drop(self, now: float) -> None:
        while self._slices and self._slices[0][0] <= now - self.window:
            self._slices.popleft()

    def lately(self) -> tuple[float, list[int]]:
        """The longest lag of the last ``window`` seconds, and the looks by bucket."""
        self._drop(self._clock.monotonic())
        longest = max((one[0] for _, one, _ in self._slices), default=0.0)
        counts = [sum(column) for column in zip(*(one for _, _, one in self._slices), strict=True)]
        return longest, counts or [0] * (len(BOUNDS) + 1)

    def quantile(self, share: float) -> float:
        """The lag that ``share`` of the looks of the last ``window`` seconds stayed below: the bound of its
        bucket, in seconds, and the longest lag where that is less."""
        longest, counts = self.lately()
        wanted, seen = share * sum(counts), 0
        for bound, count in zip(BOUNDS, counts, strict=False):
            seen += count
            if seen >= wanted:
                return min(bound, longest)
        return longest

    def view(self) -> dict[str, object]:
        """In plain numbers, milliseconds."""
        longest, _ = self.lately()
        return {
            "longest_ms": round(longest * 1000, 2),
            "p99_ms": round(self.quantile(0.99) * 1000, 2),
            "window_seconds": self.window,
            "longest_ever_ms": round(self.longest * 1000, 2),
        }

    # --- the thin shell

    def start(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Look at the running loop from now on."""
        self._task = asyncio.get_running_loop().create_task(self._watch(sleep), name="stall meter")

    def stop(self) -> None:
        """Look no more. Harmless when called twice."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self, sleep: Callable[[float], Awaitable[object]]) -> None:
        now = self._clock.monotonic
        while True:
            wanted = now() + self.period
            await sleep(self.period)
            self.note(now() - wanted)
