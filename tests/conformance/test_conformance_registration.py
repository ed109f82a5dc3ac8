"""Cases 25 to 41: registration."""

from __future__ import annotations

import json
import time
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from conformance_kit import AMAZON, CENTRE, DEFAULT_CLASS, JSON, JSON_BODY, XML, XML_BODY, Server, soon

Tree = dict[str, Any]


def example(server: Server) -> Tree:
    """The specification's registration, under names of this case's own."""
    return {
        "instanceId": server.id("node-7"),
        "hostName": "node-7.example.net",
        "app": server.app,
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
        "lastUpdatedTimestamp": "1493456000123",
        "lastDirtyTimestamp": "1493456000123",
        "isCoordinatingDiscoveryServer": "false",
    }


def example_xml(server: Server) -> str:
    return f"""<instance>
      <instanceId>{server.id("node-7")}</instanceId><hostName>node-7.example.net</hostName><app>{server.app}</app>
      <ipAddr>10.20.30.7</ipAddr><status>UP</status><overriddenstatus>UNKNOWN</overriddenstatus>
      <port enabled="true">8080</port><securePort enabled="false">8443</securePort><countryId>1</countryId>
      <dataCenterInfo class="{DEFAULT_CLASS}"><name>MyOwn</name></dataCenterInfo>
      <leaseInfo><renewalIntervalInSecs>30</renewalIntervalInSecs><durationInSecs>90</durationInSecs></leaseInfo>
      <metadata><zone>rack-a</zone></metadata>
      <statusPageUrl>http://node-7.example.net:8080/info</statusPageUrl>
      <vipAddress>orders</vipAddress><secureVipAddress>orders</secureVipAddress>
      <lastDirtyTimestamp>1493456000123</lastDirtyTimestamp></instance>"""


def smallest(server: Server, host: str = "h1") -> Tree:
    return {"hostName": server.id(host), "app": server.app, "ipAddr": "10.0.0.1", "dataCenterInfo": CENTRE}


@pytest.mark.wire("M")
async def test_case_025_every_sent_field_comes_back(server: Server) -> None:
    """The JSON example is taken and read back; the server's stamps are its own."""
    sent = example(server)
    before = time.time() * 1000
    answer = await server.post(sent)
    assert (answer.status, answer.body) == (204, b"")
    one = await server.read("node-7")
    owned = {"overriddenstatus", "leaseInfo", "lastUpdatedTimestamp"}
    assert {key: one.get(key) for key in sent if key not in owned} == {
        key: value for key, value in sent.items() if key not in owned
    }
    assert one["overriddenStatus"] == "UNKNOWN"
    lease = one["leaseInfo"]
    assert (lease["renewalIntervalInSecs"], lease["durationInSecs"]) == (30, 90)
    # Clocks of two machines may differ a little.
    for stamp in (lease["registrationTimestamp"], int(one["lastUpdatedTimestamp"])):
        assert abs(stamp - before) < 60_000


@pytest.mark.wire("M")
async def test_case_026_the_same_in_xml(server: Server) -> None:
    """The XML example is taken; JSON and XML reads describe the same instance."""
    server.knows(server.app, server.id("node-7"))
    answer = await server.raw(example_xml(server), XML_BODY)
    assert (answer.status, answer.body) == (204, b"")
    by_json = await server.read("node-7")
    root = ET.fromstring((await server.get(server.path("node-7"), XML)).body)
    names = [
        "instanceId",
        "hostName",
        "app",
        "ipAddr",
        "status",
        "countryId",
        "statusPageUrl",
        "vipAddress",
        "lastDirtyTimestamp",
    ]
    for name in (*names, "lastUpdatedTimestamp", "actionType"):
        assert root.findtext(name) == str(by_json[name])
    assert root.findtext("port") == str(by_json["port"]["$"]) == "8080"
    assert root.findtext("securePort") == str(by_json["securePort"]["$"]) == "8443"
    assert root.findtext("metadata/zone") == by_json["metadata"]["zone"] == "rack-a"
    lease = {child.tag: int(child.text or "") for child in root.find("leaseInfo") or ()}
    assert lease == by_json["leaseInfo"]


@pytest.mark.wire("M")
async def test_case_027_the_smallest_body(server: Server, profile: str) -> None:
    """Host, app, address and data centre are enough; everything else has a default."""
    answer = await server.post(smallest(server))
    assert (answer.status, answer.body) == (204, b"")
    one = await server.read("h1")
    assert (one["status"], one["countryId"]) == ("UP", 1)
    # Ref finds it by its host's name, and writes no id.
    assert profile == "ref" or one["instanceId"] == server.id("h1")
    assert one["port"] == {"$": 7001, "@enabled": "true"}
    assert one["securePort"] == {"$": 7002, "@enabled": "false"}
    lease = one["leaseInfo"]
    assert (lease["renewalIntervalInSecs"], lease["durationInSecs"]) == (30, 90)


