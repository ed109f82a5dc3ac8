"""Conformance, sections 7.2 to 7.4: registrations, heartbeats, cancels, overrides, metadata."""

from __future__ import annotations

import json
from typing import Any

import pytest
from registry_wire import CENTRE, JSON, Wire, instance

JSON_BODY = {"Content-Type": "application/json"}
XML_BODY = {"Content-Type": "application/xml"}
PEER = {"x-netflix-discovery-replication": "true"}

FULL: dict[str, Any] = {
    "instanceId": "node-7.example.net:orders:8080",
    "hostName": "node-7.example.net",
    "app": "ORDERS",
    "ipAddr": "10.20.30.7",
    "status": "UP",
    "overriddenstatus": "UNKNOWN",
    "port": {"$": 8080, "@enabled": "true"},
    "securePort": {"$": 8443, "@enabled": "false"},
    "countryId": 1,
    "dataCenterInfo": CENTRE,
    "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 90},
    "metadata": {"zone": "rack-a"},
    "homePageUrl": "http://node-7.example.net:8080/",
    "statusPageUrl": "http://node-7.example.net:8080/info",
    "healthCheckUrl": "http://node-7.example.net:8080/health",
    "vipAddress": "orders",
    "secureVipAddress": "orders",
    "lastUpdatedTimestamp": "1893456000123",
    "lastDirtyTimestamp": "1793456000123",
    "isCoordinatingDiscoveryServer": "false",
}
FULL_XML = """<instance><instanceId>node-7.example.net:orders:8080</instanceId>
<hostName>node-7.example.net</hostName><app>ORDERS</app><ipAddr>10.20.30.7</ipAddr><status>UP</status>
<overriddenstatus>UNKNOWN</overriddenstatus><port enabled="true">8080</port>
<securePort enabled="false">8443</securePort><countryId>1</countryId>
<dataCenterInfo class="com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo">
<name>MyOwn</name></dataCenterInfo>
<leaseInfo><renewalIntervalInSecs>30</renewalIntervalInSecs><durationInSecs>90</durationInSecs></leaseInfo>
<metadata><zone>rack-a</zone></metadata><homePageUrl>http://node-7.example.net:8080/</homePageUrl>
<statusPageUrl>http://node-7.example.net:8080/info</statusPageUrl>
<healthCheckUrl>http://node-7.example.net:8080/health</healthCheckUrl><vipAddress>orders</vipAddress>
<secureVipAddress>orders</secureVipAddress><lastDirtyTimestamp>1793456000123</lastDirtyTimestamp></instance>"""
NODE7 = "apps/ORDERS/node-7.example.net:orders:8080"


async def test_case_25_every_sent_field_comes_back(bare: Wire) -> None:
    assert (await bare.post(FULL)).empty is False  # a 204 has no length, and no body
    one = await bare.one(NODE7)
    skip = {"overriddenstatus", "lastUpdatedTimestamp", "leaseInfo"}
    assert {k: v for k, v in one.items() if k in FULL and k not in skip} == {
        k: v for k, v in FULL.items() if k not in skip
    }
    now = str(int(bare.clock.time() * 1000))
    assert one["lastUpdatedTimestamp"] == now
    assert one["leaseInfo"] == {
        "renewalIntervalInSecs": 30,
        "durationInSecs": 90,
        "registrationTimestamp": int(now),
        "lastRenewalTimestamp": int(now),
        "evictionTimestamp": 0,
        "serviceUpTimestamp": int(now),
    }


async def test_case_26_xml_says_the_same(bare: Wire) -> None:
    await bare.post(FULL)
    by_json = await bare.one(NODE7)
    await bare.delete(NODE7)
    bare.clock.advance(0)
    body = FULL_XML.replace("1793456000123", "1793456000124")
    assert (await bare.ask("POST", "apps/ORDERS", data=body, headers=XML_BODY)).status == 204
    assert await bare.one(NODE7) == {**by_json, "lastDirtyTimestamp": "1793456000124"}


