"""Collapsing in programs: loops that end, limits, methods, circuits, and anything in any order."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from collapsed_kit import Many, outcomes
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_loop import LoopClock, VirtualLoop, run, turns

from resilient import CallRejected, ConfigError, Runtime, circuit
from resilient.collapsed import collapsed
from resilient.request import PRESENT, request


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Runtime]:
    with Runtime(clock=LoopClock()).active() as runtime:
        yield runtime


# ---------------------------------------------------------------- loops, limits, numbers


def test_a_loop_that_ends_leaves_nothing_behind() -> None:
    many = Many(wait=60)

    async def abandon() -> None:
        asyncio.create_task(many.one("a"))
        await turns()
        assert many.one.snapshot().pending == 1

    asyncio.run(abandon())
    assert many.one.snapshot().pending == 0
    assert many.batches == []
    loop = VirtualLoop()
    left = loop.create_task(many.one("b"))
    loop.run_until_complete(turns())
    loop.close()  # without any good manners
    assert many.one.snapshot().pending == 0

    async def use() -> None:
        assert await many.one("c") == "<c>"

    run(use())
    assert many.batches == [["c"]]
    left._log_destroy_pending = False  # type: ignore[attr-defined]


def test_each_loop_has_batches_of_its_own() -> None:
    many = Many(wait=0.01)

    async def main() -> None:
        first = asyncio.create_task(many.one("a"))
        await turns()

        def elsewhere() -> str:
            async def call() -> str:
                return await many.one("b")

            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                return runner.run(call())

        assert await asyncio.to_thread(elsewhere) == "<b>"
        assert await first == "<a>"
        assert sorted(many.batches) == [["a"], ["b"]]

    run(main())


def test_no_more_wait_than_may() -> None:
    async def main() -> None:
        many = Many(wait=60, max_pending=2)
        tasks = [asyncio.create_task(many.one(key)) for key in "aa"]
        await turns()
        with pytest.raises(CallRejected, match="max_pending=2"):
            await many.one("a")
        many.one.flush()
        assert await outcomes(*tasks) == ["<a>", "<a>"]
        assert many.one.snapshot().refused == 1
        task = asyncio.create_task(many.one("b"))
        await turns()
        many.one.flush()
        assert await task == "<b>"

    run(main())


def test_numbers() -> None:
    async def main() -> None:
        many = Many(max_batch=3)
        assert many.one.snapshot().mean_size == 0
        await outcomes(*map(many.one, "aabc"), *map(many.one, "d"))
        found = many.one.snapshot()
        assert (found.batches, found.items, found.keys, found.largest) == (2, 5, 4, 3)
        assert found.mean_size == 2
        assert found.pending == found.refused == 0

    run(main())


# ---------------------------------------------------------------- methods, names, circuits


class Client:
    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[list[int]] = []

    __hash__ = None  # type: ignore[assignment]

    @collapsed(wait=0.01)
    async def get(self, keys: list[int]) -> dict[int, str]:
        """Said."""
        self.asked.append(list(keys))
        return {key: f"{self.name}{key}" for key in keys}

    @classmethod
    @collapsed(wait=0.01)
    async def of_class(cls, keys: list[int]) -> list[str]:
        return [f"{cls.__name__}{key}" for key in keys]

    @staticmethod
    @collapsed(wait=0.01)
    async def static(keys: list[int]) -> list[int]:
        return [-key for key in keys]


def test_each_object_has_batches_of_its_own() -> None:
    async def main() -> None:
        a, b = Client("a"), Client("b")
        found = await outcomes(
            a.get(1), b.get(1), a.get(2), Client.get(b, 3), Client.of_class(1), Client.static(1)
        )
        assert found == ["a1", "b1", "a2", "b3", "Client1", -1]
        assert (a.asked, b.asked) == ([[1, 2]], [[1, 3]])
        assert a.get.snapshot().batches == 2

    run(main())


def test_it_looks_like_a_function_of_one_key() -> None:
    get = Client.get
    assert inspect.iscoroutinefunction(get)
    assert get.__doc__ == "Said."  # type: ignore[attr-defined]
    assert get.__name__ == "get"  # type: ignore[attr-defined]
    assert str(inspect.signature(get)) == "(self: 'Any', key: 'Any', /) -> 'Any'"
    assert list(inspect.signature(Client("a").get).parameters) == ["key"]


def test_above_a_circuit_one_batch_is_one_call_with_one_end() -> None:
    async def main() -> None:
        ill = True

        @collapsed(wait=0.01)
        @circuit(fail_max=2)
        async def price(keys: list[str]) -> list[int]:
            if ill:
                raise OSError("ill")
            return [len(key) for key in keys]

        for _ in range(2):
            assert {type(one) for one in await outcomes(*map(price, "abcdefgh"))} == {OSError}
        held = price.guard.circuit or price.guard.find()  # type: ignore[attr-defined]
        assert held.state == "open"
        assert held.snapshot().counts["failure"] == 2
        refused = await outcomes(price("a"), price("b"))
        assert {type(one).__name__ for one in refused} == {"CircuitOpen"}
        assert refused[0] is not refused[1]
        ill = False
        await asyncio.sleep(6)
        assert await outcomes(price("a"), price("bb")) == [1, 2]
        assert held.state == "closed"

    run(main())


def test_the_circuits_fallback_answers_for_the_whole_batch() -> None:
    async def main() -> None:
        @collapsed()
        @circuit(fallback=lambda keys: {key: 0 for key in keys if key != "c"})
        async def stock(keys: list[str]) -> dict[str, int]:
            raise OSError

        first, second, third = await outcomes(*map(stock, "abc"))
        assert (first, second, type(third)) == (0, 0, KeyError)

    run(main())


def test_a_batch_belongs_to_no_callers_circuit() -> None:
    from resilient import current_attempt

    async def main() -> None:
        seen: list[object] = []

        @collapsed(wait=0.01)
        async def many(keys: list[int]) -> list[int]:
            seen.append(current_attempt())
            await asyncio.sleep(1)
            return keys

        @circuit(timeout=0.5)
        async def hasty(key: int) -> int:
            return await many(key)

        with pytest.raises(TimeoutError):
            first = asyncio.create_task(hasty(1))
            second = asyncio.create_task(many(2))
            await first
        assert await second == 2
        assert seen == [None]

    run(main())


def test_a_batch_belongs_to_no_callers_request() -> None:
    async def main() -> None:
        seen: list[object] = []

        @collapsed
        async def many(keys: list[int]) -> list[int]:
            seen.append(PRESENT.get())
            return keys

        with request() as here:
            assert await many(1) == 1
            assert PRESENT.get() is here
        assert seen == [None]

    run(main())


def test_a_loop_that_was_dropped_is_not_kept_for_ever() -> None:
    many = Many(wait=60)
    loop = VirtualLoop()
    loop.create_task(many.one("a"))._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(turns())
    loop.close()
    seen = weakref.ref(loop)
    del loop
    run(many.one("b"))
    gc.collect()
    assert seen() is None


def test_switched_off_each_call_goes_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESILIENT_ENABLED", "0")

    async def main() -> None:
        many = Many(wait=60)
        assert await outcomes(many.one("a"), many.one("a")) == ["<a>", "<a>"]
        assert many.batches == [["a"], ["a"]]

    run(main())


def test_mistakes_are_told_at_import() -> None:
    async def fine(keys: list[int]) -> list[int]:
        return keys

    for options in ({"max_batch": 0}, {"max_batch": 1.5}, {"max_pending": True}, {"wait": -1}, {"wait": "1"}):
        with pytest.raises(ConfigError):
            collapsed(**options)  # type: ignore[arg-type]
    assert run(collapsed(fine)(7)) == 7

    async def two(keys: list[int], more: int) -> list[int]:
        return keys

    async def none() -> list[int]:
        return []

    async def generator(keys: list[int]) -> Any:
        yield keys

    decorate: Any = collapsed()
    for wrong in (two, none, generator, staticmethod(fine), classmethod(fine), int, 7):
        with pytest.raises(ConfigError):
            decorate(wrong)


# ---------------------------------------------------------------- whatever happens, in any order


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 6),  # the key
            st.floats(0, 0.05),  # when it is asked for
            st.one_of(st.none(), st.floats(0, 0.05)),  # how long its caller has patience
        ),
        max_size=25,
    ),
    st.integers(1, 5),
    st.floats(0, 0.03),
)
def test_everybody_gets_his_own(calls: list[tuple[int, float, float | None]], size: int, slow: float) -> None:
    async def main() -> None:
        batches: list[list[int]] = []

        @collapsed(max_batch=size, wait=0.01)
        async def many(keys: list[int]) -> dict[int, Any]:
            batches.append(keys)
            await asyncio.sleep(slow)
            if 6 in keys:
                raise OSError
            return {key: ValueError(key) if key == 5 else key * 10 for key in keys if key != 4}

        async def caller(key: int, start: float, patience: float | None) -> Any:
            await asyncio.sleep(start)
            async with asyncio.timeout(patience):
                return await many(key)

        found = await outcomes(*(caller(*call) for call in calls))
        for (key, _, patience), result in zip(calls, found, strict=True):
            if isinstance(result, TimeoutError):
                assert patience is not None
            elif isinstance(result, OSError):
                assert any(6 in batch and key in batch for batch in batches)
            elif key < 4:
                assert result == key * 10
            else:
                assert type(result) is {4: KeyError, 5: ValueError}[key]
        assert all(0 < len(batch) <= size and len(set(batch)) == len(batch) for batch in batches)
        now = many.snapshot()
        assert now.pending == 0
        # A batch may be called off between its call and the first step of the function.
        assert len(batches) <= now.batches
        assert sum(map(len, batches)) <= now.keys <= now.items <= len(calls)

    run(main())