@pytest.mark.wire("M")
@pytest.mark.parametrize("without", ["hostName", "ipAddr", "app", "dataCenterInfo", "dataCenterInfo.name"])
async def test_case_028_what_must_be_there(server: Server, without: str) -> None:
    """Without a required member: 400, and nothing is stored."""
    tree = server.tree(**{without.partition(".")[0]: None})
    if without == "dataCenterInfo.name":
        tree["dataCenterInfo"] = {"@class": DEFAULT_CLASS}
    answer = await server.post(tree, app=server.app)
    assert answer.status == 400
    assert await server.mine() == []
    assert (await server.get(server.path())).status == 404


@pytest.mark.wire("M")
async def test_case_029_another_application_than_the_paths(server: Server) -> None:
    """Body and path name different applications: 400."""
    other = f"BILLING-{server.token.upper()}"
    assert (await server.post(server.tree(app=other), app=server.app)).status == 400
    assert (await server.get(f"apps/{other}")).status == 404
    assert (await server.get(f"apps/{server.app}")).status == 404


MALFORMED = {
    "no json": (b'{"instance":{', JSON_BODY),
    "array": (b"[]", JSON_BODY),
    "empty json": (b"", JSON_BODY),
    "null": (b"null", JSON_BODY),
    "cut xml": (b"<instance><hostName>h", XML_BODY),
    "empty xml": (b"", XML_BODY),
}


@pytest.mark.wire("M")
@pytest.mark.parametrize("name", [*MALFORMED, "unwrapped"])
async def test_case_030_malformed_bodies(server: Server, name: str, profile: str) -> None:
    """Malformed, cut, unwrapped, empty: 400 ([+] and never 500)."""
    body, headers = MALFORMED.get(name) or (json.dumps(server.tree()).encode(), JSON_BODY)
    answer = await server.raw(body, headers)
    assert answer.status == 400 or (profile == "ref" and answer.status == 500)
    assert (await server.get(f"apps/{server.app}")).status == 404


@pytest.mark.wire("M")
async def test_case_031_nulls_booleans_and_numbers(server: Server) -> None:
    """Spring's spelling: nulls for what is absent, real booleans, numeric timestamps."""
    optional = (
        "sid appGroupName homePageUrl statusPageUrl healthCheckUrl secureHealthCheckUrl asgName actionType"
    )
    tree: Tree = {
        **dict.fromkeys(optional.split()),
        **server.tree(port={"$": 8080, "@enabled": True}, lastDirtyTimestamp=1000),
        "securePort": {"$": 443, "@enabled": False},
        "isCoordinatingDiscoveryServer": False,
        "lastUpdatedTimestamp": 1,
        "overriddenStatus": None,
        "metadata": None,
        "countryId": None,
    }
    assert (await server.post(tree)).status == 204
    one = await server.read()
    assert one["lastDirtyTimestamp"] == "1000"
    assert one["port"] == {"$": 8080, "@enabled": "true"}
    assert one["securePort"] == {"$": 443, "@enabled": "false"}
    for path in (server.path(), f"apps/{server.app}"):
        for accept in (JSON, XML):
            assert b"null" not in (await server.get(path, accept)).body


@pytest.mark.wire("plus")
async def test_case_032_a_plain_port_and_no_class(server: Server, profile: str) -> None:
    """``"port":8080`` and no ``@class``, as JavaScript users write it."""
    answer = await server.post(server.tree(port=8080, dataCenterInfo={"name": "MyOwn"}))
    if profile == "ref":
        assert answer.status == 400
        return
    assert answer.status == 204
    one = await server.read()
    assert one["port"] == {"$": 8080, "@enabled": "true"}
    assert one["dataCenterInfo"] == CENTRE


@pytest.mark.wire("M")
async def test_case_033_a_port_as_text(server: Server) -> None:
    """``"$":"8080"`` and ``"@enabled":true`` become a number and a string."""
    await server.register(port={"$": "8080", "@enabled": True})
    assert (await server.read())["port"] == {"$": 8080, "@enabled": "true"}


@pytest.mark.wire("M")
async def test_case_034_amazons_id(server: Server, profile: str) -> None:
    """Amazon's ``instance-id`` is the id if there is no other, and is filled in if it is missing."""
    ec2 = server.id("i-07")
    await server.register(instanceId=None, dataCenterInfo={**AMAZON, "metadata": {"instance-id": ec2}})
    one = await server.read("i-07")
    assert profile == "ref" or one["instanceId"] == ec2
    await server.register("own", dataCenterInfo={**AMAZON, "metadata": {"ami-id": "ami-1"}})
    centre = (await server.read("own"))["dataCenterInfo"]
    assert centre["metadata"] == {"ami-id": "ami-1", "instance-id": server.id("own")}


