"""How long calls took: a mergeable histogram in logarithmic buckets, at most 1.6 % wide of the truth.

The bucket of a duration is the upper part of its 32-bit float: sign, exponent and the first 5 bits of the
mantissa. ``array`` makes it for a whole batch at once, which is why one sample costs some 60 ns and no
logarithm. The value shown for a bucket is its middle. The first 24 bits are the same idea as the HDR
histogram's, with the hardware's own exponent as the magnitude.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

_SHIFT = 2  # of the 7 mantissa bits in the upper half, 5 are kept
_HIGH = 1 if sys.byteorder == "little" else 0


def _upper(seconds: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", seconds))[0]) >> 16


#: Buckets reach from a microsecond to some two hours; what lies outside counts at the end it missed.
_LOWEST = _upper(1e-6) >> _SHIFT
_HIGHEST = _upper(8000.0) >> _SHIFT
_SIZE = _HIGHEST - _LOWEST + 1
_BOTTOM = _LOWEST << _SHIFT
_SIGN = 0x8000


def _middle(index: int) -> float:
    bits = (index + _LOWEST) << (_SHIFT + 16)
    low = struct.unpack("<f", struct.pack("<I", bits))[0]
    high = struct.unpack("<f", struct.pack("<I", bits + (1 << (_SHIFT + 16))))[0]
    return float((low + high) / 2)


#: Upper bounds, in seconds, of the coarse buckets that metrics are exported in; one more holds the rest. They
#: are the same for all circuits, or sums over circuits would break.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_COARSE = bytes(bisect_left(BOUNDS, _middle(index)) for index in range(_SIZE))

_WIDER = {"B": "H", "H": "I", "I": "Q"}


class Histogram:
    """Counts of durations (seconds) by bucket. Adding two of them adds their counts exactly.

    Only the stretch of buckets that was met is kept, one byte each until one of them counts beyond that.
    """

    __slots__ = ("_counts", "_lowest", "longest", "total")

    def __init__(self) -> None:
        self._counts = array("B")
        self._lowest = 0
        self.total = 0.0
        self.longest = 0.0

    def add(self, seconds: Sequence[float]) -> float:
        """Count a batch; answers its longest. A negative duration (a clock that stepped back) counts as
        the shortest.
        """
        if not seconds:
            return 0.0
        upper = array("H", array("f", seconds).tobytes())[_HIGH::2]
        counts = self._counts
        start = self._lowest + _LOWEST
        size = len(counts)
        short = 0
        for key, n in Counter(upper).items():
            place = (key >> _SHIFT) - start
            if 0 <= place < size:
                try:
                    counts[place] += n
                    continue
                except OverflowError:
                    pass
            elif key < _BOTTOM or key >= _SIGN:
                short += n  # a set sign bit is no long call but a clock that stepped back
                continue
            self._count(min((key >> _SHIFT) - _LOWEST, _SIZE - 1), n)
            counts = self._counts
            start = self._lowest + _LOWEST
            size = len(counts)
        if short:
            self._count(0, short)
        self.total += sum(seconds)
        longest = max(seconds)
        if longest > self.longest:
            self.longest = longest
        return longest

    def _count(self, bucket: int, n: int) -> None:
        place = bucket - self._lowest
        counts = self._counts
        if place < 0 or place >= len(counts):
            place = self._reach(bucket)
            counts = self._counts
        try:
            counts[place] += n
        except OverflowError:
            if counts.typecode not in _WIDER:
                raise ValueError(f"too many calls in bucket {bucket}") from None
            self._counts = array(_WIDER[counts.typecode], counts)
            self._count(bucket, n)

    def _reach(self, bucket: int) -> int:
        counts = self._counts
        empty = array(counts.typecode, (0,))
        if not counts:
            self._lowest = bucket
            counts.append(0)
        elif bucket < self._lowest:
            self._counts = empty * (self._lowest - bucket) + counts
            self._lowest = bucket
        else:
            counts.extend(empty * (bucket - self._lowest - len(counts) + 1))
        return bucket - self._lowest

    def merge(self, other: Histogram) -> None:
        """Add another histogram's counts to this one."""
        for bucket, n in other.packed():
            self._count(bucket, n)
        self.total += other.total
        self.longest = max(self.longest, other.longest)

    def __len__(self) -> int:
        return sum(self._counts)

    @property
    def mean(self) -> float:
        """The exact mean in seconds, 0 when empty."""
        n = len(self)
        return self.total / n if n else 0.0

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """The duration below which each share of the samples lies, in seconds; all 0 when empty."""
        sums = list(accumulate(self._counts))
        if not sums:
            return [0.0 for _ in shares]
        found = []
        for share in shares:
            rank = max(1.0, share * sums[-1])
            place = bisect_left(sums, rank - 1e-9)
            found.append(min(_middle(self._lowest + place), self.longest))
        return found

    def into(self, coarse: list[int]) -> None:
        """Add the counts to those of the buckets of :data:`BOUNDS`."""
        for bucket, n in enumerate(self._counts, self._lowest):
            if n:
                coarse[_COARSE[bucket]] += n

    def packed(self) -> list[list[int]]:
        """``[[bucket, count], ...]`` in rising order: for the wire, to be merged elsewhere."""
        return [[bucket, n] for bucket, n in enumerate(self._counts, self._lowest) if n]

    def dense(self) -> tuple[int, list[int]]:
        """The lowest bucket met, and the counts from there on: the quickest way onto a wire."""
        return self._lowest, self._counts.tolist()

    @classmethod
    def unpack(cls, packed: Iterable[Sequence[int]]) -> Histogram:
        """The counts of :meth:`packed` as a histogram again; the longest is its highest bucket.

        Raises ValueError for buckets and counts that no histogram has.
        """
        self = cls()
        for bucket, n in packed:
            if not 0 <= bucket < _SIZE or n < 0:
                raise ValueError(f"no such bucket: {bucket}")
            self._count(bucket, n)
            self.total += _middle(bucket) * n
        if self._counts:
            self.longest = _middle(self._lowest + len(self._counts) - 1)
        return self


