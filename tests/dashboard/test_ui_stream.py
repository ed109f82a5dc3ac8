"""The stream: what it says, who is told what, and what becomes of those who come back or are slow."""

from __future__ import annotations

import asyncio

import pytest
from seeded_source import SeededSource
from ui_kit import Site

from dashboard.hub import Hub
from dashboard.viewer import TICKS, WAITING_EVENTS, topics_of
from resilient.clock import ManualClock

ALL = "?topics=services,circuits,changes,nodes"


@pytest.fixture
def source():
    return SeededSource(services=4, circuits=6, past=2)


def change(n=0, **more):
    return {"kind": "registered", "service": "orders", "instance": f"i{n}", "text": "new", "at": 10.0, **more}


async def test_it_begins_with_everything_and_goes_on_with_ticks(source):
    async with Site(source, interval=0.05) as site, site.stream(ALL) as events:
        assert events.answer.headers["Content-Type"].startswith("text/event-stream")
        assert events.answer.headers["Cache-Control"] == "no-store"
        assert events.answer.headers["X-Accel-Buffering"] == "no"
        first = await events.until("tick")
        names = [name for name, _ in first]
        assert names[0] == "hello"
        said = dict(first)
        hello = said["hello"]
        assert (hello["v"], hello["tickMs"], hello["roles"]) == (1, 50, ["reader"])
        assert said["services"]["full"] is True
        assert [row["n"] for row in said["services"]["rows"]] == [row["name"] for row in source.rows]
        assert len(said["circuits"]["rows"]) == 6
        assert names.count("change") == 24
        tick = said["tick"]
        assert len(tick["s"]) == 4
        assert [row[0] for row in tick["c"]] == [row["k"] for row in said["circuits"]["rows"]]
        _, again = await events.next("tick")
        assert again["now"] > tick["now"]


async def test_the_numbers_add_up(source):
    async with Site(source, interval=0.05) as site, site.stream(ALL) as events:
        said = dict(await events.until("tick"))
        for row in said["services"]["rows"]:
            assert sum(row[k] for k in ("up", "late", "start", "oos", "down", "unk")) == row["total"]
            assert sum(row["zones"].values()) == row["up"]
        rows = {row["k"]: row for row in said["circuits"]["rows"]}
        towards = {}
        for key, state, hosts, rate, error, counts, latency, _ in said["tick"]["c"]:
            success, failure, refused, timeout, rejected, _ = counts
            attempted = success + failure + timeout + rejected
            if attempted:
                assert error == pytest.approx(100 * (failure + timeout + rejected) / attempted, abs=0.06)
            else:
                assert error is None
            assert refused <= sum(counts)
            assert 1 <= hosts <= rows[key]["of"]
            assert state in "CHOFLDM"
            assert latency is None or latency == sorted(latency)
            towards[rows[key]["to"]] = towards.get(rows[key]["to"], 0) + rate
        for row, live in zip(said["services"]["rows"], said["tick"]["s"], strict=True):
            assert live[1] == pytest.approx(towards.get(row["n"], 0), abs=0.4)
            assert sum(row["circ"].values()) == sum(one["to"] == row["n"] for one in rows.values())


async def test_only_what_changed_is_said_again(source):
    async with Site(source, interval=0.05) as site, site.stream(ALL) as events:
        await events.until("tick")
        quiet = await events.until("tick")
        assert [name for name, _ in quiet] == ["tick"]
        source.rows[1]["instances"][0]["status"] = "DOWN"
        _, said = await events.next("services")
        assert said["full"] is False
        assert [row["n"] for row in said["rows"]] == [source.rows[1]["name"]]
        gone = source.rows.pop(0)
        _, said = await events.next("services")
        # A tick's numbers come in the order of the last full list, so that is sent again.
        assert said["full"] is True
        assert gone["name"] not in [row["n"] for row in said["rows"]]
        _, tick = await events.next("tick")
        assert len(tick["s"]) == 3


