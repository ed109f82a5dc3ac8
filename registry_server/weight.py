"""How much the heavy records weigh together, so that a registry's memory has an end. Pure.

An instance may bring 32 KiB of metadata, and a registry takes a hundred thousand of them; both at once are
more than a machine should give. Ordinary records are not counted, so an ordinary fleet never meets this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from resilient.clock import Clock
from resilient.model import Action, Instance

from .records import Change

#: Records of fewer bytes than this are ordinary. Those above may weigh so much together.
ORDINARY = 4 * 1024
MOST = 256 * 1024 * 1024
#: Seconds for which whoever is gone still stands in the delta, and a little more.
LINGERS = 210.0


def weigh(instance: Instance) -> int:
    """About how many bytes of text an instance brought along."""
    extra = instance.extra
    weight = _flat(instance.metadata)
    if extra:
        weight += _flat(extra)
        if "dataCenterInfo" in extra:
            weight += _text({"": extra["dataCenterInfo"]})
    return weight


def _flat(tree: Mapping[str, object]) -> int:
    """Without what lies deeper: but for one field, that is two ports."""
    try:
        return sum(map(len, tree)) + sum(map(len, tree.values()))  # type: ignore[arg-type]
    except TypeError:  # a number among them
        return _text(tree)


def _text(tree: Mapping[str, object]) -> int:
    weight = 0
    for name, value in tree.items():
        weight += len(name)
        if isinstance(value, str):
            weight += len(value)
        elif isinstance(value, Mapping):
            weight += _text(value)
    return weight


class Ballast:
    """Told of every change; asked before a heavy record is taken."""

    def __init__(self, clock: Clock, *, most: int = MOST) -> None:
        self.most = most
        #: What all heavy records weigh, those included that are gone but still told of.
        self.total = 0
        self._clock = clock
        self._heavy: dict[tuple[str, str], int] = {}
        self._gone: deque[tuple[float, int]] = deque()

    def has_room(self, instance: Instance) -> bool:
        """Whether this record may take the place of what is known of its instance."""
        weight = weigh(instance)
        if weight <= ORDINARY:
            return True
        self._forget()
        return self.total - self._heavy.get((instance.service, instance.id), 0) + weight <= self.most

    def heard(self, change: Change) -> None:
        """A record was stored, or is gone."""
        key = (change.service, change.id)
        self.total -= self._heavy.pop(key, 0)
        weight = weigh(change.record.instance)
        if weight <= ORDINARY:
            return
        self.total += weight
        if change.action is Action.DELETED:
            self._gone.append((self._clock.monotonic() + LINGERS, weight))
        else:
            self._heavy[key] = weight
        self._forget()

    def restored(self, instance: Instance) -> None:
        """A record came from a snapshot."""
        weight = weigh(instance)
        if weight > ORDINARY:
            self._heavy[instance.service, instance.id] = weight
            self.total += weight

    def _forget(self) -> None:
        now = self._clock.monotonic()
        while self._gone and self._gone[0][0] < now:
            self.total -= self._gone.popleft()[1]
