from __future__ import annotations

import json

import pytest

from registry_server import renewals
from registry_server.registry import Registry
from registry_server.slices import whole
from resilient.clock import ManualClock
from resilient.errors import WireError
from resilient.model import Instance, Status


async def house() -> tuple[ManualClock, Registry]:
    clock = ManualClock()
    registry = Registry(clock=clock)
    for id in "abc":
        await registry.register(Instance(service="orders", id=id, host="h", port=1, dirty_at=5))
    return clock, registry


def say(registry: Registry, *rows: object) -> dict[str, list[int]]:
    return whole(renewals.renew(registry, json.dumps(rows).encode()))


async def test_each_row_is_a_heartbeat() -> None:
    clock, registry = await house()
    clock.advance(80)
    rows = [["orders", "a"], ["ORDERS", "b", 5], ["orders", "x", 5], ["orders", "c", 6], ["orders", "a", -1]]
    assert say(registry, *rows) == {"unknown": [2, 3], "conflict": [4]}
    ages = {id: lease.age(registry.table.now()) for id, lease in registry.table.leases("orders").items()}
    assert ages == {"a": 0, "b": 0, "c": 0}
    assert say(registry) == {"unknown": [], "conflict": []}


async def test_who_is_to_be_seen_afresh_is_unknown() -> None:
    _, registry = await house()
    await registry.set_status("orders", "a", Status.DOWN)
    await registry.clear_status("orders", "a")
    assert say(registry, ["orders", "a", 5]) == {"unknown": [0], "conflict": []}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[1]", b'[["orders"]]', b'[["orders","a",1,2]]', b'[["orders",1]]', b'[["orders","a"],7]'],
)
async def test_what_makes_no_sense_renews_nobody(body: bytes) -> None:
    clock, registry = await house()
    clock.advance(10)
    with pytest.raises(WireError):
        whole(renewals.renew(registry, body))
    assert all(lease.age(registry.table.now()) == 10 for lease in registry.table.leases("orders").values())


async def test_too_many_rows_are_refused() -> None:
    _, registry = await house()
    rows = json.dumps([["orders", "a"]] * (renewals.MOST_ROWS + 1)).encode()
    with pytest.raises(WireError, match="at most 10000"):
        whole(renewals.renew(registry, rows))


async def test_others_have_their_turn_between_steps_and_see_what_was_renewed_until_then() -> None:
    clock, registry = await house()
    clock.advance(10)
    rows = [["orders", "a"]] * renewals.STEP + [["orders", "b"]] * renewals.STEP + [["orders", "c"]]
    steps = renewals.renew(registry, json.dumps(rows).encode())
    ages = []
    for _ in steps:
        leases = registry.table.leases("orders").values()
        ages.append([lease.age(registry.table.now()) for lease in leases])
    assert ages == [[10, 10, 10], [0, 10, 10], [0, 0, 10]]
    assert registry.table.renewals == len(rows)
