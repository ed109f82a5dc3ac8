"""Who may see and do what, and in which form it is answered."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from admin_kit import HERE, TOKEN, Bench

from resilient import circuit
from resilient.admin.extras import VIEWS
from resilient.admin.site import ALWAYS, ROUTES, Right, Site, find
from resilient.errors import ConfigError

FAR = {"peer": "10.0.0.9", "headers": {"Host": "10.0.0.7:80"}}
WITH_TOKEN = {"peer": "10.0.0.9", "headers": {"Host": "10.0.0.7:80", "Authorization": f"Bearer {TOKEN}"}}
EXTRA = {path for path, _, _ in VIEWS}
PAGES = [one.path.replace("*", "x") for one in ROUTES if one.view is not None and one.path not in EXTRA]
REVEALING = [one.path.replace("*", "x") for one in ROUTES if one.view and one.right is Right.REVEAL]
ACTING = [route.path.replace("*", "resilient") for route in ROUTES if route.act is not None]
ACTS_ONLY = [route.path for route in ROUTES if route.act is not None and route.view is None]


async def test_every_page_answers_in_every_form(bench: Bench) -> None:
    with bench.runtime.active():
        circuit("x")(lambda: 1)()
    logging.getLogger("x")
    for path in PAGES:
        for form, kind in (("json", "application/json"), ("html", "text/html"), ("text", "text/plain")):
            reply = await bench.ask("GET", f"{path}?format={form}")
            assert reply.status == 200, (path, reply.body)
            assert reply.headers["Content-Type"].startswith(kind)
            assert reply.headers["Cache-Control"] == "no-store"
            assert reply.body.endswith(b"\n")
            if form == "html":
                assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
                assert b"<script" not in reply.body


@pytest.mark.parametrize(
    ("accept", "path", "kind"),
    [
        ("*/*", "/health", "application/json"),
        ("*/*", "/admin/ping", "text/plain"),
        ("*/*", "/admin/threads", "text/plain"),
        ("", "/admin/circuits", "application/json"),
        ("text/plain", "/admin/circuits", "text/plain"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "/admin/circuits", "text/html"),
        ("text/html;q=0.1, application/json", "/health", "application/json"),
        ("application/json", "/health/live", "application/json"),
        ("image/png;q=oops, text/plain;q=oops", "/health", "application/json"),
    ],
)
async def test_the_form_follows_accept(bench: Bench, accept: str, path: str, kind: str) -> None:
    reply = await bench.ask("GET", path, headers={"Accept": accept})
    assert reply.headers["Content-Type"].startswith(kind)


async def test_json_is_for_people_unless_asked_for_by_name(bench: Bench) -> None:
    assert b'{"status": "UP"}' in (await bench.ask("GET", "/health/ready?format=json")).body
    assert b"\n  " in (await bench.ask("GET", "/health/ready")).body
    assert b"\n  " in (await bench.ask("GET", "/health/ready?format=json&pretty=1")).body


async def test_head_unknown_paths_and_methods(bench: Bench) -> None:
    assert (await bench.ask("HEAD", "/health")).status == 200
    for path in ("/admin/nothing", "/", "/admin/circuits/", "/health/", "/admin/ping/x"):
        status, said = await bench.get(path)
        assert (status, said["error"]["code"]) == (404, "not-found")
    for method, path, allow in (
        ("POST", "/health", "GET, HEAD"),
        ("PUT", "/admin/circuits/x", "GET, HEAD, POST"),
        ("GET", "/admin/drain", "POST"),
        ("DELETE", "/admin/style.css", "GET, HEAD"),
    ):
        reply = await bench.ask(method, path)
        assert (reply.status, reply.headers["Allow"]) == (405, allow)


async def test_5_looking_never_changes_anything() -> None:
    """Spec case 5."""
    bench = Bench()
    logging.getLogger("resilient")
    before = (bench.desk.state, logging.getLogger("resilient").level, bench.member.ended)
    for path in ACTS_ONLY:
        reply = await bench.ask("GET", path)
        assert (reply.status, reply.headers["Allow"]) == (405, "POST")
    for path in PAGES:
        await bench.ask("GET", path)
    assert before == (bench.desk.state, logging.getLogger("resilient").level, [])
    off = Bench(acts=False)
    for path in ACTS_ONLY:
        assert (await off.get(path))[0] == 404
        assert (await off.post(path))[0] == 404


@pytest.mark.parametrize("path", ACTING)
async def test_6_acting_takes_json_a_right_and_no_foreign_page(path: str) -> None:
    """Spec case 6; who may only read has no right to act."""
    bench = Bench({"RESILIENT_ADMIN_TOKEN": TOKEN})

    async def status(**more: Any) -> int:
        return (await bench.post(path, **more))[0]

    for media in ("", "text/plain", "application/x-www-form-urlencoded"):
        assert await status(headers={"Content-Type": media}) == 415
    assert await status(headers={"Origin": "http://evil.example"}) == 403
    assert await status(headers={"Origin": "null"}) == 403
    assert await status(headers={"Sec-Fetch-Site": "cross-site"}) == 403
    assert await status(**FAR) == 403
    assert await status(headers={**HERE, "X-Forwarded-For": "10.0.0.9"}) == 403
    assert await status(headers={"Host": "evil.example"}) == 403
    assert bench.member.ended == []
    assert (await Bench(acts=False).post(path))[0] in (404, 405)


async def test_who_may_read_and_who_may_look_behind() -> None:
    bench = Bench({"RESILIENT_ADMIN_TOKEN": TOKEN})
    for path in PAGES:
        allowed = path not in REVEALING
        assert ((await bench.get(path, **FAR))[0] != 403) is allowed, path
        assert (await bench.get(path, **WITH_TOKEN))[0] in (200, 404)
        assert (await bench.get(path))[0] in (200, 404)
    wrong = {"peer": "10.0.0.9", "headers": {"Host": "h", "Authorization": "Bearer another-long-token"}}
    for _ in range(10):
        assert (await bench.get("/admin/settings", **wrong))[0] == 403
    status, said = await bench.get("/admin/settings", **wrong)
    assert (status, said["error"]["code"]) == (429, "too-many-attempts")


async def test_a_browser_is_asked_for_the_token() -> None:
    bench = Bench({"RESILIENT_ADMIN_TOKEN": TOKEN})
    far = {"peer": "10.0.0.9", "headers": {"Host": "h", "Accept": "text/html"}}
    reply = await bench.ask("GET", "/admin/settings", **far)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"].startswith("Basic")
    assert reply.headers["Content-Type"].startswith("text/html")
    assert (await Bench().ask("GET", "/admin/settings", **far)).status == 403


async def test_the_registrys_token_counts_where_there_is_no_other() -> None:
    far = {"peer": "10.0.0.9", "headers": {"Host": "h", "Authorization": f"Bearer {TOKEN}"}}
    assert (await Bench({"RESILIENT_TOKEN": TOKEN}).get("/admin/settings", **far))[0] == 200
    both = Bench({"RESILIENT_TOKEN": TOKEN, "RESILIENT_ADMIN_TOKEN": "another-token-of-length"})
    assert (await both.get("/admin/settings", **far))[0] == 403
    assert (await Bench({"RESILIENT_TOKEN": "short"}).get("/admin/settings", **far))[0] == 403
    with pytest.raises(ConfigError, match="admin_token must have at least 16"):
        Bench({"RESILIENT_ADMIN_TOKEN": "short"})


async def test_details_are_for_readers_and_places_for_those_who_may_look_behind(bench: Bench) -> None:
    assert set((await bench.get("/admin/info", **FAR))[1]) & {"pid", "python", "hostname"} == set()
    assert (await bench.get("/admin/info"))[1]["pid"] > 0
    wide = Bench(host="0.0.0.0")
    assert (await wide.get("/health", **FAR))[1] == {"status": "UP"}
    assert "components" in (await wide.get("/health"))[1]


async def test_26_wide_without_a_token_strangers_get_health_only(caplog: pytest.LogCaptureFixture) -> None:
    """Spec case 26 on the pages themselves; the listener's own is in test_admin_listener."""
    wide = Bench(host="0.0.0.0")
    assert "without a token" in caplog.text
    assert (await wide.get("/health/live", **FAR))[0] == 200
    assert (await wide.get("/admin/info", **FAR))[0] == 403
    rules = (await wide.get("/admin/lint"))[1]["lint_results"]["failed_rules"]
    assert "PX011" in [one["id"] for one in rules]
    assert (await Bench().get("/admin/info", **FAR))[0] == 200
    named = Bench({"RESILIENT_ADMIN_TOKEN": TOKEN}, host="0.0.0.0")
    assert (await named.get("/admin/info", **FAR))[0] == 200


