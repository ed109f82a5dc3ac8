"""A process's side of the registry as rows: how fresh its directory is, and its own registration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from ...model import Directory
from .rows import Family, Group, Row

AGE = Family(
    "resilient_directory_age_seconds", "gauge", "Time since a registry last confirmed the directory."
)
SERVICES = Family("resilient_directory_services", "gauge", "Services in the directory.")
INSTANCES = Family("resilient_directory_instances", "gauge", "Instances in the directory, in every status.")
FETCHES = Family(
    "resilient_directory_fetches",
    "counter",
    "How often the registry was asked for the directory.",
    (),
    "result",
    ("full", "delta", "error"),
)
LIVE = Family("resilient_directory_feed_live", "gauge", "1 while the feed of changes is open; else it polls.")
CONNECTED = Family("resilient_directory_connected", "gauge", "1 while a registry answers.")
REGISTERED = Family("resilient_registered", "gauge", "1 while the registry has us, as far as we know.")
HEARTBEATS = Family(
    "resilient_heartbeats",
    "counter",
    "Sign-ins and heartbeats by the registry's answer; silence: there was none.",
    (),
    "result",
    ("taken", "unknown", "refused", "silence"),
)
_ALWAYS = Group(SERVICES, INSTANCES, FETCHES, HEARTBEATS, CONNECTED, LIVE)
_REGISTERED, _AGE = Group(REGISTERED), Group(AGE)
FAMILIES = (*_ALWAYS.families, REGISTERED, AGE)


class Discovery(Protocol):
    """What is asked of :class:`resilient.discovery.tasks.Discovery`."""

    @property
    def fetches(self) -> Mapping[str, int]: ...

    @property
    def heartbeats(self) -> Mapping[str, int]: ...

    @property
    def age(self) -> float | None: ...

    @property
    def live(self) -> bool: ...

    @property
    def connected_url(self) -> str: ...

    @property
    def instance(self) -> object | None: ...

    @property
    def registered(self) -> bool: ...


class Counts:
    """Counts that go on when what is counted begins anew, as discovery does with each registration."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}
        self._before: dict[tuple[str, str], int] = {}

    def __call__(self, family: Family, found: Mapping[str, int]) -> tuple[int, ...]:
        numbers = []
        for name in family.over:
            key, n = (family.name, name), found.get(name, 0)
            if n < self._last.get(key, 0):
                self._before[key] = self._before.get(key, 0) + self._last[key]
            self._last[key] = n
            numbers.append(self._before.get(key, 0) + n)
        return tuple(numbers)


def rows(discovery: Discovery | None, directory: Directory, counts: Counts) -> Iterator[Row]:
    """Nothing for programs that ask no registry."""
    if discovery is None and not counts._last:
        return
    yield Row(
        _ALWAYS,
        (),
        (
            (len(directory.services),),
            (len(directory),),
            counts(FETCHES, discovery.fetches if discovery else {}),
            counts(HEARTBEATS, discovery.heartbeats if discovery else {}),
            (int(bool(discovery and discovery.connected_url)),),
            (int(bool(discovery and discovery.live)),),
        ),
    )
    if discovery is not None:
        if discovery.instance is not None:
            yield Row(_REGISTERED, (), ((int(discovery.registered),),))
        if (age := discovery.age) is not None:
            yield Row(_AGE, (), ((age,),))
