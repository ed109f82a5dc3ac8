"""All circuits of one runtime, by name."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from random import Random

from ..clock import SYSTEM, Clock
from ..errors import ConfigError
from ..events import Event, Publish, discard
from ..settings import circuit_variable
from .circuit import Circuit
from .guard import Guard
from .judge import nobody
from .layers import NOTHING, Given, Layer, Layers, quoted
from .policy import CircuitPolicy
from .pool import Pools
from .sections import Sections, SettingsFile

Overrides = Callable[[str], Mapping[str, str]]
EVERYWHERE = "*"
#: So many commands are remembered, so that one that comes again is not obeyed again.
_COMMANDS = 512


_NONE = Layers()


def _no_overrides(name: str) -> Mapping[str, str]:
    return {}


class _Entry:
    """A circuit, and the guards that share it. ``written`` is the one whose policy holds."""

    __slots__ = ("circuit", "first", "joined", "written")

    def __init__(self, circuit: Circuit, first: Guard) -> None:
        self.circuit = circuit
        self.first = self.written = first
        self.joined: frozenset[int] = frozenset()  # serial numbers; most circuits have one guard only


def _same(found: _Entry, guard: Guard) -> bool:
    """Whether a guard of a known name means the circuit that is there. Raises ConfigError if it cannot."""
    first, written = found.first, found.written
    if first.derived and guard.derived:
        return first.serial > guard.serial or (
            first.policy == guard.policy
            and first.storage is guard.storage
            and first.listeners == guard.listeners
        )
    if written.explicit and guard.explicit and written.policy != guard.policy:
        raise ConfigError(
            f"two different policies for circuit {guard.name!r}; write it once and share it, "
            "or give the circuits different names"
        )
    if guard.storage is not None and guard.storage is not first.storage:
        raise ConfigError(
            f"circuit {guard.name!r} is at work with another storage; give storage= to all of its "
            "circuit(...) or to the one that is used first, or give the circuits different names"
        )
    return True


def _join(found: _Entry, guard: Guard) -> None:
    """Another guard of one name: what it brings counts too."""
    circuit = found.circuit
    if not (found.first.derived and guard.derived):  # else it is the same function, imported again
        for listener in guard.listeners:
            if not circuit.breaker.hears(listener):
                circuit.breaker.add_listener(listener)
        if guard.explicit and not found.written.explicit:
            circuit.recode(guard.policy)
            found.written = guard
        circuit.group = circuit.group or guard.group
    found.joined |= {guard.serial}


class CircuitBook:
    """Finds or makes the circuit a guard names. ``overrides`` gives raw settings per circuit by name, as the
    environment has them; ``settings_file`` is a path, watched from the first circuit on.

    Two guards of one name share one circuit. If both policies were written down and differ, or each brings a
    storage of its own, that is a ConfigError at first use; listeners of both are heard. A derived name whose
    policy differs is the same function imported again, and the new one replaces the old.
    """

    def __init__(
        self,
        *,
        publish: Publish = discard,
        wants: Callable[[type[Event]], bool] = nobody,
        overrides: Overrides = _no_overrides,
        clock: Clock = SYSTEM,
        rng: Random | None = None,
        settings_file: str = "",
    ) -> None:
        self.pools = Pools()
        self.rng = rng if rng is not None else Random()
        self._circuits: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self.publish = publish
        self._wants = wants
        self._overrides = overrides
        self._clock = clock
        self._file: Sections = {}
        self._path = ""
        #: The latest commands from afar that were obeyed, by id; see commands.py.
        self.obeyed: deque[str] = deque(maxlen=_COMMANDS)
        self._settings = SettingsFile(settings_file, self.learn, publish, clock) if settings_file else None
        _books.add(self)

    def of(self, guard: Guard) -> Circuit:
        """The circuit that ``guard`` names."""
        found = self._circuits.get(guard.name)
        if found is not None and (found.first is guard or guard.serial in found.joined):
            return found.circuit
        with self._lock:
            found = self._circuits.get(guard.name)
            if found is not None and (found.first is guard or _same(found, guard)):
                if found.first is not guard:
                    _join(found, guard)
                return found.circuit
            circuit = Circuit(
                guard.name,
                guard.policy,
                layers=self._layers(guard.name),
                group=guard.group,
                storage=guard.storage,
                listeners=guard.listeners,
                publish=self.publish,
                wants=self._wants,
                clock=self._clock,
                rng=self.rng,
                pools=self.pools,
            )
            self._circuits[guard.name] = _Entry(circuit, guard)
        if self._settings is not None:
            self._settings.watch()  # with the first circuit a settings file begins to matter
        return circuit

    # ------------------------------------------------------------------ settings from outside

    def _layers(self, name: str) -> Layers:
        raw = self._overrides(name)
        environment: Layer = NOTHING
        if raw:
            said = CircuitPolicy().override(raw, f"environment of circuit {name!r}: ")
            environment = {one: Given(getattr(said, one), circuit_variable(name, one)) for one in raw}
        if not self._file:
            return Layers(environment=environment) if raw else _NONE
        return Layers(self._section(EVERYWHERE), self._section(name), environment)

    def _section(self, name: str) -> Layer:
        values = self._file.get(name)
        if not values:
            return NOTHING
        source = f"{self._path} [circuits.{quoted(name)}]"
        return {one: Given(value, source) for one, value in values.items()}

    def learn(self, sections: Sections, path: str) -> None:
        """The settings file says this now, in place of what it said before; all circuits go by it at once.

        ``sections`` must have been checked: see :func:`.sections.parse`.
        """
        with self._lock:
            self._file, self._path = sections, path
            known = [(circuit, self._layers(circuit.name)) for circuit in self]
        for circuit, layers in known:
            circuit.relayer(layers, by=path)

    def close(self) -> None:
        """Look at the settings file no more; the next new circuit begins anew."""
        if self._settings is not None:
            self._settings.leave()

    def get(self, name: str) -> Circuit:
        """The circuit of that name. Raises KeyError, with the known names, if it was never used."""
        try:
            return self._circuits[name].circuit
        except KeyError:
            known = ", ".join(sorted(self._circuits)) or "none yet"
            raise KeyError(f"no circuit {name!r} has been used; known: {known}") from None

    def __iter__(self) -> Iterator[Circuit]:
        return iter([entry.circuit for entry in list(self._circuits.values())])

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
        if self._settings is not None:
            self._settings.after_fork()
        for circuit in self:
            circuit.after_fork()


_books: weakref.WeakSet[CircuitBook] = weakref.WeakSet()


def _after_fork() -> None:
    for book in list(_books):
        book._after_fork()


os.register_at_fork(after_in_child=_after_fork)
