"""Which leases have fallen silent, found without looking at those that have not. Pure.

Every lease lies once in a wheel, in the slot (a second wide) of the moment it is looked at next, which is
never later than the moment it would get worse. A heartbeat only writes down its time; the wheel learns of
it when that slot comes, so renewing costs nothing here.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator
from enum import IntEnum
from functools import lru_cache

from .records import Record
from .slices import whole

#: Leases looked at in one go. A million that fall silent at once are found over twenty sweeps, for nobody's
#: heartbeat should wait until all of them are counted.
MOST_AT_ONCE = 50_000
#: Of these, so many before others may have their turn: half a millisecond.
STEP = 500
_NOWHERE = -(2**62)
_NEVER = float("-inf")


class Silence(IntEnum):
    """How long nothing was heard, in steps."""

    NONE = 0
    LATE = 1  # more than two heartbeats are missing
    EXPIRED = 2  # the lease has run out
    OVERDUE = 3  # it ran out so long ago that nothing protects it any more


_NONE = Silence.NONE  # by name: reading a member of an enumeration is slow on Python 3.11


class Lease:
    """A record and the moment of its last sign of life (monotonic seconds).

    ``direct`` is the moment of the last one that did not come through a peer; kept with peers only.
    ``restored``: it was read from a snapshot, and nothing was heard since.
    """

    __slots__ = ("direct", "duration", "late_after", "record", "renewed", "restored", "silence", "slot")

    def __init__(self, record: Record, renewed: float) -> None:
        self.record = record
        self.renewed = renewed
        self.duration = 0.0
        self.late_after = 0.0
        self.silence = _NONE
        self.slot = _NOWHERE
        self.direct = _NEVER
        self.restored = False

    def age(self, now: float) -> float:
        """Seconds since the last sign of life."""
        return now - self.renewed

    def remaining(self, now: float) -> float:
        """Seconds until the lease runs out; negative when it has."""
        return self.renewed + self.duration - now


@lru_cache(maxsize=1024)
def _spans(renew_every: float, expire_after: float, factor: float) -> tuple[float, float]:
    """Duration and lateness of a lease; the same two objects for all leases that agree."""
    duration = expire_after * factor
    return duration, min(2 * renew_every + 1.0, duration)


class Watch:
    """The wheel, and the leases found silent so far.

    A lease is late when two of its own intervals and a second passed without a heartbeat (or its lease
    ran out before that), expired after ``factor`` durations, overdue after ``keep`` durations.
    """

    def __init__(self, *, factor: float = 1.0, keep: float = 10.0) -> None:
        self._factor = factor
        self._keep = max(keep, factor)
        self._wheel: dict[int, list[Lease]] = {}
        self._slots: list[int] = []  # a heap of the wheel's keys
        self._lying = 0  # entries in the wheel, those that are no longer true among them
        self._watched = 0
        self._turn = 0.0
        self.late: dict[Lease, None] = {}
        self.expired: dict[Lease, None] = {}
        self.overdue: dict[Lease, None] = {}
        #: How many of the late ones came from a snapshot and were never heard.
        self.late_restored = 0

    def start(self, lease: Lease) -> None:
        """A lease was given, or given anew with other durations."""
        instance = lease.record.instance
        lease.duration, lease.late_after = _spans(instance.renew_every, instance.expire_after, self._factor)
        self.heard(lease)
        # Looked at too early by a different share each time: leases given together are not due together.
        self._turn = (self._turn + 0.6180339887498949) % 1.0
        self._push(lease, lease.renewed + lease.late_after * (1.0 - 0.5 * self._turn))

    def heard(self, lease: Lease) -> None:
        """A silent lease was renewed. Only needed if ``lease.silence``."""
        if lease.silence:
            lease.silence = _NONE
            self.late_restored -= lease.restored
            self.late.pop(lease, None)
            self.expired.pop(lease, None)
            self.overdue.pop(lease, None)
            self._push(lease, lease.renewed + lease.late_after)

    def stop(self, lease: Lease) -> None:
        """The lease is gone."""
        if lease.slot != _NOWHERE:
            lease.slot = _NOWHERE
            self._watched -= 1
        if lease.silence:
            self.late_restored -= lease.restored
        for silent in (self.late, self.expired, self.overdue):
            silent.pop(lease, None)

    def advance(self, now: float) -> None:
        """Find who fell silent until ``now``; of very many, the first :data:`MOST_AT_ONCE`."""
        whole(self.advancing(now))

    def advancing(self, now: float) -> Generator[None, None, None]:
        """:meth:`advance` in steps of :data:`STEP` leases. Between them leases may come, go and be heard."""
        wheel, slots = self._wheel, self._slots
        present = int(now // 1)
        left = MOST_AT_ONCE
        # All that is due now, first: of whom is looked at, some are due again within this same second.
        due: list[tuple[int, list[Lease]]] = []
        while slots and slots[0] <= present and left > 0:
            slot = slots[0]
            bucket = wheel[slot]
            if len(bucket) > left:
                due.append((slot, bucket[-left:]))
                del bucket[-left:]
                self._lying -= left
                break
            heapq.heappop(slots)
            del wheel[slot]
            left -= len(bucket)
            self._lying -= len(bucket)
            due.append((slot, bucket))
        for slot, bucket in due:
            for at in range(0, len(bucket), STEP):
                for lease in bucket[at : at + STEP]:
                    if lease.slot == slot:  # else renewed from silence, cancelled or given anew since
                        lease.slot = _NOWHERE
                        self._watched -= 1
                        self._judge(lease, now)
                yield

    def _judge(self, lease: Lease, now: float) -> None:
        late = lease.renewed + lease.late_after
        if late >= now:
            self._push(lease, late)
            return
        expired = lease.renewed + lease.duration
        overdue = lease.renewed + lease.duration / self._factor * self._keep
        if not lease.silence:
            self.late_restored += lease.restored
        self.late[lease] = None
        lease.silence = Silence.LATE
        if expired >= now:
            self._push(lease, expired)
            return
        self.expired[lease] = None
        lease.silence = Silence.EXPIRED
        if overdue >= now:
            self._push(lease, overdue)
            return
        self.overdue[lease] = None
        lease.silence = Silence.OVERDUE

    def _push(self, lease: Lease, due: float) -> None:
        slot = int(due // 1)
        if lease.slot != _NOWHERE:
            if lease.slot <= slot:
                return  # looked at earlier anyway
        else:
            self._watched += 1
        lease.slot = slot
        bucket = self._wheel.get(slot)
        if bucket is None:
            bucket = self._wheel[slot] = []
            heapq.heappush(self._slots, slot)
        bucket.append(lease)
        self._lying += 1
        if self._lying > 2 * self._watched + 1024:
            self._tidy()

    def _tidy(self) -> None:
        """Somebody registers and cancels all the time: throw out what is no longer true."""
        self._lying = 0
        for slot, bucket in self._wheel.items():
            # A lease that went away and came back may lie here twice.
            bucket[:] = dict.fromkeys(lease for lease in bucket if lease.slot == slot)
            self._lying += len(bucket)

    def __len__(self) -> int:
        return self._lying
