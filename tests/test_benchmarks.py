"""The bench itself: that it times only what works, and that its verdicts are right. No speed is tested."""

from __future__ import annotations

import json

import pytest

from benchmarks import __main__ as program
from benchmarks import budgets, floors, many, measure, ours, peers, pick, report
from benchmarks.budgets import Budget, Finding, Ratio
from resilient import Runtime
from resilient.circuits import attempt


@pytest.fixture(autouse=True)
def runtime():
    with Runtime().active() as runtime:
        yield runtime


async def test_every_contender_of_ours_proves_itself_and_has_a_budget():
    cases = ours.cases()
    for case in cases:
        assert case.prove is not None
        await case.prove()
    assert {case.name for case in cases} == {budget.name for budget in budgets.CALLS}
    known = {case.name for case in [*cases, *floors.cases(), *peers.cases()[0]]} | set(peers.cases()[1])
    assert {name for ratio in budgets.RATIOS for name in (ratio.name, ratio.other)} <= known
    assert set(budgets.REFERENCE) == {case.name for case in floors.cases()}


async def test_every_installed_peer_opens_in_its_own_way():
    cases, missing = peers.cases()
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (make bench)")
    for case in cases:
        if case.prove is not None:
            await case.prove()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"error_rate": 0.9}, "still closed"),
        ({"error_rate": 0.3}, "open after"),
        ({"observe": True}, "still closed"),
        ({"min_calls": 23}, "still closed"),
    ],
)
async def test_a_circuit_that_does_not_open_at_half_is_not_timed(options, words):
    f = ours.guarded(measure.target(), **options)
    with pytest.raises(measure.NotProven, match=words):
        await ours.opens(f)()


async def test_a_peer_that_does_not_open_is_not_timed():
    def nothing(f):
        return f, LookupError

    with pytest.raises(measure.NotProven, match="did not open"):
        await peers.opens(nothing)()


async def test_rounds_time_every_case_and_leave_the_switch_as_it_was():
    seen = []

    async def look():
        seen.append(attempt.watched)

    before = attempt.watched
    cases = [
        *measure.bare(),
        measure.Case("plain", measure.ASYNC, look),
        measure.Case("watched", measure.ASYNC, look, watched=True, weight=2),
    ]
    found = await measure.rounds(cases, 3, 40)
    assert attempt.watched is before
    assert len(seen) == (3 + 2) * (40 + 20)
    assert seen.count(True) == (3 + 2) * 20
    assert set(found) == {case.name for case in cases}
    assert all(ns > 0 for ns in found.values())
    assert set(measure.over_bare(cases, found)) == {"plain", "watched"}


def test_the_lower_quartile():
    assert measure.low([4, 1, 3, 2, 5]) == 2
    assert measure.low([7]) == 7


async def test_the_floors_do_what_they_are_floors_of():
    for case in floors.cases():
        for _ in range(600):
            answer = case.call()
            assert (await answer if case.kind == measure.ASYNC else answer) == 1
        with pytest.raises(measure.Ill):
            answer = case.call(False)
            if case.kind == measure.ASYNC:
                await answer


@pytest.mark.parametrize(
    ("measured", "verdict"), [(100, "ok"), (200, "ok"), (201, "over"), (300, "over"), (301, "fail")]
)
def test_a_budget_is_scaled_by_the_machine(measured, verdict):
    (finding,) = budgets.check([Budget("call", 100)], {"call": measured}, 2.0)
    assert (finding.allowed, finding.verdict) == (200, verdict)


def test_bytes_are_the_same_on_every_machine():
    (finding,) = budgets.check([Budget("circuit", 100, "bytes"), Budget("absent", 1)], {"circuit": 120}, 2.0)
    assert (finding.allowed, finding.verdict) == (100, "over")


def test_ratios_need_both_sides():
    ratios = [Ratio("ours", 0.5, "theirs"), Ratio("ours", 0.5, "absent")]
    (finding,) = budgets.compare(ratios, {"ours": 80.0, "theirs": 100.0})
    assert (finding.measured, finding.verdict) == (0.8, "fail")


def test_the_scale_is_one_on_the_machine_of_the_budgets():
    assert budgets.scale(budgets.REFERENCE) == pytest.approx(1.0)
    assert budgets.scale({name: 3 * ns for name, ns in budgets.REFERENCE.items()}) == pytest.approx(3.0)


def _sections(*measured: float):
    """Stands for the measuring: each run finds the next figure, against a budget of 100."""
    left = list(measured)

    async def run(wanted, short):
        value = left.pop(0)
        section = report.Section("memory", "Memory", {"circuit": value}, unit="bytes")
        section.findings = [Finding("circuit", "bytes", value, 100, 100)]
        return [section], 1.5

    return run


@pytest.mark.parametrize(
    ("measured", "code", "words"),
    [
        ((90,), 0, ""),
        ((140,), 0, "warning, beyond the budget: memory: circuit"),
        ((160, 120), 0, "measured once more"),
        ((160, 160), 1, "failed, beyond 1.5 times the budget: memory: circuit"),
    ],
)
def test_only_what_is_twice_beyond_the_hard_limit_fails(monkeypatch, capsys, measured, code, words):
    monkeypatch.setattr(program, "_sections", _sections(*measured))
    assert program.main(["--only", "memory"]) == code
    printed = capsys.readouterr()
    assert words in printed.err
    assert "1.50 times as slow" in printed.out.replace("\n", " ")


def test_json_has_it_all(monkeypatch, capsys):
    monkeypatch.setattr(program, "_sections", _sections(140))
    assert program.main(["--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "over"
    assert said["machine"]["times_slower"] == 1.5
    (budget,) = said["sections"]["memory"]["budgets"]
    assert budget == {
        "name": "circuit",
        "unit": "bytes",
        "budget": 100,
        "allowed_here": 100,
        "measured": 140,
        "verdict": "over",
    }


def test_a_contender_that_does_not_work_ends_the_run(monkeypatch, capsys):
    async def run(wanted, short):
        raise measure.NotProven("it never opens")

    monkeypatch.setattr(program, "_sections", run)
    assert program.main([]) == 2
    assert "it never opens" in capsys.readouterr().err


async def test_many_circuits_are_many():
    found, floor = await many._of(3, True, 1)
    assert floor > 0
    assert "3 circuits shuffled, all on" in found


def test_picks_reach_all_instances():
    pytest.importorskip("resilient.balancing.balancer")
    balancer = pick._balancer(10)
    with balancer.pick("orders") as one:
        assert one.instance.service == "orders"
