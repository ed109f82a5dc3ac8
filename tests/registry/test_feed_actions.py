"""What people ask circuits to do, and who looks at circuits."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from registry_wire import Wire, wired
from test_feed import TOKEN, listening

from registry_server.feed.actions import KEPT, Actions
from registry_server.feed.watch import Watch
from registry_server.settings import Settings
from resilient.clock import ManualClock
from resilient.errors import WireError

ACTIONS = "/resilient/v1/actions"
OPEN = {
    "service": "orders",
    "circuit": "stock.get",
    "action": "open",
    "for": 60,
    "reason": "drill",
    "by": "ann",
}


def read(**changes: Any) -> Any:
    body = {key: value for key, value in {**OPEN, **changes}.items() if value is not ...}
    return Actions(ManualClock()).read(body)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"service": ...}, "service: a text"),
        ({"service": ""}, "service: a text"),
        ({"service": "a b"}, "service must be"),
        ({"service": 7}, "service: a text"),
        ({"circuit": ...}, "circuit: a text"),
        ({"circuit": "x" * 257}, "circuit: at most 256"),
        ({"circuit": "a\nb"}, "circuit: only printable"),
        ({"action": "melt"}, "action: one of open, close, auto, reset"),
        ({"action": ["open"]}, "action: a text"),
        ({"instance": "a b"}, "instanceId"),
        ({"worker": "h:1"}, "worker: name the instance"),
        ({"for": 0}, "for: a number"),
        ({"for": True}, "for: a number"),
        ({"for": "60"}, "for: a number"),
        ({"for": 1e9}, "up to 2592000"),
        ({"action": "reset"}, "for: reset has no duration"),
        ({"action": "auto"}, "for: auto has no duration"),
        ({"reason": "x" * 301}, "reason: at most 300"),
        ({"colour": "red"}, "no others"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_cure(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(WireError, match=words):
        read(**changes)


def test_what_may_be_left_out() -> None:
    command = read(**{"for": ..., "reason": ..., "by": None})
    assert (command.seconds, command.instance, command.reason, command.by) == (None, "", "", "")
    assert read(service="OrDers").service == "orders"
    for body in (None, [], "open", 7):
        with pytest.raises(WireError):
            Actions(ManualClock()).read(body)


def test_states() -> None:
    clock = ManualClock()
    actions = Actions(clock)
    one = actions.read(OPEN)
    one.delivered = 2
    actions.keep(one)
    actions.confirm(one.id, "stock", "i1")  # some other service may not
    actions.confirm(one.id, "orders", "i1")
    actions.confirm(one.id, "orders", "i1")
    assert (actions.rows()[0]["confirmed"], actions.state(one)) == (1, "sent")
    clock.advance(29.9)
    assert actions.state(one) == "sent"
    clock.advance(0.2)
    assert actions.state(one) == "unconfirmed"
    actions.confirm(one.id, "orders", "i2")
    assert actions.state(one) == "confirmed"
    actions.confirm("who", "orders", "i2")


def test_an_action_on_one_instance_is_not_confirmed_by_another() -> None:
    actions = Actions(ManualClock())
    one = actions.read({**OPEN, "instance": "i1"})
    one.delivered = 1
    actions.keep(one)
    actions.confirm(one.id, "orders", "i2")
    assert actions.state(one) == "sent"
    actions.confirm(one.id, "orders", "i1")
    assert actions.state(one) == "confirmed"


def test_only_so_many_are_kept() -> None:
    actions = Actions(ManualClock())
    for n in range(KEPT + 50):
        actions.keep(actions.read({**OPEN, "reason": str(n)}))
    assert len(actions) == len(actions.rows()) == len(actions._by_id) == KEPT
    assert actions.rows()[0]["reason"] == str(KEPT + 49)


def test_watch_lingers_and_then_ends() -> None:
    clock = ManualClock()
    turns: list[bool] = []
    watch = Watch(clock, lambda: turns.append(watch.on))
    watch.enter()
    watch.enter()
    watch.leave()
    clock.advance(100)
    watch.tick()
    assert watch.on
    watch.leave()
    clock.advance(9)
    watch.tick()
    assert watch.on
    watch.glance()
    clock.advance(9)
    watch.tick()
    assert watch.on
    clock.advance(1)
    watch.tick()
    assert turns == [True, False]


async def test_an_action_reaches_whom_it_is_for(wire: Wire) -> None:
    async with (
        listening(wire, "?snapshot=0&instance=ORDERS/i1&worker=h:1") as first,
        listening(wire, "?snapshot=0&instance=ORDERS/i1&worker=h:2") as second,
        listening(wire, "?snapshot=0&instance=orders/i%3A2") as other,
        listening(wire, "?snapshot=0&instance=STOCK/i1") as foreign,
        listening(wire, "?snapshot=0") as nobody,
    ):
        everybody = (first, second, other, foreign, nobody)
        for stream in everybody:
            await stream.next("hello")
        all_of_them = await wire.ask("POST", ACTIONS, json=OPEN)
        assert all_of_them.status == 202
        told = all_of_them.json()
        assert told["delivered"] == 3
        for stream, id in ((first, "i1"), (second, "i1"), (other, "i:2")):
            message = await stream.message()
            assert (message.name, message.id) == ("command", "")
            assert json.loads(message.data) == {
                "id": told["id"],
                "instance": f"ORDERS/{id}",
                "worker": "",
                "circuit": "stock.get",
                "action": "open",
                "for": 60.0,
                "reason": "drill",
                "by": "ann",
            }
        one = await wire.ask("POST", ACTIONS, json={**OPEN, "instance": "i1", "worker": "h:2"})
        assert one.json()["delivered"] == 1
        assert (await second.next("command"))["worker"] == "h:2"
        none = await wire.ask("POST", ACTIONS, json={**OPEN, "instance": "who"})
        assert (none.status, none.json()["delivered"]) == (202, 0)
        await wire.register(instanceId="last")
        for stream in everybody:
            assert (await stream.next("change"))["id"] == "last"


async def test_a_push_confirms_it(wire: Wire) -> None:
    async with listening(wire, "?snapshot=0&instance=ORDERS/i1") as stream:
        await stream.next("hello")
        id = (await wire.ask("POST", ACTIONS, json=OPEN)).json()["id"]
        (row,) = (await wire.get(ACTIONS)).json()
        assert (row["id"], row["state"], row["delivered"], row["confirmed"]) == (id, "sent", 1, 0)
        assert row["until"] == row["at"] + 60
        circuit = {
            "name": "stock.get",
            "state": "forced-open",
            "mode": "open",
            "mode_until": row["until"],
            "command": id,
        }
        push = {"service": "orders", "instance": "i1", "circuits": [circuit]}
        assert (await wire.ask("POST", "/resilient/v1/circuits", json=push)).status == 204
        (row,) = (await wire.get(ACTIONS)).json()
        assert (row["state"], row["confirmed"]) == ("confirmed", 1)
        (shown,) = (await wire.get("/resilient/v1/circuits")).json()
        assert (shown["mode"], shown["mode_until"], shown["command"]) == ("open", row["until"], id)


async def test_it_is_remembered_among_the_changes(wire: Wire) -> None:
    wire.clock.advance(1)
    id = (await wire.ask("POST", ACTIONS, json=OPEN)).json()["id"]
    wire.clock.advance(1)
    await wire.register(instanceId="i2")
    rows = (await wire.get("/resilient/v1/changes")).json()
    assert [row["action"] for row in rows] == ["ADDED", "CIRCUIT", "ADDED"]
    assert rows[1]["command"] == id
    assert (rows[1]["by"], rows[1]["reason"]) == ("ann", "drill")
    assert rows[1]["until"] == rows[1]["at"] + 60
    assert rows[1]["text"] == "circuit stock.get: hold open for 60 s, asked by ann: drill"


async def test_who_may() -> None:
    async with wired() as wire:
        # Nobody but this machine's own programs: a page shows itself by its Origin.
        for headers, status in (
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": wire.base}, 403),
            ({"X-Forwarded-For": "10.0.0.1"}, 403),
            ({}, 202),
        ):
            assert (await wire.ask("POST", ACTIONS, json=OPEN, headers=headers)).status == status
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml", "a/b"):
            answer = await wire.ask(
                "POST", ACTIONS, data=json.dumps(OPEN).encode(), headers={"Content-Type": kind}
            )
            assert answer.status in (400, 415), kind
        bare = await wire.ask(
            "POST", ACTIONS, data=json.dumps(OPEN).encode(), skip_auto_headers=["Content-Type"]
        )
        assert bare.status == 415
        assert (await wire.ask("POST", ACTIONS, json={**OPEN, "action": "melt"})).status == 400
        assert len(wire.registry.actions) == 1
    async with wired(Settings(port=0, ui=False, token=TOKEN)) as wire:
        assert (await wire.ask("POST", ACTIONS, json=OPEN)).status == 401
        good = {"Authorization": f"Bearer {TOKEN}"}
        assert (await wire.ask("POST", ACTIONS, json=OPEN, headers=good)).status == 202
        page = {**good, "Origin": wire.base}
        assert (await wire.ask("POST", ACTIONS, json=OPEN, headers=page)).status == 202
        foreign = {**good, "Origin": "http://evil.example"}
        assert (await wire.ask("POST", ACTIONS, json=OPEN, headers=foreign)).status == 403


async def test_who_looks_at_circuits_is_told_to_all() -> None:
    async with wired(Settings(port=0)) as wire, listening(wire, "?snapshot=0") as stream:
        assert (await stream.next("hello"))["watched"] is False
        await wire.get("/resilient/v1/circuits")
        assert not wire.registry.feed.watch.on
        await wire.get("/resilient/v1/circuits?watch")
        message = await stream.message()
        assert (message.name, message.id, json.loads(message.data)) == ("watched", "", {"circuits": True})
        async with listening(wire, "?snapshot=0") as later:
            assert (await later.next("hello"))["watched"] is True
        wire.clock.advance(10)
        wire.registry.feed.tick()
        assert await stream.next("watched") == {"circuits": False}
        # The page's own stream counts as long as it is open.
        timeout = aiohttp.ClientTimeout(total=5)
        async with wire.session.get(wire.base + "/ui/stream", timeout=timeout) as page:
            await page.content.readany()
            assert await stream.next("watched") == {"circuits": True}
            wire.clock.advance(60)
            wire.registry.feed.tick()
            assert wire.registry.feed.watch.on