async def test_case_27_the_smallest_body(bare: Wire) -> None:
    tree = {"hostName": "h1", "app": "ORDERS", "ipAddr": "10.0.0.1", "dataCenterInfo": CENTRE}
    assert (await bare.post(tree)).status == 204
    one = await bare.one("apps/ORDERS/h1")
    assert (one["instanceId"], one["status"], one["countryId"]) == ("h1", "UP", 1)
    assert one["port"] == {"$": 7001, "@enabled": "true"}
    assert one["securePort"] == {"$": 7002, "@enabled": "false"}
    assert one["leaseInfo"]["renewalIntervalInSecs"] == 30
    assert one["leaseInfo"]["durationInSecs"] == 90
    assert one["lastDirtyTimestamp"] == str(int(bare.clock.time() * 1000))


@pytest.mark.parametrize(
    "tree",
    [
        instance(hostName=None),
        instance(ipAddr=None),
        instance(app=None),
        instance(dataCenterInfo=None),
        instance(dataCenterInfo={"@class": "x"}),
        instance(app="BILLING"),
        instance(status="FOO"),
        instance(lastDirtyTimestamp="abc"),
        instance(port={"$": "x", "@enabled": "true"}),
        instance(metadata={"a": {"b": "c"}}),
        instance(instanceId="a b"),
        instance(instanceId=".."),
    ],
)
async def test_case_28_and_29_what_is_missing_or_wrong(bare: Wire, tree: dict[str, Any]) -> None:
    answer = await bare.post(tree, app="ORDERS")
    assert answer.status == 400
    assert answer.empty
    assert answer.headers["Resilient-Error"]
    assert await bare.listed() == {}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"{", JSON_BODY),
        (b"", JSON_BODY),
        (b"[]", JSON_BODY),
        (b"null", JSON_BODY),
        (json.dumps(instance()).encode(), JSON_BODY),
        (b"<instance><hostName>", XML_BODY),
        (b"", XML_BODY),
        (b"[" * 100_000, JSON_BODY),
        (b'{"instance":{"port":' + b"9" * 5000 + b"}}", JSON_BODY),
        (b'{"instance":{"app":NaN}}', JSON_BODY),
        (b'{"instance":{"app":"\\ud800"}}', JSON_BODY),
    ],
)
async def test_case_30_malformed_bodies(bare: Wire, body: bytes, headers: dict[str, str]) -> None:
    answer = await bare.ask("POST", "apps/ORDERS", data=body, headers=headers)
    assert answer.status == 400
    assert answer.empty


async def test_case_31_springs_nulls_booleans_and_numbers(bare: Wire) -> None:
    nothing = dict.fromkeys(("sid", "appGroupName", "homePageUrl", "asgName", "metadata", "overriddenStatus"))
    tree = {**instance(port={"$": 8080, "@enabled": True}, lastDirtyTimestamp=1000), **nothing}
    assert (await bare.post(tree)).status == 204
    assert b"null" not in (await bare.get("apps")).body
    assert (await bare.one())["lastDirtyTimestamp"] == "1000"


async def test_case_32_and_33_ports_in_other_spellings(bare: Wire) -> None:
    await bare.register(port=8080, dataCenterInfo={"name": "MyOwn"})
    one = await bare.one()
    assert one["port"] == {"$": 8080, "@enabled": "true"}
    assert one["dataCenterInfo"] == CENTRE
    await bare.register(port={"$": "8081", "@enabled": True})
    assert (await bare.one())["port"] == {"$": 8081, "@enabled": "true"}


async def test_case_34_and_35_amazon(bare: Wire) -> None:
    amazon = {"@class": "com.netflix.appinfo.AmazonInfo", "name": "Amazon"}
    await bare.register(instanceId=None, dataCenterInfo={**amazon, "metadata": {"instance-id": "i-07"}})
    assert (await bare.one("apps/ORDERS/i-07"))["instanceId"] == "i-07"
    await bare.register(instanceId="own", dataCenterInfo={**CENTRE, "name": "Amazon"})
    one = await bare.one("apps/ORDERS/own")
    assert one["dataCenterInfo"] == {**amazon, "metadata": {"instance-id": "own"}}
    for path in ("apps", "apps/delta", "apps/ORDERS", "apps/ORDERS/own"):
        assert (await bare.get(path)).status == 200
        assert (await bare.get(path, {})).status == 200


