"""Settings of a circuit that is at work: shown with their sources, and changed."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from ..errors import ConfigError
from ..events import ConfigChanged
from ..settings import Row, circuit_variable
from .attempt import Crew
from .deadlines import NOWHERE
from .judge import NEVER, OPEN, Judge
from .kinds import NO_KINDS
from .latency import Latencies
from .layers import FIXED, NOTHING, RUN_TIME, Given, Layers
from .ledger import plain_types
from .policy import TEXT_OPTIONS, CircuitPolicy
from .window import Window

_NONE = Layers()


class Tuned(Judge):
    """The part of a circuit that knows where its settings come from and takes new ones."""

    __slots__ = ("_code", "_layers")

    def __init__(
        self, name: str, policy: CircuitPolicy | None = None, *, layers: Layers = _NONE, **kwargs: Any
    ) -> None:
        #: What the code says, and whatever else was said: the policy is made of both.
        self._code = policy or CircuitPolicy()
        self._layers = layers
        super().__init__(name, layers.over(self._code), **kwargs)

    def configure(self, *, by: str = "", **changes: Any) -> CircuitPolicy:
        """Change settings now, all of them or none; answers the policy that holds from now on.

        The next call, and the next outcome, go by the new ones; calls under way keep their own deadline. A
        new window geometry starts an empty window. ``by`` is who did it, for :class:`ConfigChanged`. Raises
        ConfigError, and changes nothing, if a name or value is wrong.
        """
        return self.tune(RUN_TIME, by=by, **changes)

    def tune(self, source: str = "operator", *, by: str = "", **changes: Any) -> CircuitPolicy:
        """As :meth:`configure`, shown as coming from ``source``. :meth:`untune` takes it back."""
        for name in FIXED:
            if name in changes:
                raise ConfigError(f"{name} is decided where the function is decorated, not at run time")
        with self.section:
            given = {name: Given(value, source) for name, value in changes.items()}
            layers = self._layers
            return self._settle(
                self._code,
                layers._replace(run_time={**layers.run_time, **given}),
                by or ("" if source == RUN_TIME else source),
            )

    def untune(self, *names: str, by: str = "") -> CircuitPolicy:
        """Take back what was changed at run time: these settings, or all. What lies below holds again."""
        with self.section:
            before = self._layers.run_time
            kept = {name: one for name, one in before.items() if names and name not in names}
            return self._settle(self._code, self._layers._replace(run_time=kept or NOTHING), by)

    def relayer(self, layers: Layers, *, by: str = "") -> CircuitPolicy:
        """Other people's words have changed, such as a file's; those given at run time stay."""
        with self.section:
            return self._settle(self._code, layers._replace(run_time=self._layers.run_time), by)

    def recode(self, policy: CircuitPolicy) -> None:
        """The code says something after all: a policy was written down where the circuit was named again."""
        with self.section:
            self._settle(policy, self._layers, "code")

    def _settle(self, code: CircuitPolicy, layers: Layers, by: str) -> CircuitPolicy:
        old, new = self.policy, layers.over(code)
        self._code, self._layers = code, layers
        changed = [
            field.name
            for field in dataclasses.fields(new)
            if getattr(old, field.name) != getattr(new, field.name)
        ]
        if changed:
            self._adopt(old, new, set(changed))
            told = tuple((name, _shown(getattr(old, name)), _shown(getattr(new, name))) for name in changed)
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
        if "failed" in names:
            self.plain = plain_types(new)
        if names & {"window", "slices"}:
            self.window = Window(new.window, new.slices, now, self.window)
            self.shut_until = 0.0
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

        Sources: ``default``, ``code``, the name of an environment variable, the settings file with its
        section, ``run time``, or what :meth:`tune` was told.
        """
        rows = []
        with self.section:
            policy, layers, code = self.policy, self._layers, self._code
        for field in dataclasses.fields(policy):
            name = field.name
            variable = circuit_variable(self.name, name) if name in TEXT_OPTIONS else ""
            rows.append(Row(name, _shown(getattr(policy, name)), layers.source(name, code), variable))
        return rows

    def after_fork(self) -> None:
        """In a child process: nobody else's calls, no held lock, and what the parent saw is the parent's."""
        self.section.anew()
        with self.section:
            policy = self.policy
            self.window = Window(policy.window, policy.slices, self.now())
            self.latencies = Latencies()
            self.kinds = NO_KINDS
            for crew in self.crews:
                for attempt in crew.all:
                    attempt.odd = True
            self.crew = Crew(self.now())
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
