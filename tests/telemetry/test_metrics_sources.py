"""Balancers, directories and event loops in numbers. Numbers in names are the specification's cases."""

from __future__ import annotations

import asyncio
import random

import pytest
from metrics_kit import one, page, total

from resilient import Runtime
from resilient.balancing.balancer import Balancer
from resilient.balancing.dialect import Verdict
from resilient.circuits.book import CircuitBook
from resilient.clock import ManualClock
from resilient.errors import NoInstance
from resilient.model import Directory, Instance
from resilient.telemetry.metrics import Fold, Metrics
from resilient.telemetry.metrics import balancers as exported
from resilient.telemetry.metrics.directory import FETCHES, Counts


def instances(*ids: str) -> tuple[Instance, ...]:
    return tuple(Instance(service="stock", id=id, host=id, port=80) for id in ids)


class Source:
    """A runtime as far as metrics look at one."""

    def __init__(self, *ids: str) -> None:
        self.clock = ManualClock()
        self.circuits = CircuitBook()
        self.listed: dict[str, tuple[Instance, ...]] = {"stock": instances(*ids)}
        self.balancer = Balancer(
            lambda name: self.listed.get(name, ()), clock=self.clock, rng=random.Random(1)
        )
        self.directory = Directory()
        self.discovery = None

    def try_one(self, id: str, verdict: Verdict) -> None:
        pool = self.balancer.pools[0]
        node = pool.find(id)
        pool.learn(node, verdict, self.clock.monotonic(), pool.mean, probe=False)


def test_tries_and_ejections() -> None:
    source = Source("a", "b")
    metrics = Metrics(source)
    with source.balancer.pick("stock"):
        source.clock.advance(0.1)
        assert one(page(metrics), "resilient_tries_in_flight", service="stock") == 1
    source.try_one("a", Verdict.REFUSED)
    found = page(metrics)
    assert one(found, "resilient_tries_total", service="stock", result="success") == 1
    assert one(found, "resilient_tries_total", service="stock", result="failure") == 1
    assert one(found, "resilient_balancer_ejections_total", reason="refused") == 1
    assert total(found, "resilient_balancer_ejections_total") == 1
    source.balancer.pick("stock").__enter__()
    assert one(page(metrics), "resilient_balancer_instances", state="ejected") == 1
    source.balancer.restore("stock", "a")
    found = page(metrics)
    assert one(found, "resilient_balancer_restorations_total") == 1
    assert one(found, "resilient_balancer_instances", state="healthy") == 2
    assert total(found, "resilient_balancer_instances") == 2
    source.balancer.drain("stock", "b")
    assert one(page(metrics), "resilient_balancer_instances", state="drained") == 1


def test_panic() -> None:
    source = Source("a", "b", "c", "d")
    metrics = Metrics(source)
    with source.balancer.pick("stock"):
        pass
    assert one(page(metrics), "resilient_balancer_panic", service="stock") == 0
    for id in ("a", "b", "c"):
        source.balancer.eject("stock", id, 60)
    source.balancer.pick("stock").__enter__()
    found = page(metrics)
    assert one(found, "resilient_balancer_panic", service="stock") == 1
    assert one(found, "resilient_balancer_panics_total", service="stock") == 1
    assert one(found, "resilient_balancer_ejections_total", reason="manual") == 3


def test_nobody_to_call() -> None:
    source = Source("a")
    metrics = Metrics(source)
    with source.balancer.pick("stock"):
        pass
    source.listed["stock"] = ()
    for name in ("stock", "stock", "stok", "anything"):
        with pytest.raises(NoInstance):
            source.balancer.pick(name)
    found = page(metrics)
    assert one(found, "resilient_balancer_no_instance_total", service="stock") == 2
    assert one(found, "resilient_balancer_no_instance_total", service="") == 2


def test_tries_never_fall_when_copies_are_forgotten() -> None:
    source = Source("a")
    metrics = Metrics(source)
    last = 0.0
    for n in range(400):  # a service whose copies change names all the time
        source.listed["stock"] = instances(f"n{n}")
        with source.balancer.pick("stock"):
            source.clock.advance(0.1)
        now = total(page(metrics), "resilient_tries_total")
        assert now == last + 1
        last = now
    assert len(source.balancer.pools[0].nodes) < 200


def test_case_13_more_services_than_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "MOST_SERVICES", 3)
    source = Source("a")
    metrics = Metrics(source)
    for n in range(5):
        source.listed[f"s{n}"] = (Instance(service=f"s{n}", id="i", host="h", port=80),)
        with source.balancer.pick(f"s{n}"):
            source.clock.advance(0.1)
    found = page(metrics)
    assert one(found, "resilient_tries_total", service="other", result="success") == 2
    assert one(found, "resilient_metrics_folded", kind="service") == 1
    assert one(found, "resilient_balancer_instances", service="other", state="healthy") == 2
    assert not total(found, "resilient_balancer_panic", service="other")


