"""The request cache with circuits and fallbacks below it, and with threads."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from request_kit import Asked
from virtual_loop import LoopClock, run, turns

from resilient import CircuitOpen, Runtime, circuit
from resilient.cached import cached_per_request
from resilient.events import FallbackUsed
from resilient.request import request


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Runtime]:
    with Runtime(clock=LoopClock()).active() as runtime:
        yield runtime


# ---------------------------------------------------------------- circuits and fallbacks


def test_case_84_a_hit_while_the_circuit_is_open() -> None:
    async def main() -> None:
        @cached_per_request
        @circuit("case 84")
        async def get(id: int) -> int:
            return id

        held = get.guard.find()  # type: ignore[attr-defined]
        with request():
            assert await get(1) == 1
            held.open(60)
            assert await get(1) == 1
            assert held.snapshot().counts["short_circuited"] == 0
            with pytest.raises(CircuitOpen):
                await get(2)

    run(main())


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("trouble", ["error", "open", "returned"])
def test_case_73_an_answer_of_the_fallback_is_never_kept(runtime: Runtime, kind: str, trouble: str) -> None:
    class Reply:
        def __init__(self, status: int) -> None:
            self.status = status

    seen: list[FallbackUsed] = []
    runtime.events.subscribe(seen.append, FallbackUsed)

    async def main() -> None:
        calls = 0

        def act(id: int) -> Any:
            nonlocal calls
            calls += 1
            if trouble == "error":
                raise OSError(id)
            return Reply(503)

        guarded = circuit(f"{kind} {trouble}", default="instead", min_calls=1000)
        if kind == "async":

            @cached_per_request
            @guarded
            async def get(id: int) -> Any:
                await asyncio.sleep(1)
                return act(id)

            async def ask(id: int) -> Any:
                return await get(id)

        else:

            @cached_per_request
            @guarded
            def get_now(id: int) -> Any:
                return act(id)

            async def ask(id: int) -> Any:
                return get_now(id)

        if trouble == "open":
            guarded.open(60)
        with request() as here:
            assert await asyncio.gather(ask(1), ask(1)) == ["instead", "instead"]
            assert here.entries == {}
            before = calls
            assert await ask(1) == "instead"
            assert calls == before + (trouble != "open")
        counts = guarded.snapshot().counts
        assert counts["failure"] == calls
        assert counts["fallback_success"] == len(seen) == 3  # each caller has his own
        if trouble == "open":
            assert counts["short_circuited"] > 0
            assert calls == 0
        elif kind == "async":
            assert calls == 2

    run(main())


def test_the_fallback_still_does_what_it_does_without_the_cache() -> None:
    async def main() -> None:
        @cached_per_request
        @circuit(fallback=lambda id, error: type(error).__name__, exclude=KeyError)
        async def get(id: int) -> Any:
            raise KeyError(id) if id else OSError

        assert await get(0) == "OSError"
        with request():
            assert await get(0) == "OSError"
            with pytest.raises(KeyError):
                await get(1)  # the question was wrong: no fallback

    run(main())


def test_a_returned_failure_is_shared_but_not_kept() -> None:
    @dataclass(eq=False)
    class Reply:
        status: int

    async def main() -> None:
        status = 503

        @cached_per_request
        @circuit
        async def get(id: int) -> Reply:
            await asyncio.sleep(0.1)
            return Reply(status)

        with request():
            first, second = await asyncio.gather(get(1), get(1))
            assert first is second
            assert first.status == 503
            status = 200
            assert (await get(1)).status == 200

    run(main())


def test_a_predicate_that_fails_does_not_leave_anybody_waiting() -> None:
    def failed(result: object) -> bool:
        raise RuntimeError("predicate")

    @cached_per_request
    @circuit(failed=failed)
    def get(id: object) -> object:
        return object()

    with request() as here:
        for _ in range(2):
            try:
                get(1)
            except RuntimeError:
                pass
        assert here.entries is not None
        assert all(type(one) is tuple for one in here.entries.values())


# ---------------------------------------------------------------- threads


def in_threads(n: int, work: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []

    def one() -> None:
        try:
            found.append(work())
        except BaseException as error:
            found.append(error)

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(one,)) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive(), "somebody waits for ever"
    return found


def test_threads_of_one_request_share_one_execution() -> None:
    calls = []
    gate = threading.Event()

    @cached_per_request
    def slow(id: int) -> object:
        calls.append(id)
        gate.wait(10)
        return object()

    with request() as here:
        threading.Timer(0.05, gate.set).start()
        found = in_threads(6, lambda: slow(1))
        assert slow(1) is found[0]
    assert len(set(map(id, found))) == 1
    assert calls == [1]
    assert here.hits == 6


def test_an_error_goes_to_all_threads_that_wait() -> None:
    gate = threading.Event()
    calls = []

    @cached_per_request
    def ill(id: int) -> None:
        calls.append(id)
        gate.wait(10)
        raise OSError(5, "broken")

    with request() as here:
        threading.Timer(0.05, gate.set).start()
        found = in_threads(4, lambda: ill(1))
        assert here.entries == {}
    assert [type(error) for error in found] == [OSError] * 4
    assert len(set(map(id, found))) == 4
    assert len(calls) >= 1


def test_when_the_first_thread_is_interrupted_the_next_one_asks() -> None:
    gate = threading.Event()
    calls = []

    @cached_per_request
    def get(id: int) -> int:
        calls.append(id)
        if len(calls) == 1:
            gate.wait(10)
            raise KeyboardInterrupt
        return 7

    with request():
        threading.Timer(0.05, gate.set).start()
        found = in_threads(4, lambda: get(1))
    assert sorted(map(str, found)) == ["", "7", "7", "7"]
    assert len(calls) == 2


def test_many_threads_many_keys() -> None:
    counts: dict[int, int] = {}

    @cached_per_request
    def get(id: int) -> int:
        counts[id] = counts.get(id, 0) + 1
        time.sleep(0)
        return -id

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with request():
            found = in_threads(8, lambda: [get(n % 20) for n in range(200)])
    finally:
        sys.setswitchinterval(interval)
    assert found == [[-(n % 20) for n in range(200)]] * 8
    assert counts == dict.fromkeys(range(20), 1)


def test_another_loop_of_the_same_request_asks_for_itself() -> None:
    async def main() -> None:
        asked = Asked()
        asked.gate = asyncio.Event()

        async def elsewhere() -> object:
            asked.gate = None
            return await asked.ask(1)

        with request():
            first = asyncio.create_task(asked.ask(1))
            await turns()
            gate, second = asked.gate, await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
            gate.set()
            assert await first is not second
        assert len(asked.calls) == 2

    run(main())
