"""How a circuit was lately: a point for each second of fifteen minutes, in a few KiB. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

#: Seconds from one point to the next, and for what is dearer to know.
STEP, SLOW_STEP = 1.0, 5.0
#: How long it is kept, in seconds.
KEEP = 900.0
_NAN = float("nan")
#: What is deleted from the front in one go, for that moves all the rest.
_TRIM = 60

SERIES = ("rate", "fail", "refused", "timeout")
QUANTILES = ("p50", "p90", "p99")


class History:
    """Calls, failing, refused and timed out calls per second; in larger steps three quantiles (s) and how
    many processes were in which state. At most ``4 * 4 * 960 + 3 * 4 * 240 + 4 * 2 * 240`` bytes: 20 KiB.
    """

    __slots__ = ("_fast", "_keep", "_slow", "_slow_keep", "_states", "slot", "slow_slot")

    def __init__(self, now: float, keep: float = KEEP) -> None:
        self._keep = int(keep / STEP)
        self._slow_keep = int(keep / SLOW_STEP)
        self.slot = int(now / STEP)
        self.slow_slot = int(now / SLOW_STEP)
        self._fast = [array("f") for _ in SERIES]
        self._slow = [array("f") for _ in QUANTILES]
        self._states = [array("H") for _ in range(4)]

    def fill(self, slot: int, values: Sequence[float] | None) -> None:
        """Close all points before ``slot`` with these values (None: nobody was heard)."""
        missing = min(slot - self.slot, self._keep)
        self.slot = slot
        for place, series in enumerate(self._fast):
            series.extend([_NAN if values is None else values[place]] * missing)
            if len(series) > self._keep + _TRIM:
                del series[: len(series) - self._keep]

    def fill_slow(self, slot: int, quantiles: Sequence[float] | None, states: Sequence[int]) -> None:
        """As :meth:`fill`, in larger steps. ``states``: closed, half-open, open, held."""
        missing = min(slot - self.slow_slot, self._slow_keep)
        self.slow_slot = slot
        for place, series in enumerate(self._slow):
            series.extend([_NAN if quantiles is None else quantiles[place]] * missing)
        for place, counts in enumerate(self._states):
            counts.extend([min(states[place], 65535)] * missing)
        if len(self._slow[0]) > self._slow_keep + _TRIM:
            for slow in self._slow:
                del slow[: len(slow) - self._slow_keep]
            for counts in self._states:
                del counts[: len(counts) - self._slow_keep]

    def tail(self, seconds: float) -> dict[str, object]:
        """The last ``seconds``, oldest first; None where nobody was heard."""
        n, slow = max(1, int(seconds / STEP)), max(1, int(seconds / SLOW_STEP))
        found: dict[str, object] = {"step": STEP, "slow_step": SLOW_STEP}
        for name, series in zip(SERIES, self._fast, strict=True):
            found[name] = points(series[-n:], 3)
        for name, series in zip(QUANTILES, self._slow, strict=True):
            found[name] = points(series[-slow:], 5)
        found["states"] = [list(one) for one in zip(*(one[-slow:] for one in self._states), strict=True)]
        return found

    def rates(self, seconds: float) -> array[float]:
        """Calls per second, the last ``seconds``, oldest first; not a number where nobody was heard."""
        return self._fast[0][-max(1, int(seconds / STEP)) :]

    def size(self) -> int:
        """Bytes of all points."""
        fast = sum(one.itemsize * len(one) for one in (*self._fast, *self._slow))
        return fast + sum(one.itemsize * len(one) for one in self._states)


def added(sums: list[float | None], series: Sequence[float]) -> list[float | None]:
    """A series added to sums, both up to now: what nobody knows counts nothing."""
    if len(series) > len(sums):
        unknown: list[float | None] = [None] * (len(series) - len(sums))
        sums = unknown + sums
    start = len(sums) - len(series)
    tail = [
        total if one != one else one if total is None else total + one
        for total, one in zip(sums[start:], series, strict=True)
    ]
    return sums[:start] + tail


def points(series: array[float], digits: int) -> list[float | None]:
    """A series for JSON."""
    return [None if value != value else round(value, digits) for value in series]
