"""A circuit around a block of code, where there is no function to decorate."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any, TypeVar

from ..errors import CallTimeout
from . import attempt as present
from .allowance import shortened
from .attempt import CURRENT, Attempt, time_left
from .circuit import Circuit
from .guard import Guard
from .judge import NO_RESULT

T = TypeVar("T")


def _block() -> None:
    """Stands for the block of code, where a pybreaker listener expects a function."""


class Bypass(Attempt):
    """Stands for an attempt while circuits are switched off: it may be asked all the same."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def remaining(self) -> float | None:
        return time_left()

    def judge(self, result: T) -> T:
        return result

    def aims_at(self, service: str) -> None:
        pass

    def retries(self, granted: bool, error: BaseException) -> None:
        pass

    @property
    def overtaken(self) -> bool:
        return False


class Block:
    """``with orders.attempt() as attempt:`` or ``async with``: enter to ask permission, leave to report.

    Raises CircuitOpen or CircuitFull on the way in; ``async with`` cancels the block when the time is up and
    then raises CallTimeout. ``attempt.judge(response)`` shows a response that nobody raises for,
    ``attempt.remaining()`` says how many seconds are left. One block object serves one entry at a time. With
    ``enabled=False`` nobody is asked and nothing is counted.
    """

    __slots__ = ("_attempt", "_circuit", "_enabled", "_guard", "_live", "_token")

    def __init__(self, guard: Guard, enabled: bool = True) -> None:
        self._guard = guard
        self._enabled = enabled
        self._circuit: Circuit | None = None
        self._attempt: Attempt | None = None
        self._token: Any = None
        self._live: Any = None

    def __enter__(self) -> Attempt:
        if not self._enabled:
            return Bypass(self._guard.name)
        return self._begin(timed=False)

    async def __aenter__(self) -> Attempt:
        if not self._enabled:
            return Bypass(self._guard.name)
        attempt = self._begin(timed=True)
        live = attempt.queue.live
        live[attempt] = None
        if not attempt.queue.armed:
            attempt.queue.arm()
        present = CURRENT.get()
        if present is not None and present[2] is not None:
            live = shortened(attempt, live, present[2])
        self._live = live
        return attempt

    def _begin(self, timed: bool) -> Attempt:
        circuit = self._circuit = self._guard.circuit or self._guard.find()
        attempt = self._attempt = circuit.admit(_block, (), {}, timed)
        attempt.odd = True
        began = attempt.began = circuit.now()
        present.watch()
        self._token = CURRENT.set((attempt, began, CURRENT.get()))
        return attempt

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._end(error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.pop(self._attempt, None)
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        circuit, attempt = self._circuit, self._attempt
        if circuit is None or attempt is None:
            return  # circuits are switched off
        with contextlib.suppress(ValueError):  # an abandoned generator is closed in another context
            CURRENT.reset(self._token)
        self._circuit = self._attempt = self._token = self._live = None
        if error is None:
            circuit.conclude(attempt, NO_RESULT)
            return
        limit = attempt.deadline or 0.0
        if circuit.failed(attempt, error):
            raise CallTimeout(circuit.name, limit) from error

    def __repr__(self) -> str:
        return f"<block of circuit {self._guard.name!r}>"
