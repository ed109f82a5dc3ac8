"""The pages in a process of their own: before one of our registries, and before one of another make."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from ui_kit import Events

from dashboard.command import make_app
from dashboard.eureka import EurekaSource
from registry_server.app import running
from registry_server.settings import Settings as RegistrySettings
from resilient.model import Instance
from resilient.settings import RegistryAddress, Settings
from resilient.web.guard import Guard
from resilient.web.server import listen

TOKEN = "a-token-of-some-length"
OUT = {"subjects": ["orders/i0"], "reason": "new disk"}


@asynccontextmanager
async def apart(*, wide=False, **options):
    """A registry, a dashboard before it, and a browser: the dashboard's base URL and the registry."""
    async with running(RegistrySettings(port=0, **options)) as registry:
        await registry.registry.register(Instance(service="orders", id="i0", host="h", port=1))
        # Our own token must never be lent to those who look.
        address = RegistryAddress.parse(registry.url, token=TOKEN)
        listener = await listen(
            await make_app(address, Settings(), wide=wide), guard=Guard(content_types=None)
        )
        try:
            async with ClientSession() as session:
                yield listener.url, registry, session
        finally:
            await listener.close()


def headers(base, **more):
    return {"Origin": base, "Resilient-Action": "1", **more}


async def test_the_pages_show_what_the_registry_shows():
    async with apart() as (base, registry, session):
        async with session.get(f"{base}/ui/services/orders") as answer:
            page = await answer.text()
            assert answer.status == 200
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert '"roles":["reader","operator"]' in page
        async with session.get(f"{base}/ui/data/services/orders") as answer:
            assert (await answer.json())["instances"][0]["id"] == "i0"
        async with session.get(f"{base}/ui/data/services/nobody") as answer:
            assert answer.status == 404
        async with session.get(f"{base}/ui/plain") as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
            assert "<td>orders</td>" in await answer.text()
        async with session.get(f"{base}/ui/stream") as answer:
            events = Events(answer)
            said = dict(await events.until("tick"))
            assert said["hello"]["node"] == registry.source.name
            assert f"@{said['hello']['ui']}/" in page
            async with session.post(f"{base}/ui/act/out-of-service", json=OUT, headers=headers(base)) as done:
                assert done.status == 202
                id = (await done.json())["id"]
            assert (await events.next("action"))[1]["id"] == id
        assert registry.registry.table.get("orders", "i0").record.override == "OUT_OF_SERVICE"


@pytest.mark.parametrize("wide", [False, True])
async def test_it_lends_its_token_to_nobody(wide):
    async with apart(token=TOKEN, wide=wide) as (base, registry, session):
        url = f"{base}/ui/act/out-of-service"
        for more in ({}, {"Authorization": "Bearer wrong-wrong-wrong-wrong"}):
            async with session.post(url, json=OUT, headers=headers(base, **more)) as answer:
                assert answer.status in (401, 403)
        assert registry.registry.table.get("orders", "i0").record.override == "UNKNOWN"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with session.post(url, json=OUT, headers=headers(base, **bearer)) as answer:
            assert answer.status == 202
        async with session.get(f"{base}/ui/stream", headers=bearer) as answer:
            assert (await Events(answer).next("hello"))[1]["roles"] == ["reader", "operator"]
        async with session.get(f"{base}/ui/stream") as answer:
            assert (await Events(answer).next("hello"))[1]["roles"] == ["reader"]


