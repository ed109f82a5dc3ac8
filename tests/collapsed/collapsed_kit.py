"""What the tests of collapsing share."""

from __future__ import annotations

import asyncio
from typing import Any

from resilient.collapsed import collapsed


class Many:
    """A batch function that notes what it was asked; ``answer`` makes the answer."""

    def __init__(self, answer: Any = None, **options: Any) -> None:
        self.batches: list[list[Any]] = []
        self.cancelled = 0
        self.gate: asyncio.Event | None = None

        async def many(keys: list[Any]) -> Any:
            self.batches.append(list(keys))
            self.times = asyncio.get_running_loop().time()
            if self.gate is not None:
                try:
                    await self.gate.wait()
                except asyncio.CancelledError:
                    self.cancelled += 1
                    raise
            return answer(keys) if answer is not None else {key: f"<{key}>" for key in keys}

        self.one = collapsed(**options)(many)


async def outcomes(*calls: Any) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)
