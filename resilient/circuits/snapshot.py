"""A circuit at one moment, for showing: plain numbers, no machine behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .latency import Histogram

#: Shares of the latency quantiles people read, with their names.
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitSnapshot:
    """What one process knows of one circuit. Durations are seconds, ``at`` is wall time.

    ``state`` is ``closed``, ``open`` or ``half-open``; ``mode`` is ``auto``, or ``open``/``closed`` while
    somebody holds it there by hand (for ``mode_left`` seconds; ``None``: until told otherwise). ``command``
    is the id of the last command from afar that was obeyed. ``counts`` holds the last ``window`` seconds by
    outcome; ``latency`` the last minute of calls that were made.
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
            "latency": {
                "mean": round(self.latency.mean, 6),
                **latency,
                "max": round(self.latency.longest, 6),
            },
            "histogram": self.latency.packed(),
        }