async def test_a_page_gets_its_topics_only(source):
    async with Site(source, interval=0.05) as site, site.stream("?topics=changes,beats:orders") as events:
        said = await events.until("tick")
        assert {name for name, _ in said} == {"hello", "change", "tick"}
        assert set(said[-1][1]) == {"now", "beats"}
        _, beats = await events.next("beats:orders")
        wanted = next(row for row in source.rows if row["name"] == "orders")
        assert [id for id, _ in beats["i"]] == [one["id"] for one in wanted["instances"]]
        source.tell("state", {"service": "a", "name": "b", "at": 1.0, "before": "closed", "state": "open"})
        source.tell("change", change())
        said = await events.until("change")
        assert "state" not in [name for name, _ in said]


def test_topics_are_read_with_suspicion():
    assert topics_of("") == (frozenset({"services", "circuits", "changes", "nodes"}), frozenset())
    assert topics_of("edges,nonsense") == (frozenset({"edges"}), frozenset())
    topics, beats = topics_of("beats:a\nevent: x,beats:B," + ",".join(f"beats:{n}" for n in range(40)))
    assert topics == frozenset()
    assert all(name.isprintable() for name in beats)
    assert len(beats) <= 4


async def test_turns_and_changes_are_told_at_once_and_in_order(source):
    async with Site(source, interval=30) as site, site.stream(ALL) as events:
        await events.until("tick")
        source.tell(
            "state",
            {
                "service": "shop",
                "name": "pay",
                "at": 12.5,
                "before": "closed",
                "state": "open",
                "states": {"open": 2, "closed": 1},
                "why": {"rule": "error_rate", "value": 63.9, "limit": 50, "calls": 1220},
            },
        )
        _, state = await events.next("state", within=1)
        assert (state["from"], state["to"], state["at"]) == ("C", "O", 12500)
        assert state["hosts"] == {"O": 2, "C": 1}
        assert state["why"]["rule"] == "error_rate"
        for n in range(3):
            source.tell("change", change(n))
        for n in range(3):
            _, said = await events.next("change", within=1)
            assert said["sub"] == f"orders/i{n}"
        for n in range(12):
            source.tell("change", change(n, kind="expired"))
        _, said = await events.next("change", within=1)
        assert (said["n"], said["sub"], said["kind"]) == (12, "orders", "expired")


async def test_notices_come_and_go_with_their_numbers(source):
    async with Site(source, interval=0.05) as site, site.stream(ALL) as events:
        await events.until("tick")
        source.mode, source.reason = "preserving", "too many at once"
        source.peers = [{"url": "http://b:8761/eureka/", "well": False, "problem": "no answer"}]
        _, first = await events.next("notice")
        _, second = await events.next("notice")
        assert {first["id"], second["id"]} == {"protection", "peer:http://b:8761/eureka/"}
        protection = first if first["id"] == "protection" else second
        assert protection["on"] is True
        assert protection["data"]["beats"] == source.node()["heartbeats_per_minute"]
        async with site.stream(ALL) as late:
            said = [data["id"] for name, data in await late.until("tick") if name == "notice"]
            assert sorted(said) == sorted([first["id"], second["id"]])
        source.mode = "normal"
        _, off = await events.next("notice")
        assert (off["id"], off["on"]) == ("protection", False)


async def test_who_comes_back_hears_what_he_missed_once_and_in_order(source):
    async with Site(source, interval=0.1) as site:
        async with site.stream(ALL) as events:
            await events.until("tick")
            source.tell("change", change(1))
            await events.next("change")
            last = events.last
        source.tell("change", change(2))
        source.tell("change", change(3))
        await asyncio.sleep(0.4)
        async with site.stream(ALL, last=last) as events:
            said = await events.until("tick")
            assert [name for name, _ in said] == ["hello", "change", "change", "tick"]
            assert [data["sub"] for name, data in said if name == "change"] == ["orders/i2", "orders/i3"]


@pytest.mark.parametrize("last", ["nonsense", "-", "abc-1", "{epoch}-999999", "{epoch}-x", "{epoch}--1"])
async def test_a_position_that_makes_no_sense_gets_everything(source, last):
    async with Site(source, interval=0.1) as site, site.stream(ALL) as events:
        await events.until("tick")
        async with site.stream(ALL, last=last.format(epoch=site.hub.epoch)) as again:
            names = [name for name, _ in await again.until("tick")]
            assert "services" in names
            assert "circuits" in names


