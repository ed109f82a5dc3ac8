"""Conformance, section 7.1: transport and formats. The numbers are the cases'."""

from __future__ import annotations

import asyncio
import gzip
import json
import xml.etree.ElementTree as ET

import pytest
from registry_wire import JSON, Wire, instance

XML_INSTANCE = """<instance><instanceId>i2</instanceId><hostName>h2</hostName><app>ORDERS</app>
<ipAddr>10.0.0.2</ipAddr><status>UP</status><dataCenterInfo class="x"><name>MyOwn</name></dataCenterInfo>
<metadata>{metadata}</metadata></instance>"""
XML = {"Content-Type": "application/xml"}

MEMBERS = {
    "instanceId",
    "hostName",
    "app",
    "ipAddr",
    "sid",
    "status",
    "overriddenStatus",
    "port",
    "securePort",
    "countryId",
    "dataCenterInfo",
    "leaseInfo",
    "metadata",
    "appGroupName",
    "homePageUrl",
    "statusPageUrl",
    "healthCheckUrl",
    "secureHealthCheckUrl",
    "vipAddress",
    "secureVipAddress",
    "isCoordinatingDiscoveryServer",
    "lastUpdatedTimestamp",
    "lastDirtyTimestamp",
    "actionType",
    "asgName",
}
COMPACT = {
    "instanceId",
    "app",
    "ipAddr",
    "port",
    "securePort",
    "vipAddress",
    "secureVipAddress",
    "dataCenterInfo",
    "hostName",
    "status",
    "lastUpdatedTimestamp",
    "actionType",
}


async def test_case_01_bases_and_trailing_slashes(wire: Wire) -> None:
    paths = (
        "/eureka/apps",
        "/eureka/apps/",
        "/eureka/v2/apps",
        "/eureka/v2/apps/",
        "/v2/apps",
        "/eureka//apps//",
    )
    answers = [await wire.get(path) for path in paths]
    assert [one.status for one in answers] == [200] * len(paths)
    assert len({one.body for one in answers}) == 1


async def test_a_slash_too_many_in_front(wire: Wire) -> None:
    assert (await wire.get("//eureka/apps/ORDERS/i1")).status == 200
    assert (await wire.put("//eureka//apps/ORDERS/i1")).status == 200


@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}, {"Accept": "text/html"}])
async def test_case_02_and_04_xml_is_the_default(wire: Wire, headers: dict[str, str]) -> None:
    answer = await wire.get("apps", headers)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert ET.fromstring(answer.body).tag == "applications"


@pytest.mark.parametrize("accept", ["application/json", "application/json, */*;q=0.1"])
async def test_case_03_json_when_asked(wire: Wire, accept: str) -> None:
    answer = await wire.get("apps", {"Accept": accept})
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert list(answer.json()) == ["applications"]


