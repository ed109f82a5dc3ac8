"""Who is registered, and until when. Pure: told the time by its clock, never waiting.

Writing has two steps, so that an engine can stand between them: ``plan_*`` says what would be stored, and
:meth:`LeaseTable.put` and :meth:`LeaseTable.remove` make it so. ``register``, ``cancel`` and ``override``
do both, for a table on its own. Heartbeats need no plan.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Generator, Iterator, Mapping
from random import Random
from typing import TypeVar

from resilient.clock import Clock
from resilient.model import Instance, Status

from . import planning
from .caps import Caps, TableFull
from .expiry import STEP, Lease, Watch
from .records import NO_NOTE, Cause, Change, Note, Record, Renewal, Tombstone, alike
from .slices import whole
from .vips import VipIndex

__all__ = ["Caps", "LeaseTable", "TableFull"]

# By name: on Python 3.11 reading a member of an enumeration is a slow look-up, and heartbeats do it often.
_RENEWED, _UNKNOWN, _STATUS_UNKNOWN = Renewal.RENEWED, Renewal.UNKNOWN, Status.UNKNOWN
Key = tuple[str, str]
_T = TypeVar("_T")

#: How long a change stays in the delta, and an operator's word on an instance that expired, in seconds.
DELTA_SECONDS = 180.0
NOTE_SECONDS = 3600.0


class LeaseTable:
    """All leases of a registry. Lives on one event loop.

    ``factor`` is how many durations after its last sign of life a lease expires; Eureka's own server
    takes 2. A lease that is protected is kept for at most ``keep`` durations. Service names are lower
    case, as everywhere inside. ``strict`` keeps to three habits of Eureka's own server: a late echo of an
    instance that signed out registers it again, metadata set here lasts until the instance's next
    registration, and an override that equals the status is not recorded.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        caps: Caps | None = None,
        factor: float = 1.0,
        keep: float = 10.0,
        strict: bool = False,
    ) -> None:
        self._clock = clock
        self._strict = strict
        self.caps = caps or Caps()
        self._services: dict[str, dict[str, Lease]] = {}
        self._vips = VipIndex()
        self._watch = Watch(factor=factor, keep=keep)
        self._recent: OrderedDict[Key, Change] = OrderedDict()
        self._tombstones: OrderedDict[Key, Tombstone] = OrderedDict()
        self._notes: OrderedDict[Key, Note] = OrderedDict()
        self._granted = 0.0
        #: Instances per status, kept as they change; zero counts stay.
        self.counts: dict[Status, int] = dict.fromkeys(Status, 0)
        #: Grows with every change of what a full answer, or a delta, would hold.
        self.version = 1
        self.delta_version = 2
        #: Successful heartbeats since the start.
        self.renewals = 0
        #: Leases that came from a snapshot, and how many of them nothing was heard of since.
        self.restored = 0
        self.unconfirmed = 0
        self._number = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    # --- reading

    def now(self) -> float:
        """The table's own monotonic time: the clock's, less what :meth:`grant` gave back."""
        return self._clock.monotonic() - self._granted

    def wall_ms(self, moment: float) -> int:
        """A moment of :meth:`now` as milliseconds since the epoch, for showing."""
        return int((self._clock.time() - (self.now() - moment)) * 1000)

    def get(self, service: str, id: str) -> Lease | None:
        """The lease, expired or not."""
        members = self._services.get(service)
        return members.get(id) if members is not None else None

    def find(self, id: str) -> Lease | None:
        """The first lease with this id, whatever its service."""
        for members in self._services.values():
            if (lease := members.get(id)) is not None:
                return lease
        return None

    def services(self) -> Iterator[str]:
        """The names of all services."""
        return iter(self._services)

    def leases(self, service: str) -> Mapping[str, Lease]:
        """The leases of one service by id; empty if nobody knows it."""
        return self._services.get(service, {})

    def vip(self, name: str, *, secure: bool = False) -> list[Lease]:
        """Everybody who answers to a virtual address."""
        return self._vips.find(name, secure, self._services)

    def has_expired(self, lease: Lease) -> bool:
        """Whether the lease has run out, evicted or not."""
        return lease.renewed + lease.duration < self.now()

    def is_late(self, lease: Lease) -> bool:
        """Whether more than two heartbeats are missing."""
        return lease.renewed + lease.late_after < self.now()

    def changes(self) -> list[Change]:
        """What changed in the last three minutes; each instance once, with its last change."""
        self.forget()
        return list(self._recent.values())

    @property
    def number(self) -> int:
        """The number of the last change."""
        return self._number

    @property
    def changed_lately(self) -> int:
        """How many :meth:`changes` there are, to the last :meth:`forget`."""
        return len(self._recent)

    # --- heartbeats

    def renew(
        self, service: str, id: str, dirty_at: int | None = None, *, replication: bool = False
    ) -> Renewal:
        """A heartbeat, with the instance's own stamp if it came with one."""
        members = self._services.get(service)
        lease = members.get(id) if members is not None else None
        if lease is None:
            return _UNKNOWN
        known = lease.record.instance
        if known.status is _STATUS_UNKNOWN:
            return _UNKNOWN
        lease.renewed = self._clock.monotonic() - self._granted
        self.renewals += 1
        if lease.silence or lease.restored:
            self._heard(lease)
        if dirty_at is None or dirty_at == known.dirty_at:
            return _RENEWED
        if dirty_at > known.dirty_at:
            return Renewal.NEWER_THERE
        return Renewal.NEWER_HERE if replication else Renewal.RENEWED

    def touch(self, service: str, id: str) -> bool:
        """A sign of life that is no heartbeat. False if nobody is there."""
        lease = self.get(service, id)
        if lease is None:
            return False
        lease.renewed = self.now()
        self._heard(lease)
        return True

    # --- what a write would store

    def plan_register(self, instance: Instance, *, by: str = "", replication: bool = False) -> Record | None:
        """What a registration stores; None if it is a late echo of an instance that signed out.

        :class:`TableFull` if it is new and there is no room.
        """
        key = (instance.service, instance.id)
        tomb = self._tombstones.get(key)
        if tomb is not None and instance.dirty_at <= tomb.dirty_at and self.now() <= tomb.until:
            return None
        lease = self.get(*key)
        if lease is not None:
            return planning.registered(instance, lease.record, self._ms(), by=by, replication=replication)
        self._room(instance.service)
        note = self._notes.get(key)
        if note is None or note.until < self.now():
            note = NO_NOTE
        return planning.registered(instance, None, self._ms(), note=note, by=by, replication=replication)

    def plan_override(
        self, service: str, id: str, status: Status | None, *, show: Status | None = None, dirty_at: int = 0
    ) -> Record | None:
        """What setting (or, with None, removing) an operator's status stores; None if nothing changes."""
        lease = self.get(service, id)
        if lease is None or (self._strict and status is lease.record.instance.status):
            return None
        return planning.overridden(lease.record, status, self._ms(), show=show, dirty_at=dirty_at)

    def plan_peer_override(self, service: str, id: str, status: Status) -> Record | None:
        """What a peer's word on an override stores; None if nothing changes."""
        lease = self.get(service, id)
        return planning.overridden_by_peer(lease.record, status, self._ms()) if lease is not None else None

    def plan_metadata(self, service: str, id: str, entries: Mapping[str, str]) -> Record | None:
        """What adding to an instance's metadata stores; None if nobody is there."""
        lease = self.get(service, id)
        if lease is None:
            return None
        return planning.with_metadata(lease.record, entries, self._ms(), overlay=not self._strict)

    # --- making it so

    def put(self, record: Record) -> Change:
        """Store a record. It counts as a sign of life."""
        instance = record.instance
        key = (instance.service, instance.id)
        self._tombstones.pop(key, None)
        self._notes.pop(key, None)
        members = self._services.setdefault(instance.service, {})
        lease = members.get(instance.id)
        before: Status | None = None
        same = False
        now = self.now()
        if lease is None:
            lease = members[instance.id] = Lease(record, now)
            self._size += 1
            self._vips.add(lease.record.instance)
        else:
            before = lease.record.instance.status
            same = alike(lease.record, record)
            self.counts[before] -= 1
            self._vips.replace(lease.record.instance, instance)
            lease.record = record
            lease.renewed = now
            self._heard(lease)
        self.counts[instance.status] += 1
        self._watch.start(lease)
        return self._changed(record, before, same)

    def remove(self, service: str, id: str, cause: Cause) -> Change | None:
        """End a lease, because it was ``CANCELLED`` or has ``EXPIRED``. None if there is none."""
        members = self._services.get(service)
        lease = members.pop(id, None) if members is not None else None
        if cause is Cause.CANCELLED:
            self._notes.pop((service, id), None)
        if lease is None or members is None:
            return None
        if not members:
            del self._services[service]
        self._size -= 1
        self._vips.discard(lease.record.instance)
        self._watch.stop(lease)
        if lease.restored:
            self.unconfirmed -= 1
        known, now = lease.record, self.now()
        self.counts[known.instance.status] -= 1
        if cause is Cause.CANCELLED:
            if not self._strict:
                tomb = Tombstone(known.instance.dirty_at, now + lease.duration)
                self._keep(self._tombstones, service, id, tomb)
        elif known.override is not Status.UNKNOWN or known.overlay:
            note = Note(known.override, known.overlay, now + NOTE_SECONDS)
            self._keep(self._notes, service, id, note)
        return self._changed(planning.removed(known, cause, self._ms()), known.instance.status)

    def restore(self, record: Record, grace: float) -> bool:
        """Store a record from a snapshot. It has its duration, and ``grace`` seconds, to be renewed in.

        False if the instance is there already or there is no room. It is no change that anybody is told of.
        """
        instance = record.instance
        service, id = instance.service, instance.id
        if id in self._services.get(service, ()):
            return False
        try:
            self._room(service)
        except TableFull:
            return False
        lease = self._services.setdefault(service, {})[id] = Lease(record, self.now() + grace)
        lease.restored = True
        self.restored += 1
        self.unconfirmed += 1
        self._size += 1
        self._vips.add(instance)
        self.counts[instance.status] += 1
        self._watch.start(lease)
        self.version += 1
        return True

    # --- both steps at once

    def register(self, instance: Instance, *, by: str = "", replication: bool = False) -> Change | None:
        """Register, or register again. None for a late echo of an instance that signed out."""
        record = self.plan_register(instance, by=by, replication=replication)
        return self.put(record) if record is not None else None

    def cancel(self, service: str, id: str) -> Change | None:
        """Sign out. None if nobody was there; an operator's word on it is forgotten in any case."""
        return self.remove(service, id, Cause.CANCELLED)

    def override(
        self, service: str, id: str, status: Status | None, *, show: Status | None = None, dirty_at: int = 0
    ) -> Change | None:
        """Set or remove an operator's status. None if nothing changed; the lease is renewed all the same."""
        record = self.plan_override(service, id, status, show=show, dirty_at=dirty_at)
        if record is None:
            self.touch(service, id)
            return None
        return self.put(record)

    # --- silence

    def advance(self) -> None:
        """Find who fell silent, and forget what is too old to matter. Once per sweep."""
        whole(self.advancing())

    def advancing(self) -> Generator[None, None, None]:
        """:meth:`advance` in steps, between which others may read and write here."""
        yield from self._watch.advancing(self.now())
        yield from self._forgetting()

    def expired(
        self, most: int, rng: Random, *, overdue: bool = False, spared: Container[Lease] = ()
    ) -> list[Lease]:
        """At most ``most`` leases that have run out, or that no protection keeps any more, at random,
        so that no service loses all at once. As of the last :meth:`advance`."""
        among = self._watch.overdue if overdue else self._watch.expired
        found = [lease for lease in among if lease not in spared] if spared else list(among)
        return found if len(found) <= most else rng.sample(found, most)

    def late(self) -> list[Lease]:
        """The leases that miss more than two heartbeats."""
        return list(self._watch.late)

    @property
    def late_unconfirmed(self) -> int:
        """How many of the late ones came from a snapshot and were never heard."""
        return self._watch.late_restored

    @property
    def late_count(self) -> int:
        """How many leases are late, expired ones included."""
        return len(self._watch.late)

    def grant(self, seconds: float) -> None:
        """Give back time in which nobody could be heard: no lease is older for it."""
        self._granted += seconds

    # --- inside

    def _heard(self, lease: Lease) -> None:
        self._watch.heard(lease)
        if lease.restored:
            lease.restored = False
            self.unconfirmed -= 1

    def _room(self, service: str) -> None:
        self.caps.check(self._size, len(self._services), len(self._services.get(service, ())))

    def _changed(self, record: Record, before: Status | None, same: bool = False) -> Change:
        self._number += 1
        self.version += 1
        self.delta_version += 1
        change = Change(self._number, self._clock.monotonic(), record, before, same)
        self._keep(self._recent, change.service, change.id, change)
        return change

    def _keep(self, place: OrderedDict[Key, _T], service: str, id: str, what: _T) -> None:
        place[service, id] = what
        place.move_to_end((service, id))
        if len(place) > self.caps.instances:
            place.popitem(last=False)

    def forget(self) -> None:
        """Drop what is too old; every collection is in the order of time, or nearly."""
        whole(self._forgetting())

    def _forgetting(self) -> Generator[None, None, None]:
        oldest = self._clock.monotonic() - DELTA_SECONDS
        recent = self._recent
        while recent:
            key = next(iter(recent))
            if recent[key].at >= oldest:
                break
            del recent[key]
            self.delta_version += 1
            if not len(recent) % STEP:
                yield
        self._forget_old(self._tombstones)
        self._forget_old(self._notes)

    def _forget_old(self, place: OrderedDict[Key, Tombstone] | OrderedDict[Key, Note]) -> None:
        now = self.now()
        while place and place[key := next(iter(place))].until < now:
            del place[key]

    def _ms(self) -> int:
        return int(self._clock.time() * 1000)
