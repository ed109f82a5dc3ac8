"""The files in ops/: that they ask for what there is, and that docs/operating.md tells of every alert."""

from __future__ import annotations

import json
import re

import pytest
from ops_kit import MISSING, OPS, PROMTOOL, ROOT, panels, promtool

from registry_server import metrics as server
from resilient.telemetry.metrics import balancers, circuits, directory, process, threads
from resilient.telemetry.metrics.rows import Family

DOC = (ROOT / "docs" / "operating.md").read_text()
ALERTS, RECORDING = (OPS / "alerts.yml").read_text(), (OPS / "recording.yml").read_text()
FAMILIES = {
    family.name: family
    for room in (balancers, circuits, directory, process, threads, server)
    for family in vars(room).values()
    if isinstance(family, Family)
}


def names() -> set[str]:
    """Every series there may be."""
    found = set(re.findall(r"record: (\S+)", RECORDING))
    for family in FAMILIES.values():
        found |= set(family.names)
    return found


def asked(text: str) -> set[str]:
    return set(re.findall(r"\bresilient[_:][a-z_:0-9]+", text))


def test_queries_ask_for_what_there_is() -> None:
    queries = " ".join(query for _, query in panels())
    rules = re.sub(r"- alert: .*|#.*|- name: .*|job_name: .*", "", ALERTS + RECORDING)
    for where, text in (("grafana.json", queries), ("alerts and recording rules", rules)):
        assert asked(text) - names() == set(), where


def test_labels_that_are_asked_for_exist() -> None:
    text = " ".join(query for _, query in panels()) + ALERTS + RECORDING
    values = {value for family in FAMILIES.values() for value in family.over}
    for label, wanted in re.findall(
        r'\b(state|outcome|result|cause|reason|zone|severity|status|to)(?:=~|!=|=)"([^"$]+)"', text
    ):
        for one in wanted.split("|"):
            assert one in values, f"{label}={one}"


def test_the_dashboard_is_well_formed() -> None:
    board = json.loads((OPS / "grafana.json").read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    assert {one["name"] for one in board["templating"]["list"]} == {"datasource", "job", "circuit"}
    known = {family.written for family in FAMILIES.values()}
    assert asked(json.dumps(board["templating"])) <= known


def test_every_alert_is_told_of_and_no_other() -> None:
    rules = re.findall(r"- alert: (\w+)", ALERTS)
    assert len(rules) == len(set(rules)) > 15
    assert set(re.findall(r"`(Resilient[A-Z]\w+)`", DOC)) == set(rules)


def test_every_metric_is_told_of() -> None:
    assert set(re.findall(r"`(resilient_\w+)`", DOC)) == {family.written for family in FAMILIES.values()}


@pytest.mark.skipif(not PROMTOOL, reason=MISSING)
def test_promtool_takes_the_files() -> None:
    assert promtool("check", "rules", str(OPS / "alerts.yml"), str(OPS / "recording.yml")) == ""
    assert promtool("check", "config", str(OPS / "prometheus.yml")) == ""
