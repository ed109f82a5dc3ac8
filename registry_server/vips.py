"""Who answers to a virtual address, counted per service: its size is that of the services. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from resilient.eureka.fields import vips
from resilient.model import Instance

from .expiry import Lease

#: By name: the services that have it, with how many of their instances.
_Index = dict[str, dict[str, int]]


class VipIndex:
    """Plain and secure virtual addresses of all instances in a table."""

    def __init__(self) -> None:
        self._indexes: tuple[_Index, _Index] = ({}, {})

    def add(self, instance: Instance) -> None:
        """An instance came."""
        for index, names in zip(self._indexes, vips(instance), strict=True):
            for name in dict.fromkeys(names):
                services = index.setdefault(name, {})
                services[instance.service] = services.get(instance.service, 0) + 1

    def discard(self, instance: Instance) -> None:
        """One that was added went."""
        for index, names in zip(self._indexes, vips(instance), strict=True):
            for name in dict.fromkeys(names):
                services = index[name]
                services[instance.service] -= 1
                if not services[instance.service]:
                    del services[instance.service]
                    if not services:
                        del index[name]

    def find(self, name: str, secure: bool, table: Mapping[str, Mapping[str, Lease]]) -> list[Lease]:
        """Everybody who answers to a name. Usually that is all of one service, and nobody is looked at."""
        found: list[Lease] = []
        for service, count in self._indexes[secure].get(name, {}).items():
            members = table[service].values()
            if count == len(members):
                found.extend(members)
            else:
                found.extend(one for one in members if name in vips(one.record.instance)[secure])
        return found
