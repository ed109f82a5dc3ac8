"""An event loop whose time passes only when nobody has anything to do: tests wait without waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout > 0:
            self.loop.now += timeout
            timeout = 0
        return super().select(timeout)


class VirtualLoop(asyncio.SelectorEventLoop):
    """``asyncio.sleep(10)`` takes no time, and ``loop.time()`` says that it took ten seconds."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


class LoopClock:
    """The clock of the running loop, for circuits and whoever else takes one."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + 0.0

    def time(self) -> float:
        return 1_800_000_000.0 + self.monotonic()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a virtual loop; nothing may be left over."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:

        async def whole() -> T:
            result = await main
            for _ in range(5):
                await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left
            return result

        return runner.run(whole())


async def turns(n: int = 5) -> None:
    """Let everybody else run."""
    for _ in range(n):
        await asyncio.sleep(0)
