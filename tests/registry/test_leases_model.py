"""The lease table against a model that is nothing but a dict, under anything that can happen."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from registry_server.answers import Answers
from registry_server.leases import LeaseTable
from registry_server.records import Cause, Renewal
from registry_server.status import status_of
from resilient.clock import ManualClock
from resilient.model import Action, Instance, Status

IDS = st.sampled_from(["a", "b", "c"])
SERVICES = st.sampled_from(["x", "y"])
STATUSES = st.sampled_from(list(Status))
DURATIONS = st.sampled_from([(3.0, 10.0), (30.0, 90.0), (30.0, 20.0)])


@dataclass
class Known:
    status: Status
    override: Status
    dirty: int
    heard: float
    every: float
    lasts: float


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.table = LeaseTable(self.clock)
        self.answers = Answers(self.table)
        self.model: dict[tuple[str, str], Known] = {}
        self.notes: dict[tuple[str, str], tuple[Status, float]] = {}
        self.tombs: dict[tuple[str, str], tuple[int, float]] = {}
        self.mirror: dict[tuple[str, str], Status] = {}
        self.rng = Random(3)

    def tell(self, change: object) -> None:
        if change is None:
            return
        self.answers.apply(change)  # type: ignore[arg-type]
        key = (change.service, change.id)  # type: ignore[attr-defined]
        if change.action is Action.DELETED:  # type: ignore[attr-defined]
            self.mirror.pop(key, None)
        else:
            self.mirror[key] = change.record.instance.status  # type: ignore[attr-defined]

    @rule(
        service=SERVICES,
        id=IDS,
        status=STATUSES,
        dirty=st.integers(1, 9),
        lease=DURATIONS,
        peer=st.booleans(),
    )
    def register(
        self, service: str, id: str, status: Status, dirty: int, lease: tuple[float, float], peer: bool
    ) -> None:
        key, now = (service, id), self.clock.monotonic()
        every, lasts = lease
        change = self.table.register(
            Instance(
                service=service,
                id=id,
                host=id,
                port=1,
                status=status,
                dirty_at=dirty,
                renew_every=every,
                expire_after=lasts,
            ),
            replication=peer,
        )
        tomb = self.tombs.get(key)
        if tomb is not None and dirty <= tomb[0] and now <= tomb[1]:
            assert change is None
            return
        assert change is not None
        self.tell(change)
        known = self.model.get(key)
        override = known.override if known else Status.UNKNOWN
        note = self.notes.get(key)
        if known is None and note is not None and now <= note[1]:
            override = note[0]
        held = known.status if known else None
        if known is not None and known.dirty > dirty:
            known.status, known.heard = status_of(known.status, override, held, peer), now
        else:
            result = status_of(status, override, held, peer)
            self.model[key] = Known(result, override, dirty, now, every, lasts)
        self.notes.pop(key, None)
        self.tombs.pop(key, None)

    @rule(service=SERVICES, id=IDS, stamp=st.one_of(st.none(), st.integers(1, 9)), peer=st.booleans())
    def renew(self, service: str, id: str, stamp: int | None, peer: bool) -> None:
        got = self.table.renew(service, id, stamp, replication=peer)
        known = self.model.get((service, id))
        if known is None or known.status is Status.UNKNOWN:
            assert got is Renewal.UNKNOWN
            return
        known.heard = self.clock.monotonic()
        if stamp is None or stamp == known.dirty:
            assert got is Renewal.RENEWED
        elif stamp > known.dirty:
            assert got is Renewal.NEWER_THERE
        else:
            assert got is (Renewal.NEWER_HERE if peer else Renewal.RENEWED)

    @rule(service=SERVICES, id=IDS)
    def cancel(self, service: str, id: str) -> None:
        key = (service, id)
        known = self.model.pop(key, None)
        self.notes.pop(key, None)
        change = self.table.cancel(service, id)
        assert (change is not None) == (known is not None)
        if known is not None:
            self.tombs[key] = (known.dirty, self.clock.monotonic() + known.lasts)
        self.tell(change)

    @rule(service=SERVICES, id=IDS, status=st.one_of(st.none(), STATUSES))
    def override(self, service: str, id: str, status: Status | None) -> None:
        change = self.table.override(service, id, status)
        self.tell(change)
        known = self.model.get((service, id))
        if known is None:
            assert change is None
            return
        known.heard = self.clock.monotonic()
        if status is not None:
            known.status = known.override = status
        elif known.override is not Status.UNKNOWN:
            known.status = known.override = Status.UNKNOWN

    @rule(seconds=st.sampled_from([0.5, 5.0, 15.0, 31.0, 200.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(most=st.integers(1, 3))
    def sweep(self, most: int) -> None:
        self.table.advance()
        now = self.clock.monotonic()
        due = {key for key, one in self.model.items() if now - one.heard > one.lasts}
        late = {key for key, one in self.model.items() if now - one.heard > min(2 * one.every + 1, one.lasts)}
        assert {self.key(lease) for lease in self.table.late()} == late
        gone = self.table.expired(most, self.rng)
        assert len(gone) == min(most, len(due))
        for lease in gone:
            key = self.key(lease)
            assert key in due
            self.tell(self.table.remove(*key, Cause.EXPIRED))
            known = self.model.pop(key)
            if known.override is not Status.UNKNOWN:
                self.notes[key] = (known.override, now + 3600)

    @staticmethod
    def key(lease: object) -> tuple[str, str]:
        instance = lease.record.instance  # type: ignore[attr-defined]
        return instance.service, instance.id

    @invariant()
    def the_table_is_the_model(self) -> None:
        found = {
            (service, id): (
                lease.record.instance.status,
                lease.record.override,
                lease.record.instance.dirty_at,
            )
            for service in self.table.services()
            for id, lease in self.table.leases(service).items()
        }
        assert found == {key: (one.status, one.override, one.dirty) for key, one in self.model.items()}
        assert len(self.table) == len(found)
        for status in Status:
            assert self.table.counts[status] == sum(one.status is status for one in self.model.values())
        assert self.mirror == {key: one.status for key, one in self.model.items()}
        recent = [(one.service, one.id) for one in self.table.changes()]
        assert len(recent) == len(set(recent))


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestLeaseTable = Machine.TestCase
