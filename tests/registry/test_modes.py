"""Switches: the limiter of fetches, deltas, strictness, self-preservation, and what the node says of them."""

from __future__ import annotations

import pytest
from registry_wire import JSON, Wire, instance, wired

from registry_server.preservation import PreservationPolicy
from registry_server.ratelimit import Rates
from registry_server.settings import Settings, read_settings

CLIENT = {**JSON, "DiscoveryIdentity-Name": "DefaultClient"}


async def warnings(wire: Wire) -> list[str]:
    found: list[str] = (await wire.get("/resilient/v1/node")).json()["warnings"]
    return found


async def test_case_74_without_deltas() -> None:
    async with wired(Settings(port=0, ui=False, delta=False)) as wire:
        await wire.register()
        answer = await wire.get("apps/delta")
        assert (answer.status, answer.empty) == (403, True)
        assert (await wire.get("apps")).status == 200


async def test_case_75_the_limiter() -> None:
    async with wired(Settings(port=0, ui=False, rates=Rates())) as wire:
        await wire.register()
        assert [(await wire.get("apps")).status for _ in range(10)] == [200] * 10
        refused = await wire.get("apps/")
        assert (refused.status, refused.empty) == (503, True)
        assert (await wire.get("apps/ORDERS")).status == 503
        assert (await wire.get("apps/delta")).status == 503
        assert (await wire.get("apps", CLIENT)).status == 200
        for path in ("apps/ORDERS/i1", "instances/i1", "vips/orders", "svips/orders"):
            assert (await wire.get(path)).status == 200
        for _ in range(30):
            assert (await wire.post(instance())).status == 204
            assert (await wire.put("apps/ORDERS/i1")).status == 200
        assert (await wire.delete("apps/ORDERS/i1")).status == 200
        # 100 full fetches a second, and 500 in all.
        wire.clock.advance(0.015)
        assert [(await wire.get("apps")).status for _ in range(2)] == [200, 503]
        wire.clock.advance(0.01)
        assert [(await wire.get("apps/delta")).status for _ in range(11)].count(200) >= 5


async def test_the_limiter_is_off_unless_asked_for() -> None:
    async with wired() as wire:
        assert {(await wire.get("apps")).status for _ in range(50)} == {200}
    assert read_settings(env={}).rates is None
    assert read_settings(env={"RESILIENT_REGISTRY_RATE_LIMIT": "on"}).rates == Rates()
    assert read_settings(env={}, rate_limit=True).rates == Rates()


async def test_strict_keeps_the_habits_that_are_in_the_way() -> None:
    async with wired(Settings(port=0, ui=False, strict=True)) as wire:
        await wire.register()
        # A late echo registers again, override and all.
        await wire.put("apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
        await wire.delete("apps/ORDERS/i1")
        await wire.register()
        one = await wire.one()
        assert (one["status"], one["overriddenStatus"]) == ("UP", "UNKNOWN")
        # Metadata set here is lost at the next registration.
        await wire.put("apps/ORDERS/i1/metadata?a=1")
        assert (await wire.one())["metadata"] == {"a": "1"}
        await wire.register(lastDirtyTimestamp="1001")
        assert "a" not in (await wire.one())["metadata"]
        # An override that equals the status is not recorded.
        await wire.put("apps/ORDERS/i1/status?value=UP")
        assert (await wire.one())["overriddenStatus"] == "UNKNOWN"
        # Two durations.
        wire.clock.advance(179)
        assert (await wire.get("apps/ORDERS/i1")).status == 200
        wire.clock.advance(2)
        assert (await wire.get("apps/ORDERS/i1")).status == 404


@pytest.mark.parametrize(
    ("enabled", "silent", "begins"),
    [
        (True, True, "Emergency: too few heartbeats"),
        (False, True, "Too few heartbeats arrive, and self-preservation is switched off"),
        (False, False, "Self-preservation is switched off"),
        (True, False, None),
    ],
)
async def test_case_85_the_four_warnings(enabled: bool, silent: bool, begins: str | None) -> None:
    policy = PreservationPolicy(enabled=enabled)
    async with wired(Settings(port=0, ui=False, preservation=policy)) as wire:
        for n in range(10):
            await wire.register(instanceId=f"i{n}")
        wire.clock.advance(62)
        if not silent:
            for n in range(10):
                await wire.put(f"apps/ORDERS/i{n}")
        await wire.sweep()
        assert [line.startswith(begins or "?") for line in await warnings(wire)] == [True] * bool(begins)


def test_the_switches_can_be_set() -> None:
    found = read_settings(env={}, strict_eureka=True, delta=False, self_preservation=False)
    assert (found.factor, found.delta, found.preservation.enabled) == (2.0, False, False)
    env = {
        "RESILIENT_REGISTRY_STRICT_EUREKA": "yes",
        "RESILIENT_REGISTRY_DELTA": "off",
        "RESILIENT_REGISTRY_SELF_PRESERVATION": "0",
    }
    assert read_settings(env=env) == found
    assert (read_settings(env={}).factor, read_settings(env={}).delta) == (1.0, True)
