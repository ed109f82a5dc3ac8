"""Conformance, sections 7.5 to 7.7: reads, deltas, leases, eviction, batches of peers."""

from __future__ import annotations

import gzip
import json
import xml.etree.ElementTree as ET
from random import Random
from typing import Any

import pytest
from registry_wire import CENTRE, JSON, Wire, instance, wired

from registry_server.leases import Caps
from registry_server.preservation import PreservationPolicy
from registry_server.settings import Settings
from resilient.eureka.fingerprint import apps_hash
from resilient.model import Status


def unprotected(**more: Any) -> Settings:
    return Settings(port=0, ui=False, preservation=PreservationPolicy(enabled=False), **more)


async def test_case_65_by_id_alone(wire: Wire) -> None:
    assert (await wire.one("instances/i1"))["app"] == "ORDERS"


async def test_case_66_virtual_addresses(wire: Wire) -> None:
    await wire.register(instanceId="v", vipAddress="a,b", secureVipAddress="c,d")
    for path in ("vips/a", "vips/b", "svips/c", "svips/d"):
        assert list(await wire.listed(path)) == ["v"]
    for path in ("vips/A", "vips/a,b", "vips/zzz", "svips/a"):
        assert await wire.apps(path) == {"versions__delta": "-1", "apps__hashcode": "", "application": []}
    await wire.register(instanceId="v", vipAddress="b", status="DOWN", lastDirtyTimestamp="1001")
    assert await wire.listed("vips/a") == {}
    assert (await wire.apps("vips/b"))["apps__hashcode"] == "DOWN_1_"
    await wire.delete("apps/ORDERS/v")
    assert await wire.listed("vips/b") == {}


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("UP UP UP DOWN", "DOWN_1_UP_3_"),
        ("OUT_OF_SERVICE OUT_OF_SERVICE STARTING UP UP UP UP", "OUT_OF_SERVICE_2_STARTING_1_UP_4_"),
    ],
)
async def test_case_67_fingerprints(bare: Wire, statuses: str, expected: str) -> None:
    for n, status in enumerate(statuses.split()):
        await bare.register(instanceId=f"i{n}", status=status)
    assert (await bare.apps())["apps__hashcode"] == expected
    assert (await bare.apps("apps/delta"))["apps__hashcode"] == expected


async def test_case_68_nothing_new(wire: Wire) -> None:
    for _ in range(10):
        wire.clock.advance(30)
        await wire.put("apps/ORDERS/i1")
    delta = await wire.apps("apps/delta")
    assert (delta["application"], delta["apps__hashcode"]) == ([], "UP_1_")


async def test_case_69_versions(wire: Wire) -> None:
    assert (await wire.apps())["versions__delta"] == "1"
    first = int((await wire.apps("apps/delta"))["versions__delta"])
    assert first >= 2
    assert int((await wire.apps("apps/delta"))["versions__delta"]) == first
    xml = ET.fromstring((await wire.get("apps/delta", {})).body)
    assert xml.findtext("versions__delta") == str(first)
    await wire.put("apps/ORDERS/i1/status?value=DOWN")
    assert int((await wire.apps("apps/delta"))["versions__delta"]) > first


async def test_case_70_once_per_delta(wire: Wire) -> None:
    await wire.put("apps/ORDERS/i1/status?value=DOWN")
    await wire.delete("apps/ORDERS/i1")
    delta = await wire.apps("apps/delta")
    (one,) = [one for app in delta["application"] for one in app["instance"]]
    assert one["actionType"] == "DELETED"
    assert one["leaseInfo"]["evictionTimestamp"] == int(wire.clock.time() * 1000)


async def test_case_71_three_minutes(wire: Wire) -> None:
    wire.clock.advance(179)
    assert list(await wire.listed("apps/delta")) == ["i1"]
    wire.clock.advance(32)
    assert await wire.listed("apps/delta") == {}


