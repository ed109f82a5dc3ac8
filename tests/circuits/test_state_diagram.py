"""The diagram on the page is the one that the code draws."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def diagram(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import state_diagram

    yield state_diagram
    sys.modules.pop("state_diagram")


def test_the_page_is_up_to_date(diagram, capsys):
    assert diagram.main(["--check"]) == 0, capsys.readouterr().out


def test_every_state_is_reached_and_every_rule_turns_something(diagram):
    found = diagram.explored()
    states = {state for state, _ in found}
    assert states == {"closed", "open", "half-open", "forced-open", "forced-closed"}
    turning = {event for events in diagram.turns().values() for event in events}
    quiet = {"a call ends without a verdict", "open(math.inf)"}
    assert turning == set(diagram.EVENTS) - quiet
    assert found["closed", "a call ends without a verdict"] == "closed"


def test_a_page_that_is_out_of_date_is_noticed_and_written(diagram, tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{diagram.BEGIN}\nold\n{diagram.END}\nafter\n")
    monkeypatch.setattr(diagram, "PAGE", page)
    assert diagram.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().out
    assert diagram.main([]) == 0
    assert page.read_text().startswith("before\n<!-- states")
    assert page.read_text().endswith("\nafter\n")
    assert "closed --> open" in page.read_text()
    assert diagram.main(["--check"]) == 0
