"""The event loops of this process: how late they are, and whether they answer at all."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
import weakref
from collections.abc import Iterator

from ..clock import SYSTEM, Clock
from ..telemetry.stalls import Stalls

_log = logging.getLogger("resilient.admin")

#: Seconds between two looks at a loop.
PERIOD = 0.1
#: Seconds after which a loop that does not answer is stuck.
STUCK = 30.0


class LoopWatch:
    """One loop under watch. :meth:`start` on the loop; everything else from any thread."""

    def __init__(self, name: str, *, clock: Clock = SYSTEM, period: float = PERIOD) -> None:
        self.name = name
        self.stalls = Stalls(period=period, clock=clock)
        self.thread = 0
        self._clock = clock
        self._beat = clock.monotonic()
        self._loop: weakref.ref[asyncio.AbstractEventLoop] | None = None
        self._told = False
        self._running = False

    def start(self) -> None:
        """Watch the running loop from now on."""
        self._loop = weakref.ref(asyncio.get_running_loop())
        self.thread = threading.get_ident()
        self.beat()
        self._running = True
        self.stalls.start(self._sleep)

    def stop(self) -> None:
        """Watch no more. On the loop only."""
        self._running = False
        self.stalls.stop()

    async def _sleep(self, seconds: float) -> None:
        self.beat()
        await asyncio.sleep(seconds)
        self.beat()

    def beat(self) -> None:
        """The loop has answered."""
        self._beat = self._clock.monotonic()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, as long as it is open."""
        loop = self._loop() if self._loop is not None else None
        return loop if loop is not None and not loop.is_closed() else None

    @property
    def lag(self) -> float:
        """Seconds by which the loop is late at this moment."""
        if not self._running:
            return 0.0
        return max(0.0, self._clock.monotonic() - self._beat - self.stalls.period)

    @property
    def stuck(self) -> bool:
        """Whether it has not answered for 30 s. The stack it is stuck in is logged, once each time."""
        if self.lag <= STUCK:
            self._told = False
            return False
        if not self._told:
            self._told = True
            frame = sys._current_frames().get(self.thread)
            where = "".join(traceback.format_stack(frame)[-30:]) if frame is not None else "unknown\n"
            del frame
            _log.error(
                "the event loop %s has not answered for %d s; it is here:\n%s", self.name, self.lag, where
            )
        return True

    def view(self) -> dict[str, object]:
        """In plain numbers."""
        return {"loop": self.name, "lag_seconds": round(self.lag, 3), **self.stalls.view()}


class Loops:
    """The loops that are watched, by name."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._watches: dict[str, LoopWatch] = {}

    def watch(self, name: str) -> LoopWatch:
        """Watch the running loop; a second call on it changes nothing."""
        running = asyncio.get_running_loop()
        for known in self._watches.values():
            if known.loop is running:
                return known
        made = LoopWatch(name, clock=self._clock)
        made.start()
        self.add(made)
        return made

    def add(self, watch: LoopWatch) -> None:
        """One more. Those whose loops are closed are forgotten."""
        self._watches = {
            name: one for name, one in self._watches.items() if one._loop is None or one.loop is not None
        }
        self._watches[watch.name] = watch

    def forget(self, watch: LoopWatch) -> None:
        """Watch it no more. On its loop only."""
        watch.stop()
        self._watches = {name: one for name, one in self._watches.items() if one is not watch}

    def __iter__(self) -> Iterator[LoopWatch]:
        return iter(list(self._watches.values()))

    def stuck(self) -> list[LoopWatch]:
        """Those that do not answer."""
        return [one for one in list(self._watches.values()) if one.stuck]
