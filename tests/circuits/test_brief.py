"""A circuit in few words: what a row holds, and why a circuit has turned."""

from __future__ import annotations

import json

import pytest

from resilient.circuits import brief
from resilient.circuits.commands import apply


def row(service):
    found, _ = brief.brief(service.f.circuit, 0)
    return json.loads(json.dumps(found))


def test_a_row_of_one_that_fails_ends_with_the_kinds(serve):
    service = serve(min_calls=1000)
    service.good()
    assert len(row(service)) == brief.KINDS
    service.bad(2)
    service.bad(3, ValueError())
    assert row(service)[brief.KINDS :] == [[["ValueError", 3], ["Boom", 2]]]


@pytest.mark.parametrize(
    ("rule", "options", "bad", "value", "limit"),
    [
        ("error_rate", {"min_calls": 4}, 3, 75.0, 50.0),
        ("fail_max", {"fail_max": 3}, 3, 3, 3),
    ],
)
def test_the_rule_that_opened_it(serve, rule, options, bad, value, limit):
    service = serve(**options)
    service.good()
    service.bad(bad)
    assert service.state == "open"
    why = brief.why(service.f.circuit)
    assert (why["rule"], why["value"], why["limit"], why["text"]) == (rule, value, limit, "Boom: no")
    assert "by" not in why


def test_slow_calls_opened_it(serve, clock):
    service = serve(min_calls=2, slow_duration=1.0, slow_rate=0.5)
    for _ in range(2):
        service(lambda: clock.advance(2) or 1)
    assert service.state == "open"
    assert (brief.why(service.f.circuit)["rule"], brief.why(service.f.circuit)["value"]) == (
        "slow_rate",
        100.0,
    )


def test_a_trial_opened_it_again(serve, clock):
    service = serve()
    service.f.open(by="ada")
    clock.advance(60)
    service.bad()
    assert service.state == "open"
    assert brief.why(service.f.circuit) == {
        "calls": 0,
        "text": "Boom: no",
        "rule": "trial",
        "value": None,
        "limit": None,
    }


@pytest.mark.parametrize("action", ["open", "close", "auto", "reset"])
def test_somebody_turned_it(serve, runtime, action):
    service = serve()
    service.bad(20)
    if action == "auto":
        service.f.open(60)
    command = {"id": "c1", "circuit": "service", "action": action, "reason": "r" * 200, "by": "ada"}
    assert apply(runtime.circuits, command) == "applied"
    why = brief.why(service.f.circuit)
    assert (why["rule"], why["by"], why["reason"]) == ("hand", "ada", "r" * 200)


def test_what_code_says_of_a_turn_is_bounded(serve):
    service = serve()
    service.f.open(60, reason="x" * 5000, by="y" * 5000)
    why = brief.why(service.f.circuit)
    assert (len(why["reason"]), len(why["by"])) == (200, 200)
