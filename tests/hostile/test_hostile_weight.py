"""Many large records at once: the registry's memory has an end (L-12, L-17)."""

from __future__ import annotations

import json

import aiohttp
from hostile_kit import instance as tree

from registry_server.app import running
from registry_server.registry import Registered, Registry
from registry_server.settings import Settings
from registry_server.weight import LINGERS, MOST, ORDINARY, Ballast, weigh
from resilient.clock import ManualClock
from resilient.errors import WireError
from resilient.model import Instance


def heavy(id: str, size: int = 32_000, dirty_at: int = 1) -> Instance:
    entries = {f"k{n}": "v" * 4000 for n in range(size // 4000)}
    return Instance(service="s", id=id, host="h", port=80, metadata=entries, dirty_at=dirty_at)


def room(registry: Registry, count: int) -> None:
    registry.ballast.most = count * weigh(heavy("x"))


async def test_heavy_records_have_a_limit_together_and_ordinary_ones_have_not() -> None:
    registry = Registry(clock=ManualClock())
    room(registry, 3)
    for n in range(3):
        assert await registry.register(heavy(f"i{n}")) is Registered.DONE
    assert await registry.register(heavy("i3")) is Registered.FULL
    assert await registry.register(heavy("light", 4000)) is Registered.DONE
    # Whoever is in may come again, and renew, and grow lighter.
    assert await registry.register(heavy("i0", dirty_at=2)) is Registered.DONE
    assert registry.renew("s", "i1") == "renewed"
    assert await registry.register(heavy("i2", 0, dirty_at=2)) is Registered.DONE
    assert await registry.register(heavy("i3")) is Registered.DONE


async def test_who_is_gone_weighs_until_nobody_is_told_of_him() -> None:
    clock = ManualClock()
    registry = Registry(clock=clock)
    room(registry, 2)
    for n in range(2):
        await registry.register(heavy(f"i{n}"))
        await registry.cancel("s", f"i{n}")
    assert await registry.register(heavy("next")) is Registered.FULL
    clock.advance(LINGERS + 1)
    assert await registry.register(heavy("next")) is Registered.DONE
    assert registry.ballast.total == weigh(heavy("next"))


async def test_metadata_added_later_counts_too() -> None:
    registry = Registry(clock=ManualClock())
    room(registry, 1)
    await registry.register(heavy("i0"))
    await registry.register(heavy("i1", 0))
    try:
        await registry.add_metadata("s", "i1", {f"k{n}": "v" * 3000 for n in range(4)})
    except WireError as error:
        assert "memory" in str(error)
    else:
        raise AssertionError("it was taken")
    assert await registry.add_metadata("s", "i1", {"small": "v"})


def test_what_weighs() -> None:
    one = heavy("x", 4000)
    assert weigh(one) == 4002
    assert weigh(Instance(service="s", id="i", host="h", port=80, extra={"a": {"b": "c"}, "d": 1})) == 4
    assert Ballast(ManualClock()).most == MOST >= 10_000 * ORDINARY


async def test_it_is_a_507_on_the_wire() -> None:

    async with running(Settings(port=0, ui=False)) as app, aiohttp.ClientSession() as http:
        app.registry.ballast.most = 20_000
        statuses = []
        for n in range(3):
            body = {"instance": tree("S", f"i{n}", metadata={f"k{m}": "v" * 4000 for m in range(2)})}
            async with http.post(
                f"{app.url}apps/S", data=json.dumps(body), headers={"Content-Type": "application/json"}
            ) as got:
                statuses.append(got.status)
        assert statuses == [204, 204, 507]
