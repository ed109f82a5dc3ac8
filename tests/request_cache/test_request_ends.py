"""How a shared call ends: errors, cancellation, mistakes, and anything in any order."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from request_kit import Asked
from virtual_loop import LoopClock, run, turns

from resilient import ConfigError, Runtime, circuit
from resilient.cached import cached_per_request
from resilient.request import request


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Runtime]:
    with Runtime(clock=LoopClock()).active() as runtime:
        yield runtime


# ---------------------------------------------------------------- errors and cancellation


def test_case_83_an_error_goes_to_all_who_wait_and_is_not_kept() -> None:
    async def main() -> None:
        asked = Asked()
        asked.gate = asyncio.Event()
        asked.error = OSError(5, "broken")
        with request():
            tasks = [asyncio.create_task(asked.ask(1)) for _ in range(3)]
            await turns()
            asked.gate.set()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert len(asked.calls) == 1
            assert {type(error) for error in found} == {OSError}
            assert len({id(error) for error in found}) == 3
            assert len({id(error.__traceback__) for error in found}) == 3  # type: ignore[union-attr]
            assert asked.error is found[0]
            asked.error = None
            assert await asked.ask(1) is await asked.ask(1)
            assert len(asked.calls) == 2

    run(main())


@pytest.mark.parametrize("gone", [{0}, {1}, {0, 1}, {1, 2}, {0, 1, 2}])
def test_case_82_cancelling_some_harms_nobody_cancelling_all_cancels_the_call(gone: set[int]) -> None:
    async def main() -> None:
        asked = Asked()
        asked.gate = asyncio.Event()
        with request() as here:
            tasks = [asyncio.create_task(asked.ask(1)) for _ in range(3)]
            await turns()
            for index in gone:
                tasks[index].cancel()
            await turns()
            late = asyncio.create_task(asked.ask(1))
            await turns()
            asked.gate.set()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            kept = await late
            for index in range(3):
                assert (
                    isinstance(found[index], asyncio.CancelledError)
                    if index in gone
                    else found[index] is kept
                )
            everybody = len(gone) == 3
            assert len(asked.calls) == 1 + everybody  # whoever comes after all have gone asks anew
            assert asked.cancelled == everybody
            assert await asked.ask(1) is kept
            assert here.entries is not None
            assert len(here.entries) == 1

    run(main())


def test_nobody_joins_a_call_that_is_being_called_off() -> None:
    async def main() -> None:
        calls = 0

        @cached_per_request
        async def slow(id: int) -> int:
            nonlocal calls
            calls += 1
            mine = calls
            try:
                await asyncio.sleep(1)
            finally:
                await asyncio.sleep(1)
            return mine

        with request():
            first = asyncio.create_task(slow(1))
            await turns()
            first.cancel()
            await turns()
            assert not first.done()  # it waits for the end, as if it had made the call itself
            assert await slow(1) == 2
            assert first.cancelled()

    run(main())


def test_what_was_forgotten_does_not_replace_what_is_under_way_now() -> None:
    async def main() -> None:
        seconds = [1.0, 2.0]

        @cached_per_request
        async def slow(id: int) -> float:
            mine = seconds.pop(0)
            await asyncio.sleep(mine)
            return mine

        with request():
            old = asyncio.create_task(slow(1))
            await turns()
            request.forget(slow, 1)
            new = asyncio.create_task(slow(1))
            assert await old == 1.0
            assert await slow(1) == await new == 2.0

    run(main())


def test_a_call_that_ends_with_a_cancellation_of_its_own() -> None:
    async def main() -> None:
        @cached_per_request
        async def odd(id: int) -> None:
            raise asyncio.CancelledError

        with request() as here:
            tasks = [asyncio.create_task(odd(1)) for _ in range(2)]
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(one) for one in found] == [asyncio.CancelledError] * 2
            assert here.entries == {}

    run(main())


def test_a_function_that_asks_itself_does_not_wait_for_itself() -> None:
    async def main() -> None:
        calls = 0

        @cached_per_request
        async def again(id: int) -> int:
            nonlocal calls
            calls += 1
            return await asyncio.create_task(again(id)) if calls == 1 else 7

        @cached_per_request
        def again_now(id: int) -> int:
            nonlocal calls
            calls += 1
            return again_now(id) if calls == 3 else 8

        with request():
            async with asyncio.timeout(5):
                assert await again(1) == 7
            assert again_now(1) == 8
        assert calls == 4

    run(main())


# ---------------------------------------------------------------- mistakes, looks, switches


def test_mistakes_are_told_at_import() -> None:
    def fine(id: int) -> int:
        return id

    def generator() -> Any:
        yield 1

    decorate: Any = cached_per_request
    for wrong in (generator, staticmethod(fine), classmethod(fine), int, 7):
        with pytest.raises(ConfigError):
            decorate(wrong)
    with pytest.raises(ConfigError, match="key="):
        decorate(key=7)(fine)


def test_it_still_looks_like_the_function() -> None:
    @cached_per_request
    @circuit
    async def get(id: int, fresh: bool = False) -> int:
        """Said."""
        return id

    assert inspect.iscoroutinefunction(get)
    assert list(inspect.signature(get).parameters) == ["id", "fresh"]
    assert get.__doc__ == "Said."


def test_switched_off_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESILIENT_ENABLED", "off")

    @cached_per_request
    def get(id: int) -> object:
        return object()

    with request():
        assert get(1) is not get(1)
        request.forget(get, 1)
        request.forget(get)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 3), st.one_of(st.none(), st.floats(0, 3))), max_size=15
    )
)
def test_whatever_happens_each_question_is_under_way_at_most_once(
    calls: list[tuple[int, float, float | None]],
) -> None:
    async def main() -> None:
        busy: dict[int, int] = {}
        ended: dict[int, int] = {}

        @cached_per_request
        async def ask(id: int) -> int:
            busy[id] = busy.get(id, 0) + 1
            assert busy[id] == 1
            assert not ended.get(id)
            try:
                await asyncio.sleep(1)
                if id == 3:
                    raise OSError(id)
                ended[id] = 1
                return id
            finally:
                busy[id] -= 1

        async def caller(id: int, start: float, patience: float | None) -> Any:
            await asyncio.sleep(start)
            async with asyncio.timeout(patience):
                return await ask(id)

        with request() as here:
            found = await asyncio.gather(*(caller(*call) for call in calls), return_exceptions=True)
            for (id, _, patience), one in zip(calls, found, strict=True):
                if isinstance(one, TimeoutError):
                    assert patience is not None
                else:
                    assert type(one) is OSError if id == 3 else one == id
            assert here.entries is not None
            assert all(type(one) is tuple for one in here.entries.values())

    run(main())
