"""Bodies: limits just kept and just broken (L-03 to L-20), XML and JSON that are weapons (S-25 to S-27), and
what is said back to people (S-30, S-32)."""

from __future__ import annotations

import gzip
import itertools
import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import hostile_corpus as corpus
import pytest
from hostile_kit import HostileRegistry, Line, instance, registration, request

_numbers = itertools.count()
CENTRE = instance("A", "a")["dataCenterInfo"]


def tried(registry: HostileRegistry, **changes: Any) -> int:
    """The status of a registration of somebody new, who is gone again afterwards."""
    tree = instance("LIMITS", f"limits-{next(_numbers)}", **changes)
    status = registry.ask("POST", "apps/LIMITS", None, registration(tree)).status
    if status == 204 and "instanceId" not in changes:
        assert registry.ask("DELETE", f"apps/LIMITS/{tree['instanceId']}").status == 200
    return status


def sized(size: int) -> bytes:
    body = registration(instance("SIZED", "sized"))
    return body + b" " * (size - len(body))


@pytest.mark.parametrize(
    ("size", "status"), [(262_143, 204), (262_144, 204), (262_145, 413), (20_000_000, 413)]
)
def test_L03_a_write(registry: HostileRegistry, size: int, status: int) -> None:
    assert registry.ask("POST", "apps/SIZED", None, sized(size)).status == status


def test_L03_an_announced_one_is_refused_before_it_comes(registry: HostileRegistry) -> None:
    with Line(registry.port) as line:
        for path, size in (("apps/A", 262_145), ("peerreplication/batch", 8 * 2**20 + 1)):
            line.close()
            line.send(
                f"POST /eureka/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {size}\r\n\r\n".encode()
            )
            assert line.read().status == 413


@pytest.mark.parametrize(("items", "status"), [(5000, 200), (5001, 400)])
def test_L04_a_batch(registry: HostileRegistry, items: int, status: int) -> None:
    item = {"appName": "NOBODY", "id": "x", "action": "Heartbeat", "lastDirtyTimestamp": 1}
    body = json.dumps({"replicationList": [item] * items}).encode()
    assert registry.ask("POST", "peerreplication/batch/", None, body).status == status


@pytest.mark.parametrize(
    ("packed", "coding", "status"),
    [
        (gzip.compress(sized(262_144)), "gzip", 413),  # within the size, out of all proportion
        (gzip.compress(sized(60_000)), "gzip", 204), (gzip.compress(sized(262_145)), "gzip", 413),
        (corpus.BOMB, "gzip", 413),
        (gzip.compress(corpus.BOMB), "gzip", 400), (gzip.compress(sized(900))[:-1], "gzip", 400),
        (sized(900), "gzip", 400),
        (gzip.compress(sized(900)) + b"x", "gzip", 400), (sized(900), "identity", 204),
        (sized(900), "br", 415), (sized(900), "gzip, gzip", 415),
    ],
)  # fmt: skip
def test_L05_codings(registry: HostileRegistry, packed: bytes, coding: str, status: int) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    assert registry.ask("POST", "apps/SIZED", headers, packed).status == status


def deep(levels: int) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for _ in range(levels - 1):
        tree = {"a": tree}
    return tree


