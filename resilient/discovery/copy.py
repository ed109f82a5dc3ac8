"""A directory that single changes are made to, at a cost that does not grow with it (pure)."""

from __future__ import annotations

from collections.abc import Set

from ..eureka.fingerprint import apps_hash, count
from ..model import Action, Directory, Instance, Status

#: Services kept open for changes at a time, at most.
_OPEN = 64


class Copy:
    """Takes changes, and makes a new `Directory` of them when asked: only what they touched is made anew.

    Directories that were handed out are never edited.
    """

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self._counts: dict[Status, int] = count(
            one for members in directory.services.values() for one in members
        )
        self._open: dict[str, dict[str, Instance]] = {}
        self._touched: set[str] = set()

    @property
    def fingerprint(self) -> str:
        """What `eureka.fingerprint.directory_hash` would say, changes included."""
        return apps_hash(self._counts)

    def change(self, action: Action, instance: Instance) -> None:
        """Take one change; of a removal only service and id are looked at."""
        members = self._open.get(instance.service)
        if members is None:
            members = {one.id: one for one in self.directory.instances(instance.service)}
            self._open[instance.service] = members
        old = members.get(instance.id)
        if action is Action.DELETED:
            if old is None:
                return
            del members[instance.id]
        else:
            if old == instance:
                return
            members[instance.id] = instance
            self._counts[instance.status] = self._counts.get(instance.status, 0) + 1
        if old is not None:
            self._counts[old.status] -= 1
        self._touched.add(instance.service)

    def done(self) -> Set[str]:
        """Put the changes into `directory`. Returns the services that are others now."""
        touched, self._touched = self._touched, set()
        if touched:
            services = dict(self.directory.services)
            for name in touched:
                members = self._open[name]
                if members:
                    services[name] = tuple(members.values())
                else:
                    services.pop(name, None)
            self.directory = Directory(services)
        if len(self._open) > _OPEN:
            self._open.clear()
        return touched
