"""A real Prometheus finds an estate through the registry, and every file in ops/ works on what it reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ops_kit import MISSING, PROMETHEUS, PROMTOOL, Estate, estate, panels, promtool, read, until

from registry_server import metrics as server
from resilient.telemetry.metrics import balancers, circuits, directory, process, threads
from resilient.telemetry.metrics.page import OPENMETRICS
from resilient.telemetry.metrics.rows import Family

pytestmark = [
    pytest.mark.skipif(os.environ.get("OPS") != "full", reason="a minute with real processes: make test-ops"),
    pytest.mark.skipif(not (PROMETHEUS and PROMTOOL), reason=MISSING),
]
SERVER = [one for one in vars(server).values() if isinstance(one, Family)]
OURS = [
    family
    for room in (circuits, balancers, directory, threads, process)
    for family in room.FAMILIES
    if family is not process.LAG
]
#: What an estate that lost nothing has none of, or only for a moment; tests/telemetry makes them count.
QUIET = {
    "resilient_circuit_late_calls_total",
    "resilient_circuit_retries_total",
    "resilient_circuit_collapsed_calls_total",
    "resilient_circuit_abandoned_threads",
    "resilient_circuit_in_flight",
    "resilient_tries_in_flight",
    "resilient_balancer_no_instance_total",
    "resilient_balancer_panic",
    "resilient_balancer_panics_total",
    "resilient_metrics_folded",
    "resilient_lint_findings",
    "resilient_stream_readers",
    "resilient_stream_refused_total",
    "resilient_stream_missed_total",
    "resilient_registry_late_instances",
    "resilient_registry_unconfirmed_instances",
    "resilient_registry_preserving",
    "resilient_registry_suspicious",
    "resilient_registry_board_dropped_total",
    "resilient_registry_feed_readers_cut_total",
    "resilient_registry_connections_refused_total",
}
#: What only a registry with peers, or with a snapshot file, has.
ABSENT = ("resilient_registry_peer_", "resilient_registry_snapshot_")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """An estate that has been well, ill, and well again."""
    with estate(tmp_path_factory.mktemp("prometheus")) as found:
        prometheus = found.prometheus
        wanted = {"resilient-registry": "", "stock": "", "orders": ""}
        until(lambda: prometheus.healthy() == wanted, f"not all are scraped: {prometheus.healthy()}", 60)
        state = 'sum(resilient_circuit_state{circuit="get stock",state=~"%s"})'
        until(lambda: prometheus.value(state % "closed") == 1, "the circuit is not shown as closed")
        found.states = [prometheus.value(state % "open|half_open")]
        found.stocks[0].tell("status 503")  # one copy: it is ejected, and tries are repeated at the other
        until(
            lambda: prometheus.value("sum(resilient_balancer_ejections_total)"), "the ill copy is not ejected"
        )
        found.tell("status 503")
        until(lambda: prometheus.value(state % "open|half_open") == 1, "the circuit is not shown as open")
        found.states.append(prometheus.value(state % "closed"))
        until(
            lambda: "ResilientCircuitOpen" in {one["labels"]["alertname"] for one in alerts(found)},
            "no alert for it",
        )
        until(
            lambda: prometheus.value("sum(resilient_retry_budget_exhausted_total)"),
            "the retry budget does not run out",
            60,
        )
        found.ill = {title for title, query in panels() if prometheus.query(query)}
        found.tell("status 200")
        until(lambda: prometheus.value(state % "closed") == 1, "the circuit does not close again", 60)
        until(
            lambda: prometheus.value("sum(resilient_balancer_restorations_total)"), "no copy comes back", 60
        )
        yield found


def alerts(live: Estate) -> list[dict]:
    return live.prometheus.get("alerts")["alerts"]


def test_everybody_is_found_through_the_registry(live: Estate) -> None:
    found = live.prometheus.get("targets")["activeTargets"]
    jobs = sorted(one["labels"]["job"] for one in found)
    assert jobs == ["orders", "resilient-registry", "stock", "stock"]
    assert {one["labels"]["zone"] for one in found if one["labels"]["job"] == "stock"} == {"default"}
    assert all(one["labels"]["instance"].count(":") for one in found)
    assert all(one["health"] == "up" for one in found), [one["lastError"] for one in found]


def test_the_state_flips_when_a_circuit_breaks(live: Estate) -> None:
    assert live.states == [0, 0], "open before it broke, or closed while it was open"
    every = live.prometheus.query("sum by (instance, circuit) (resilient_circuit_state)")
    assert every
    assert {one["value"][1] for one in every} == {"1"}, "not exactly one state is 1"


def test_every_family_is_there_and_counts(live: Estate) -> None:
    present = live.prometheus.query('count by (__name__) ({__name__=~"resilient_.+"})')
    names = {one["metric"]["__name__"] for one in present}
    for family in {*OURS, *SERVER, process.LAG}:
        name = family.names[-1]
        if name.startswith(ABSENT):
            continue
        assert name in names
        if name not in QUIET:
            most = live.prometheus.value(f"max(max_over_time({name}[10m]))")
            assert most, f"{name} has been 0 all the time"
    assert live.prometheus.value("min(process_resident_memory_bytes)")


def test_every_panel_shows_something(live: Estate) -> None:
    shown = live.ill | {title for title, query in panels() if live.prometheus.query(query)}
    assert {title for title, _ in panels()} - shown == {"Peers: how far behind"}


def test_every_rule_evaluates(live: Estate) -> None:
    groups = live.prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 20
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    for rule in rules:
        if rule["type"] == "recording":
            assert live.prometheus.query(rule["name"]), f"{rule['name']} records nothing"


def test_promtool_has_no_complaints(live: Estate) -> None:
    for service, url in live.pages():
        body, kind = read(url)
        assert kind.startswith("text/plain; version=0.0.4")
        assert promtool("check", "metrics", text=body) == "", service
        assert read(url, "application/openmetrics-text; version=1.0.0")[1] == OPENMETRICS


def test_what_the_registry_counts_is_what_happened(live: Estate) -> None:
    value = live.prometheus.value
    assert value('resilient_registry_instances{status="UP"}') == 3
    assert value('resilient_registry_changes_total{cause="registered"}') == 3
    assert value("resilient_registry_feed_readers") == 3
    assert (value("resilient_registry_board_processes") or 0) >= 1


def test_names_in_this_test_are_known() -> None:
    assert {family.written for family in {*OURS, *SERVER}} >= QUIET
    assert Path(__file__).exists()
