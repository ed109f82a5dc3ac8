"""The slow and the broken copy once more, over real sockets, ours beside other ways to choose."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import aiohttp

from resilient import circuit, runtime
from resilient.aiohttp.client import make_session
from resilient.balancing.balancer import Balancer
from resilient.balancing.node import Node
from resilient.balancing.rules import two_choices
from resilient.model import Instance

from .balancing_copies import WORK, copies
from .balancing_report import Bound, Result
from .balancing_world import CONTENDERS, OURS, Outcome

COPIES, WORKERS = 10, 4
CAPACITY = (COPIES - 1 + 0.1) * WORKERS / WORK  # calls a second

Call = Callable[[int], Awaitable[int]]


async def sockets(short: bool) -> list[Result]:
    """One slow copy under little and under more load, one broken copy."""
    return [
        await _slow(0.2, "least loaded", 5.0 if short else 15.0, short),
        await _slow(0.6, "round robin", 3.0 if short else 8.0, short),
        await _broken(2_000 if short else 20_000, 3.0 if short else 8.0, short),
    ]


async def _slow(load: float, rival: str, seconds: float, short: bool) -> Result:
    title = f"over sockets: one of ten copies 10 times slower, {load:.0%} of capacity"
    rows = {}
    for name in (rival, OURS) if short else CONTENDERS:
        with copies(COPIES, WORKERS) as urls:  # new ones each time: the last one's line may still be long
            await _turn(urls[0], "slow")
            seen = await _run(name, urls, load * CAPACITY, seconds)
        skip = 0.2 * seconds
        rows[name] = (
            100 * seen.share(0, skip),
            1000 * seen.percentile(0.5, skip),
            1000 * seen.percentile(0.99, skip),
        )
    ratio = rows[OURS][2] / rows[rival][2]
    most = 1 / 3 if rival == "round robin" else 0.7
    bounds = [Bound(title, "calls to the slow copy", rows[OURS][0], 2.0)]
    if not short or rival == "round robin":  # the other one needs more calls than fit into a short run
        bounds.append(Bound(title, f"p99 / {rival}'s", ratio, most, "times"))
    return Result(title, ("slow copy %", "p50 ms", "p99 ms"), rows, bounds)


async def _broken(calls: int, seconds: float, short: bool) -> Result:
    """Ours has all of the calls, the others as many as fit into ``seconds``."""
    title = "over sockets: one of ten copies answers 500 at once"
    rate, at, rows = 400.0, 2.0, {}
    for name in ("round robin", OURS) if short else CONTENDERS:
        with copies(COPIES, 4 * WORKERS) as urls:
            whole = calls / rate if name == OURS else seconds
            seen = await _run(name, urls, rate, whole + at, lambda url=urls[0]: _turn(url, "broken"), at)
        failed = sum(status >= 500 for began, _, status in seen.calls if began >= at)
        made = sum(began >= at for began, *_ in seen.calls)
        rows[name] = (100 * seen.share(0, at + 2.0), 100 * failed / made)
    bounds = [
        Bound(title, "calls there after 2 s", rows[OURS][0], 2.0),
        Bound(title, f"failed of {calls:,} calls", rows[OURS][1] * calls / 100, 20.0, "calls"),
    ]
    return Result(title, ("broken copy %", "failed calls %"), rows, bounds)


async def _turn(url: str, turn: str) -> None:
    async with aiohttp.ClientSession() as http, http.post(f"{url}/turn/{turn}") as response:
        response.raise_for_status()


async def _run(
    name: str,
    urls: Sequence[str],
    rate: float,
    seconds: float,
    event: Callable[[], Awaitable[None]] | None = None,
    at: float = 0.0,
) -> Outcome:
    """Poisson arrivals, whether the earlier calls have been answered or not; then those under way end."""
    seen, tasks, rng = Outcome(), set(), Random(7)
    which = {url: number for number, url in enumerate(urls)}
    begin = time.monotonic()

    def note(url: str) -> None:
        seen.tries.append((time.monotonic() - begin, which[url]))

    make = _ours if name == OURS else _other
    async with make(name, urls, note) as call:

        async def one(number: int, due: float) -> None:
            status = await call(number)
            # From the moment it was due: a caller that is late itself hides nothing.
            seen.calls.append((due - begin, time.monotonic() - due, status))

        due, number = begin, 0
        while due < begin + seconds:
            due += rng.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if event is not None and due >= begin + at:
                await event()
                event = None
            tasks.add(asyncio.create_task(one(number, due)))
            number += 1
        await asyncio.wait(tasks, timeout=5.0)
        for task in tasks:
            if not task.done():  # in a line that grows without end: counted as if it ended now
                task.cancel()
        late = [task for task in tasks if not task.done()]
        await asyncio.gather(*late, return_exceptions=True)
        seen.calls += [(0.8 * seconds, time.monotonic() - begin - 0.8 * seconds, 200)] * len(late)
    return seen


class _ours:
    """A circuit, our session, our balancer: all of it as people use it."""

    def __init__(self, name: str, urls: Sequence[str], note: Callable[[str], None]) -> None:
        self._urls = list(urls)
        self._note = note

    async def __aenter__(self) -> Call:
        def watched(nodes: Sequence[Node], rng: Random) -> Node:
            node = two_choices(nodes, rng)
            self._note(node.url)
            return node

        self._before = runtime._process
        runtime._process = runtime.Runtime(instances={"orders": self._urls}, rule=watched)
        self._http = http = await make_session().__aenter__()

        @circuit(f"bench {id(self)}", timeout=30.0, max_concurrent=5000)
        async def order(number: int) -> int:
            async with http.get(f"http://orders/orders/{number}") as response:
                await response.read()
                return response.status

        async def call(number: int) -> int:
            try:
                return await order(number)
            except Exception:
                return 599

        return call

    async def __aexit__(self, *error: object) -> None:
        await self._http.close()
        runtime._process = self._before


class _other:
    """A rule that hears of no failure, and a bare session."""

    def __init__(self, name: str, urls: Sequence[str], note: Callable[[str], None]) -> None:
        listed = tuple(
            Instance(service="orders", host="127.0.0.1", port=int(url.rsplit(":", 1)[1]), id=url)
            for url in urls
        )
        self._balancer = Balancer(lambda service: listed, CONTENDERS[name][0], rng=Random(7))
        self._note = note

    async def __aenter__(self) -> Call:
        self._http = http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

        async def call(number: int) -> int:
            with self._balancer.pick("orders") as pick:
                self._note(pick.url)
                async with http.get(f"{pick.url}/orders/{number}") as response:
                    await response.read()
                    return response.status

        return call

    async def __aexit__(self, *error: object) -> None:
        await self._http.close()
