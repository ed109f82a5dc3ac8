"""Self-preservation never gets stuck and needs no phantom client: the troubles of Eureka's count."""

from __future__ import annotations

import logging
from random import Random

import pytest
from registry_wire import wired

from registry_server.preservation import PreservationPolicy
from registry_server.registry import Registry
from registry_server.settings import Settings
from resilient.clock import ManualClock
from resilient.model import Instance, Status


class Estate:
    """Clients with intervals of their own, a registry, and a second per step."""

    def __init__(self, seed: int = 1) -> None:
        self.clock = ManualClock()
        self.registry = Registry(clock=self.clock, rng=Random(seed))
        self.rng = Random(seed)
        self.second = 0
        self.beating: dict[str, tuple[float, int]] = {}
        self.modes: list[bool] = []

    @property
    def active(self) -> bool:
        return self.registry.preservation.active

    @property
    def size(self) -> int:
        return len(self.registry.table)

    async def join(self, id: str, every: float = 30.0, lease: float = 90.0, **more: object) -> None:
        self.beating[id] = (every, self.rng.randrange(max(1, int(every))))
        await self.registry.register(
            Instance(
                service="s",
                id=id,
                host="h",
                port=1,
                renew_every=every,
                expire_after=lease,
                dirty_at=int(self.clock.time() * 1000),
                **more,  # type: ignore[arg-type]
            )
        )

    def stop(self, *ids: str) -> None:
        for id in ids:
            del self.beating[id]

    async def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            self.second += 1
            for id, (every, offset) in self.beating.items():
                if (self.second + offset) % max(1, int(every)) == 0:
                    self.registry.renew("s", id)
            await self.registry.sweep()
            self.modes.append(self.active)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 12])
async def test_a_healthy_registry_of_any_size_is_never_protected(size: int) -> None:
    estate = Estate()
    for n in range(size):
        await estate.join(f"i{n}")
    await estate.run(600)
    assert not any(estate.modes)
    assert estate.size == size


async def test_one_of_two_is_gone_within_its_lease_and_a_sweep() -> None:
    estate = Estate()
    await estate.join("a")
    await estate.join("b")
    await estate.run(60)
    estate.registry.renew("s", "b")
    estate.stop("b")
    await estate.run(90)
    assert estate.size == 2
    await estate.run(1)
    assert estate.size == 1
    assert not any(estate.modes)


async def test_ten_of_twenty_are_kept_and_the_mode_ends_when_they_are_back() -> None:
    estate = Estate()
    for n in range(20):
        await estate.join(f"i{n}")
    await estate.run(60)
    lost = {f"i{n}": estate.beating[f"i{n}"] for n in range(10)}
    estate.stop(*lost)
    await estate.run(300)
    assert (estate.active, estate.size) == (True, 20)
    estate.beating.update(lost)
    await estate.run(60)
    assert (estate.active, estate.size) == (False, 20)
    # And what happened leaves nothing behind: a single death is a single death again.
    estate.stop("i0")
    await estate.run(95)
    assert (estate.active, estate.size) == (False, 19)


async def test_who_does_not_come_back_with_the_others_is_gone_one_interval_later() -> None:
    estate = Estate()
    for n in range(20):
        await estate.join(f"i{n}")
    await estate.run(60)
    lost = {f"i{n}": estate.beating[f"i{n}"] for n in range(10)}
    estate.stop(*lost)
    await estate.run(300)
    assert estate.active
    back = {id: beat for id, beat in lost.items() if id not in ("i0", "i1")}
    for id in back:
        estate.registry.renew("s", id)
    estate.beating.update(back)
    await estate.run(30)
    assert (estate.active, estate.size) == (False, 20)
    await estate.run(3)
    assert (estate.active, estate.size) == (False, 18)


async def test_ten_of_twenty_that_never_come_back_are_gone_in_the_end() -> None:
    estate = Estate()
    for n in range(20):
        await estate.join(f"i{n}")
    estate.stop(*(f"i{n}" for n in range(10)))
    await estate.run(1000)
    assert (estate.active, estate.size) == (False, 10)


async def test_clients_that_sign_out_are_not_expected_any_more() -> None:
    estate = Estate()
    for n in range(100):
        await estate.join(f"i{n}")
    await estate.run(60)
    for n in range(10, 100):
        estate.stop(f"i{n}")
        await estate.registry.cancel("s", f"i{n}")
    await estate.run(300)
    assert not any(estate.modes)
    assert estate.size == 10


