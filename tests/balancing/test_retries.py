"""What is tried again, where, and how often: section 6."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from helpers_balancing import Bench, Broken, Late, NotSent, PoolFull, copies


class StatusError(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def run(tries: Any, answers: dict[str, Any], log: list[str] | None = None) -> Any:
    """A door in small: ``answers`` maps instance ids to a status, (status, retry-after) or an error."""
    for pick in tries:
        if log is not None:
            log.append(pick.instance.id)
        with pick:
            answer = answers[pick.instance.id]
            if isinstance(answer, BaseException):
                raise answer
            status, wait = answer if isinstance(answer, tuple) else (answer, None)
            if tries.again(status, wait):
                continue
            return status
    raise AssertionError("the tries ended without an answer")


def test_case_55_the_next_one_answers() -> None:
    for seed in range(1000):
        bench = Bench("ab", seed=seed)
        log: list[str] = []
        assert run(bench.tries(harmless=False), {"a": NotSent(), "b": 200}, log) == 200
        assert log in (["b"], ["a", "b"])


def test_case_56_everyone_has_a_turn_before_anyone_has_two() -> None:
    for seed in range(50):
        bench = Bench("ab", seed=seed)
        log: list[str] = []
        assert run(bench.tries(retries=3), {"a": 503, "b": 503}, log) == 503
        assert log in (["a", "b", "a", "b"], ["b", "a", "b", "a"])
    bench = Bench("abcdef")
    log = []
    run(bench.tries(retries=5), dict.fromkeys("abcdef", 503), log)
    assert sorted(log) == list("abcdef")


@pytest.mark.parametrize(
    ("answer", "harmless", "tries"),
    [
        (503, False, 1), (503, True, 2), (502, True, 2), (504, True, 2), (408, True, 2), (425, True, 2),
        (500, True, 1), (501, True, 1), (404, True, 1), (200, True, 1),
        (429, True, 1), ((429, 0.5), True, 2), ((429, 0.5), False, 1), ((503, 0.5), True, 2),
        (NotSent(), False, 2), (ConnectionRefusedError(), False, 2), (PoolFull(), False, 2),
        (Broken(), False, 1), (Broken(), True, 2), (Late(), False, 1), (Late(), True, 2),
        (ValueError(), True, 1), (asyncio.CancelledError(), True, 1),
        (StatusError(503), True, 2), (StatusError(503), False, 1), (StatusError(404), True, 1),
        (StatusError(503, Retry_After="1"), True, 2), (StatusError(500), True, 1),
    ],
)  # fmt: skip
def test_case_57_what_is_tried_again(answer: Any, harmless: bool, tries: int) -> None:
    bench = Bench("ab")
    log: list[str] = []
    if isinstance(answer, BaseException):
        with pytest.raises(type(answer)) as caught:
            run(bench.tries(harmless=harmless), dict.fromkeys("ab", answer), log)
        assert caught.value is answer
    else:
        status = answer[0] if isinstance(answer, tuple) else answer
        assert run(bench.tries(harmless=harmless), dict.fromkeys("ab", answer), log) == status
    assert len(log) == len(set(log)) == tries


def test_a_lone_copy_is_tried_again_only_if_nothing_was_sent() -> None:
    for answer, count in [(503, 1), (Broken(), 1), (NotSent(), 2), (ConnectionRefusedError(), 2)]:
        log: list[str] = []
        try:
            run(Bench("a").tries(), {"a": answer}, log)
        except (Broken, NotSent, ConnectionRefusedError):
            pass
        assert len(log) == count


def test_a_copy_known_to_refuse_is_no_place_for_a_retry() -> None:
    bench = Bench("ab")
    bench.refuse("b")
    log: list[str] = []
    assert run(bench.tries(), {"a": 503, "b": ConnectionRefusedError()}, log) == 503
    assert log == ["a"]


def test_a_refused_copy_costs_each_process_one_refused_try() -> None:
    bench = Bench("abcd")
    refused = 0
    for _ in range(400):
        log: list[str] = []
        assert run(
            bench.tries(harmless=False), {"a": ConnectionRefusedError(), "b": 200, "c": 200, "d": 200}, log
        )
        refused += log.count("a")
        bench.clock.advance(0.01)
    assert refused <= 1 + 2  # the first, and the probes after one and three seconds
    assert bench.node("a").failures == refused


def test_case_60_an_empty_budget_leaves_the_error_and_is_counted() -> None:
    bench = Bench("abc")
    for _ in range(37):
        run(bench.tries(), dict.fromkeys("abc", 503))
        for name in "abc":
            bench.balancer.restore("orders", name)
    totals = bench.balancer.totals("orders")
    assert totals is not None
    assert totals.retries == 37
    assert totals.budget_exhausted == 0
    assert totals.budget == 0
    tries = bench.tries()
    assert run(tries, dict.fromkeys("abc", 503)) == 503
    assert tries.pause == 0.0
    totals = bench.balancer.totals("orders")
    assert totals is not None
    assert (totals.retries, totals.budget_exhausted) == (37, 1)


def test_case_58_retries_of_a_thousand_calls_at_one_instant() -> None:
    bench = Bench("abc")
    begun = [bench.tries() for _ in range(1000)]
    picks = [next(tries) for tries in begun]
    granted = 0
    for tries, pick in zip(begun, picks, strict=True):
        with pick:
            granted += tries.again(503)
    assert granted == 230


def test_case_61_no_time_for_what_was_asked() -> None:
    for left, count in ((0.5, 1), (5.0, 2), (None, 2)):
        log: list[str] = []
        tries = Bench("ab").tries(remaining=lambda left=left: left)
        run(tries, dict.fromkeys("ab", (503, 1.0)), log)
        assert len(log) == count


def test_case_63_at_the_edge_of_the_deadline() -> None:
    class Fixed:
        def uniform(self, low: float, high: float) -> float:
            assert (low, high) == (0.0, 0.025)
            return 0.02

    for left, granted in ((0.06, False), (0.071, True)):
        bench = Bench("ab")
        tries = bench.tries(remaining=lambda left=left: left)
        tries._rng = Fixed()
        with next(tries):
            assert tries.again(429, 0.01) is granted
        assert tries.pause == pytest.approx(0.02)
        assert bench.pool.budget.balance(bench.clock.monotonic()) == (29 if granted else 30)


def test_pauses() -> None:
    bench = Bench("ab")
    tries = bench.tries(retries=3)
    pauses = []
    for pick in tries:
        pauses.append(tries.pause)
        with pick:
            raise_or_none = tries.number < 4
            if raise_or_none:
                raise Broken
    assert pauses[:2] == [0.0, 0.0]
    assert all(0.0 < pause <= 0.1 for pause in pauses[2:])


def test_no_retry_once_there_is_no_point() -> None:
    log: list[str] = []
    assert run(Bench("ab").tries(stop=lambda: True), dict.fromkeys("ab", 503), log) == 503
    assert len(log) == 1


def test_no_retry_after_the_headers() -> None:
    bench = Bench("ab")
    with pytest.raises(Broken):
        for pick in bench.tries():
            with pick:
                pick.answered(200)
                raise Broken
    assert sum(node.failures for node in bench.pool.up) == 1


def test_a_new_directory_between_two_tries() -> None:
    bench = Bench("ab")
    tries = bench.tries()
    seen = []
    for pick in tries:
        seen.append(pick.instance.id)
        with pick:
            bench.set(copies("xy"))
            tries.again(503)
    assert seen[0] in "ab"
    assert len(seen) == 2
    assert seen[1] in "xy"
