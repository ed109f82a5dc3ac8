"""Somebody's own health check: asked in the background, so that no page ever waits for it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from ..background import off_loop
from ..clock import SYSTEM, Clock

Function = Callable[[], object | Awaitable[object]]

#: Seconds after which an answer is too old to be believed.
STALE = 30.0


class Check:
    """One check. ``False`` or an error means ill; anything else is well.

    Plain functions run on a thread of their own, one at a time: what hangs holds up nobody, and is not
    asked again until it has ended.
    """

    def __init__(self, function: Function, *, clock: Clock = SYSTEM) -> None:
        self._function = function
        self._clock = clock
        self._asked: asyncio.Future[object] | None = None
        self._at: float | None = None
        self.well = True
        self.detail = ""

    async def ask(self, timeout: float) -> tuple[bool, str]:
        """Ask it, at most ``timeout`` seconds; whether it is well, and what is wrong otherwise."""
        self.well, self.detail = await self._ask(timeout)
        self._at = self._clock.monotonic()
        return self.well, self.detail

    async def _ask(self, timeout: float) -> tuple[bool, str]:
        if self._asked is not None and not self._asked.done():
            return False, "the health check has not come back from the last time"
        self._asked = None
        late = f"the health check took longer than {timeout:g}s"
        try:
            async with asyncio.timeout(timeout):
                if inspect.iscoroutinefunction(self._function):
                    answer = await self._function()
                else:
                    self._asked = asyncio.ensure_future(off_loop(self._function))
                    self._asked.add_done_callback(_seen)
                    answer = await asyncio.shield(self._asked)
                    if inspect.isawaitable(answer):
                        answer = await answer
        except TimeoutError:
            return False, late
        except Exception as error:
            return False, f"{type(error).__name__}: {error}"[:200]
        return answer is not False, "" if answer is not False else "the health check said no"

    def view(self) -> dict[str, object]:
        """The latest answer: UP, DOWN, or UNKNOWN before the first one and when it is too old."""
        age = None if self._at is None else self._clock.monotonic() - self._at
        status = "UNKNOWN" if age is None or age > STALE else "UP" if self.well else "DOWN"
        shown: dict[str, object] = {"status": status, "age_seconds": None if age is None else round(age, 3)}
        return {**shown, "detail": self.detail} if self.detail else shown


def _seen(asked: asyncio.Future[object]) -> None:
    if not asked.cancelled():
        asked.exception()  # nobody may be waiting any more
