"""When too many fall silent at once, suspect the network and not the instances. Pure."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from random import Random

from .expiry import Lease, Silence
from .leases import LeaseTable
from .slices import whole

#: A pause of more than so many sweep periods means that this process itself was away.
PAUSE_PERIODS = 2.0
#: Evictions in one sweep, whatever the share: of a million the others go with the next ones.
MOST_GONE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PreservationPolicy:
    """When to protect leases, and how many to remove at once.

    Leases are protected while more than ``floor`` and more than ``share`` of all are late. A sweep, every
    ``period`` seconds, removes at most ``share`` of all, but at least one. When protection ends, whoever
    has not been heard again has one interval of his own left.
    """

    enabled: bool = True
    share: float = 0.15
    floor: int = 3
    period: float = 1.0


class Preservation:
    """Decides, once per sweep, who is evicted."""

    def __init__(self, rng: Random, policy: PreservationPolicy | None = None) -> None:
        self.policy = policy or PreservationPolicy()
        self._rng = rng
        self._last: float | None = None
        # Whom protection kept, and until when he may still be on his way back.
        self._returning: dict[Lease, float] = {}
        #: Leases are being protected.
        self.active = False
        #: So many are late that leases are protected, or would be if that were not switched off.
        self.suspicious = False
        #: Monotonic second at which protection began, if it is active.
        self.since: float | None = None
        #: Why, in plain words; empty when nothing is protected.
        self.reason = ""

    def sweep(self, table: LeaseTable, now: float) -> list[Lease]:
        """Whom to evict now. ``now`` is the clock's monotonic time, in seconds."""
        return whole(self.sweeping(table, now))

    def sweeping(self, table: LeaseTable, now: float) -> Generator[None, None, list[Lease]]:
        """:meth:`sweep` in steps; what it says holds for the moment of the last one."""
        self._grant_pause(table, now)
        yield from table.advancing()
        late, size = table.late_count, len(table)
        was_active = self.active
        if table.unconfirmed * 2 < table.restored:
            # Most of a snapshot came back, so the network is well: the rest died while we were down.
            self._judge(late - table.late_unconfirmed, size - table.unconfirmed, now)
        else:
            self._judge(late, size, now)
        if was_active and not self.active:
            self._expect(table)
        for lease, until in list(self._returning.items()):
            if until < table.now() or lease.silence in (Silence.NONE, Silence.OVERDUE):
                del self._returning[lease]
        return table.expired(self._limit(size), self._rng, overdue=self.active, spared=self._returning)

    def _expect(self, table: LeaseTable) -> None:
        """Protection ends when most have returned; the last ones' heartbeats come within one interval."""
        now = table.now()
        for lease in table.late():
            if lease.silence is not Silence.OVERDUE:
                grace = min(lease.record.instance.renew_every + 1.0, lease.duration)
                self._returning[lease] = now + grace

    def _grant_pause(self, table: LeaseTable, now: float) -> None:
        last, self._last = self._last, now
        if last is None:
            return
        gap = now - last
        if gap > PAUSE_PERIODS * self.policy.period:
            # Heartbeats that came meanwhile still wait to be read: nobody loses time for our absence.
            table.grant(gap - self.policy.period)

    def _judge(self, late: int, size: int, now: float) -> None:
        policy = self.policy
        allowed = max(policy.floor, policy.share * size)
        self.suspicious = late > allowed
        active = policy.enabled and self.suspicious
        if active and not self.active:
            self.since = now
        elif not active:
            self.since = None
        self.active = active
        self.reason = (
            f"{late} of {size} instances missed more than two heartbeats at about the same time; "
            f"silent instances are removed only while at most {int(allowed)} are late, "
            "or after ten times their lease"
            if active
            else ""
        )

    def _limit(self, size: int) -> int:
        return min(MOST_GONE, max(1, size - int(size * (1 - self.policy.share))))
