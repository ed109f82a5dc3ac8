"""The scenarios of section 10 in virtual time: no sockets, no sleeping, seeded chance."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable
from random import Random

import pytest
from helpers_balancing import copies

from resilient.balancing import pool as pool_module
from resilient.balancing.balancer import Balancer
from resilient.balancing.picks import Pick
from resilient.clock import ManualClock

Answer = Callable[[int, float, Random], tuple[float, int]]  # (copy, now) -> (seconds, status)
SEEDS = range(8)
FEW = SEEDS if os.environ.get("FAULTS") == "full" else range(2)  # where a run is long; make test-faults


class Run:
    """Poisson arrivals against copies that answer as told; first ``skip`` seconds ignored."""

    def __init__(
        self, answer: Answer, *, rate: float, seconds: float, seed: int, n: int = 10,
        rule: str = "two_choices", skip: float = 10.0, until: float | None = None, timeout: float = 1e9,
        joins: tuple[float, int] = (0.0, 0),
    ) -> None:  # fmt: skip
        clock, rng = ManualClock(0.0), Random(seed)
        everybody = copies([f"i{number}" for number in range(n)])
        at_first = everybody[: n - joins[1]]  # so many join later
        balancer = Balancer(
            lambda name: everybody if clock.monotonic() >= joins[0] else at_first,
            rule,
            clock=clock,
            rng=Random(seed + 1000),
        )
        self.counts = [0] * n
        self.times: list[float] = []
        self.sent: list[tuple[float, int]] = []
        self.good = 0
        ends: list[tuple[float, int, Pick, int, int, float]] = []
        at, serial = rng.expovariate(rate), 0
        until = seconds if until is None else until
        while at < seconds:
            if ends and ends[0][0] <= at:
                when, _, pick, which, status, begun = heapq.heappop(ends)
                clock.advance(max(0.0, when - clock.monotonic()))
                if status == 200:
                    pick.__exit__(None, None, None)
                else:
                    pick.answered(status)
                    pick.__exit__(None, None, None)
                if skip <= begun < until:
                    self.times.append(when - begun)
                    self.good += status == 200
                continue
            clock.advance(max(0.0, at - clock.monotonic()))
            pick = balancer.pick("orders", harmless=True).__enter__()
            which = int(pick.instance.id[1:])
            took, status = answer(which, at, rng)
            if took > timeout:
                took, status = timeout, 504
            if skip <= at < until:
                self.counts[which] += 1
            self.sent.append((at, which))
            serial += 1
            heapq.heappush(ends, (at + took, serial, pick, which, status, at))
            at += rng.expovariate(rate)

    def share(self, which: int = 0) -> float:
        return self.counts[which] / sum(self.counts)

    def share_between(self, which: int, since: float, until: float) -> float:
        sent = [copy for at, copy in self.sent if since <= at < until]
        return sent.count(which) / len(sent)

    def percentile(self, q: float) -> float:
        ordered = sorted(self.times)
        return ordered[int(q * (len(ordered) - 1))]

    @property
    def mean(self) -> float:
        return sum(self.times) / len(self.times)

    @property
    def success(self) -> float:
        return self.good / len(self.times)


def one_slow(which: int, now: float, rng: Random) -> tuple[float, int]:
    return rng.expovariate(1 / (0.2 if which == 0 else 0.02)), 200


@pytest.fixture
def no_ejection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module.Pool, "_may_eject", lambda self, closed: False)


@pytest.mark.parametrize("seed", FEW)
def test_case_12_a200(seed: int) -> None:
    run = Run(one_slow, rate=200, seconds=35, seed=seed)
    assert run.share() <= 0.01
    assert run.mean <= 0.023
    assert run.percentile(0.99) <= 0.130


def test_case_12_a200_of_others() -> None:
    assert 0.099 <= Run(one_slow, rate=200, seconds=60, seed=1, rule="round_robin").share() <= 0.101
    assert 0.025 <= Run(one_slow, rate=200, seconds=60, seed=1, rule="least_loaded").share() <= 0.045


@pytest.mark.parametrize("seed", SEEDS)
def test_case_12_a20(seed: int) -> None:
    run = Run(one_slow, rate=20, seconds=60, seed=seed)
    assert run.share() <= 0.02
    assert run.percentile(0.99) <= 0.150


@pytest.mark.parametrize(("n", "bound"), [(3, 0.03), (2, 0.06)])
@pytest.mark.parametrize("seed", FEW)
def test_case_12_few_copies(n: int, bound: float, seed: int) -> None:
    assert Run(one_slow, rate=100, seconds=40, seed=seed, n=n).share() <= bound


@pytest.mark.parametrize("seed", SEEDS)
def test_case_13_one_hangs(seed: int, no_ejection: None) -> None:
    def hangs(which: int, now: float, rng: Random) -> tuple[float, int]:
        return (2.0 if which == 0 and 20 <= now < 50 else rng.expovariate(50)), 200

    for rate, bound in ((20, 0.992), (200, 0.998)):
        if rate == 200 and seed not in FEW:
            continue
        assert Run(hangs, rate=rate, seconds=51, seed=seed, skip=20, until=50, timeout=1.0).success >= bound


def fails_fast(share: float = 1.0) -> Answer:
    def answer(which: int, now: float, rng: Random) -> tuple[float, int]:
        if which == 0 and now >= 20 and rng.random() < share:
            return 0.001, 500
        return rng.expovariate(20), 200

    return answer


@pytest.mark.parametrize("seed", SEEDS)
def test_case_14_failing_fast_does_not_attract(seed: int, no_ejection: None) -> None:
    assert Run(fails_fast(), rate=20, seconds=60, seed=seed, skip=20).share() <= 0.03
    if seed in FEW:
        assert Run(fails_fast(), rate=200, seconds=60, seed=seed, skip=20).share() <= 0.015
        assert Run(fails_fast(0.3), rate=200, seconds=60, seed=seed, skip=20).share() <= 0.04


def test_case_14_the_trap_without_penalty(no_ejection: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resilient.balancing.node.PENALTY", 0.0)
    assert Run(fails_fast(), rate=200, seconds=40, seed=1, skip=20).share() >= 0.15


def test_case_14_in_a_minute_of_many_calls(no_ejection: None) -> None:
    assert Run(fails_fast(), rate=1000, seconds=80, seed=1, skip=20).share() <= 0.03


@pytest.mark.parametrize("seed", FEW)
def test_case_14_with_ejection(seed: int) -> None:
    run = Run(fails_fast(), rate=200, seconds=45, seed=seed, skip=20)
    assert run.share() <= 0.005
    assert run.success >= 0.995


@pytest.mark.parametrize("seed", SEEDS)
def test_case_15_equals_are_treated_equally(seed: int) -> None:
    def even(which: int, now: float, rng: Random) -> tuple[float, int]:
        return rng.expovariate(20), 200

    run = Run(even, rate=20, seconds=110, seed=seed)
    assert all(0.05 <= run.share(which) <= 0.16 for which in range(10))


@pytest.mark.parametrize("seed", FEW)
@pytest.mark.parametrize("q", [0.01, 0.2])
def test_case_15_all_fail_a_little(seed: int, q: float, no_ejection: None) -> None:
    def flaky(which: int, now: float, rng: Random) -> tuple[float, int]:
        return rng.expovariate(20), 500 if rng.random() < q else 200

    run = Run(flaky, rate=100, seconds=110, seed=seed)
    assert all(0.05 <= run.share(which) <= 0.15 for which in range(10))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("rate", "bound"), [(10, 0.5), (100, 0.8)])
def test_case_16_one_accident_is_forgiven(seed: int, rate: float, bound: float) -> None:
    failed = False

    def accident(which: int, now: float, rng: Random) -> tuple[float, int]:
        nonlocal failed
        if which == 0 and now > 20 and not failed:
            failed = True
            return 0.01, 500
        return rng.expovariate(20), 200

    run = Run(accident, rate=rate, seconds=42, seed=seed, n=2, skip=21, until=41)
    assert failed
    assert run.share() / 0.5 >= bound


@pytest.mark.parametrize("seed", FEW)
def test_case_17_a_copy_that_got_well_gets_its_share_back(seed: int) -> None:
    def recovers(which: int, now: float, rng: Random) -> tuple[float, int]:
        return rng.expovariate(5 if which == 0 and now < 30 else 50), 200

    assert 0.08 <= Run(recovers, rate=200, seconds=100, seed=seed, skip=50).share() <= 0.12


def two_commands(seed: int, rate: float, slow: float, seconds: float) -> list[float]:
    """Shares of ten copies that answer a quick and a slow command; the first ``slow`` times as slowly."""
    clock, rng = ManualClock(0.0), Random(seed)
    listed = copies([f"i{number}" for number in range(10)])
    balancer = Balancer(lambda name: listed, clock=clock, rng=Random(seed + 1000))
    counts, ends, at, serial = [0] * 10, [], 0.0, 0
    while at < seconds:
        at += rng.expovariate(rate)
        while ends and ends[0][0] <= at:
            when, _, ended = heapq.heappop(ends)
            clock.advance(max(0.0, when - clock.monotonic()))
            ended.__exit__(None, None, None)
        clock.advance(max(0.0, at - clock.monotonic()))
        command, mean = ("report", 1.0) if rng.random() < 0.05 else ("read", 0.02)
        pick = balancer.pick("orders", command=command).__enter__()
        which = int(pick.instance.id[1:])
        serial += 1
        heapq.heappush(ends, (at + rng.expovariate(1 / (mean * (slow if which == 0 else 1))), serial, pick))
        if at >= 10:
            counts[which] += 1
    return [count / sum(counts) for count in counts]


@pytest.mark.parametrize("seed", SEEDS)
def test_case_18_quick_and_slow_commands(seed: int) -> None:
    slow, *others = two_commands(seed, 20, 10.0, 110)
    assert slow <= 0.015
    assert all(0.05 <= share <= 0.18 for share in others)


@pytest.mark.parametrize("seed", SEEDS)
def test_case_18_slow_commands_make_no_copy_look_slow(seed: int) -> None:
    assert all(0.05 <= share <= 0.16 for share in two_commands(seed, 20, 1.0, 110))


def test_case_18_under_more_load() -> None:
    assert all(0.05 <= share <= 0.16 for share in two_commands(1, 200, 1.0, 60))


@pytest.mark.parametrize("rate", [20, 200])
def test_case_19_weights(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    weighted = [copies([f"i{n}"], metadata={"weight": str(2**n)})[0] for n in range(3)]
    monkeypatch.setattr("test_simulation.copies", lambda names: tuple(weighted))

    def even(which: int, now: float, rng: Random) -> tuple[float, int]:
        return rng.expovariate(20), 200

    run = Run(even, rate=rate, seconds=110 if rate == 20 else 40, seed=1, n=3)
    assert all(abs(run.share(n) / (2**n / 7) - 1) <= 0.35 for n in range(3))


@pytest.mark.parametrize("seed", FEW)
def test_case_20_reaction(seed: int) -> None:
    def turns(which: int, now: float, rng: Random) -> tuple[float, int]:
        return (0.2 if which == 0 and now >= 20 else 0.02), 200

    run = Run(turns, rate=200, seconds=30, seed=seed)
    assert sum(1 for at, which in run.sent if which == 0 and 20 <= at < 30) <= 10


def even(which: int, now: float, rng: Random) -> tuple[float, int]:
    return rng.expovariate(20), 200


@pytest.mark.parametrize("seed", FEW)
def test_case_27_a_new_copy_gets_its_share_little_by_little(seed: int) -> None:
    run = Run(even, rate=200, seconds=105, seed=seed, n=5, joins=(60.0, 1))
    for since, until, least, most in ((64, 68, 0.1, 0.5), (72.5, 77.5, 0.4, 0.8), (95, 105, 0.8, 1.2)):
        assert least <= run.share_between(4, since, until) / 0.2 <= most, (since, until)


def test_case_28_when_most_are_new_all_are_alike() -> None:
    run = Run(even, rate=200, seconds=100, seed=1, n=8, joins=(60.0, 5))
    assert all(0.09 <= run.share_between(which, 62, 100) <= 0.16 for which in range(8))
