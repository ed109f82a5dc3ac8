from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from registry_server.leases import DELTA_SECONDS, NOTE_SECONDS, Caps, LeaseTable, TableFull
from registry_server.records import Cause, Renewal
from registry_server.status import status_of
from resilient.clock import ManualClock
from resilient.model import Action, Instance, Status

UP, DOWN, STARTING, OUT, UNKNOWN = (
    Status.UP,
    Status.DOWN,
    Status.STARTING,
    Status.OUT_OF_SERVICE,
    Status.UNKNOWN,
)
Make = Callable[..., Instance]


def make(id: str = "i1", service: str = "orders", dirty_at: int = 1000, **more: object) -> Instance:
    return Instance(service=service, id=id, host=id, port=80, dirty_at=dirty_at, **more)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def table(clock: ManualClock) -> LeaseTable:
    return LeaseTable(clock)


@pytest.mark.parametrize(
    ("said", "override", "held", "replication", "expected"),
    [
        (UP, UNKNOWN, None, False, UP),
        (DOWN, UP, UP, False, DOWN),  # nobody hides an instance's own trouble
        (STARTING, OUT, UP, False, STARTING),
        (UNKNOWN, OUT, UP, False, UNKNOWN),
        (UP, OUT, UP, False, OUT),  # an operator's word
        (OUT, UP, OUT, False, UP),
        (OUT, UNKNOWN, UP, False, UP),  # an instance cannot take itself out
        (UP, UNKNOWN, OUT, False, OUT),  # or back in
        (UP, UNKNOWN, OUT, True, UP),  # but a peer may
        (UP, UNKNOWN, DOWN, False, UP),
        (OUT, UNKNOWN, DOWN, False, OUT),
        (OUT, UNKNOWN, None, False, OUT),
    ],
)
def test_status_rules(
    said: Status, override: Status, held: Status | None, replication: bool, expected: Status
) -> None:
    assert status_of(said, override, held, replication) is expected


def test_a_lease_runs_out_one_duration_after_its_last_heartbeat(
    table: LeaseTable, clock: ManualClock
) -> None:
    table.register(make())
    clock.advance(89)
    assert table.renew("orders", "i1") is Renewal.RENEWED
    clock.advance(90)
    table.advance()
    assert table.expired(10, Random(1)) == []
    clock.advance(0.5)
    table.advance()
    assert [lease.record.instance.id for lease in table.expired(10, Random(1))] == ["i1"]


def test_a_silent_lease_that_renews_is_silent_no_more(table: LeaseTable, clock: ManualClock) -> None:
    table.register(make())
    clock.advance(500)
    table.advance()
    assert table.late_count == 1
    table.renew("orders", "i1")
    assert table.late_count == 0
    assert table.expired(10, Random(1)) == []
    clock.advance(61.5)
    table.advance()
    assert table.late_count == 1
    assert table.expired(10, Random(1)) == []
    clock.advance(30)
    table.advance()
    assert len(table.expired(10, Random(1))) == 1


def test_late_is_two_own_intervals_and_a_second(table: LeaseTable, clock: ManualClock) -> None:
    table.register(make("fast", renew_every=5.0, expire_after=90.0))
    table.register(make("slow", renew_every=30.0, expire_after=90.0))
    table.register(make("tight", renew_every=30.0, expire_after=20.0))
    seen: dict[str, float] = {}
    for second in range(100):
        table.advance()
        for lease in table.late():
            seen.setdefault(lease.record.instance.id, second)
        clock.advance(1)
    assert seen == {"fast": 12, "tight": 21, "slow": 62}


def test_durations_may_change_with_a_registration(table: LeaseTable, clock: ManualClock) -> None:
    table.register(make(expire_after=900.0, renew_every=300.0))
    table.register(make(dirty_at=1001, expire_after=10.0, renew_every=3.0))
    clock.advance(10.5)
    table.advance()
    assert len(table.expired(10, Random(1))) == 1
    table.register(make(dirty_at=1002, expire_after=900.0, renew_every=300.0))
    clock.advance(601.5)
    table.advance()
    assert (table.late_count, table.expired(10, Random(1))) == (1, [])


def test_changes_are_the_last_three_minutes_each_instance_once(table: LeaseTable, clock: ManualClock) -> None:
    table.register(make("a"))
    clock.advance(100)
    table.register(make("b"))
    table.override("orders", "b", DOWN)
    assert [(one.id, one.action) for one in table.changes()] == [("a", Action.ADDED), ("b", Action.MODIFIED)]
    version = table.delta_version
    clock.advance(DELTA_SECONDS - 99)
    assert [one.id for one in table.changes()] == ["b"]
    assert table.delta_version > version


def test_counts_follow_every_change(table: LeaseTable) -> None:
    table.register(make("a"))
    table.register(make("b", status=DOWN))
    table.override("orders", "a", OUT)
    assert {k: v for k, v in table.counts.items() if v} == {OUT: 1, DOWN: 1}
    table.cancel("orders", "a")
    table.cancel("orders", "b")
    assert not any(table.counts.values())
    assert len(table) == 0
    assert list(table.services()) == []


