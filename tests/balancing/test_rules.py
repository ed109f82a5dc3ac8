import itertools
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from helpers_balancing import Bench, copies

from resilient.balancing.node import Node
from resilient.balancing.rules import Candidates, by_key, prefer_zone, two_choices
from resilient.errors import ConfigError

NAMES = [f"i{n}" for n in range(10)]


def nodes(count: int, **metadata: str) -> list[Node]:
    return [Node(one, lambda: 0.0) for one in copies([f"n{n}" for n in range(count)], metadata=metadata)]


def chi_square(counts: Sequence[int]) -> float:
    mean = sum(counts) / len(counts)
    return sum((count - mean) ** 2 / mean for count in counts)


def test_case_01_round_robin_is_exact_and_never_repeats() -> None:
    bench = Bench("abcde", "round_robin")
    picked = [bench.pick().instance.id for _ in range(1000)]
    assert Counter(picked) == dict.fromkeys("abcde", 200)
    assert all(one != other for one, other in itertools.pairwise(picked))


def test_case_02_round_robin_starts_anywhere() -> None:
    firsts = Counter(Bench("abcde", "round_robin", seed=seed).pick().instance.id for seed in range(1000))
    assert all(abs(firsts[name] - 200) <= 57 for name in "abcde")


def test_case_03_round_robin_over_a_growing_list() -> None:
    bench = Bench("abcde", "round_robin")
    for _ in range(13):
        bench.pick()
    bench.set(copies("abcdef"))
    assert bench.shares(600) == dict.fromkeys("abcdef", 100)


def test_case_04_random_is_even() -> None:
    counts = list(Bench(NAMES, "random").shares(10_000).values())
    assert all(abs(count - 1000) <= 135 for count in counts)
    assert chi_square(counts) < 33.7


def test_case_05_weighted_random() -> None:
    bench = Bench("abcd", "weighted_random")
    bench.set([copies(name, metadata={"weight": str(n)})[0] for n, name in enumerate("abcd", 1)])
    shares = bench.shares(10_000)
    for n, (name, slack) in enumerate(zip("abcd", (135, 180, 206, 220), strict=True), 1):
        assert abs(shares[name] - 1000 * n) <= slack


def test_case_07_two_choices_by_rank() -> None:
    bench = Bench(NAMES)
    bench.pick()
    for rank, name in enumerate(NAMES):
        bench.node(name).measured(1.0 + rank, bench.clock.monotonic())
    shares = bench.shares(90_000)
    for rank, name in enumerate(NAMES, 1):
        p = (10 - rank) / 45
        assert abs(shares[name] - 90_000 * p) <= 4.5 * (90_000 * p * (1 - p)) ** 0.5
    assert shares["i9"] == 0


def test_case_08_equal_scores_are_split_evenly() -> None:
    bench = Bench(NAMES)
    bench.pick()
    for name in NAMES:
        bench.node(name).measured(1.0, bench.clock.monotonic())
    assert chi_square(list(bench.shares(10_000).values())) < 33.7


def test_case_09_never_the_same_twice() -> None:
    bench = Bench("ab")
    bench.pick()
    for name, latency in (("a", 1.0), ("b", 2.0)):
        bench.node(name).measured(latency, bench.clock.monotonic())
    assert bench.shares(10_000) == {"a": 10_000, "b": 0}


def in_flight_after(rule: str, count: int, calls: int, seed: int) -> list[int]:
    bench = Bench([f"i{n}" for n in range(count)], rule, seed=seed)
    for _ in range(calls):
        bench.pick().__enter__()
    return [view.in_flight for view in bench.balancer.nodes("orders")]


def test_case_10_least_loaded_spreads_endless_calls() -> None:
    assert all(max(in_flight_after("least_loaded", 1000, 1000, seed)) <= 4 for seed in range(20))
    worst = [max(in_flight_after("random", 1000, 1000, seed)) for seed in range(20)]
    assert min(worst) >= 4
    assert sum(worst) / len(worst) > 5


def test_case_11_least_loaded_under_many_calls() -> None:
    assert max(in_flight_after("least_loaded", 100, 10_000, 1)) <= 104
    assert max(in_flight_after("random", 100, 10_000, 1)) >= 115


def test_case_21_weight_zero_gets_nothing_unless_all_are_zero() -> None:
    bench = Bench("abc")
    bench.set((*copies("ab"), *copies("c", metadata={"weight": "0"})))
    assert bench.shares(10_000)["c"] == 0
    bench.set(copies("abc", metadata={"weight": "0"}))
    assert chi_square(list(bench.shares(6000).values())) < 33.7