async def test_a_client_killed_and_started_a_hundred_times_shifts_no_threshold() -> None:
    estate = Estate()
    for n in range(9):
        await estate.join(f"i{n}")
    for _ in range(100):
        await estate.join("flapping")
        await estate.run(3)
    assert not any(estate.modes)
    estate.stop("flapping")
    for round in range(100):
        # With an id of its own each time, and a clean end now and then.
        await estate.join(f"f{round}", lease=30.0, every=10.0)
        await estate.run(12)
        estate.stop(f"f{round}")
        if round % 3 == 0:
            await estate.registry.cancel("s", f"f{round}")
    await estate.run(400)
    assert (estate.active, estate.size) == (False, 9)
    estate.stop("i0")
    await estate.run(95)
    assert estate.size == 8


async def test_intervals_may_change_and_differ() -> None:
    estate = Estate()
    for n in range(10):
        await estate.join(f"slow{n}")
        await estate.join(f"fast{n}", every=1, lease=3)
    await estate.run(120)
    assert not any(estate.modes)
    # All slow ones turn fast, all fast ones slow.
    for n in range(10):
        await estate.join(f"slow{n}", every=5, lease=15)
        await estate.join(f"fast{n}", every=60, lease=180)
    await estate.run(300)
    assert not any(estate.modes)
    assert estate.size == 20
    # Many beats of the fast do not make up for silent slow ones, nor the other way round.
    estate.stop(*(f"fast{n}" for n in range(10)))
    await estate.run(185)
    assert (estate.active, estate.size) == (True, 20)


async def test_two_fast_clients_among_slow_ones_die_at_their_own_pace() -> None:
    estate = Estate()
    for n in range(8):
        await estate.join(f"slow{n}")
    for n in range(2):
        await estate.join(f"fast{n}", every=1, lease=3)
    await estate.run(10)
    estate.stop("fast0", "fast1")
    await estate.run(5)
    assert (estate.active, estate.size) == (False, 8)


async def test_out_of_service_is_not_silence() -> None:
    estate = Estate()
    for n in range(20):
        await estate.join(f"i{n}")
    for n in range(18):
        await estate.registry.set_status("s", f"i{n}", Status.OUT_OF_SERVICE)
    await estate.run(300)
    assert not any(estate.modes)
    estate.stop("i0", "i19")
    await estate.run(95)
    assert (estate.active, estate.size) == (False, 18)


async def test_five_of_a_hundred_are_gone_within_their_lease_and_two_sweeps() -> None:
    estate = Estate()
    for n in range(100):
        await estate.join(f"i{n}")
    await estate.run(60)
    for n in range(5):
        estate.registry.renew("s", f"i{n}")
        estate.stop(f"i{n}")
    await estate.run(92)
    assert (any(estate.modes), estate.size) == (False, 95)


async def test_half_silent_are_protected_and_recovery_ends_it_within_two_sweeps() -> None:
    estate = Estate()
    for n in range(200):
        await estate.join(f"i{n}")
    await estate.run(60)
    lost = {f"i{n}": estate.beating[f"i{n}"] for n in range(100)}
    estate.stop(*lost)
    await estate.run(400)
    assert estate.active
    assert estate.size >= 170
    for id in lost:
        estate.registry.renew("s", id)
    estate.beating.update(lost)
    await estate.run(2)
    assert not estate.active


async def test_new_instances_that_never_beat_do_not_protect_the_dead_for_ever() -> None:
    # Registrations without heartbeats, from a script say, while one real client dies.
    estate = Estate()
    for n in range(10):
        await estate.join(f"i{n}")
    for n in range(300):
        await estate.join(f"ghost{n}")
        estate.stop(f"ghost{n}")
        await estate.run(4)
    await estate.run(1000)
    assert (estate.active, estate.size) == (False, 10)


async def test_the_reason_is_told_and_logged_once_on_each_turn(caplog: pytest.LogCaptureFixture) -> None:
    async with wired(Settings(port=0, ui=False, preservation=PreservationPolicy())) as wire:
        for n in range(10):
            await wire.register(instanceId=f"i{n}")
        with caplog.at_level(logging.WARNING, "resilient.registry"):
            for _ in range(70):
                wire.clock.advance(1)
                await wire.sweep()
            node = (await wire.get("/resilient/v1/node")).json()
            assert node["mode"] == "preserving"
            assert "10 of 10 instances" in node["reason"]
            assert node["preserving_for"] > 0
            for n in range(10):
                await wire.put(f"apps/ORDERS/i{n}")
            for _ in range(5):
                wire.clock.advance(1)
                await wire.sweep()
        node = (await wire.get("/resilient/v1/node")).json()
        assert (node["mode"], node["reason"], node["preserving_for"]) == ("normal", "", None)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("instances are protected: ")
    assert said[1].startswith("instances are no longer protected")
