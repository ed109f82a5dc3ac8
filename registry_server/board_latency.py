"""Latencies of many processes as one: their histograms added, bucket by bucket. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from resilient.circuits.latency import Histogram

from .board_periods import Period, counts_of
from .board_wire import Said

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p995": 0.995}
_LATENCIES = ("mean", "p50", "p90", "p95", "p99", "p995", "max")
#: The middle of each bucket, in seconds.
_MIDDLES: list[float] = []


def _middles() -> list[float]:
    if not _MIDDLES:
        bucket = 0
        while True:
            try:
                _MIDDLES.append(Histogram.unpack([(bucket, 1)]).longest)
            except ValueError:
                break
            bucket += 1
    return _MIDDLES


class Merged:
    """The sum of some histograms."""

    __slots__ = ("counts", "longest", "lowest", "total")

    def __init__(self, periods: Iterable[Period]) -> None:
        self.lowest = 0
        self.counts: Sequence[int] = ()
        self.total = self.longest = 0.0
        parts = list(periods)
        if not parts:
            return
        lowest = self.lowest = min([one.lowest for one in parts])
        highest = max([one.lowest + one.size for one in parts])
        self.counts = counts_of(
            sum([one.lanes << 64 * (one.lowest - lowest) for one in parts]), highest - lowest
        )
        self.total = sum([one.total for one in parts])
        self.longest = max([one.longest for one in parts])

    def __len__(self) -> int:
        return sum(self.counts)

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """The durations below which these shares of all calls lie, in seconds."""
        sums = list(accumulate(self.counts))
        if not sums or not sums[-1]:
            return [0.0 for _ in shares]
        middles, lowest, longest, n = _middles(), self.lowest, self.longest, sums[-1]
        found = []
        for share in shares:
            place = bisect_left(sums, max(1.0, share * n) - 1e-9)
            value = middles[min(lowest + place, len(middles) - 1)]
            found.append(min(value, longest) if longest else value)
        return found


def latency_of(heard: Sequence[Said], now: float) -> tuple[dict[str, float], bool]:
    """Latency in seconds over all processes, and whether its quantiles come from merged histograms.

    Quantiles cannot be averaged. Where a process sent no histogram, the worst process speaks for all.
    """
    merged = Merged(period for one in heard for period in one.fresh(now))
    n = len(merged)
    plain = [one for one in heard if any(one.latency.values()) and not one.periods]
    if not n and not plain:
        return {}, False
    found = dict.fromkeys(_LATENCIES, 0.0)
    if n:
        found["mean"] = merged.total / n
        found.update(zip(QUANTILES, merged.quantiles(list(QUANTILES.values())), strict=True))
        found["max"] = merged.longest
    if plain:
        said: list[Mapping[str, float]] = [one.latency for one in plain]
        worst = {name: max(one.get(name, 0.0) for one in said) for name in _LATENCIES}
        weights = [(one.latency.get("mean", 0.0), max(one.calls, 1)) for one in plain]
        mean = (found["mean"] * n + sum(m * calls for m, calls in weights)) / (n + sum(c for _, c in weights))
        found = {name: max(worst[name], found[name]) for name in _LATENCIES}
        found["mean"] = mean
    return found, not plain


def lately(heard: Sequence[Said], now: float) -> list[float] | None:
    """Median, 90th and 99th percentile of the last ten to twenty seconds; None without calls."""
    merged = Merged(period for one in heard for period in one.fresh(now, 2))
    return merged.quantiles((0.5, 0.9, 0.99)) if merged.counts else None
