"""Heads: framing (S-20), hosts and origins (S-11 to S-13), what answers carry (S-14, S-15), their limits."""

from __future__ import annotations

import hostile_corpus as corpus
import pytest
from hostile_kit import HostileRegistry, Line, Reply, request

BAD_LENGTHS = [
    "-1",
    "+5",
    "5, 5",
    "0x10",
    "1_0",
    "",
    "99999999999999999999",
    "1e3",
    "3\r\nContent-Length: 4",
    "\u00b2",
    " 5 5",
]
BAD_CODINGS = [
    "chunked, chunked",
    "gzip, chunked",
    "identity",
    "\x0bchunked",
    "xchunked",
    "chunked\r\nContent-Length: 3",
    "chunked;q=1",
]
BAD_LINES = [
    "Transfer-Encoding : chunked", ": x", "X\x00: a", "X : y", "X\u00e9: y", "X: a\rb", "X: a\x00b",
    "X: a\nY", "\x01: y", "X\t: y", "no colon", "X: a\r\n b",
]  # fmt: skip
PATHS = (
    "/eureka/apps/X",
    "/eureka/apps",
    "/eureka/peerreplication/batch",
    "/resilient/v1/circuits",
    "/ui/",
    "/nowhere",
)


def blurt(registry: HostileRegistry, head: str, body: bytes = b"") -> list[Reply]:
    return Line(registry.port).blurt(head.encode() + b"\r\n\r\n" + body)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "line",
    [f"Content-Length: {one}" for one in BAD_LENGTHS]
    + [f"Transfer-Encoding: {one}" for one in BAD_CODINGS]
    + BAD_LINES,
)
def test_S20_a_head_that_can_be_read_in_two_ways_is_refused_once_and_closed(
    registry: HostileRegistry, path: str, line: str
) -> None:
    line_out = Line(registry.port)
    try:
        line_out.send(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n".encode())
        assert line_out.read().status == 400
        # And then nothing but the end.
        assert line_out.read().status == 0
    finally:
        line_out.close()


@pytest.mark.parametrize("chunks", corpus.CHUNKS)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_S20_chunks_that_are_none(registry: HostileRegistry, chunks: bytes, method: str) -> None:
    head = f"{method} /eureka/apps/X HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked"
    smuggled = b"GET /eureka/apps/KEEPER-0/keeper-0 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    replies = blurt(registry, head, chunks + smuggled)
    assert [one for one in replies if one.status >= 500] == []
    if not chunks.endswith((b"0\r\n\r\n", b"X: y\r\n\r\n")):
        # Nobody got the answer to what he hid in the body.
        assert not any(b"keeper-0" in one.body for one in replies)


@pytest.mark.parametrize("lines", [[], ["localhost", "localhost"], ["localhost", "evil.example"], [""]])
def test_S20_exactly_one_host(registry: HostileRegistry, lines: list[str]) -> None:
    head = "GET /eureka/apps HTTP/1.1" + "".join(f"\r\nHost: {one}" for one in lines)
    assert [one.status for one in blurt(registry, head)] == [400]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421), ("evil.example:80", 421), ("localhost.evil.example", 421),
        ("127.0.0.1.nip.io", 421),
        ("a/b", 400), ("a@b", 400), ("<x>", 400), ("a:99999", 400), ("[::1", 400), ("[zz]", 400),
        ("a b", 400), ("%31", 400), ("a:b", 400),
    ],
)  # fmt: skip
def test_S13_hosts_of_others(registry: HostileRegistry, path: str, host: str, status: int) -> None:
    assert registry.line.ask(request("GET", path, host=host)).status == status


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:65535", "[::1]:80", "10.1.2.3"])
def test_S13_hosts_that_nobody_can_rebind(registry: HostileRegistry, host: str) -> None:
    assert registry.line.ask(request("GET", "/eureka/apps", host=host)).status == 200


