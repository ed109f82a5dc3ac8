"""What it costs to tell a registry of circuits every second: who tells, and who is told.

``python -m benchmarks.push`` starts a registry of its own. The sender is this process' own part: what makes
the messages, timed by its CPU. The receiver is the registry's process under 50 senders, by its CPU. How
long it keeps others waiting is the CPU time of the longest of the steps it works in; what its own meter saw
of stalls is shown as well, but other processes' turns on the core are in that.

``--short``: a look of a few seconds, judged by ratios alone: what a message costs beside its bare JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import aiohttp
import orjson

from registry_server.board import Board
from registry_server.board_push import parse
from registry_server.housekeeping import THRESHOLDS
from resilient.circuits.book import CircuitBook
from resilient.circuits.guard import Guard
from resilient.circuits.policy import CircuitPolicy
from resilient.clock import SYSTEM, ManualClock
from resilient.discovery.pushing import Pusher

CIRCUITS, SENDERS = 500, 50
#: Shares of a core, and milliseconds.
SENDER, RECEIVER, STALL = 0.03, 0.15, 10.0
#: The share of a core if every one of 25,000 circuits is busy.
ALL_BUSY = 0.4
#: Times the cost of the message's JSON: to make it, and to take it.
MAKE, TAKE = 20.0, 20.0


class Load:
    """Circuits with calls in them. ``busy``: the share of them that are called."""

    def __init__(self, circuits: int, seed: int = 1) -> None:
        self._rng = random.Random(seed)
        self.book = CircuitBook()
        guards = (
            Guard(f"orders.command-{n}", CircuitPolicy(), lambda one: (self.book.of(one), True))
            for n in range(circuits)
        )
        self._circuits = [self.book.of(one) for one in guards]
        for circuit in self._circuits:
            circuit.target = f"service-{self._rng.randrange(20)}"
        self.pusher = Pusher(self.book, SYSTEM)

    def call(self, busy: float = 1.0) -> None:
        """Ten calls through each."""
        for circuit in self._circuits[: int(len(self._circuits) * busy)]:
            with circuit.section:
                circuit.window.fresh.extend(self._rng.lognormvariate(-4, 0.6) for _ in range(10))
                circuit.look()

    def message(self, interval: float = 1.0) -> bytes:
        """What is told now."""
        return orjson.dumps(self.pusher.push("shop", "SENDER", "w", interval))


def sender(circuits: int = CIRCUITS, busy: float = 1.0, seconds: int = 10) -> tuple[float, float, int]:
    """CPU seconds for each second, the longest single time in ms, and bytes of a message."""
    load = Load(circuits)
    load.call()
    for _ in range(1 + circuits // 25):
        load.message()  # everything, and the settings
    spent, longest, size = 0.0, 0.0, 0
    for _ in range(seconds):
        load.call(busy)
        began = time.process_time()
        size = len(load.message())
        took = time.process_time() - began
        spent += took
        longest = max(longest, took)
    return spent / seconds, 1000 * longest, size


@contextlib.contextmanager
def registry() -> Iterator[tuple[str, int]]:
    """A registry process: its address and its process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "resilient", "registry", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().split()[-1]
        yield line.partition("/eureka")[0], process.pid
    finally:
        process.terminate()
        process.wait(10)


