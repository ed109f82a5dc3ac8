"""The same over real sockets: copies in processes of their own, one of them stopped, one of them killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from .balancing_report import Bound, Result
from .session import serving

COPIES = 5
BURST, RATE = 10, 20.0  # calls at once, as a page needs them, and such pages a second
TIMEOUT = 1.0  # of a call; a try gets half of it


@dataclass(slots=True)
class _Seen:
    """What the callers saw: when each try began and on which copy, and the calls that failed."""

    tries: list[tuple[float, str]] = field(default_factory=list)
    calls: int = 0
    failed: int = 0


async def live(short: bool) -> list[Result]:
    """All scenarios; nothing without aiohttp."""
    try:
        from .balancing_sockets import sockets
    except ImportError:
        return []
    seconds = 4.0 if short else 8.0
    return [*await sockets(short), await _stopped(seconds), await _killed(seconds)]


async def _stopped(seconds: float) -> Result:
    title = "over sockets: one of five copies stands still (SIGSTOP)"
    with contextlib.ExitStack() as stack:
        copies = [stack.enter_context(serving(1)) for _ in range(COPIES)]
        process, (url,) = copies[0]
        async with _calling([urls[0] for _, urls in copies]) as (seen, ejected):
            await asyncio.sleep(2.0)
            os.kill(process.pid, signal.SIGSTOP)
            at = time.monotonic()
            try:
                await asyncio.sleep(seconds)
            finally:
                os.kill(process.pid, signal.SIGCONT)
        late = [where for began, where in seen.tries if at + 1.0 <= began < at + seconds]
        share = 100.0 * late.count(url) / max(1, len(late))
        after = min((when for when, id in ejected if when >= at), default=at + 99.0) - at
        failed = 100.0 * seen.failed / max(1, seen.calls)
    return Result(
        title,
        ("stopped copy %", "ejected after s", "failed calls %"),
        {"ours": (share, after, failed)},
        [
            Bound(title, "calls there after 1 s", share, 2.0),
            Bound(title, "ejected after", after, TIMEOUT / 2 + 0.5, "s"),
        ],
    )


async def _killed(seconds: float) -> Result:
    title = "over sockets: one of five copies is killed (SIGKILL)"
    with contextlib.ExitStack() as stack:
        copies = [stack.enter_context(serving(1)) for _ in range(COPIES)]
        process, _ = copies[0]
        async with _calling([urls[0] for _, urls in copies]) as (seen, _):
            await asyncio.sleep(1.0)
            process.kill()
            await asyncio.sleep(seconds / 2)
        failed = float(seen.failed)
    return Result(
        title,
        ("calls", "failed calls"),
        {"ours": (float(seen.calls), failed)},
        [Bound(title, "failed calls", failed, 0.0, "calls")],
    )


@contextlib.asynccontextmanager
async def _calling(urls: list[str]) -> AsyncIterator[tuple[_Seen, list[tuple[float, str]]]]:
    """``RATE`` bursts a second of idempotent calls, whether the earlier ones have been answered or not."""
    from resilient import circuit, runtime
    from resilient.aiohttp.client import make_session
    from resilient.balancing.node import Node
    from resilient.balancing.rules import two_choices
    from resilient.events import InstanceEjected

    seen, ejected = _Seen(), list[tuple[float, str]]()

    def watched(nodes: object, rng: object) -> Node:
        node = two_choices(nodes, rng)  # type: ignore[arg-type]
        seen.tries.append((time.monotonic(), node.url))
        return node

    before = runtime._process
    here = runtime._process = runtime.Runtime(instances={"orders": urls}, rule=watched)
    here.events.subscribe(lambda event: ejected.append((time.monotonic(), event.instance)), InstanceEjected)
    try:
        async with make_session() as http:

            @circuit("bench live", timeout=TIMEOUT)
            async def order(id: int) -> bytes:
                async with http.get(f"http://orders/orders/{id}") as response:
                    response.raise_for_status()
                    return await response.read()

            async def one(id: int) -> None:
                seen.calls += 1
                try:
                    await order(id)
                except Exception:
                    seen.failed += 1

            async def load() -> None:
                began, n = time.monotonic(), 0
                async with asyncio.TaskGroup() as group:
                    while True:
                        for id in range(BURST):
                            group.create_task(one(id))
                        n += 1
                        await asyncio.sleep(max(0.0, began + n / RATE - time.monotonic()))

            task = asyncio.create_task(load())
            try:
                yield seen, ejected
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
    finally:
        runtime._process = before
