"""Acting from the pages, on a real registry: who may, what happens, and when it is told as done."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiohttp import ClientSession
from multidict import CIMultiDict
from ui_kit import Events

from dashboard.rights import from_own_page, page_may_act
from registry_server.app import running
from registry_server.settings import Settings
from resilient.clock import ManualClock
from resilient.model import Instance, Status
from resilient.web.trust import Trust

TOKEN = "a-token-of-some-length"


@asynccontextmanager
async def estate(**options):
    clock = ManualClock()
    async with running(Settings(port=0, **options), clock=clock) as registry:
        registry._sweeper.cancel()
        for n in range(3):
            await registry.registry.register(Instance(service="orders", id=f"i{n}", host="h", port=n + 1))
        base = f"http://127.0.0.1:{registry.port}"
        async with ClientSession() as session:
            yield SimpleNamespace(registry=registry, base=base, session=session, clock=clock)


def headers(one, **more):
    return {"Origin": one.base, "Resilient-Action": "1", **{k.replace("_", "-"): v for k, v in more.items()}}


async def post(one, what, body, status=202, **options):
    options.setdefault("headers", headers(one))
    async with one.session.post(f"{one.base}/ui/act/{what}", json=body, **options) as answer:
        said = await answer.json()
        assert answer.status == status, said
        return said


@asynccontextmanager
async def watching(one, topics="changes", **options):
    async with one.session.get(f"{one.base}/ui/stream?topics={topics}", **options) as answer:
        events = Events(answer)
        await events.until("tick")
        yield events


def status_of(one, id):
    record = one.registry.registry.table.get("orders", id).record
    return record.instance.status, record.override


OUT = {"subjects": ["orders/i0"], "reason": "new disk"}


async def test_out_of_service_is_done_told_written_down_and_ends_by_itself():
    async with estate() as one, watching(one) as events:
        id = (await post(one, "out-of-service", {**OUT, "for": 600, "by": "Ann"}))["id"]
        _, said = await events.next("action")
        assert (said["id"], said["ok"], said["applied"], said["by"]) == (id, True, ["orders/i0"], "Ann")
        assert status_of(one, "i0") == (Status.OUT_OF_SERVICE, Status.OUT_OF_SERVICE)
        _, change = await events.next("change")
        assert (change["kind"], change["sub"], change["by"]) == ("override_set", "orders/i0", "Ann")
        assert change["reason"] == "new disk"
        async with one.session.get(f"{one.base}/ui/data/services/orders") as answer:
            row = (await answer.json())["instances"][0]
        assert (row["status"], row["own"], row["over"]) == ("OUT_OF_SERVICE", "UP", "OUT_OF_SERVICE")
        assert row["override"]["by"] == "Ann"
        assert row["override"]["until"] == change["until"] == pytest.approx(one.clock.time() * 1000 + 600_000)
        one.clock.advance(599)
        one.registry.registry.renew("orders", "i0")
        await one.registry.actor.tick()
        assert status_of(one, "i0")[0] is Status.OUT_OF_SERVICE
        one.clock.advance(1)
        await one.registry.actor.tick()
        assert status_of(one, "i0") == (Status.UP, Status.UNKNOWN)
        _, change = await events.next("change")
        assert (change["kind"], change["by"]) == ("override_removed", "registry")


async def test_an_override_ends_also_if_its_instance_was_away_then():
    async with estate() as one, watching(one) as events:
        await post(one, "out-of-service", {**OUT, "for": 60})
        await events.next("action")
        for _ in range(120):
            one.clock.advance(1)
            await one.registry.registry.sweep()
        assert one.registry.registry.table.get("orders", "i0") is None
        await one.registry.actor.tick()
        await one.registry.registry.register(Instance(service="orders", id="i0", host="h", port=1))
        await one.registry.actor.tick()
        assert status_of(one, "i0") == (Status.UP, Status.UNKNOWN)
        assert one.registry.actor.ends == {}


async def test_back_and_another_override_and_signing_out():
    async with estate() as one, watching(one) as events:
        await post(one, "override", {**OUT, "status": "DOWN", "for": 60})
        assert (await events.next("action"))[1]["ok"]
        assert status_of(one, "i0")[0] is Status.DOWN
        await post(one, "back", OUT)
        assert (await events.next("action"))[1]["what"] == "override_removed"
        assert status_of(one, "i0") == (Status.UP, Status.UNKNOWN)
        assert one.registry.actor.ends == {}, "what was put back does not end once more"
        await post(one, "deregister", {"subjects": ["orders/i1", "orders/i2"], "reason": "gone"})
        said = (await events.next("action"))[1]
        assert said["applied"] == ["orders/i1", "orders/i2"]
        assert one.registry.registry.table.get("orders", "i1") is None
        change = (await events.next("change"))[1]
        while change["kind"] != "removed":
            change = (await events.next("change"))[1]
        assert change["by"].startswith("operator at 127.0.0.1")


@pytest.mark.parametrize(
    ("what", "body", "word"),
    [
        ("out-of-service", {"subjects": ["orders/i0"]}, "reason"),
        ("out-of-service", {"subjects": ["orders/i0"], "reason": "  "}, "reason"),
        ("out-of-service", {"subjects": ["orders/i0"], "reason": "a\nb"}, "reason"),
        ("out-of-service", {**OUT, "for": 0}, "for"),
        ("out-of-service", {**OUT, "for": True}, "for"),
        ("out-of-service", {**OUT, "for": 1e9}, "for"),
        ("out-of-service", {**OUT, "subjects": []}, "subjects"),
        ("out-of-service", {**OUT, "subjects": "orders/i0"}, "subjects"),
        ("out-of-service", {**OUT, "subjects": ["orders"]}, "subjects"),
        ("out-of-service", {**OUT, "subjects": ["orders/i0"] * 501}, "subjects"),
        ("out-of-service", {**OUT, "subjects": ["orders/nobody"]}, "not registered"),
        ("override", {**OUT, "status": "SLEEPY"}, "status"),
        ("circuit", {**OUT, "action": "open"}, "circuits"),
        ("circuit", {**OUT, "subjects": ["a/b:c"], "action": "explode"}, "action"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_words(what, body, word):
    async with estate() as one:
        said = await post(one, what, body, status=400)
        assert word in said["error"]["message"]
        assert status_of(one, "i0")[1] is Status.UNKNOWN


async def test_unknown_actions_and_other_bodies():
    async with estate() as one:
        await post(one, "explode", OUT, status=404)
        for data, type in ((b"{", "application/json"), (b"[]", "application/json")):
            sent = {**headers(one), "Content-Type": type}
            async with one.session.post(one.base + "/ui/act/back", data=data, headers=sent) as answer:
                assert answer.status == 400
        for type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            sent = {**headers(one), "Content-Type": type}
            async with one.session.post(one.base + "/ui/act/back", data=b"{}", headers=sent) as answer:
                assert answer.status == 415


@pytest.mark.parametrize(
    "change",
    [
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:{port}"},
        {"Origin": "file://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:{port}.evil.example"},
        {"Origin": "http://evil.example:{port}", "Host": "evil.example:{port}"},
        {"Origin": "http://127.0.0.1.nip.io:{port}", "Host": "127.0.0.1.nip.io:{port}"},
        {"Resilient-Action": None},
        {"Resilient-Action": "yes"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Forwarded": "for=10.0.0.1"},
        {"X-Forwarded-For": "10.0.0.1"},
        {"X-Forwarded-Host": "127.0.0.1:{port}"},
        {"Via": "1.1 proxy"},
    ],
)
@pytest.mark.parametrize("token", ["", TOKEN], ids=["open", "token"])
async def test_pages_of_others_and_proxies_are_refused(change, token):
    proxy = not {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Via"}.isdisjoint(change)
    async with estate(token=token) as one:
        sent = CIMultiDict(headers(one))
        if token:
            sent["Authorization"] = f"Bearer {TOKEN}"
        for name, value in change.items():
            sent.pop(name, None)
            if value is not None:
                sent[name] = value.format(port=one.registry.port)
        async with one.session.post(one.base + "/ui/act/out-of-service", json=OUT, headers=sent) as answer:
            if proxy and token:
                assert answer.status == 202  # a proxy in front is what tokens are for
            else:
                assert answer.status in (403, 421)
                assert status_of(one, "i0")[1] is Status.UNKNOWN


async def test_with_a_token_only_the_token_opens():
    async with estate(token=TOKEN) as one:
        said = await post(one, "out-of-service", OUT, status=401)
        assert "token" in said["error"]["message"]
        basic = "Basic eDphLXRva2VuLW9mLXNvbWUtbGVuZ3Ro"  # x:TOKEN: browsers send that by themselves
        await post(one, "out-of-service", OUT, status=401, headers=headers(one, Authorization=basic))
        await post(one, "out-of-service", OUT, status=401, headers=headers(one, Authorization="Bearer no"))
        async with watching(one) as events:
            pass
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with one.session.get(f"{one.base}/ui/stream", headers=bearer) as answer:
            _, hello = await Events(answer).next("hello")
            assert hello["roles"] == ["reader", "operator"]
        async with watching(one, headers=bearer) as events:
            await post(one, "out-of-service", OUT, headers=headers(one, **bearer))
            assert (await events.next("action"))[1]["ok"]


def local(**more):
    host = more.pop("Host", "127.0.0.1:8761")
    return CIMultiDict({"Host": host, "Origin": f"http://{host}", **more})


def test_rights_of_a_registry_without_token():
    trust = Trust()
    assert page_may_act(trust, "127.0.0.1", local(), bound_wide=False)[0] == 0
    assert page_may_act(trust, "::1", local(Host="[::1]:8761"), bound_wide=False)[0] == 0
    assert page_may_act(trust, "127.0.0.1", local(Host="localhost:8761"), bound_wide=False)[0] == 0
    status, sentence = page_may_act(trust, "127.0.0.1", local(), bound_wide=True)
    assert status == 403
    assert "--token" in sentence
    for peer, sent in (
        ("10.0.0.7", local()),
        (None, local()),
        ("127.0.0.1", local(Host="registry.example")),
        ("127.0.0.1", local(Via="1.1 x")),
        ("127.0.0.1", local(Origin="null")),
        ("127.0.0.1", CIMultiDict({"Origin": "http://"})),
    ):
        assert page_may_act(trust, peer, sent, bound_wide=False)[0] == 403, sent
    assert not from_own_page("127.0.0.1", local(**{"Sec-Fetch-Site": "cross-site"}))


async def test_nobody_acts_on_an_open_registry_that_others_reach():
    async with estate(host="0.0.0.0") as one:
        said = await post(one, "out-of-service", OUT, status=403)
        assert "--token" in said["error"]["message"]
        async with one.session.get(f"{one.base}/ui/stream") as answer:
            assert (await Events(answer).next("hello"))[1]["roles"] == ["reader"]


def push(state="C", command="", full=True):
    hold = ["open", None, "drill", "Ann", command] if command else 0
    row = ["pay", state, 1.0, None, [0] * 16, [0, 0, 0], 0, 0, [], "", hold]
    body = {"v": 2, "service": "shop", "instance": "s1", "worker": "w", "interval": 1.0, "full": full}
    return {**body, "rows": [row], "about": {"pay": {"target": "bank"}}}


async def test_a_circuit_is_held_when_its_process_says_so():
    async with estate() as one:
        feed = f"{one.base}/resilient/v1/feed?snapshot=0&instance=SHOP/s1&worker=w"
        async with one.session.get(feed) as heard, watching(one, "circuits,changes") as events:
            one.registry.board.put(push())
            body = {"subjects": ["shop/bank:pay"], "action": "open", "for": 60, "reason": "drill"}
            id = (await post(one, "circuit", body))["id"]
            _, command = await Events(heard).next("command")
            assert (command["circuit"], command["action"], command["for"]) == ("pay", "open", 60)
            async with one.session.post(
                f"{one.base}/resilient/v1/circuits", json=push("F", command["id"], full=False)
            ) as answer:
                assert answer.status == 204
            said = await events.until("action")
            assert next(data for name, data in said if name == "state")["to"] == "F"
            assert (said[-1][1]["id"], said[-1][1]["ok"]) == (id, True)
            assert said[-1][1]["applied"] == ["s1#w"]
            one.registry.source.tick()
            change = (await events.next("change"))[1]
            while change["kind"] != "circuit_command":
                change = (await events.next("change"))[1]
            assert change["reason"] == "drill"


async def test_a_circuit_nobody_hears_for_and_one_that_stays_silent():
    async with estate() as one, watching(one) as events:
        one.registry.board.put(push())
        body = {"subjects": ["shop/bank:pay"], "action": "reset", "reason": "drill"}
        await post(one, "circuit", body)
        said = (await events.next("action"))[1]
        assert (said["ok"], said["state"]) == (False, "failed")
        async with one.session.get(f"{one.base}/resilient/v1/feed?snapshot=0&instance=SHOP/s1") as heard:
            await Events(heard).next("hello")
            await post(one, "circuit", body)
            one.clock.advance(31)
            await one.registry.actor.tick()
            said = (await events.next("action"))[1]
            assert (said["ok"], said["state"]) == (False, "unconfirmed")


async def test_what_it_would_do_is_told_before():
    async with estate() as one:
        url = f"{one.base}/ui/data/consequence?what=out-of-service&subject=orders/i0&subject=orders/i1"
        async with one.session.get(url) as answer:
            (said,) = (await answer.json())["services"]
        assert (said["total"], said["up"], said["left"], said["chosen"], said["last"]) == (3, 3, 1, 2, False)
        async with one.session.get(url + "&subject=orders/i2") as answer:
            assert (await answer.json())["services"][0]["last"] is True
        await asyncio.sleep(0)
