"""A registry's snapshot: what is written is read again, whatever a disk did to it in between."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_server import snapshots, snapshots_rows
from registry_server.records import Cause, Record
from registry_server.registry import RESTORE_GRACE, Registry
from registry_server.slices import whole
from registry_server.snapshots_file import Keeper
from resilient.clock import ManualClock
from resilient.eureka.reading import port_pair
from resilient.model import Action, Instance, Status

TEXT = st.text(max_size=12)
WHOLE = st.integers(0, 2**53)
INSTANCES = st.builds(
    Instance,
    service=TEXT,
    id=TEXT,
    host=TEXT,
    port=st.integers(0, 65535),
    address=TEXT,
    secure=st.booleans(),
    status=st.sampled_from(Status),
    zone=TEXT,
    metadata=st.dictionaries(TEXT, TEXT, max_size=3).map(MappingProxyType),
    renew_every=st.integers(1, 90),
    expire_after=st.floats(1, 500),
    dirty_at=WHOLE,
    extra=st.just({"securePort": port_pair(443, True), "vipAddress": "a,b"}) | st.just({}),
)
RECORDS = st.builds(
    Record,
    instance=INSTANCES,
    own=st.sampled_from(Status),
    override=st.sampled_from(Status),
    overlay=st.dictionaries(TEXT, TEXT, max_size=2).map(MappingProxyType),
    registered_at=WHOLE,
    updated_at=WHOLE,
    up_at=WHOLE,
    action=st.sampled_from(Action),
    cause=st.sampled_from(Cause),
    by=TEXT,
)


def file_of(*blocks: list[Record]) -> bytes:
    return (
        snapshots.head({"instances": 1})
        + b"".join(snapshots.block(snapshots.rows(one)) for one in blocks)
        + snapshots.END
    )


def one(id: str, service: str = "orders", **more: object) -> Instance:
    return Instance(service=service, id=id, host="h", port=1, dirty_at=1, **more)  # type: ignore[arg-type]


@settings(max_examples=50)
@given(st.lists(RECORDS, max_size=4), st.lists(RECORDS, max_size=4))
def test_what_is_written_is_read(first: list[Record], second: list[Record]) -> None:
    found = whole(snapshots.read(file_of(first, second)))
    assert found.damage == ""
    assert found.records == [*first, *second]
    assert found.header == {"instances": 1}


def test_shared_parts_are_shared_again() -> None:
    extra = {"securePort": port_pair(443, True)}
    record = Record(instance=one("a", extra=extra), own=Status.UP)
    (found,) = whole(snapshots.read(file_of([record]))).records
    assert found.instance.extra["securePort"] is port_pair(443, True)


GOOD = file_of(*([Record(instance=one(f"{n}-{k}"), own=Status.UP) for k in range(3)] for n in range(3)))
NAMES = {f"{n}-{k}" for n in range(3) for k in range(3)}


def test_cut_anywhere_the_whole_blocks_before_the_cut_are_read() -> None:
    most = -1
    for size in range(len(GOOD)):
        found = whole(snapshots.read(GOOD[:size]))
        assert found.damage
        assert len(found.records) >= most
        most = len(found.records)
    assert most == 9


def test_any_flipped_bit_is_noticed_and_costs_at_most_what_it_is_in() -> None:
    for place in range(len(GOOD)):
        broken = bytearray(GOOD)
        broken[place] ^= 1 << place % 8
        found = whole(snapshots.read(bytes(broken)))
        assert found.damage, place
        assert {record.instance.id for record in found.records} <= NAMES


@given(st.binary(max_size=200))
def test_garbage_is_never_more_than_damage(data: bytes) -> None:
    assert whole(snapshots.read(data)).damage
    assert whole(snapshots.read(snapshots.MAGIC + data)).damage
    assert whole(snapshots.read(GOOD[:-8] + snapshots.block(data or b"x"))).damage


@pytest.mark.parametrize(
    "content",
    [b"[1]", b"[[]]", b'["x"]', b"{}", b"7", b"null", b"[" * 5000],
    ids=["number", "empty", "text", "object", "whole", "null", "deep"],
)
def test_rows_that_are_none_are_damage_although_they_verify(content: bytes) -> None:
    assert whole(snapshots.read(GOOD[:-8] + snapshots.block(content) + snapshots.END)).damage


ROW = snapshots_rows.row(Record(instance=one("a", metadata={"k": "v"}, extra={"sid": "x"}), own=Status.UP))


@pytest.mark.parametrize("place", range(len(ROW)))
@pytest.mark.parametrize("value", [None, True, 1.5, 7, -1, "no", [], {"a": 1}, {"a": "b"}], ids=repr)
def test_a_row_is_read_as_what_it_says_or_is_damage(place: int, value: object) -> None:
    row = [*ROW[:place], value, *ROW[place + 1 :]]
    content = orjson.dumps([ROW, row])
    found = whole(snapshots.read(snapshots.head({}) + snapshots.block(content) + snapshots.END))
    if not found.damage:
        assert orjson.dumps([snapshots_rows.row(one) for one in found.records]) == content
    else:
        assert not found.records
    kind = type(ROW[place])
    if kind is not type(value) and not (kind in (int, float) and type(value) in (int, float)):
        assert found.damage


@pytest.mark.parametrize(
    "change", [lambda row: row[:-1], lambda row: [*row, 1], lambda row: dict.fromkeys("ab")]
)
def test_rows_of_another_length_are_damage(change: Callable[[list[object]], object]) -> None:
    for rows in ([change(ROW)], [ROW, change(ROW)]):
        content = orjson.dumps(rows)
        found = whole(snapshots.read(snapshots.head({}) + snapshots.block(content) + snapshots.END))
        assert found.damage and not found.records


# --- the file


async def filled(clock: ManualClock, *ids: str) -> Registry:
    registry = Registry(clock=clock)
    for id in ids:
        await registry.register(one(id), by="10.0.0.1")
    return registry


async def test_a_restarted_registry_answers_with_what_it_had(tmp_path: Path) -> None:
    clock = ManualClock()
    old = await filled(clock, "a", "b")
    await old.set_status("orders", "b", Status.OUT_OF_SERVICE)
    path = tmp_path / "deep" / "registry.snapshot"
    keeper = Keeper(old, path)
    assert await keeper.save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]

    new = Registry(clock=clock)
    assert await Keeper(new, path).load() == 2
    for id in "ab":
        before, after = old.table.get("orders", id), new.table.get("orders", id)
        assert before is not None and after is not None
        assert after.record == before.record
        assert after.restored
    assert (new.table.restored, new.table.unconfirmed) == (2, 2)
    assert new.table.changes() == []
    assert new.table.number == 0  # nobody is told of a change that is none
    assert new.table.counts[Status.OUT_OF_SERVICE] == 1
    assert new._engine.revision_of("i/ORDERS/a") > 0


async def test_a_file_that_is_not_there_or_cannot_be_read_is_an_empty_start(tmp_path: Path) -> None:
    registry = Registry(clock=ManualClock())
    assert await Keeper(registry, tmp_path / "none").load() == 0
    assert await Keeper(registry, tmp_path).load() == 0
    assert len(registry.table) == 0


async def test_a_damaged_file_is_put_aside_and_what_verifies_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "s"
    path.write_bytes(GOOD[:-9])
    registry = Registry(clock=ManualClock())
    keeper = Keeper(registry, path)
    assert await keeper.load() == 6
    assert "damaged" in caplog.text and "6 instances" in caplog.text
    assert (tmp_path / "s.damaged").exists() and not path.exists()
    assert await keeper.save()
    assert path.exists()


async def test_others_are_served_while_a_long_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry_server.slices.SLICE", 0.0)
    blocks = [[Record(instance=one(f"{n}-{k}"), own=Status.UP) for k in range(3)] for n in range(50)]
    path = tmp_path / "s"
    path.write_bytes(file_of(*blocks))
    registry = Registry(clock=ManualClock())
    loading = asyncio.create_task(Keeper(registry, path).load())
    turns = 0
    while not loading.done():
        turns += 1
        await asyncio.sleep(0)
    assert await loading == 150
    assert turns > 50


async def test_nothing_new_is_not_written_again(tmp_path: Path) -> None:
    clock = ManualClock()
    path = tmp_path / "s"
    registry = await filled(clock, "a")
    keeper = Keeper(registry, path)
    assert await keeper.save()
    path.unlink()
    registry.renew("orders", "a")
    assert await keeper.save()
    assert not path.exists()
    await registry.register(one("b"))
    assert await keeper.save()
    assert path.exists()


async def test_a_disk_that_fails_leaves_the_old_file_and_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    registry = await filled(ManualClock(), "a")
    path = tmp_path / "s"
    keeper = Keeper(registry, path)
    assert await keeper.save()
    before = path.read_bytes()
    await registry.register(one("b"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("registry_server.snapshots_file._add", full)
        assert not await keeper.save()
        assert not await keeper.save()
        assert keeper.problem == "No space left on device"
        assert caplog.text.count("cannot be written") == 1
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["s"]
    assert await keeper.save()
    assert keeper.problem == ""
    assert path.read_bytes() != before


async def test_stopping_writes_the_last_one_and_waits_for_no_disk_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    keeper = Keeper(await filled(ManualClock(), "a"), path)
    keeper.start()
    await keeper.stop()
    assert path.exists()
    stuck = Keeper(await filled(ManualClock(), "a"), tmp_path / "t")

    async def hangs(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(stuck, "_write", hangs)
    monkeypatch.setattr("registry_server.snapshots_file.LAST", 0.01)
    stuck.start()
    await stuck.stop()


# --- the leases


async def restored(count: int) -> tuple[ManualClock, Registry]:
    clock = ManualClock()
    registry = Registry(clock=clock)
    for n in range(count):
        assert registry.restore([Record(instance=one(f"i{n}"), own=Status.UP)])
    return clock, registry


async def sweep(clock: ManualClock, registry: Registry, seconds: int, alive: int) -> None:
    """So many seconds, in which the first ``alive`` are renewed every ten."""
    for second in range(seconds):
        clock.advance(1)
        if second % 10 == 0:
            for n in range(alive):
                registry.renew("orders", f"i{n}")
        await registry.sweep()


async def test_a_restored_lease_has_its_duration_and_some_grace() -> None:
    clock, registry = await restored(1)
    assert not registry.restore([Record(instance=one("i0"), own=Status.DOWN)])  # it is there already
    assert registry.table.restored == 1
    await registry.register(one("other"))
    await sweep(clock, registry, int(90 + RESTORE_GRACE) - 1, 0)
    assert registry.table.get("orders", "i0") is not None
    assert registry.table.get("orders", "other") is None
    await sweep(clock, registry, 3, 0)
    assert len(registry.table) == 0
    assert registry.table.unconfirmed == 0


@pytest.mark.parametrize("sign", ["renew", "register", "status", "cancel"])
async def test_any_sign_of_life_confirms(sign: str) -> None:
    _, registry = await restored(2)
    match sign:
        case "renew":
            registry.renew("orders", "i0")
        case "register":
            await registry.register(one("i0"))
        case "status":
            await registry.set_status("orders", "i0", Status.DOWN)
        case "cancel":
            await registry.cancel("orders", "i0")
    assert registry.table.unconfirmed == 1
    registry.renew("orders", "i0")
    assert registry.table.unconfirmed == 1


async def test_who_died_while_the_registry_was_down_is_not_protected() -> None:
    clock, registry = await restored(100)
    await sweep(clock, registry, 120, 60)
    assert not registry.preservation.active
    assert len(registry.table) == 60


async def test_if_hardly_anybody_comes_back_the_network_is_suspected() -> None:
    clock, registry = await restored(100)
    await sweep(clock, registry, 120, 40)
    assert registry.preservation.active
    assert len(registry.table) == 100
