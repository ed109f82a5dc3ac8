"""What the pages say."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

import pytest
from admin_kit import HERE, Bench

from resilient import circuit
from resilient.admin import stacks
from resilient.admin.masks import masked, masked_all, masked_pairs, sounds_secret
from resilient.admin.site import ROUTES
from resilient.model import Directory, Instance


def called(bench: Bench, name: str = "pay", call: Any = lambda: 1) -> Any:
    made = circuit(name)(call)
    with bench.runtime.active():
        made()
    return made


def _raise(error: type[Exception] | None) -> int:
    if error is not None:
        raise error
    return 1


async def test_info(bench: Bench) -> None:
    said = (await bench.get("/admin/info"))[1]
    assert (said["name"], said["version"], said["instance_id"]) == ("orders", "7", "o-1")
    assert (said["state"], said["zone"]) == ("UP", "default")
    assert said["start_at"].endswith("+00:00")


async def test_the_index_lists_every_page(bench: Bench) -> None:
    pages = (await bench.get("/admin"))[1]["pages"]
    assert pages["/admin/circuits/*"]["methods"] == ["GET", "POST"]
    assert set(pages) == {route.path for route in ROUTES if route.about}


async def test_circuits_page_by_page(bench: Bench) -> None:
    for n in range(5):
        called(bench, f"c{n}")
    whole = (await bench.get("/admin/circuits"))[1]
    assert set(whole) == {"circuits"}
    part = (await bench.get("/admin/circuits?limit=2&offset=3"))[1]
    assert [one["name"] for one in part["circuits"]] == ["c3", "c4"]
    assert (part["total"], part["offset"]) == (5, 3)
    for query in ("limit=0", "limit=5000", "limit=x", "offset=-1", "offset=nan"):
        assert (await bench.get(f"/admin/circuits?{query}"))[0] == 400
    text = (await bench.get("/admin/circuits?format=text"))[1]
    assert text.splitlines()[0].split()[:2] == ["NAME", "STATE"]
    assert (await bench.get("/admin/circuits/nobody"))[0] == 404


async def test_a_circuits_failures_by_kind(bench: Bench) -> None:
    call = called(bench, call=lambda error=None: _raise(error))
    assert "failures by kind" not in (await bench.get("/admin/circuits/pay?format=html"))[1]
    hostile = type("<b>Ill", (Exception,), {})
    with bench.runtime.active():
        for error in (KeyError, KeyError, hostile):
            with pytest.raises(error):
                call(error)
    assert (await bench.get("/admin/circuits/pay"))[1]["circuit"]["kinds"] == {"KeyError": 2, "<b>Ill": 1}
    page = (await bench.get("/admin/circuits/pay?format=html"))[1]
    assert "failures by kind" in page
    assert "&lt;b&gt;Ill" in page
    assert "<b>Ill" not in page
    text = (await bench.get("/admin/circuits/pay?format=text"))[1]
    assert re.search(r"(?m)^\s*KeyError\s+2$", text)


async def test_instances_are_the_balancers_report(bench: Bench) -> None:
    with bench.runtime.balancer.pick("stock"):
        pass
    said = (await bench.get("/admin/instances"))[1]
    assert said == json.loads(json.dumps(bench.runtime.balancer.report()))
    assert set(said) == {"services", "more"}
    assert (await bench.get("/admin/instances?service=nobody"))[1] == {"services": {}, "more": 0}
    html = (await bench.ask("GET", "/admin/instances?format=html")).body.decode()
    assert "stock" in html


async def test_the_directory_in_pages_without_secrets(bench: Bench) -> None:
    listed = [
        Instance(
            service="stock", id=f"s-{n}", host="h", port=n, metadata={"db.password": "canary", "version": "2"}
        )
        for n in range(1, 151)
    ]
    bench.runtime._directory = Directory.of(listed)
    said = (await bench.get("/admin/directory"))[1]
    assert said["total"] == 150
    assert len(said["services"]["stock"]) == 100
    assert said["services"]["stock"][0]["metadata"] == {"db.password": "******", "version": "2"}
    said = (await bench.get("/admin/directory?service=STOCK&offset=149"))[1]
    assert len(said["services"]["stock"]) == 1
    assert (await bench.get("/admin/directory?service=nobody"))[1]["total"] == 0


async def test_settings_with_their_sources() -> None:
    bench = Bench({"RESILIENT_PORT": "80", "RESILIENT_PROT": "1"})
    said = (await bench.get("/admin/settings"))[1]
    rows = {row["name"]: row for row in said["settings"]}
    assert (rows["port"]["value"], rows["port"]["source"]) == ("80", "RESILIENT_PORT")
    assert said["unknown"] == {"RESILIENT_PROT": "RESILIENT_PORT"}


CANARY = "canary-5f1d9a-canary"


async def test_17_no_secret_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    """Spec case 17."""
    bench = Bench(
        {
            "RESILIENT_TOKEN": CANARY,
            "RESILIENT_ADMIN_TOKEN": f"{CANARY}-2",
            "RESILIENT_REGISTRY": f"http://user:{CANARY}@127.0.0.1:1/eureka/",
            "RESILIENT_METADATA": f"db.password={CANARY},dsn=x://u:{CANARY}@h/db",
            "RESILIENT_TOKNE": CANARY,
        }
    )

    def fails() -> None:
        raise ConnectionError(
            f"http://user:{CANARY}@db.example/ said no; password={CANARY} Authorization: Bearer {CANARY}"
        )

    with pytest.raises(ConnectionError):
        called(bench, "db", fails)
    metadata = {"api-key": CANARY, "home": f"http://u:{CANARY}@h/"}
    listed = Instance(service="stock", id="s", host="h", port=1, metadata=metadata)
    bench.runtime._directory = Directory.of([listed])
    bench.runtime.circuits.get("db").open(60, reason=f"token={CANARY}")
    paths = [route.path.replace("*", "db") for route in ROUTES if route.view and "stream" not in route.path]
    for path in [*paths, "/admin/loggers/resilient"]:
        for form in ("json", "html", "text"):
            reply = await bench.ask("GET", f"{path}?format={form}")
            assert CANARY.encode() not in reply.body, (path, form)
    await bench.post("/admin/circuits/db", {"action": "auto", "reason": "no more"})
    assert CANARY not in caplog.text


def test_masks() -> None:
    assert masked("see http://a:b@h/x?y=1") == "see http://******@h/x?y=1"
    assert masked("password: hunter2, next") == "password: ******, next"
    assert masked('{"token": "abc"}') == '{"token": "******"}'
    assert masked("Bearer abcdefgh12") == "Bearer ******"
    assert masked("plain text: nothing") == "plain text: nothing"
    assert masked_pairs({"key": "x", "keys": "y", "zone": "z", "secret": ""}) == {
        "key": "******",
        "keys": "y",
        "zone": "z",
        "secret": "",
    }
    assert sounds_secret("DB_PASSWORD")
    assert not sounds_secret("zone")
    assert masked_all({"a": ["//u:p@h", 3]}) == {"a": ["//******@h", 3]}


async def test_loggers(bench: Bench) -> None:
    logging.getLogger("admin.test.view").setLevel("ERROR")
    rows = (await bench.get("/admin/loggers?limit=1000"))[1]["loggers"]
    assert rows[0]["name"] == "root"
    (mine,) = [one for one in rows if one["name"] == "admin.test.view"]
    assert (mine["level"], mine["effective"]) == ("ERROR", "ERROR")
    assert (await bench.get("/admin/loggers/no.such.logger"))[0] == 404


async def test_threads_show_positions_and_no_values(bench: Bench) -> None:
    secret_value = "a-value-nobody-may-see"
    said = (await bench.get("/admin/threads?format=json"))[1]
    assert said["total"] >= 1
    frames = "\n".join("\n".join(one["stack"]) for one in said["threads"])
    assert "test_threads_show_positions_and_no_values" in frames
    assert secret_value not in frames
    assert re.search(r"tests/admin/test_admin_views.py:\d+ in ", frames)


async def test_20_tasks_and_the_circuits_they_wait_in() -> None:
    """Spec case 20."""
    bench = Bench()
    gate = asyncio.Event()

    @circuit("shop.wait", timeout=60, max_concurrent=None)
    async def wait() -> None:
        await gate.wait()

    async def ask() -> None:
        await wait()

    with bench.runtime.active():
        waiting = [asyncio.create_task(ask(), name=f"asks-{n}") for n in range(1000)]
        await asyncio.sleep(0)
        bench.desk.loops.watch("app")
        reply = await bench.ask("GET", "/admin/tasks?format=json")
        said = json.loads(reply.body)
        assert len(reply.body) < 1 << 20
        assert said["total"] >= 1000
        assert len(said["tasks"]) == 100
        mine = [one for one in said["tasks"] if one["name"].startswith("asks-")]
        assert mine
        assert all(one["circuits"] == ["shop.wait"] for one in mine)
        assert "ask" in mine[0]["stack"][0]
        assert any(row.endswith(".wait") for row in mine[0]["stack"])
        assert mine[0]["state"] == "waiting"
        assert b"shop.wait" in (await bench.ask("GET", "/admin/tasks?format=text")).body
        gate.set()
        await asyncio.gather(*waiting)


async def test_a_chain_ends_where_it_cannot_be_followed() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def inner() -> None:
        await future

    async def items() -> Any:
        await inner()
        yield 1

    async def outer() -> None:
        async for _ in items():
            pass

    task = asyncio.create_task(outer(), name="chain")
    await asyncio.sleep(0)
    row = next(one for one in stacks.tasks([("main", asyncio.get_running_loop())]) if one["name"] == "chain")
    assert "outer" in row["stack"][0]
    future.set_result(None)
    await task


async def test_metrics_and_streams_are_there(bench: Bench) -> None:
    called(bench)
    bench.desk.loops.watch("app")
    reply = await bench.ask("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"resilient_" in reply.body
    reply = await bench.ask("GET", "/metrics", headers={**HERE, "Accept": "application/openmetrics-text"})
    assert reply.body.endswith(b"# EOF\n")
    reply = await bench.ask("GET", "/hystrix.stream")
    assert reply.stream is not None
    assert b"HystrixCommand" in await anext(reply.stream)
    more = [await bench.ask("GET", "/hystrix.stream") for _ in range(5)]
    assert [one.status for one in more] == [200] * 4 + [503]
    bench.desk.close_streams()
    with pytest.raises(StopAsyncIteration):
        while True:
            await anext(reply.stream)
    assert (await bench.ask("GET", "/hystrix.stream")).status == 503
