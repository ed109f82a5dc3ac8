"""Yardsticks: what the same things cost in one throw-away closure without a circuit.

They hold a window of ten slices, a limit on calls under way, a latency histogram and (the second) deadlines
in the order in which calls began with one timer: straightforward code with everything in closure cells, no
state, no trials, no listeners, no error counted. Nothing that does those things can be much quicker, so
"times the floor" means the same on every machine, where nanoseconds do not.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from functools import wraps
from time import monotonic
from typing import Any

from .measure import ASYNC, SYNC, Case, Function, target, target_sync

_LIMIT = 100
_SECONDS = 5.0


def _books() -> tuple[list[float], Function]:
    """A list of fresh durations, and what to do with it at its 256th or when a second has passed."""
    fresh: list[float] = []
    slices: list[int] = [0] * 10
    histogram: Counter[int] = Counter()

    def fold(now: float) -> float:
        slices[int(now) % 10] += len(fresh)
        upper = array("H", array("f", fresh).tobytes())[1::2]
        for key, n in Counter(upper).items():
            histogram[key >> 2] += n
        fresh.clear()
        return now + 1.0

    return fresh, fold


def counted(f: Function) -> Function:
    """Window, limit and latencies."""
    fresh, fold = _books()
    free = _LIMIT
    end = monotonic() + 1.0

    @wraps(f)
    async def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal free, end
        if not free:
            raise RuntimeError("full")
        free -= 1
        began = monotonic()
        try:
            return await f(*args, **kwargs)
        finally:
            free += 1
            now = monotonic()
            fresh.append(now - began)
            if len(fresh) >= 256 or now >= end:
                end = fold(now)

    return call


def dated(f: Function) -> Function:
    """The same and a deadline."""
    fresh, fold = _books()
    free = _LIMIT
    end = monotonic() + 1.0
    due: dict[int, tuple[float, asyncio.Task[Any] | None]] = {}
    serial = 0
    armed = False

    def fire() -> None:
        nonlocal armed
        now = monotonic()
        for key, (when, task) in list(due.items()):
            if when > now:
                asyncio.get_running_loop().call_later(when - now, fire)
                return
            del due[key]
            if task is not None:
                task.cancel()
        armed = False

    @wraps(f)
    async def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal free, end, serial, armed
        if not free:
            raise RuntimeError("full")
        free -= 1
        began = monotonic()
        serial = key = serial + 1
        due[key] = (began + _SECONDS, asyncio.current_task())
        if not armed:
            armed = True
            asyncio.get_running_loop().call_later(_SECONDS, fire)
        try:
            return await f(*args, **kwargs)
        except asyncio.CancelledError:
            if key not in due:
                raise TimeoutError from None
            raise
        finally:
            due.pop(key, None)
            free += 1
            now = monotonic()
            fresh.append(now - began)
            if len(fresh) >= 256 or now >= end:
                end = fold(now)

    return call


def counter(f: Function) -> Function:
    """The least that is a breaker at all: failures in a row in a closure cell; opens and refuses."""
    failures = 0

    @wraps(f)
    async def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal failures
        if failures >= 5:
            raise RuntimeError("open")
        try:
            result = await f(*args, **kwargs)
        except Exception:
            failures += 1
            raise
        failures = 0
        return result

    return call


def counted_sync(f: Function) -> Function:
    """Window, limit and latencies of a plain function; not safe for threads."""
    fresh, fold = _books()
    free = _LIMIT
    end = monotonic() + 1.0

    @wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal free, end
        if not free:
            raise RuntimeError("full")
        free -= 1
        began = monotonic()
        try:
            return f(*args, **kwargs)
        finally:
            free += 1
            now = monotonic()
            fresh.append(now - began)
            if len(fresh) >= 256 or now >= end:
                end = fold(now)

    return call


def cases() -> list[Case]:
    """The yardsticks as contenders."""
    return [
        Case("floor: window, limit, latency", ASYNC, counted(target())),
        Case("floor: the same and a deadline", ASYNC, dated(target())),
        Case("floor: sync", SYNC, counted_sync(target_sync())),
    ]
