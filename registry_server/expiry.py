"""Which leases have fallen silent, found without looking at those that have not. Pure.

Every lease lies once in a heap under the moment it would next get worse. A heartbeat only writes down
its time; the heap learns of it when that moment comes, so renewing costs nothing here.
"""

from __future__ import annotations

import heapq
from enum import IntEnum

from .records import Record


class Silence(IntEnum):
    """How long nothing was heard, in steps."""

    NONE = 0
    LATE = 1  # more than two heartbeats are missing
    EXPIRED = 2  # the lease has run out
    OVERDUE = 3  # it ran out so long ago that nothing protects it any more


class Lease:
    """A record and the moment of its last sign of life (monotonic seconds).

    ``direct`` is the moment of the last one that did not come through a peer; kept with peers only.
    """

    __slots__ = ("direct", "due", "duration", "late_after", "record", "renewed", "silence", "ticket")

    def __init__(self, record: Record, renewed: float) -> None:
        self.record = record
        self.renewed = renewed
        self.duration = 0.0
        self.late_after = 0.0
        self.silence = Silence.NONE
        self.ticket = 0
        self.due = 0.0
        self.direct = float("-inf")

    def age(self, now: float) -> float:
        """Seconds since the last sign of life."""
        return now - self.renewed

    def remaining(self, now: float) -> float:
        """Seconds until the lease runs out; negative when it has."""
        return self.renewed + self.duration - now


class Watch:
    """The heap, and the leases found silent so far.

    A lease is late when two of its own intervals and a second passed without a heartbeat (or its lease
    ran out before that), expired after ``factor`` durations, overdue after ``keep`` durations.
    """

    def __init__(self, *, factor: float = 1.0, keep: float = 10.0) -> None:
        self._factor = factor
        self._keep = max(keep, factor)
        self._heap: list[tuple[float, int, Lease]] = []
        self._tickets = 0
        self._watched = 0
        self.late: dict[Lease, None] = {}
        self.expired: dict[Lease, None] = {}
        self.overdue: dict[Lease, None] = {}

    def start(self, lease: Lease) -> None:
        """A lease was given, or given anew with other durations."""
        instance = lease.record.instance
        lease.duration = instance.expire_after * self._factor
        lease.late_after = min(2 * instance.renew_every + 1.0, lease.duration)
        self.heard(lease)
        self._push(lease, lease.renewed + lease.late_after)

    def heard(self, lease: Lease) -> None:
        """A silent lease was renewed. Only needed if ``lease.silence``."""
        if lease.silence:
            lease.silence = Silence.NONE
            self.late.pop(lease, None)
            self.expired.pop(lease, None)
            self.overdue.pop(lease, None)
            self._push(lease, lease.renewed + lease.late_after)

    def stop(self, lease: Lease) -> None:
        """The lease is gone."""
        if lease.ticket:
            lease.ticket = 0
            self._watched -= 1
        for silent in (self.late, self.expired, self.overdue):
            silent.pop(lease, None)

    def advance(self, now: float) -> None:
        """Find who fell silent until ``now``."""
        heap = self._heap
        while heap and heap[0][0] < now:
            _, ticket, lease = heapq.heappop(heap)
            if ticket != lease.ticket:
                continue  # renewed from silence, cancelled or given anew since
            lease.ticket = 0
            self._watched -= 1
            self._judge(lease, now)

    def _judge(self, lease: Lease, now: float) -> None:
        # The same sums as in `due`, or rounding could put an entry back under the very same moment.
        late = lease.renewed + lease.late_after
        expired = lease.renewed + lease.duration
        overdue = lease.renewed + lease.duration / self._factor * self._keep
        if late >= now:
            self._push(lease, late)
            return
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
        if lease.ticket:
            if lease.due <= due:
                return  # looked at earlier anyway
        else:
            self._watched += 1
        self._tickets += 1
        lease.ticket = self._tickets
        lease.due = due
        heapq.heappush(self._heap, (due, lease.ticket, lease))
        if len(self._heap) > 2 * self._watched + 1024:
            # Somebody registers and cancels all the time: throw out what is no longer true.
            self._heap[:] = [entry for entry in self._heap if entry[1] == entry[2].ticket]
            heapq.heapify(self._heap)
