"""A process as rows: its version, its event loops, and what prometheus_client knows of it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

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
    over=("circuit", "service"),
)
LAGS, INFOS, FOLDS = Group(LAG), Group(INFO), Group(FOLDED)
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


def process_rows() -> Iterable[Row]:
    """CPU, memory, open files and start time: ``process_*``, on Linux."""
    for metric in _collector.collect():
        group = _groups.get(metric.name)
        if group is None:
            group = _groups[metric.name] = Group(Family(metric.name, metric.type, metric.documentation))
        for sample in metric.samples:
            yield Row(group, (), ((sample.value,),))
