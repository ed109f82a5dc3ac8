"""Copies that take tries and do not answer them."""

import pytest
from helpers_balancing import Bench, Late


def late(bench: Bench, name: str) -> None:
    with pytest.raises(Late):
        with bench.on_try(name):
            bench.clock.advance(0.5)
            bench.good("b", 0.0) if name == "a" else None
            raise Late


def test_two_tries_without_an_answer_while_others_answer() -> None:
    bench = Bench("abc")
    late(bench, "a")
    assert bench.state("a") == "healthy"
    bench.good("a")
    late(bench, "a")
    assert bench.state("a") == "healthy"  # not in a row
    late(bench, "a")
    assert bench.state("a") == "ejected"
    (event,) = bench.events
    assert event.reason == "does not answer while others do"
    assert 5.0 <= event.seconds <= 5.5


def test_silence_of_all_ejects_nobody_early() -> None:
    bench = Bench("abc")
    for _ in range(4):
        for name in "cb":
            late(bench, name)
    assert [bench.state(name) for name in "abc"] == ["healthy"] * 3
    late(bench, "c")
    assert bench.state("c") == "ejected"  # the fifth in a row
