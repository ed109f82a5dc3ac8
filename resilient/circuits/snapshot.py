"""A circuit at one moment, for showing: plain numbers, no machine behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import window as columns
from .latency import Histogram
from .policy import Outcome

if TYPE_CHECKING:
    from .circuit import Circuit

#: Shares of the latency quantiles people read, with their names.
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
#: What is counted, with its column of the window.
COUNTED = {outcome.word: int(outcome) for outcome in Outcome} | {
    "fallback_success": columns.FALLBACK_SUCCESS,
    "fallback_failure": columns.FALLBACK_FAILURE,
    "fallback_rejected": columns.FALLBACK_REJECTED,
    "late": columns.LATE,
    "slow": columns.SLOW,
    "response_from_cache": columns.FROM_CACHE,
    "collapsed": columns.COLLAPSED,
    "retried": columns.RETRIED,
    "retry_denied": columns.RETRY_DENIED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitSnapshot:
    """What one process knows of one circuit. Durations are seconds, ``at`` is wall time.

    ``state`` is ``closed``, ``open`` or ``half-open``; ``mode`` is ``auto``, or ``open``/``closed`` while
    somebody holds it there by hand (for ``mode_left`` seconds; ``None``: until told otherwise). ``command``
    is the id of the last command from afar that was obeyed. ``counts`` holds the last ``window`` seconds by
    outcome; ``latency`` the last minute of calls that were made.
    ``kinds`` holds the failures of the last five to ten minutes by the name of their error's class, with
    ``timeout``, ``rejected`` and ``other`` beside them; the most frequent comes first.
    ``abandoned`` counts threads at work for callers who have left.
    """

    name: str
    group: str
    target: str | None
    at: float
    state: str
    since: float
    mode: str = "auto"
    mode_left: float | None = None
    mode_reason: str = ""
    mode_by: str = ""
    command: str = ""
    retry_in: float | None = None
    window: float
    counts: Mapping[str, int]
    calls: int
    error_rate: float
    rate: float
    in_flight: int
    limit: int | None
    timeout: float | None
    min_calls: int
    error_threshold: float
    observe: bool = False
    slow_rate: float = 0.0
    isolation: str = "caller"
    abandoned: int = 0
    last_error: str = ""
    kinds: Mapping[str, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)

    @property
    def shown_state(self) -> str:
        """State and mode in one word: ``forced-open`` and ``forced-closed`` while held by hand."""
        return self.state if self.mode == "auto" else f"forced-{self.mode}"

    @property
    def mode_until(self) -> float | None:
        """When a hold ends by itself, seconds since the epoch; ``None``: not by itself."""
        return None if self.mode_left is None else round(self.at + self.mode_left, 3)

    def as_dict(self) -> dict[str, object]:
        """The snapshot as it travels: JSON-ready, latencies as quantiles and as mergeable buckets."""
        values = self.latency.quantiles(QUANTILES.values())
        latency = {name: round(value, 6) for name, value in zip(QUANTILES, values, strict=True)}
        return {
            "name": self.name,
            "group": self.group,
            "target": self.target,
            "at": round(self.at, 3),
            "state": self.shown_state,
            "since": round(self.since, 3),
            "mode": self.mode,
            "mode_left": None if self.mode_left is None else round(self.mode_left, 3),
            "mode_until": self.mode_until,
            "mode_reason": self.mode_reason,
            "mode_by": self.mode_by,
            "command": self.command,
            "retry_in": None if self.retry_in is None else round(self.retry_in, 3),
            "window": self.window,
            "counts": dict(self.counts),
            "calls": self.calls,
            "error_rate": round(self.error_rate, 4),
            "rate": round(self.rate, 3),
            "in_flight": self.in_flight,
            "limit": self.limit,
            "timeout": self.timeout,
            "min_calls": self.min_calls,
            "error_threshold": self.error_threshold,
            "observe": self.observe,
            "slow_rate": round(self.slow_rate, 4),
            "isolation": self.isolation,
            "abandoned": self.abandoned,
            "last_error": self.last_error,
            "kinds": dict(self.kinds),
            "latency": {
                "mean": round(self.latency.mean, 6),
                **latency,
                "max": round(self.latency.longest, 6),
            },
            "histogram": self.latency.packed(),
        }


def taken(circuit: Circuit) -> CircuitSnapshot:
    """The circuit at this moment."""
    with circuit.section:
        now = circuit.now()
        circuit._fold(now)
        circuit._end_hold(now)
        state = circuit._notice()
        sums, policy, total = circuit.window.sums, circuit.policy, circuit.window.total
        counts = {word: sums[column] for word, column in COUNTED.items()}
        made = sums[Outcome.SUCCESS] + sums[Outcome.FAILURE] + sums[Outcome.TIMEOUT]
        asked = made + sum(sums[o] for o in (Outcome.EXCLUDED, Outcome.SHORT_CIRCUITED, Outcome.REJECTED))
        left = circuit.open_until - now
        return CircuitSnapshot(
            name=circuit.name,
            group=circuit.group,
            target=circuit.target,
            at=circuit.clock.time(),
            state=state,
            since=now - circuit._since,
            mode=circuit._mode,
            mode_left=None if circuit._mode_until == math.inf else circuit._mode_until - now,
            mode_reason=circuit._mode_reason,
            mode_by=circuit._mode_by,
            command=circuit._command,
            retry_in=left if 0 < left < math.inf else None,
            window=policy.window,
            counts=counts,
            calls=total,
            error_rate=sums[columns.BAD] / total if total else 0.0,
            rate=asked / policy.window,
            in_flight=sum(crew.busy() for crew in circuit.crews),
            limit=policy.max_concurrent,
            timeout=circuit.limit,
            min_calls=policy.min_calls,
            error_threshold=policy.error_rate,
            observe=policy.observe,
            last_error=circuit.last_error,
            kinds=dict(circuit.kinds.told()),
            slow_rate=sums[columns.DRAGGED] / total if total else 0.0,
            isolation=policy.isolation,
            abandoned=max(0, circuit.abandoned),
            latency=circuit.latencies.merged(now),
        )
