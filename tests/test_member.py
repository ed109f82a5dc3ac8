from __future__ import annotations

import json
import math
from typing import Any

import pytest

from resilient.errors import CircuitFull, CircuitOpen, ConfigError, NoInstance
from resilient.member import Member, refusal
from resilient.runtime import Runtime
from resilient.settings import Settings


def member(runtime: Runtime | None = None, **options: Any) -> Member:
    runtime = runtime or Runtime(settings=Settings.load({}), instances={"stock": ["http://10.0.0.1:80"]})
    return Member("orders", runtime, **options)


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


def test_without_a_registry_there_is_nobody_to_wait_for() -> None:
    assert member(Runtime(settings=Settings.load({}))).drain == 0
    assert member().drain == 2 * Settings.load({}).fetch_interval
