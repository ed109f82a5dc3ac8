"""Cases 1 to 24: transport and formats."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from conformance_kit import (
    DEFAULT_CLASS,
    EMPTY_MAP,
    JSON,
    JSON_BODY,
    XML,
    XML_BODY,
    Server,
    alone,
    is_bare,
    soon,
    wired,
)

COMPACT = re.findall(
    r"\w+",
    """instanceId app ipAddr port securePort vipAddress secureVipAddress dataCenterInfo hostName status
    lastUpdatedTimestamp actionType asgName""",
)
MEMBERS = COMPACT + re.findall(
    r"\w+",
    """sid overriddenStatus countryId leaseInfo metadata appGroupName homePageUrl statusPageUrl healthCheckUrl
    secureHealthCheckUrl isCoordinatingDiscoveryServer lastDirtyTimestamp""",
)


@pytest.mark.wire("M")
async def test_case_001_both_bases_with_and_without_a_slash(here: Server) -> None:
    """``apps`` under both base paths, with and without a trailing slash: equal bodies, no redirect."""
    paths = [here.context + end for end in ("apps", "apps/", "v2/apps", "v2/apps/")]
    answers = [await here.get(path) for path in paths]
    assert [one.status for one in answers] == [200] * 4
    assert len({one.body for one in answers}) == 1


@pytest.mark.wire("M")
@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}])
async def test_case_002_xml_is_the_default(here: Server, headers: dict[str, str]) -> None:
    """No ``Accept``, or ``*/*``: XML."""
    answer = await here.get("apps", headers)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert ET.fromstring(answer.body).tag == "applications"


@pytest.mark.wire("M")
@pytest.mark.parametrize("accept", ["application/json", "application/json, */*;q=0.1"])
async def test_case_003_json_when_asked_for(here: Server, accept: str) -> None:
    """``Accept`` with ``json`` in it: JSON."""
    answer = await here.get("apps", {"Accept": accept})
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert list(answer.json()) == ["applications"]


@pytest.mark.wire("S")
async def test_case_004_a_browser_gets_no_json_and_no_500(here: Server) -> None:
    """``Accept: text/html`` alone: 406, or XML with 200."""
    answer = await here.get("apps", {"Accept": "text/html"})
    if answer.status != 406:
        assert answer.status == 200
        assert ET.fromstring(answer.body).tag == "applications"


