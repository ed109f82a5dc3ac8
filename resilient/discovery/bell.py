"""An event that any thread may ring, and that one task waits for with a time limit."""

from __future__ import annotations

import asyncio


class Bell:
    """Ringing it again before it was heard changes nothing, and costs next to nothing."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung = False

    def hang(self) -> None:
        """Belong to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        if self._rung:
            self._event.set()

    def ring(self) -> None:
        """Wake whoever waits, now or next time; from any thread."""
        if self._rung:
            return
        self._rung = True
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._event.set)
            except RuntimeError:  # the loop has closed: nobody waits there any more
                pass

    async def wait(self, seconds: float) -> bool:
        """Whether it rang within ``seconds``; infinity waits for ever."""
        try:
            async with asyncio.timeout(None if seconds == float("inf") else seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        # In this order: a ring in between is heard next time instead of being lost.
        self._rung = False
        self._event.clear()
        return True
