"""Every operation once: what is asked, checked against the table, written through the engine, told on.

Writes change nothing here by themselves. They go to the engine, and what the engine says happened is
applied to the table, whoever caused it. Heartbeats stay in the table.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from random import Random
from typing import Protocol

from resilient.clock import SYSTEM, Clock
from resilient.errors import WireError
from resilient.eureka.limits import LIMITS, Limits, check_metadata
from resilient.model import Instance, Status

from .answers import Answers
from .engine import (
    REASON,
    Batch,
    Committed,
    Condition,
    MemoryEngine,
    Operation,
    instance_key,
    instance_of_key,
)
from .expiry import Lease
from .leases import Caps, LeaseTable, TableFull
from .preservation import Preservation, PreservationPolicy
from .records import Cause, Change, Record, Renewal
from .slices import sliced
from .status import own_override
from .weight import Ballast

_log = logging.getLogger("resilient.registry")

#: Changes remembered for people and pages.
REMEMBERED = 1000
_TRIES = 5
_UNKNOWN = Renewal.UNKNOWN
#: Seconds beyond its duration that a lease from a snapshot has: clients first have to find us again.
RESTORE_GRACE = 15.0
#: Evictions before everybody else on this loop has a turn.
_REMOVED_AT_ONCE = 100
_MINUTE = 60.0


class Registered(StrEnum):
    """What became of a registration."""

    DONE = "done"
    IGNORED = "ignored"  # a late echo of an instance that signed out
    FULL = "full"


class Outbox(Protocol):
    """Whoever tells other registries what happened here. Evictions are not told: each judges for itself."""

    def registered(self, record: Record) -> None:
        """An instance registered, or its metadata changed."""
        ...

    def cancelled(self, record: Record) -> None:
        """An instance signed out; ``record`` is what was known of it."""
        ...

    def overridden(self, record: Record, status: Status) -> None:
        """An operator's status was set."""
        ...

    def override_removed(self, record: Record, show: Status) -> None:
        """An operator's status was taken back; the instance shows ``show`` until it registers again."""
        ...


