"""What a process tells its registry of its circuits: that which has changed, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from resilient import Runtime, circuit
from resilient.circuits import brief
from resilient.circuits.commands import apply
from resilient.clock import ManualClock
from resilient.discovery.pushing import Pusher

clock = ManualClock()


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Runtime]:
    with Runtime(clock=clock).active() as runtime:
        yield runtime


def fails(error: type[Exception]) -> None:
    raise error


class Bench:
    """One circuit, and the pushes about it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.call = circuit("pay", min_calls=20)(fails)
        self.pusher = Pusher(runtime.circuits, clock)
        self.bad()

    def bad(self, error: type[Exception] = ValueError, n: int = 1) -> None:
        for _ in range(n):
            with pytest.raises(error):
                self.call(error)

    def push(self) -> dict[str, Any]:
        return self.pusher.push("shop", "shop-1", "w1", 1.0)


@pytest.fixture
def bench(runtime: Runtime) -> Bench:
    bench = Bench(runtime)
    bench.push()
    return bench


def test_what_looks_as_it_did_is_left_out(bench: Bench) -> None:
    assert bench.push()["rows"] == []
    bench.bad(KeyError)
    (row,) = bench.push()["rows"]
    assert row[brief.KINDS] == [["KeyError", 1], ["ValueError", 1]]
    assert bench.push()["rows"] == []


def test_another_kind_is_news_though_the_counts_are_the_same(bench: Bench) -> None:
    clock.advance(9)
    bench.push()
    bench.bad()
    clock.advance(2)
    bench.push()
    clock.advance(7)
    bench.bad(KeyError)  # as the other one leaves
    clock.advance(2)
    (row,) = bench.push()["rows"]
    assert row[brief.KINDS] == [["ValueError", 2], ["KeyError", 1]]


def test_why_is_told_with_the_turn_and_only_then(bench: Bench) -> None:
    assert "why" not in bench.push()
    bench.bad(n=19)
    assert bench.push()["why"]["pay"]["rule"] == "error_rate"
    clock.advance(1)
    assert "why" not in bench.push()


@pytest.mark.parametrize(("action", "letter"), [("open", "F"), ("close", "L"), ("reset", "C")])
def test_somebody_turned_it(bench: Bench, action: str, letter: str) -> None:
    if action == "reset":
        bench.bad(n=19)
        bench.push()
    command = {"id": "c1", "circuit": "pay", "action": action, "reason": "repair", "by": "ada"}
    apply(bench.runtime.circuits, command)
    push = bench.push()
    assert push["rows"][0][brief.STATE] == letter
    assert (push["why"]["pay"]["by"], push["why"]["pay"]["reason"]) == ("ada", "repair")
    clock.advance(1)
    assert "why" not in bench.push()


def test_a_hold_that_ends_is_nobodys_turn(bench: Bench) -> None:
    command = {"id": "c1", "circuit": "pay", "action": "open", "for": 5, "reason": "repair", "by": "ada"}
    apply(bench.runtime.circuits, command)
    bench.push()
    clock.advance(5)
    push = bench.push()
    assert push["rows"][0][brief.STATE] == "C"
    assert "why" not in push
