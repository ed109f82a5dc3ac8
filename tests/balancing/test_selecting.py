"""Weights in turn, selection by metadata, subsets, and what is done with zones."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random

import pytest
from helpers_balancing import Bench, copies
from hypothesis import given
from hypothesis import strategies as st

from resilient.balancing.node import Node
from resilient.balancing.rules import Subset, by_key, rule_maker, weighted_round_robin, zones
from resilient.errors import ConfigError, NoInstance
from resilient.runtime import Runtime


def weighted(weights: dict[str, str], **fields: str) -> list:
    return [copies(name, metadata={"weight": weight, **fields})[0] for name, weight in weights.items()]


def test_case_06_smooth_weighted_round_robin() -> None:
    bench = Bench("abc", "weighted_round_robin")
    bench.set(weighted({"a": "5", "b": "1", "c": "1"}))
    picked = [bench.pick().instance.id for _ in range(70)]
    for start in range(60):
        assert Counter(picked[start : start + 7]) == {"a": 5, "b": 1, "c": 1}
    assert max(len(list(run)) for name, run in itertools.groupby(picked) if name == "a") < 5


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_weighted_turns_are_exact_over_a_full_round(weights: list[int]) -> None:
    nodes = [Node(one, lambda: 0.0) for one in copies([f"n{n}" for n in range(len(weights))])]
    for node, weight in zip(nodes, weights, strict=True):
        node.weight = float(weight)
    rule, rng = weighted_round_robin(), Random(1)
    for _ in range(2):
        counts = Counter(rule(nodes, rng).instance.id for _ in range(sum(weights)))
        assert counts == {f"n{n}": weight for n, weight in enumerate(weights)}


def test_weighted_turns_forget_who_left() -> None:
    rule, rng = weighted_round_robin(), Random(1)
    for generation in range(50):
        nodes = [Node(one, lambda: 0.0) for one in copies([f"g{generation}{name}" for name in "ab"])]
        assert len({rule(nodes, rng).instance.id for _ in range(2)}) == 2
    credits = rule.__closure__[0].cell_contents  # type: ignore[attr-defined]
    assert len(credits) <= 6


def test_a_weight_of_zero_has_no_turn() -> None:
    bench = Bench("ab", "weighted_round_robin")
    bench.set(weighted({"a": "0", "b": "2", "c": "1"}))
    assert bench.shares(300) == {"a": 0, "b": 200, "c": 100}
    bench.set(weighted({"a": "0", "b": "0"}))
    assert bench.shares(100) == {"a": 50, "b": 50}


def two_versions() -> Bench:
    bench = Bench("abcd")
    bench.set((*copies("ab", metadata={"version": "1"}), *copies("cd", metadata={"version": "2"})))
    return bench


def test_metadata_selects() -> None:
    bench = two_versions()
    shares = bench.shares(400, where={"version": "2"})
    assert shares["a"] == shares["b"] == 0
    assert min(shares["c"], shares["d"]) > 100
    assert len([name for name, count in bench.shares(400).items() if count > 50]) == 4


def test_case_73_nobody_fits() -> None:
    bench = two_versions()
    with pytest.raises(NoInstance, match="selector: none of them has version=3"):
        bench.pick(where={"version": "3"})
    with pytest.raises(NoInstance, match="selector"):
        bench.pick(where={"version": "2", "role": "primary"})


def test_those_selected_keep_out_of_the_way_of_the_ejected_until_nobody_else_is_left() -> None:
    bench = two_versions()
    bench.pick()
    bench.balancer.eject("orders", "c", 100.0)
    assert bench.shares(100, where={"version": "2"})["d"] == 100
    bench.balancer.eject("orders", "d", 100.0)
    shares = bench.shares(100, where={"version": "2"})
    assert shares["c"] + shares["d"] == 100
    bench.balancer.drain("orders", "c")
    bench.balancer.drain("orders", "d")
    with pytest.raises(NoInstance):
        bench.pick(where={"version": "2"})


def test_selection_avoidance_and_keys_go_together() -> None:
    bench = two_versions()
    assert {bench.pick(where={"version": "1"}, avoid=["a"]).instance.id for _ in range(50)} == {"b"}
    assert bench.pick(where={"version": "1"}, avoid=["a", "b"]).instance.id in "ab"
    stuck = {bench.pick(where={"version": "1"}, key="k").instance.id for _ in range(20)}
    assert len(stuck) == 1
    assert stuck <= {"a", "b"}


def test_a_probe_is_one_of_those_selected() -> None:
    bench = two_versions()
    bench.pick()
    bench.balancer.eject("orders", "a", 5.0)
    bench.clock.advance(6.0)
    assert bench.pick(where={"version": "2"}, harmless=True).instance.id in "cd"
    assert bench.state("a") == "waiting"
    assert bench.pick(where={"version": "1"}, harmless=True).instance.id == "a"


def test_ways_to_select_are_forgotten() -> None:
    bench = two_versions()
    for number in range(500):
        with pytest.raises(NoInstance):
            bench.pick(where={"version": f"v{number}"})
    assert len(bench.pool.usable._matches) <= 100


HUNDRED = [f"i{n:02}" for n in range(100)]


def members(bench: Bench, picks: int = 600) -> set[str]:
    return {name for name, count in bench.shares(picks).items() if count}


def test_case_22_a_subset_moves_by_one_at_most() -> None:
    bench = Bench(HUNDRED, Subset(20, seed="me"))
    before = members(bench)
    assert len(before) == 20
    gone = sorted(before)[7]
    bench.set(copies([name for name in HUNDRED if name != gone]))
    after = members(bench)
    assert before - after == {gone}
    assert len(after) == 20
    shuffled = [name for name in HUNDRED if name != gone]
    Random(3).shuffle(shuffled)
    bench.set(copies(shuffled))
    assert members(bench) == after


def test_each_process_draws_its_own_subset() -> None:
    subsets = [members(Bench(HUNDRED, Subset(20), seed=seed)) for seed in range(3)]
    assert subsets[0] != subsets[1] != subsets[2]
    with pytest.raises(ConfigError, match="at least one"):
        Subset(0)


def two_zones(mode: str, **options: object) -> Bench:
    bench = Bench(rule=zones(mode, **options), zone="z1")  # type: ignore[arg-type]
    bench.set((*copies("ab", zone="Z1"), *copies("cdef", zone="z2")))
    return bench


def test_strict_never_leaves_the_zone() -> None:
    bench = two_zones("strict")
    assert {name for name, count in bench.shares(300).items() if count} == {"a", "b"}
    assert {bench.pick(avoid=["a", "b"]).instance.id for _ in range(50)} <= {"a", "b"}
    for name in "ab":
        bench.balancer.eject("orders", name, 100.0)
    assert bench.pick().instance.id in "ab"
    bench.set(copies("cdef", zone="z2"))
    with pytest.raises(NoInstance):
        bench.pick()


def test_strict_in_an_unknown_zone_is_no_zone() -> None:
    bench = Bench(rule=zones("strict"))
    bench.set(copies("cd", zone="z2"))
    assert bench.pick().instance.id in "cd"


def test_off_treats_zones_alike_and_prefer_does_not() -> None:
    assert min(two_zones("off").shares(1200).values()) > 100
    shares = two_zones("prefer", rule="random").shares(1200)
    assert shares["a"] + shares["b"] > 1000


def test_zones_with_a_named_rule_that_remembers() -> None:
    bench = two_zones("strict", rule="round_robin")
    assert bench.shares(10) == {"a": 5, "b": 5, "c": 0, "d": 0, "e": 0, "f": 0}
    with pytest.raises(ConfigError, match="'prefer', 'strict' or 'off'"):
        zones("sometimes")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="rule must be"):
        zones("off", "fastest")


def test_a_runtime_takes_zones_as_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESILIENT_ZONE", "z1")
    here = Runtime(
        instances={"orders": copies("a", zone="z1") + copies("bc", zone="z2")}, rule=zones("strict")
    )
    assert {here.balancer.pick("orders").instance.id for _ in range(20)} == {"a"}


@given(st.sets(st.text("abcdef", min_size=1, max_size=4), min_size=2, max_size=12), st.data())
def test_keys_move_only_from_who_left(names: set[str], data: st.DataObject) -> None:
    nodes = [Node(one, lambda: 0.0) for one in copies(sorted(names))]
    gone = data.draw(st.sampled_from(nodes))
    left = [node for node in nodes if node is not gone]
    for number in range(20):
        before = by_key(str(number), nodes)
        assert before is gone or by_key(str(number), left) is before


def test_ribbon_names_and_ours() -> None:
    names = {
        "RoundRobinRule": "round_robin",
        "RandomRule": "random",
        "WeightedResponseTimeRule": "two_choices",
        "BestAvailableRule": "least_loaded",
        "AvailabilityFilteringRule": "round_robin",
        "ZoneAvoidanceRule": "two_choices",
    }
    for theirs, ours in names.items():
        one, other = rule_maker(theirs)(), rule_maker(ours)()
        assert getattr(one, "__qualname__", one) == getattr(other, "__qualname__", other)