async def test_case_36_an_older_stamp_keeps_what_is_there(wire: Wire) -> None:
    await wire.register(hostName="older", lastDirtyTimestamp="999")
    assert (await wire.one())["hostName"] == "h1.example.net"
    await wire.register(hostName="equal", lastDirtyTimestamp="1000")
    assert (await wire.one())["hostName"] == "equal"
    await wire.register(hostName="newer", lastDirtyTimestamp="1001")
    assert (await wire.one())["hostName"] == "newer"


async def test_case_37_registering_again(wire: Wire) -> None:
    first = (await wire.one())["leaseInfo"]
    wire.clock.advance(10)
    await wire.register()
    again = (await wire.one())["leaseInfo"]
    assert again["registrationTimestamp"] == first["registrationTimestamp"] + 10_000
    assert again["serviceUpTimestamp"] == first["serviceUpTimestamp"]
    delta = await wire.listed("apps/delta")
    assert [one["actionType"] for one in delta.values()] == ["ADDED"]


async def test_case_38_statuses_in_lower_case(wire: Wire) -> None:
    await wire.register(instanceId="low", status="up")
    assert (await wire.one("apps/ORDERS/low"))["status"] == "UP"


@pytest.mark.parametrize("lease", [{"durationInSecs": 0, "renewalIntervalInSecs": -5}, {}, None])
async def test_case_39_leases_without_sense(bare: Wire, lease: dict[str, int] | None) -> None:
    await bare.register(leaseInfo=lease, lastDirtyTimestamp=None)
    one = await bare.one()
    assert one["leaseInfo"]["durationInSecs"] == 90
    assert one["leaseInfo"]["renewalIntervalInSecs"] == 30
    assert one["lastDirtyTimestamp"] == str(int(bare.clock.time() * 1000))


async def test_case_40_unknown_members(bare: Wire) -> None:
    await bare.register(scalar=1, deep={"a": {"b": [1]}}, many=[1, 2])
    assert not {"scalar", "deep", "many"} & set(await bare.one())


@pytest.mark.parametrize("name", ["overriddenstatus", "overriddenStatus"])
async def test_case_41_an_override_of_its_own(bare: Wire, name: str) -> None:
    await bare.register(**{name: "OUT_OF_SERVICE"})
    one = await bare.one()
    assert (one["status"], one["overriddenStatus"]) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")


async def test_a_stamp_from_the_far_future_does_not_win_for_ever(bare: Wire) -> None:
    await bare.register(lastDirtyTimestamp=str(2**62))
    assert int((await bare.one())["lastDirtyTimestamp"]) <= bare.clock.time() * 1000 + 300_000


async def test_case_42_43_and_44_heartbeats_with_stamps(wire: Wire) -> None:
    for query in ("?status=UP&lastDirtyTimestamp=1000", "?status=UP", ""):
        wire.clock.advance(80)
        answer = await wire.put("apps/ORDERS/i1" + query)
        assert (answer.status, answer.empty) == (200, True)
    wire.clock.advance(80)
    assert (await wire.put("apps/ORDERS/i1?lastDirtyTimestamp=1001")).status == 404
    wire.clock.advance(80)  # the lease was renewed all the same
    assert (await wire.get("apps/ORDERS/i1")).status == 200
    assert (await wire.put("apps/ORDERS/i1?lastDirtyTimestamp=999")).status == 200


async def test_case_45_a_peer_that_is_behind(wire: Wire) -> None:
    answer = await wire.put("apps/ORDERS/i1?lastDirtyTimestamp=999", headers={**PEER, **JSON})
    assert answer.status == 409
    assert answer.json()["instance"]["lastDirtyTimestamp"] == "1000"
    shouted = {"x-netflix-discovery-replication": "TRUE"}
    assert (await wire.put("apps/ORDERS/i1?lastDirtyTimestamp=999", headers=shouted)).status == 200