async def test_bodies_are_bounded_and_objects(bench: Bench) -> None:
    for body, status in ((b"x" * 70_000, 413), (b"{", 400), (b"[]", 400), (b"[" * 60_000, 400)):
        assert (await bench.post("/admin/drain", body=body))[0] == status
    assert bench.member.ended == []


async def test_ten_actions_a_minute(bench: Bench) -> None:
    for _ in range(10):
        assert (await bench.post("/admin/circuits/none", {"action": "auto"}))[0] == 404
    status, said = await bench.post("/admin/circuits/none", {"action": "auto"})
    assert (status, said["error"]["code"]) == (429, "too-many-actions")
    bench.clock.advance(61)
    assert (await bench.post("/admin/circuits/none", {"action": "auto"}))[0] == 404


async def test_a_page_that_fails_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.runtime.balancer, "report", lambda: 1 / 0)
    status, said = await bench.get("/admin/instances")
    assert (status, said["error"]["code"]) == (500, "internal-error")
    assert "division" not in json.dumps(said)


async def test_only_some_paths(bench: Bench) -> None:
    site = Site(bench.desk, only=ALWAYS)
    assert tuple(site.paths()) == ALWAYS
    bench.site = site
    assert (await bench.get("/admin/circuits"))[0] == 404
    assert (await bench.get("/health"))[0] == 200


