"""Ways to choose: functions over nodes.

A rule is called with at least one node. It may be called from several threads at once, and must
not wait. Writing one takes a few lines::

    def least_busy(nodes: Sequence[Node], rng: Random) -> Node:
        return min(nodes, key=lambda node: node.in_flight)
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate, count
from math import exp
from random import Random
from threading import Lock
from typing import Literal

from ..errors import ConfigError
from .node import FLOOR, TAU, Node

Rule = Callable[[Sequence[Node], Random], Node]

OVERFLOW = 1.4  # how many times its fair share a local instance may get
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
        self._splits: dict[str, tuple[Candidates, Candidates, float]] = {}
        self._matches: dict[frozenset[tuple[str, str]], Candidates] = {}
        weights = {node.weight for node in self}
        if len(weights) > 1:
            self.lightest = min(weights)
            self.cumulative = list(accumulate(node.weight for node in self))

    def split(self, zone: str) -> tuple[Candidates, Candidates, float]:
        """Those in ``zone``, the others, and the part of all calls that goes to the former.

        If callers are spread evenly over the zones, no local instance gets more than ``OVERFLOW``
        times what it would get without any preference.
        """
        found = self._splits.get(zone)
        if found is None:
            local = [node for node in self if node.instance.zone.lower() == zone.lower()]
            if self.panic or len(local) < _LOCAL or len(local) == len(self):
                found = (self, self, 1.0)
            else:
                rest = [node for node in self if node.instance.zone.lower() != zone.lower()]
                ours, all_ = sum(node.weight for node in local), sum(node.weight for node in self)
                part = min(1.0, OVERFLOW * self.zones * ours / all_)
                found = (Candidates(local), Candidates(rest), part)
            self._splits[zone] = found
        return found

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


def matches(node: Node, where: Mapping[str, str]) -> bool:
    """Whether the metadata of an instance has all these values."""
    metadata = node.instance.metadata or {}
    return all(metadata.get(name) == value for name, value in where.items())


def two_choices(nodes: Sequence[Node], rng: Random) -> Node:
    """Draw two at random, take the less loaded: nearly the best, and never a stampede."""
    if type(nodes) is not Candidates:
        nodes = Candidates(nodes)
    if nodes.cumulative is not None:
        return _two_weighted(nodes, rng)
    others = nodes.others
    if not others:
        return nodes.plain[0]
    drawn = rng.getrandbits(nodes.bits) % nodes.pairs  # one number for both: a pair without replacement
    i = drawn // others
    j = drawn - i * others
    if j >= i:
        j += 1
    first = nodes.plain[i]
    second = nodes.plain[j]
    a, b = first.latency, second.latency
    now = first.now()
    if a < 0.0 or b < 0.0 or now < first.stamp or now < second.stamp:
        return second if second.load_at(now) < first.load_at(now) else first
    a *= exp((first.stamp - now) / TAU)  # Node.load_at, written out: half of what a pick costs
    b *= exp((second.stamp - now) / TAU)
    if a < FLOOR:
        a = FLOOR
    if b < FLOOR:
        b = FLOOR
    return second if b * (1 + second.in_flight) < a * (1 + first.in_flight) else first


def _two_weighted(nodes: Candidates, rng: Random) -> Node:
    # The draw sets the proportions; the comparison only steps in where copies differ by a factor of
    # two, otherwise it would flatten them.
    i, j = nodes.draw_two(rng)
    first, second = nodes[i], nodes[j]
    now = first.now()
    return second if 2.0 * _weighed(second, now, nodes) < _weighed(first, now, nodes) else first


def _weighed(node: Node, now: float, nodes: Candidates) -> float:
    if node.latency < 0.0:
        return node.load_at(now)
    return node.load_at(now) / (1 + node.in_flight) * (1 + node.in_flight * nodes.lightest / node.weight)


def least_loaded(nodes: Sequence[Node], rng: Random) -> Node:
    """Of two drawn at random, the one with fewer calls under way. For long polls and streams."""
    n = len(nodes)
    if n == 1:
        return nodes[0]
    if type(nodes) is Candidates and nodes.cumulative is not None:
        i, j = nodes.draw_two(rng)
        first, second = nodes[i], nodes[j]
        return second if second.in_flight / second.weight < first.in_flight / first.weight else first
    m = n - 1
    drawn = int(rng.random() * n * m)
    i = drawn // m
    j = drawn % m
    if j >= i:
        j += 1
    first = nodes[i]
    second = nodes[j]
    return second if second.in_flight < first.in_flight else first


def random(nodes: Sequence[Node], rng: Random) -> Node:
    """Anyone."""
    return nodes[int(rng.random() * len(nodes))]


def weighted_random(nodes: Sequence[Node], rng: Random) -> Node:
    """Anyone, in proportion to the ``weight`` in its metadata."""
    return nodes[nodes.draw(rng)] if isinstance(nodes, Candidates) else random(nodes, rng)


def first(nodes: Sequence[Node], rng: Random) -> Node:
    """Always the first usable one. For tests."""
    return nodes[0]


def round_robin() -> Rule:
    """A rule that goes round, starting anywhere. Each one remembers its own turn."""
    turns: count[int] | None = None

    def choose(nodes: Sequence[Node], rng: Random) -> Node:
        nonlocal turns
        if turns is None:
            turns = count(int(rng.random() * len(nodes)))
        return nodes[next(turns) % len(nodes)]  # next() of a count is one step, whatever other threads do

    return choose


def weighted_round_robin() -> Rule:
    """A rule that goes round in exact proportion to the weights, the heavy ones spread out evenly.

    Each pick looks at all nodes: meant for some tens of them.
    """
    credits: dict[Node, float] = {}
    lock = Lock()

    def choose(nodes: Sequence[Node], rng: Random) -> Node:
        with lock:
            if len(credits) > 2 * len(nodes):
                for gone in credits.keys() - set(nodes):
                    del credits[gone]
            best = nodes[0]
            for node in nodes:
                credits[node] = credits.get(node, 0.0) + node.weight
                if credits[node] > credits[best]:
                    best = node
            credits[best] -= sum(node.weight for node in nodes)
            return best

    return choose


class Subset:
    """``rule`` over at most ``size`` instances, the same ones as long as they are usable.

    For services so large that every process would otherwise hold a connection to every copy. Each process
    draws its own (``seed``); when a copy leaves, one other takes its place.
    """

    def __init__(self, size: int, rule: Rule = two_choices, seed: str | None = None) -> None:
        if size < 1:
            raise ConfigError(f"a subset needs at least one instance, got {size}")
        self.size = size
        self.rule = rule
        self._seed = seed
        self._last: tuple[Sequence[Node] | None, Candidates] = (None, Candidates())

    def __call__(self, nodes: Sequence[Node], rng: Random) -> Node:
        known, chosen = self._last
        if known is not nodes:
            if self._seed is None:
                self._seed = f"{rng.getrandbits(64):x}"
            chosen = Candidates(sorted(nodes, key=_ranking(self._seed), reverse=True)[: self.size])
            if type(nodes) is Candidates:  # which is never edited
                self._last = nodes, chosen
        return self.rule(chosen, rng)


class ZoneRule:
    """``rule``, but in our own zone as far as its share allows. Made by :func:`prefer_zone`."""

    __slots__ = ("rule", "zone")

    def __init__(self, zone: str, rule: Rule) -> None:
        self.zone = zone
        self.rule = rule

    def __call__(self, nodes: Sequence[Node], rng: Random) -> Node:
        if type(nodes) is not Candidates:
            nodes = Candidates(nodes, zones=len({node.instance.zone.lower() for node in nodes}))
        local, others, part = nodes.split(self.zone)
        return self.rule(local if part >= 1.0 or rng.random() < part else others, rng)


def prefer_zone(zone: str, rule: Rule = two_choices) -> Rule:
    """Prefer instances of ``zone``; what is too much for them overflows to the others."""
    return ZoneRule(zone, rule)


ZoneMode = Literal["prefer", "strict", "off"]


class Zoned:
    """What a service does with zones, and its rule: made by :func:`zones`."""

    __slots__ = ("_alone", "mode", "rule")

    def __init__(self, mode: ZoneMode, rule: str | Rule) -> None:
        if mode not in ("prefer", "strict", "off"):
            raise ConfigError(f"zones are 'prefer', 'strict' or 'off'; got {mode!r}")
        self.mode = mode
        self.rule = rule
        self._alone = rule_maker(rule)()

    def __call__(self, nodes: Sequence[Node], rng: Random) -> Node:
        return self._alone(nodes, rng)  # where nobody asks for the mode


def zones(mode: ZoneMode, rule: str | Rule = "two_choices") -> Zoned:
    """``rule`` with another use of our own zone: ``Runtime(rule=zones("strict"))``.

    ``prefer`` is the default. ``strict`` never leaves the zone, not even for a retry or when nobody is there.
    ``off`` treats all zones alike.
    """
    return Zoned(mode, rule)


def _ranking(key: str) -> Callable[[Node], bytes]:
    def rank(node: Node) -> bytes:
        return blake2b(f"{key}\0{node.instance.id}".encode(errors="replace"), digest_size=8).digest()

    return rank


def by_key(key: str, nodes: Sequence[Node]) -> Node:
    """The same key finds the same instance; when one leaves, only its own keys move."""
    return max(nodes, key=_ranking(key))


RULES: Mapping[str, Callable[[], Rule]] = {
    "two_choices": lambda: two_choices,
    "p2c_ewma": lambda: two_choices,
    "least_loaded": lambda: least_loaded,
    "p2c_least_loaded": lambda: least_loaded,
    "round_robin": round_robin,
    "random": lambda: random,
    "weighted_random": lambda: weighted_random,
    "weighted_round_robin": weighted_round_robin,
    "first": lambda: first,
    "RoundRobinRule": round_robin,
    "RandomRule": lambda: random,
    "WeightedResponseTimeRule": lambda: two_choices,
    "BestAvailableRule": lambda: least_loaded,
    "AvailabilityFilteringRule": round_robin,
    "ZoneAvoidanceRule": lambda: two_choices,
}


def rule_maker(rule: str | Rule | Zoned, zone: str | None = None) -> Callable[[], Rule]:
    """A way to make the rule of each service: rules that remember must not share their memory."""
    if isinstance(rule, Zoned):
        return rule_maker(rule.rule, zone if rule.mode == "prefer" else None)
    if callable(rule):
        given = rule
        make: Callable[[], Rule] = lambda: given  # noqa: E731
    else:
        named = RULES.get(rule)
        if named is None:
            raise ConfigError(f"rule must be one of {', '.join(RULES)}, or a function; got {rule!r}")
        make = named
    if not zone:
        return make
    return lambda: ZoneRule(zone, make())
