"""Families of metrics, and their rows of numbers: what is measured, without how it is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from prometheus_client.core import Metric

Number = int | float


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One metric. ``name`` is without the ``_total`` of a counter, ``kind`` a Prometheus type.

    ``labels`` name the values that each row brings. With ``spread`` a row has one number for each of
    ``over``, the values of one label more; all of them are always exported. A ``histogram`` has the calls
    up to each of ``bounds``, then all of them, then the sum of what was measured, then all of them again. A
    ``summary`` has that sum, and how many there were.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    spread: str = ""
    over: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all its series."""
        if self.kind == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        if self.kind == "summary":
            return (f"{self.name}_sum", f"{self.name}_count")
        return (self.written,)

    @property
    def written(self) -> str:
        """The name as text has it: a counter's ends in ``_total``."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    def metric(self) -> Metric:
        """As prometheus_client has it, without samples."""
        return Metric(self.name, self.help, self.kind)

    def series(self, labels: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
        """The sample names and labels, in the order of the numbers."""
        here = dict(zip(self.labels, labels, strict=True))
        if self.kind == "histogram":
            for bound in (*map(repr, self.bounds), "+Inf"):
                yield f"{self.name}_bucket", {**here, "le": bound}
            yield f"{self.name}_sum", here
            yield f"{self.name}_count", here
        elif self.kind == "summary":
            for name in self.names:
                yield name, here
        elif self.spread:
            for value in self.over:
                yield self.written, {**here, self.spread: value}
        else:
            yield self.written, here


class Group:
    """Families that are measured together, for the same labels."""

    __slots__ = ("families",)

    def __init__(self, *families: Family) -> None:
        self.families = families


class Row(NamedTuple):
    """The numbers of a group of families for one set of labels: for each family as many as it has series."""

    group: Group
    labels: tuple[str, ...]
    numbers: tuple[tuple[Number, ...], ...]


def cumulative(counts: list[int], total: float) -> tuple[Number, ...]:
    """A histogram's numbers from the counts of its single buckets and the sum of what was measured."""
    summed: list[Number] = list(accumulate(counts))
    summed.append(total if 0.0 <= total < float("inf") else 0.0)
    summed.append(summed[-2])
    return tuple(summed)


def as_metrics(rows: Iterable[Row]) -> Iterator[Metric]:
    """Rows, family by family, as prometheus_client has them, for a registry of one's own."""
    metrics: dict[Family, Metric] = {}
    for group, labels, values in rows:
        for family, numbers in zip(group.families, values, strict=True):
            metric = metrics.get(family)
            if metric is None:
                metric = metrics[family] = family.metric()
            for (name, pairs), number in zip(family.series(labels), numbers, strict=True):
                metric.add_sample(name, pairs, number)
    yield from metrics.values()


class Fold:
    """Names that get series of their own, up to ``most``; all others share ``other``. It never forgets: a
    name that was folded stays so, or the sum of the others would fall.
    """

    OTHER = "other"

    def __init__(self, most: int) -> None:
        self.most = most
        self._known: dict[str, None] = {}
        #: Whether anything was folded.
        self.active = False

    def __call__(self, name: str) -> str:
        """The name to export."""
        if name in self._known:
            return name
        if len(self._known) < self.most:
            self._known[name] = None
            return name
        self.active = True
        return self.OTHER