def test_names_in_paths() -> None:
    found = find("/admin/circuits/shop.price/eu")
    assert found is not None
    assert (found[0].path, found[1]) == ("/admin/circuits/*", "shop.price/eu")


HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\n&\"'"


async def test_everything_is_escaped(bench: Bench) -> None:
    with bench.runtime.active():
        circuit(HOSTILE)(lambda: 1)()
    bench.runtime.circuits.get(HOSTILE).open(60, reason=HOSTILE, by=HOSTILE)
    for path in ("/admin/circuits", f"/admin/circuits/{HOSTILE}", "/admin/lint", "/health"):
        reply = await bench.ask("GET", path, headers={"Accept": "text/html"})
        assert reply.status in (200, 503)
        assert b"<img" not in reply.body
        assert b"onerror" in reply.body or path == "/admin/lint"
        text = (await bench.ask("GET", path, headers={"Accept": "text/plain"})).body
        assert b"\x1b" not in text


async def test_actions_are_shown_as_they_are_typed(bench: Bench) -> None:
    with bench.runtime.active():
        circuit("it's")(lambda: 1)()
    page = (await bench.ask("GET", "/admin/circuits/it's?format=text")).body.decode()
    assert """-d '{"action": "auto"}' 'http://127.0.0.1:9990/admin/circuits/it%27s'""" in page


async def test_the_style_is_ours(bench: Bench) -> None:
    reply = await bench.ask("GET", "/admin/style.css", **FAR)
    assert reply.headers["Content-Type"].startswith("text/css")
    assert b"light-dark" in reply.body
