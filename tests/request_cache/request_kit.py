"""What the tests of the request cache share."""

from __future__ import annotations

import asyncio
from typing import Any

from resilient.cached import cached_per_request


class Asked:
    """A coroutine function under the cache that counts its calls and ends when told."""

    def __init__(self, **options: Any) -> None:
        self.calls: list[Any] = []
        self.cancelled = 0
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None

        async def ask(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((args, kwargs))
            try:
                if self.gate is not None:
                    await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            if self.error is not None:
                raise self.error
            return object()

        self.ask = cached_per_request(**options)(ask)
