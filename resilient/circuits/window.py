"""What happened lately: counts in a ring of time slices, with their running sums."""

from __future__ import annotations

import math
from itertools import count

from .policy import FAILURE, SHORT_CIRCUITED, SUCCESS, TIMEOUT, CircuitPolicy, Outcome

#: Columns of the window: the outcomes, then what fallbacks did and what came late or was slow, then what
#: others did to spare or to repeat a call, then what only the judge reads: good calls, bad ones, and those of
#: either that were slow.
FALLBACK_SUCCESS, FALLBACK_FAILURE, FALLBACK_REJECTED, LATE, SLOW = 7, 8, 9, 10, 11
FROM_CACHE, COLLAPSED, RETRIED, RETRY_DENIED = 12, 13, 14, 15
GOOD, BAD, DRAGGED = 16, 17, 18
COLUMNS = 19

#: Good calls are only appended; so many are folded into the counts at a time.
BATCH = 128
_STEPS = 64
_SUCCESS = int(SUCCESS)


_latest: dict[float, float] = {}


def _ends(head: int, step: float) -> float:
    """Where slice ``head`` begins: one object for all circuits, or each would have to wait for its own."""
    end = head * step
    found = _latest.get(step)
    if found != end:
        if len(_latest) >= _STEPS:
            _latest.clear()
        _latest[step] = found = end
    return found


def soonest_slow(policy: CircuitPolicy, slow: int, total: int) -> int:
    """After how many calls the share of slow ones could be too large, if all of them were slow."""
    wanted = policy.slow_rate * total - slow
    if wanted > 0 and policy.slow_rate == 1:
        return BATCH  # not before the quick ones have left
    more = int(wanted / (1 - policy.slow_rate)) if wanted > 0 else 0
    return min(BATCH, max(1, more, policy.min_calls - total))


class _Hot:
    """What every good call touches, side by side in memory: slots of a base class come first."""

    __slots__ = ("due", "end", "fresh")


class Window(_Hot):
    """Counts of the last ``length`` seconds in ``slices``, told the time by its owner's clock (monotonic).

    A call that went well costs one ``append`` to :attr:`fresh`; the owner folds the list when it has
    ``due`` entries, when the slice ends, or when somebody looks. The partial slice counts, so the window
    reaches between ``length - length/slices`` and ``length`` seconds back. GOOD, BAD and DRAGGED are what the
    judge reads, and all that :meth:`forgive` clears when a circuit closes.
    """

    __slots__ = (
        "_answered", "_head", "_ring", "_shut", "answered", "length", "past", "shut", "slices", "step",
        "sums",
    )  # fmt: skip

    def __init__(self, length: float, slices: int, now: float, before: Window | None = None) -> None:
        #: What has left the window since the start, if anything has; ``before`` is the window in whose place
        #: this one stands.
        self.past: list[int] | None = before.lifetime() if before is not None else None
        self.length = length
        self.slices = slices
        self.step = length / slices
        self.sums = [0] * COLUMNS
        self._ring: list[list[int] | None] = [None] * slices
        self._head = math.floor(now / self.step)
        self.end = _ends(self._head + 1, self.step)
        self.fresh: list[float] = []
        # Refused calls, and those of them that got a default at once: ``next()`` counts one, and is atomic.
        self.shut = count()
        self.answered = count()
        self._shut = self._answered = 0  # as far as they are in the slices
        self.due = BATCH

    def add(self, column: int, n: int = 1) -> None:
        """Count ``n`` in the present slice."""
        slot = self._head % self.slices
        counts = self._ring[slot]
        if counts is None:
            counts = self._ring[slot] = [0] * COLUMNS
        counts[column] += n
        self.sums[column] += n

    def fail(self, outcome: Outcome) -> None:
        """Count a failure or timeout that is judged, too: both at once, for failing must be cheap as well."""
        slot = self._head % self.slices
        counts = self._ring[slot]
        if counts is None:
            counts = self._ring[slot] = [0] * COLUMNS
        sums = self.sums
        counts[outcome] += 1
        counts[BAD] += 1
        sums[outcome] += 1
        sums[BAD] += 1

    def judge(self, outcome: Outcome) -> None:
        """Let an outcome count for the error rate, as one of the three that do."""
        if outcome is SUCCESS:
            self.add(GOOD)
        elif outcome is FAILURE or outcome is TIMEOUT:
            self.add(BAD)

    def fold(self) -> list[float]:
        """Count the calls that were only appended so far; answers their seconds.

        Others append meanwhile: so many are taken from the front as are there now, the rest stays.
        """
        n = len(self.fresh)
        taken = self.fresh[:n]
        if n:
            del self.fresh[:n]
            slot = self._head % self.slices
            counts = self._ring[slot]
            if counts is None:
                counts = self._ring[slot] = [0] * COLUMNS
            sums = self.sums
            counts[_SUCCESS] += n
            counts[GOOD] += n
            sums[_SUCCESS] += n
            sums[GOOD] += n
        self._count_refused()
        return taken

    def _count_refused(self) -> None:
        # Asking counts one as well, which is no call.
        shut, answered = next(self.shut) - self._shut, next(self.answered) - self._answered
        self._shut += shut + 1
        self._answered += answered + 1
        if shut or answered:
            self.add(SHORT_CIRCUITED, shut + answered)
            self.add(FALLBACK_SUCCESS, answered)

    def roll(self, now: float) -> None:
        """Let slices leave that are too old. A clock that steps back changes nothing."""
        head = math.floor(now / self.step)
        gone = head - self._head
        if gone <= 0:
            return
        if gone >= self.slices:
            self._leaves(self.sums)
            self._ring = [None] * self.slices
            self.sums = [0] * COLUMNS
        else:
            for index in range(self._head + 1, head + 1):
                counts = self._ring[index % self.slices]
                if counts is not None:
                    self._ring[index % self.slices] = None
                    self._leaves(counts)
                    self.sums = [total - n for total, n in zip(self.sums, counts, strict=True)]
        self._head = head
        self.end = _ends(head + 1, self.step)

    def _leaves(self, counts: list[int]) -> None:
        if any(counts):
            past = self.past
            self.past = counts if past is None else [n + m for n, m in zip(past, counts, strict=True)]

    def lifetime(self) -> list[int]:
        """What was counted since the start, by column. Never falls, but for what :meth:`forgive` clears."""
        past = self.past
        return self.sums[:] if past is None else [n + m for n, m in zip(past, self.sums, strict=True)]

    def forgive(self) -> None:
        """Forget what the judge reads; what people read stays."""
        for counts in self._ring:
            if counts is not None:
                counts[GOOD] = counts[BAD] = counts[DRAGGED] = 0
        self.sums[GOOD] = self.sums[BAD] = self.sums[DRAGGED] = 0

    @property
    def total(self) -> int:
        """Calls that count for the error rate."""
        return self.sums[GOOD] + self.sums[BAD]
