"""Our own contenders. Each is shown to open at half its calls failing, and to refuse, before it is timed."""

from __future__ import annotations

import inspect
import itertools
import threading
from collections.abc import Awaitable
from typing import Any

import pybreaker

from resilient import CircuitOpen, circuit

from .measure import (
    ASYNC,
    ASYNC_RAISE,
    SYNC,
    SYNC_RAISE,
    Case,
    Function,
    NotProven,
    Prove,
    failing,
    target,
    target_sync,
)

LONG = 86_400.0  # seconds that a circuit stays open here
_serial = itertools.count(1)


def guarded(f: Function, **options: Any) -> Any:
    """``f`` behind a circuit of its own: functions made in one place would share one by their name."""
    return circuit(f"bench-{next(_serial)}", **options)(f)


async def outcome(call: Function, well: bool) -> Any:
    """What one call comes to: its value, or the error it raised."""
    try:
        found = call(well)
        return await found if isinstance(found, Awaitable) else found
    except Exception as error:
        return error


def opens(f: Any, *, shut: bool = False, default: Any = None) -> Prove:
    """Eleven good calls, then bad ones: it must open at the eleventh bad one, not before, and then refuse."""

    async def prove() -> None:
        name = f.circuit.name
        expect: Any = CircuitOpen if default is None else default
        for n in range(22):
            if f.state != "closed":
                raise NotProven(f"{name}: open after {n} calls, {n - 11} of them failed")
            await outcome(f, n < 11)
        if f.state != "open":
            raise NotProven(f"{name}: still {f.state} with 11 of 22 calls failed")
        answer = await outcome(f, True)
        if not (isinstance(answer, CircuitOpen) if expect is CircuitOpen else answer == expect):
            raise NotProven(f"{name}: open, and yet it answered {answer!r}")
        if f.snapshot().counts["short_circuited"] != 1:
            raise NotProven(f"{name}: a refused call was not counted")
        if shut:
            return
        f.close()
        if await outcome(f, True) != 1 or f.state != "closed":
            raise NotProven(f"{name}: not closed again")

    return prove


def _together(f: Any) -> Prove:
    """As :func:`opens`; and sixteen threads must be inside it at once."""
    first = opens(f)

    async def prove() -> None:
        await first()
        barrier = threading.Barrier(16)
        met: list[int] = []

        def meet() -> None:
            met.append(barrier.wait(10))

        inside = guarded(meet, max_concurrent=16)
        threads = [threading.Thread(target=inside) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(met) != 16:
            raise NotProven("16 threads on one circuit did not run 16 at a time")

    return prove


class _Listener(pybreaker.CircuitBreakerListener):
    heard = 0

    def success(self, cb: Any) -> None:
        type(self).heard += 1


def _hears(f: Any) -> Prove:
    first = opens(f)

    async def prove() -> None:
        await first()
        before = _Listener.heard
        await f()
        if _Listener.heard != before + 1:
            raise NotProven("the listener did not hear of a call")

    return prove


def _never() -> tuple[Any, Prove]:
    """A circuit for calls that fail and never open it; its twin opens."""
    twin = guarded(target())
    f = guarded(failing(), min_calls=1_000_000_000)

    async def prove() -> None:
        await opens(twin)()
        await outcome(lambda well: f(), False)
        if f.snapshot().counts["failure"] != 1:
            raise NotProven("a failure was not counted")

    return f, prove


def _opened(f: Any, default: Any = None) -> Prove:
    return opens(f, shut=True, default=default)


def cases() -> list[Case]:
    """Everything of ours that has a budget."""
    found: list[Case] = []
    for words, watched in (("", False), (", context variable", True)):
        timed = guarded(target())
        untimed = guarded(target(), timeout=None)
        plain = guarded(target_sync())
        assert inspect.iscoroutinefunction(timed)
        found += [
            Case(f"async, all on{words}", ASYNC, timed, opens(timed), watched),
            Case(f"async, no deadline{words}", ASYNC, untimed, opens(untimed), watched),
            Case(f"sync{words}", SYNC, plain, _together(plain), watched),
        ]
    full = guarded(target(), default=0)
    refused = guarded(target(), reset_timeout=LONG)
    answered = guarded(target(), reset_timeout=LONG, default=7)
    refused_sync = guarded(target_sync(), reset_timeout=LONG)
    answered_sync = guarded(target_sync(), reset_timeout=LONG, default=7)
    ill, ill_proof = _never()
    heard = guarded(target(), listeners=[_Listener()])
    found += [
        Case("async, all on, default=", ASYNC, full, _with_default(full)),
        Case("refused: error", ASYNC_RAISE, refused, _opened(refused)),
        Case("refused: error, sync", SYNC_RAISE, refused_sync, _opened(refused_sync)),
        Case("refused: default", ASYNC, answered, _opened(answered, 7)),
        Case("refused: default, sync", SYNC, answered_sync, _opened(answered_sync, 7)),
        Case("a call that fails", ASYNC_RAISE, ill, ill_proof, weight=4),
        Case("every call watched", ASYNC, heard, _hears(heard), weight=4),
    ]
    return found


def _with_default(f: Any) -> Prove:
    return opens(f, default=0)
