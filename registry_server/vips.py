"""Who answers to a virtual address, counted per service: its size is that of the services. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from resilient.eureka.fields import vip_names
from resilient.eureka.reading import VIPS
from resilient.model import Instance

from .expiry import Lease


class _Side:
    """Plain or secure addresses. All instances of a service send the same text, so what is counted is texts;
    the names in one are looked at when it comes first and when it goes last."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.counts: dict[tuple[str, str], int] = {}
        #: By name: the services that have it, with the texts they have it from.
        self.names: dict[str, dict[str, dict[str, None]]] = {}

    def add(self, service: str, text: str) -> None:
        key = (service, text)
        known = self.counts.get(key, 0)
        self.counts[key] = known + 1
        if not known:
            for name in vip_names(text):
                self.names.setdefault(name, {}).setdefault(service, {})[text] = None

    def discard(self, service: str, text: str) -> None:
        key = (service, text)
        self.counts[key] -= 1
        if self.counts[key]:
            return
        del self.counts[key]
        for name in vip_names(text):
            services = self.names[name]
            del services[service][text]
            if not services[service]:
                del services[service]
                if not services:
                    del self.names[name]


class VipIndex:
    """Plain and secure virtual addresses of all instances in a table."""

    def __init__(self) -> None:
        plain, secure = VIPS
        self._sides = (_Side(plain), _Side(secure))

    def add(self, instance: Instance) -> None:
        """An instance came."""
        for side in self._sides:
            text = instance.extra.get(side.field)
            if isinstance(text, str):
                side.add(instance.service, text)

    def discard(self, instance: Instance) -> None:
        """One that was added went."""
        for side in self._sides:
            text = instance.extra.get(side.field)
            if isinstance(text, str):
                side.discard(instance.service, text)

    def replace(self, before: Instance, after: Instance) -> None:
        """One that was added is another now, of the same service."""
        for side in self._sides:
            old, new = before.extra.get(side.field), after.extra.get(side.field)
            if old == new:
                continue
            if isinstance(old, str):
                side.discard(before.service, old)
            if isinstance(new, str):
                side.add(after.service, new)

    def find(self, name: str, secure: bool, table: Mapping[str, Mapping[str, Lease]]) -> list[Lease]:
        """Everybody who answers to a name. Usually that is all of one service, and nobody is looked at."""
        side = self._sides[secure]
        found: list[Lease] = []
        for service, texts in side.names.get(name, {}).items():
            members = table[service].values()
            if sum(side.counts[service, text] for text in texts) == len(members):
                found.extend(members)
            else:
                found.extend(one for one in members if one.record.instance.extra.get(side.field) in texts)
        return found
