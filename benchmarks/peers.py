"""Other libraries, each used as its own documentation says, and each shown to open before it is timed.

Most count failures in a row; only interlock-cb has a window. A library that is not installed is left out.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

from .measure import ASYNC, SYNC, Case, Function, Ill, NotProven, Prove, target, target_sync
from .ours import outcome

Made = tuple[Function, type[BaseException]]


def opens(make: Callable[[Function], Made], *, sync: bool = False, good: int = 0, bad: int = 5) -> Prove:
    """A twin must refuse, with the library's own error, after so many good and then bad calls."""

    async def prove() -> None:
        call, error = make(target_sync() if sync else target())
        for n in range(good + bad):
            seen = await outcome(call, n < good)
            if isinstance(seen, error) and n < good + bad - 1:
                raise NotProven(f"{make.__name__}: open after {n} calls")
        if not isinstance(seen := await outcome(call, True), error):
            raise NotProven(f"{make.__name__}: did not open; it answered {seen!r}")

    return prove


def circuitbreaker(f: Function) -> Made:
    import circuitbreaker as library

    return library.CircuitBreaker(failure_threshold=5, recovery_timeout=60)(f), library.CircuitBreakerError


def aiobreaker(f: Function) -> Made:
    import aiobreaker as library

    return library.CircuitBreaker(fail_max=5)(f), library.CircuitBreakerError


def purgatory(f: Function) -> Made:
    from purgatory import AsyncCircuitBreakerFactory
    from purgatory.domain.model import OpenedState

    return AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=60)("bench")(f), OpenedState


def hyx(f: Function) -> Made:
    from hyx.circuitbreaker import consecutive_breaker
    from hyx.circuitbreaker.exceptions import BreakerFailing

    return consecutive_breaker(failure_threshold=5)(f), BreakerFailing


def hyx_full(f: Function) -> Made:
    """Fallback, retry, breaker, bulkhead and timeout, outermost first."""
    from hyx.bulkhead import bulkhead
    from hyx.circuitbreaker import consecutive_breaker
    from hyx.circuitbreaker.exceptions import BreakerFailing
    from hyx.fallback import fallback
    from hyx.retry import retry
    from hyx.timeout import timeout

    async def instead(error: Exception, *args: Any, **kwargs: Any) -> None:
        # The fallback hides every refusal; to show that there was one, it is raised on.
        raise error

    guarded = consecutive_breaker(failure_threshold=5)(bulkhead(100, 200)(timeout(5.0)(f)))
    return fallback(instead)(retry(on=Ill, attempts=2, backoff=0.0)(guarded)), BreakerFailing


def interlock(f: Function) -> Made:
    import interlock as library

    config = library.Config(
        window_type=library.WindowType.TIME_BASED, window_size=10, minimum_number_of_calls=20
    )
    return library.CircuitBreaker(name="bench", config=config)(f), library.CircuitOpenError


def interlock_full(f: Function) -> Made:
    """Fallback, breaker with a window, bulkhead and timeout. Its retries need one more library: left out."""
    import interlock as library

    class Nothing(Exception):
        pass

    config = library.Config(
        window_type=library.WindowType.TIME_BASED, window_size=10, minimum_number_of_calls=20
    )
    breaker = library.CircuitBreaker(name="bench", config=config)
    # Bounded waiting for a slot is what it offers; 0 would make a deadline of zero seconds for each call.
    built = library.Pipeline.builder().fallback(lambda error: 0, on=(Nothing,)).circuit_breaker(breaker)
    return built.bulkhead(100, max_wait=1.0).timeout(5.0).build()(f), library.CircuitOpenError


def pybreaker(f: Function) -> Made:
    import pybreaker as library

    return library.CircuitBreaker(fail_max=5, throw_new_error_on_trip=False)(f), library.CircuitBreakerError


def _asyncio_timeout() -> Function:
    f = target()

    async def call() -> Any:
        async with asyncio.timeout(5.0):
            return await f()

    return call


def _wait_for() -> Function:
    f = target()

    async def call() -> Any:
        return await asyncio.wait_for(f(), 5.0)

    return call


_LIST: list[tuple[str, str, str, Callable[[Function], Made], dict[str, int], int]] = [
    ("circuitbreaker", "circuitbreaker", ASYNC, circuitbreaker, {}, 1),
    ("aiobreaker", "aiobreaker", ASYNC, aiobreaker, {}, 1),
    ("purgatory", "purgatory", ASYNC, purgatory, {}, 2),
    ("hyx", "hyx, breaker only", ASYNC, hyx, {}, 1),
    ("hyx", "hyx, full", ASYNC, hyx_full, {"bad": 2}, 10),
    ("interlock", "interlock-cb, window", ASYNC, interlock, {"good": 10, "bad": 10}, 5),
    ("interlock", "interlock-cb, full", ASYNC, interlock_full, {"good": 10, "bad": 10}, 12),
    ("pybreaker", "pybreaker, sync", SYNC, pybreaker, {}, 1),
]


def cases() -> tuple[list[Case], list[str]]:
    """Those that are installed, and the names of those that are not. Needs a running loop."""
    found, missing = [], []
    for module, name, kind, make, calls, weight in _LIST:
        try:
            importlib.import_module(module)
        except ImportError:
            missing.append(name)
            continue
        sync = kind == SYNC
        call, _ = make(target_sync() if sync else target())
        found.append(Case(name, kind, call, opens(make, sync=sync, **calls), weight=weight))
    found.append(Case("asyncio.timeout alone", ASYNC, _asyncio_timeout(), weight=3))
    found.append(Case("asyncio.wait_for alone", ASYNC, _wait_for(), weight=8))
    return found, missing
