"""Who is listed: the directory's instances of one service, as nodes that survive its changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from ..model import Instance, Status
from .node import Node, State, Why

RAMP = 30.0  # seconds of slow start
KEEP = 600.0  # seconds that a vanished copy is remembered


class Roster:
    """The nodes of one service. ``up`` are those that may be called as far as the directory knows."""

    __slots__ = ("_first", "_only", "left", "nodes", "now", "snapshot", "up", "zones")

    def __init__(self, now: Callable[[], float], only: str | None = None) -> None:
        self.now = now
        self._only = only.lower() if only is not None else None  # the one zone that counts
        self.snapshot: Sequence[Instance] = ()
        self.nodes: dict[tuple[str, str, int], Node] = {}
        self.up: list[Node] = []
        #: Tries of copies that are remembered no more: answered, failed, others.
        self.left = (0, 0, 0)
        self.zones = 1
        self._first = True

    def adopt(self, instances: Sequence[Instance], now: float) -> None:
        """Take in a new directory: nodes survive by id, host and port."""
        nodes, up = self.nodes, []
        seen: set[tuple[str, str, int]] = set()
        for instance in instances:
            key = (instance.id, instance.host, instance.port)
            if key in seen:
                continue
            seen.add(key)
            node = nodes.get(key)
            if node is None:
                node = nodes[key] = Node(instance, self.now)
                node.ramp_from = None if self._first else now
            elif node.instance is not instance:
                self._renew(node, instance, now)
            node.gone_at = None
            node.away = instance.status is not Status.UP
            if not node.away and (self._only is None or instance.zone.lower() == self._only):
                up.append(node)
        if len(seen) < len(nodes):
            self._forget(seen, now)
        self.up = up
        self.zones = len({node.instance.zone.lower() for node in up}) or 1
        self.snapshot = instances
        self._first = self._first and not up

    def _renew(self, node: Node, instance: Instance, now: float) -> None:
        newer = instance.dirty_at > node.instance.dirty_at
        was_away = node.away or node.gone_at is not None
        node.adopt(instance)
        if was_away and newer and instance.status is Status.UP:
            node.reset(now)  # started anew
            node.ramp_from = now
        elif newer and node.state is State.EJECTED and node.why is not Why.MANUAL:
            node.until = now  # it has just told the registry that it is there: ask it

    def others_answer(self, node: Node, since: float) -> bool:
        """Whether another copy has given a good answer since then, as its last word."""
        return any(other.stamp >= since and not other.row and other is not node for other in self.up)

    def _forget(self, seen: set[tuple[str, str, int]], now: float) -> None:
        gone = [key for key in self.nodes if key not in seen]
        for key in gone:
            if self.nodes[key].gone_at is None:
                self.nodes[key].gone_at = now
        gone.sort(key=lambda key: self.nodes[key].gone_at or now)
        surplus = len(gone) - 2 * len(seen) - 100  # a service whose copies change names all the time
        for index, key in enumerate(gone):
            if index < surplus or now - (self.nodes[key].gone_at or now) > KEEP:
                node, (answers, failures, others) = self.nodes.pop(key), self.left
                self.left = (answers + node.answers, failures + node.failures, others + node.others)

    def weigh(self, nodes: list[Node], now: float) -> float:
        """Set effective weights; answers with when to look again."""
        ramping = [node for node in nodes if node.ramp_from is not None and now - node.ramp_from < RAMP]
        if 2 * len(ramping) > len(nodes):
            ramping = []  # all new together: there is nobody to spare them
        for node in self.up:
            node.weight = _weight(node.instance)
        for node in ramping:
            assert node.ramp_from is not None
            node.weight *= max(0.1, min(1.0, (now - node.ramp_from) / RAMP))
        return now + 1.0 if ramping else inf


def _weight(instance: Instance) -> float:
    text = instance.metadata.get("weight") if instance.metadata else None
    if text is None:
        return 1.0
    try:
        weight = float(text)
    except (TypeError, ValueError):
        return 1.0
    return weight if 0.0 <= weight <= 1000.0 else 1.0
