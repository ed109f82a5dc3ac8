"""Whether somebody looks at circuits: then processes tell of theirs once a second. Pure."""

from __future__ import annotations

from collections.abc import Callable

from resilient.clock import Clock

#: Seconds for which somebody who left, or who asks now and then, still counts as looking.
LINGER = 10.0


class Watch:
    """Counts who looks. ``changed`` is called whenever :attr:`on` has changed."""

    def __init__(self, clock: Clock, changed: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._changed = changed
        self._here = 0
        self._until = float("-inf")
        #: Somebody looks. Turns false in :meth:`tick` only: a page that is loaded again makes no noise.
        self.on = False

    def enter(self) -> None:
        """Somebody begins to look."""
        self._here += 1
        self._set(True)

    def leave(self) -> None:
        """Somebody who entered looks no more."""
        self._here -= 1
        self._until = max(self._until, self._clock.monotonic() + LINGER)

    def glance(self) -> None:
        """Somebody looked once, and may come again."""
        self._until = self._clock.monotonic() + LINGER
        self._set(True)

    def tick(self) -> None:
        """Time has passed."""
        if not self._here and self._clock.monotonic() >= self._until:
            self._set(False)

    def _set(self, on: bool) -> None:
        if on is not self.on:
            self.on = on
            self._changed()
