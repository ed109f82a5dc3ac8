"""Latencies as processes tell them: counts by bucket, for periods of some seconds each. Pure."""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Sequence
from typing import Annotated

import msgspec

#: Numbers beyond this are none that anybody counts.
BIGGEST = 1e15
#: Seconds one period of latencies counts, and how many periods there are.
PERIOD_KEPT, PERIODS = 60.0, 7
#: Buckets of a period, and bytes of all periods in one row.
MAX_BUCKETS, MAX_BYTES = 2048, 64 * 1024

N = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Real = Annotated[float, msgspec.Meta(ge=0.0, le=1e15)]
#: The number of the oldest period.
_FIRST = re.compile(rb"\[\s*(?:\[\s*(\d{1,15})\s*[],]|\]$)")


class Period(msgspec.Struct, gc=False, frozen=True):
    """Some seconds of latencies: ``lanes`` holds the counts of ``size`` buckets from ``lowest`` on, 64 bits
    for each; sum and longest in seconds. Adding two such numbers adds all buckets at once."""

    number: int
    lowest: int
    size: int
    lanes: int
    total: float
    longest: float


class _Row(msgspec.Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    number: N
    lowest: Annotated[int, msgspec.Meta(ge=0, le=MAX_BUCKETS)]
    # Thousands of the largest one still fit into 64 bits.
    counts: Annotated[
        list[Annotated[int, msgspec.Meta(ge=0, le=10**12)]],
        msgspec.Meta(min_length=1, max_length=MAX_BUCKETS),
    ]
    total: Real
    longest: Real


_ROWS = msgspec.json.Decoder(list[_Row])


class Heard(msgspec.Struct, gc=False):
    """The latencies of one row as they came, read only when somebody wants to know: most are replaced before.

    ``first`` is the number of the oldest period in it, ``at`` monotonic seconds. Nothing in it is anything
    the garbage collector looks at: there may be hundreds of thousands.
    """

    first: int
    at: float
    raw: bytes
    read: tuple[Period, ...] | None = None

    def periods(self) -> tuple[Period, ...]:
        """What it says, oldest first; nothing, if that makes no sense."""
        read = self.read
        if read is None:
            try:
                rows = _ROWS.decode(self.raw)[-PERIODS:]
                read = tuple([period(*msgspec.structs.astuple(one)) for one in rows])
            except (ValueError, RecursionError):
                read = ()
            self.read, self.raw = read, b""
        return read


def heard(raw: bytes, now: float) -> Heard | None:
    """The latencies of a row, None if there are none; ValueError for what cannot be any."""
    found = _FIRST.match(raw)
    if found is None:
        raise ValueError("these are no latencies")
    if found[1] is None:
        return None
    return Heard(int(found[1]), now, raw if len(raw) <= MAX_BYTES else b"[]")


def period(number: int, lowest: int, counts: Sequence[int], total: float, longest: float) -> Period:
    """One of these counts; they are whole, from 0 on, and there is at least one."""
    packed = array("Q", counts)
    if sys.byteorder == "big":
        packed.byteswap()
    return Period(number, lowest, len(packed), int.from_bytes(packed.tobytes(), "little"), total, longest)


def counts_of(lanes: int, size: int) -> array[int]:
    """The counts of so many buckets."""
    counts = array("Q", lanes.to_bytes(8 * size, "little"))
    if sys.byteorder == "big":
        counts.byteswap()
    return counts
