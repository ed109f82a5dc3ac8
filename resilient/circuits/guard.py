"""A circuit as it stands in source code: a name and a policy that find their circuit when used."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pybreaker

from .attempt import Attempt
from .circuit import Circuit
from .policy import CircuitPolicy

_serial = itertools.count(1)


class Guard:
    """Names a circuit. Importing a module with guards starts nothing; the circuit is found at first use.

    ``circuit`` is bound while there is only one runtime to find it in, else ``None``: then each call asks.
    ``explicit`` tells a policy somebody wrote from a default, ``derived`` a name made from the function's.
    """

    __slots__ = (
        "__weakref__", "_lookup", "circuit", "derived", "explicit", "group", "listeners", "name", "policy",
        "serial", "storage",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        policy: CircuitPolicy,
        lookup: Callable[[Guard], tuple[Circuit, bool]],
        *,
        group: str = "",
        explicit: bool = False,
        derived: bool = False,
        storage: pybreaker.CircuitBreakerStorage | None = None,
        listeners: Iterable[pybreaker.CircuitBreakerListener] = (),
    ) -> None:
        self.name = name
        self.policy = policy
        self.group = group
        self.explicit = explicit
        self.derived = derived
        self.storage = storage
        self.listeners = tuple(listeners)
        self.circuit: Any = None
        self.serial = next(_serial)
        self._lookup = lookup

    def find(self) -> Circuit:
        """The circuit in the present runtime; made if it is not there yet."""
        circuit, only_one = self._lookup(self)
        if only_one:
            self.circuit = circuit
        return circuit


class Variant:
    """A guard for one way of calling: the same circuit, another deadline. Always takes the long way."""

    __slots__ = ("_guard", "_limit")

    circuit = None

    def __init__(self, guard: Guard, limit: float | None) -> None:
        self._guard = guard
        self._limit = limit

    def find(self) -> Any:
        """The circuit, seen with this variant's limit."""
        return _Seen(self._guard.circuit or self._guard.find(), self._limit)


class _Seen:
    """A circuit with another limit; everything else is the circuit's own."""

    __slots__ = ("_circuit", "limit")

    take = None

    def __init__(self, circuit: Circuit, limit: float | None) -> None:
        self._circuit = circuit
        self.limit = limit

    def admit(self, func: Any, args: Any = (), kwargs: Any = None, timed: bool = False) -> Attempt:
        return self._circuit.admit(func, args, kwargs or {}, timed, self.limit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._circuit, name)