def cpu(pid: int) -> float:
    """CPU seconds a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Told:
    """What a registry made of it."""

    share: float  # of a core
    stall: float  # ms, of the loop: other processes' turns on the core are in it
    late: float  # the 99th percentile of its looks
    rows: int  # a second
    refused: int


async def receiver(
    circuits: int, *, senders: int = SENDERS, busy: float = 1.0, seconds: float = 10.0
) -> Told:
    """A registry that ``senders`` processes with so many circuits each tell of them once a second."""
    load = Load(circuits)
    load.call()
    first = [load.message() for _ in range(1 + circuits // 25)]
    steps = []
    for _ in range(5):
        load.call(busy)
        steps.append(load.message())
    rows = len(orjson.loads(steps[0])["rows"]) * senders
    refused = 0
    with registry() as (url, pid):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def tell(name: bytes, message: bytes) -> None:
                nonlocal refused
                body = message.replace(b"SENDER", name)
                async with session.post(
                    f"{url}/resilient/v1/circuits", data=body, headers={"Content-Type": "application/json"}
                ) as answer:
                    refused += answer.status != 204

            async def send(number: int) -> None:
                name = b"sender-%d" % number
                for message in first:
                    await tell(name, message)
                await asyncio.sleep(number / senders)
                began = time.monotonic()
                step = 0
                while time.monotonic() - began < seconds + 2:
                    await tell(name, steps[step % len(steps)])
                    step += 1
                    await asyncio.sleep(max(0.0, began + step - time.monotonic()))

            tasks = [asyncio.create_task(send(number)) for number in range(senders)]
            await asyncio.sleep(2)
            used, at = cpu(pid), time.monotonic()
            await asyncio.sleep(seconds - 1)
            share = (cpu(pid) - used) / (time.monotonic() - at)
            async with session.get(f"{url}/resilient/v1/node") as answer:
                stalls = (await answer.json())["stalls"]
            await asyncio.gather(*tasks)
    return Told(share, stalls["longest_ms"], stalls["p99_ms"], rows, refused)


@dataclass
class Steps:
    """How long the board's steps are, in ms of CPU: the longest of the first messages, of those that follow,
    and of what happens once a second; and the times that a message costs what its JSON does."""

    first: float
    later: float
    seconds: float
    ratio: float


def steps(circuits: int, *, senders: int = SENDERS, seconds: int = 6) -> Steps:
    """A board in this process, told the same. Set up as a registry's process sets itself up."""
    load = Load(circuits)
    load.call()
    first = [load.message() for _ in range(1 + circuits // 25)]
    load.call()
    message = load.message()
    clock = ManualClock()
    board = Board(clock)
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    parsed = taken = 0.0

    def longest(work: Generator[None, None, object]) -> float:
        nonlocal taken
        found = 0.0
        while True:
            began = time.process_time()
            ended = next(work, work) is work
            took = time.process_time() - began
            taken += took
            found = max(found, took)
            if ended:
                return 1000 * found

    def told(text: bytes, number: int) -> float:
        nonlocal parsed
        text = text.replace(b"SENDER", b"sender-%d" % number)
        began = time.process_time()
        body = parse(text)
        parsed += time.process_time() - began
        return longest(board.putting(body))

    try:
        found = Steps(max(told(text, number) for number in range(senders) for text in first), 0.0, 0.0, 0.0)
        gc.freeze()
        for _ in range(seconds):
            clock.advance(1.0)
            parsed = taken = 0.0
            found.later = max(found.later, *(told(message, number) for number in range(senders)))
            found.ratio = taken / parsed
            found.seconds = max(found.seconds, longest(board.ticking()))
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
    return found


def made(circuits: int = CIRCUITS, times: int = 10) -> float:
    """What it costs to make a message, in times of its JSON's cost."""
    load = Load(circuits)
    load.call()
    for _ in range(1 + circuits // 25):
        load.message()
    making = dumping = 0.0
    for _ in range(times):
        load.call()
        began = time.process_time()
        push = load.pusher.push("shop", "SENDER", "w", 1.0)
        middle = time.process_time()
        for _ in range(10):
            orjson.dumps(push)
        making += middle - began
        dumping += (time.process_time() - middle) / 10
    return making / dumping


def look() -> int:
    """Ratios, in a few seconds. The exit code: 1 if one of them is too large."""
    making, taking = made(), steps(CIRCUITS, senders=10, seconds=4).ratio
    print(f"a message of {CIRCUITS} circuits: made in {making:.1f} times its JSON's time (at most {MAKE:g}),")
    print(f"taken in {taking:.1f} times (at most {TAKE:g})")
    return 0 if making <= MAKE and taking <= TAKE else 1


def main(argv: list[str] | None = None) -> int:
    """The exit code: 1 beyond a budget, unless short."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a look, not a measurement")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    if options.short:
        return look()
    seconds = 15
    found: dict[str, object] = {}
    good = True
    for busy in (1.0, 0.1):
        share, longest, size = sender(busy=busy, seconds=seconds)
        good &= share <= SENDER and longest <= STALL
        found[f"sender, {CIRCUITS} circuits, {busy:.0%} busy"] = {
            "core_percent": round(100 * share, 2),
            "budget": 100 * SENDER,
            "longest_ms": round(longest, 1),
            "bytes": size,
        }
    for circuits, busy in ((CIRCUITS // SENDERS, 1.0), (CIRCUITS, 0.1), (CIRCUITS, 1.0)):
        told = asyncio.run(receiver(circuits, busy=busy, seconds=seconds))
        piece = steps(circuits)
        if circuits <= CIRCUITS / SENDERS:
            # With 25,000 words a second the garbage collector's middle generation alone may take longer.
            good &= max(piece.first, piece.later, piece.seconds) <= STALL
        budget = RECEIVER if circuits * busy <= CIRCUITS / 10 else ALL_BUSY
        good &= told.share <= budget and not told.refused
        found[f"registry, {SENDERS} senders of {circuits} circuits, {busy:.0%} busy"] = {
            "core_percent": round(100 * told.share, 2),
            "budget": 100 * budget,
            "longest_step_ms": [round(one, 1) for one in (piece.first, piece.later, piece.seconds)],
            "longest_stall_ms": told.stall,
            "p99_stall_ms": told.late,
            "rows_per_second": told.rows,
            "refused": told.refused,
        }
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for name, values in found.items():
            print(name, *(f"  {key:<18}{value}" for key, value in values.items()), sep="\n")  # type: ignore[attr-defined]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