async def test_case_72_a_client_of_deltas_never_disagrees(bare: Wire) -> None:
    rng = Random(7)
    known: dict[str, str] = {}
    stamp = 1000
    for second in range(600):
        bare.clock.advance(1)
        id = f"i{rng.randrange(20)}"
        stamp += 1
        deed = rng.randrange(4)
        if deed == 0:
            await bare.delete(f"apps/ORDERS/{id}")
        elif deed == 1:
            value = rng.choice(["UP", "DOWN", "OUT_OF_SERVICE"])
            await bare.put(f"apps/ORDERS/{id}/status?value={value}")
        else:
            status = rng.choice(["UP", "DOWN", "STARTING"])
            await bare.register(instanceId=id, status=status, lastDirtyTimestamp=str(stamp))
        if second % 5 == 0:
            await bare.sweep()
        if second % 30 == 29:
            delta = await bare.apps("apps/delta")
            for app in delta["application"]:
                for one in app["instance"]:
                    if one["actionType"] == "DELETED":
                        known.pop(one["instanceId"], None)
                    else:
                        known[one["instanceId"]] = one["status"]
            counts = {status: list(known.values()).count(status) for status in Status}
            assert apps_hash(counts) == delta["apps__hashcode"]
    assert known


async def test_case_73_a_read_after_the_write_shows_it(wire: Wire) -> None:
    forms: list[dict[str, str]] = [
        {},
        JSON,
        {**JSON, "X-Eureka-Accept": "compact"},
        {**JSON, "Accept-Encoding": "gzip"},
    ]
    paths = ("apps", "apps/NEW", "vips/new", "svips/new", "apps/delta")
    for path in paths:
        for form in forms:
            await wire.get(path, form)  # also the 404 of an application that is not there yet
    await wire.register(app="NEW", instanceId="fresh", vipAddress="new", secureVipAddress="new")
    for path in paths:
        for form in forms:
            answer = await wire.get(path, form)
            packed = answer.headers.get("Content-Encoding") == "gzip"
            assert b"fresh" in (gzip.decompress(answer.body) if packed else answer.body)


async def test_case_76_status_and_asg(wire: Wire) -> None:
    found = (await wire.get("status")).json()
    assert set(found) == {"generalStats", "applicationStats", "instanceInfo", "healthy"}
    assert ET.fromstring((await wire.get("status", {})).body).find("generalStats") is not None
    assert (await wire.put("asg/x/status?value=DISABLED")).status == 400


@pytest.mark.parametrize(("factor", "seconds"), [(1, 90), (2, 180)])
async def test_case_77_and_78_a_lease_runs_out(factor: int, seconds: int) -> None:
    async with wired(unprotected(lease_factor=factor)) as wire:
        await wire.register()
        await wire.put("apps/ORDERS/i1")
        wire.clock.advance(seconds - 1)
        assert (await wire.get("apps/ORDERS/i1")).status == 200
        wire.clock.advance(2)
        assert (await wire.get("apps/ORDERS/i1")).status == 404
        assert (await wire.get("instances/i1")).status == 404
        assert list(await wire.listed()) == ["i1"]
        assert await wire.sweep() == 1
        assert await wire.listed() == {}
        assert (await wire.listed("apps/delta"))["i1"]["actionType"] == "DELETED"


async def test_case_84_small_registries_lose_their_dead_and_large_ones_are_protected() -> None:
    async with wired() as wire:
        for id in ("a", "b"):
            await wire.register(instanceId=id)
        for _ in range(92):
            wire.clock.advance(1)
            await wire.put("apps/ORDERS/a")
            await wire.sweep()
        assert list(await wire.listed()) == ["a"]

        for n in range(19):
            await wire.register(instanceId=f"i{n}")
        for _ in range(120):
            wire.clock.advance(1)
            for n in range(10):
                await wire.put(f"apps/ORDERS/i{n}")
            await wire.sweep()
        assert len(await wire.listed()) == 20
        node = (await wire.get("/resilient/v1/node")).json()
        assert node["mode"] == "preserving"
        assert "10 of 20 instances" in node["reason"]
        assert node["counts"]["late"] == 10
        assert (await wire.get("apps/ORDERS/i15")).status == 200

        for id in ("a", *(f"i{n}" for n in range(19))):
            assert (await wire.put(f"apps/ORDERS/{id}")).status == 200
        await wire.sweep()
        assert (await wire.get("/resilient/v1/node")).json()["mode"] == "normal"