@pytest.mark.wire("plus")
async def test_case_035_amazon_under_the_default_class(server: Server, profile: str) -> None:
    """``Amazon`` with the default class poisons nobody's reads."""
    if profile == "ref":
        pytest.skip("Ref's reads would fail for everybody from then on")
    await server.register("good")
    await server.register(dataCenterInfo={"@class": DEFAULT_CLASS, "name": "Amazon"})
    for path in ("apps", "apps/delta", f"apps/{server.app}", server.path(), server.path("good")):
        assert (await server.get(path)).status == 200
        assert (await server.get(path, XML)).status == 200
    centre = (await server.read())["dataCenterInfo"]
    assert (centre["@class"], centre["name"]) == (AMAZON["@class"], "Amazon")


@pytest.mark.wire("M")
async def test_case_036_the_newest_stamp_wins(here: Server) -> None:
    """Registering again with an older stamp keeps what is there; with an equal or newer one it does not."""
    for stamp, host, kept in ((999, "h2", "h1.example.net"), (1000, "h3", "h3"), (1001, "h4", "h4")):
        await here.register(lastDirtyTimestamp=str(stamp), hostName=host)
        one = await here.read()
        assert (one["hostName"], one["lastDirtyTimestamp"]) == (kept, str(max(stamp, 1000)))


@pytest.mark.wire("S")
async def test_case_037_registering_again_begins_a_new_lease(here: Server) -> None:
    """A new ``registrationTimestamp``, one entry ``ADDED`` in the delta, ``serviceUpTimestamp`` kept."""
    before = (await here.read())["leaseInfo"]
    await soon()
    await here.register()
    after = (await here.read())["leaseInfo"]
    assert after["registrationTimestamp"] > before["registrationTimestamp"]
    assert after["serviceUpTimestamp"] == before["serviceUpTimestamp"] > 0
    assert [one["actionType"] for one in await here.mine("apps/delta")] == ["ADDED"]


@pytest.mark.wire("plus")
async def test_case_038_a_status_in_lower_case(server: Server, profile: str) -> None:
    """``up`` is ``UP``."""
    await server.register(status="up")
    assert (await server.read())["status"] == ("UNKNOWN" if profile == "ref" else "UP")
    assert (await server.put(server.path())).status == (404 if profile == "ref" else 200)


@pytest.mark.wire("plus")
async def test_case_038_a_status_that_is_none(server: Server, profile: str) -> None:
    """``FOO`` is refused."""
    answer = await server.post(server.tree(status="FOO"))
    if profile == "ref":
        assert answer.status == 204
        assert (await server.read())["status"] == "UNKNOWN"
    else:
        assert answer.status == 400
        assert (await server.get(server.path())).status == 404


@pytest.mark.wire("M")
@pytest.mark.parametrize(
    "lease",
    [
        {"durationInSecs": 0, "renewalIntervalInSecs": 0},
        {"durationInSecs": -5, "renewalIntervalInSecs": -5},
        {},
        None,
    ],
)
async def test_case_039_leases_without_sense(server: Server, lease: Tree | None) -> None:
    """Durations of 0, below, or absent become 90 and 30; without a stamp the server's time is taken."""
    await server.register(leaseInfo=lease, lastDirtyTimestamp=None)
    one = await server.read()
    kept = one["leaseInfo"]
    assert (kept["durationInSecs"], kept["renewalIntervalInSecs"]) == (90, 30)
    assert abs(int(one["lastDirtyTimestamp"]) - kept["registrationTimestamp"]) < 5_000


@pytest.mark.wire("M")
async def test_case_040_unknown_members(server: Server, profile: str) -> None:
    """Unknown scalars, objects and arrays are ignored and not echoed."""
    deep = {} if profile == "ref" else {"deep": {"a": {"b": [1]}}, "many": [1, {"c": None}]}
    await server.register(scalar=1, **deep)
    assert not {"scalar", "deep", "many"} & set(await server.read())


@pytest.mark.wire("S")
@pytest.mark.parametrize("name", ["overriddenstatus", "overriddenStatus"])
async def test_case_041_an_override_brought_along(server: Server, name: str) -> None:
    """An override in the registration, in either spelling, holds."""
    await server.register(**{name: "OUT_OF_SERVICE"})
    one = await server.read()
    assert (one["status"], one["overriddenStatus"]) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
