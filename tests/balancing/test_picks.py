"""Verdicts, retries, time: section 6, and sections 3.5 to 3.7 of the circuits' document."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from helpers_balancing import Bench, Broken, Late


def test_case_37_neutral_changes_nothing_but_the_count() -> None:
    bench = Bench("ab")
    bench.good("a")
    node = bench.node("a")
    before = (node.latency, node.goods, node.bads, node.row, node.answers, node.failures)
    with pytest.raises(asyncio.CancelledError):
        with bench.on("a"):
            assert node.in_flight == 1
            raise asyncio.CancelledError
    with pytest.raises(ValueError):
        with bench.on("a"):
            raise ValueError("the caller's own mistake")
    bench.bad("a", 425)
    assert (node.latency, node.goods, node.bads, node.row, node.answers, node.failures) == before
    assert node.in_flight == 0


@pytest.mark.parametrize(
    ("status", "retry_after", "good", "bad", "other"),
    [
        (200, None, 1, 0, 0), (304, None, 1, 0, 0), (404, None, 1, 0, 0), (408, None, 0, 1, 0),
        (425, None, 0, 0, 0), (429, None, 0, 0, 1), (429, 3.0, 0, 0, 1), (500, None, 0, 1, 0),
        (501, None, 1, 0, 0), (505, None, 1, 0, 0), (511, None, 1, 0, 0), (502, None, 0, 1, 0),
        (503, None, 0, 1, 0), (503, 2.0, 0, 0, 1), (504, None, 0, 1, 0), (599, None, 0, 1, 0),
    ],
)  # fmt: skip
def test_who_is_charged(status: int, retry_after: float | None, good: int, bad: int, other: int) -> None:
    bench = Bench("ab")
    bench.bad("a", status, retry_after)
    node = bench.node("a")
    assert (node.answers, node.failures, node.others) == (good, bad, other)


def test_each_try_has_one_verdict() -> None:
    bench = Bench("ab")
    with bench.on("a") as pick:
        pick.answered(200)
        pick.answered(500)
    node = bench.node("a")
    assert (node.answers, node.failures) == (1, 0)
    with pytest.raises(RuntimeError, match="one try"):
        pick.__enter__()
    assert node.in_flight == 0
    pick.answered(500)
    pick.__exit__(None, None, None)
    assert (node.answers, node.failures, node.in_flight) == (1, 0, 0)


@pytest.mark.parametrize(("elapsed", "failures"), [(0.01, 0), (2.0, 1)])
@pytest.mark.parametrize("error", [asyncio.CancelledError, Late])
def test_case_52_the_calls_own_deadline(elapsed: float, failures: int, error: type[BaseException]) -> None:
    bench = Bench("ab")
    ends = bench.clock.monotonic() + 5.0
    tries = bench.tries(remaining=lambda: ends - bench.clock.monotonic())
    pick = next(tries)
    assert pick.timeout == pytest.approx(2.5)
    bench.clock.advance(5.0 - elapsed)
    with pytest.raises(error):
        with pick:
            bench.clock.advance(elapsed + 1e-6)
            raise error
    assert sum(node.failures for node in bench.pool.up) == failures


def test_the_time_of_each_try() -> None:
    bench = Bench("ab")
    assert next(bench.tries()).timeout is None
    assert next(bench.tries(harmless=False, remaining=lambda: 4.0)).timeout == 4.0
    tries = bench.tries(retries=3, remaining=lambda: 4.0)
    timeouts = []
    for pick in tries:
        timeouts.append(pick.timeout)
        with pick:
            tries.again(503)
    assert timeouts == [1.0, pytest.approx(4 / 3), 2.0, 4.0]


def test_numbers_and_addresses() -> None:
    bench = Bench("ab")
    tries = bench.tries()
    numbers = []
    for pick in tries:
        numbers.append(pick.number)
        assert pick.url == pick.instance.url
        with pick:
            tries.again(503)
    assert numbers == [1, 2]
    assert bench.pick().number == 1


def test_a_held_response_counts_until_released() -> None:
    bench = Bench("ab")
    node = None
    with bench.on("a") as pick:
        node = bench.node("a")
        pick.answered(200)
        pick.hold()
        pick.hold()
    assert node.in_flight == 1
    pick.release()
    pick.release()
    assert node.in_flight == 0
    pick.hold()  # too late: the block is over
    assert node.in_flight == 0


def test_a_held_response_that_is_lost_is_given_back() -> None:
    bench = Bench("ab")
    with bench.on("a") as pick:
        pick.hold()
    assert bench.node("a").in_flight == 1
    del pick
    gc.collect()
    assert bench.node("a").in_flight == 0


def test_what_breaks_later_is_a_failure_of_the_copy() -> None:
    bench = Bench("ab")
    with bench.on("a") as pick:
        pick.answered(200)
        pick.hold()
    pick.broke(asyncio.CancelledError())  # type: ignore[arg-type]
    assert bench.node("a").failures == 0
    pick.broke(ConnectionResetError())
    assert bench.node("a").failures == 1
    assert bench.node("a").in_flight == 1
    pick.release()


def test_case_53_in_flight_returns_to_zero() -> None:
    from random import Random

    rng, bench = Random(3), Bench("abcde")
    waiting = []
    for n in range(10_000):
        tries = bench.tries(retries=2)
        pick = next(tries).__enter__()
        end = rng.choice(["good", "status", "error", "cancel", "hold", "abandon", "wait"])
        if end == "good":
            pick.__exit__(None, None, None)
        elif end == "status":
            tries.again(503)
            pick.__exit__(None, None, None)
        elif end == "error":
            pick.__exit__(Broken, Broken(), None)
        elif end == "cancel":
            pick.__exit__(asyncio.CancelledError, asyncio.CancelledError(), None)
        elif end == "hold":
            pick.hold()
            pick.__exit__(None, None, None)
        elif end == "abandon":

            def generator(tries: Any = tries, pick: Any = pick) -> Any:
                try:
                    yield
                except GeneratorExit as error:
                    pick.__exit__(GeneratorExit, error, None)
                    raise

            held = generator()
            next(held)
            del held
        else:
            waiting.append(pick)
        if n % 7 == 0:
            bench.clock.advance(0.5)
    for pick in waiting:
        pick.__exit__(None, None, None)
    del pick, tries
    assert [node.in_flight for node in bench.pool.up] == [0] * 5


async def test_the_loop_is_the_same_in_async_def() -> None:
    bench = Bench("ab")

    async def send(url: str) -> int:
        await asyncio.sleep(0)
        return 503 if url == first[0] else 200

    first: list[str] = []
    tries = bench.tries()
    status = 0
    for pick in tries:
        first.append(pick.url)
        with pick:
            status = await send(pick.url)
            if tries.again(status):
                continue
            break
    assert status == 200
    assert len(set(first)) == 2


async def test_case_64_cancelled_between_the_tries() -> None:
    bench = Bench("ab")
    sent = 0

    async def call() -> None:
        nonlocal sent
        tries = bench.tries(retries=2)
        for pick in tries:
            if tries.number > 1:
                await asyncio.sleep(60)
            with pick:
                sent += 1
                raise Broken

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sent == 1
    assert all(node.in_flight == 0 for node in bench.pool.up)


def test_commands_are_compared_with_themselves_only() -> None:
    bench = Bench("ab")
    for command, seconds in [("quick", 0.01), ("slow", 1.0)] * 20:
        with bench.balancer.pick("orders", command=command):
            bench.clock.advance(seconds)
    assert bench.pool.means["quick"].value == pytest.approx(0.01)
    assert bench.pool.means["slow"].value == pytest.approx(1.0)
    assert all(node.latency == pytest.approx(1.0) for node in bench.pool.up)
    for n in range(1000):
        with bench.balancer.pick("orders", command=f"made-up-{n}"):
            pass
    assert len(bench.pool.means) <= 256
