"""Settings of a circuit that is at work: shown with their sources, and changed."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..events import ConfigChanged
from ..settings import Row, circuit_variable
from .attempt import Crew
from .deadlines import NOWHERE
from .judge import NEVER, OPEN, Judge
from .latency import Latencies
from .policy import TEXT_OPTIONS, CircuitPolicy
from .window import Window

_DEFAULTS = CircuitPolicy()
#: Decided when the function is decorated, or the first call made.
_FIXED = ("isolation", "thread_pool")
RUN_TIME = "run time"
_NOTHING: Mapping[str, str] = {}


class Tuned(Judge):
    """The part of a circuit that knows where its settings come from and takes new ones."""

    __slots__ = ("_sources",)

    def __init__(
        self, name: str, *args: Any, variables: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name, *args, **kwargs)
        #: Whatever is neither default nor written in the code: by setting, where it came from.
        self._sources: Mapping[str, str] = variables or _NOTHING

    def configure(self, *, by: str = "", **changes: Any) -> CircuitPolicy:
        """Change settings now, all of them or none; answers the policy that holds from now on.

        The next call, and the next outcome, go by the new ones; calls under way keep their own deadline. A
        new window geometry starts an empty window. ``by`` is who did it, for :class:`ConfigChanged`. Raises
        ConfigError, and changes nothing, if a name or value is wrong.
        """
        for name in _FIXED:
            if name in changes:
                raise ConfigError(f"{name} is decided where the function is decorated, not at run time")
        with self.section:
            old, new = self.policy, self.policy.but(**changes)
            changed = {
                name: (getattr(old, name), getattr(new, name))
                for name in changes
                if getattr(old, name) != getattr(new, name)
            }
            self._sources = {**self._sources, **dict.fromkeys(changes, RUN_TIME)}
            if changed:
                self._adopt(old, new, set(changed))
                told = tuple((name, _shown(was), _shown(now)) for name, (was, now) in changed.items())
                event = ConfigChanged(at=self.clock.time(), circuit=self.name, changes=told, by=by)
                self.section.later(self._publish, event)
            return new

    def _adopt(self, old: CircuitPolicy, new: CircuitPolicy, names: set[str]) -> None:
        now = self.now()
        self._fold(now)
        self.policy = new
        breaker: Any = self.breaker
        breaker.fail_max = new.fail_max or NEVER
        breaker.reset_timeout = new.reset_timeout
        breaker.success_threshold = new.success_threshold
        if "exclude" in names:
            for gone in old.exclude:
                with contextlib.suppress(ValueError):  # somebody has taken it out by hand
                    breaker.remove_excluded_exception(gone)
            breaker.add_excluded_exceptions(*new.exclude)
        if names & {"failed", "exclude"}:
            self.plain = set()
        if names & {"window", "slices"}:
            self.window = Window(new.window, new.slices, now)
        if names & {"timeout", "max_concurrent", "observe"}:
            # Those under way end the long way and are not used again: so a lower limit is reached as soon as
            # enough of them have ended, and no permit remembers the deadline of before.
            self.limit = new.timeout
            self.queue = NOWHERE
            self.crew.retire()
        if self._seen == OPEN and names & {"reset_timeout", "reset_multiplier", "reset_max", "reset_jitter"}:
            self._open_for = self._cooling_time()
            self._set_open_until()
        if "pool_size" in names:
            self._resize(new.pool_size)
        self.window.due = 1  # the next outcome is judged by the new rules

    def _resize(self, size: int) -> None:
        """For circuits with threads."""

    def settings(self) -> list[Row]:
        """Every setting with its value as text, where that came from, and the variable that can set it.

        Sources: ``default``, ``code``, the name of an environment variable, ``run time``.
        """
        rows = []
        with self.section:
            policy, sources = self.policy, self._sources
        for field in dataclasses.fields(policy):
            name = field.name
            value = getattr(policy, name)
            source = sources.get(name) or ("default" if value == getattr(_DEFAULTS, name) else "code")
            variable = circuit_variable(self.name, name) if name in TEXT_OPTIONS else ""
            rows.append(Row(name, _shown(value), source, variable))
        return rows

    def after_fork(self) -> None:
        """In a child process: nobody else's calls, no held lock, and what the parent saw is the parent's."""
        self.section.anew()
        with self.section:
            policy = self.policy
            self.window = Window(policy.window, policy.slices, self.now())
            self.latencies = Latencies()
            for crew in self.crews:
                for attempt in crew.all:
                    attempt.odd = True
            self.crew = Crew()
            self.crews = [self.crew]
            self.queue = NOWHERE
            self._trials.clear()
            self._look_soon()
            self.rewire()


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value)) or "nothing"
    named: str = getattr(value, "__qualname__", "") or str(value)
    return named if len(named) <= 100 else named[:99] + "…"
