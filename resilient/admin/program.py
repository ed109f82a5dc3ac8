"""The pages of a program that is no service: the registry, the dashboard. The same pages, fewer of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

from ..clock import SYSTEM, Clock
from ..runtime import Runtime
from ..settings import Row, Settings
from ..web.trust import Trust
from .desk import Desk
from .health import Component
from .masks import MASK, masked, sounds_secret
from .render import STYLE_PATH
from .site import Site

#: What makes sense without calls, and without callers who would have to notice an end: that takes a signal.
PAGES = (
    "/health/live", "/health/ready", "/health", "/actuator/health", "/metrics", "/admin", "/admin/ping",
    "/admin/info", "/admin/settings", "/admin/lint", "/admin/lint.json", "/admin/tasks", "/admin/threads",
    "/admin/loggers", "/admin/loggers/*", "/admin/profile", STYLE_PATH,
)  # fmt: skip


class Program(Desk):
    """What the pages look at. ``rows`` are its settings where they are not those of ``runtime``, with
    ``unknown``, variables that nobody reads. ``ready`` says whether it serves, ``parts`` are those of its
    health. ``open_to`` is the address it listens on if anybody who reaches that may change something.
    """

    def __init__(
        self,
        name: str,
        *,
        runtime: Runtime | None = None,
        zone: str = "",
        rows: Callable[[], list[Row]] | None = None,
        unknown: Mapping[str, str] | None = None,
        ready: Callable[[], bool] = lambda: True,
        parts: Callable[[], dict[str, Component]] = dict,
        open_to: str = "",
        clock: Clock = SYSTEM,
    ) -> None:
        # One of its own that calls nobody, reads nothing and starts nothing.
        own = runtime or Runtime(settings=Settings.load({"RESILIENT_ZONE": zone}))
        super().__init__(own, clock=clock)
        self._name = name
        self._rows = rows
        self._unknown = unknown
        self._is_ready = ready
        self._parts = parts
        self.open_to = open_to

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    @property
    def state(self) -> str:
        """STARTING or UP."""
        return "UP" if self._is_ready() else "STARTING"

    def rows(self) -> list[Row]:
        """Its settings with their sources."""
        return super().rows() if self._rows is None else self._rows()

    @property
    def unknown(self) -> Mapping[str, str]:
        """Variables that nobody reads."""
        return super().unknown if self._unknown is None else self._unknown

    def ready(self) -> str:
        """``UP`` or ``STARTING``."""
        return self.state

    def components(self) -> dict[str, Component]:
        """Its own parts."""
        return {**self._parts(), **self.loop_component()}


def site_of(program: Program, trust: Trust, *, without: tuple[str, ...] = ()) -> Site:
    """The pages, for those whom ``trust`` knows; ``without`` those that the program has itself."""
    return Site(program, trust=trust, only=tuple(path for path in PAGES if path not in without))


def rows_of(
    values: Mapping[str, object], given: Mapping[str, object], environ: Mapping[str, str], prefix: str
) -> list[Row]:
    """Settings for showing: each was an argument (not ``None`` in ``given``), else the variable ``prefix`` +
    NAME, else nobody said. What sounds secret is masked."""
    rows = []
    for name, value in values.items():
        variable = prefix + name.upper()
        source = variable if environ.get(variable) else "default"
        if given.get(name) is not None:
            source = "argument"
        words = "" if value is None else str(value)
        if isinstance(value, bool | float):
            words = f"{value:g}" if isinstance(value, float) else "on" if value else "off"
        rows.append(Row(name, MASK if value and sounds_secret(name) else masked(words), source, variable))
    return rows


def unread(environ: Mapping[str, str], known: Iterable[str], prefix: str) -> dict[str, str]:
    """Variables that begin with ``prefix`` and are none of ``known``, each with the one that was meant."""
    names = [prefix + name.upper() for name in known]
    unknown = sorted(name for name in environ if name.startswith(prefix) and name not in names)
    return {name: next(iter(get_close_matches(name, names, 1, 0.8)), "") for name in unknown}


__all__ = ["PAGES", "Program", "rows_of", "site_of", "unread"]
