"""How many retries one service may get, so that repeating never becomes the outage."""

from __future__ import annotations

from threading import Lock

_WINDOW = 10  # seconds; also the number of slices that count as "lately"
_SLICES = _WINDOW + 1


class Budget:
    """Retries are paid for by calls: a share of the calls of the last ten seconds, and a small allowance.

    With the defaults a fresh budget grants 30 retries at once and, in the long run,
    ``0.2 * calls + 3`` retries a second. Calls pay when they begin: paying on success would shrink
    the budget exactly while calls are slow or failing.
    """

    __slots__ = ("_calls", "_lock", "_marks", "_retries", "per_second", "ratio")

    def __init__(self, ratio: float = 0.2, per_second: float = 3.0) -> None:
        self.ratio = ratio
        self.per_second = per_second
        self._calls = [0] * _SLICES
        self._retries = [0] * _SLICES
        self._marks = [-_SLICES] * _SLICES  # which second a slice holds
        self._lock = Lock()

    def deposit(self, now: float) -> None:
        """A call begins at the monotonic moment ``now``."""
        second = int(now)
        index = second % _SLICES
        if self._marks[index] != second:
            self._turn(index, second)
        self._calls[index] += 1  # one bytecode-atomic step: no lock for the common case

    def withdraw(self, now: float) -> bool:
        """Take one retry out, if there is one."""
        second = int(now)
        index = second % _SLICES
        if self._marks[index] != second:
            self._turn(index, second)
        with self._lock:
            if self._balance(second) < 1.0 - 1e-9:
                return False
            self._retries[index] += 1
            return True

    def balance(self, now: float) -> int:
        """How many retries would be granted at this moment."""
        with self._lock:
            return max(0, int(self._balance(int(now)) + 1e-9))

    def _balance(self, second: int) -> float:
        calls = retries = 0
        oldest = second - _WINDOW
        for mark, begun, repeated in zip(self._marks, self._calls, self._retries, strict=True):
            # The slice that is leaving still counts against us, but no longer for us; so in no ten
            # seconds, however they are cut, are there more retries than the rule allows.
            if mark > oldest:
                calls += begun
            if mark >= oldest:
                retries += repeated
        return self.ratio * calls + self.per_second * _WINDOW - retries

    def _turn(self, index: int, second: int) -> None:
        with self._lock:
            if self._marks[index] < second:
                self._calls[index] = self._retries[index] = 0
                self._marks[index] = second
