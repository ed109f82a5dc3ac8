"""Our own JSON API, the front page, and what the web UI reads."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from registry_wire import JSON, Wire

from registry_server.app import running
from registry_server.board import Board
from registry_server.records import Change
from registry_server.settings import Settings


async def test_services(wire: Wire) -> None:
    await wire.register(metadata={"zone": "rack-a", "version": "7"})
    await wire.put("apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    wire.clock.advance(62)
    (service,) = (await wire.get("/resilient/v1/services")).json()
    assert service["name"] == "orders"
    (one,) = service["instances"]
    assert one == {
        "id": "i1",
        "url": "http://h1.example.net:8080",
        "status": "OUT_OF_SERVICE",
        "own_status": "UP",
        "overridden": "OUT_OF_SERVICE",
        "zone": "rack-a",
        "metadata": {"zone": "rack-a", "version": "7"},
        "registered_at": wire.clock.time() - 62,
        "renewed_ago": 62.0,
        "expires_in": 28.0,
        "late": True,
        "confirmed": True,
    }
    assert (await wire.get("/resilient/v1/services/ORDERS")).json() == service
    missing = await wire.get("/resilient/v1/services/nothing")
    assert (missing.status, missing.json()) == (
        404,
        {"error": {"code": "unknown-service", "message": "no instance of this service is registered"}},
    )


async def test_changes_newest_first(wire: Wire) -> None:
    await wire.put("apps/ORDERS/i1/status?value=DOWN")
    await wire.delete("apps/ORDERS/i1")
    rows = (await wire.get("/resilient/v1/changes")).json()
    assert [(row["action"], row["cause"]) for row in rows] == [
        ("DELETED", "cancelled"),
        ("MODIFIED", "override"),
        ("ADDED", "registered"),
    ]
    assert rows[1]["before"] == "UP"
    assert rows[1]["text"] == "set to DOWN by an operator"
    assert {row["instance"] for row in rows} == {"i1"}


async def test_only_the_last_thousand_changes_are_kept(bare: Wire) -> None:
    for n in range(520):
        await bare.register(instanceId=f"i{n % 3}", lastDirtyTimestamp=str(1000 + n))
        await bare.delete(f"apps/ORDERS/i{n % 3}")
    assert len((await bare.get("/resilient/v1/changes")).json()) == 1000


async def test_node(wire: Wire) -> None:
    await wire.register(instanceId="d", status="DOWN")
    for _ in range(2):
        await wire.put("apps/ORDERS/i1")
    wire.clock.advance(5)
    await wire.sweep()
    await wire.put("apps/ORDERS/i1")
    node = (await wire.get("/resilient/v1/node")).json()
    assert node["mode"] == "normal"
    assert node["reason"] == ""
    assert node["counts"] == {"services": 1, "instances": 2, "late": 0, "statuses": {"UP": 1, "DOWN": 1}}
    assert node["uptime_seconds"] == 5.0
    assert node["version"]


async def test_heartbeats_per_minute_forgets_what_is_older(wire: Wire) -> None:
    registry = wire.registry.registry
    for second in range(180):
        wire.clock.advance(1)
        if second < 90:
            await wire.put("apps/ORDERS/i1")
        await wire.sweep()
        if second == 30:
            assert registry.heartbeats_per_minute() == 30
        if second == 80:
            assert registry.heartbeats_per_minute() == 60
    assert registry.heartbeats_per_minute() == 0


async def test_circuits_go_to_the_board(wire: Wire) -> None:
    wrong = await wire.ask("POST", "/resilient/v1/circuits", json={"nothing": 1})
    assert wrong.status == 400
    assert wrong.json()["error"]
    for body, kind in ((b"{", "application/json"), (b"[]", "application/json"), (b"x", "text/plain")):
        headers = {"Content-Type": kind}
        answer = await wire.ask("POST", "/resilient/v1/circuits", data=body, headers=headers)
        assert answer.status in (400, 415)
    assert (await wire.get("/resilient/v1/circuits")).json() == []


@pytest.mark.parametrize(
    ("more", "status"),
    [({"circuits": [{"name": "pay"}]}, 204), ({"v": 2, "rows": []}, 409)],
    ids=["taken", "of unknown processes"],
)
async def test_pushes_that_come_at_once_are_read_one_a_turn(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], status: int
) -> None:
    turns, began = 0, []
    real = Board.putting

    def putting(board: Board, message: Any) -> Any:
        began.append(turns)
        return real(board, message)

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    monkeypatch.setattr(Board, "putting", putting)
    counting = asyncio.create_task(count())
    body = {"service": "orders", **more}
    path = "/resilient/v1/circuits"
    pushes = [wire.ask("POST", path, json={**body, "instance": f"orders-{n}"}) for n in range(20)]
    assert {answer.status for answer in await asyncio.gather(*pushes)} == {status}
    counting.cancel()
    assert len(began) == len(set(began)) == 20


async def test_health(wire: Wire) -> None:
    assert (await wire.get("/health/live")).json() == {"status": "UP"}
    assert (await wire.get("/health/ready")).json() == {"status": "UP"}


async def test_subscribers_hear_of_every_change_and_a_bad_one_hurts_nobody(wire: Wire) -> None:
    registry = wire.registry.registry
    heard: list[Change] = []

    def bad(change: Change) -> None:
        raise RuntimeError("on purpose")

    leave_bad, leave = registry.subscribe(bad), registry.subscribe(heard.append)
    await wire.register(instanceId="i2")
    await wire.delete("apps/ORDERS/i2")
    leave()
    leave_bad()
    await wire.register(instanceId="i3")
    assert [(one.action.value, one.id) for one in heard] == [("ADDED", "i2"), ("DELETED", "i2")]


async def test_the_front_page_leads_browsers_to_the_ui() -> None:
    async with running(Settings(port=0)) as registry, aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{registry.port}/"
        assert registry.url == base + "eureka/"
        async with session.get(base, headers={"Accept": "text/html,*/*"}, allow_redirects=False) as got:
            assert (got.status, got.headers["Location"]) == (302, "ui/")
        async with session.get(base, headers=JSON) as got:
            assert got.status == 200
        async with session.get(base + "ui/") as got:
            assert got.status == 200
            assert "html" in got.headers["Content-Type"]
