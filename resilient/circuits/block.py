"""A circuit around a block of code, where there is no function to decorate."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any

from ..errors import CallTimeout
from . import attempt as present
from .attempt import CURRENT, Attempt
from .circuit import Circuit
from .guard import Guard
from .judge import NO_RESULT


def _block() -> None:
    """Stands for the block of code, where a pybreaker listener expects a function."""


class Block:
    """``with orders.attempt() as attempt:`` or ``async with``: enter to ask permission, leave to report.

    Raises CircuitOpen or CircuitFull on the way in; ``async with`` cancels the block when the time is up and
    then raises CallTimeout. ``attempt.judge(response)`` shows a response that nobody raises for,
    ``attempt.remaining()`` says how many seconds are left. One block object serves one entry at a time.
    """

    __slots__ = ("_attempt", "_circuit", "_guard", "_token")

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._circuit: Circuit | None = None
        self._attempt: Attempt | None = None
        self._token: Any = None

    def __enter__(self) -> Attempt:
        return self._begin(timed=False)

    async def __aenter__(self) -> Attempt:
        attempt = self._begin(timed=True)
        attempt.queue.live[attempt] = None
        if not attempt.queue.armed:
            attempt.queue.arm()
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
        assert self._attempt is not None
        self._attempt.queue.live.pop(self._attempt, None)
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        circuit, attempt = self._circuit, self._attempt
        assert circuit is not None
        assert attempt is not None
        with contextlib.suppress(ValueError):  # an abandoned generator is closed in another context
            CURRENT.reset(self._token)
        self._circuit = self._attempt = self._token = None
        if error is None:
            circuit.conclude(attempt, NO_RESULT)
            return
        limit = attempt.deadline or 0.0
        if circuit.failed(attempt, error):
            raise CallTimeout(circuit.name, limit) from error

    def __repr__(self) -> str:
        return f"<block of circuit {self._guard.name!r}>"
