"""After a registry's restart: those it does not list yet have most likely not found back to it yet (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from ..clock import Clock
from ..model import Action, Directory, Instance


class Grace:
    """Keeps what a registry's earlier life listed, for one lease each, as if it had kept it itself.

    A registry that keeps its list in memory begins with an empty one, and each instance comes back with
    its next heartbeat. To believe it meanwhile would fail calls for as long as that takes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, dict[str, tuple[float, Instance]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def __bool__(self) -> bool:
        return bool(self._kept)

    def begin(self, before: Directory, after: Directory) -> None:
        """The list ``after`` is that of a new life, the directory was ``before``."""
        now = self._clock.monotonic()
        for service, members in before.services.items():
            listed = {one.id for one in after.instances(service)}
            for one in members:
                if one.id not in listed:  # whoever has grace already gets no more of it
                    self._kept.setdefault(service, {}).setdefault(one.id, (now + one.expire_after, one))

    def heard(self, changes: Iterable[tuple[Action, Instance]]) -> set[str]:
        """The registry's own word on these. Returns the services of those who were kept."""
        theirs: set[str] = set()
        for _, one in changes if self._kept else ():
            kept = self._kept.get(one.service, {})
            if kept.pop(one.id, None) is not None:
                theirs.add(one.service)
                if not kept:
                    del self._kept[one.service]
        return theirs

    def over(self, directory: Directory) -> Directory:
        """A list that was read, and beside it those whose grace has not run out."""
        now = self._clock.monotonic()
        for service, kept in list(self._kept.items()):
            listed = {one.id for one in directory.instances(service)}
            left = {id: mine for id, mine in kept.items() if now < mine[0] and id not in listed}
            if left:
                self._kept[service] = left
            else:
                del self._kept[service]
        every = (one for kept in self._kept.values() for _, one in kept.values())
        return directory.apply((Action.ADDED, one) for one in every)

    def patched(self, before: Directory, theirs: Directory, touched: Iterable[str]) -> Directory:
        """`over`, where only these services of the directory ``before`` have become others."""
        services = dict(before.services)
        for name in touched:
            kept = tuple(one for _, one in self._kept.get(name, {}).values())
            members = theirs.instances(name) + kept
            if members:
                services[name] = members
            else:
                services.pop(name, None)
        return Directory(services)
