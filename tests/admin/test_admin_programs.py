"""The pages of programs that are no services: the registry and the dashboard."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict

from dashboard.command import mount_admin as mount_dashboard
from registry_server.app import make_app
from registry_server.command import _mount_admin as mount_registry
from registry_server.settings import Settings
from resilient.admin.asked import Ask
from resilient.admin.program import PAGES, Program, rows_of, site_of, unread
from resilient.admin.site import ROUTES
from resilient.settings import Settings as LibrarySettings
from resilient.web.guard import Guard
from resilient.web.server import listen
from resilient.web.trust import Trust

TOKEN, READ = "a-token-of-length-20", "a-read-token-of-some-length"
HERE, FAR = {"Host": "127.0.0.1:1"}, {"Host": "10.0.0.7:1"}


def bearer(token: str) -> dict[str, str]:
    return {**FAR, "Authorization": f"Bearer {token}"}


async def ask(
    site: Any, path: str, headers: dict[str, str], peer: str = "10.0.0.9", method: str = "GET"
) -> Any:
    return await site.answer(Ask(method=method, path=path, headers=CIMultiDict(headers), peer=peer))


async def test_every_page_that_is_said_to_be_there_is() -> None:
    known = {route.path for route in ROUTES}
    assert set(PAGES) <= known
    site = site_of(Program("mine"), Trust(TOKEN))
    for path in PAGES:
        if "*" in path or path == "/admin/profile":
            continue
        assert (await ask(site, path, HERE, "127.0.0.1")).status == 200, path
    listed = json.loads((await ask(site, "/admin", HERE, "127.0.0.1")).body)["pages"]
    assert set(listed) == set(PAGES) - {"/admin/style.css"}
    for path in sorted(known - set(PAGES)):
        assert (await ask(site, path.replace("*", "x"), HERE, "127.0.0.1")).status == 404, path


@pytest.mark.parametrize(
    ("read_token", "headers", "peer", "info", "settings"),
    [
        (None, HERE, "127.0.0.1", 200, 200),
        (None, FAR, "10.0.0.9", 200, 403),
        (None, bearer(TOKEN), "10.0.0.9", 200, 200),
        (READ, HERE, "127.0.0.1", 200, 200),
        (READ, FAR, "10.0.0.9", 403, 403),
        (READ, bearer(READ), "10.0.0.9", 200, 403),
        (READ, bearer(TOKEN), "10.0.0.9", 200, 200),
        (READ, {**HERE, "X-Forwarded-For": "1.2.3.4"}, "127.0.0.1", 403, 403),
    ],
)
async def test_the_tokens_are_those_of_the_registry(
    read_token: str | None, headers: dict[str, str], peer: str, info: int, settings: int
) -> None:
    site = site_of(Program("mine"), Trust(TOKEN, read_token))
    for path, status in (("/admin/info", info), ("/metrics", info), ("/admin/settings", settings)):
        assert (await ask(site, path, headers, peer)).status == status, path
    assert (await ask(site, "/health/live", FAR)).status == 200


async def test_health_says_how_it_is_and_to_readers_why() -> None:
    state = {"ready": False}
    program = Program(
        "mine", ready=lambda: state["ready"], parts=lambda: {"disk": {"status": "DEGRADED", "left": 3}}
    )
    site = site_of(program, Trust(TOKEN, READ))
    starting = await ask(site, "/health/ready", FAR)
    assert (starting.status, json.loads(starting.body)) == (503, {"status": "STARTING"})
    state["ready"] = True
    assert (await ask(site, "/health/ready", FAR)).status == 200
    assert json.loads((await ask(site, "/health", FAR)).body) == {"status": "DEGRADED"}
    program.loops.watch("main")
    whole = json.loads((await ask(site, "/health", bearer(READ))).body)
    assert set(whole["components"]) == {"disk", "event_loop"}
    for one in program.loops:
        program.loops.forget(one)


def test_where_each_setting_came_from() -> None:
    values = {
        "port": 1,
        "token": TOKEN,
        "peers": "http://user:word@h/",
        "delta": True,
        "wait": 300.0,
        "zone": None,
    }
    environ = {"X_DELTA": "on", "X_PORT": "2", "X_WAIT": ""}
    rows = {row.name: row for row in rows_of(values, {"port": 1, "token": None}, environ, "X_")}
    assert {name: row.source for name, row in rows.items()} == {
        "port": "argument", "token": "default", "peers": "default", "delta": "X_DELTA", "wait": "default",
        "zone": "default",
    }  # fmt: skip
    assert {name: row.value for name, row in rows.items()} == {
        "port": "1", "token": "******", "peers": "http://******@h/", "delta": "on", "wait": "300", "zone": "",
    }  # fmt: skip
    assert unread({"X_PROT": "1", "X_PORT": "1", "Y": "1", "X_ELSE": ""}, values, "X_") == {
        "X_ELSE": "", "X_PROT": "X_PORT",
    }  # fmt: skip


# --- the registry


async def get(session: aiohttp.ClientSession, url: str, **headers: str) -> tuple[int, Any]:
    async with session.get(url, headers={"Accept": "application/json", **headers}) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text.startswith("{") else text


async def test_the_registry_has_them_beside_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESILIENT_REGISTRY_ZONE", "a")
    monkeypatch.setenv("RESILIENT_REGISTRY_TOKNE", "x")
    registry = make_app(Settings(port=0, token=TOKEN, zone="a", ui=False))
    desk = mount_registry(registry, {"port": 0, "strict": None})
    await registry.start()
    desk.loops.watch("registry")
    root = f"http://127.0.0.1:{registry.port}"
    try:
        async with aiohttp.ClientSession() as session:
            assert await get(session, f"{root}/health/ready") == (200, {"status": "UP"})
            status, health = await get(session, f"{root}/health")
            assert (status, set(health["components"])) == (200, {"registry", "event_loop"})
            _, settings = await get(session, f"{root}/admin/settings")
            sources = {row["name"]: row["source"] for row in settings["settings"]}
            assert (sources["port"], sources["zone"]) == ("argument", "RESILIENT_REGISTRY_ZONE")
            assert sources["strict_eureka"] == "default"
            assert TOKEN not in json.dumps(settings)
            assert settings["unknown"] == {"RESILIENT_REGISTRY_TOKNE": "RESILIENT_REGISTRY_TOKEN"}
            _, info = await get(session, f"{root}/admin/info")
            assert (info["name"], info["zone"], info["state"]) == ("resilient-registry", "a", "UP")
            assert (await get(session, f"{root}/admin/info", Forwarded="for=x"))[1].keys() < info.keys()
            assert (await get(session, f"{root}/admin/settings", Forwarded="for=x"))[0] == 403
            tasks = (await get(session, f"{root}/admin/tasks"))[1]["tasks"]
            assert "registry sweep" in {one["name"] for one in tasks}
            # Its own ways go on as they were.
            assert "resilient_registry_ready 1" in (await get(session, f"{root}/metrics"))[1]
            async with session.get(f"{root}/metrics") as answer:  # aiohttp asks for gzip by itself
                assert answer.headers["Content-Encoding"] == "gzip"
            assert (await get(session, f"{root}/eureka/apps"))[0] == 200
            assert (await get(session, f"{root}/admin/circuits"))[0] == 404
    finally:
        for one in desk.loops:
            desk.loops.forget(one)
        await registry.stop()


def test_a_registry_that_is_open_to_all_is_found_by_the_lint() -> None:
    def open_to(**settings: Any) -> str:
        return mount_registry(make_app(Settings(port=0, ui=False, **settings)), {}).open_to

    assert open_to(host="0.0.0.0") == "0.0.0.0"
    assert open_to(host="0.0.0.0", token=TOKEN) == ""
    assert open_to(host="127.0.0.1") == open_to(host="localhost") == ""


def test_every_setting_of_the_registry_is_shown() -> None:
    import inspect

    from registry_server.settings import read_settings

    registry = make_app(Settings(port=0, ui=False))
    shown = {row.name for row in mount_registry(registry, {}).rows()}
    assert shown == set(inspect.signature(read_settings).parameters) - {"env"}


# --- the dashboard


async def test_the_dashboard_has_them_beside_its_pages() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="a page")

    environ = {"RESILIENT_REGISTRY": "http://127.0.0.1:9/eureka/", "RESILIENT_TOKEN": TOKEN}
    settings = LibrarySettings.load(environ)
    app = web.Application()
    app.router.add_get("/ui/", page)
    desk = mount_dashboard(app, settings)
    listener = await listen(app, "127.0.0.1", 0, guard=Guard(content_types=None))
    desk.loops.watch("dashboard")
    try:
        async with aiohttp.ClientSession() as session:
            assert await get(session, f"{listener.url}/ui/") == (200, "a page")
            assert await get(session, f"{listener.url}/health/ready") == (200, {"status": "UP"})
            text = (await get(session, f"{listener.url}/metrics"))[1]
            assert 'resilient_event_loop_lag_seconds_count{loop="dashboard"}' in text
            _, found = await get(session, f"{listener.url}/admin/settings")
            assert TOKEN not in json.dumps(found)
            assert found["settings"][0]["source"] == "RESILIENT_REGISTRY"
            stranger = {"Forwarded": "for=x"}
            assert (await get(session, f"{listener.url}/admin/settings", **stranger))[0] == 403
            stranger["Authorization"] = f"Bearer {TOKEN}"
            assert (await get(session, f"{listener.url}/admin/settings", **stranger))[0] == 200
    finally:
        for one in desk.loops:
            desk.loops.forget(one)
        await listener.close()
