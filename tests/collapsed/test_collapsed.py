"""Collapsing on a loop: which calls travel together, and who gets what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from collapsed_kit import Many, outcomes
from virtual_loop import LoopClock, run, turns

from resilient import Runtime
from resilient.collapsed import collapsed


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Runtime]:
    with Runtime(clock=LoopClock()).active() as runtime:
        yield runtime


# ---------------------------------------------------------------- when a batch leaves


def test_single_calls_within_the_wait_become_one_call() -> None:
    async def main() -> None:
        many = Many(wait=0.01)
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def later(seconds: float, key: str) -> str:
            await asyncio.sleep(seconds)
            return await many.one(key)

        assert await asyncio.gather(later(0, "a"), later(0.004, "b"), later(0.009, "c")) == [
            "<a>",
            "<b>",
            "<c>",
        ]
        assert many.batches == [["a", "b", "c"]]
        assert many.times - began == pytest.approx(0.01)

    run(main())


def test_the_timer_starts_with_the_first_item_of_each_batch() -> None:
    async def main() -> None:
        many = Many(wait=0.01)
        loop = asyncio.get_running_loop()
        await many.one("a")
        await asyncio.sleep(0.0077)  # a fixed rate would tick in the middle of the next wait
        began = loop.time()
        await many.one("b")
        assert loop.time() - began == pytest.approx(0.01)
        assert many.batches == [["a"], ["b"]]

    run(main())


def test_a_full_batch_leaves_at_once_and_the_next_one_has_a_timer_of_its_own() -> None:
    async def main() -> None:
        many = Many(max_batch=2, wait=0.5)
        loop = asyncio.get_running_loop()
        began = loop.time()
        tasks = [asyncio.create_task(many.one(key)) for key in "abc"]
        await asyncio.gather(*tasks[:2])
        assert loop.time() == began
        assert await tasks[2] == "<c>"
        assert loop.time() - began == pytest.approx(0.5)
        assert many.batches == [["a", "b"], ["c"]]

    run(main())


def test_flushed_by_hand() -> None:
    async def main() -> None:
        many = Many(wait=60)
        began = asyncio.get_running_loop().time()
        many.one.flush()  # nothing is open
        task = asyncio.create_task(many.one("a"))
        await turns()
        many.one.flush()
        many.one.flush()
        assert await task == "<a>"
        assert asyncio.get_running_loop().time() == began
        assert many.batches == [["a"]]
        await asyncio.sleep(120)  # the timer of the batch is gone
        assert many.batches == [["a"]]

    run(main())


def test_while_a_batch_is_under_way_the_next_one_opens() -> None:
    async def main() -> None:
        many = Many(wait=0)
        many.gate = asyncio.Event()
        first = asyncio.create_task(many.one("a"))
        await turns(10)
        second = asyncio.create_task(many.one("a"))
        await turns(10)
        assert many.batches == [["a"], ["a"]]
        many.gate.set()
        assert await asyncio.gather(first, second) == ["<a>", "<a>"]

    run(main())


# ---------------------------------------------------------------- who gets what


def test_a_list_answers_in_order_a_mapping_by_key() -> None:
    async def main() -> None:
        listed = Many(lambda keys: [key.upper() for key in keys])
        assert await outcomes(*map(listed.one, "cab")) == ["C", "A", "B"]
        mapped = Many(lambda keys: {key: key.upper() for key in reversed(keys)})
        assert await outcomes(*map(mapped.one, "cab")) == ["C", "A", "B"]
        nothing = Many(lambda keys: [None for _ in keys])
        assert await nothing.one("a") is None

    run(main())


def test_the_same_key_twice_shares_one_slot() -> None:
    async def main() -> None:
        many = Many(max_batch=3)
        assert await outcomes(*map(many.one, "abab")) == ["<a>", "<b>", "<a>", "<b>"]
        assert many.batches == [["a", "b"]]

    run(main())


def test_a_missing_answer_is_a_key_error_for_whom_it_concerns() -> None:
    async def main() -> None:
        many = Many(lambda keys: {"a": 1})
        one, two, three = await outcomes(many.one("a"), many.one("b"), many.one("b"))
        assert one == 1
        assert type(two) is type(three) is KeyError
        assert two.args == three.args == ("b",)
        assert two is not three
        assert "not for this key" in two.__notes__[0]

    run(main())


def test_an_error_among_the_values_is_raised_for_its_key() -> None:
    async def main() -> None:
        trouble = OSError("only b")
        many = Many(lambda keys: [trouble if key in "bd" else key for key in keys])
        found = await outcomes(*map(many.one, "abcd"))
        assert found[0] == "a"
        assert found[2] == "c"
        assert found[1] is trouble
        assert type(found[3]) is OSError
        assert found[3] is not trouble  # one object for two keys: each gets one of his own

    run(main())


def test_somebody_elses_cancellation_among_the_values_cancels_nobody() -> None:
    async def main() -> None:
        many = Many(lambda keys: [asyncio.CancelledError(), KeyboardInterrupt(), StopIteration(1), "fine"])
        first, second, third, fourth = await outcomes(*map(many.one, "abcd"))
        assert type(first) is type(second) is type(third) is RuntimeError
        assert type(first.__cause__) is asyncio.CancelledError
        assert fourth == "fine"

    run(main())


def frames(error: BaseException) -> list[str]:
    found, tb = [], error.__traceback__
    while tb is not None:
        found.append(tb.tb_frame.f_code.co_name)
        tb = tb.tb_next
    return found


def test_one_error_of_the_batch_goes_to_all_each_with_its_own_traceback() -> None:
    async def main() -> None:
        original = OSError(5, "broken")
        original.add_note("noted")

        def answer(keys: list[str]) -> Any:
            raise original

        many = Many(answer)

        async def deep(key: str) -> Any:
            return await many.one(key)

        found = await outcomes(deep("a"), many.one("b"), many.one("b"))
        assert found[0] is original
        assert len({id(error) for error in found}) == 3
        for error in found:
            assert type(error) is OSError
            assert (error.errno, error.strerror) == (5, "broken")
            assert error.__notes__ == ["noted"]
            assert frames(error)[-1] == "answer"  # where it happened
            assert frames(error).count("one") == 1
        assert [frames(error).count("deep") for error in found] == [1, 0, 0]
        found[1].add_note("mine")
        assert found[2].__notes__ == ["noted"]

    run(main())


@pytest.mark.parametrize(
    "answer",
    [None, "ab", b"ab", 7, {"a", "b"}, ["too short"], ["a", "b", "too long"]],
)
def test_an_answer_that_cannot_be_taken_apart_is_everybodys_error(answer: Any) -> None:
    async def main() -> None:
        many = Many(lambda keys: answer)
        found = await outcomes(many.one("a"), many.one("b"))
        assert [type(error) for error in found] == [TypeError, TypeError]
        assert "many" in str(found[0])

    run(main())


def test_a_key_that_cannot_be_one_hurts_only_its_caller() -> None:
    async def main() -> None:
        many = Many()
        found = await outcomes(many.one("a"), many.one([]), many.one("b"))
        assert found[0::2] == ["<a>", "<b>"]
        assert type(found[1]) is TypeError
        assert many.one.snapshot().pending == 0
        assert type((await outcomes(many.one([])))[0]) is TypeError  # nor does it open a batch
        await asyncio.sleep(1)
        assert many.batches == [["a", "b"]]

    run(main())


# ---------------------------------------------------------------- cancellation


@pytest.mark.parametrize("when", ["open", "under way"])
@pytest.mark.parametrize("gone", [{0}, {1}, {2}, {0, 1}, {1, 2}, {0, 2}, {0, 1, 2}, {2, 3}, {0, 1, 2, 3}])
def test_cancelling_some_harms_nobody_cancelling_all_cancels_the_batch(when: str, gone: set[int]) -> None:
    async def main() -> None:
        many = Many(wait=0.01)
        many.gate = asyncio.Event()
        keys = "abcc"
        tasks = [asyncio.create_task(many.one(key)) for key in keys]
        await turns()
        if when == "under way":
            await asyncio.sleep(0.02)
        for index in gone:
            tasks[index].cancel()
        await turns()
        await asyncio.sleep(0.02)
        many.gate.set()
        found = await outcomes(*tasks)
        for index, key in enumerate(keys):
            if index in gone:
                assert isinstance(found[index], asyncio.CancelledError)
            else:
                assert found[index] == f"<{key}>"
        everybody = gone == set(range(4))
        assert many.cancelled == (everybody and when == "under way")
        if when == "open":
            left = sorted({key for index, key in enumerate(keys) if index not in gone})
            assert many.batches == ([left] if left else [])  # nobody's key is not asked for
        assert many.one.snapshot().pending == 0
        many.gate = None
        assert await many.one("a") == "<a>"  # and life goes on

    run(main())


def test_the_last_one_to_go_waits_until_the_batch_has_cleaned_up() -> None:
    async def main() -> None:
        cleaned = False

        @collapsed(wait=0)
        async def slow(keys: list[int]) -> list[int]:
            nonlocal cleaned
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.5)
                cleaned = True
            return keys

        first, second = (asyncio.create_task(slow(n)) for n in (1, 2))
        await asyncio.sleep(0.01)
        first.cancel()
        await outcomes(first)
        assert not cleaned
        second.cancel()
        await outcomes(second)
        assert cleaned

    run(main())


def test_a_caller_with_a_timeout() -> None:
    async def main() -> None:
        many = Many(wait=0.01)
        many.gate = asyncio.Event()
        patient = asyncio.create_task(many.one("a"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await many.one("b")
        many.gate.set()
        assert await patient == "<a>"

    run(main())


def test_told_and_cancelled_in_the_same_moment() -> None:
    async def main() -> None:
        many = Many(wait=0)
        many.gate = asyncio.Event()
        tasks = [asyncio.create_task(many.one(key)) for key in "ab"]
        await turns()
        many.gate.set()
        for _ in range(4):
            await asyncio.sleep(0)
            if any(task._fut_waiter is not None and task._fut_waiter.done() for task in tasks):  # type: ignore[attr-defined]
                break
        tasks[0].cancel()
        found = await outcomes(*tasks)
        assert isinstance(found[0], asyncio.CancelledError)
        assert found[1] == "<b>"

    run(main())
