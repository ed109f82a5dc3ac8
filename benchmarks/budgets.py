"""What calls may cost. Nanoseconds are of the machine the budgets were set on; the floors, measured in the
same run, say how much slower or faster this one is. Ratios need no such help.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Beyond its budget a figure is a warning, beyond this many times the budget it is a failure.
HARD = 1.5

#: What the yardsticks of floors.py read on the machine of the budgets, in nanoseconds.
REFERENCE = {
    "floor: window, limit, latency": 320.0,
    "floor: the same and a deadline": 630.0,
    "floor: sync": 250.0,
}


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``limit`` (nanoseconds or bytes) for the case ``name``. Bytes are the same everywhere."""

    name: str
    limit: float
    unit: str = "ns"


@dataclass(frozen=True, slots=True)
class Ratio:
    """``name`` takes at most ``times`` what ``other`` takes, both over their bare call."""

    name: str
    times: float
    other: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One budget and what was measured. ``allowed`` is the budget on this machine."""

    name: str
    unit: str
    measured: float
    budget: float
    allowed: float

    @property
    def verdict(self) -> str:
        """``ok``, ``over`` (a warning) or ``fail`` (beyond the hard limit)."""
        if self.measured <= self.allowed:
            return "ok"
        return "over" if self.measured <= HARD * self.allowed else "fail"


CALLS = [
    Budget("async, all on", 800),
    Budget("async, all on, context variable", 1000),
    Budget("async, all on, default=", 800),
    Budget("async, no deadline", 500),
    Budget("async, no deadline, context variable", 700),
    Budget("sync", 450),
    Budget("sync, context variable", 600),
    Budget("refused: error", 500),
    Budget("refused: error, sync", 500),
    Budget("refused: default", 100),
    Budget("refused: default, sync", 100),
    Budget("a call that fails", 3000),
    Budget("every call watched", 5000),
]
RATIOS = [
    Ratio("async, all on", 1.15, "floor: the same and a deadline"),
    Ratio("async, all on", 1.0, "aiobreaker"),
    Ratio("async, no deadline", 1.55, "floor: window, limit, latency"),
    Ratio("async, no deadline", 0.95, "circuitbreaker"),
    Ratio("sync", 0.5, "pybreaker, sync"),
    Ratio("async, all on, default=", 1 / 8, "hyx, full"),
]
MANY = [
    Budget("10,000 circuits in turn, all on", 1200),
    Budget("10,000 circuits in turn, no deadline", 800),
]
MEMORY = [
    Budget("one idle circuit", 6 * 1024, "bytes"),
    Budget("one busy circuit", 16 * 1024, "bytes"),
]
PICK = [
    Budget("pick of 10", 1800),
    Budget("pick of 10,000", 1800),
]
PICK_RATIOS = [Ratio("pick of 10,000", 1.5, "pick of 10")]


def scale(measured: Mapping[str, float]) -> float:
    """How much slower than the machine of the budgets this one is just now: the floors' geometric mean."""
    found = [measured[name] / reference for name, reference in REFERENCE.items()]
    return math.prod(found) ** (1 / len(found))


def check(budgets: Iterable[Budget], measured: Mapping[str, float], times: float) -> list[Finding]:
    """Each budget against what was measured, ``times`` being how much slower this machine is."""
    return [
        Finding(b.name, b.unit, measured[b.name], b.limit, b.limit * (times if b.unit == "ns" else 1.0))
        for b in budgets
        if b.name in measured
    ]


def compare(ratios: Iterable[Ratio], measured: Mapping[str, float]) -> list[Finding]:
    """Each ratio; those with a contender that is not there are left out."""
    return [
        Finding(
            f"{r.name} / {r.other}", "times", measured[r.name] / max(measured[r.other], 1.0), r.times, r.times
        )
        for r in ratios
        if r.name in measured and r.other in measured
    ]