def test_case_14_a_copy_that_leaves_takes_its_series_along() -> None:
    source = Source("a", "b")
    metrics = Metrics(source, peers=True)

    def peers() -> set[str]:
        return {dict(pairs)["peer"] for name, pairs in page(metrics) if name == "resilient_peer_tries_total"}

    with source.balancer.pick("stock"):
        source.clock.advance(0.1)
    assert peers() == {"a", "b"}
    source.listed["stock"] = instances("b")
    with source.balancer.pick("stock"):
        pass
    assert peers() == {"b"}
    source.clock.advance(exported_keep())
    source.listed["stock"] = instances("b", "c")
    with source.balancer.pick("stock"):
        pass
    source.listed["stock"] = instances("a", "b")
    before = page(metrics)
    source.balancer.drain("stock", "a")  # looks at the directory, and tries nobody
    found = page(metrics)
    assert total(found, "resilient_peer_tries_total", peer="a") == 0, "a copy that comes back begins at 0"
    assert one(found, "resilient_peer_effective_weight", peer="a") > 0
    assert total(found, "resilient_peer_tries_total", peer="b") == total(
        before, "resilient_peer_tries_total", peer="b"
    )
    assert not [key for key in page(Metrics(source)) if key[0].startswith("resilient_peer")], "off by default"


def exported_keep() -> float:
    from resilient.balancing.roster import KEEP

    return KEEP + 1


def test_peers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "MOST_PEERS", 3)
    source = Source("a", "b", "c", "d", "e")
    with source.balancer.pick("stock"):
        pass
    assert len([1 for name, _ in page(Metrics(source, peers=True)) if name == "resilient_peer_ejected"]) == 3


class Registry:
    """Discovery as far as metrics look at it."""

    def __init__(self) -> None:
        self.fetches = {"full": 1, "delta": 5, "error": 0}
        self.heartbeats = {"taken": 3, "unknown": 0, "refused": 0, "silence": 1}
        self.age: float | None = 4.5
        self.live = True
        self.connected_url = "http://registry"
        self.instance: object | None = object()
        self.registered = False


def test_the_directory() -> None:
    source = Source("a")
    metrics = Metrics(source)
    assert not [key for key in page(metrics) if key[0].startswith("resilient_directory")], "no registry asked"
    source.discovery = Registry()  # type: ignore[assignment]
    source.directory = Directory.of(instances("a", "b"))
    found = page(metrics)
    assert one(found, "resilient_directory_age_seconds") == 4.5
    assert one(found, "resilient_directory_instances") == 2
    assert one(found, "resilient_directory_feed_live") == 1
    assert one(found, "resilient_directory_connected") == 1
    assert one(found, "resilient_registered") == 0
    assert one(found, "resilient_heartbeats_total", result="silence") == 1
    source.discovery.age = None  # type: ignore[attr-defined]
    source.discovery.instance = None  # type: ignore[attr-defined]
    assert not total(page(metrics), "resilient_directory_age_seconds")


def test_case_12_counts_go_on_when_discovery_begins_anew() -> None:
    counts = Counts()
    assert counts(FETCHES, {"full": 2, "delta": 7, "error": 0}) == (2, 7, 0)
    assert counts(FETCHES, {}) == (2, 7, 0)
    assert counts(FETCHES, {"full": 1, "delta": 0, "error": 3}) == (3, 7, 3)
    assert counts(FETCHES, {"full": 1, "delta": 1, "error": 3}) == (3, 8, 3)


async def test_event_loops() -> None:
    metrics = Metrics(Source("a"))
    metrics.watch_loop("main")
    metrics.watch_loop("main")
    metrics.loops["main"].note(0.07)
    metrics.loops["main"].note(3.0)
    await asyncio.sleep(0)
    found = page(metrics)
    assert one(found, "resilient_event_loop_lag_seconds_count", loop="main") == 2
    assert one(found, "resilient_event_loop_lag_seconds_bucket", loop="main", le="0.1") == 1
    assert one(found, "resilient_event_loop_lag_seconds_bucket", loop="main", le="+Inf") == 2
    metrics.unwatch_loop("main")
    metrics.unwatch_loop("nobody")


async def test_a_real_runtime_is_a_source() -> None:
    runtime = Runtime(instances={"stock": ["http://127.0.0.1:1"]})
    metrics = Metrics(runtime)
    with runtime.balancer.pick("stock"):
        pass
    found = page(metrics)
    assert one(found, "resilient_tries_total", service="stock", result="success") == 1
    assert one(found, "resilient_build_info") == 1
    assert one(found, "process_start_time_seconds") > 1e9
    assert Fold(1)("x") == "x"
