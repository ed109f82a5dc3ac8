import asyncio
import os
import subprocess
import sys
import threading
import time

import pytest

from resilient import background
from resilient.background import BackgroundLoop, off_loop


def test_work_runs_on_a_daemon_thread_of_its_own() -> None:
    loop = BackgroundLoop()
    assert not loop.running

    async def where() -> tuple[str, bool]:
        return threading.current_thread().name, threading.current_thread().daemon

    name, daemon = loop.run(where()).result(2)
    assert name == "resilient-loop"
    assert daemon
    assert loop.call(max, 1, 2).result(2) == 2
    loop.stop()
    assert not loop.running


def test_stopping_runs_closers_cancels_the_rest_and_may_be_followed_by_a_new_start() -> None:
    loop = BackgroundLoop()
    said: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            said.append("cancelled")

    async def bye() -> None:
        said.append("closed")

    async def broken() -> None:
        raise RuntimeError("no")

    work = loop.run(forever())
    loop.call(int).result(2)
    loop.on_stop(bye)
    leave = loop.on_stop(broken)
    loop.on_stop(broken)
    leave()
    thread = loop._thread
    loop.stop()
    assert said == ["closed", "cancelled"]
    assert work.cancelled()
    assert thread is not None
    assert not thread.is_alive()
    assert loop.call(int).result(2) == 0
    loop.stop()
    assert said == ["closed", "cancelled"]


def test_a_closer_that_hangs_does_not_hold_up_the_end() -> None:
    loop = BackgroundLoop()

    async def hang() -> None:
        await asyncio.sleep(60)

    loop.call(int).result(2)
    loop.on_stop(hang)
    began = time.monotonic()
    loop.stop(0.3)
    assert time.monotonic() - began < 20  # of sixty


def _run(code: str, timeout: float = 20) -> tuple[str, str, float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, check=True
    )
    return done.stdout, done.stderr, time.monotonic() - began


def test_the_end_of_a_process_signs_out_even_with_a_name_to_look_up() -> None:
    out, err, _ = _run(
        """
import asyncio, socket
from resilient.background import shared, off_loop
async def bye():
    found = await off_loop(socket.getaddrinfo, "localhost", 80)
    print("signed out", bool(found))
shared().on_stop(bye)
shared().call(int).result(2)
asyncio.run(asyncio.sleep(0))
"""
    )
    assert out == "signed out True\n"
    assert err == ""


def test_the_end_of_a_process_is_never_held_up_longer_than_two_seconds() -> None:
    out, _, seconds = _run(
        """
import time
from resilient.background import shared, off_loop
async def bye():
    await off_loop(time.sleep, 60)
shared().on_stop(bye)
shared().call(int).result(2)
print("end")
"""
    )
    assert out == "end\n"
    # Not the sixty it would be; the interpreter's own start counts, on whatever machine.
    assert seconds < 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_gets_a_loop_of_its_own_and_leaves_the_parents_alone() -> None:
    out, err, _ = _run(
        """
import gc, os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from resilient import background
mine = background.shared()
mine.call(int).result(2)
child = os.fork()
if child == 0:
    gc.collect()
    assert background.shared() is not mine
    assert mine.running is False
    print("child", background.shared().call(sum, [1, 2]).result(2), mine.call(sum, [1]).result(2), flush=True)
    background.shared().stop(); mine.stop()
    os._exit(0)
os.waitpid(child, 0)
print("parent", mine.call(sum, [3, 4]).result(2))
"""
    )
    assert out == "child 3 1\nparent 7\n", err


async def test_blocking_work_is_awaited_with_its_answer_or_error() -> None:
    assert await off_loop(sum, [1, 2]) == 3
    with pytest.raises(ZeroDivisionError):
        await off_loop(divmod, 1, 0)


async def test_giving_up_on_blocking_work_leaves_nothing_behind() -> None:
    gate = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await off_loop(gate.wait, 5)
    gate.set()
    await asyncio.sleep(0.02)


def test_the_shared_loop_is_one_per_process() -> None:
    assert background.shared() is background.shared()
