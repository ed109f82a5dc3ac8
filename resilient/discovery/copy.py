"""A directory that single changes are made to, at a cost that does not grow with it (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Self

from ..eureka.fingerprint import apps_hash, count
from ..model import Action, Directory, Instance, Status

#: Services kept open for changes at a time, at most.
_OPEN = 64
#: A mapping of so many names is copied for a change; of a larger one only what is new is.
_SMALL = 256
#: Names in front of a large mapping, before it is made anew.
_FRONT = 64
_UP = Status.UP


class Members(tuple[Instance, ...]):
    """The instances of a service, and those of them that may be called."""

    up: tuple[Instance, ...]

    @classmethod
    def of(cls, every: Iterable[Instance], up: Iterable[Instance] | None) -> Self:
        """``up`` is ``None`` if all of them may be called."""
        made = cls(every)
        made.up = made if up is None else tuple(up)
        return made


class Layered(Mapping[str, tuple[Instance, ...]]):
    """A large mapping and what differs from it, immutable: the next one costs only the difference."""

    __slots__ = ("_back", "_front", "_size")

    def __init__(
        self, back: Mapping[str, tuple[Instance, ...]], front: Mapping[str, tuple[Instance, ...]]
    ) -> None:
        self._back = back
        self._front = front  # () for a name that is gone
        self._size = len(back) + sum(
            bool(members) - (name in back) for name, members in front.items() if members or name in back
        )

    def __getitem__(self, name: str) -> tuple[Instance, ...]:
        found = self._front.get(name)
        if found is None:
            return self._back[name]
        if not found:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        found = self._front.get(name)  # type: ignore[call-overload]
        return name in self._back if found is None else bool(found)

    def __iter__(self) -> Iterator[str]:
        front, back = self._front, self._back
        for name in back:
            if front.get(name, True):
                yield name
        for name, members in front.items():
            if members and name not in back:
                yield name

    def __len__(self) -> int:
        return self._size


def _with(
    services: Mapping[str, tuple[Instance, ...]], changed: Mapping[str, tuple[Instance, ...]]
) -> Mapping[str, tuple[Instance, ...]]:
    """``services`` with others in the place of some; ``()`` takes one away."""
    if len(services) > _SMALL:
        back, front = (services._back, services._front) if isinstance(services, Layered) else (services, {})
        if len(front) + len(changed) <= _FRONT:
            return Layered(back, {**front, **changed})
    fresh = dict(services)
    for name, members in changed.items():
        if members:
            fresh[name] = members
        else:
            fresh.pop(name, None)
    return fresh


class Copy:
    """Takes changes, and makes a new `Directory` of them when asked: only what they touched is made anew.

    Directories that were handed out are never edited.
    """

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self._counts: dict[Status, int] = count(
            one for members in directory.services.values() for one in members
        )
        #: By service: its instances by id, and those of them that may be called.
        self._open: dict[str, tuple[dict[str, Instance], dict[str, Instance]]] = {}
        self._touched: set[str] = set()
        self._moved: set[str] = set()
        #: Of the services that `done` named last: those that gained or lost instances.
        self.moved: Set[str] = frozenset()

    @property
    def fingerprint(self) -> str:
        """What `eureka.fingerprint.directory_hash` would say, changes included."""
        return apps_hash(self._counts)

    def change(self, action: Action, instance: Instance) -> None:
        """Take one change; of a removal only service and id are looked at."""
        service, id = instance.service, instance.id
        opened = self._open.get(service)
        if opened is None:
            listed = self.directory.instances(service)
            opened = self._open[service] = (
                {one.id: one for one in listed},
                {one.id: one for one in listed if one.status is _UP},
            )
        members, up = opened
        old = members.get(id)
        if action is Action.DELETED:
            if old is None:
                return
            del members[id]
            up.pop(id, None)
            self._moved.add(service)
        else:
            if old == instance:
                return
            members[id] = instance
            if instance.status is _UP:
                up[id] = instance
            else:
                up.pop(id, None)
            self._counts[instance.status] = self._counts.get(instance.status, 0) + 1
            if old is None:
                self._moved.add(service)
        if old is not None:
            self._counts[old.status] -= 1
        self._touched.add(service)

    def done(self) -> Set[str]:
        """Put the changes into `directory`. Returns the services that are others now."""
        touched, self._touched = self._touched, set()
        self.moved, self._moved = self._moved, set()
        if touched:
            changed: dict[str, tuple[Instance, ...]] = {}
            for name in touched:
                members, up = self._open[name]
                full = len(up) == len(members)
                changed[name] = Members.of(members.values(), None if full else up.values()) if members else ()
            self.directory = Directory(_with(self.directory.services, changed))
        if len(self._open) > _OPEN:
            self._open.clear()
        return touched
