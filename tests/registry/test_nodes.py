"""What is told of the peers: how far behind they were, what they say of themselves, what differs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import jsonschema
from peer_kit import FAST, Recorder, free_ports, make, peered, until, url_of

from registry_server import nodes
from registry_server.app import RegistryApp, running
from registry_server.nodes import Row
from registry_server.openapi import description
from registry_server.openapi_words import ref
from registry_server.peers.line import Timing
from resilient.clock import ManualClock
from resilient.model import Status

#: Seconds a slow machine may take.
SLOW = 20.0


@contextlib.asynccontextmanager
async def pair(timing: Timing = FAST) -> AsyncIterator[tuple[RegistryApp, RegistryApp]]:
    one, other = free_ports(2)
    async with (
        running(peered(one, url_of(other), timing=timing, wait=0)) as a,
        running(peered(other, url_of(one), timing=timing, wait=0)) as b,
    ):
        yield a, b


def check(value: object, name: str) -> None:
    """As it is described."""
    spec = description()
    whole = {**ref(name), "components": spec["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


async def well(a: RegistryApp, b: RegistryApp) -> None:
    await a.registry.register(make("known"))
    await until(lambda: "known" in b.registry.table.leases("orders"), SLOW)
    await until(lambda: a.cluster.view()[0]["last_batch_at"] is not None, SLOW)


def kinds(found: Row) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    return {(row["what"], row["instance"]): (row.get("here"), row.get("there")) for row in found["rows"]}


async def test_lists_are_compared_entry_by_entry() -> None:
    async with pair() as (a, b):
        await well(a, b)
        same = await a.nodes.difference(b.url)
        assert same is not None
        assert (same["asked"], same["rows"]) == (True, [])
        # Behind the peers' backs, as if a word had been lost.
        await a.registry.register(make("mine"), replication=True)
        await b.registry.register(make("yours"), replication=True)
        await b.registry.set_status("orders", "known", Status.DOWN, replication=True)
        a.nodes._lists.clear()
        found = await a.nodes.difference(b.url)
        assert found is not None
        assert kinds(found) == {
            ("here", "mine"): ("UP", None),
            ("there", "yours"): (None, "UP"),
            ("status", "known"): ("UP", "DOWN"),
        }
        assert found["counts"] == {"here": 1, "there": 1, "status": 1}
        check({"now": 0, "peer": b.url, **found}, "UiDifference")
        assert await a.nodes.difference("http://elsewhere:1/eureka/") is None


async def test_a_silent_peer_has_growing_lag_and_what_changed_since_is_named() -> None:
    async with pair() as (a, b):
        await well(a, b)
        await a.registry.register(make("leaves"))
        await until(lambda: "leaves" in b.registry.table.leases("orders"), SLOW)
        await until(lambda: a.cluster.view()[0]["queue"] == 0, SLOW)
        await b.stop()
        await a.registry.register(make("new"))
        await a.registry.cancel("orders", "leaves")
        await a.registry.set_status("orders", "known", Status.OUT_OF_SERVICE)
        await a.registry.register(make("here and gone"))
        await a.registry.cancel("orders", "here and gone")
        await until(lambda: not a.cluster.view()[0]["well"], SLOW)
        found = await a.nodes.difference(b.url)
        assert found is not None
        assert (found["asked"], found["complete"]) == (False, True)
        assert kinds(found) == {
            ("here", "new"): ("UP", None),
            ("there", "leaves"): (None, "UP"),
            ("status", "known"): ("OUT_OF_SERVICE", "UP"),
        }
        lag = a.cluster.peers[0].lag
        await until(lambda: a.cluster.peers[0].lag > lag, SLOW)
        # What is too old to be told is still not known there.
        peer = a.cluster.peers[0]
        peer.backlog.take()
        peer._behind = True
        before = peer.lag
        assert before > 0
        await until(lambda: peer.lag > before, SLOW)


async def test_of_a_peer_that_never_answered_nothing_is_known() -> None:
    (port,) = free_ports(1)
    (nobody,) = free_ports(1)
    async with running(peered(port, url_of(nobody), wait=0)) as a:
        await a.registry.register(make())
        found = await a.nodes.difference(url_of(nobody))
        assert found is not None
        assert (found["asked"], found["since"], found["complete"], found["rows"]) == (False, None, False, [])


async def test_a_foreign_peer_that_keeps_its_list_to_itself() -> None:
    recorder = Recorder()
    async with recorder.serving():
        (port,) = free_ports(1)
        async with running(peered(port, recorder.url, wait=0)) as a:
            await a.registry.register(make())
            await until(lambda: a.cluster.view()[0]["last_batch_at"] is not None, SLOW)
            recorder.list_status = 403
            found = await a.nodes.difference(recorder.url)
    assert found is not None
    assert not found["asked"]
    assert "403" in found["problem"]


async def test_peers_say_how_they_are_while_somebody_looks() -> None:
    async with pair() as (a, b):
        await well(a, b)
        a.nodes.tick()
        assert not a.nodes._told
        a.feed.watch.enter()
        a.nodes._asked = float("-inf")
        a.nodes.tick()
        await until(lambda: bool(a.nodes._told), SLOW)
        (row,) = a.source.node()["peers"]
    assert (row["url"], row["instances"]) == (b.url, 1)
    check(a.views.node(), "Node")
    assert row["version"] == a.views.node()["version"]
    assert abs(row["skew"]) < SLOW
    assert row["uptime_seconds"] >= 0


def test_what_a_stranger_says_of_itself_is_taken_as_far_as_it_makes_sense() -> None:
    said = {"version": "9" * 99, "uptime_seconds": "long", "time": True, "counts": [], "zone": 3, "ready": 1}
    assert nodes._short(said, 0.0) == {"version": "9" * 40}
    assert nodes._short({"time": 12.5, "counts": {"instances": 7}, "ready": False}, 10.0) == {
        "skew": 2.5,
        "instances": 7,
        "ready": False,
    }


async def test_the_past_of_a_peer_is_kept_for_a_quarter_of_an_hour() -> None:
    clock = ManualClock()
    (port, nobody) = free_ports(2)
    async with running(peered(port, url_of(nobody), wait=0), clock=clock) as a:
        assert a._sweeper is not None
        a._sweeper.cancel()
        peer = a.cluster.peers[0]
        peer._down_since, peer._behind = clock.monotonic(), True
        for _ in range(1200):
            clock.advance(1)
            a.nodes.tick()
        past = a.nodes.past()[peer.address.url]
    assert len(past) == nodes.POINTS
    assert past == sorted(past)
    assert past[-1] >= 900
