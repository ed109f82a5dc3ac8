"""The pytest fixtures, used as people use them."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from resilient import CircuitOpen, circuit, current
from resilient.testing import LocalRuntime, ManualClock, hang


@circuit("fixtures", reset_timeout=5)
def function() -> int:
    return 1


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_has_a_runtime_of_its_own(resilient_runtime: LocalRuntime, turn: int) -> None:
    assert current() is resilient_runtime
    assert len(resilient_runtime.circuits) == 0
    assert resilient_runtime.clock is time
    function.open()


def test_the_clock_is_moved_by_hand(resilient_clock: ManualClock, resilient_runtime: LocalRuntime) -> None:
    assert resilient_runtime.clock is resilient_clock
    function.open()
    with pytest.raises(CircuitOpen):
        function()
    resilient_clock.advance(5)
    assert function() == 1


def test_the_clock_alone_is_enough(resilient_clock: ManualClock) -> None:
    assert current().clock is resilient_clock


@pytest.mark.usefixtures("resilient_clock")
def test_by_mark() -> None:
    assert isinstance(current().clock, ManualClock)


async def test_in_coroutines_and_threads(resilient_runtime: LocalRuntime) -> None:
    assert current() is resilient_runtime
    seen = []
    thread = threading.Thread(target=lambda: seen.append(current()))
    thread.start()
    thread.join()
    assert seen == [resilient_runtime]
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, current) is resilient_runtime


def test_asked_for_too_late(resilient_runtime: LocalRuntime, request: pytest.FixtureRequest) -> None:
    with pytest.raises(pytest.fail.Exception, match="among the test's arguments"):
        request.getfixturevalue("resilient_clock")


def test_who_does_not_ask_has_none() -> None:
    assert not isinstance(current(), LocalRuntime)


def test_names_of_the_package() -> None:
    import resilient.testing as room

    assert all(hasattr(room, name) for name in room.__all__)
    assert callable(hang)
