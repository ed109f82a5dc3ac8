"""Instances and the directory of them; immutable, so any thread may read without a lock."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Self

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Status(StrEnum):
    """What an instance says of itself, in Eureka's five words."""

    UP = "UP"
    DOWN = "DOWN"
    STARTING = "STARTING"
    OUT_OF_SERVICE = "OUT_OF_SERVICE"
    UNKNOWN = "UNKNOWN"


class Action(StrEnum):
    """What happened to an instance, in Eureka's three words."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One running copy of a service.

    Durations are seconds. ``dirty_at`` is the instance's own stamp in milliseconds since the epoch:
    compared with earlier values of the same instance, never computed with. ``port`` is the one to
    call; when ``secure`` is true it is a TLS port. ``extra`` keeps foreign fields for the wire,
    spelled as Eureka spells them.
    """

    service: str
    id: str
    host: str
    port: int
    address: str = ""
    secure: bool = False
    status: Status = Status.UP
    zone: str = "default"
    metadata: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    renew_every: float = 30.0
    expire_after: float = 90.0
    dirty_at: int = 0
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Scheme, host and port, without a trailing slash: ``http://10.0.0.7:8080``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"

    def become(self, status: Status) -> Self:
        """The same instance with another status."""
        return dataclasses.replace(self, status=status)


@dataclass(frozen=True, slots=True)
class Directory:
    """All instances by service name (lower case), at one moment. Replaced, never edited."""

    services: Mapping[str, tuple[Instance, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, instances: Iterable[Instance]) -> Self:
        """Build one from instances in any order; the last one of an id wins."""
        grouped: dict[str, dict[str, Instance]] = {}
        for instance in instances:
            grouped.setdefault(instance.service, {})[instance.id] = instance
        return cls({name: tuple(members.values()) for name, members in grouped.items()})

    def instances(self, service: str) -> tuple[Instance, ...]:
        """The instances of a service in every status; empty if nobody knows it."""
        return self.services.get(service, ())

    def apply(self, changes: Iterable[tuple[Action, Instance]]) -> Self:
        """The directory after ``changes``; removing what is not there changes nothing."""
        touched: dict[str, dict[str, Instance]] = {}
        for action, instance in changes:
            members = touched.get(instance.service)
            if members is None:
                members = {one.id: one for one in self.instances(instance.service)}
                touched[instance.service] = members
            if action is Action.DELETED:
                members.pop(instance.id, None)
            else:
                members[instance.id] = instance
        if not touched:
            return self
        services = dict(self.services)
        for name, members in touched.items():
            if members:
                services[name] = tuple(members.values())
            else:
                services.pop(name, None)
        return type(self)(services)

    def __len__(self) -> int:
        return sum(map(len, self.services.values()))
