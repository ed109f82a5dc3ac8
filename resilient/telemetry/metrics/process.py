"""A process as rows: its version, its event loops, and what prometheus_client knows of it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from prometheus_client import ProcessCollector

from ..stalls import BOUNDS, Stalls
from .rows import Family, Group, Row, cumulative

LAG = Family(
    "resilient_event_loop_lag_seconds",
    "histogram",
    "How much later than it wanted to a meter on the event loop was woken.",
    ("loop",),
    bounds=BOUNDS,
)
INFO = Family("resilient_build_info", "gauge", "Always 1; what runs is in the labels.", ("version", "python"))
FOLDED = Family(
    "resilient_metrics_folded",
    "gauge",
    "1 if there are more of these than have series of their own: the rest is summed up as other.",
    spread="kind",
    over=("circuit", "service", "pool"),
)
FINDINGS = Family(
    "resilient_lint_findings",
    "gauge",
    "What looks wrong in this process, as /admin/lint tells; looked at every five minutes at most.",
    spread="severity",
    over=("info", "warn", "error"),
)
READERS = Family("resilient_stream_readers", "gauge", "Readers of a stream at this moment.", ("stream",))
REFUSED = Family(
    "resilient_stream_refused", "counter", "Readers that were refused: there were too many.", ("stream",)
)
MISSED = Family(
    "resilient_stream_missed", "counter", "Moments that readers were too slow to be told of.", ("stream",)
)
LAGS, INFOS, FOLDS, LINTS = Group(LAG), Group(INFO), Group(FOLDED), Group(FINDINGS)
STREAMS = Group(READERS, REFUSED, MISSED)
FAMILIES = (LAG, INFO, FOLDED, FINDINGS, *STREAMS.families)
_collector = ProcessCollector(registry=None)
_groups: dict[str, Group] = {}


@cache
def _versions() -> tuple[str, str]:
    try:
        return version("resilient-sidecar"), platform.python_version()
    except PackageNotFoundError:
        return "0", platform.python_version()


def info_rows() -> Iterator[Row]:
    """What runs."""
    yield Row(INFOS, _versions(), ((1,),))


def loop_rows(loops: Mapping[str, Stalls]) -> Iterator[Row]:
    """How long event loops keep others waiting."""
    for name, stalls in list(loops.items()):
        yield Row(LAGS, (name,), (cumulative(stalls.counts, stalls.total),))


class Places(Protocol):
    """What is asked of :class:`resilient.telemetry.hystrix_stream.Places`."""

    refused: int
    missed: int

    @property
    def taken(self) -> int: ...


def stream_rows(streams: Mapping[str, Places]) -> Iterator[Row]:
    """Who reads the streams."""
    for name, places in list(streams.items()):
        yield Row(STREAMS, (name,), ((places.taken,), (places.refused,), (places.missed,)))


def lint_rows(findings: Mapping[str, int]) -> Iterator[Row]:
    """How much looks wrong, by severity."""
    yield Row(LINTS, (), (tuple([findings.get(one, 0) for one in FINDINGS.over]),))


def process_rows() -> Iterable[Row]:
    """CPU, memory, open files and start time: ``process_*``, on Linux."""
    for metric in _collector.collect():
        group = _groups.get(metric.name)
        if group is None:
            group = _groups[metric.name] = Group(Family(metric.name, metric.type, metric.documentation))
        for sample in metric.samples:
            yield Row(group, (), ((sample.value,),))
