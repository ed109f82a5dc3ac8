"""The guard, seen from a socket."""

import asyncio
import json
import logging

import pytest
from aiohttp import web
from web_site import JSON, Answer, Site, app, broken, echo, read_answer

from resilient.web.guard import Guard, caller_of
from resilient.web.server import listen
from resilient.web.trust import Trust

# -- answers


async def test_S14_every_answer_says_nosniff_and_a_page_more(site: Site) -> None:
    page = await site.send("/html")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"
    data = await site.send("/json")
    assert data.headers["content-type"] == "application/json; charset=utf-8"
    assert "content-security-policy" not in data.headers


@pytest.mark.parametrize(
    "path", ["/", "/html", "/nothing", "/eureka/nothing", "/broken", "/problem", "/begun"]
)
async def test_S15_no_answer_names_software(site: Site, path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    answer = await site.send(path)
    assert "server" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"ython" not in answer.raw + answer.body
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHo st: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\nx",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/9.x\r\nHost: a\r\n\r\n",
    ],
)
async def test_S20_unreadable_requests_get_400_once_and_are_closed(site: Site, data: bytes) -> None:
    reader, writer = await site.connect()
    writer.write(data)
    answer = await read_answer(reader)
    assert answer.status == 400
    assert answer.code == "bad-request"
    assert "server" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert await asyncio.wait_for(reader.read(), 2) == b"", "one answer, then the end"
    writer.close()
    assert site.listener.counts.garbage == 1