@pytest.mark.parametrize("path", ["apps", "apps/delta"])
@pytest.mark.parametrize("accept", ["application/json", "application/xml"])
async def test_case_05_gzip(wire: Wire, path: str, accept: str) -> None:
    plain = await wire.get(path, {"Accept": accept})
    packed = await wire.get(path, {"Accept": accept, "Accept-Encoding": "gzip, deflate"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body


async def test_case_05_gzip_of_a_large_registry_is_joined_from_pieces(bare: Wire) -> None:
    for n in range(150):
        await bare.register(instanceId=f"i{n}", app=f"APP{n % 3}")
    plain = await bare.get("apps")
    packed = await bare.get("apps", {**JSON, "Accept-Encoding": "gzip"})
    assert len(plain.body) > 65_536
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 4
    assert len(await bare.listed()) == 150


async def test_case_06_gzipped_registration(wire: Wire) -> None:
    body = gzip.compress(json.dumps({"instance": instance(instanceId="z")}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert (await wire.ask("POST", "apps/ORDERS", data=body, headers=headers)).status == 204
    assert (await wire.get("apps/ORDERS/z")).status == 200


UNKNOWN = [
    ("GET", "apps/ORDERS/nobody"),
    ("PUT", "apps/ORDERS/nobody"),
    ("DELETE", "apps/ORDERS/nobody"),
    ("PUT", "apps/ORDERS/nobody/status?value=UP"),
    ("DELETE", "apps/ORDERS/nobody/status"),
    ("PUT", "apps/ORDERS/nobody/metadata?a=1"),
    ("GET", "instances/nobody"),
    ("GET", "apps/NOTHING"),
]


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
@pytest.mark.parametrize("headers", [{}, JSON, {"Accept": "application/xml"}])
async def test_case_07_unknown_is_an_empty_404(
    wire: Wire, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = await wire.ask(method, path, headers=headers)
    assert answer.status == 404
    assert answer.empty


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "apps/ORDERS/i1"),
        ("PUT", "apps/ORDERS/i1/status?value=DOWN"),
        ("DELETE", "apps/ORDERS/i1/status"),
        ("PUT", "apps/ORDERS/i1/metadata?a=1"),
        ("DELETE", "apps/ORDERS/i1"),
    ],
)
async def test_case_08_known_is_an_empty_200(wire: Wire, method: str, path: str) -> None:
    answer = await wire.ask(method, path)
    assert answer.status == 200
    assert answer.empty


async def test_case_09_bodies_of_put_and_delete_are_ignored(wire: Wire) -> None:
    assert (await wire.put("apps/ORDERS/i1", json={})).status == 200
    assert (await wire.put("apps/ORDERS/i1", data=b"", headers={"Content-Type": "text/plain"})).status == 200
    assert (await wire.put("apps/ORDERS/i1")).status == 200
    assert (await wire.put("apps/ORDERS/i1/status?value=DOWN", json={})).status == 200
    assert (await wire.delete("apps/ORDERS/i1", data=b"{nonsense")).status == 200


async def test_case_10_odd_ids(wire: Wire) -> None:
    await wire.register(instanceId="test#1.[3.?]!")
    path = "apps/ORDERS/test%231.%5B3.%3F%5D!"
    assert (await wire.get(path)).status == 200
    assert (await wire.put(path)).status == 200
    assert (await wire.delete(path)).status == 200


async def test_an_id_with_a_slash_can_be_addressed(wire: Wire) -> None:
    await wire.register(instanceId="a/b")
    assert (await wire.put("apps/ORDERS/a%2Fb")).status == 200
    assert (await wire.one("apps/ORDERS/a%2fb"))["instanceId"] == "a/b"


async def test_case_11_colons(wire: Wire) -> None:
    await wire.register(instanceId="h:orders:8080")
    assert (await wire.put("apps/ORDERS/h:orders:8080")).status == 200
    assert (await wire.put("apps/ORDERS/h%3Aorders%3A8080")).status == 200
    assert (await wire.delete("apps/ORDERS/h%3Aorders%3A8080")).status == 200
    assert (await wire.put("apps/ORDERS/h:orders:8080")).status == 404


async def test_case_12_application_names_in_any_case(wire: Wire) -> None:
    assert (await wire.post(instance(app="Orders", instanceId="i2"), app="orders")).status == 204
    assert (await wire.one("apps/oRdErs/i2"))["app"] == "ORDERS"
    assert (await wire.get("apps/orders")).body == (await wire.get("apps/ORDERS")).body
    assert (await wire.put("apps/orders/i2")).status == 200
    assert (await wire.delete("apps/orders/i2")).status == 200


async def test_case_13_wrong_methods_paths_and_types(wire: Wire) -> None:
    patched = await wire.ask("PATCH", "apps/ORDERS")
    assert (patched.status, patched.headers["Allow"]) == (405, "GET, POST")
    assert patched.empty
    assert (await wire.get("nothing")).status == 404
    assert (await wire.get("/nothing")).status == 404
    for kind in ("text/csv", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = await wire.ask("POST", "apps/ORDERS", data=b"x", headers={"Content-Type": kind})
        assert answer.status == 415
        assert answer.empty


async def test_case_14_an_empty_registry(bare: Wire) -> None:
    apps = await bare.apps()
    assert apps == {"versions__delta": "1", "apps__hashcode": "", "application": []}
    root = ET.fromstring((await bare.get("apps", {})).body)
    assert root.findtext("versions__delta") == "1"
    assert root.find("apps__hashcode") is not None
    assert not root.findtext("apps__hashcode")


async def test_case_15_to_18_shapes_in_json(wire: Wire) -> None:
    apps = await wire.apps()
    assert len(apps["application"]) == 1
    assert len(apps["application"][0]["instance"]) == 1
    (one,) = apps["application"][0]["instance"]
    for port in ("port", "securePort"):
        assert set(one[port]) == {"$", "@enabled"}
        assert type(one[port]["$"]) is int
        assert type(one[port]["@enabled"]) is str
    assert type(one["countryId"]) is int
    assert all(type(value) is int for value in one["leaseInfo"].values())
    for name in ("lastUpdatedTimestamp", "lastDirtyTimestamp", "isCoordinatingDiscoveryServer"):
        assert type(one[name]) is str
    assert set(one) <= MEMBERS
    assert b"null" not in (await wire.get("apps")).body
    assert set(one["dataCenterInfo"]) == {"@class", "name"}
    assert one["metadata"] == {"@class": "java.util.Collections$EmptyMap"}


async def test_case_18_and_19_shapes_in_xml(wire: Wire) -> None:
    root = ET.fromstring((await wire.get("apps/ORDERS/i1", {})).body)
    assert root.tag == "instance"
    found = {child.tag: child for child in root}
    assert found["metadata"].get("class") == "java.util.Collections$EmptyMap"
    assert found["dataCenterInfo"].get("class")
    assert found["port"].get("enabled") == "true"
    assert found["securePort"].get("enabled") == "false"
    assert found["overriddenstatus"].text == "UNKNOWN"
    numbers = [found[name] for name in ("port", "securePort", "countryId", "lastUpdatedTimestamp")]
    assert all(int(one.text or "") for one in (*numbers, found["lastDirtyTimestamp"]))
    assert all(one.text is not None and one.text.isdigit() for one in found["leaseInfo"])


async def test_case_20_underscores_in_metadata(wire: Wire) -> None:
    await wire.register(metadata={"rack_id": "7"})
    assert (await wire.one())["metadata"] == {"rack_id": "7"}
    assert b"<rack__id>7</rack__id>" in (await wire.get("apps", {})).body
    body = XML_INSTANCE.format(metadata="<rack__id>8</rack__id>")
    assert (await wire.ask("POST", "apps/ORDERS", data=body, headers=XML)).status == 204
    assert (await wire.one("apps/ORDERS/i2"))["metadata"] == {"rack_id": "8"}


async def test_case_21_keys_that_are_no_xml_names(wire: Wire) -> None:
    await wire.register(metadata={"a b/c": "1", "<x>": "&"})
    assert ET.fromstring((await wire.get("apps", {})).body).find("application/instance/metadata") is not None


async def test_case_22_compact(wire: Wire) -> None:
    full = (await wire.get("apps")).body
    for word in ("full", "FULL", "nonsense"):
        assert (await wire.get("apps", {**JSON, "X-Eureka-Accept": word})).body == full
    for path in ("apps", "apps/delta", "vips/orders"):
        answer = await wire.get(path, {**JSON, "X-Eureka-Accept": "Compact"})
        (one,) = answer.json()["applications"]["application"][0]["instance"]
        assert set(one) == COMPACT
        assert type(one["lastUpdatedTimestamp"]) is int


async def test_case_23_version_1_knows_three_statuses(wire: Wire) -> None:
    await wire.put("apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    assert b"<status>DOWN<" in (await wire.get("/eureka/v1/apps", {})).body
    assert b"<status>OUT_OF_SERVICE<" in (await wire.get("/eureka/v2/apps", {})).body
    assert b"<status>OUT_OF_SERVICE<" in (await wire.get("/eureka/v2/apps/ORDERS/i1", {})).body


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE instance [<!ENTITY a "b">]><instance>&a;</instance>',
        b'<!DOCTYPE instance SYSTEM "http://127.0.0.1:1/x"><instance/>',
        b"<instance>" + b"<a>" * 10_000 + b"</a>" * 10_000 + b"</instance>",
        b"<instance>\xff\xfe</instance>",
        b"<instance><hostName>",
    ],
)
async def test_case_24_hostile_xml(wire: Wire, body: bytes) -> None:
    answer = await wire.ask("POST", "apps/ORDERS", data=body, headers=XML)
    assert answer.status == 400
    assert answer.empty
    assert (await wire.get("apps")).status == 200


async def test_head_is_get_without_its_body(wire: Wire) -> None:
    answer = await wire.ask("HEAD", "apps", headers=JSON)
    assert (answer.status, answer.body) == (200, b"")


async def test_a_body_that_is_announced_too_large_is_refused_at_once(wire: Wire) -> None:
    headers = {"Content-Type": "application/json"}
    for size in (256 * 1024 + 1, 20_000_000):
        large = await wire.ask("POST", "apps/ORDERS", data=b" " * size, headers=headers)
        assert (large.status, large.empty) == (413, True)
    assert (await wire.ask("POST", "apps/ORDERS", data=b" " * 256 * 1024, headers=headers)).status == 400


async def test_a_body_that_nobody_reads_may_come_after_the_answer(wire: Wire) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.registry.port)
    try:
        for size in (2, 100_000, 0):
            head = f"PUT /eureka/apps/ORDERS/i1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
            writer.write(head.encode())
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert answer.startswith(b"HTTP/1.1 200")
            writer.write(b"x" * size)
            await writer.drain()
            await asyncio.sleep(0.01)
    finally:
        writer.close()


async def test_bodies_have_a_limit_also_while_they_inflate(wire: Wire) -> None:
    headers = {"Content-Type": "application/json"}
    bomb = gzip.compress(b" " * 20_000_000)
    packed = {**headers, "Content-Encoding": "gzip"}
    assert (await wire.ask("POST", "apps/ORDERS", data=bomb, headers=packed)).status in (400, 413)
    cut = gzip.compress(json.dumps({"instance": instance()}).encode())[:-9]
    assert (await wire.ask("POST", "apps/ORDERS", data=cut, headers=packed)).status == 400
    for coding in ("br", "gzip, gzip", "x"):
        other = {**headers, "Content-Encoding": coding}
        assert (await wire.ask("POST", "apps/ORDERS", data=b"x", headers=other)).status in (400, 415)
    assert (await wire.get("apps")).status == 200


@pytest.mark.parametrize("charset", ["hex", "zlib_codec", "rot13", "utf-16"])
async def test_odd_charsets_are_refused(wire: Wire, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    assert (await wire.ask("POST", "apps/ORDERS", data=b"{}", headers=headers)).status == 415


async def test_a_path_that_is_not_utf8_is_a_400(wire: Wire) -> None:
    answer = await wire.get("apps/ORDERS/%ff")
    assert answer.status == 400
    assert answer.empty
