"""All circuits of one runtime, by name."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from random import Random

from ..clock import SYSTEM, Clock
from ..errors import ConfigError
from ..events import Event, Publish, discard
from ..settings import circuit_variable
from .circuit import Circuit
from .guard import Guard
from .judge import nobody
from .policy import CircuitPolicy
from .pool import Pools

Overrides = Callable[[str], Mapping[str, str]]


def _no_overrides(name: str) -> Mapping[str, str]:
    return {}


class CircuitBook:
    """Finds or makes the circuit a guard names. ``overrides`` gives raw settings per circuit by name.

    Two guards of one name share one circuit. If both policies were written down and differ, that is a
    ConfigError at first use; a derived name whose policy differs is the same function imported again, and
    the new one replaces the old.
    """

    def __init__(
        self,
        *,
        publish: Publish = discard,
        wants: Callable[[type[Event]], bool] = nobody,
        overrides: Overrides = _no_overrides,
        clock: Clock = SYSTEM,
        rng: Random | None = None,
    ) -> None:
        self.pools = Pools()
        self.rng = rng if rng is not None else Random()
        self._circuits: dict[str, tuple[Circuit, Guard]] = {}
        self._lock = threading.Lock()
        self._publish = publish
        self._wants = wants
        self._overrides = overrides
        self._clock = clock
        _books.add(self)

    def of(self, guard: Guard) -> Circuit:
        """The circuit that ``guard`` names."""
        found = self._circuits.get(guard.name)
        if found is not None and (found[1] is guard or self._same(found[1], guard)):
            return found[0]
        with self._lock:
            found = self._circuits.get(guard.name)
            if found is not None and (found[1] is guard or self._same(found[1], guard)):
                return found[0]
            raw = self._overrides(guard.name)
            circuit = Circuit(
                guard.name,
                self._policy(guard, raw),
                group=guard.group,
                storage=guard.storage,
                listeners=guard.listeners,
                publish=self._publish,
                wants=self._wants,
                clock=self._clock,
                rng=self.rng,
                pools=self.pools,
                variables={name: circuit_variable(guard.name, name) for name in raw},
            )
            self._circuits[guard.name] = (circuit, guard)
            return circuit

    def _same(self, first: Guard, second: Guard) -> bool:
        if first.derived and second.derived:
            return first.serial > second.serial or first.policy == second.policy
        if first.explicit and second.explicit and first.policy != second.policy:
            raise ConfigError(
                f"two different policies for circuit {second.name!r}; write it once and share it, "
                "or give the circuits different names"
            )
        return True

    def _policy(self, guard: Guard, raw: Mapping[str, str]) -> CircuitPolicy:
        if not raw:
            return guard.policy
        return guard.policy.override(raw, f"environment of circuit {guard.name!r}: ")

    def get(self, name: str) -> Circuit:
        """The circuit of that name. Raises KeyError, with the known names, if it was never used."""
        try:
            return self._circuits[name][0]
        except KeyError:
            known = ", ".join(sorted(self._circuits)) or "none yet"
            raise KeyError(f"no circuit {name!r} has been used; known: {known}") from None

    def __iter__(self) -> Iterator[Circuit]:
        return iter([circuit for circuit, _ in list(self._circuits.values())])

    def __len__(self) -> int:
        return len(self._circuits)

    def rewire(self) -> None:
        """Who listens to events has changed: let each circuit look again."""
        for circuit in self:
            with circuit.section:
                circuit.rewire()

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self.rng.seed()  # otherwise all children would try in step
        self.pools.after_fork()
        for circuit in self:
            circuit.after_fork()


_books: weakref.WeakSet[CircuitBook] = weakref.WeakSet()


def _after_fork() -> None:
    for book in list(_books):
        book._after_fork()


os.register_at_fork(after_in_child=_after_fork)
