"""Within one inbound request the same question is asked once; outside, nothing changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from request_kit import Asked
from virtual_loop import LoopClock, run, turns

from resilient import Runtime, circuit
from resilient.cached import cached_per_request
from resilient.request import MOST, PRESENT, request


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Runtime]:
    with Runtime(clock=LoopClock()).active() as runtime:
        yield runtime


# ---------------------------------------------------------------- one execution, its value is kept


def test_case_81_concurrent_duplicates_share_one_execution() -> None:
    async def main() -> None:
        @cached_per_request
        @circuit
        async def slow(id: int) -> object:
            await asyncio.sleep(1)
            return object()

        with request() as here:
            first, second = await asyncio.gather(slow(1), slow(1))
            third = await slow(1)
            other = await slow(2)
        assert first is second is third is not other
        assert (here.hits, here.misses) == (2, 2)
        assert slow.guard.find().snapshot().counts["success"] == 2  # type: ignore[attr-defined]

    run(main())


def test_case_85_without_a_request_each_call_is_made() -> None:
    async def main() -> None:
        asked = Asked()
        assert await asked.ask(1) is not await asked.ask(1)
        assert len(asked.calls) == 2

    run(main())


def test_each_request_starts_with_nothing_and_forgets_all() -> None:
    async def main() -> None:
        asked = Asked()

        async def serve() -> object:
            async with request():
                first = await asked.ask(1)
                with request():  # one within another: an empty one
                    assert await asked.ask(1) is not first
                assert await asked.ask(1) is first
                return first

        assert await serve() is not await serve()
        first, second = await asyncio.gather(serve(), serve())
        assert first is not second
        assert len(asked.calls) == 8
        assert PRESENT.get() is None

    run(main())


def test_tasks_and_threads_of_the_request_are_inside() -> None:
    async def main() -> None:
        asked = Asked()
        count = 0

        @cached_per_request
        def plain(id: int) -> object:
            nonlocal count
            count += 1
            return object()

        with request():
            first = await asyncio.create_task(asked.ask(1))
            assert await asyncio.gather(asked.ask(1), asked.ask(1)) == [first, first]
            assert plain(1) is await asyncio.to_thread(plain, 1)
        assert (len(asked.calls), count) == (1, 1)

    run(main())


def test_a_task_that_outlives_its_request_is_outside() -> None:
    async def main() -> None:
        asked = Asked()
        asked.gate = asyncio.Event()
        with request() as here:
            under_way = asyncio.create_task(asked.ask(1))
            joined = asyncio.create_task(asked.ask(1))
            later = asyncio.create_task(_after(2, lambda: asked.ask(1)))
            await turns()
        asked.gate.set()
        assert await under_way is await joined
        await later
        assert len(asked.calls) == 2
        assert here.entries is None

    run(main())


async def _after(seconds: float, call: Callable[[], Any]) -> Any:
    await asyncio.sleep(seconds)
    return await call()


def test_a_request_is_for_one_block() -> None:
    here = request()
    with here:
        with pytest.raises(RuntimeError, match="one 'with' block"):
            here.__enter__()
    with pytest.raises(RuntimeError):
        with here:
            pass


def test_no_more_answers_are_kept_than_may() -> None:
    async def main() -> None:
        asked = Asked()
        with request() as here:
            for n in range(MOST + 5):
                await asked.ask(n)
            assert here.entries is not None
            assert len(here.entries) == MOST
            await asked.ask(0)
            assert len(asked.calls) == MOST + 5
            await asked.ask(MOST)
            assert len(asked.calls) == MOST + 6

    run(main())


# ---------------------------------------------------------------- keys


def test_what_is_the_same_question() -> None:
    async def main() -> None:
        asked = Asked()
        questions: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
            ((1,), {}), ((1.0,), {}), ((True,), {}), (("1",), {}), ((1, 2), {}), ((), {"a": 1}),
            ((), {"a": 1.0}), ((), {"a": 1, "b": 2}), ((), {}), ((None,), {}), (((1, 2),), {}),
        ]  # fmt: skip
        with request():
            for _ in range(2):
                for args, kwargs in questions:
                    await asked.ask(*args, **kwargs)
            assert len(asked.calls) == len(questions)
            await asked.ask(b=2, a=1)
        assert len(asked.calls) == len(questions)

    run(main())


def test_a_key_of_ones_own() -> None:
    async def main() -> None:
        asked = Asked(key=lambda user, fresh=False: None if fresh else user["id"])
        with request():
            first = await asked.ask({"id": 1, "seen": 1})
            assert await asked.ask({"id": 1, "seen": 2}) is first
            assert await asked.ask({"id": 2}) is not first
            assert await asked.ask({"id": 1}, fresh=True) is not first  # None: not remembered
            assert await asked.ask({"id": 1}) is first
        assert len(asked.calls) == 3

    run(main())


def test_arguments_that_cannot_be_a_key_are_asked_each_time(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        asked = Asked()
        with caplog.at_level(logging.WARNING), request():
            assert await asked.ask([1]) is not await asked.ask([1])
        assert [
            record.getMessage().endswith("give @cached_per_request a key=") for record in caplog.records
        ] == [True]

    run(main())


@dataclass
class Client:  # equal to others and not hashable
    name: str
    calls: int = 0

    @cached_per_request
    async def get(self, id: int) -> str:
        self.calls += 1
        return f"{self.name}{id}"

    @cached_per_request
    def get_now(self, id: int) -> str:
        self.calls += 1
        return f"{self.name}{id}"


def test_each_object_asks_for_itself() -> None:
    async def main() -> None:
        a, b = Client("x"), Client("x")
        with request():
            for _ in range(2):
                assert await a.get(1) == await b.get(1) == a.get_now(1) == b.get_now(1) == "x1"
        assert (a.calls, b.calls) == (2, 2)  # async and plain do not share

    run(main())


def test_two_functions_do_not_share() -> None:
    @cached_per_request
    def one(id: int) -> str:
        return "one"

    @cached_per_request
    def two(id: int) -> str:
        return "two"

    with request():
        assert (one(1), two(1)) == ("one", "two")


def test_forgetting_after_a_write() -> None:
    async def main() -> None:
        asked = Asked()
        a, b = Client("a"), Client("b")
        request.forget(asked.ask, 1)  # outside of any request
        with request():
            first = await asked.ask(1)
            second = await asked.ask(2)
            request.forget(asked.ask, 1)
            request.forget(asked.ask, 3)
            assert await asked.ask(1) is not first
            assert await asked.ask(2) is second
            request.forget(asked.ask)
            assert await asked.ask(2) is not second

            for client in (a, b):
                await client.get(1)
                await client.get(2)
            request.forget(a.get, 1)
            await a.get(1)
            await a.get(2)
            assert (a.calls, b.calls) == (3, 2)
            request.forget(a.get)
            for client in (a, b):
                await client.get(1)
                await client.get(2)
            assert (a.calls, b.calls) == (5, 2)
            request.forget(Client.get)
            await b.get(1)
            assert b.calls == 3
            with pytest.raises(TypeError, match="not under @cached_per_request"):
                request.forget(run, 1)

    run(main())


def test_what_is_forgotten_under_way_does_not_come_back() -> None:
    async def main() -> None:
        asked = Asked()
        asked.gate = asyncio.Event()
        with request():
            old = asyncio.create_task(asked.ask(1))
            await turns()
            request.forget(asked.ask, 1)
            new = asyncio.create_task(asked.ask(1))
            await turns()
            asked.gate.set()
            assert await old is not await new
            assert await asked.ask(1) is await new

    run(main())