#: What is sent instead, and the status. Pairs stand at a limit and just over it.
FIELDS: list[tuple[str, Any, int]] = [
    ("unknown", deep(14), 204), ("unknown", deep(15), 400), ("unknown", [0] * 9_900, 204),
    ("unknown", [0] * 10_000, 400),
    ("port", {"$": 65535, "@enabled": "true"}, 204), ("port", {"$": 65536, "@enabled": "true"}, 400),
    ("port", {"$": -1}, 400), ("port", {"$": 80.5}, 400),
    ("port", {"$": "9" * 21}, 400), ("port", True, 400), ("port", [], 400), ("countryId", 2**63 - 1, 204),
    ("countryId", 2**63, 400), ("countryId", "x", 400),
    ("hostName", "a" * 63, 204), ("hostName", "a" * 64, 400), ("hostName", ".".join(["a" * 49] * 5), 204),
    ("hostName", ".".join(["a" * 50] * 5), 400),
    ("hostName", "a b", 400), ("hostName", "a/b", 400), ("hostName", "<x>", 400),
    ("hostName", "1.2.3.4.5", 400), ("ipAddr", "::1", 204), ("ipAddr", "fe80::1%eth0", 204),
    ("ipAddr", "300.1.1.1", 400), ("ipAddr", "0x7f.1", 204),
    ("metadata", {f"k{n}": "v" for n in range(128)}, 204),
    ("metadata", {f"k{n}": "v" for n in range(129)}, 400),
    ("metadata", {"k" * 128: "v"}, 204), ("metadata", {"k" * 129: "v"}, 400), ("metadata", {"": "v"}, 400),
    ("metadata", {"k": "v" * 4096}, 204), ("metadata", {"k": "v" * 4097}, 400),
    ("metadata", {f"k{n}": "v" * 4094 for n in range(8)}, 204),
    ("metadata", {f"k{n}": "v" * 4095 for n in range(8)}, 400), ("metadata", {"k": ["v"]}, 400),
    ("metadata", {"k": {}}, 400), ("metadata", {"k": 1.5, "b": True, "n": None}, 204), ("metadata", [], 400),
    ("metadata", {"\u00e9" * 64: "v"}, 204), ("metadata", {"\u00e9" * 65: "v"}, 400),
    ("vipAddress", ",".join(["v"] * 32), 204), ("vipAddress", ",".join(["v"] * 33), 400),
    ("vipAddress", "v" * 128, 204), ("vipAddress", "v" * 129, 400), ("vipAddress", "a b", 400),
    ("vipAddress", "<x>", 400),
    ("leaseInfo", [], 400), ("leaseInfo", "x", 400), ("lastDirtyTimestamp", "x", 400),
    ("lastDirtyTimestamp", -1, 400), ("lastDirtyTimestamp", 1.5, 400), ("lastDirtyTimestamp", 2**63, 400),
    ("lastDirtyTimestamp", 2**63 - 1, 204),
    ("status", "up", 204), ("status", "NOPE", 400), ("status", 1, 400), ("status", [], 400),
    ("sid", "x\x1b", 400), ("asgName", "x" * 256, 204), ("asgName", "x" * 257, 400),
    ("dataCenterInfo", None, 400), ("dataCenterInfo", "x", 400), ("dataCenterInfo", {"name": "Nope"}, 400),
    ("dataCenterInfo", {"name": "Amazon", "metadata": [1]}, 400),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "status"), FIELDS)
def test_L06_to_L16_fields(registry: HostileRegistry, field: str, value: Any, status: int) -> None:
    assert tried(registry, **{field: value}) == status


APPS = [
    ("A" * 128, 204),
    ("A" * 129, 400),
    ("a.b_c-d", 204),
    ("-a", 400),
    ("A B", 400),
    ("\u00c4", 400),
    ("<a>", 400),
    (".", 400),
    ("..", 400),
    ("A/B", 400),
]


@pytest.mark.parametrize(("app", "status"), APPS)
def test_L08_application_names(registry: HostileRegistry, app: str, status: int) -> None:
    path = app if app.isascii() and not set(app) & set(" <>/") else "X"
    assert registry.ask("POST", f"apps/{path}", None, registration(instance(app, "x"))).status in (
        status,
        404 if "." in app else status,
    )
    assert registry.ask("POST", "apps/ANOTHER", None, registration(instance(app, "x"))).status == 400


IDS = [
    "a" * 257,
    "\u00e9" * 129,
    " ",
    "a b",
    "a\x00",
    "a\n",
    "a\x1b[0m",
    "\u202ea",
    "a\u2028",
    "a\ufeff",
    ".",
    "..",
    "a\u200b",
    "\u0085",
]


@pytest.mark.parametrize("id", IDS)
def test_L09_ids(registry: HostileRegistry, id: str) -> None:
    assert tried(registry, instanceId=id) == 400


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://x/" + "a" * 2048,
        "http://a b/",
        "http://x/<i>",
        "//x",
        "data:x",
    ],
)
def test_L11_links_that_are_none_are_dropped(registry: HostileRegistry, url: str) -> None:
    names = ("homePageUrl", "statusPageUrl", "healthCheckUrl", "secureHealthCheckUrl")
    assert registry.register(instance("LINKS", "links", **dict.fromkeys(names, url))) == 204
    shown = registry.get("apps/LINKS/links").json()["instance"]
    assert not [name for name in names if name in shown]
    assert url.encode() not in registry.get("apps").body


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (0, 90),
        (-5, 90),
        ("x", 90),
        (None, 90),
        (1e300, 90),
        (1, 1),
        (86_400, 86_400),
        (86_401, 86_400),
        ("7", 7),
        (10**19, 86_400),
    ],
)
def test_L14_no_lease_is_for_ever(registry: HostileRegistry, sent: Any, kept: int) -> None:
    assert registry.register(instance("LEASES", "leases", leaseInfo={"durationInSecs": sent})) == 204
    assert registry.get("apps/LEASES/leases").json()["instance"]["leaseInfo"]["durationInSecs"] == kept