async def test_case_46_a_peer_that_knows_of_an_override(wire: Wire) -> None:
    query = "?lastDirtyTimestamp=1001&overriddenstatus=OUT_OF_SERVICE"
    assert (await wire.put("apps/ORDERS/i1" + query, headers=PEER)).status == 404
    await wire.register(lastDirtyTimestamp="1001")
    assert (await wire.one())["status"] == "OUT_OF_SERVICE"


async def test_case_47_the_status_of_a_heartbeat_means_nothing(wire: Wire) -> None:
    assert (await wire.put("apps/ORDERS/i1?status=DOWN")).status == 200
    assert (await wire.one())["status"] == "UP"


async def test_case_48_unknown_asks_for_a_registration(wire: Wire) -> None:
    await wire.register(instanceId="u", status="UNKNOWN")
    before = wire.registry.registry.table.renewals
    wire.clock.advance(60)
    answer = await wire.put("apps/ORDERS/u")
    assert (answer.status, answer.empty) == (404, True)
    assert wire.registry.registry.table.renewals == before
    wire.clock.advance(31)
    assert (await wire.get("apps/ORDERS/u")).status == 404


async def test_case_49_an_expired_lease_revives(wire: Wire) -> None:
    wire.clock.advance(91)
    assert (await wire.get("apps/ORDERS/i1")).status == 404
    assert (await wire.put("apps/ORDERS/i1")).status == 200
    assert (await wire.get("apps/ORDERS/i1")).status == 200


@pytest.mark.parametrize("stamp", ["abc", "-1", "1.5", "%31", "9" * 30])
async def test_case_50_stamps_that_are_no_numbers(wire: Wire, stamp: str) -> None:
    answer = await wire.put(f"apps/ORDERS/i1?lastDirtyTimestamp={stamp}")
    assert (answer.status, answer.empty) == (400, True)


async def test_case_51_cancel(wire: Wire) -> None:
    assert (await wire.delete("apps/ORDERS/i1")).status == 200
    assert (await wire.delete("apps/ORDERS/i1")).status == 404
    assert (await wire.get("apps/ORDERS/i1")).status == 404
    assert (await wire.get("apps/ORDERS")).status == 404
    assert await wire.listed() == {}
    delta = await wire.listed("apps/delta")
    assert [one["actionType"] for one in delta.values()] == ["DELETED"]


