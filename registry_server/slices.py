"""Long work on the event loop, in slices: between two of them the loop serves others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from time import perf_counter
from typing import Any, TypeVar

T = TypeVar("T")
#: Seconds that one slice takes, at most one step longer.
SLICE = 0.004
#: Turns of the loop between two slices. To answer a request takes four of them (its bytes, its connection's
#: task, its own task, and back): with one turn only, whoever came meanwhile would wait for four slices.
TURNS = 8


def whole(steps: Generator[None, None, T]) -> T:
    """The result of all steps, at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


async def sliced(steps: Generator[None, None, T]) -> T:
    """The result of all steps; others have their turn every :data:`SLICE` seconds."""
    while True:
        until = perf_counter() + SLICE
        try:
            next(steps)  # one in any case, however slow the machine is
            while perf_counter() < until:
                next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        for _ in range(TURNS):
            await asyncio.sleep(0)


class Shared:
    """Sliced work that many may ask for at once: one run serves all who asked before it began."""

    def __init__(self) -> None:
        self._runs: dict[object, asyncio.Task[Any]] = {}

    async def run(self, name: object, make: Callable[[], Generator[None, None, T]]) -> T:
        """The result of steps that begin after this call, so that it holds whatever happened before it."""
        earlier = self._runs.get(name)
        if earlier is not None:
            await asyncio.wait([earlier])
        task = self._runs.get(name)
        if task is None or task is earlier:
            task = self._runs[name] = asyncio.get_running_loop().create_task(sliced(make()))
            task.add_done_callback(lambda done: self._ended(name, done))
        result: T = await asyncio.shield(task)
        return result

    def _ended(self, name: object, task: asyncio.Task[Any]) -> None:
        if self._runs.get(name) is task:
            del self._runs[name]
