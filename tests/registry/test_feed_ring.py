"""The ring and a reader's way through it, without sockets or time."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from random import Random

import pytest
from feed_kit import Follower, House, joined
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_server.feed.hub import AT_ONCE
from registry_server.feed.reader import WAITING_EVENTS, Wish
from registry_server.feed.ring import PIECE
from resilient.model import Status

STATUSES = [Status.UP, Status.DOWN, Status.STARTING]
STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 2), st.integers(0, 3), st.sampled_from(STATUSES)),
    st.tuples(st.just("drop"), st.integers(0, 2), st.integers(0, 3)),
    st.tuples(st.just("read"), st.integers(1, 3)),
    st.tuples(st.just("lose"), st.booleans()),
)


async def act(house: House, step: tuple) -> None:
    service, id = f"s{step[1]}", f"i{step[2]}"
    if step[0] == "put":
        await house.put(service, id, step[3])
    else:
        await house.drop(service, id)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(STEP, max_size=60),
    st.sampled_from([3, 10_000]),
    st.sampled_from([None, frozenset({"s0"}), frozenset({"s0", "s2", "nobody"})]),
)
def test_a_feed_that_breaks_and_resumes_anywhere_misses_nothing(steps, most, services) -> None:
    """Whatever happens in between, and however small the ring: what a reader has in the end is true."""

    async def run() -> None:
        house = House(_most_changes=most)
        await house.put("s0", "old")
        follower = Follower(services)
        reader = house.feed.join(Wish(services))
        for step in steps:
            if step[0] == "read":
                follower.drain(reader, step[1])
            elif step[0] == "lose":
                house.feed.leave(reader)
                last = follower.position if follower.ready and step[1] else ""
                follower.hello = {}
                if not last:
                    follower.ready = False
                reader = house.feed.join(Wish(services, last=last))
            else:
                await act(house, step)
        follower.drain(reader)
        assert follower.ready
        assert follower.instances == house.truth(services)
        house.feed.leave(reader)
        await house.feed.close()

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(st.lists(STEP, max_size=40), st.randoms(use_true_random=False))
def test_events_applied_again_change_nothing(steps, rng: Random) -> None:
    async def run() -> None:
        house = House()
        reader = house.feed.join(Wish())
        follower = Follower()
        follower.drain(reader)
        changes: list[dict] = []
        for step in steps:
            if step[0] in ("put", "drop"):
                await act(house, step)
        while (piece := reader.next()) is not None:
            lines = piece.split(b"\n")
            changes += [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
        for number, change in enumerate(changes):
            follower.apply(change)
            # As when the feed breaks: some of what came before comes again, in order.
            for again in changes[rng.randint(0, number) : number + 1]:
                follower.apply(again)
        assert follower.instances == house.truth()
        assert not changes or changes[-1]["hash"] == house.fingerprint
        house.feed.leave(reader)
        await house.feed.close()

    asyncio.run(run())


async def test_each_change_carries_the_hash_of_its_own_moment() -> None:
    house = House()
    async with joined(house, snapshot=False) as reader:
        truths = []
        for n in range(4):
            await house.put("orders", f"i{n}", STATUSES[n % 3])
            truths.append(house.fingerprint)
        follower = Follower()
        hashes = []
        follower.apply = lambda data: hashes.append(data["hash"])  # type: ignore[method-assign]
        follower.drain(reader)
    assert hashes == truths == ["UP_1_", "DOWN_1_UP_1_", "DOWN_1_STARTING_1_UP_1_", "DOWN_1_STARTING_1_UP_2_"]
    assert follower.position == "e0-4"


async def test_renewals_and_repeated_registrations_are_no_events() -> None:
    house = House()
    await house.put("orders", "i1", zone="a")
    async with joined(house, snapshot=False) as reader:
        reader.next()
        await house.put("orders", "i1", zone="a")
        house.registry.renew("orders", "i1")
        assert reader.next() is None
        assert house.feed.position == "e0-2"
        await house.put("orders", "i1", zone="b")
        assert b'"zone":"b"' in (reader.next() or b"")
        await house.registry.set_status("orders", "i1", Status.OUT_OF_SERVICE)
        assert b"OUT_OF_SERVICE" in (reader.next() or b"")
        await house.registry.add_metadata("orders", "i1", {"k": "v"})
        assert b'"k":"v"' in (reader.next() or b"")
        house.clock.advance(91)
        assert await house.registry.sweep() == 1
        assert b'"action":"DELETED"' in (reader.next() or b"")


async def test_readers_share_the_bytes() -> None:
    house = House()
    async with joined(house, snapshot=False) as one, joined(house, snapshot=False) as two:
        one.next(), two.next()
        for n in range(5):
            await house.put("orders", f"i{n}")
        first = one.next()
        assert first is not None
        assert first.count(b"event: change") == 5
        assert two.next() is first


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ("other-3", "anew"),
        ("e0-99", "not been reached"),
        ("e0-x", "no sense"),
        ("e0--1", "anew"),
        ("nonsense", "anew"),
        ("e0-1", "too much"),
    ],
)
async def test_what_cannot_be_resumed_is_reset(last: str, reason: str) -> None:
    house = House(_most_changes=3)
    for n in range(8):
        await house.put("orders", f"i{n}")
    async with joined(house, last=last, snapshot=False) as reader:
        hello, reset = (reader.next() or b"").split(b"\n\n")[:2]
        assert hello.startswith(b"event: hello\ndata: ")
        assert reset.startswith(b"event: reset\nid: e0-8\ndata: ")
        assert reason.encode() in reset
        assert reader.next() is None
    async with joined(house, last=last) as reader:
        follower = Follower()
        follower.drain(reader)
        assert follower.seen == ["hello", "reset", "service", "ready"]
        assert follower.instances == house.truth()


async def test_a_resumed_feed_gets_what_came_after_and_no_snapshot() -> None:
    house = House()
    for n in range(6):
        await house.put("orders", f"i{n}")
    async with joined(house, last="e0-4") as reader:
        follower = Follower()
        follower.drain(reader)
    assert follower.seen == ["hello", "change", "change"]
    async with joined(house, last="e0-6") as reader:
        follower = Follower()
        follower.drain(reader)
    assert follower.seen == ["hello"]


async def test_a_ring_is_bounded_in_bytes_too() -> None:
    house = House(_most_bytes=100_000)
    for n in range(60):
        await house.put("orders", f"i{n}", big="x" * 4000)
    ring = house.feed.ring
    assert ring.size <= 100_000
    assert 15 < len(ring) < 25
    assert ring.floor == ring.head - len(ring)
    async with joined(house, last=f"e0-{ring.floor}", snapshot=False) as reader:
        follower = Follower()
        follower.drain(reader)
    assert follower.seen.count("change") >= 15
    assert ring.size <= 100_000


async def test_a_snapshot_is_made_as_it_is_taken_and_changes_follow() -> None:
    house = House()
    for n in range(300):
        await house.put("big", f"i{n}", text="x" * 500)
        await house.put("other", f"i{n}", text="x" * 500)
    encoded = 0
    fragment = house.feed._directory.parts

    def counting(service: str):
        nonlocal encoded
        for part in fragment(service):
            encoded += 1
            yield part

    house.feed._directory.parts = counting  # type: ignore[method-assign]
    async with joined(house) as reader:
        follower = Follower()
        follower.drain(reader, 2)
        assert 0 < encoded < 3
        await house.drop("big", "i299")
        await house.put("big", "i0", Status.DOWN)
        await house.put("new", "i")
        reader.say(b"event: command\ndata: {}\n\n")
        follower.drain(reader)
    assert follower.seen[0] == "hello"
    assert follower.seen.index("ready") < follower.seen.index("change")
    # Not in the middle of an event, and yet before the rest.
    assert follower.seen.index("command") < follower.seen.index("ready")
    assert follower.instances == house.truth()
    assert follower.position == house.feed.position


async def test_a_snapshot_overtaken_by_the_ring_begins_anew() -> None:
    house = House(_most_changes=5)
    for n in range(200):
        await house.put("big", f"i{n}", text="x" * 500)
    async with joined(house) as reader:
        follower = Follower()
        follower.drain(reader, 2)
        for n in range(20):
            await house.drop("big", f"i{n}")
        follower.drain(reader)
    assert follower.seen.count("ready") == 2
    assert follower.instances == house.truth()


async def test_a_filter_leaves_out_others_and_the_hash() -> None:
    house = House()
    await house.put("orders", "o")
    await house.put("stock", "s")
    async with joined(house, services=frozenset({"orders"})) as reader:
        follower = Follower(frozenset({"orders"}))
        follower.drain(reader)
        await house.put("stock", "s2")
        assert reader.next() is None
        await house.put("orders", "o2")
        follower.drain(reader)
    assert follower.seen == ["hello", "service", "ready", "change"]
    assert follower.instances == house.truth(frozenset({"orders"}))
    assert follower.position == "e0-4"


async def test_a_filtered_reader_that_waits_is_not_overtaken_by_what_others_read() -> None:
    house = House(_most_changes=10)
    async with joined(house, services=frozenset({"rare"}), snapshot=False) as reader:
        follower = Follower(frozenset({"rare"}))
        follower.drain(reader)
        task = asyncio.create_task(reader.take())
        await asyncio.sleep(0)
        for n in range(50):
            await house.put("busy", f"i{n}")
            await asyncio.sleep(0)
        await house.put("rare", "i")
        follower.feed(await asyncio.wait_for(task, 1) or b"")
    assert follower.seen == ["hello", "change"]


async def test_pieces_are_of_a_size() -> None:
    house = House()
    async with joined(house, snapshot=False) as reader:
        reader.next()
        for n in range(200):
            await house.put("orders", f"i{n}", text="x" * 1000)
        sizes = []
        while (piece := reader.next()) is not None:
            sizes.append(len(piece))
    assert len(sizes) > 5
    assert max(sizes) < PIECE + 3000


async def test_who_takes_nothing_is_cut_after_so_many_events_and_who_takes_is_not() -> None:
    house = House()
    cut: list[str] = []
    async with (
        joined(house, snapshot=False) as stuck,
        joined(house, snapshot=False) as slow,
        joined(house, snapshot=False, services=frozenset({"rare"})) as filtered,
    ):
        for reader, name in ((stuck, "stuck"), (slow, "slow"), (filtered, "filtered")):
            reader.attach(lambda name=name: cut.append(name))
            await reader.take()
        for n in range(WAITING_EVENTS):
            await house.put("orders", f"i{n}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await slow.take()
        assert not cut
        for n in range(3):
            await house.put("orders", f"more{n}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert cut == ["stuck"]
        assert stuck.cut
        assert not slow.cut
        # What is not for it does not count.
        assert not filtered.cut


async def test_who_takes_nothing_is_cut_after_so_many_bytes() -> None:
    house = House()
    async with joined(house, snapshot=False) as stuck:
        await stuck.take()
        for n in range(8):
            assert not stuck.cut
            await house.put("orders", f"i{n}", **{f"k{k}": "x" * 4000 for k in range(8)})
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert stuck.cut


async def test_readers_are_woken_a_few_at_a_time() -> None:
    house = House()
    readers = [house.feed.join(Wish(snapshot=False)) for _ in range(2 * AT_ONCE + 50)]
    for reader in readers:
        assert reader.next() is not None
    tasks = [asyncio.create_task(reader.take()) for reader in readers]
    await asyncio.sleep(0)
    await house.put("orders", "i1")
    await house.put("orders", "i2")
    woken = [0]
    for _ in range(10):
        await asyncio.sleep(0)
        woken.append(sum(task.done() for task in tasks))
    assert woken[-1] == len(readers)
    assert max(after - before for before, after in pairwise(woken)) <= AT_ONCE
    pieces = {id(await task) for task in tasks}
    assert len(pieces) == 1
    for reader in readers:
        house.feed.leave(reader)
    assert len(house.feed) == 0
    await house.feed.close()
