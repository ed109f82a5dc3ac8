"""How much a registry takes."""

from __future__ import annotations

from dataclasses import dataclass

MOST_INSTANCES = 100_000


class TableFull(Exception):
    """A new instance would break a limit; renewals of known ones go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How much a table takes: instances in all, instances of one service, services."""

    instances: int = MOST_INSTANCES
    per_service: int = 10_000
    services: int = 10_000

    def check(self, instances: int, services: int, members: int) -> None:
        """Is there room for one more, beside so many, in a service of ``members`` (0: a new one)?"""
        if instances >= self.instances:
            raise TableFull(f"the registry holds {self.instances} instances and takes no new one")
        if not members and services >= self.services:
            raise TableFull(f"the registry holds {self.services} services and takes no new one")
        if members >= self.per_service:
            raise TableFull(f"a service may have {self.per_service} instances")