@pytest.mark.parametrize("weight", ["heavy", "-1", "nan", "1e9", ""])
def test_a_senseless_weight_counts_as_one(weight: str) -> None:
    bench = Bench("ab", "weighted_random")
    bench.set((*copies("a", metadata={"weight": weight}), *copies("b")))
    assert abs(bench.shares(4000)["a"] - 2000) < 150


def zoned(bench: Bench, layout: dict[str, str]) -> None:
    bench.set([one for zone, names in layout.items() for one in copies(list(names), zone=zone)])


def test_case_23_all_local_while_zones_are_balanced() -> None:
    bench = Bench(zone="z1")
    zoned(bench, {"z1": "abcd", "z2": "efgh", "z3": "ijkl"})
    shares = bench.shares(10_000)
    assert sum(shares[name] for name in "abcd") == 10_000


def test_case_24_what_is_too_much_for_the_zone_overflows() -> None:
    bench = Bench(zone="z1")
    zoned(bench, {"z1": "abcd", "z2": "efgh", "z3": "ijkl"})
    bench.pick()
    for name in "ab":
        bench.balancer.eject("orders", name, 100.0)
    shares = bench.shares(10_000)
    assert abs(sum(shares[name] for name in "abcd") - 8400) <= 165
    assert abs(sum(shares[name] for name in "efgh") - 800) <= 125
    for name in "efij":
        bench.balancer.eject("orders", name, 100.0)
    shares = bench.shares(10_000)
    assert sum(shares[name] for name in "cd") == 10_000


def test_case_25_a_lone_local_copy_is_no_reason_to_stay() -> None:
    bench = Bench(zone="z1")
    zoned(bench, {"z1": "a", "z2": "efgh"})
    assert abs(bench.shares(10_000)["a"] - 2000) <= 180


def test_case_26_a_small_zone_takes_its_share_only() -> None:
    bench = Bench(zone="Z1")
    zoned(bench, {"z1": "ab", "z2": "efghi", "z3": "jklmn"})
    shares = bench.shares(10_000)
    assert abs(shares["a"] + shares["b"] - 7000) <= 210
    bench = Bench()
    zoned(bench, {"z1": "ab", "z2": "efghi", "z3": "jklmn"})
    assert all(abs(count - 833) <= 130 for count in bench.shares(10_000).values())


def test_prefer_zone_as_a_rule_does_the_same_and_retries_leave_the_zone() -> None:
    bench = Bench(rule=prefer_zone("z1"))
    zoned(bench, {"z1": "ab", "z2": "cd"})
    shares = bench.shares(1000)
    assert shares["a"] + shares["b"] == 1000
    seen = {bench.pick(avoid=["a"]).instance.id for _ in range(200)}
    assert seen == {"b", "c", "d"}


def test_rules_work_on_any_sequence() -> None:
    some = nodes(4)
    assert {two_choices(some, Random(1)) for _ in range(1)} <= set(some)
    assert prefer_zone("default")(some, Random(1)) in some


def test_a_users_rule_is_a_function() -> None:
    def laziest(nodes: Sequence[Node], rng: Random) -> Node:
        return min(nodes, key=lambda node: node.load)

    bench = Bench("ab", laziest)
    bench.good("a", 0.1)
    bench.good("b", 0.1)
    bench.good("a", 10.0)
    assert {bench.pick().instance.id for _ in range(20)} == {"b"}


def test_names_of_old_are_understood_and_wrong_ones_refused() -> None:
    assert Bench("abcde", "RoundRobinRule").shares(10) == dict.fromkeys("abcde", 2)
    with pytest.raises(ConfigError, match="two_choices"):
        Bench(rule="fastest")


def test_each_service_goes_round_on_its_own() -> None:
    bench = Bench("ab", "round_robin")
    bench.directory["other"] = copies("xy")
    picked = []
    for _ in range(10):
        picked.append(bench.pick().instance.id)
        bench.balancer.pick("other")
    assert Counter(picked) == {"a": 5, "b": 5}


def test_a_key_sticks_and_moves_only_when_its_copy_leaves() -> None:
    bench = Bench(NAMES)
    keys = [f"user-{n}" for n in range(2000)]
    before = {key: bench.pick(key=key).instance.id for key in keys}
    assert chi_square(list(Counter(before.values()).values())) < 33.7
    bench.set(copies(list(reversed(NAMES[1:]))))
    after = {key: bench.pick(key=key).instance.id for key in keys}
    assert {key for key in keys if before[key] != after[key]} == {key for key in keys if before[key] == "i0"}


def test_by_key_follows_the_rank() -> None:
    some = nodes(5)
    best = by_key("k", some)
    rest = [node for node in some if node is not best]
    assert by_key("k", rest) is not best
    assert by_key("k", Candidates(reversed(some))) is best