WRITES = [
    ("POST", "/eureka/apps/X"), ("PUT", "/eureka/apps/KEEPER-0/keeper-0"),
    ("DELETE", "/eureka/apps/KEEPER-0/keeper-0"),
    ("PUT", "/eureka/apps/KEEPER-0/keeper-0/status?value=DOWN"),
    ("DELETE", "/eureka/apps/KEEPER-0/keeper-0/status"),
    ("PUT", "/eureka/apps/KEEPER-0/keeper-0/metadata?a=b"), ("POST", "/eureka/peerreplication/batch"),
    ("POST", "/resilient/v1/circuits"),
]  # fmt: skip


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://localhost.evil.example", "https://localhost:1"]
)
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_S11_pages_of_others_write_nothing(
    registry: HostileRegistry, method: str, path: str, origin: str
) -> None:
    reply = registry.line.ask(request(method, path, {"Origin": origin}, b"{}"))
    assert reply.status == 403


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "text/html",
        "application/octet-stream",
    ],
)
@pytest.mark.parametrize(
    "path", ["/eureka/apps/X", "/eureka/peerreplication/batch", "/resilient/v1/circuits"]
)
def test_S11_what_forms_can_send_is_no_registration(registry: HostileRegistry, path: str, kind: str) -> None:
    assert registry.ask("POST", path, {"Content-Type": kind}, b"{}").status == 415


@pytest.mark.parametrize("path", PATHS)
def test_S12_nobody_is_invited_across_origins(registry: HostileRegistry, path: str) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
    for method in ("OPTIONS", "GET"):
        reply = registry.ask(method, path, asked)
        assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path", ["/eureka/apps", "/ui/", "/nowhere", "/eureka/nowhere", "/resilient/v1/services", "/health/live"]
)
def test_S14_and_S15_what_every_answer_carries(registry: HostileRegistry, path: str) -> None:
    reply = registry.get(path)
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "server" not in reply.headers
    assert "set-cookie" not in reply.headers
    assert b"aiohttp" not in reply.body.lower()
    assert b"python" not in reply.body.lower()
    kind = reply.headers.get("content-type", "")
    assert not kind or "charset=" in kind or kind.startswith("image/")


def test_S14_pages(registry: HostileRegistry) -> None:
    headers = registry.get("/ui/", "text/html").headers
    policy = headers["content-security-policy"]
    for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"


@pytest.mark.parametrize(("size", "status"), [(8000, 200), (8300, 431)])
def test_L01_a_line_of_the_head(registry: HostileRegistry, size: int, status: int) -> None:
    with Line(registry.port) as line:
        assert line.ask(request("GET", "/eureka/apps", {"X": "y" * size})).status == status
    with Line(registry.port) as line:
        assert line.ask(request("GET", "/eureka/apps/" + "y" * size)).status == (
            404 if status == 200 else 431
        )


@pytest.mark.parametrize(
    ("count", "size", "status"), [(90, 1, 200), (110, 1, 431), (30, 1000, 200), (34, 1000, 431)]
)
def test_L02_all_lines_of_the_head(registry: HostileRegistry, count: int, size: int, status: int) -> None:
    with Line(registry.port) as line:
        lines = {f"X{n}": "y" * size for n in range(count)}
        assert line.ask(request("GET", "/eureka/apps", lines)).status == status


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("a=" + "b" * 4094, 200),
        ("a=" + "b" * 4095, 414),
        ("&".join(["a=b"] * 64), 200),
        ("&".join(["a=b"] * 65), 400),
    ],
)
def test_L18_the_query(registry: HostileRegistry, query: str, status: int) -> None:
    assert registry.get(f"apps?{query}").status == status


@pytest.mark.parametrize("value", [b"nonsense", b"\x80\xff", b"100-continue, x", b"\xed\xa0\x80", b"<b>"])
@pytest.mark.parametrize("path", [*PATHS, "/eureka/apps/KEEPER-0/keeper-0"])
def test_an_expectation_that_is_none(registry: HostileRegistry, path: str, value: bytes) -> None:
    wire = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nExpect: ".encode() + value + b"\r\n\r\n"
    (reply,) = Line(registry.port).blurt(wire)
    assert reply.status == 417
    assert value not in reply.body