@pytest.mark.parametrize(
    "charset",
    [
        "hex",
        "zlib_codec",
        "rot13",
        "utf-16",
        "utf-7",
        "base64",
        "idna",
        "punycode",
        "unicode_escape",
        "x" * 500,
        "\x80",
    ],
)
def test_L19_charsets(registry: HostileRegistry, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    assert registry.ask("POST", "apps/A", headers, b"{}").status == 415


@pytest.mark.parametrize(
    "field",
    ["instanceId", "port", "metadata", "leaseInfo", "dataCenterInfo", "status", "vipAddress", "unknown"],
)
def test_L07_L20_S27_any_value_anywhere(registry: HostileRegistry, field: str) -> None:
    template = registration(instance("VALUES", "values", **{field: "MARK"}))
    for value in corpus.VALUES:
        body = template.replace(b'"MARK"', value.encode("utf-8", "surrogatepass"))
        assert registry.ask("POST", "apps/VALUES", None, body).status in (204, 400), value[:200]


@pytest.mark.parametrize("path", ["apps/A", "peerreplication/batch", "/resilient/v1/circuits"])
def test_bodies_that_are_nothing_of_the_kind(registry: HostileRegistry, path: str) -> None:
    for kind in ("application/json", "application/xml"):
        for body in corpus.BODIES:
            reply = registry.ask("POST", path, {"Content-Type": kind}, body)
            assert reply.status in (204, 400, 413, 415), (kind, body[:80], reply)


@pytest.mark.parametrize(
    ("prologue", "inside"),
    [
        *(("", one) for one in corpus.INSIDE),
        *((one, "&l9;&x;") for one in corpus.PROLOGUES),
        *((one, "") for one in corpus.PROLOGUES),
    ],
)
def test_S25_xml_is_only_elements_and_text(registry: HostileRegistry, prologue: str, inside: str) -> None:
    body = f"""{prologue}<instance><instanceId>x</instanceId><hostName>h</hostName><app>XML</app>
    <ipAddr>10.0.0.1</ipAddr>
    <dataCenterInfo class="x"><name>MyOwn</name></dataCenterInfo>{inside}</instance>"""
    status = registry.ask("POST", "apps/XML", {"Content-Type": "application/xml"}, body.encode()).status
    assert status in (204, 400, 413)
    if "<!" in prologue and "--" not in prologue:
        assert status == 400


PLANTED = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'-alert(1)-'",
    "</script><svg/onload=alert(1)>", "${7*7}", "{{7*7}}", "<!--", "]]>", "&lt;b&gt;",
    "javascript:alert(1)", "\u202egnp.exe", "\x1b[31m\x07", "\r\nSet-Cookie: a=b", "\x00", "\ufffe", "\u2028",
    "</title><script>", "<% x %>",
]  # fmt: skip


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append(tag)
        runs = tag == "script" and not named.get("src") and named.get("type") != "application/json"
        if tag in ("style", "img", "iframe") or runs:
            self.bad.append(tag)
        self.bad += [
            f"{name}={value}"
            for name, value in attrs
            if name.startswith("on") or (value or "").startswith("javascript:")
        ]


def test_S30_and_S32_what_was_planted_stays_text(registry: HostileRegistry) -> None:
    def page(path: str) -> _Page:
        found = _Page()
        found.feed(registry.get(path, "text/html").body.decode())
        return found

    pages = ("/", "/ui/", "/ui/circuits", "/ui/changes", "/ui/services/planted", "/ui/topology")
    before = {path: page(path).tags for path in pages}
    metadata = {f"k{n}{text}": text for n, text in enumerate(PLANTED)}
    assert registry.register(instance("PLANTED", "planted", metadata=metadata)) == 204
    for target in (
        "apps",
        "apps/PLANTED",
        "apps/PLANTED/planted",
        "apps/delta",
        "vips/planted",
        "instances/planted",
    ):
        tree = registry.get(target).json()
        assert "planted" in json.dumps(tree)
        reply = registry.get(target, "application/xml")
        ET.fromstring(reply.body)
        assert reply.headers["content-type"].startswith("application/xml")
        assert b"<script" not in reply.body
    assert registry.get("apps/PLANTED/planted").json()["instance"]["metadata"] == metadata
    for path in pages:
        assert page(path).bad == []
        # The first data of a page is in the page: it adds no element to it.
        assert page(path).tags == before[path]
    assert "\x1b" not in "".join(registry.process.said)
    assert registry.ask("DELETE", "apps/PLANTED/planted").status == 200


@pytest.mark.parametrize("text", PLANTED)
def test_S15_nothing_sent_comes_back_in_an_error(registry: HostileRegistry, text: str) -> None:
    for target in ("/nowhere/", "/eureka/apps/", "/resilient/v1/services/", "/ui/@1/"):
        reply = registry.line.ask(request("GET", target + quote(text, safe="")))
        assert text.encode() not in reply.body
