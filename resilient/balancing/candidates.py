"""The copies a rule may choose from, whole and by zone."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import inf
from random import Random

from .node import Node

OVERFLOW = 1.4  # how many times its fair share a local instance may get
BURST = 8  # calls that a copy may have saved up when its neighbours were the better ones
_SELECTIONS = 100  # ways to select that are remembered for one state of a service
_LOCAL = 2  # a single local copy has nobody to be compared with


class Candidates(list[Node]):
    """The nodes a rule may choose from, made anew whenever health or the directory changes.

    ``cumulative`` holds running sums of the weights, ``None`` while all weights are equal;
    ``zones`` counts the zones of the whole service, ill instances included.
    """

    __slots__ = (
        "_matches",
        "_splits",
        "bits",
        "cumulative",
        "lightest",
        "others",
        "pairs",
        "panic",
        "plain",
        "zones",
    )

    def __init__(self, nodes: Iterable[Node] = (), *, zones: int = 1, panic: bool = False) -> None:
        super().__init__(nodes)
        self.plain = tuple(self)  # the interpreter is quicker with what it knows exactly
        self.others = len(self) - 1
        self.pairs = len(self) * self.others
        self.bits = 30 if self.pairs < 1 << 15 else 60  # so many that the remainder is as good as even
        self.zones = zones
        self.panic = panic
        self.cumulative: list[float] | None = None
        self.lightest = 1.0
        self._splits: dict[str, Split] = {}
        self._matches: dict[frozenset[tuple[str, str]], Candidates] = {}
        weights = {node.weight for node in self}
        if len(weights) > 1:
            self.lightest = min(weights)
            self.cumulative = list(accumulate(node.weight for node in self))

    def split(self, zone: str) -> Split:
        """Those in ``zone``, and the others."""
        found = self._splits.get(zone)
        if found is None:
            found = self._splits[zone] = self._split(zone.lower())
        return found

    def _split(self, zone: str) -> Split:
        local = [node for node in self if node.instance.zone.lower() == zone]
        if self.panic or len(local) < _LOCAL or len(local) == len(self):
            return Split(self, self, inf)
        rest = [node for node in self if node.instance.zone.lower() != zone]
        fair = OVERFLOW * self.zones / sum(node.weight for node in self)
        return Split(Candidates(local), Candidates(rest), fair)

    def matching(self, where: Mapping[str, str]) -> Candidates:
        """Those whose metadata says all that ``where`` says."""
        key = frozenset(where.items())
        found = self._matches.get(key)
        if found is None:
            fits = [node for node in self if matches(node, where)]
            found = Candidates(fits, zones=self.zones, panic=self.panic)
            if len(self._matches) < _SELECTIONS:
                self._matches[key] = found
        return found

    def draw(self, rng: Random) -> int:
        """An index, drawn by weight."""
        if self.cumulative is None:
            return int(rng.random() * len(self))
        return min(bisect(self.cumulative, rng.random() * self.cumulative[-1]), len(self) - 1)

    def draw_two(self, rng: Random) -> tuple[int, int]:
        """Two different indices, drawn by weight."""
        first = self.draw(rng)
        for _ in range(4):
            second = self.draw(rng)
            if second != first:
                return first, second
        return first, (first + 1 + int(rng.random() * (len(self) - 1))) % len(self)


class Split:
    """The copies of one zone, the others, and how much the former may get.

    If callers are spread evenly over the zones, no local copy is to get more than ``OVERFLOW`` times what it
    would get without any preference: ``fair`` of this caller's calls, for each unit of its weight. That holds
    for each one of them, not only for their sum: of two the luckier one, or the one that is not slow, would
    else carry much more. Counts are as good as exact under threads; a lost one shifts a share by a call.
    """

    __slots__ = ("_due", "_fair", "calls", "local", "others", "part")

    def __init__(self, local: Candidates, others: Candidates, fair: float) -> None:
        self.local = local
        self.others = others
        self.calls = 0
        #: The part of all calls that may go to local copies: all of them if it is 1.
        self.part = min(1.0, fair * sum(node.weight for node in local)) if fair < inf else 1.0
        self._fair = fair
        self._due: dict[Node, float] = {}  # from which call on a copy may have its next one

    def grants(self, node: Node) -> bool:
        """Whether a local copy may have this call; if so, it has been counted."""
        every = 1.0 / (self._fair * node.weight)
        due = self._due.get(node, self.calls)
        if due > self.calls:
            return False
        self._due[node] = max(due, self.calls - BURST * every) + every
        return True


def matches(node: Node, where: Mapping[str, str]) -> bool:
    """Whether the metadata of an instance has all these values."""
    metadata = node.instance.metadata or {}
    return all(metadata.get(name) == value for name, value in where.items())
