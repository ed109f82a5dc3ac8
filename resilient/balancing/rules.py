"""Ways to choose: functions over nodes.

A rule is called with at least one node. It may be called from several threads at once, and must
not wait. Writing one takes a few lines::

    def least_busy(nodes: Sequence[Node], rng: Random) -> Node:
        return min(nodes, key=lambda node: node.in_flight)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import count
from math import log, log1p
from random import Random
from threading import Lock
from typing import Literal

from ..errors import ConfigError
from .candidates import Candidates, Split
from .node import FLOOR, TAU, UNHEARD, Node

Rule = Callable[[Sequence[Node], Random], Node]

_LOG_FLOOR = log(FLOOR)
_NEARLY = 4.0  # times the load that is as good as the same, where the alternative is another zone


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
    a, b = first.mark, second.mark
    least = _LOG_FLOOR + first.now() / TAU
    if a < least or b < least:
        if a == UNHEARD or b == UNHEARD:
            if a == UNHEARD and not first.in_flight:
                return first  # nobody knows it yet: the next call shall tell
            if b == UNHEARD and not second.in_flight:
                return second
            now = first.now()
            return second if second.load_at(now) < first.load_at(now) else first
        a, b = max(a, least), max(b, least)
    p, q = first.in_flight, second.in_flight
    if p != q:  # Node.load_at as logarithms, for half of what a pick would cost else
        a += log1p(p)
        b += log1p(q)
    return second if b < a else first


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
        split = nodes.split(self.zone)
        if split.part >= 1.0:
            return self.rule(split.local, rng)
        return self._with_help(split, rng)

    def _with_help(self, split: Split, rng: Random) -> Node:
        """The zone is too small for its callers: no copy of it gets more than it may, the others the rest."""
        split.calls += 1
        node = self.rule(split.local, rng)
        if split.grants(node):
            return node
        # It had its share. A neighbour may be a little worse: that is mostly chance, and still near.
        most = _NEARLY * node.load
        for _ in range(3):
            neighbour = split.local[split.local.draw(rng)]
            if neighbour is not node and neighbour.load <= most and split.grants(neighbour):
                return neighbour
        return self.rule(split.others, rng)


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
