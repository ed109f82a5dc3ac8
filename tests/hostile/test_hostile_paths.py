"""Paths that try to be others (S-15, S-20, S-23, S-72's rule for routes)."""

from __future__ import annotations

import itertools
import zlib
from urllib.parse import quote

import hostile_corpus as corpus
import pytest
from hostile_kit import SAID_SO, HostileRegistry, Line, instance, request

PREFIXES = ("/eureka/", "/eureka/v2/", "/v2/", "/resilient/v1/", "/ui/", "/ui/@1/", "/health/", "/")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_no_segment_anywhere_is_more_than_a_4xx(registry: HostileRegistry, prefix: str) -> None:
    methods = itertools.cycle(("PUT", "DELETE", "POST"))
    for segment in filter(str.isascii, corpus.SEGMENTS):
        for path in (
            segment,
            f"apps/{segment}",
            f"apps/{segment}/{segment}",
            f"{segment}/x",
            f"apps/A/b/{segment}",
        ):
            for method in ("GET", next(methods)):
                reply = registry.line.ask(request(method, prefix + path))
                assert reply.status < 500 or reply.status in SAID_SO, (method, prefix + path, reply)


@pytest.mark.parametrize(
    "path",
    [
        "apps%2F*", "instances%2F*", "vips%2Fx", "apps%2Fdelta", "apps/*%2F*", "apps%2FKEEPER-0%2Fkeeper-0",
        "peerreplication%2Fbatch", "apps/KEEPER-0%2Fkeeper-0", "asg%2F*%2Fstatus",
        "serverinfo%2Fstatusoverrides",
    ],
)  # fmt: skip
def test_S72_an_encoded_slash_never_changes_the_route(registry: HostileRegistry, path: str) -> None:
    for method in ("GET", "PUT", "DELETE", "POST"):
        assert registry.ask(method, path).status in (404, 405, 400)


@pytest.mark.parametrize(
    "path",
    [
        "../eureka/apps",
        "apps/../apps",
        "apps/./KEEPER-0",
        "%2e%2e/eureka/apps",
        "apps/%2e%2e/apps/KEEPER-0/keeper-0",
    ],
)
def test_dot_segments_lead_nowhere_but_where_they_say(registry: HostileRegistry, path: str) -> None:
    """Resolved or not, what is reached is under its own rules; a cancel does not slip through."""
    assert registry.get(path).status in (200, 404)
    assert registry.ask("DELETE", "apps/X/%2e%2e/%2e%2e/apps/KEEPER-0/keeper-9").status in (404, 405)


@pytest.mark.parametrize(
    "path",
    [
        "/ui/../../etc/passwd", "/ui/%2e%2e/%2e%2e/etc/passwd", "/ui/@1/../../app.py",
        "/ui/@1/%2e%2e%2f%2e%2e%2fapp.py",
        "/ui/@1//etc/passwd", "/ui/@1/%00", "/ui/@1/..%5c..%5capp.py", "/ui/static/app.js", "/ui/app.py",
        "/static/x",
    ],
)  # fmt: skip
def test_S23_files_come_from_a_table_and_from_nowhere_else(registry: HostileRegistry, path: str) -> None:
    inside, outside = registry.ask("GET", path), registry.ask("GET", "/ui/@1/nothing")
    assert inside.status in (404, 400)
    assert b"root:" not in inside.body
    if inside.status == 404 and path.startswith("/ui/@1/"):
        assert inside.body == outside.body


@pytest.mark.parametrize("line", corpus.LINES)
def test_first_lines_that_are_no_requests(registry: HostileRegistry, line: str) -> None:
    replies = Line(registry.port).blurt((line + "\r\nHost: localhost\r\n\r\n").encode())
    assert len(replies) == 1
    assert replies[0].status < 500
    if not line.startswith(("GET /", "OPTIONS", "CONNECT /")):
        assert replies[0].status in (400, 405)


@pytest.mark.parametrize(
    "line",
    [
        "GET http://evil.example/eureka/apps",
        "GET http://localhost/eureka/apps",
        "CONNECT localhost:22",
        "GET HTTP://[::1]/",
    ],
)
def test_S44_absolute_targets_are_a_proxys(registry: HostileRegistry, line: str) -> None:
    (reply,) = Line(registry.port).blurt(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert reply.status in (400, 405)


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/0.9", ""])
def test_S20_other_versions_of_http_are_answered_in_ours(registry: HostileRegistry, version: str) -> None:
    (reply,) = Line(registry.port).blurt(
        f"GET /eureka/apps {version}".strip().encode() + b"\r\nHost: localhost\r\n\r\n"
    )
    assert reply.status == 400


@pytest.mark.parametrize(
    "id",
    [
        "a/b",
        "%",
        "a?b",
        "#",
        "..a",
        "\u00e9",
        "e\u0301",
        "\U0001f4a9",
        "*",
        "a\\b",
        "'\"<>&",
        "status",
        "metadata",
        "a%2Fb",
    ],
)
def test_whoever_gets_in_can_be_addressed_and_signs_out(registry: HostileRegistry, id: str) -> None:
    app = f"ODD-{zlib.crc32(id.encode())}"
    path = f"apps/{app}/{quote(id, safe='')}"
    assert registry.register(instance(app, id)) == 204
    assert registry.get(path).status == 200
    assert registry.ask("PUT", path).status == 200
    registry.check()
    assert registry.ask("DELETE", path).status == 200
    assert registry.get(path).status == 404