@pytest.mark.wire("M")
@pytest.mark.parametrize("accept", [JSON, XML])
@pytest.mark.parametrize("path", ["apps", "apps/delta"])
async def test_case_005_gzip_when_accepted_only(here: Server, path: str, accept: dict[str, str]) -> None:
    """Lists are gzipped for who accepts it, and hold the same bytes."""
    for _ in range(3):  # somebody else may write between the two reads
        plain = await here.get(path, accept)
        packed = await here.get(path, {**accept, "Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.headers["Content-Type"].startswith(accept["Accept"])
        if gzip.decompress(packed.body) == plain.body:
            return
    pytest.fail("the gzipped list is another one")


@pytest.mark.wire("S")
async def test_case_006_gzipped_registration(server: Server, profile: str) -> None:
    """A gzipped registration is read."""
    body = gzip.compress(json.dumps({"instance": server.tree()}).encode())
    server.knows(server.app, server.id())
    answer = await server.raw(body, {**JSON_BODY, "Content-Encoding": "gzip"})
    if profile == "ref" and answer.status == 400:
        pytest.skip("this server has no filter for gzipped requests")
    assert (answer.status, answer.body) == (204, b"")
    assert (await server.read())["app"] == server.app


UNKNOWN = [
    ("GET", ""),
    ("PUT", ""),
    ("DELETE", ""),
    ("PUT", "/status?value=UP"),
    ("DELETE", "/status"),
    ("PUT", "/metadata?a=1"),
]


@pytest.mark.wire("M")
@pytest.mark.parametrize("headers", [{}, JSON, XML], ids=["no accept", "json", "xml"])
async def test_case_007_unknown_is_an_empty_404(here: Server, headers: dict[str, str], profile: str) -> None:
    """Whatever is asked of an unknown id, in whatever format: 404 without a body."""
    for method, tail in UNKNOWN:
        answer = await here.ask(method, here.path("nobody", tail), headers=headers)
        assert (method, tail, answer.status, is_bare(answer, profile)) == (method, tail, 404, True)
    answer = await here.get(f"instances/{here.id('nobody')}", headers)
    assert (answer.status, is_bare(answer, profile)) == (404, True)


@pytest.mark.wire("M")
@pytest.mark.parametrize(("method", "tail"), [*UNKNOWN[1:2], *UNKNOWN[3:], ("DELETE", "")])
async def test_case_008_known_is_an_empty_200(here: Server, method: str, tail: str) -> None:
    """Every write to a known id: 200 without a body."""
    answer = await here.ask(method, here.path(tail=tail))
    assert (answer.status, answer.empty) == (200, True)


@pytest.mark.wire("M")
async def test_case_009_heartbeats_with_any_body(here: Server) -> None:
    """Heartbeats with ``{}``, with empty text, and with no body at all: 200 each."""
    assert (await here.put(here.path(), data=b"{}", headers=JSON_BODY)).status == 200
    assert (await here.put(here.path(), data=b"", headers={"Content-Type": "text/plain"})).status == 200
    assert (await here.put(here.path())).status == 200


@pytest.mark.wire("M")
async def test_case_010_odd_ids_percent_encoded(server: Server) -> None:
    """Id ``test#1.[3.?]!``: registered, read, renewed, cancelled."""
    id = f"test#1.[3.?]!{server.token}"
    await server.register(instanceId=id)
    path = f"apps/{server.app}/test%231.%5B3.%3F%5D!{server.token}"
    assert (await server.one(path))["instanceId"] == id
    assert (await server.put(path)).status == 200
    assert (await server.delete(path)).status == 200


@pytest.mark.wire("M")
async def test_case_011_colons_encoded_or_not(server: Server) -> None:
    """``%3A`` and the literal colon address the same lease."""
    await server.register(instanceId=f"h:{server.token}:8080")
    literal, encoded = (f"apps/{server.app}/h{c}{server.token}{c}8080" for c in (":", "%3A"))
    assert await server.one(literal) == await server.one(encoded)
    assert (await server.put(literal)).status == (await server.put(encoded)).status == 200
    assert (await server.delete(encoded)).status == 200
    assert (await server.put(literal)).status == 404


@pytest.mark.wire("M")
async def test_case_012_application_names_in_any_case(server: Server) -> None:
    """Application names are one whatever their case, and stored in upper case."""
    mixed, low = server.app.capitalize(), server.app.lower()
    assert (await server.post(server.tree(app=mixed), app=low)).status == 204
    assert (await server.read())["app"] == server.app
    assert (await server.get(f"apps/{low}")).body == (await server.get(f"apps/{server.app}")).body
    assert (await server.one(server.path(app=low)))["app"] == server.app
    assert (await server.put(server.path(app=low))).status == 200
    assert (await server.delete(server.path(app=low))).status == 200


@pytest.mark.wire("S")
async def test_case_013_wrong_method_path_and_type(here: Server) -> None:
    """An unknown method is 405, an unknown path 404, an unknown type 415."""
    assert (await here.ask("PATCH", f"apps/{here.app}")).status == 405
    assert (await here.get("nothing")).status == 404
    assert (await here.raw(b"a,b", {"Content-Type": "text/csv"})).status == 415


@pytest.mark.wire("M")
async def test_case_014_an_empty_registry(private: None) -> None:
    """Nobody there: version 1, an empty hash, an empty array; both elements in XML."""
    async with wired(alone()) as wire:
        answer = await wire.get("apps")
        assert answer.json()["applications"] == {
            "versions__delta": "1",
            "apps__hashcode": "",
            "application": [],
        }
        root = ET.fromstring((await wire.get("apps", XML)).body)
        assert root.tag == "applications"
        assert root.findtext("versions__delta") == "1"
        assert root.find("apps__hashcode") is not None
        assert not root.findtext("apps__hashcode")


@pytest.mark.wire("M")
async def test_case_015_one_instance_is_still_an_array(here: Server) -> None:
    """``application`` and ``instance`` are arrays, also with one element."""
    whole = (await here.get("apps")).json()["applications"]["application"]
    assert isinstance(whole, list)
    (mine,) = [app for app in whole if app["name"] == here.app]
    alone = (await here.get(f"apps/{here.app}")).json()["application"]
    vip = (await here.apps(f"vips/{here.id('vip')}"))["application"]
    assert isinstance(vip, list)
    for app in (mine, alone, *vip):
        assert isinstance(app["instance"], list)
        assert len(app["instance"]) == 1


@pytest.mark.wire("M")
async def test_case_016_numbers_and_strings(here: Server) -> None:
    """Which members are numbers and which are strings."""
    (one,) = await here.mine()
    numbers = [one["port"]["$"], one["securePort"]["$"], one["countryId"], *one["leaseInfo"].values()]
    assert {type(value) for value in numbers} == {int}
    strings = [one["port"]["@enabled"], one["securePort"]["@enabled"]]
    strings += [one[f"last{which}Timestamp"] for which in ("Updated", "Dirty")]
    strings.append(one["isCoordinatingDiscoveryServer"])
    assert {type(value) for value in strings} == {str}
    assert set(one["leaseInfo"]) == {
        "renewalIntervalInSecs",
        "durationInSecs",
        "registrationTimestamp",
        "lastRenewalTimestamp",
        "evictionTimestamp",
        "serviceUpTimestamp",
    }


@pytest.mark.wire("M")
async def test_case_017_no_member_too_many(server: Server) -> None:
    """No member beyond the known ones, no null, exact shapes of ports and data centre."""
    await server.register(scalar="x", metadata={"a": "b"}, homePageUrl="http://h1.example.net/", asgName="g")
    await server.register("i2", status="DOWN")
    found = [*await server.mine(), *await server.mine("apps/delta"), await server.read()]
    assert len(found) == 5
    for one in found:
        assert set(one) <= set(MEMBERS)
        assert set(one["dataCenterInfo"]) == {"@class", "name"}
        assert set(one["port"]) == set(one["securePort"]) == {"$", "@enabled"}
        assert None not in _values(one)


def _values(tree: Any) -> list[Any]:
    """Everything in a tree that holds nothing itself."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [leaf for one in tree for leaf in _values(one)] if isinstance(tree, list) else [tree]


@pytest.mark.wire("M")
async def test_case_018_no_metadata(here: Server) -> None:
    """Without metadata there is Java's empty map, in JSON and in XML."""
    assert (await here.read())["metadata"] == {"@class": EMPTY_MAP}
    root = ET.fromstring((await here.get(here.path(), XML)).body)
    metadata = root.find("metadata")
    assert metadata is not None
    assert metadata.get("class") == EMPTY_MAP


@pytest.mark.wire("M")
async def test_case_019_what_xml_must_carry(here: Server) -> None:
    """XML: ``class``, ``enabled``, ``overriddenstatus``, and integers that are some."""
    for path in (here.path(), f"apps/{here.app}"):
        root = ET.fromstring((await here.get(path, XML)).body)
        one = root if root.tag == "instance" else root.find("instance")
        assert one is not None
        found = {child.tag: child for child in one}
        assert found["dataCenterInfo"].get("class") == DEFAULT_CLASS
        assert (found["port"].get("enabled"), found["securePort"].get("enabled")) == ("true", "false")
        assert found["overriddenstatus"].text == "UNKNOWN"
        assert "overriddenStatus" not in found
        numbers = [found[name] for name in ("port", "securePort", "countryId")]
        numbers += [found["lastUpdatedTimestamp"], found["lastDirtyTimestamp"], *found["leaseInfo"]]
        assert len(numbers) == 11
        for number in numbers:
            int(number.text or "")
    applications = ET.fromstring((await here.get("apps", XML)).body)
    int(applications.findtext("versions__delta") or "")


@pytest.mark.wire("M")
async def test_case_020_underscores_in_metadata(server: Server) -> None:
    """``rack_id`` is ``rack__id`` in XML, both ways."""
    await server.register(metadata={"rack_id": "7"})
    assert (await server.read())["metadata"] == {"rack_id": "7"}
    assert b"<rack__id>7</rack__id>" in (await server.get(server.path(), XML)).body
    body = f"""<instance><instanceId>{server.id("x")}</instanceId><hostName>h2</hostName>
        <app>{server.app}</app><ipAddr>10.0.0.2</ipAddr><status>UP</status>
        <dataCenterInfo class="{DEFAULT_CLASS}"><name>MyOwn</name></dataCenterInfo>
        <metadata><rack__id>8</rack__id></metadata></instance>"""
    server.knows(server.app, server.id("x"))
    assert (await server.raw(body, XML_BODY)).status == 204
    assert (await server.read("x"))["metadata"] == {"rack_id": "8"}


@pytest.mark.wire("plus")
async def test_case_021_metadata_keys_that_are_no_xml_names(server: Server, profile: str) -> None:
    """A key like ``a b/c`` does not break the XML."""
    if profile == "ref":
        pytest.skip("Ref would serve broken XML to everybody on that server")
    await server.register(metadata={"a b/c": "1", "<x>": "&"})
    for path in (server.path(), f"apps/{server.app}", "apps"):
        root = ET.fromstring((await server.get(path, XML)).body)
        assert root.find(".//metadata") is not None
    assert (await server.read())["metadata"] == {"a b/c": "1", "<x>": "&"}


@pytest.mark.wire("S")
async def test_case_022_the_compact_form(server: Server) -> None:
    """``X-Eureka-Accept: compact`` leaves out what it should; every other word is the full form."""
    await server.register(metadata={"a": "b"}, asgName="g", appGroupName="X", homePageUrl="http://h1/")
    full = await server.mine()
    for path in ("apps", "apps/delta", f"apps/{server.app}", f"vips/{server.id('vip')}"):
        answer = await server.get(path, {**JSON, "X-Eureka-Accept": "compact"})
        tree = answer.json()
        apps = [tree["application"]] if "application" in tree else tree["applications"]["application"]
        (one,) = [one for app in apps if app["name"] == server.app for one in app["instance"]]
        assert set(one) == set(COMPACT)
        assert type(one["lastUpdatedTimestamp"]) is int
    for word in ("full", "FULL", "nonsense"):
        answer = await server.get("apps", {**JSON, "X-Eureka-Accept": word})
        found = [app for app in answer.json()["applications"]["application"] if app["name"] == server.app]
        assert found[0]["instance"] == full


@pytest.mark.wire("S")
async def test_case_023_version_1_knows_fewer_statuses(here: Server, profile: str) -> None:
    """``OUT_OF_SERVICE`` is ``DOWN`` in version 1's XML, and itself in version 2's."""
    assert (await here.put(here.path(tail="/status?value=OUT_OF_SERVICE"))).status == 200
    if profile == "ref" and (await here.get(f"{here.context}v1/apps")).status == 404:
        pytest.skip("Spring's server knows no version 1")
    for version, expected in (("v1", "DOWN"), ("v2", "OUT_OF_SERVICE")):
        root = ET.fromstring((await here.get(f"{here.context}{version}/apps", XML)).body)
        (mine,) = [app for app in root.iter("application") if app.findtext("name") == here.app]
        assert mine.findtext("instance/status") == expected


HOSTILE = {
    "doctype": '<!DOCTYPE instance [<!ENTITY a "b">]><instance><app>&a;</app></instance>',
    "bomb": "<!DOCTYPE instance ["
    + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 20 if n else "x"}">' for n in range(9))
    + "]><instance><app>&e8;</app></instance>",
    "nested": "<instance>" + "<a>" * 10_000 + "</a>" * 10_000 + "</instance>",
    "invalid utf-8": b"<instance><app>\xff\xfe</app></instance>",
}


@pytest.mark.wire("plus")
@pytest.mark.parametrize("name", HOSTILE)
async def test_case_024_hostile_xml(here: Server, name: str, profile: str) -> None:
    """DTD, entities, endless nesting, invalid UTF-8: 400, and the next request is served."""
    if profile == "ref":
        pytest.skip("what Ref does is undefined, and might harm the server")
    answer = await here.raw(HOSTILE[name], XML_BODY)
    assert (answer.status, answer.empty) == (400, True)
    assert (await here.get(here.path())).status == 200


@pytest.mark.wire("plus")
@pytest.mark.parametrize("kind", ["doctype", "entity"])
async def test_case_024_no_network_access_for_xml(here: Server, kind: str, profile: str) -> None:
    """An external DTD or entity is refused without asking for it."""
    if profile == "ref":
        pytest.skip("what Ref does is undefined")
    asked: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(b"")
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as trap:
        url = f"http://127.0.0.1:{trap.sockets[0].getsockname()[1]}/x"
        inside = f'SYSTEM "{url}"' if kind == "doctype" else f'[<!ENTITY a SYSTEM "{url}">]'
        body = f"<!DOCTYPE instance {inside}><instance><app>&a;</app></instance>"
        assert (await here.raw(body, XML_BODY)).status == 400
        await soon()
    assert asked == []
