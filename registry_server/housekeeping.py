"""Garbage collection that nobody waits for, in a process that is a registry and nothing else.

A full collection walks over every object: some 100 ms for a hundred thousand instances, a second for a
million, at moments of the interpreter's choosing. What the table holds is no garbage and has no cycles, so
once the table has grown it is collected once more and then set aside (``gc.freeze``): reference counts still
free it, and collections look at the rest only.

The price: a cycle that was alive when things were set aside, and ends later, stays. Things are set aside only
when a good part of the table is new, so that is not an hourly loss.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

from .registry import Registry

#: Changes after which to set aside: at least so many, and this share of the table.
CHANGES = 5_000
SHARE = 0.1
PERIOD = 1.0
#: Instead of the thresholds for small programs that the interpreter comes with: thousands of readers of the
#: feed join without one full collection.
#: In the middle, often: that looks at fifty thousand objects at most, for less than ten milliseconds.
THRESHOLDS = (10_000, 5, 40)


class Housekeeper:
    """Looks after one registry's process. Touches the interpreter's own settings: for programs only."""

    def __init__(self, registry: Registry, more: Callable[[], int] = lambda: 0) -> None:
        """``more`` counts what else has come to stay: words on circuits.

        To be made before the registry reads its snapshot: what was left over from loading the program is
        thrown out now, when there is little to look at.
        """
        gc.collect()
        self._registry = registry
        self._more = more
        self._seen_more = 0
        self._seen = registry.table.version
        self._task: asyncio.Task[None] | None = None
        self._thresholds = gc.get_threshold()

    def turn(self) -> bool:
        """Set aside what is there to stay, if there is enough of it. Says whether it did."""
        table = self._registry.table
        more = self._more()
        if more - self._seen_more >= max(CHANGES, SHARE * self._seen_more):
            # No look at them first: they came within moments of each other, and hardly with any garbage.
            self._seen_more = more
            gc.freeze()
        if table.version - self._seen < max(CHANGES, SHARE * len(table)):
            return False
        self._seen = table.version
        gc.collect()
        gc.freeze()
        return True

    def start(self) -> None:
        """Set aside what is there now, a snapshot's instances among it: they are no garbage."""
        gc.freeze()
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*THRESHOLDS)
        self._seen = self._registry.table.version
        self._task = asyncio.get_running_loop().create_task(self._run(), name="registry housekeeping")

    def stop(self) -> None:
        """Leave the rest to the interpreter."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            gc.set_threshold(*self._thresholds)
            gc.unfreeze()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            self.turn()
