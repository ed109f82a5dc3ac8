"""The short way for a call's first try, and how its tries take over."""

from __future__ import annotations

import pytest
from helpers_balancing import Bench, Broken, NotSent, copies

from resilient.balancing.picks import Try


def begin(bench: Bench) -> Try:
    found = bench.balancer.quick("orders")
    assert found is not None
    pool, node, now = found
    assert now == bench.clock.monotonic()
    return Try(pool, node, pool.mean, None)


def test_quick_wants_a_calm_pool() -> None:
    bench = Bench("abc")
    assert bench.balancer.quick("orders") is None  # nobody has called it yet
    bench.pick()
    assert bench.balancer.quick("orders") is not None
    bench.refuse("a")
    assert bench.balancer.quick("orders") is None
    bench.pick()
    assert bench.balancer.quick("orders")[1].instance.id in "bc"
    bench.set(copies("xy"))
    assert bench.balancer.quick("orders") is None
    bench.pick()
    assert bench.balancer.quick("orders")[1].instance.id in "xy"
    assert bench.balancer.quick("nobody") is None


def test_quick_pays_into_the_budget() -> None:
    bench = Bench("ab")
    bench.pick()
    before = bench.pool.budget.balance(bench.clock.monotonic())
    for _ in range(50):
        bench.balancer.quick("orders")
    assert bench.pool.budget.balance(bench.clock.monotonic()) == before + 10


def test_tries_go_on_elsewhere_after_an_adopted_one() -> None:
    bench = Bench("ab")
    bench.pick()
    first = begin(bench)
    first.timeout = 0.5
    seen = []
    for pick in bench.tries(harmless=False, remaining=lambda: 3.0).adopt(first):
        seen.append((pick.instance.id, pick.number, pick.timeout))
        with pick:
            if len(seen) == 1:
                assert pick is first
                raise NotSent
            pick.answered(200)
    assert [(id, number) for id, number, _ in seen] in ([("a", 1), ("b", 2)], [("b", 1), ("a", 2)])
    assert [timeout for _, _, timeout in seen] == [0.5, 3.0]
    assert [view.in_flight for view in bench.balancer.nodes("orders")] == [0, 0]
    assert bench.pool.retries == 1


def test_an_adopted_try_that_may_not_be_repeated_is_the_last_one() -> None:
    bench = Bench("ab")
    bench.pick()
    first = begin(bench)
    with pytest.raises(Broken):
        for pick in bench.tries(harmless=False).adopt(first):
            with pick:
                raise Broken
    assert bench.node(first.instance.id).row == 1
