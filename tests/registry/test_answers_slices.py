"""What makes long answers bearable: slices, one run for many readers, checksums without reading."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import zlib
from collections.abc import Generator

from hypothesis import given
from hypothesis import strategies as st

from registry_server.answers import CHUNK, Form
from registry_server.expiry import MOST_AT_ONCE, STEP, Lease, Watch
from registry_server.housekeeping import CHANGES, Housekeeper
from registry_server.packing import Piece, Run
from registry_server.records import Record
from registry_server.registry import Registry
from registry_server.slices import Shared, sliced
from resilient.clock import ManualClock
from resilient.eureka.codec import JSON
from resilient.model import Instance, Status

FORM = Form.of(JSON, False)


def one(id: str) -> Instance:
    return Instance(service="s", id=id, host="h", port=1, dirty_at=1)


@given(st.lists(st.binary(max_size=5000), max_size=6))
def test_the_checksum_of_joined_pieces_is_that_of_the_bytes(parts: list[bytes]) -> None:
    run = Run([Piece(part) for part in parts])
    whole = b"".join(parts)
    assert (run.crc, run.size) == (zlib.crc32(whole), len(whole))
    assert Piece(b"before").after(0) == zlib.crc32(b"before")
    assert run.after(zlib.crc32(b"before")) == zlib.crc32(b"before" + whole)


def test_a_large_piece_keeps_one_form_and_gives_both() -> None:
    text = b"abcdefgh" * 1000
    piece = Piece(text)
    assert len(piece.packed) < 200
    assert piece._plain is None
    assert piece.plain == text


async def test_an_answer_shows_one_moment_however_long_its_making_takes() -> None:
    registry = Registry(clock=ManualClock())
    for n in range(4 * CHUNK):
        await registry.register(one(f"i{n}"))
    steps = registry.answers._everything(FORM)
    for _ in range(2):
        next(steps)
    await registry.cancel("s", "i255")
    await registry.set_status("s", "i0", Status.DOWN)
    answer = await sliced(steps)
    shown = json.loads(gzip.decompress(answer.gzipped))["applications"]
    (application,) = shown["application"]
    assert len(application["instance"]) == 256
    assert {one["status"] for one in application["instance"]} == {"UP"}
    assert shown["apps__hashcode"] == "UP_256_"
    now = json.loads((await registry.answers.everything_soon(FORM)).plain)["applications"]
    assert now["apps__hashcode"] == "DOWN_1_UP_254_"
    assert len(now["application"][0]["instance"]) == 255


async def test_who_asks_during_a_run_gets_the_next_one_and_all_of_them_the_same() -> None:
    shared = Shared()
    made: list[int] = []

    def steps() -> Generator[None, None, int]:
        made.append(1)
        number = len(made)
        for _ in range(3):
            yield
        return number

    first = asyncio.create_task(shared.run("x", steps))
    await asyncio.sleep(0)
    later = [asyncio.create_task(shared.run("x", steps)) for _ in range(5)]
    assert await first == 1
    assert await asyncio.gather(*later) == [2] * 5
    assert shared._runs == {}


async def test_a_form_that_nobody_reads_is_forgotten() -> None:
    clock = ManualClock()
    registry = Registry(clock=clock)
    await registry.register(one("a"))
    registry.answers.everything(FORM)
    (shelf,) = registry.answers._shelves.values()
    assert shelf.chunks[0].pieces and shelf.runs
    clock.advance(299)
    registry.answers.forget()
    assert shelf.chunks[0].pieces
    clock.advance(2)
    registry.answers.forget()
    assert not shelf.chunks[0].pieces and not shelf.runs and not registry.answers._cache


def test_very_many_that_fall_silent_are_found_in_turns() -> None:
    watch = Watch()
    record = Record(instance=one("a"), own=Status.UP)
    for _ in range(MOST_AT_ONCE + 10):
        watch.start(Lease(record, 0.0))
    for _ in range(20):  # each is looked at too early once, and at its time
        watch.advance(61.5)
    assert len(watch.late) == MOST_AT_ONCE + 10


def test_who_changes_while_the_silent_are_looked_for_is_not_mistaken() -> None:
    watch = Watch()
    record = Record(instance=one("a"), own=Status.UP)
    leases = [Lease(record, 0.0) for _ in range(4 * STEP)]
    for lease in leases:
        watch.start(lease)
    for _ in range(20):
        watch.advance(60.0)  # all are due in the same second now
    for number, _ in enumerate(watch.advancing(61.5)):
        if number == 0:
            assert len(watch.late) <= STEP
            heard, stopped, given = [lease for lease in leases if not lease.silence][:3]
            heard.renewed = 61.5
            watch.stop(stopped)
            given.renewed = 61.5
            watch.start(given)
    for _ in range(20):
        watch.advance(61.9)
    assert set(leases) - set(watch.late) == {heard, stopped, given}
    for _ in range(20):
        watch.advance(61.5 + 61.9)
    assert set(leases) - set(watch.late) == {stopped}


def test_the_unheard_of_a_snapshot_are_counted_as_they_come_and_go() -> None:
    watch = Watch()
    record = Record(instance=one("a"), own=Status.UP)
    leases = [Lease(record, 0.0) for _ in range(4)]
    for lease in leases:
        lease.restored = lease is not leases[0]
        watch.start(lease)
    for moment in (70.0, 100.0, 2000.0):  # late, expired, overdue
        for _ in range(20):
            watch.advance(moment)
        assert (len(watch.late), watch.late_restored) == (4, 3)
    watch.stop(leases[1])
    watch.heard(leases[2])
    assert watch.late_restored == 1


def test_housekeeping_sets_aside_words_on_circuits_that_came_to_stay() -> None:
    placed = CHANGES - 1
    keeper = Housekeeper(Registry(clock=ManualClock()), lambda: placed)
    try:
        keeper.turn()
        assert gc.get_freeze_count() == 0
        placed += 1
        keeper.turn()
        assert gc.get_freeze_count() > 0
        gc.unfreeze()
        keeper.turn()
        assert gc.get_freeze_count() == 0  # nothing came since
    finally:
        gc.unfreeze()


async def test_housekeeping_sets_aside_what_grew_and_gives_it_back() -> None:
    registry = Registry(clock=ManualClock())
    keeper = Housekeeper(registry)
    assert not keeper.turn()
    try:
        registry.table.version += CHANGES
        assert keeper.turn()
        assert gc.get_freeze_count() > 0
        assert not keeper.turn()
    finally:
        gc.unfreeze()
    keeper.start()
    keeper.stop()
    keeper.stop()
    assert gc.get_freeze_count() == 0
