"""Time, as the rest of the house sees it: handed in, never asked of the machine behind a test's back."""

import time as _time
from typing import Protocol


class Clock(Protocol):
    """Two questions. Inside the house every moment is monotonic; wall time is made at the border only."""

    def time(self) -> float:
        """Seconds since the epoch: what other machines will read."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment: what only we measure. Never steps back."""
        ...


#: The production clock is the standard module itself.
SYSTEM: Clock = _time


class ManualClock:
    """A clock that stands still until it is told to move. For tests.

    Both hands start at ``start`` seconds (wall time at a plausible date) and move together;
    :meth:`step_wall` moves the wall hand alone, as an NTP correction would.
    """

    def __init__(self, start: float = 1000.0, wall: float = 1_800_000_000.0) -> None:
        self._monotonic = start
        self._wall = wall

    def time(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        # A new object each time, as the real clock gives: moments are told apart by identity too.
        return self._monotonic + 0.0

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on both hands."""
        if seconds < 0:
            raise ValueError(f"time does not run backwards: advance({seconds})")
        self._monotonic += seconds
        self._wall += seconds

    def step_wall(self, seconds: float) -> None:
        """Move only the wall hand, in either direction."""
        self._wall += seconds
