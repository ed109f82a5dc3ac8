from __future__ import annotations

from random import Random

import pytest

from registry_server.leases import LeaseTable
from registry_server.preservation import Preservation, PreservationPolicy
from registry_server.records import Cause
from resilient.clock import ManualClock
from resilient.model import Instance

OFF = PreservationPolicy(enabled=False)


class House:
    def __init__(self, size: int, policy: PreservationPolicy | None = None, seed: int = 1) -> None:
        self.clock = ManualClock()
        self.table = LeaseTable(self.clock)
        self.preservation = Preservation(Random(seed), policy)
        for n in range(size):
            self.table.register(Instance(service="s", id=f"i{n}", host="h", port=1))

    def sweep(self) -> list[str]:
        gone = [
            lease.record.instance.id for lease in self.preservation.sweep(self.table, self.clock.monotonic())
        ]
        for id in gone:
            self.table.remove("s", id, Cause.EXPIRED)
        return gone

    def run(self, seconds: int, beating: int = 0) -> list[str]:
        gone = []
        for _ in range(seconds):
            self.clock.advance(1)
            for n in range(beating):
                self.table.renew("s", f"i{n}")
            gone += self.sweep()
        return gone


@pytest.mark.parametrize(("size", "limit"), [(1, 1), (6, 1), (7, 2), (10, 2), (20, 3), (100, 15)])
def test_case_80_a_sweep_takes_a_share_at_random(size: int, limit: int) -> None:
    victims = []
    for seed in (1, 2):
        house = House(size, OFF, seed)
        house.sweep()
        house.clock.advance(91)
        house.preservation._last = house.clock.monotonic() - 1
        victims.append(house.sweep())
    assert [len(one) for one in victims] == [limit, limit]
    if size >= 100:
        assert victims[0] != victims[1]


def test_case_79_a_late_sweep_gives_its_delay_back() -> None:
    house = House(1, OFF)
    assert house.run(85) == []
    house.clock.advance(21)  # we were away: the lease is 106 seconds old, 16 too many
    assert house.sweep() == []
    assert house.run(4) == []
    assert house.run(1) == ["i0"]


def test_a_pause_of_the_whole_process_evicts_nobody() -> None:
    house = House(50)
    house.run(10, beating=50)
    house.clock.advance(3600)
    assert house.sweep() == []
    assert not house.preservation.active
    assert house.run(120, beating=50) == []
    assert len(house.table) == 50


@pytest.mark.parametrize(
    ("size", "silent", "protected"),
    [
        (2, 1, False),
        (3, 3, False),
        (4, 4, True),
        (10, 3, False),
        (10, 4, True),
        (100, 15, False),
        (100, 16, True),
    ],
)
def test_many_at_once_are_protected_few_are_not(size: int, silent: int, protected: bool) -> None:
    house = House(size)
    gone = house.run(120, beating=size - silent)
    assert house.preservation.active is protected
    assert len(gone) == (0 if protected else silent)


def test_case_84_protection_ends_when_they_return() -> None:
    house = House(20)
    assert house.run(200, beating=10) == []
    assert "10 of 20 instances" in house.preservation.reason
    assert house.preservation.since is not None
    house.run(1, beating=20)
    assert not house.preservation.active
    assert house.preservation.reason == ""
    assert house.preservation.since is None


def test_protection_ends_for_a_lease_after_ten_durations() -> None:
    house = House(20)
    assert house.run(900, beating=10) == []
    gone = house.run(20, beating=10)
    assert sorted(gone) == sorted(f"i{n}" for n in range(10, 20))
    assert not house.preservation.active


def test_a_partition_never_empties_the_registry() -> None:
    house = House(200)
    rng = Random(5)
    heard = {f"i{n}": rng.uniform(0, 30) for n in range(200)}
    for second in range(30):
        house.clock.advance(1)
        for id, at in heard.items():
            if second <= at < second + 1:
                house.table.renew("s", id)
        house.sweep()
    # From now on half of them cannot be heard; their last heartbeats are spread over half a minute.
    gone = []
    for second in range(600):
        house.clock.advance(1)
        for n in range(0, 200, 2):
            if second % 30 == int(heard[f"i{n}"]) % 30:
                house.table.renew("s", f"i{n}")
        gone += house.sweep()
    assert gone == []


def test_short_leases_cannot_slip_past_lateness() -> None:
    house = House(0)
    for n in range(20):
        house.table.register(
            Instance(service="s", id=f"i{n}", host="h", port=1, renew_every=30, expire_after=31)
        )
    assert house.run(100) == []
    assert house.preservation.active
