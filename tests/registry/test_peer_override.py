"""An operator's word on a status arrives at a peer that was away, however long that took."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

import pytest
from peer_kit import FAST, Recorder, ids, make, mesh, recorded, status, until

from registry_server.app import RegistryApp
from registry_server.peers.line import Trouble
from resilient.model import Status

OUT = Status.OUT_OF_SERVICE
#: Other changes are worth telling for a twentieth of a second only.
HASTY = dataclasses.replace(FAST, keep=0.05)


def cut(registry: RegistryApp) -> Callable[[], None]:
    """Nothing reaches the registry's peer any more, until what this returns is called."""
    (peer,) = registry.cluster.peers
    send = peer.line.send

    async def lost(batch: bytes) -> tuple[int, bytes]:
        raise Trouble("cut for the test")

    def heal() -> None:
        peer.line.send = send  # type: ignore[method-assign]

    peer.line.send = lost  # type: ignore[method-assign]
    return heal


async def expire(registry: RegistryApp, id: str = "i1") -> None:
    """The lease of an instance has run out, and nobody else's."""
    table = registry.registry.table
    lease = table.leases("orders")[id]
    lease.renewed -= 1000
    table._watch.start(lease)
    assert await registry.registry.sweep() == 1


async def test_it_was_set_while_the_peer_was_away() -> None:
    async with mesh(2, timing=HASTY) as (a, b):
        await a.registry.register(make())
        await until(lambda: ids(b) == {"i1"})
        heal = cut(a)
        await a.registry.set_status("orders", "i1", OUT)
        await asyncio.sleep(0.3)
        assert status(b) is Status.UP
        heal()
        await until(lambda: status(b) is OUT)


async def test_it_was_taken_back_while_the_peer_was_away() -> None:
    async with mesh(2, timing=HASTY) as (a, b):
        await a.registry.register(make())
        await until(lambda: ids(b) == {"i1"})
        await a.registry.set_status("orders", "i1", OUT)
        await until(lambda: status(b) is OUT)
        heal = cut(a)
        await a.registry.clear_status("orders", "i1", Status.UP)
        await asyncio.sleep(0.3)
        assert status(b) is OUT
        heal()
        await until(lambda: status(b) is Status.UP)
        assert b.registry.table.leases("orders")["i1"].record.override is Status.UNKNOWN


@pytest.mark.parametrize("becomes", [OUT, Status.UP])
async def test_the_lease_ran_out_there_meanwhile(becomes: Status) -> None:
    """The peer remembers the override of an instance it evicted: the old one must not come back."""
    async with mesh(2, timing=HASTY) as (a, b):
        await a.registry.register(make())
        await until(lambda: ids(b) == {"i1"})
        await a.registry.set_status("orders", "i1", Status.DOWN if becomes is OUT else OUT)
        await until(lambda: status(b) is not Status.UP)
        heal = cut(a)
        if becomes is OUT:
            await a.registry.set_status("orders", "i1", OUT)
        else:
            await a.registry.clear_status("orders", "i1", Status.UP)
        await expire(b)
        await asyncio.sleep(0.3)
        assert ids(b) == set()
        heal()
        await until(lambda: status(b) is becomes)
        await asyncio.sleep(0.1)
        assert status(b) is becomes


async def test_another_word_meanwhile_is_the_one_that_counts() -> None:
    async with recorded(timing=HASTY) as (a, recorder):
        await a.registry.register(make())
        await until(lambda: bool(recorder.told("Register")))
        heal = cut(a)
        await a.registry.set_status("orders", "i1", OUT)
        await a.registry.set_status("orders", "copied", OUT)
        await asyncio.sleep(0.2)
        # The peer's own operator said otherwise, and that arrived first.
        await a.registry.set_status("orders", "i1", Status.DOWN, replication=True)
        heal()
        await until(lambda: bool(recorder.told("StatusUpdate")))
        await asyncio.sleep(0.1)
        assert [item["id"] for item in recorder.told("StatusUpdate")] == ["copied"]


async def test_it_is_not_told_of_who_is_gone() -> None:
    async with recorded(timing=HASTY) as (a, recorder):
        await a.registry.register(make())
        await until(lambda: bool(recorder.told("Register")))
        heal = cut(a)
        await a.registry.set_status("orders", "i1", OUT)
        await expire(a)
        await asyncio.sleep(0.2)
        heal()
        await a.registry.register(make("i2"))
        await until(lambda: len(recorder.told("Register")) == 2)
        assert recorder.told("StatusUpdate") == []


async def test_a_peer_that_does_not_let_us_hears_it_once_it_does() -> None:
    async with recorded(timing=HASTY) as (a, recorder):
        await a.registry.register(make())
        await until(lambda: bool(recorder.told("Register")))
        recorder.batch_status = 401
        await a.registry.set_status("orders", "i1", OUT)
        await asyncio.sleep(0.3)
        assert a.cluster.view()[0]["queue"] == 1
        recorder.batches.clear()
        recorder.batch_status = 200
        await until(lambda: bool(recorder.told("StatusUpdate")))
        assert [item["status"] for item in recorder.told("StatusUpdate")] == ["OUT_OF_SERVICE"]
        await until(lambda: a.cluster.view()[0]["queue"] == 0)


async def test_a_peer_that_never_takes_the_instance_is_not_asked_for_ever() -> None:
    recorder = Recorder()
    async with recorded(recorder, timing=HASTY) as (a, _):
        await a.registry.register(make())
        await until(lambda: bool(recorder.told("Register")))
        heal = cut(a)
        await a.registry.set_status("orders", "i1", OUT)
        await asyncio.sleep(0.2)
        recorder.batches.clear()
        recorder.entity = lambda item: {"statusCode": 404}
        heal()
        await until(lambda: len(recorder.told("StatusUpdate")) == 2)
        await asyncio.sleep(0.3)
        assert len(recorder.told("StatusUpdate")) == 2