async def test_after_a_minute_everything_comes_anew():
    clock = ManualClock()
    source = SeededSource(services=3, circuits=3, past=1, clock=clock)
    hub = Hub(source, clock, version="v")
    topics = frozenset({"changes"})
    viewer = await hub.join(topics, frozenset(), ["reader"], "")
    for n in range(3):
        hub.tell("change", {"n": n}, "changes")
        clock.advance(25)
    assert hub.missed(f"{hub.epoch}-0", topics) is None
    assert len(hub.missed(f"{hub.epoch}-1", topics)) == 2
    assert hub.missed(f"{hub.epoch}-3", topics) == []
    hub.leave(viewer)
    await hub.close()


async def test_a_slow_browser_gets_a_gap_and_then_everything_and_holds_nobody_up(source):
    clock = ManualClock()
    hub = Hub(source, clock, version="v")
    topics = frozenset({"changes", "services"})
    slow = await hub.join(topics, frozenset(), ["reader"], "")
    quick = await hub.join(topics, frozenset(), ["reader"], "")
    await slow.take()
    await quick.take()
    for _ in range(10):
        hub.beat()
    taken = await slow.take()
    assert taken.count(b"event: tick") == TICKS
    quick_got = 0
    for n in range(WAITING_EVENTS + 50):
        hub.tell("change", {"n": n}, "changes")
        quick_got += (await quick.take()).count(b"event: change")
    assert quick_got == WAITING_EVENTS + 50
    assert slow.waiting == 0
    piece = await slow.take()
    assert piece.startswith(b'event: gap\ndata: {"reason":"too_slow"}')
    assert b"event: hello" in piece
    assert b"event: services" in piece
    hub.tell("change", {"n": 1}, "changes")
    assert b"event: change" in await slow.take()
    await hub.close()


async def test_ticks_are_made_once_for_all(source):
    clock = ManualClock()
    hub = Hub(source, clock, version="v")
    topics = frozenset({"services", "circuits"})
    await hub.join(topics, frozenset(), ["reader"], "")
    assert hub.tick_for(topics) is hub.tick_for(topics | {"changes"})
    await hub.close()


async def test_it_says_goodbye(source):
    async with Site(source, interval=0.1) as site, site.stream(ALL) as events:
        await events.until("tick")
        closing = asyncio.create_task(site.runner.cleanup())
        _, bye = await events.next("bye")
        assert bye == {"reason": "shutdown", "retryMs": 3000}
        with pytest.raises(EOFError):
            await events.next("tick")
        await closing


async def test_a_source_that_fails_does_not_end_the_stream(source):
    async with Site(source, interval=0.05) as site, site.stream(ALL) as events:
        await events.until("tick")
        healthy, source.node = source.node, lambda: 1 / 0
        await events.next("tick")
        await events.next("tick")
        source.node = healthy
        source.mode = "preserving"
        _, notice = await events.next("notice")
        assert notice["id"] == "protection"


async def test_nobody_is_asked_while_nobody_looks(source):
    class Watch:
        here = 0

        def enter(self):
            self.here += 1

        def leave(self):
            self.here -= 1

    watch = Watch()
    async with Site(source, interval=0.05, watch=watch) as site:
        async with site.stream(ALL) as events:
            await events.until("tick")
            assert watch.here == 1
        await asyncio.sleep(0.2)
        assert watch.here == 0
        assert len(site.hub) == 0


async def test_many_who_come_at_once_share_what_is_made_for_them(source):
    async with Site(source, interval=600) as site:
        made = []
        full = site.hub.circuits.full
        site.hub.circuits.full = lambda: made.append(1) or full()

        async def begin():
            async with site.stream() as events:
                return dict(await events.until("tick", within=30))["circuits"]

        found = await asyncio.gather(*(begin() for _ in range(25)))
        assert found[0]["rows"]
        assert all(one == found[0] for one in found)
        assert len(made) == 1


async def test_all_of_many_have_every_tick(source):
    async with Site(source, interval=0.2) as site:

        async def look():
            async with site.stream() as events:
                return [(await events.next("tick", within=30))[1]["now"] for _ in range(4)]

        found = await asyncio.gather(*(look() for _ in range(23)))
        assert all(sorted(set(one)) == one for one in found)
