"""Reading what /metrics says, with Prometheus's own parsers."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.samples import Sample

from resilient.telemetry.metrics import Metrics

Key = tuple[str, frozenset[tuple[str, str]]]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def series(samples: Iterable[Sample]) -> dict[Key, float]:
    """Each series with its number; fails on a series that is there twice."""
    found: dict[Key, float] = {}
    for sample in samples:
        key = (sample.name, frozenset(sample.labels.items()))
        assert key not in found, f"twice: {key}"
        found[key] = sample.value
    return found


def page(metrics: Metrics) -> dict[Key, float]:
    body, _ = metrics.page()
    return series(sample for family in read_text(body.decode()) for sample in family.samples)


def openmetrics(metrics: Metrics) -> dict[Key, float]:
    body, _ = metrics.page(OPENMETRICS)
    return series(sample for family in read_openmetrics(body.decode()) for sample in family.samples)


def one(found: dict[Key, float], name: str, **labels: str) -> float:
    """The only series of that name with these labels, whatever others it has."""
    hits = [
        number for (n, pairs), number in found.items() if n == name and labels.items() <= dict(pairs).items()
    ]
    assert len(hits) == 1, (name, labels, len(hits))
    return hits[0]


def total(found: dict[Key, float], name: str, **labels: str) -> float:
    """The sum of all series of that name with these labels."""
    return sum(
        n for (this, pairs), n in found.items() if this == name and labels.items() <= dict(pairs).items()
    )


def measured(metrics: Metrics) -> dict[Key, float]:
    """The same as :func:`page` without the process, and without the detour by text."""
    found: dict[Key, float] = {}
    for group, labels, values in metrics.rows():
        for family, numbers in zip(group.families, values, strict=True):
            for (name, pairs), number in zip(family.series(labels), numbers, strict=True):
                found[name, frozenset(pairs.items())] = number
    return found
