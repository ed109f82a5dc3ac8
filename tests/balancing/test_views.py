"""What a balancer tells others of itself: rows, and reports of a bounded size."""

import json

import pytest
from helpers_balancing import DOWN, Bench, copies, copy

from resilient.balancing.pool import PATIENCE

KEYS = {
    "id", "url", "zone", "status", "state", "until", "why", "score", "latency_ms", "in_flight", "picks",
    "share", "weight", "success", "row",
}  # fmt: skip


def row(bench: Bench, id: str) -> dict:
    bench.balancer.pick("orders")  # looks at the directory again
    return next(one for one in bench.balancer.view("Orders") if one["id"] == id)


def test_nobody_called_it_yet() -> None:
    bench = Bench("ab")
    assert bench.balancer.view("orders") == []
    assert bench.balancer.report() == {"services": {}, "more": 0}


def test_a_healthy_copy() -> None:
    bench = Bench("ab")
    for _ in range(10):
        bench.good("a", 0.05)
    bench.good("b", 0.1)
    with bench.on("a"):
        a = row(bench, "a")
    assert set(a) == KEYS
    assert json.loads(json.dumps(a)) == a
    assert (a["url"], a["status"], a["state"], a["until"], a["why"]) == (
        "http://host-a:80", "UP", "healthy", None, "",
    )  # fmt: skip
    assert a["picks"] == 10
    assert a["share"] == pytest.approx(10 / 11, abs=1e-3)
    assert a["in_flight"] == 1
    assert a["score"] == pytest.approx(2.0, rel=0.05)  # as quick as usual, and one under way
    assert 45 <= a["latency_ms"] <= 55
    assert row(bench, "b")["latency_ms"] > 90


def test_how_many_went_well_and_how_many_failed_in_a_row() -> None:
    bench = Bench("ab")
    assert (row(bench, "a")["success"], row(bench, "a")["row"]) == (None, 0)
    for _ in range(3):
        bench.good("a", 0.05)
    bench.bad("a", 503)
    assert (row(bench, "a")["success"], row(bench, "a")["row"]) == (0.75, 1)
    bench.good("a", 0.05)
    assert (row(bench, "a")["success"], row(bench, "a")["row"]) == (0.8, 0)


def test_never_measured() -> None:
    bench = Bench("ab")
    assert (row(bench, "a")["score"], row(bench, "a")["latency_ms"], row(bench, "a")["share"]) == (
        None,
        None,
        0,
    )


def test_ejected_then_on_probation_then_warming() -> None:
    bench = Bench("abc")
    for _ in range(5):
        bench.bad("a")
    a = row(bench, "a")
    assert (a["state"], a["why"]) == ("ejected", "failed several times in a row")
    assert 5.0 <= a["until"] - bench.clock.time() <= 5.5
    bench.clock.advance(5.6)
    a = row(bench, "a")
    assert (a["state"], a["until"], a["why"]) == ("probation", None, "failed several times in a row")
    bench.clock.advance(PATIENCE + 1)
    with bench.pick() as probe:
        assert probe.instance.id == "a"
        assert row(bench, "a")["state"] == "probation"
    a = row(bench, "a")
    assert (a["state"], a["why"]) == ("warming", "was ejected")
    assert a["until"] - bench.clock.time() == pytest.approx(30.0)
    assert a["weight"] == pytest.approx(0.1)
    bench.clock.advance(31)
    assert (row(bench, "a")["state"], row(bench, "a")["weight"]) == ("healthy", 1.0)


def test_a_new_copy_warms_up_unless_most_are_new() -> None:
    bench = Bench("abc")
    bench.pick()
    bench.clock.advance(100)
    bench.set(copies("abcd"))
    assert (row(bench, "d")["state"], row(bench, "d")["why"]) == ("warming", "new")
    bench.set(copies("abcdefgh"))
    assert row(bench, "d")["state"] == "healthy"


def test_drained_down_and_overloaded() -> None:
    bench = Bench("abc")
    bench.pick()
    bench.balancer.drain("orders", "a")
    assert (row(bench, "a")["state"], row(bench, "a")["why"]) == ("draining", "by hand")
    bench.bad("b", 503, 7.0)
    b = row(bench, "b")
    assert (b["state"], b["why"]) == ("ejected", "asked to be left alone")
    assert b["until"] - bench.clock.time() == pytest.approx(7.0)
    bench.set([*copies("ab"), copy("c", host="host-c", status=DOWN)])
    c = row(bench, "c")
    assert (c["state"], c["why"], c["status"]) == ("draining", "the registry says DOWN", "DOWN")


def test_a_report_is_bounded_and_shows_trouble_first() -> None:
    bench = Bench()
    for number in range(25):
        bench.directory[f"s{number:02}"] = copies([f"{number}-{n:02}" for n in range(60)])
        bench.balancer.pick(f"s{number:02}")
    bench.balancer.eject("s24", "24-59", 100.0)
    with bench.balancer.pick("s07"):
        pass
    report = bench.balancer.report()
    assert len(report["services"]) == 20
    assert report["more"] == 5
    assert {"s24", "s07"} <= set(report["services"])  # in trouble; busy
    ill = report["services"]["s24"]
    assert len(ill["instances"]) == 50
    assert ill["more"] == 10
    assert (ill["instances"][0]["id"], ill["instances"][0]["state"]) == ("24-59", "ejected")
    assert (ill["panic"], ill["retries"], ill["exhausted"], ill["budget"]) == (False, 0, 0, 30)
    assert len(json.dumps(report)) < 400_000
    few = bench.balancer.report(services=1, instances=2)
    assert list(few["services"]) == ["s24"]
    assert len(few["services"]["s24"]["instances"]) == 2
