"""Collapsing in threads: the first one waits a moment and calls for all."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resilient import CallRejected, Runtime, circuit, current_attempt
from resilient.clock import ManualClock
from resilient.collapsed import collapsed


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Runtime]:
    with Runtime(clock=ManualClock()).active() as runtime:
        yield runtime


class Crowd:
    """Calls in threads of their own, and what became of each."""

    def __init__(self, one: Callable[[Any], Any], keys: Any) -> None:
        self.found: list[Any] = [None] * len(keys)
        self.threads = []
        for index, key in enumerate(keys):

            def work(index: int = index, key: Any = key) -> None:
                try:
                    self.found[index] = one(key)
                except BaseException as error:
                    self.found[index] = error

            self.threads.append(threading.Thread(target=contextvars.copy_context().run, args=(work,)))
        for thread in self.threads:
            thread.start()

    def end(self) -> list[Any]:
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive(), "somebody waits for ever"
        return self.found


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_threads_share_one_call_made_by_the_first() -> None:
    batches: list[list[str]] = []
    callers: list[int] = []

    @collapsed(max_batch=4, wait=30)
    def many(keys: list[str]) -> dict[str, str]:
        batches.append(sorted(keys))
        callers.append(threading.get_ident())
        return {key: key * 2 for key in keys}

    crowd = Crowd(many, "abcbd")
    assert crowd.end() == ["aa", "bb", "cc", "bb", "dd"]  # full: nobody waited for half a minute
    assert batches == [["a", "b", "c", "d"]]
    assert callers[0] in {thread.ident for thread in crowd.threads}
    found = many.snapshot()
    assert (found.batches, found.items, found.keys, found.pending) == (1, 5, 4, 0)


def test_after_the_wait_it_goes_by_itself() -> None:
    @collapsed(wait=0.02)
    def many(keys: list[int]) -> list[int]:
        return [-key for key in keys]

    began = time.monotonic()
    assert many(3) == -3
    assert time.monotonic() - began >= 0.02


def test_flushed_by_hand_from_elsewhere() -> None:
    @collapsed(wait=30)
    def many(keys: list[str]) -> list[str]:
        return keys

    crowd = Crowd(many, "abc")
    until(lambda: many.snapshot().pending == 3)
    many.flush()
    assert crowd.end() == ["a", "b", "c"]
    assert many.snapshot().batches == 1


def test_each_gets_his_own_error() -> None:
    broken = OSError("all")

    @collapsed(max_batch=3, wait=30)
    def ill(keys: list[str]) -> list[str]:
        raise broken

    found = Crowd(ill, "abc").end()
    assert {type(error) for error in found} == {OSError}
    assert len({id(error) for error in found}) == 3
    assert broken not in found

    @collapsed(max_batch=3, wait=30)
    def partly(keys: list[str]) -> dict[str, Any]:
        return {"a": 1, "b": ValueError("b")}

    found = Crowd(partly, "abc").end()
    assert found[0] == 1
    assert [type(error) for error in found[1:]] == [ValueError, KeyError]

    @collapsed(wait=0)
    def alone(keys: list[str]) -> list[str]:
        raise broken

    with pytest.raises(OSError) as seen:
        alone("a")
    assert seen.value is broken


def test_a_leader_who_is_interrupted_while_it_waits_is_followed_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from resilient.collapsed import threads

    class Interrupting:
        hit: int | None = None

        def monotonic(self) -> float:
            if self.hit == threading.get_ident():
                self.hit = None
                raise KeyboardInterrupt
            return time.monotonic()

    clock = Interrupting()
    monkeypatch.setattr(threads, "time", clock)
    batches: list[list[str]] = []

    @collapsed(wait=30)
    def many(keys: list[str]) -> list[str]:
        batches.append(keys)
        return keys

    first = Crowd(many, "a")
    until(lambda: many.snapshot().pending == 1)
    rest = Crowd(many, "bc")
    until(lambda: many.snapshot().pending == 3)
    clock.hit = first.threads[0].ident
    changed = next(
        cell.cell_contents._changed for cell in many.__closure__ if hasattr(cell.cell_contents, "_changed")
    )
    with changed:
        changed.notify_all()  # wakes the leader, who meets Ctrl-C
    assert isinstance(first.end()[0], KeyboardInterrupt)
    until(lambda: many.snapshot().pending == 2)
    many.flush()
    assert rest.end() == ["b", "c"]
    assert [sorted(keys) for keys in batches] == [["b", "c"]]


def test_a_leader_who_is_interrupted_in_the_call_tells_the_others() -> None:
    @collapsed(max_batch=2, wait=30)
    def many(keys: list[str]) -> list[str]:
        raise KeyboardInterrupt

    found = Crowd(many, "ab").end()
    assert {type(error) for error in found} == {KeyboardInterrupt, RuntimeError}
    assert many.snapshot().pending == 0


def test_no_more_wait_than_may() -> None:
    @collapsed(wait=30, max_pending=1)
    def many(keys: list[str]) -> list[str]:
        return keys

    crowd = Crowd(many, "a")
    until(lambda: many.snapshot().pending == 1)
    with pytest.raises(CallRejected):
        many("b")
    many.flush()
    assert crowd.end() == ["a"]
    with pytest.raises(TypeError):
        many([])  # type: ignore[arg-type]
    assert many.snapshot().pending == 0


def test_a_batch_function_that_asks_itself() -> None:
    @collapsed(wait=0)
    def many(keys: list[int]) -> list[int]:
        return [key if key == 0 else many(key - 1) + 1 for key in keys]

    assert many(5) == 5


def test_methods_and_circuits() -> None:
    class Client:
        def __init__(self) -> None:
            self.seen: list[object] = []

        @collapsed(wait=0)
        @circuit
        def get(self, keys: list[int]) -> list[int]:
            self.seen.append(current_attempt())
            return keys

    client = Client()
    assert client.get(7) == 7
    assert client.seen[0].name.endswith("get")  # type: ignore[attr-defined]

    @circuit("outer")
    def outer() -> int:
        return bare(1)

    attempts: list[object] = []

    @collapsed(wait=0)
    def bare(keys: list[int]) -> list[int]:
        attempts.append(current_attempt())
        return keys

    assert outer() == 1
    assert attempts == [None]


def test_many_threads_many_times() -> None:
    asked: list[int] = []

    @collapsed(max_batch=7, wait=0.001)
    def many(keys: list[int]) -> dict[int, int]:
        asked.extend(keys)
        return {key: key + 1 for key in keys}

    def work(start: int) -> bool:
        return all(many(start + step) == start + step + 1 for step in range(40))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        assert Crowd(work, [100 * n for n in range(12)]).end() == [True] * 12
    finally:
        sys.setswitchinterval(interval)
    found = many.snapshot()
    calls = 12 * 40
    assert found.items == calls
    assert len(asked) == found.keys <= calls
    assert found.largest <= 7
    assert found.pending == 0
