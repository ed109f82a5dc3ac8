from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from resilient.errors import CircuitFull, CircuitOpen, ConfigError, NoInstance
from resilient.member import PATHS, Member, refusal
from resilient.runtime import Runtime
from resilient.settings import Settings


def member(runtime: Runtime | None = None, **options: Any) -> Member:
    runtime = runtime or Runtime(settings=Settings.load({}), instances={"stock": ["http://10.0.0.1:80"]})
    return Member("orders", runtime, **options)


def said(one: Member, path: str) -> tuple[int, Any]:
    answer = one.answer(path)
    assert answer is not None
    status, headers, body = answer
    assert headers["Cache-Control"] == "no-store"
    return status, json.loads(body) if "json" in headers["Content-Type"] else body


def test_it_is_alive_before_it_is_ready() -> None:
    one = member()
    assert said(one, "/health/live") == (200, b"UP\n")
    assert said(one, "/health/ready") == (503, {"status": "STARTING"})
    one.state = "UP"
    assert said(one, "/health/ready") == said(one, "/health") == (200, {"status": "UP"})
    one.well = False
    assert said(one, "/health/ready") == (503, {"status": "DOWN"})
    one.state = "DRAINING"
    assert said(one, "/health/ready") == (503, {"status": "DRAINING"})
    assert said(one, "/health/live") == (200, b"UP\n")


def test_other_paths_are_not_its_own() -> None:
    one = member()
    assert one.answer("/orders") is None
    assert one.answer("/health/") is None
    assert all(one.answer(path) is not None for path in PATHS)


LOCAL = {"Host": "127.0.0.1:80"}


@pytest.mark.parametrize(
    ("peer", "headers", "allowed"),
    [
        ("127.0.0.1", LOCAL, True),
        ("::1", {"Host": "localhost"}, True),
        ("10.0.0.9", LOCAL, False),
        ("", LOCAL, False),
        ("127.0.0.1", {"Host": "orders.example"}, False),
        ("127.0.0.1", {**LOCAL, "X-Forwarded-For": "10.0.0.9"}, False),
        ("127.0.0.1", {**LOCAL, "Origin": "http://evil.example"}, False),
        ("10.0.0.9", {"Host": "x", "Authorization": "Bearer "}, False),
    ],
)
def test_circuits_are_shown_here_only(peer: str, headers: dict[str, str], allowed: bool) -> None:
    one = member()
    assert one.may_ask("/admin/circuits", peer, headers) is allowed
    assert one.may_ask("/health", peer, headers)


def test_a_refusal_says_when_to_come_back() -> None:
    for error, wait in (
        (CircuitOpen("pay", 2.1), "3"),
        (CircuitOpen("pay", 0.0), "1"),
        (CircuitOpen("pay"), "1"),
        (CircuitFull("pay", 3), "1"),
        (NoInstance("stock"), "1"),
    ):
        status, headers, body = refusal(error)
        assert (status, headers["Retry-After"]) == (503, wait)
        assert json.loads(body)["error"] == {"code": type(error).__name__, "message": str(error)}


def test_a_refusal_for_ever_is_a_refusal_too() -> None:
    assert refusal(CircuitOpen("pay", math.inf))[1]["Retry-After"] == "3600"


def test_a_wrong_name_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match="needs a name"):
        Member("my orders", Runtime(settings=Settings.load({})))


async def slow() -> bool:
    await asyncio.sleep(10)
    return True


def broken() -> bool:
    raise OSError("disk is gone " + "x" * 500)


@pytest.mark.parametrize(
    ("check", "well", "detail"),
    [
        (lambda: True, True, ""),
        (lambda: None, True, ""),
        (lambda: 0, True, ""),
        (lambda: False, False, "the health check said no"),
        (slow, False, "the health check took longer than 0.05s"),
        (broken, False, "OSError: disk is gone"),
    ],
)
async def test_what_a_health_check_says(
    check: Any, well: bool, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resilient.member.CHECK_TIMEOUT", 0.05)
    got, why = await member()._check(check)
    assert got is well
    assert why.startswith(detail)
    assert len(why) <= 200


def test_without_a_registry_there_is_nobody_to_wait_for() -> None:
    assert member(Runtime(settings=Settings.load({}))).drain == 0
    assert member().drain == 2 * Settings.load({}).fetch_interval
