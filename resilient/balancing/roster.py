"""Who is listed: the directory's instances of one service, as nodes that survive its changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress, count
from math import inf
from operator import attrgetter, is_not
from typing import NamedTuple

from ..model import Instance, Status
from .node import Node, State, Why

RAMP = 30.0  # seconds of slow start
KEEP = 600.0  # seconds that a vanished copy is remembered
Key = tuple[str, str, int]
_ZONE = attrgetter("instance.zone")


class Tally(NamedTuple):
    """What came of tries, since the start; ``voids`` said nothing of their copy, ``seconds`` all took."""

    answers: int = 0
    failures: int = 0
    others: int = 0
    voids: int = 0
    seconds: float = 0.0

    @property
    def tries(self) -> int:
        """All of them."""
        return self.answers + self.failures + self.others + self.voids

    def plus(self, nodes: Sequence[Node]) -> Tally:
        """With those of some copies more."""
        return Tally(  # lists, for there may be ten thousand of them
            self.answers + sum([node.answers for node in nodes]),
            self.failures + sum([node.failures for node in nodes]),
            self.others + sum([node.others for node in nodes]),
            self.voids + sum([node.voids for node in nodes]),
            self.seconds + sum([node.seconds for node in nodes]),
        )


class Roster:
    """The nodes of one service. ``up`` are those that may be called as far as the directory knows."""

    __slots__ = (
        "_first", "_gone", "_listed", "_only", "home", "left", "nodes", "now", "snapshot", "up", "zones",
    )  # fmt: skip

    def __init__(self, now: Callable[[], float], only: str | None = None, home: str | None = None) -> None:
        self.now = now
        self.home = home.lower() if home is not None else None  # our own zone, if we have one
        self._only = only.lower() if only is not None else None  # the one zone that counts
        self.snapshot: Sequence[Instance] = ()
        self.nodes: dict[Key, Node] = {}
        self._gone: dict[Key, Node] = {}
        self._listed: list[Node] = []  # those of the snapshot
        self.up: list[Node] = []
        #: Tries of copies that are remembered no more: those of our own zone, and the others.
        self.left = {True: Tally(), False: Tally()}
        self.zones = 1
        self._first = True

    def adopt(self, instances: Sequence[Instance], now: float) -> None:
        """Take in a new directory: nodes survive by id, host and port."""
        listed = self._patched(instances, now)
        if listed is None:
            listed = self._matched(instances, now)
        self._forget(len(listed), now)
        self._listed = listed
        up = [node for node in listed if not node.away]
        if self._only is not None:
            up = [node for node in up if node.instance.zone.lower() == self._only]
        self.up = up
        self.zones = len({zone.lower() for zone in set(map(_ZONE, up))}) or 1
        self.snapshot = instances
        self._first = self._first and not up

    def _patched(self, instances: Sequence[Instance], now: float) -> list[Node] | None:
        """The nodes of a list in which most are what they were; ``None`` if somebody is listed twice.

        Nobody is looked at who is the very same object as before: most often one of ten thousand has changed.
        """
        old, listed = self.snapshot, self._listed
        if len(old) != len(listed):
            return None
        head, tail = _same(old, instances)
        end = len(old) - tail
        known = {id(node.instance): node for node in listed[head:end]}
        fresh: list[Node] = []
        for instance in instances[head : len(instances) - tail]:
            node = known.pop(id(instance), None)
            if node is None:
                key = (instance.id, instance.host, instance.port)
                before = self.nodes.get(key)
                if before is not None and before.gone_at is None:
                    replaced = known.pop(id(before.instance), None)
                    if replaced is None:
                        return None
                node = self._take(key, instance, now)
            fresh.append(node)
        for node in known.values():
            self._leave(node, now)
        return [*listed[:head], *fresh, *listed[end:]]

    def _matched(self, instances: Sequence[Instance], now: float) -> list[Node]:
        """The same, one by one; of those listed twice the first one counts."""
        found: dict[Key, Node] = {}
        for instance in instances:
            key = (instance.id, instance.host, instance.port)
            if key not in found:
                found[key] = self._take(key, instance, now)
        for key, node in self.nodes.items():
            if key not in found and node.gone_at is None:
                self._leave(node, now)
        return list(found.values())

    def _take(self, key: Key, instance: Instance, now: float) -> Node:
        node = self.nodes.get(key)
        if node is None:
            node = self.nodes[key] = Node(instance, self.now, instance.zone.lower() == self.home)
            node.ramp_from = None if self._first else now
        elif node.instance is not instance:
            self._renew(node, instance, now)
        node.gone_at = None
        self._gone.pop(key, None)
        node.away = instance.status is not Status.UP
        return node

    def _leave(self, node: Node, now: float) -> None:
        node.gone_at = now
        one = node.instance
        self._gone[one.id, one.host, one.port] = node

    def _renew(self, node: Node, instance: Instance, now: float) -> None:
        newer = instance.dirty_at > node.instance.dirty_at
        was_away = node.away or node.gone_at is not None
        node.adopt(instance)
        if was_away and newer and instance.status is Status.UP:
            node.reset(now)  # started anew
            node.ramp_from = now
        elif newer and node.state is State.EJECTED and node.why is not Why.MANUAL:
            node.until = now  # it has just told the registry that it is there: ask it

    def find(self, id: str) -> Node:
        """The node of an instance id; KeyError if there is none."""
        for node in list(self.nodes.values()):
            if node.instance.id == id and node.gone_at is None:
                return node
        raise KeyError(id)

    def others_answer(self, node: Node, since: float) -> bool:
        """Whether another copy has given a good answer since then, as its last word."""
        return any(other.stamp >= since and not other.row and other is not node for other in self.up)

    def _forget(self, listed: int, now: float) -> None:
        gone = self._gone  # in the order in which they went
        while gone:
            key, node = next(iter(gone.items()))
            # More of them than that: a service whose copies change names all the time.
            if now - (node.gone_at or now) <= KEEP and len(gone) <= 2 * listed + 100:
                break
            del gone[key], self.nodes[key]
            self.left[node.near] = self.left[node.near].plus([node])

    def weigh(self, nodes: list[Node], now: float) -> float:
        """Set effective weights; answers with when to look again."""
        ramping = [node for node in nodes if node.ramp_from is not None and now - node.ramp_from < RAMP]
        if 2 * len(ramping) > len(nodes):
            ramping = []  # all new together: there is nobody to spare them
        for node in self.up:
            node.weight = node.given
        for node in ramping:
            assert node.ramp_from is not None
            node.weight *= max(0.1, min(1.0, (now - node.ramp_from) / RAMP))
        return now + 1.0 if ramping else inf


def _same(old: Sequence[Instance], new: Sequence[Instance]) -> tuple[int, int]:
    """How many of two lists are the very same objects at their beginnings, and behind that at their ends."""
    shorter = min(len(old), len(new))
    head = next(compress(count(), map(is_not, old, new)), shorter)
    tail = next(compress(count(), map(is_not, reversed(old), reversed(new))), shorter)
    return head, min(tail, shorter - head)
