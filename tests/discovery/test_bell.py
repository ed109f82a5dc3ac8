import asyncio
import threading

from resilient.discovery.bell import Bell


async def test_any_thread_wakes_an_idle_loop() -> None:
    bell = Bell()
    bell.hang()
    began = asyncio.get_running_loop().time()
    threading.Timer(0.05, bell.ring).start()
    assert await bell.wait(5)
    assert asyncio.get_running_loop().time() - began < 2


async def test_ringing_before_anybody_waits_is_heard_once() -> None:
    bell = Bell()
    bell.ring()
    bell.hang()
    bell.ring()
    assert await bell.wait(1)
    assert not await bell.wait(0.01)
    bell.ring()
    assert await bell.wait(float("inf"))


def test_a_closed_loop_is_nobodys_error() -> None:
    bell = Bell()

    async def hang() -> None:
        bell.hang()

    asyncio.run(hang())
    bell.ring()
