"""Pools of threads (``isolation="thread"``) as rows. They have no queue: who finds none free is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ...circuits.circuit import Circuit
from ...circuits.pool import PoolSnapshot
from .rows import Family, Fold, Group, Row

#: So many pools have series of their own.
MOST_POOLS = 200
_POOL = ("pool",)

THREADS = Family(
    "resilient_pool_threads",
    "gauge",
    "Threads of a pool; abandoned: at work for a caller who has left.",
    _POOL,
    "state",
    ("active", "idle", "abandoned"),
)
SIZE = Family("resilient_pool_size", "gauge", "How many threads a pool may have.", _POOL)
CALLS = Family(
    "resilient_pool_calls",
    "counter",
    "Calls by what a pool made of them; rejected: no thread was free, and none waits for one.",
    _POOL,
    "result",
    ("done", "rejected"),
)
_POOLS = Group(THREADS, SIZE, CALLS)
FAMILIES = _POOLS.families


def rows(pools: Iterable[PoolSnapshot], circuits: Iterable[Circuit], names: Fold) -> Iterator[Row]:
    """The pools that have been used. Those of no name of their own are summed up."""
    seen = list(pools)
    if not seen:
        return
    left: Counter[str] = Counter()
    for circuit in circuits:
        if circuit.abandoned > 0:
            left[circuit.policy.thread_pool or circuit.name] += circuit.abandoned
    numbers: dict[str, list[int]] = {}
    for one in seen:
        abandoned = min(left[one.name], one.active)
        idle = max(0, one.threads - one.active)
        known = numbers.setdefault(names(one.name), [0] * 6)
        for place, n in enumerate(
            (one.active - abandoned, idle, abandoned, one.size, one.done, one.rejected)
        ):
            known[place] += n
    for name, (active, idle, abandoned, size, done, rejected) in numbers.items():
        yield Row(_POOLS, (name,), ((active, idle, abandoned), (size,), (done, rejected)))
