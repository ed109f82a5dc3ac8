"""The bench of balancing keeps its bounds, and says so when it does not."""

import json

import pytest

from benchmarks import balancing
from benchmarks.balancing_report import Bound, Result
from benchmarks.balancing_world import CONTENDERS, World


def test_the_short_run_keeps_all_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    assert balancing.main(["--short", "--no-sockets", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["kept"]
    slow, *_ = said["scenarios"]
    assert set(slow["contenders"]) == set(CONTENDERS)
    assert slow["contenders"]["round robin"]["slow copy %"] == pytest.approx(10, abs=0.5)
    assert sum(len(one["bounds"]) for one in said["scenarios"]) == 18


def test_a_broken_bound_is_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = Result("a case", ("share",), {"ours": (3.0,)}, [Bound("a case", "share", 3.0, 2.0)])
    monkeypatch.setattr(balancing, "simulated", lambda short: [result])
    assert balancing.main(["--no-sockets"]) == 1
    printed = capsys.readouterr()
    assert "broken: a case: share is 3.00 %" in printed.err
    assert "broken" in printed.out


def test_the_world_loses_nobody_and_repeats_itself() -> None:
    def run() -> list[tuple[float, float, int]]:
        world = World(balancing.even, "ours", rate=500.0, calls=2000, seed=3, copies=3, workers=1)
        assert len(world.outcome.calls) == 2000
        assert sum(world.outcome.counts(3)) == len(world.outcome.tries) == 2000
        return world.outcome.calls

    assert run() == run()
