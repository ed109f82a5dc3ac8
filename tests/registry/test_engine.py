from __future__ import annotations

import asyncio

import pytest

from registry_server.engine import (
    REASON,
    Batch,
    Committed,
    Compacted,
    Condition,
    Conflict,
    MemoryEngine,
    Operation,
    instance_key,
    instance_of_key,
)
from registry_server.records import Cause, Record
from registry_server.registry import Registered, Registry
from resilient.clock import ManualClock
from resilient.model import Instance, Status


def record(id: str = "a") -> Record:
    return Record(instance=Instance(service="s", id=id, host="h", port=1), own=Status.UP)


@pytest.mark.parametrize(
    ("service", "id"), [("orders", "i1"), ("a.b", "h:a:1"), ("x", "a/b"), ("x", "50%2F/"), ("x", "%")]
)
def test_keys_go_both_ways(service: str, id: str) -> None:
    key = instance_key(service, id)
    assert key.count("/") == 2
    assert instance_of_key(key) == (service, id)
    assert instance_of_key(REASON) is None


async def test_a_commit_is_all_or_nothing() -> None:
    engine = MemoryEngine()
    assert await engine.commit((Condition("i/S/a", 0),), (Operation("i/S/a", record()),)) == Committed(1)
    refused = await engine.commit(
        (Condition("i/S/b", 0), Condition("i/S/a", 0)),
        (Operation("i/S/b", record("b")), Operation("i/S/a", None)),
    )
    assert isinstance(refused, Conflict)
    assert [entry.key for entry in refused.entries] == ["i/S/a"]
    revision, entries = await engine.snapshot()
    assert (revision, [entry.key for entry in entries]) == (1, ["i/S/a"])
    done = await engine.commit(
        (Condition("i/S/a", 1),), (Operation("i/S/a", None), Operation(REASON, Cause.CANCELLED))
    )
    assert done == Committed(2)
    assert engine.revision_of("i/S/a") == 0


async def test_a_watch_resumes_and_says_when_it_cannot() -> None:
    engine = MemoryEngine(history=2)

    async def read(after: int, count: int) -> list[int]:
        found: list[int] = []
        async for batch in engine.watch(after):
            found.append(batch.revision)
            if len(found) == count:
                break
        return found

    waiting = asyncio.create_task(read(0, 2))
    await asyncio.sleep(0)
    for id in "ab":
        await engine.commit((), (Operation(f"i/S/{id}", record(id)),))
    assert await asyncio.wait_for(waiting, 1) == [1, 2]
    assert await asyncio.wait_for(read(1, 1), 1) == [2]
    await engine.commit((), (Operation("i/S/c", record("c")),))
    with pytest.raises(Compacted):
        await asyncio.wait_for(read(0, 1), 1)


async def test_the_view_follows_the_engine_whoever_writes() -> None:
    engine, clock = MemoryEngine(), ManualClock()
    one, two = Registry(engine=engine, clock=clock), Registry(engine=engine, clock=clock)
    assert await one.register(Instance(service="s", id="a", host="h", port=1, dirty_at=5)) is Registered.DONE
    assert two.visible("s", "a") is not None
    await two.set_status("s", "a", Status.DOWN)
    lease = one.visible("s", "a")
    assert lease is not None
    assert lease.record.instance.status is Status.DOWN
    assert await two.cancel("s", "a")
    assert one.visible("s", "a") is None
    assert one.remembered[-1][1].record.cause is Cause.CANCELLED
    one.close()
    await two.register(Instance(service="s", id="b", host="h", port=1, dirty_at=5))
    assert one.visible("s", "b") is None


async def test_heartbeats_never_reach_the_engine() -> None:
    engine = MemoryEngine()
    registry = Registry(engine=engine, clock=ManualClock())
    await registry.register(Instance(service="s", id="a", host="h", port=1))
    batches: list[Batch] = []
    engine.subscribe(batches.append)
    for _ in range(100):
        registry.renew("s", "a")
    assert batches == []


async def test_who_renews_while_an_eviction_is_under_way_stays() -> None:
    clock = ManualClock()

    class Slow(MemoryEngine):
        async def commit(self, conditions, operations):  # type: ignore[no-untyped-def]
            if operations[0].value is None:
                registry.renew("s", "b")
            return await super().commit(conditions, operations)

    registry = Registry(engine=Slow(), clock=clock)
    for id in "abcdefghij":
        await registry.register(Instance(service="s", id=id, host="h", port=1))
    for _ in range(89):
        clock.advance(1)
        for id in "cdefghij":
            registry.renew("s", id)
        await registry.sweep()
    clock.advance(2)
    await registry.sweep()
    assert sorted(registry.table.leases("s")) == list("bcdefghij")


async def test_what_is_restored_is_there_and_is_no_event() -> None:
    engine = MemoryEngine()
    told: list[Batch] = []
    engine.subscribe(told.append)

    async def watch() -> None:
        async for _ in engine.watch(0):
            pass

    waiting = asyncio.create_task(watch())
    await asyncio.sleep(0)
    engine.restore((instance_key("s", id), record(id)) for id in "ab")
    with pytest.raises(Compacted):
        await asyncio.wait_for(waiting, 5)
    assert not told
    revision, entries = await engine.snapshot()
    assert [entry.key for entry in entries] == ["i/S/a", "i/S/b"]
    assert {entry.revision for entry in entries} == {revision} == {1}
    key = instance_key("s", "a")
    refused = await engine.commit((Condition(key, 0),), (Operation(key, None),))
    assert isinstance(refused, Conflict)