class Registry:
    """One node's registry. Lives on one event loop.

    ``factor`` is how many durations after its last sign of life a lease expires; ``strict`` is that of
    :class:`.leases.LeaseTable`.
    """

    def __init__(
        self,
        *,
        engine: MemoryEngine | None = None,
        clock: Clock = SYSTEM,
        rng: Random | None = None,
        caps: Caps | None = None,
        policy: PreservationPolicy | None = None,
        factor: float = 1.0,
        strict: bool = False,
        limits: Limits = LIMITS,
    ) -> None:
        self.clock = clock
        self.limits = limits
        self.table = LeaseTable(clock, caps=caps, factor=factor, strict=strict)
        self.ballast = Ballast(clock)
        self.answers = Answers(self.table)
        self.preservation = Preservation(rng or Random(), policy)
        self.remembered: deque[tuple[float, Change]] = deque(maxlen=REMEMBERED)
        self.started = clock.monotonic()
        #: Told of every write that did not come from a peer; None without peers.
        self.outbox: Outbox | None = None
        #: Whose heartbeats peers are to hear of, by service and id; None without peers.
        self.beats: dict[tuple[str, str], None] | None = None
        self._engine = engine or MemoryEngine()
        self._leave = self._engine.subscribe(self._apply)
        self._subscribers: tuple[Callable[[Change], None], ...] = ()
        self._beats: deque[tuple[float, int]] = deque()

    # --- reading

    def visible(self, service: str, id: str) -> Lease | None:
        """The lease, unless it has run out and nothing protects it."""
        return self._shown(self.table.get(service, id))

    def visible_anywhere(self, id: str) -> Lease | None:
        """The first visible lease with this id, whatever its service."""
        return self._shown(self.table.find(id))

    def _shown(self, lease: Lease | None) -> Lease | None:
        if lease is None or (self.table.has_expired(lease) and not self.preservation.active):
            return None
        return lease

    def heartbeats_per_minute(self) -> int:
        """Successful heartbeats of the last sixty seconds, to the sweep."""
        return self.table.renewals - self._beats[0][1] if self._beats else self.table.renewals

    def uptime(self) -> float:
        """Seconds since the start."""
        return self.clock.monotonic() - self.started

    # --- writing

    async def register(self, instance: Instance, *, by: str = "", replication: bool = False) -> Registered:
        """Register, or register again."""
        if not self.ballast.has_room(instance):
            _log.warning("registration refused: the metadata of all instances takes too much memory")
            return Registered.FULL
        try:
            done = await self._write(
                instance.service,
                instance.id,
                lambda: self.table.plan_register(instance, by=by, replication=replication),
            )
        except TableFull as full:
            _log.warning("registration refused: %s", full)
            return Registered.FULL
        if not done:
            return Registered.IGNORED
        if not replication:
            self._tell_registered(instance.service, instance.id)
        return Registered.DONE

    def renew(self, service: str, id: str, dirty_at: int | None = None) -> Renewal:
        """A heartbeat of a client."""
        renewal = self.table.renew(service, id, dirty_at)
        if self.beats is not None and renewal is not _UNKNOWN:
            self.beats[service, id] = None
        return renewal

    async def renew_from_peer(
        self, service: str, id: str, dirty_at: int | None = None, override: Status | None = None
    ) -> Renewal:
        """A heartbeat told on by another registry, with the override it knows of."""
        renewal = self.table.renew(service, id, dirty_at, replication=True)
        if renewal is Renewal.NEWER_THERE and override is not None:
            await self._write(service, id, lambda: self.table.plan_peer_override(service, id, override))
        return renewal

    async def take(self, instance: Instance, by: str = "") -> Registered:
        """A peer's copy, which is newer than ours, with the override it knows of."""
        became = await self.register(instance, by=by, replication=True)
        override = own_override(instance)
        if became is Registered.DONE and override is not Status.UNKNOWN:
            service, id = instance.service, instance.id
            await self._write(service, id, lambda: self.table.plan_peer_override(service, id, override))
        return became

    async def cancel(
        self, service: str, id: str, *, dirty_at: int | None = None, replication: bool = False
    ) -> bool:
        """Sign an instance out. False if it is not there.

        With ``dirty_at`` an instance that has registered anew since that stamp stays.
        """
        lease = self.table.get(service, id)
        if lease is not None and dirty_at is not None and lease.record.instance.dirty_at > dirty_at:
            return True
        done = await self._remove(service, id, Cause.CANCELLED)
        if done and lease is not None and self.outbox is not None and not replication:
            self.outbox.cancelled(lease.record)
        return done

    async def set_status(
        self, service: str, id: str, status: Status, dirty_at: int = 0, *, replication: bool = False
    ) -> bool:
        """An operator's word on the status. False if the instance is not there."""
        if self.visible(service, id) is None:
            return False
        self.table.touch(service, id)
        await self._write(
            service, id, lambda: self.table.plan_override(service, id, status, dirty_at=dirty_at)
        )
        lease = self.table.get(service, id)
        if lease is not None and self.outbox is not None and not replication:
            self.outbox.overridden(lease.record, status)
        return True

    async def clear_status(
        self,
        service: str,
        id: str,
        show: Status | None = None,
        dirty_at: int = 0,
        *,
        replication: bool = False,
    ) -> bool:
        """Take an operator's word back; ``show`` is the status until the next registration.

        False if the instance is not there.
        """
        if self.visible(service, id) is None:
            return False
        self.table.touch(service, id)
        await self._write(
            service,
            id,
            lambda: self.table.plan_override(service, id, None, show=show, dirty_at=dirty_at),
        )
        lease = self.table.get(service, id)
        if lease is not None and self.outbox is not None and not replication:
            self.outbox.override_removed(lease.record, show or Status.UNKNOWN)
        return True

    async def add_metadata(
        self, service: str, id: str, entries: Mapping[str, str], *, replication: bool = False
    ) -> bool:
        """Add to an instance's metadata. False if it is not there; WireError if it would be too much."""
        lease = self.visible(service, id)
        if lease is None:
            return False
        metadata = check_metadata({**lease.record.instance.metadata, **entries}, "metadata", self.limits)
        if not self.ballast.has_room(replace(lease.record.instance, metadata=metadata)):
            raise WireError("the metadata of all instances takes too much memory")
        done = await self._write(service, id, lambda: self.table.plan_metadata(service, id, entries))
        if done and not replication:
            self._tell_registered(service, id)
        return done

    async def sweep(self) -> int:
        """Evict whoever has been silent for too long. Call every ``preservation.policy.period`` seconds.

        Returns how many were evicted.
        """
        now = self.clock.monotonic()
        was_active = self.preservation.active
        gone = await sliced(self.preservation.sweeping(self.table, now))
        if self.preservation.active and not was_active:
            _log.warning("instances are protected: %s", self.preservation.reason)
        elif was_active and not self.preservation.active:
            _log.warning("instances are no longer protected: enough of them renew again")
        for number, lease in enumerate(gone, 1):
            instance = lease.record.instance
            await self._remove(instance.service, instance.id, Cause.EXPIRED)
            if number % _REMOVED_AT_ONCE == 0:
                await asyncio.sleep(0)
        self.answers.forget()
        self._beats.append((now, self.table.renewals))
        while self._beats[0][0] < now - _MINUTE:
            self._beats.popleft()
        return len(gone)

    # --- being told

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``callback`` with every change, in order. It must not wait. Returns the way to leave."""
        self._subscribers = (*self._subscribers, callback)

        def leave() -> None:
            self._subscribers = tuple(one for one in self._subscribers if one is not callback)

        return leave

    def restore(self, records: Iterable[Record]) -> int:
        """Take records from a snapshot; not confirmed until their instances are heard. Says how many were
        taken: not those whose instance is there already, nor those for which there is no room."""
        table, answers, ballast = self.table, self.answers, self.ballast
        taken: list[tuple[str, Record]] = []
        for record in records:
            if table.restore(record, RESTORE_GRACE):
                instance = record.instance
                taken.append((instance_key(instance.service, instance.id), record))
                answers.put(record)
                ballast.restored(instance)
        self._engine.restore(taken)
        return len(taken)

    def close(self) -> None:
        """Stop listening to the engine."""
        self._leave()

    # --- inside

    def _tell_registered(self, service: str, id: str) -> None:
        lease = self.table.get(service, id)
        if lease is not None and self.outbox is not None:
            self.outbox.registered(lease.record)

    async def _write(self, service: str, id: str, plan: Callable[[], Record | None]) -> bool:
        """Plan, commit; plan again if somebody else was faster. False if there was nothing to store."""
        key = instance_key(service, id)
        for _ in range(_TRIES):
            condition = Condition(key, self._engine.revision_of(key))
            record = plan()
            if record is None:
                return False
            if isinstance(await self._engine.commit((condition,), (Operation(key, record),)), Committed):
                return True
        raise RuntimeError(f"{_TRIES} writes to one instance in a row met somebody else's")

    async def _remove(self, service: str, id: str, cause: Cause) -> bool:
        key = instance_key(service, id)
        for _ in range(_TRIES):
            lease = self.table.get(service, id)
            if lease is None or (cause is Cause.EXPIRED and not self.table.has_expired(lease)):
                # Whoever came back while the engine was asked, stays.
                if cause is Cause.CANCELLED:
                    self.table.remove(service, id, cause)
                return False
            condition = Condition(key, self._engine.revision_of(key))
            operations = (Operation(key, None), Operation(REASON, cause))
            if isinstance(await self._engine.commit((condition,), operations), Committed):
                return True
        return False

    def _apply(self, batch: Batch) -> None:
        reason = Cause.EXPIRED
        for event in batch.events:
            if event.key == REASON and isinstance(event.value, Cause):
                reason = event.value
        for event in batch.events:
            place = instance_of_key(event.key)
            if place is None:
                continue
            if isinstance(event.value, Record):
                self._told(self.table.put(event.value))
            elif (change := self.table.remove(*place, reason)) is not None:
                self._told(change)

    def _told(self, change: Change) -> None:
        self.answers.apply(change)
        self.ballast.heard(change)
        self.remembered.append((self.clock.time(), change))
        for callback in self._subscribers:
            try:
                callback(change)
            except Exception:
                _log.exception("a subscriber failed on a change")
