"""What registries tell each other: cases 88 to 94, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

import aiohttp
import pytest
from peer_kit import (
    FAST,
    SOMEBODY,
    Recorder,
    free_ports,
    ids,
    make,
    mesh,
    peered,
    recorded,
    status,
    until,
    url_of,
)

from registry_server.app import running
from registry_server.peers.line import Timing
from registry_server.settings import Settings
from resilient.model import Status

TOKEN = "write-token-0123456789"


async def test_case_88_who_registers_at_one_is_known_to_all() -> None:
    async with mesh(3) as (a, b, c):
        await a.registry.register(make())
        await until(lambda: ids(b) == ids(c) == {"i1"})
        await b.registry.set_status("orders", "i1", Status.OUT_OF_SERVICE)
        await until(lambda: status(a) == status(c) == Status.OUT_OF_SERVICE)
        await c.registry.clear_status("orders", "i1", Status.UP)
        await until(lambda: status(a) == status(b) == Status.UP)
        await c.registry.add_metadata("orders", "i1", {"note": "x"})
        await until(
            lambda: a.registry.table.leases("orders")["i1"].record.instance.metadata.get("note") == "x"
        )
        await b.registry.cancel("orders", "i1")
        await until(lambda: ids(a) == ids(c) == set())


async def test_case_88_the_form_of_a_batch_and_nothing_is_told_on() -> None:
    recorder, behind = Recorder(), Recorder()
    recorder.listed = behind.listed = [SOMEBODY]
    async with recorder.serving(), behind.serving():
        (port,) = free_ports(1)
        async with (
            running(peered(port, behind.url)) as b,
            running(peered(0, url_of(port), recorder.url)) as a,
        ):
            await until(lambda: a.cluster.ready and b.cluster.ready)
            await a.registry.register(make(id="h:orders:1", dirty_at=1893456000123))
            await until(lambda: "h:orders:1" in ids(b) and bool(recorder.told("Register")))
            a.registry.renew("orders", "h:orders:1", 1893456000123)
            await until(lambda: bool(recorder.told("Heartbeat")))
            await asyncio.sleep(0.1)
            assert behind.batches == []  # B tells nobody what a peer told
        (item,) = recorder.told("Register")
        assert item["appName"] == "ORDERS"
        assert item["lastDirtyTimestamp"] == 1893456000123
        assert item["instanceInfo"]["instanceId"] == "h:orders:1"
        assert item["instanceInfo"]["app"] == "ORDERS"
        (beat,) = recorder.told("Heartbeat")
        assert beat == {
            "appName": "ORDERS",
            "id": "h:orders:1",
            "lastDirtyTimestamp": 1893456000123,
            "status": "UP",
            "action": "Heartbeat",
        }
        assert set(recorder.paths) == {"/eureka/peerreplication/batch/"}
        head = recorder.headers[0]
        assert "x-netflix-discovery-replication" not in head
        assert head["discoveryidentity-name"] == "DefaultServer"
        assert head["content-type"] == "application/json"


async def test_heartbeats_in_one_batch_time_are_told_once_and_keep_the_lease_alive() -> None:
    async with recorded(timing=Timing(delay=0.1, connect=0.3, read=0.3)) as (a, recorder):
        await a.registry.register(make())
        await until(lambda: bool(recorder.told("Register")))
        for _ in range(100):
            a.registry.renew("orders", "i1")
        await until(lambda: bool(recorder.told("Heartbeat")))
        assert len(recorder.told("Heartbeat")) == 1


async def test_what_came_from_a_peer_is_not_told_on_by_the_single_requests_either() -> None:
    async with recorded() as (a, recorder), aiohttp.ClientSession() as http:
        await a.registry.register(make())
        await until(lambda: len(recorder.items) == 1)
        told = {"x-netflix-discovery-replication": "true"}
        base = f"{a.url}apps/ORDERS/i1"
        for method, path in [
            ("PUT", "?lastDirtyTimestamp=1000"),
            ("PUT", "/status?value=DOWN"),
            ("PUT", "/metadata?a=1"),
            ("DELETE", "/status?value=UP"),
            ("DELETE", ""),
        ]:
            async with http.request(method, base + path, headers=told) as answer:
                assert answer.status == 200, path
        await asyncio.sleep(0.1)
        assert len(recorder.items) == 1


async def test_case_89_batches_are_not_told_on_and_evictions_are_not_told() -> None:
    async with recorded() as (a, recorder), aiohttp.ClientSession() as http:
        one = {"appName": "ORDERS", "id": "copied", "lastDirtyTimestamp": 500}
        batch = [
            {**one, "action": "StatusUpdate", "status": "DOWN"},
            {**one, "action": "DeleteStatusOverride", "status": "UP"},
            {**one, "action": "Heartbeat", "status": "UP"},
            {**one, "action": "Cancel"},
            {**one, "action": "Register", "instanceInfo": {**SOMEBODY, "lastDirtyTimestamp": "501"}},
        ]
        url = f"{a.url}peerreplication/batch/"
        async with http.post(url, json={"replicationList": batch}) as answer:
            codes = [one["statusCode"] for one in (await answer.json())["responseList"]]
        assert codes == [200] * 5
        assert ids(a) == {"copied"}
        # An eviction, as if the lease had run out.
        a.registry.table.leases("orders")["copied"].renewed -= 1000
        a.registry.table.touch("nobody", "x")
        lease = a.registry.table.leases("orders")["copied"]
        a.registry.table._watch.start(lease)
        assert await a.registry.sweep() == 1
        await asyncio.sleep(0.1)
        assert recorder.items == []


async def test_a_late_cancel_of_a_peer_does_not_end_who_came_back() -> None:
    async with recorded() as (a, _), aiohttp.ClientSession() as http:
        await a.registry.register(make(dirty_at=2000))
        url = f"{a.url}peerreplication/batch/"
        late = {"appName": "ORDERS", "id": "i1", "action": "Cancel", "lastDirtyTimestamp": 1000}
        async with http.post(url, json={"replicationList": [late]}) as answer:
            assert (await answer.json())["responseList"] == [{"statusCode": 200}]
        assert "i1" in ids(a)
        plain = {"appName": "ORDERS", "id": "i1", "action": "Cancel"}
        async with http.post(url, json={"replicationList": [plain]}) as answer:
            assert (await answer.json())["responseList"] == [{"statusCode": 200}]
        assert "i1" not in ids(a)


async def test_case_92_a_peer_that_does_not_know_it_gets_the_whole_instance() -> None:
    recorder = Recorder()
    recorder.entity = lambda item: {"statusCode": 404 if item["action"] == "Heartbeat" else 200}
    async with recorded(recorder) as (a, _):
        await a.registry.register(make(metadata={"k": "v"}))
        await a.registry.set_status("orders", "i1", Status.OUT_OF_SERVICE)
        await until(lambda: len(recorder.items) == 2)
        a.registry.renew("orders", "i1")
        await until(lambda: len(recorder.told("Register")) == 2)
        assert recorder.told("Heartbeat")[0]["overriddenStatus"] == "OUT_OF_SERVICE"
        again = recorder.told("Register")[1]["instanceInfo"]
        assert again["metadata"] == {"k": "v"}
        assert (again["status"], again["overriddenStatus"]) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")


async def test_case_92_a_peer_that_knows_better_is_believed() -> None:
    newer: dict[str, Any] = {
        **SOMEBODY,
        "instanceId": "i1",
        "hostName": "moved",
        "overriddenStatus": "OUT_OF_SERVICE",
        "status": "OUT_OF_SERVICE",
        "lastDirtyTimestamp": "2000",
    }
    recorder = Recorder()
    recorder.entity = lambda item: (
        {"statusCode": 409, "responseEntity": newer} if item["action"] == "Heartbeat" else {"statusCode": 200}
    )
    async with recorded(recorder) as (a, _):
        await a.registry.register(make())
        await until(lambda: len(recorder.items) == 1)
        a.registry.renew("orders", "i1")
        await until(lambda: a.registry.table.leases("orders")["i1"].record.instance.host == "moved")
        record = a.registry.table.leases("orders")["i1"].record
        assert (record.instance.dirty_at, record.override) == (2000, Status.OUT_OF_SERVICE)
        await asyncio.sleep(0.1)
        assert len(recorder.told("Register")) == 1


@pytest.mark.parametrize("code", [503, 504, 429])
async def test_case_93_a_busy_peer_is_asked_again_after_a_pause(code: int) -> None:
    recorder = Recorder()
    recorder.batch_status = code
    async with recorded(recorder, timing=Timing(delay=0.02, congested=0.2, most=0.2)) as (a, _):
        await a.registry.register(make())
        await until(lambda: len(recorder.batches) == 1)
        recorder.batch_status = 200
        assert a.cluster.view()[0]["queue"] == 1
        await until(lambda: len(recorder.batches) == 2)
        assert recorder.batches[0] == recorder.batches[1]
        assert 0.2 <= recorder.at[1] - recorder.at[0] < 0.6
        await until(lambda: a.cluster.view()[0]["queue"] == 0)


@pytest.mark.parametrize("code", [400, 413, 500, 302])
async def test_case_93_what_a_peer_refuses_is_not_repeated(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    recorder.batch_status = code
    async with recorded(recorder) as (a, _):
        await a.registry.register(make())
        await until(lambda: len(recorder.batches) == 1)
        recorder.batch_status = 200
        await a.registry.register(make("i2"))
        await until(lambda: len(recorder.batches) == 2)
        assert [item["id"] for item in recorder.batches[1]] == ["i2"]
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([line for line in said if f"status {code}" in line]) == 1


async def test_case_93_after_a_refused_connection_it_is_tried_again_soon() -> None:
    recorder = Recorder()
    recorder.listed = [SOMEBODY]
    async with contextlib.AsyncExitStack() as stack:
        async with recorder.serving():
            port = recorder.port
            a = await stack.enter_async_context(running(peered(0, recorder.url)))
            await until(lambda: a.cluster.ready)
        await a.registry.register(make())
        await until(lambda: a.cluster.view()[0]["problem"] == "connection refused")
        assert a.cluster.replicas() == ([], [url_of(port)])
        await a.registry.register(make("i2"))
        await stack.enter_async_context(recorder.serving(port))
        await until(lambda: {item["id"] for item in recorder.items} == {"i1", "i2"})
        await until(lambda: a.cluster.view()[0]["problem"] == "")


async def test_case_93_changes_too_old_are_dropped_and_made_up_for_when_the_peer_is_back() -> None:
    recorder = Recorder()
    recorder.batch_status = 503
    timing = Timing(delay=0.02, transient=0.02, congested=0.02, most=0.05, keep=0.05)
    async with recorded(recorder, timing=timing) as (a, _):
        await a.registry.register(make("kept"))
        await a.registry.register(make("gone"))
        await a.registry.register(make("quiet"))
        await a.registry.cancel("orders", "gone")
        (peer,) = a.cluster.peers
        # As if it had waited for longer than the renewal interval, for registrations.
        peer.backlog._words = {
            key: tuple(type(one)(one.item, one.since, 0.0) for one in tasks)
            for key, tasks in peer.backlog._words.items()
        }
        await until(lambda: peer.backlog.lost == 3)
        recorder.batches.clear()
        recorder.entity = lambda item: {"statusCode": 404 if item["action"] == "Heartbeat" else 200}
        recorder.batch_status = 200
        # Nothing new happens, and still the peer hears of whom only this registry hears.
        await until(lambda: {item["id"] for item in recorder.told("Register")} == {"kept", "quiet"})
        assert "gone" not in {item["id"] for item in recorder.items}
        assert "copied" not in {item["id"] for item in recorder.items}
        before = len(recorder.batches)
        await asyncio.sleep(0.1)
        assert len(recorder.batches) == before


async def test_a_poisonous_item_hurts_only_itself() -> None:
    recorder = Recorder()
    recorder.entity = lambda item: {"statusCode": 500 if item["id"] == "poison" else 200}
    async with recorded(recorder) as (a, _):
        for id in ("poison", "i1", "i2"):
            await a.registry.register(make(id))
        await until(lambda: len(recorder.items) == 3)
        await asyncio.sleep(0.1)
        assert len(recorder.items) == 3
        # it is counted, and shown.
        await until(lambda: a.cluster.view()[0]["refused"] == 1)
    (port,) = free_ports(1)
    async with running(Settings(port=port, ui=False)) as b, aiohttp.ClientSession() as http:
        plan = b.registry.table.plan_register

        def faulty(instance: Any, **more: Any) -> Any:
            if instance.id == "poison":
                raise RuntimeError("on purpose")
            return plan(instance, **more)

        b.registry.table.plan_register = faulty  # type: ignore[method-assign]
        batch = [
            {
                "appName": "ORDERS",
                "id": id,
                "action": "Register",
                "instanceInfo": {**SOMEBODY, "instanceId": id},
            }
            for id in ("a", "poison", "b")
        ]
        async with http.post(f"{b.url}peerreplication/batch/", json={"replicationList": batch}) as answer:
            codes = [one["statusCode"] for one in (await answer.json())["responseList"]]
        assert codes == [200, 500, 200]


async def test_large_registrations_are_told_in_several_batches() -> None:
    async with recorded() as (a, recorder):
        for n in range(250):
            await a.registry.register(make(f"i{n}", metadata={f"k{m}": "x" * 4000 for m in range(7)}))
        await until(lambda: len({item["id"] for item in recorder.items}) == 250)
        assert len(recorder.batches) >= 2


async def test_two_cut_apart_agree_again() -> None:
    ports = free_ports(2)
    urls = [url_of(port) for port in ports]
    async with contextlib.AsyncExitStack() as stack:
        a = await stack.enter_async_context(running(peered(ports[0], *urls, wait=0)))
        async with running(peered(ports[1], *urls, wait=0)) as b:
            await a.registry.register(make("before"))
            await until(lambda: ids(b) == {"before"})
        await a.registry.register(make("during"))
        await a.registry.cancel("orders", "before")
        b = await stack.enter_async_context(running(peered(ports[1], *urls)))
        await until(lambda: b.cluster.ready and ids(b) == {"during"})
        await b.registry.register(make("after"))
        await until(lambda: ids(a) == ids(b) == {"during", "after"})


async def test_last_words_are_told_before_the_end() -> None:
    async with mesh(2, timing=Timing(delay=5)) as (a, b):
        await a.registry.register(make())
        await a.stop()
        assert ids(b) == {"i1"}


async def test_a_peer_that_never_answers_slows_nobody_down() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    hole = await asyncio.start_server(swallow, "127.0.0.1", 0)
    url = url_of(hole.sockets[0].getsockname()[1])
    try:
        async with mesh_of_two_and(url) as (a, b), aiohttp.ClientSession() as http:
            body = {"instance": {**SOMEBODY, "instanceId": "i0"}}
            times = []
            for n in range(200):
                body["instance"]["instanceId"] = f"i{n}"
                began = time.perf_counter()
                async with http.post(f"{a.url}apps/ORDERS", json=body) as answer:
                    assert answer.status == 204
                times.append(time.perf_counter() - began)
            assert sorted(times)[180] < 0.05
            await until(lambda: len(ids(b)) == 200)
            view = {row["url"]: row for row in a.cluster.view()}
            assert view[url]["queue"] == 200
            assert view[url]["well"] is False
            # The other one has all, and its answer is on its way at most.
            await until(lambda: {row["url"]: row for row in a.cluster.view()}[b.url]["queue"] == 0)
            lag = view[url]["lag"]
            assert isinstance(lag, float)
            assert lag > 0
    finally:
        hole.close()


@contextlib.asynccontextmanager
async def mesh_of_two_and(url: str) -> Any:
    ports = free_ports(2)
    async with (
        running(peered(ports[0], url_of(ports[1]), url, wait=0)) as a,
        running(peered(ports[1], url_of(ports[0]), wait=0)) as b,
    ):
        yield a, b


async def test_tokens_are_used_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    (port,) = free_ports(1)
    async with running(Settings(port=port, ui=False, token=TOKEN)) as b:
        await b.registry.register(make("theirs"))
        good = peered(0, url_of(port, f"any:{TOKEN}@"), timing=FAST)
        async with running(good) as a, aiohttp.ClientSession() as http:
            await until(lambda: a.cluster.ready)
            await a.registry.register(make())
            await until(lambda: "i1" in ids(b))
            for path in ("resilient/v1/node", "eureka/status"):
                async with http.get(f"http://127.0.0.1:{a.port}/{path}") as answer:
                    text = await answer.text()
                    assert f"127.0.0.1:{port}" in text
                    assert TOKEN not in text
        async with running(peered(0, url_of(port), timing=FAST)) as a:
            await until(lambda: a.cluster.ready)
            await a.registry.register(make("i2"))
            await until(lambda: "token" in str(a.cluster.view()[0]["problem"]))
            assert any("401" in line for line in a.views.node()["warnings"])  # type: ignore[attr-defined]
        assert "i2" not in ids(b)
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(good)
