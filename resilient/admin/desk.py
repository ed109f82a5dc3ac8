"""What the pages look at: a runtime, the member it belongs to, the loops, and what may be turned."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from ..clock import SYSTEM, Clock
from ..model import Instance
from ..runtime import Runtime
from ..settings import Row
from . import health
from .health import Component
from .levels import Levels
from .loops import Loops
from .masks import MASK, masked_pairs, sounds_secret
from .stacks import Profiler

#: Ends this process: (gently, seconds that calls under way may take).
End = Callable[[bool, float], None]


class Membership(Protocol):
    """What the pages know of the service that this process is."""

    service: str
    instance: Instance | None
    state: str
    well: bool
    require_registry: bool

    @property
    def critical(self) -> Collection[str]:
        """Names of circuits whose being open makes the service not ready."""

    def since_joined(self) -> float:
        """Seconds since it began to register."""

    def checks(self) -> Mapping[str, Mapping[str, Any]]:
        """The latest answers of the user's own health checks, by name."""

    def end(self, gently: bool, grace: float) -> None:
        """Leave and end the process; from any thread."""


class Desk:
    """Everything the views need, without a web framework. Nothing here waits."""

    def __init__(
        self,
        runtime: Runtime,
        member: Membership | None = None,
        *,
        end: End | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self.runtime = runtime
        self.member = member
        self.clock = clock
        self.loops = Loops(clock)
        self.levels = Levels()
        self.profiler = Profiler()
        self.started_at = clock.time()
        self._begun = clock.monotonic()
        self._end = end
        self._ending = False
        self._kept: dict[str, Any] = {}
        #: What ends streams when the process does: objects with a ``closed`` to set.
        self.closes: list[Any] = []
        #: For the lint: where these pages can be reached, as (host, has a token).
        self.exposed: list[tuple[str, bool]] = []
        #: For the lint: the address where everybody may change something; empty for none.
        self.open_to = ""

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """What a view has made for itself once, and wants again."""
        found = self._kept.get(name)
        if found is None and (made := make()) is not None:
            found = self._kept.setdefault(name, made)
        return found

    def close_streams(self) -> None:
        """Streams that are open end soon, new ones are refused: nobody waits for their readers."""
        for one in self.closes:
            one.closed = True

    @property
    def name(self) -> str:
        """What this process is called; empty if nobody said."""
        return self.member.service if self.member is not None else self.runtime.settings.service

    def rows(self) -> list[Row]:
        """Every setting with its source; no secret among the values."""
        own = self.runtime.settings
        rows = []
        for row in own.rows():
            if row.name == "metadata":
                row = row._replace(value=",".join(f"{k}={v}" for k, v in masked_pairs(own.metadata).items()))
            elif sounds_secret(row.name) and row.value:
                row = row._replace(value=MASK)
            rows.append(row)
        return rows

    @property
    def unknown(self) -> Mapping[str, str]:
        """Variables that look like ours and that nobody reads, each with the one that was probably meant."""
        return self.runtime.settings.unknown

    @property
    def uptime(self) -> float:
        """Seconds since these pages were made, which is when the service was."""
        return self.clock.monotonic() - self._begun

    @property
    def state(self) -> str:
        """STARTING, UP or DRAINING."""
        return "DRAINING" if self._ending else self.member.state if self.member is not None else "UP"

    # ------------------------------------------------------------------ the registry

    def discovery(self) -> Mapping[str, Any] | None:
        """What is between us and the registry; ``None`` if nobody looks for one. No credentials in it."""
        # The runtime shows the directory, not who reads it; this is the one place that wants to know.
        discovery = getattr(self.runtime, "_discovery", None)
        if discovery is None:
            return None
        return {**discovery.report(), "live": discovery.live}

    def link(self) -> health.Link:
        """The same as health wants it."""
        found = self.discovery()
        if found is None:
            return health.Link()
        registers = self.member is not None and self.runtime.settings.register
        return health.Link(
            wanted=True,
            connected=bool(found["connected"]),
            answered=found["age_seconds"] is not None,
            registers=registers,
            registered=bool(found["registered"]),
            age=found["age_seconds"],
            waited=self.member.since_joined() if self.member is not None else self.uptime,
            error=str(found["error"] or ""),
        )

    # ------------------------------------------------------------------ health

    def open_circuits(self) -> list[str]:
        """The names of circuits that are open now."""
        return [one.name for one in self.runtime.circuits if one.state == "open"]

    def ready(self) -> str:
        """``UP``, or why not. Asks nobody."""
        member = self.member
        if member is None:
            return health.ready(self.state, self.link())
        checks = [str(one["status"]) for one in member.checks().values()]
        return health.ready(
            self.state,
            self.link(),
            checks if member.well else ["DOWN"],
            open_ones=self.open_circuits() if member.critical else (),
            critical=member.critical,
            require_registry=member.require_registry,
        )

    def live(self) -> bool:
        """Whether the application's loops answer."""
        return not self.loops.stuck()

    def health(self) -> tuple[str, dict[str, Component]]:
        """The status of everything, and of each part."""
        components = self.components()
        return health.worst(one["status"] for one in components.values()), components

    def components(self) -> dict[str, Component]:
        """Each part, with its status."""
        components: dict[str, Component] = {}
        link = self.link()
        if link.wanted:
            components["registry"] = health.registry(link)
        components["circuits"] = health.circuits(self.open_circuits())
        components |= self.loop_component()
        checks = self.member.checks() if self.member is not None else {}
        for name, one in checks.items():
            components[f"user:{name}"] = dict(one)
        if self.member is not None:
            ready = self.ready()
            components["service"] = {"status": health.STATES.get(ready, ready), "state": ready}
        return components

    def loop_component(self) -> dict[str, Component]:
        """The part of the event loops, if there are any."""
        watches = list(self.loops)
        stuck = [one.name for one in self.loops.stuck()]
        return {"event_loop": health.event_loops([one.view() for one in watches], stuck)} if watches else {}

    # ------------------------------------------------------------------ the end

    def end(self, gently: bool, grace: float) -> None:
        """Leave, and end this process."""
        self._ending = True
        if self._end is not None:
            self._end(gently, grace)
        elif self.member is not None:
            self.member.end(gently, grace)
        else:
            self.runtime.close()
            os.kill(os.getpid(), signal.SIGTERM)