async def test_it_lends_its_place_on_this_machine_to_nobody():
    async with apart(wide=True) as (base, registry, session):
        url = f"{base}/ui/act/out-of-service"
        async with session.post(url, json=OUT, headers=headers(base)) as answer:
            assert answer.status == 403
        async with session.get(f"{base}/ui/") as answer:
            assert '"roles":["reader"]' in await answer.text()
    async with apart() as (base, registry, session):
        url = f"{base}/ui/act/out-of-service"
        for wrong in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Resilient-Action": "0"},
            {"X-Forwarded-For": "10.1.1.1"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            async with session.post(url, json=OUT, headers={**headers(base), **wrong}) as answer:
                assert answer.status == 403, wrong
        assert registry.registry.table.get("orders", "i0").record.override == "UNKNOWN"


async def test_a_read_token_is_asked_of_who_looks():
    async with apart(token=TOKEN, read_token="another-token-to-read") as (base, _, session):
        for path in ("/ui/", "/ui/data/services", "/ui/stream"):
            async with session.get(base + path) as answer:
                assert answer.status == 401, path
                assert answer.headers["WWW-Authenticate"].startswith("Basic")


async def test_what_is_not_asked_of_the_registry_is_not_passed_on():
    async with apart() as (base, _, session):
        for path in ("/ui/data/../../eureka/apps", "/ui/data/%2e%2e/%2e%2e/eureka/apps", "/eureka/apps"):
            async with session.get(base + path) as answer:
                assert answer.status in (200, 400, 404), path
                assert "hostName" not in await answer.text()


async def test_a_registry_that_is_gone_is_said_to_be_gone():
    async with apart() as (base, registry, session):
        async with session.get(f"{base}/ui/stream") as answer:
            events = Events(answer)
            await events.until("tick")
            await registry.stop()
            assert (await events.next("bye"))[1]["reason"] == "shutdown"
        async with session.get(f"{base}/ui/data/services") as answer:
            assert answer.status == 503
        async with session.get(f"{base}/ui/") as answer:
            assert answer.status == 200


async def test_a_registry_of_another_make_shows_its_directory():
    listed = [("i0", "UP"), ("i1", "DOWN")]

    async def apps(request):
        instance = [
            {
                "instanceId": id,
                "app": "ORDERS",
                "hostName": "h",
                "ipAddr": "10.0.0.1",
                "status": status,
                "port": {"$": 80, "@enabled": "true"},
                "vipAddress": "orders",
                "dataCenterInfo": {"@class": "x", "name": "MyOwn"},
            }
            for id, status in listed
        ]
        app = [{"name": "ORDERS", "instance": instance}]
        return web.json_response(
            {"applications": {"versions__delta": "1", "apps__hashcode": "", "application": app}}
        )

    app = web.Application()
    app.router.add_get("/eureka/apps", apps)
    foreign = await listen(app, guard=Guard(content_types=None))
    address = RegistryAddress.parse(f"{foreign.url}/eureka/")
    listener = await listen(await make_app(address, Settings(), wide=False))
    try:
        async with ClientSession() as session, session.get(f"{listener.url}/ui/stream") as answer:
            events = Events(answer)
            _, said = await events.next("services")
            while not said["rows"]:
                _, said = await events.next("services")
            (row,) = said["rows"]
            assert (row["n"], row["up"], row["down"], row["total"]) == ("orders", 1, 1, 2)
            async with session.get(f"{listener.url}/ui/data/find?q=i1") as found:
                (one,) = (await found.json())["rows"]
                assert (one["service"], one["id"], one["kind"]) == ("orders", "i1", "down")
            async with session.get(f"{listener.url}/ui/data/nodes/difference?peer=x") as found:
                assert found.status == 404
    finally:
        await listener.close()
        await foreign.close()


async def test_changes_of_a_foreign_directory_are_told():
    source = EurekaSource(RegistryAddress.parse("http://127.0.0.1:1/eureka/"), Settings())
    heard = []
    source.subscribe(lambda what, row: heard.append((row["kind"], row["instance"])))
    await source.look()
    assert source.node()["trouble"]
    from resilient.model import Directory, Status

    def one(id, status):
        return Instance(service="a", id=id, host="h", port=1, status=status)

    before = Directory.of([one("x", Status.UP), one("y", Status.UP)])
    after = Directory.of([one("y", Status.DOWN), one("z", Status.UP)])
    source._compare(before, after)
    assert sorted(heard) == [("instance_down", "y"), ("registered", "z"), ("removed", "x")]
    await source.close()
    await asyncio.sleep(0)
