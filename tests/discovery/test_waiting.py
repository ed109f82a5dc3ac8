import asyncio
import threading
import time
from concurrent.futures import Future

import pytest

from resilient.clock import ManualClock
from resilient.discovery import waiting
from resilient.discovery.waiting import Seeker


class Registry:
    """Answers at once, and counts."""

    live = False
    connected_url = "http://a/eureka/"

    def __init__(self) -> None:
        self.asked = 0

    async def refreshed(self) -> None:
        self.asked += 1


@pytest.fixture
def there() -> set[str]:
    return set()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def seeker(there: set[str], clock: ManualClock) -> Seeker:
    return Seeker(there.__contains__, lambda: None, clock=clock)


async def test_a_caller_is_woken_by_the_first_instance(seeker: Seeker, there: set[str]) -> None:
    waits = [asyncio.create_task(seeker.seek("orders", 5)) for _ in range(3)]
    await asyncio.sleep(0)
    there.add("billing")
    seeker.wake({"billing"})
    await asyncio.sleep(0.01)
    assert not any(one.done() for one in waits)
    seeker.wake({"orders"})  # something changed there, but nobody can be called yet
    await asyncio.sleep(0.01)
    assert not any(one.done() for one in waits)
    there.add("orders")
    began = time.monotonic()
    seeker.wake({"orders"})
    assert await asyncio.gather(*waits) == [True] * 3
    assert time.monotonic() - began < 4
    assert seeker._count == 0
    assert seeker._waiting == {}


def test_a_thread_is_woken_too(seeker: Seeker, there: set[str]) -> None:
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(seeker.seek_now("orders", 5))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    while seeker._count < 3:
        time.sleep(0.001)
    there.add("orders")
    seeker.wake()
    for thread in threads:
        thread.join(2)
    assert answers == [True] * 3


async def test_time_runs_out(seeker: Seeker) -> None:
    assert not await seeker.seek("orders", 0.02)
    assert not await asyncio.to_thread(seeker.seek_now, "orders", 0.02)
    assert not await seeker.seek("orders", 0)
    assert seeker._count == 0


async def test_waiting_can_be_cancelled(seeker: Seeker, there: set[str]) -> None:
    wait = asyncio.create_task(seeker.seek("orders", 5))
    await asyncio.sleep(0.01)
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait
    assert seeker._count == 0
    there.add("orders")
    seeker.wake({"orders"})


async def test_no_more_wait_than_there_is_room_for(
    seeker: Seeker, there: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST", 2)
    waits = [asyncio.create_task(seeker.seek("orders", 5)) for _ in range(2)]
    await asyncio.sleep(0)
    began = time.monotonic()
    assert not await seeker.seek("orders", 5)
    assert time.monotonic() - began < 4
    there.add("orders")
    seeker.wake()
    assert await asyncio.gather(*waits) == [True] * 2


async def test_a_change_between_looking_and_waiting_is_not_missed(
    there: set[str], clock: ManualClock
) -> None:
    looks: list[str] = []

    def late(name: str) -> bool:  # it comes after the second look
        looks.append(name)
        return len(looks) > 2

    assert await asyncio.wait_for(Seeker(late, lambda: None, clock=clock).seek("orders", 60), 2)


async def test_the_registry_is_asked_before_a_name_is_given_up_but_not_for_each_call(
    there: set[str], clock: ManualClock
) -> None:
    registry = Registry()
    seeker = Seeker(there.__contains__, lambda: registry, clock=clock)
    assert not await seeker.seek("orders", 0)
    assert registry.asked == 1
    for _ in range(20):
        await seeker.seek("orders", 0)
        await seeker.seek("billing", 0)
    assert registry.asked == 1
    clock.advance(1)
    for _ in range(20):
        await seeker.seek("orders", 0)
        assert not await asyncio.to_thread(seeker.seek_now, "billing", 0)
    assert registry.asked == 2
    clock.advance(5)
    await seeker.seek("orders", 0)
    assert registry.asked == 3
    there.add("orders")
    clock.advance(10)
    assert await seeker.seek("orders", 0)
    assert registry.asked == 3


@pytest.mark.parametrize(("live", "url"), [(True, "http://a/"), (False, "")])
async def test_the_registry_is_not_asked_if_that_tells_nothing(
    there: set[str], clock: ManualClock, live: bool, url: str
) -> None:
    registry = Registry()
    registry.live, registry.connected_url = live, url
    await Seeker(there.__contains__, lambda: registry, clock=clock).seek("orders", 0)
    assert registry.asked == 0


async def test_a_registry_that_hangs_holds_up_a_call_for_a_moment_only(
    there: set[str], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK", 0.05)
    never: Future[None] = Future()
    monkeypatch.setattr(Seeker, "_look", lambda self, service: never)
    seeker = Seeker(there.__contains__, lambda: None, clock=clock)
    began = time.monotonic()
    assert not await seeker.seek("orders", 0)
    assert not await asyncio.to_thread(seeker.seek_now, "orders", 0)
    assert time.monotonic() - began < 2


def test_it_holds_a_bounded_number_of_names(there: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST", 10)
    clock = ManualClock()
    registry = Registry()
    seeker = Seeker(there.__contains__, lambda: registry, clock=clock)
    for number in range(50):
        seeker.seek_now(f"s{number}", 0)
        clock.advance(1)
        assert len(seeker._sought) <= 10


def test_a_forked_child_waits_for_nobody(seeker: Seeker) -> None:
    seeker._join("orders")
    seeker.after_fork()
    assert seeker._count == 0
