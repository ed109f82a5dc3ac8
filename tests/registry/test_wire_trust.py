"""Who may do what, seen from outside."""

from __future__ import annotations

import base64

import pytest
from registry_wire import JSON, Wire, instance, wired

from registry_server.settings import Settings, read_settings
from registry_server.trust import Action, refusal
from resilient.errors import ConfigError
from resilient.web.trust import Caller, Trust

TOKEN = "write-token-0123456789"
READ = "read-token-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BASIC = {"Authorization": "Basic " + base64.b64encode(f"anybody:{TOKEN}".encode()).decode()}
BEHIND = {"X-Forwarded-For": "203.0.113.9"}

OTHERS = Caller("203.0.113.9")
HERE = Caller("127.0.0.1", is_loopback=True)


@pytest.mark.parametrize(
    ("tokens", "caller", "expected"),
    [
        # read, join, own (of another address), own (of the same), act
        ((None, None), HERE, (0, 0, 0, 0, 0)),
        ((None, None), OTHERS, (0, 0, 403, 0, 403)),
        ((TOKEN, None), HERE, (0, 401, 401, 401, 401)),
        ((TOKEN, None), OTHERS, (0, 401, 401, 401, 401)),
        ((TOKEN, READ), OTHERS, (401, 401, 401, 401, 401)),
        ((TOKEN, READ), Caller("203.0.113.9", has_read_token=True), (0, 403, 403, 403, 403)),
        ((TOKEN, READ), Caller("203.0.113.9", has_token=True), (0, 0, 0, 0, 0)),
        ((TOKEN, None), Caller("203.0.113.9", wrong_token=True), (401, 401, 401, 401, 401)),
        ((TOKEN, None), Caller("203.0.113.9", retry_after=9.0), (429, 429, 429, 429, 429)),
        ((None, READ), OTHERS, (401, 0, 403, 0, 403)),
    ],
)
def test_every_action_of_every_caller(
    tokens: tuple[str | None, str | None], caller: Caller, expected: tuple[int, ...]
) -> None:
    trust = Trust(*tokens)
    asked = [
        (Action.READ, None),
        (Action.JOIN, None),
        (Action.OWN, "198.51.100.1"),
        (Action.OWN, caller.address),
        (Action.ACT, caller.address),
    ]
    assert tuple(refusal(trust, caller, action, owner) for action, owner in asked) == expected


async def test_a_token_is_needed_for_every_write() -> None:
    async with wired(Settings(port=0, ui=False, token=TOKEN)) as wire:
        for method, path in [
            ("PUT", "apps/ORDERS/i1"),
            ("DELETE", "apps/ORDERS/i1"),
            ("PUT", "apps/ORDERS/i1/status?value=DOWN"),
            ("DELETE", "apps/ORDERS/i1/status"),
            ("PUT", "apps/ORDERS/i1/metadata?a=1"),
            ("POST", "peerreplication/batch"),
        ]:
            answer = await wire.ask(method, path)
            assert (answer.status, answer.empty) == (401, True)
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
        assert (await wire.post(instance())).status == 401
        assert (await wire.ask("POST", "/resilient/v1/circuits", json={})).status == 401
        assert (await wire.post(instance(), headers=BASIC)).status == 204
        assert (await wire.put("apps/ORDERS/i1", headers=BEARER)).status == 200
        assert (await wire.put("apps/ORDERS/i1")).status == 401
        assert (await wire.get("apps")).status == 200


async def test_a_read_token_closes_the_reads() -> None:
    async with wired(Settings(port=0, ui=False, token=TOKEN, read_token=READ)) as wire:
        for path in (
            "apps",
            "apps/delta",
            "apps/X",
            "status",
            "/resilient/v1/services",
            "/resilient/v1/node",
        ):
            assert (await wire.get(path)).status == 401
            allowed = await wire.get(path, {**JSON, "Authorization": f"Bearer {READ}"})
            assert allowed.status in (200, 404)
        assert (await wire.get("/health/live")).status == 200
        assert (await wire.get("/health/ready")).status == 200


async def test_too_many_wrong_tokens() -> None:
    async with wired(Settings(port=0, ui=False, token=TOKEN)) as wire:
        wrong = {"Authorization": "Bearer wrong"}
        statuses = [(await wire.put("apps/ORDERS/i1", headers=wrong)).status for _ in range(12)]
        assert statuses[:10] == [401] * 10
        assert statuses[-1] == 429
        assert (await wire.put("apps/ORDERS/i1")).status == 401
        wire.clock.advance(61)
        assert (await wire.put("apps/ORDERS/i1", headers=BEARER)).status == 404


async def test_strangers_may_join_but_not_act(wire: Wire) -> None:
    assert (await wire.post(instance(instanceId="far"), headers=BEHIND)).status == 204
    assert (await wire.put("apps/ORDERS/far", headers=BEHIND)).status == 200
    assert (await wire.put("apps/ORDERS/far/status?value=DOWN", headers=BEHIND)).status == 403
    assert (await wire.delete("apps/ORDERS/far/status", headers=BEHIND)).status == 403
    assert (await wire.ask("POST", "peerreplication/batch", json={}, headers=BEHIND)).status == 403
    # The peer's own address registered it, whatever stands in the header.
    assert (await wire.delete("apps/ORDERS/far", headers=BEHIND)).status == 200


async def test_the_replication_header_alone_makes_no_peer(wire: Wire) -> None:
    told = {"x-netflix-discovery-replication": "true", **BEHIND}
    assert (await wire.put("apps/ORDERS/i1?lastDirtyTimestamp=999", headers=told)).status == 200
    tree = instance(status="OUT_OF_SERVICE", lastDirtyTimestamp="1001")
    assert (await wire.post(tree, headers=told)).status == 204
    assert (await wire.one())["status"] == "UP"


async def test_web_pages_may_not_write(wire: Wire) -> None:
    page = {"Origin": "http://evil.example"}
    assert (await wire.post(instance(instanceId="x"), headers=page)).status == 403
    assert (await wire.put("apps/ORDERS/i1/status?value=DOWN", headers=page)).status == 403
    assert (await wire.ask("POST", "/resilient/v1/circuits", json={}, headers=page)).status == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "short"},
        {"token": "with blanks in it, long"},
        {"token": TOKEN, "read_token": TOKEN},
        {"port": 70000},
        {"host": ""},
        {"lease_factor": 3},
    ],
)
def test_settings_that_cannot_work(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**wrong)  # type: ignore[arg-type]
    assert "short" not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_settings_come_from_arguments_then_the_environment() -> None:
    env = {
        "RESILIENT_REGISTRY_PORT": "9000",
        "RESILIENT_REGISTRY_TOKEN": TOKEN,
        "RESILIENT_REGISTRY_ZONE": "b",
    }
    found = read_settings(env=env, port=0)
    assert (found.port, found.token, found.zone, found.host) == (0, TOKEN, "b", "127.0.0.1")
    assert TOKEN not in repr(found)
    for bad in ({"RESILIENT_REGISTRY_PORT": "x"}, {"RESILIENT_REGISTRY_TOKEN": ""}):
        with pytest.raises(ConfigError):
            read_settings(env=bad)
