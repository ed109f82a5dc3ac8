"""How a registry with peers starts: whom it copies from, and when it answers reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from peer_kit import SOMEBODY, Recorder, free_ports, ids, make, peered, until, url_of
from registry_wire import JSON, Wire, instance

from registry_server.app import RegistryApp, running
from registry_server.peers.cluster import Cluster
from registry_server.peers.copying import newest
from registry_server.settings import Settings, read_settings
from resilient.clock import ManualClock
from resilient.errors import ConfigError

READS = ("apps", "apps/delta", "apps/ORDERS", "vips/orders", "svips/orders")


@contextlib.asynccontextmanager
async def gated(clock: ManualClock, *urls: str, wait: float = 300) -> AsyncIterator[Wire]:
    async with (
        running(peered(0, *urls, wait=wait), clock=clock) as registry,
        aiohttp.ClientSession(skip_auto_headers=["Accept"]) as http,
    ):
        yield Wire(registry, clock, http)


async def refused(wire: Wire) -> set[int]:
    return {(await wire.get(path)).status for path in READS}


@pytest.mark.parametrize("peer", ["dead", "empty", "waiting", "broken"])
async def test_case_86_no_peer_has_anything(peer: str) -> None:
    clock, recorder = ManualClock(), Recorder()
    recorder.list_status = {"waiting": 403, "broken": 500}.get(peer, 200)
    async with contextlib.AsyncExitStack() as stack:
        (port,) = free_ports(1)
        if peer != "dead":
            await stack.enter_async_context(recorder.serving(port))
        wire = await stack.enter_async_context(gated(clock, url_of(port)))
        assert await refused(wire) == {403}
        assert (await wire.get("apps")).body == b""
        assert (await wire.get("/health/ready")).status == 503
        # Everything else works meanwhile.
        await wire.register()
        assert (await wire.put("apps/ORDERS/i1")).status == 200
        assert (await wire.get("apps/ORDERS/i1")).status == 200
        assert (await wire.get("instances/i1")).status == 200
        assert (await wire.put("apps/ORDERS/i1/status?value=DOWN")).status == 200
        assert (await wire.delete("apps/ORDERS/i1/status?value=UP")).status == 200
        assert (await wire.put("apps/ORDERS/i1/metadata?a=1")).status == 200
        node = (await wire.get("/resilient/v1/node")).json()
        assert node["ready"] is False
        assert any("reads are refused for up to 300 seconds" in line for line in node["warnings"])
        clock.advance(299)
        assert await refused(wire) == {403}
        clock.advance(1)
        assert await refused(wire) == {200}
        assert (await wire.get("/health/ready")).status == 200


async def test_case_86_without_peers_it_is_open_at_once() -> None:
    async with gated(ManualClock()) as wire:
        assert {(await wire.get(path)).status for path in ("apps", "apps/delta", "vips/x")} == {200}
        assert wire.registry.registry.outbox is None
        assert wire.registry.registry.beats is None


async def test_the_wait_is_a_setting() -> None:
    clock = ManualClock()
    async with gated(clock, url_of(free_ports(1)[0]), wait=5) as wire:
        assert await refused(wire) == {403}
        clock.advance(5)
        assert (await wire.get("apps")).status == 200


async def test_case_87_no_read_shows_a_part_of_the_copy() -> None:
    async with running(Settings(port=0, ui=False)) as a:
        for n in range(1000):
            await a.registry.register(make(f"i{n}"))
        async with running(peered(0, a.url)) as b, aiohttp.ClientSession() as http:
            seen: list[int] = []
            while 200 not in seen:
                async with http.get(f"{b.url}apps", headers=JSON) as answer:
                    seen.append(answer.status)
                    if answer.status == 200:
                        (found,) = (await answer.json())["applications"]["application"]
                        assert len(found["instance"]) == 1000
                await asyncio.sleep(0)
            assert set(seen) <= {403, 200}
            assert b.registry.table.get("orders", "i7") is not None


async def test_an_empty_registry_of_our_make_is_believed() -> None:
    async with running(Settings(port=0, ui=False)) as a, running(peered(0, a.url)) as b:
        await until(lambda: b.cluster.ready)
        assert ids(b) == set()


async def test_it_copies_from_all_who_answer_and_keeps_the_newest() -> None:
    old, new = Recorder(), Recorder()
    old.listed = [
        {**SOMEBODY, "instanceId": "both", "hostName": "old", "lastDirtyTimestamp": "1"},
        {**SOMEBODY, "instanceId": "one"},
    ]
    new.listed = [
        {**SOMEBODY, "instanceId": "both", "hostName": "new", "lastDirtyTimestamp": "2"},
        {**SOMEBODY, "instanceId": "two", "status": "OUT_OF_SERVICE", "overriddenStatus": "OUT_OF_SERVICE"},
    ]
    dead = url_of(free_ports(1)[0])
    async with old.serving(), new.serving(), running(peered(0, dead, old.url, new.url)) as registry:
        await until(lambda: registry.cluster.ready)
        leases = registry.registry.table.leases("orders")
        assert set(leases) == {"both", "one", "two"}
        assert leases["both"].record.instance.host == "new"
        assert leases["two"].record.override.value == "OUT_OF_SERVICE"
        await asyncio.sleep(0.1)
        assert old.batches == new.batches == []  # a copy is nobody's news


def test_newest_takes_each_instance_once() -> None:
    lists = [
        [make("a", dirty_at=1), make("b", dirty_at=5)],
        [make("a", dirty_at=2), make("b", dirty_at=4), make("a", "other", dirty_at=9)],
    ]
    assert [(one.service, one.id, one.dirty_at) for one in newest(lists)] == [
        ("orders", "a", 2),
        ("orders", "b", 5),
        ("other", "a", 9),
    ]


async def test_what_registered_here_meanwhile_stays_if_it_is_newer() -> None:
    recorder = Recorder()
    recorder.list_status = 500
    recorder.listed = [{**SOMEBODY, "instanceId": "i1", "hostName": "theirs", "lastDirtyTimestamp": "500"}]
    async with recorder.serving(), running(peered(0, recorder.url)) as registry:
        await registry.registry.register(make("i1", dirty_at=1000))
        recorder.list_status = 200
        await until(lambda: registry.cluster.ready)
        assert registry.registry.table.leases("orders")["i1"].record.instance.host == "h"


@pytest.mark.parametrize("spelling", ["http://127.0.0.1:{}/eureka/", "http://localhost:{}/eureka/v2"])
async def test_its_own_address_is_no_peer(spelling: str) -> None:
    (port,) = free_ports(1)
    async with running(peered(port, spelling.format(port))) as registry:
        await until(lambda: registry.cluster.ready)
        assert registry.cluster.view() == []
        assert registry.registry.beats is None
        assert registry.registry.outbox is None


async def test_its_own_address_among_others_is_left_out() -> None:
    recorder = Recorder()
    recorder.listed = [SOMEBODY]
    (port,) = free_ports(1)
    async with recorder.serving(), running(peered(port, f"localhost:{port}", recorder.url)) as registry:
        await until(lambda: registry.cluster.ready)
        assert [row["url"] for row in registry.cluster.view()] == [recorder.url]
        await registry.registry.register(make())
        await until(lambda: len(recorder.items) == 1)


async def test_case_76_the_status_page_shows_the_replicas() -> None:
    recorder = Recorder()
    recorder.listed = [SOMEBODY]
    dead = url_of(free_ports(1)[0])
    async with recorder.serving(), running(peered(0, dead, recorder.url)) as registry:
        await until(lambda: registry.cluster.ready)
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{registry.url}status", headers=JSON) as answer:
                stats = (await answer.json())["applicationStats"]
            async with http.get(f"{registry.url}status", headers={"Accept": "application/xml"}) as answer:
                text = await answer.text()
        assert stats == {
            "registered-replicas": f"{recorder.url}, {dead}",
            "available-replicas": f"{recorder.url},",
            "unavailable-replicas": f"{dead},",
        }
        assert f"<unavailable-replicas>{dead},</unavailable-replicas>" in text


async def test_a_quiet_peer_that_recovers_is_no_longer_shown_as_ill() -> None:
    (port,) = free_ports(1)
    async with running(peered(0, url_of(port), wait=0)) as registry:
        await until(lambda: registry.cluster.problems() == [(url_of(port), "connection refused")])
        async with Recorder().serving(port) as recorder:
            await until(lambda: registry.cluster.replicas() == ([url_of(port)], []))
            assert registry.cluster.problems() == []
            assert recorder.batches == []


async def test_the_node_shows_its_peers() -> None:
    recorder = Recorder()
    recorder.listed = [SOMEBODY]
    async with recorder.serving(), running(peered(0, recorder.url)) as registry:
        await until(lambda: registry.cluster.ready)
        await registry.registry.register(make())
        await until(lambda: registry.cluster.view()[0]["last_batch_at"] is not None)
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{registry.port}/resilient/v1/node") as got,
        ):
            node = await got.json()
    assert node["id"] == registry.cluster.id
    assert node["ready"] is True
    assert node["warnings"] == []
    (row,) = node["peers"]
    at = row.pop("last_batch_at")
    assert at == pytest.approx(registry.registry.clock.time(), abs=5)
    assert row == {
        "url": recorder.url,
        "well": True,
        "problem": "",
        "queue": 0,
        "lag": 0.0,
        "skipped": 0,
        "lost": 0,
        "refused": 0,
    }


def test_peers_are_read_from_argument_and_environment() -> None:
    env = {"RESILIENT_REGISTRY_PEERS": "http://u:pass-word@a:1/eureka/, b:2 ,b:2/eureka"}
    found = read_settings(env=env)
    assert [str(one) for one in found.peers] == ["http://a:1/eureka/", "http://b:2/eureka/"]
    assert found.peers[0].authorization.startswith("Basic ")
    assert "pass-word" not in repr(found)
    assert [str(one) for one in read_settings(env=env, peers="c").peers] == ["http://c/eureka/"]
    assert read_settings(env={"RESILIENT_REGISTRY_PEER_WAIT": "7"}).peer_wait == 7
    for wrong in (
        {"RESILIENT_REGISTRY_PEERS": "http://ok, ftp://u:pass-word@x"},
        {"RESILIENT_REGISTRY_PEER_WAIT": "soon"},
        {"RESILIENT_REGISTRY_DELTA": "maybe"},
    ):
        with pytest.raises(ConfigError) as caught:
            read_settings(env=wrong)
        assert "pass-word" not in str(caught.value)


async def test_two_registries_never_take_themselves_for_each_other() -> None:
    registry = RegistryApp(Settings(ui=False)).registry
    one, two = (Cluster(registry, (), rng=None) for _ in range(2))  # type: ignore[arg-type]
    assert one.id != two.id


async def test_a_lease_of_one_duration_is_given_to_whoever_was_copied() -> None:
    recorder = Recorder()
    recorder.listed = [{**SOMEBODY, "leaseInfo": {"renewalIntervalInSecs": 10, "durationInSecs": 30}}]
    clock = ManualClock()
    async with recorder.serving(), gated(clock, recorder.url) as wire:
        await until(lambda: wire.registry.cluster.ready)
        clock.advance(29)
        assert (await wire.get("apps/ORDERS/copied")).status == 200
        clock.advance(2)
        assert (await wire.get("apps/ORDERS/copied")).status == 404
        assert (await wire.post(instance())).status == 204
