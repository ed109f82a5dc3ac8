"""pybreaker storages: one told the time by our clock, and one that spares a remote one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import pybreaker

from ..clock import SYSTEM, Clock


class ClockedStorage(pybreaker.CircuitMemoryStorage):
    """State in memory, stamped by the circuit's own clock, that tells its circuit of each turn.

    It tells whoever turned it, so a circuit opened through ``circuit.breaker.open()`` refuses the very
    next call as well. ``since`` is the monotonic moment of the last opening.
    """

    def __init__(self, clock: Clock, turned: Callable[[], None]) -> None:
        super().__init__(pybreaker.STATE_CLOSED)
        self._clock = clock
        self._turned = turned
        self.since = 0.0

    @property
    def state(self) -> str:
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        self._state = state
        self._turned()

    #: Asked for each failure, so by C code.
    counter = property(attrgetter("_fail_counter"))

    @property
    def opened_at(self) -> datetime | None:
        return self._opened_at

    @opened_at.setter
    def opened_at(self, moment: datetime) -> None:
        # pybreaker hands in the machine's own time, which a test's clock knows nothing of.
        self.since = self._clock.monotonic()
        self._opened_at = datetime.fromtimestamp(self._clock.time(), UTC)


class CachedStorage(pybreaker.CircuitBreakerStorage):
    """Spares a remote storage: reads are answered from memory for ``fresh_for`` seconds, and a counter that
    is zero already is not reset again. Another process's turn is noticed at most that much later.

    >>> CachedStorage(pybreaker.CircuitRedisStorage("closed", redis, namespace="pay"))  # doctest: +SKIP
    """

    def __init__(
        self, storage: pybreaker.CircuitBreakerStorage, *, fresh_for: float = 0.25, clock: Clock = SYSTEM
    ) -> None:
        super().__init__(storage.name)
        self.storage = storage
        self._fresh_for = fresh_for
        self._clock = clock
        self._known: dict[str, Any] = {}
        self._read_at = clock.monotonic()

    def _read(self, what: str) -> Any:
        now = self._clock.monotonic()
        if now - self._read_at >= self._fresh_for:
            self._known.clear()
            self._read_at = now
        try:
            return self._known[what]
        except KeyError:
            value = self._known[what] = getattr(self.storage, what)
            return value

    @property
    def state(self) -> str:
        state: str = self._read("state")
        return state

    @state.setter
    def state(self, state: str) -> None:
        self.storage.state = state
        self._known["state"] = state

    def increment_counter(self) -> None:
        self.storage.increment_counter()
        self._known.pop("counter", None)  # others count too, so it is not simply one more

    def reset_counter(self) -> None:
        if self.counter != 0:
            self.storage.reset_counter()
            self._known["counter"] = 0

    def increment_success_counter(self) -> None:
        self.storage.increment_success_counter()
        self._known.pop("success_counter", None)

    def reset_success_counter(self) -> None:
        self.storage.reset_success_counter()
        self._known["success_counter"] = 0

    @property
    def counter(self) -> int:
        counter: int = self._read("counter")
        return counter

    @property
    def success_counter(self) -> int:
        counter: int = self._read("success_counter")
        return counter

    @property
    def opened_at(self) -> datetime | None:
        moment: datetime | None = self._read("opened_at")
        return moment

    @opened_at.setter
    def opened_at(self, moment: datetime) -> None:
        self.storage.opened_at = moment
        self._known.pop("opened_at", None)  # a remote one may round it, or keep a later one