async def test_S15_errors_are_bare_below_eureka_and_small_json_elsewhere(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    for path in ("/eureka/nothing", "/eureka/own", "/eureka/broken", "/eureka/problem", "/v2/x", "/eureka"):
        answer = await site.send(path)
        assert answer.status >= 400
        assert answer.headers["content-length"] == "0", path
        assert "content-type" not in answer.headers
    missing = await site.send("/nothing")
    assert (missing.status, missing.code) == (404, "not-found")
    similar = await site.send("/eurekas")
    assert similar.code == "not-found", "a prefix ends at a slash"
    assert (await site.send("/own")).body == b"mine"
    assert (await site.send("/eureka/own")).headers["x-mine"] == "1"


async def test_S15_a_failing_handler_is_logged_once_and_says_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await site.send("/broken")
    assert (answer.status, answer.code) == (500, "internal-error")
    assert b"secret" not in answer.body
    assert [r.levelname for r in caplog.records] == ["ERROR"]


async def test_a_handler_that_fails_in_its_answer_is_cut(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await site.connect()
    writer.write(b"GET /begun HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 2)
    assert answer.startswith(b"HTTP/1.1 200")
    assert not answer.endswith(b"0\r\n\r\n"), "the end must not look like one"
    assert len(caplog.records) == 1
    writer.close()


async def test_problems_keep_their_words_and_headers(site: Site) -> None:
    answer = await site.send("/problem")
    assert (answer.status, answer.code) == (409, "conflict")
    assert answer.headers["retry-after"] == "4"
    refused = await site.send("/", "DELETE")
    assert (refused.status, refused.code) == (405, "method-not-allowed")
    assert "GET" in refused.headers["allow"]
    opened = await site.send("/open")
    assert (opened.status, opened.headers["retry-after"]) == (503, "3")
    assert (await site.send("/wire")).status == 400
    assert (await site.send("/late")).status == 504


async def test_head_and_options(site: Site) -> None:
    head = await site.send("/json", "HEAD")
    assert (head.status, head.headers["content-length"]) == (200, "2")
    gone = await site.send("/nothing", "HEAD")
    assert gone.status == 404
    assert (await site.send("/json", "OPTIONS")).status == 405
    for method in ("TRACE", "CONNECT", "PROPFIND"):
        assert (await site.send("/" if method != "CONNECT" else "a:1", method)).status == 405, method


# -- hosts and origins


@pytest.mark.parametrize("host", ["<script>", "a@b", "a/b", "h:99999", "a b", "[::1", "h:x"])
async def test_S13_garbage_host_400(site: Site, host: str) -> None:
    assert (await site.send("/", headers={"Host": host})).code in ("bad-host", "bad-request")
    assert (await site.send("/eureka/apps", headers={"Host": host})).status == 400


async def test_S13_foreign_host_421_on_a_loopback_listener(site: Site) -> None:
    for path in ("/", "/ui/x", "/eureka/apps"):
        assert (await site.send(path, headers={"Host": "evil.example"})).status == 421
        for host in ("localhost:1", "127.0.0.1", "[::1]:99", "Registry.Internal:8761"):
            assert (await site.send(path, headers={"Host": host})).status == 200


async def test_S13_on_a_wide_listener_host_counts_only_on_its_paths() -> None:
    guard = Guard()
    listener = await listen(app(), "0.0.0.0", guard=guard)
    site = Site(listener, guard)
    try:
        assert listener.url == f"http://127.0.0.1:{listener.port}"
        assert not listener.is_loopback
        foreign = {"Host": "registry.example"}
        assert (await site.send("/eureka/apps", headers=foreign)).status == 200
        assert (await site.send("/uix", headers=foreign)).status == 404
        assert (await site.send("/ui/x", headers=foreign)).status == 421
        assert (await site.send("/%75i/x", headers=foreign)).status == 421
    finally:
        await listener.close()


async def test_absolute_form_is_refused_and_old_http_served(site: Site) -> None:
    assert (await site.send("http://127.0.0.1/json")).status == 400
    assert (await site.raw(b"GET /json HTTP/1.0\r\n\r\n")).status == 421, "loopback-bound: a Host is needed"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://127.0.0.1:1", 403),
        ("http://127.0.0.1:PORT.evil.example", 403),
        ("http://127.0.0.1:PORT", 200),
        ("https://ops.example", 200),
        ("https://OPS.example", 200),
    ],
)
async def test_S11_writes_from_foreign_pages_403(site: Site, origin: str, status: int) -> None:
    headers = {"Origin": origin.replace("PORT", str(site.listener.port)), **JSON}
    assert (await site.send("/", "POST", headers, b"{}")).status == status
    assert (await site.send("/", "PUT", headers)).status == status
    assert (await site.send("/", "GET", headers)).status == 200


async def test_S11_a_rebound_page_is_not_of_the_same_origin() -> None:
    guard = Guard()
    listener = await listen(app(), "0.0.0.0", guard=guard)
    try:
        headers = {"Host": "evil.example", "Origin": "http://evil.example", **JSON}
        assert (await Site(listener, guard).send("/", "POST", headers, b"{}")).status == 403
    finally:
        await listener.close()


async def test_S07_a_caller_with_too_many_wrong_tokens_is_told_to_wait() -> None:
    trust = Trust("a-token-of-length-16")

    async def who(request: web.Request) -> web.Response:
        caller = caller_of(request, trust)
        return web.json_response({"token": caller.has_token, "local": caller.is_loopback})

    made = web.Application()
    made.router.add_get("/", who)
    guard = Guard()
    listener = await listen(made, guard=guard)
    site = Site(listener, guard)
    try:
        right = {"Authorization": "Bearer a-token-of-length-16"}
        assert json.loads((await site.send(headers=right)).body) == {"token": True, "local": True}
        for _ in range(10):
            assert json.loads((await site.send(headers={"Authorization": "Bearer x"})).body)["token"] is False
        blocked = await site.send(headers=right)
        assert blocked.status == 429
        assert 50 <= int(blocked.headers["retry-after"]) <= 61
    finally:
        await listener.close()


async def test_the_middleware_form_refuses_the_same() -> None:
    guard = Guard(bare_errors=("/eureka",))
    made = web.Application(middlewares=[guard.middleware])
    made.router.add_post("/", echo)
    made.router.add_get("/broken", broken)
    runner = web.AppRunner(made, auto_decompress=False)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    try:
        port = runner.addresses[0][1]

        async def send(head: str) -> Answer:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head.encode())
            try:
                return await read_answer(reader)
            finally:
                writer.close()

        post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Type: "
        assert (await send(post + "text/plain\r\n\r\nx")).status == 415
        assert (await send(post + "application/json\r\n\r\nx")).body == b"x"
        assert (await send("GET /broken HTTP/1.1\r\nHost: localhost\r\n\r\n")).code == "internal-error"
        assert (await send("GET /eureka/x HTTP/1.1\r\nHost: localhost\r\n\r\n")).body == b""
    finally:
        await runner.cleanup()