def test_an_operators_word_survives_expiry_but_not_a_cancel(table: LeaseTable, clock: ManualClock) -> None:
    table.register(make())
    table.override("orders", "i1", OUT)
    more = table.plan_metadata("orders", "i1", {"note": "x"})
    assert more is not None
    table.put(more)
    table.remove("orders", "i1", Cause.EXPIRED)
    clock.advance(NOTE_SECONDS - 1)
    back = table.register(make())
    assert back is not None
    assert (back.record.instance.status, back.record.instance.metadata["note"]) == (OUT, "x")
    table.remove("orders", "i1", Cause.EXPIRED)
    clock.advance(NOTE_SECONDS + 1)
    back = table.register(make())
    assert back is not None
    assert (back.record.instance.status, dict(back.record.instance.metadata)) == (UP, {})
    table.override("orders", "i1", OUT)
    table.remove("orders", "i1", Cause.EXPIRED)
    assert table.cancel("orders", "i1") is None  # signing out what has expired forgets it too
    back = table.register(make())
    assert back is not None
    assert back.record.instance.status is UP


def test_a_tombstone_lasts_one_lease(table: LeaseTable, clock: ManualClock) -> None:
    table.register(make())
    table.cancel("orders", "i1")
    clock.advance(90)
    assert table.register(make()) is None
    clock.advance(1)
    assert table.register(make()) is not None


def test_expiry_leaves_no_tombstone(table: LeaseTable) -> None:
    table.register(make())
    table.remove("orders", "i1", Cause.EXPIRED)
    assert table.register(make()) is not None


@pytest.mark.parametrize(
    ("caps", "ids"),
    [
        (Caps(instances=2), [("a", "1"), ("b", "2")]),
        (Caps(per_service=2), [("a", "1"), ("a", "2")]),
        (Caps(services=1), [("a", "1")]),
    ],
)
def test_caps(clock: ManualClock, caps: Caps, ids: list[tuple[str, str]]) -> None:
    table = LeaseTable(clock, caps=caps)
    for service, id in ids:
        table.register(make(id, service))
    full = ("a", "new") if caps.per_service == 2 else ("c", "new")
    with pytest.raises(TableFull):
        table.register(make(full[1], full[0]))
    for service, id in ids:
        assert table.register(make(id, service, dirty_at=1001)) is not None
        assert table.renew(service, id) is Renewal.RENEWED


def test_granted_time_makes_nobody_older(table: LeaseTable, clock: ManualClock) -> None:
    table.register(make())
    clock.advance(80)
    clock.advance(1000)
    table.grant(1000)
    table.advance()
    assert table.expired(10, Random(1)) == []
    clock.advance(11)
    table.advance()
    assert len(table.expired(10, Random(1))) == 1


def test_the_wall_clock_decides_nothing(table: LeaseTable, clock: ManualClock) -> None:
    table.register(make())
    clock.step_wall(10**7)
    table.advance()
    assert table.late_count == 0
    assert len(table.changes()) == 1
    clock.step_wall(-2 * 10**7)
    clock.advance(91)
    table.advance()
    assert table.late_count == 1


def test_virtual_addresses_are_found_without_a_search(table: LeaseTable) -> None:
    table.register(make("a", extra={"vipAddress": "x,y", "secureVipAddress": "z"}))
    table.register(make("b", extra={"vipAddress": "y"}))

    def found(name: str, secure: bool = False) -> list[str]:
        return [lease.record.instance.id for lease in table.vip(name, secure=secure)]

    assert (found("x"), found("y"), found("z"), found("z", True)) == (["a"], ["a", "b"], [], ["a"])
    table.register(make("a", dirty_at=1001, extra={"vipAddress": "w"}))
    assert (found("x"), found("y"), found("w"), found("z", True)) == ([], ["b"], ["a"], [])
    table.cancel("orders", "a")
    assert found("w") == []


def test_nothing_grows_with_names_that_come_and_go(clock: ManualClock) -> None:
    table = LeaseTable(clock, caps=Caps(instances=100))
    for n in range(20_000):
        table.register(make(f"i{n}"))
        table.override("orders", f"i{n}", OUT)
        table.remove("orders", f"i{n}", Cause.EXPIRED if n % 2 else Cause.CANCELLED)
        table.renew("orders", f"nobody{n}")
        table.override("orders", f"nobody{n}", OUT)
    assert len(table) == 0
    assert len(table._recent) <= 100
    assert len(table._notes) <= 100
    assert len(table._tombstones) <= 100
    assert len(table._watch) <= 2000
    assert list(table.services()) == []


def test_renewals_count_only_what_renewed(table: LeaseTable) -> None:
    table.register(make())
    table.register(make("u", status=UNKNOWN))
    table.touch("orders", "i1")
    table.renew("orders", "nobody")
    table.renew("orders", "u")
    assert table.renewals == 0
    table.renew("orders", "i1")
    table.renew("orders", "i1", 2000)
    assert table.renewals == 2