async def test_case_89_a_batch(wire: Wire) -> None:
    info = instance(instanceId="new")
    items = [
        {"appName": "ORDERS", "id": "new", "action": "Register", "instanceInfo": info},
        {"appName": "ORDERS", "id": "nobody", "action": "Heartbeat", "lastDirtyTimestamp": 1},
        {"appName": "ORDERS", "id": "nobody", "action": "Cancel"},
        {
            "appName": "ORDERS",
            "id": "new",
            "action": "StatusUpdate",
            "status": "DOWN",
            "lastDirtyTimestamp": 1,
        },
        {
            "appName": "ORDERS",
            "id": "new",
            "action": "DeleteStatusOverride",
            "lastDirtyTimestamp": 1,
            "status": "UP",
        },
        {"appName": "ORDERS", "id": "new", "action": "DeleteStatusOverride"},
        {"appName": "ORDERS", "id": "i1", "action": "Heartbeat", "lastDirtyTimestamp": 1000},
    ]
    answer = await wire.ask("POST", "peerreplication/batch/", json={"replicationList": items})
    assert answer.status == 200
    statuses = [one["statusCode"] for one in answer.json()["responseList"]]
    assert statuses == [200, 404, 404, 200, 200, 500, 200]
    assert (await wire.one("apps/ORDERS/new"))["status"] == "UP"


async def test_case_90_batches_that_make_no_sense(wire: Wire) -> None:
    bad = instance(instanceId="bad", hostName=None)
    items = [
        {"appName": "ORDERS", "id": "bad", "action": "Register", "instanceInfo": bad},
        {"appName": "ORDERS", "id": "none", "action": "Register"},
    ]
    answer = await wire.ask("POST", "peerreplication/batch", json={"replicationList": items})
    assert [one["statusCode"] for one in answer.json()["responseList"]] == [200, 500]
    assert list(await wire.listed()) == ["i1"]
    for body in (b"{", b"{}", b'{"replicationList":[{"action":"Dance","appName":"A","id":"b"}]}'):
        answer = await wire.ask(
            "POST", "peerreplication/batch", data=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status == 400


async def test_case_91_heartbeats_in_a_batch(wire: Wire) -> None:
    beats = [("i1", 999), ("i1", 1001), ("nobody", 1)]
    items = [
        {"appName": "ORDERS", "id": id, "action": "Heartbeat", "lastDirtyTimestamp": stamp}
        for id, stamp in beats
    ]
    answer = await wire.ask("POST", "peerreplication/batch/", json={"replicationList": items})
    replies = answer.json()["responseList"]
    assert [one["statusCode"] for one in replies] == [409, 404, 404]
    assert replies[0]["responseEntity"]["lastDirtyTimestamp"] == "1000"


@pytest.mark.parametrize("packed", [False, True])
async def test_case_94_a_batch_of_two_megabytes(bare: Wire, packed: bool) -> None:
    rng = Random(1)
    items = [
        {
            "appName": "ORDERS",
            "id": f"i{n}",
            "action": "Register",
            "instanceInfo": instance(
                instanceId=f"i{n}",
                metadata={"k1": rng.randbytes(1750).hex(), "k2": rng.randbytes(1750).hex()},
            ),
        }
        for n in range(250)
    ]
    body = json.dumps({"replicationList": items}).encode()
    headers = {"Content-Type": "application/json"}
    if packed:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    answer = await bare.ask("POST", "peerreplication/batch/", data=body, headers=headers)
    assert answer.status == 200
    assert len(answer.json()["responseList"]) == 250
    assert len(await bare.listed()) == 250


async def test_a_full_registry_renews_but_takes_nobody_new() -> None:
    async with wired(Settings(port=0, ui=False, caps=Caps(instances=2))) as wire:
        await wire.register(instanceId="a")
        await wire.register(instanceId="b")
        refused = await wire.post(instance(instanceId="c"))
        assert (refused.status, refused.empty) == (507, True)
        assert (await wire.put("apps/ORDERS/a")).status == 200
        await wire.register(instanceId="a", lastDirtyTimestamp="1001")
        await wire.delete("apps/ORDERS/b")
        await wire.register(instanceId="c")


async def test_the_data_centre_is_not_needed_to_read(wire: Wire) -> None:
    assert (await wire.one())["dataCenterInfo"] == CENTRE
