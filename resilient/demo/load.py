"""A steady load on the demo's front door, and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import aiohttp


class Load:
    """``rate`` requests a second to ``front``, found by name like everything else, whatever comes back."""

    def __init__(self, session: aiohttp.ClientSession, rate: float) -> None:
        self._session = session
        self._rate = rate
        self._calls: set[asyncio.Task[None]] = set()
        self.outcomes: Counter[str] = Counter()
        self.began = time.monotonic()

    @property
    def answered(self) -> int:
        """Requests that got an answer with status 200."""
        return self.outcomes["whole"] + self.outcomes["fallback"]

    async def run(self) -> None:
        """Until cancelled. An open loop: a slow answer delays no other request."""
        self.began = due = time.monotonic()
        try:
            while True:
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if len(self._calls) < 500:
                    call = asyncio.create_task(self._one())
                    self._calls.add(call)
                    call.add_done_callback(self._calls.discard)
        finally:
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)

    async def _one(self) -> None:
        try:
            async with self._session.get("http://front/") as response:
                if response.status == 200:
                    body = await response.json()
                    self.outcomes["whole" if body.get("whole") else "fallback"] += 1
                else:
                    self.outcomes[f"status {response.status}"] += 1
        except Exception as error:  # all of them are what the demo is about
            self.outcomes[type(error).__name__] += 1