#: Calls that come one by one, not in batches, are counted so many at a time.
_FEW = 32


class Latencies:
    """The last minute of durations: a ring of periods, made when the first sample comes."""

    __slots__ = ("_few", "_head", "_length", "_past", "_periods", "_seconds")

    def __init__(self, length: float = 10.0, periods: int = 6) -> None:
        self._length = length
        self._periods: list[Histogram | None] = [None] * periods
        self._head = -1
        self._few: list[float] | None = None
        # What is older than the periods: counts by coarse bucket, and the sum of seconds.
        self._past: list[int] | None = None
        self._seconds = 0.0

    def add(self, seconds: Sequence[float], now: float) -> float:
        """Count a batch that ended about ``now`` (monotonic seconds); answers its longest."""
        if now >= (self._head + 1) * self._length:
            self._advance(now)
        return self._present().add(seconds)

    def note(self, seconds: float, now: float) -> None:
        """Count one call that ended ``now``: at once, as far as anybody can see."""
        few = self._few
        if few is None or now >= (self._head + 1) * self._length or len(few) >= _FEW:
            self._advance(now)
            few = self._few = []
        few.append(seconds)

    def _present(self) -> Histogram:
        place = self._head % len(self._periods)
        histogram = self._periods[place]
        if histogram is None:
            histogram = self._periods[place] = Histogram()
        return histogram

    def merged(self, now: float) -> Histogram:
        """All that ended within the last minute, as one histogram."""
        self._advance(now)
        whole = Histogram()
        for one in self._periods:
            if one is not None:
                whole.merge(one)
        return whole

    def lifetime(self, now: float) -> tuple[list[int], float]:
        """All calls since the start by the buckets of :data:`BOUNDS` and one more, and the sum of seconds."""
        self._advance(now)
        coarse = [0] * (len(BOUNDS) + 1) if self._past is None else self._past[:]
        seconds = self._seconds
        for one in self._periods:
            if one is not None:
                one.into(coarse)
                seconds += one.total
        return coarse, seconds

    def periods(self, now: float) -> list[tuple[int, Histogram]]:
        """The periods of the last minute that have samples, by number (they only grow), oldest first."""
        self._advance(now)
        n = len(self._periods)
        found = ((index, self._periods[index % n]) for index in range(self._head - n + 1, self._head + 1))
        return [(index, one) for index, one in found if one is not None]

    def _advance(self, now: float) -> None:
        if self._few:
            self._present().add(self._few)
            self._few = None
        index = int(now // self._length)
        n = len(self._periods)
        for gone in range(max(self._head + 1, index - n + 1), index + 1):
            old, self._periods[gone % n] = self._periods[gone % n], None
            if old is not None:
                if self._past is None:
                    self._past = [0] * (len(BOUNDS) + 1)
                old.into(self._past)
                self._seconds += old.total
        self._head = max(self._head, index)