async def test_case_52_a_cancel_forgets_the_override(wire: Wire) -> None:
    await wire.put("apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    await wire.delete("apps/ORDERS/i1")
    await wire.register(lastDirtyTimestamp="1001")
    one = await wire.one()
    assert (one["status"], one["overriddenStatus"]) == ("UP", "UNKNOWN")


async def test_case_53_a_late_echo_does_not_bring_it_back(wire: Wire) -> None:
    await wire.delete("apps/ORDERS/i1")
    wire.clock.advance(89)
    await wire.register()
    assert (await wire.get("apps/ORDERS/i1")).status == 404
    await wire.register(lastDirtyTimestamp="1001")
    assert (await wire.get("apps/ORDERS/i1")).status == 200


async def test_case_54_and_55_an_override(wire: Wire) -> None:
    assert (await wire.put("apps/ORDERS/i1/status?value=OUT_OF_SERVICE")).status == 200
    one = await wire.one()
    assert (one["status"], one["overriddenStatus"]) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    assert (await wire.apps())["apps__hashcode"] == "OUT_OF_SERVICE_1_"
    assert (await wire.listed("apps/delta"))["i1"]["actionType"] == "MODIFIED"
    await wire.register(lastDirtyTimestamp="1001")
    assert (await wire.one())["status"] == "OUT_OF_SERVICE"
    assert (await wire.get("/eureka/serverinfo/statusoverrides")).json() == {"i1": "OUT_OF_SERVICE"}


@pytest.mark.parametrize("own", ["DOWN", "STARTING"])
async def test_case_56_an_override_hides_no_trouble(wire: Wire, own: str) -> None:
    await wire.put("apps/ORDERS/i1/status?value=UP")
    await wire.register(status=own, lastDirtyTimestamp="1001")
    assert (await wire.one())["status"] == own


async def test_case_57_out_of_service_belongs_to_operators(wire: Wire) -> None:
    await wire.register(status="OUT_OF_SERVICE", lastDirtyTimestamp="1001")
    assert (await wire.one())["status"] == "UP"
    told = instance(status="OUT_OF_SERVICE", lastDirtyTimestamp="1002")
    assert (await wire.post(told, headers=PEER)).status == 204
    assert (await wire.one())["status"] == "OUT_OF_SERVICE"


async def test_case_58_down_and_up_again(wire: Wire) -> None:
    await wire.register(status="DOWN", lastDirtyTimestamp="1001")
    assert (await wire.one())["status"] == "DOWN"
    await wire.register(status="UP", lastDirtyTimestamp="1002")
    assert (await wire.one())["status"] == "UP"


async def test_case_59_an_override_taken_back(wire: Wire) -> None:
    await wire.put("apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    assert (await wire.delete("apps/ORDERS/i1/status")).status == 200
    assert (await wire.one())["status"] == "UNKNOWN"
    assert (await wire.put("apps/ORDERS/i1")).status == 404
    await wire.register(lastDirtyTimestamp="1001")
    assert (await wire.one())["status"] == "UP"
    assert (await wire.put("apps/ORDERS/i1")).status == 200


async def test_case_60_an_override_taken_back_with_a_status(wire: Wire) -> None:
    await wire.put("apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    assert (await wire.delete("apps/ORDERS/i1/status?value=UP")).status == 200
    assert (await wire.one())["status"] == "UP"
    assert (await wire.put("apps/ORDERS/i1")).status == 200


async def test_case_61_no_override_to_take_back(wire: Wire) -> None:
    before, delta = await wire.one(), (await wire.get("apps/delta")).body
    assert (await wire.delete("apps/ORDERS/i1/status")).status == 200
    assert await wire.one() == before
    assert (await wire.get("apps/delta")).body == delta


@pytest.mark.parametrize("query", ["", "?value=", "?value=FOO", "?value=up"])
async def test_case_62_an_override_that_is_no_status(wire: Wire, query: str) -> None:
    answer = await wire.put("apps/ORDERS/i1/status" + query)
    assert (answer.status, answer.empty) == (400, True)


async def test_case_63_an_override_moves_the_stamp_forward_only(wire: Wire) -> None:
    await wire.put("apps/ORDERS/i1/status?value=DOWN&lastDirtyTimestamp=500")
    assert (await wire.one())["lastDirtyTimestamp"] == "1000"
    await wire.put("apps/ORDERS/i1/status?value=UP&lastDirtyTimestamp=2000")
    assert (await wire.one())["lastDirtyTimestamp"] == "2000"


async def test_an_override_equal_to_the_status_is_recorded(wire: Wire) -> None:
    await wire.put("apps/ORDERS/i1/status?value=UP")
    assert (await wire.one())["overriddenStatus"] == "UP"


async def test_case_64_metadata(wire: Wire) -> None:
    await wire.register(metadata={"own": "x"})
    assert (await wire.put("apps/ORDERS/i1/metadata?a=1&b=2&a=3")).status == 200
    assert (await wire.one())["metadata"] == {"own": "x", "a": "1", "b": "2"}
    assert (await wire.listed("apps/delta"))["i1"]["metadata"]["a"] == "1"
    await wire.register(metadata={"own": "y"}, lastDirtyTimestamp="1001")
    assert (await wire.one())["metadata"] == {"own": "y", "a": "1", "b": "2"}
    many = "&".join(f"k{n}=1" for n in range(60))
    assert (await wire.put(f"apps/ORDERS/i1/metadata?{many}")).status == 200
    assert (await wire.put(f"apps/ORDERS/i1/metadata?{many.replace('k', 'j')}")).status == 200
    assert (await wire.put(f"apps/ORDERS/i1/metadata?{many.replace('k', 'm')}")).status == 400
    assert (await wire.put("apps/ORDERS/i1/metadata?a=" + "x" * 5000)).status == 414
