"""Commands from afar: done once, shown, told; what makes no sense is left alone."""

from __future__ import annotations

import math
from typing import Any

import pytest

from resilient import CircuitOpen
from resilient.circuits.commands import APPLIED, REPEATED, apply
from resilient.events import CircuitChanged, OperatorActed


@pytest.fixture
def told(runtime) -> list[Any]:
    heard: list[Any] = []
    runtime.events.subscribe(heard.append, OperatorActed, CircuitChanged)
    return heard


def command(action: str, id: str = "c1", **more: Any) -> dict[str, Any]:
    return {"id": id, "circuit": "service", "action": action, "for": None, "reason": "", "by": "", **more}


def test_open_for_a_while(serve, runtime, clock, told):
    service = serve()
    service.good()
    assert apply(runtime.circuits, command("open", **{"for": 60, "reason": "repair", "by": "ada"})) == APPLIED
    service.refused()
    said = service.f.snapshot().as_dict()
    assert (said["state"], said["mode"], said["command"]) == ("forced-open", "open", "c1")
    assert (said["mode_reason"], said["mode_by"]) == ("repair", "ada")
    assert said["mode_until"] == pytest.approx(clock.time() + 60)
    acted = told[-1]
    assert (acted.circuit, acted.action, acted.by, acted.reason) == ("service", "open", "ada", "repair")
    assert acted.until == pytest.approx(clock.time() + 60)
    assert (acted.command, acted.severity) == ("c1", "warning")
    clock.advance(59.9)
    service.refused()
    clock.advance(0.1)
    service.good()
    said = service.f.snapshot().as_dict()
    assert (said["state"], said["mode"], said["mode_until"], said["mode_by"]) == ("closed", "auto", None, "")
    assert said["command"] == "c1"  # it was obeyed, whatever came later


def test_open_until_told_otherwise_and_auto(serve, runtime, clock):
    service = serve()
    service.good()
    assert apply(runtime.circuits, command("open")) == APPLIED
    clock.advance(1e6)
    service.refused()
    assert service.f.snapshot().mode_until is None
    assert apply(runtime.circuits, command("auto", "c2")) == APPLIED
    service.good()
    service.bad(18)
    assert apply(runtime.circuits, command("auto", "c3")) == APPLIED  # nothing is held: nothing is cleaned
    service.bad(1)
    assert service.state == "open"
    assert service.f.snapshot().command == "c3"


def test_close_holds_it_closed_and_reset_cleans(serve, runtime, clock):
    service = serve()
    service.bad(20)
    assert service.state == "open"
    assert apply(runtime.circuits, command("close", **{"for": 10})) == APPLIED
    service.bad(40)
    assert service.f.snapshot().shown_state == "forced-closed"
    clock.advance(10)
    service.bad(19)
    assert service.state == "closed"
    assert apply(runtime.circuits, command("reset", "c2")) == APPLIED
    service.bad(19)
    assert service.state == "closed"
    service.bad(1)
    assert service.state == "open"
    assert apply(runtime.circuits, command("reset", "c3", **{"for": 5})) == APPLIED
    service.bad(20)
    assert service.state == "open"  # reset holds nothing


def test_a_command_that_comes_again_is_not_obeyed_again(serve, runtime, told):
    service = serve()
    service.good()
    apply(runtime.circuits, command("open"))
    apply(runtime.circuits, command("auto", "c2"))
    heard = len(told)
    assert apply(runtime.circuits, command("open")) == REPEATED
    service.good()
    assert len(told) == heard
    assert service.f.snapshot().command == "c2"
    for n in range(600):
        apply(runtime.circuits, command("auto", f"n{n}"))
    assert len(runtime.circuits.obeyed) == 512


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": ""}, "needs an id"),
        ({"id": None}, "needs an id"),
        ({"id": 7}, "needs an id"),
        ({"action": "explode"}, "no action 'explode'; known: open, close, auto, reset"),
        ({"action": None}, "no action ''"),
        ({"circuit": "nobody"}, "no circuit 'nobody' in this process"),
        ({"circuit": None}, "no circuit ''"),
        ({"for": 0}, "'for' must be seconds"),
        ({"for": -1}, "'for' must be seconds"),
        ({"for": True}, "'for' must be seconds"),
        ({"for": "60"}, "'for' must be seconds"),
        ({"for": math.inf}, "'for' must be seconds"),
        ({"for": math.nan}, "'for' must be seconds"),
    ],
)
def test_what_makes_no_sense_is_left_alone(serve, runtime, told, change, words):
    service = serve()
    service.good()
    answer = apply(runtime.circuits, {**command("open"), **change})
    assert answer.startswith("ignored: ")
    assert words in answer
    service.good()
    assert told == []
    assert apply(runtime.circuits, command("open")) == APPLIED  # its id is still good


def test_what_is_said_is_kept_short_and_clean(serve, runtime, told):
    service = serve()
    service.good()
    apply(runtime.circuits, command("open", reason="a\x1b[31m\nb" + "x" * 999, by="\u202eeve"))
    snapshot = service.f.snapshot()
    assert snapshot.mode_reason.startswith("a [31m b")
    assert len(snapshot.mode_reason) == 200
    assert snapshot.mode_by == "eve"
    with pytest.raises(CircuitOpen):
        service()


@pytest.mark.parametrize(
    ("before", "action", "turn"),
    [
        ("closed", "open", ("closed", "open")),
        ("open", "close", ("open", "closed")),
        ("open", "reset", ("open", "closed")),
        ("held", "auto", ("open", "closed")),
    ],
)
def test_a_turn_by_hand_says_who_and_why(serve, runtime, told, caplog, before, action, turn):
    service = serve()
    service.good()
    if before == "open":
        service.bad(19)
    elif before == "held":
        apply(runtime.circuits, command("open", "c0"))
    told.clear()
    caplog.clear()
    caplog.set_level("INFO", "resilient")
    apply(runtime.circuits, command(action, reason="repair", by="ada"))
    (changed,) = [one for one in told if isinstance(one, CircuitChanged)]
    assert (changed.old, changed.new, changed.by, changed.reason) == (*turn, "ada", "repair")
    (line,) = [text for text in caplog.messages if "circuit_changed" in text]
    assert "by='ada'" in line
    assert "reason='repair'" in line


def test_what_it_does_by_itself_later_is_nobodys(serve, runtime, clock, told):
    service = serve()
    service.good()
    apply(runtime.circuits, command("open", **{"for": 5, "reason": "repair", "by": "ada"}))
    told.clear()
    clock.advance(5)
    service.bad(20)  # the hold has ended; then it opens for reasons of its own
    assert [(one.new, one.by, one.reason) for one in told] == [("closed", "", ""), ("open", "", "Boom: no")]
    assert service.f.circuit.turned_by is None


def test_why_somebody_closed_it_is_no_error_of_the_service(serve, runtime):
    service = serve()
    service.bad(20)
    apply(runtime.circuits, command("reset", reason="all is well", by="ada"))
    snapshot = service.f.snapshot()
    assert snapshot.last_error == "Boom: no"
    assert (snapshot.mode, snapshot.mode_by, snapshot.mode_reason) == ("auto", "", "")


def test_the_process_that_hears_tells_in_order(serve, runtime, told):
    service = serve()
    service.good()
    apply(runtime.circuits, command("open"))
    assert [type(one) for one in told] == [CircuitChanged, OperatorActed]
