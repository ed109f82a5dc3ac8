"""Histograms: exact when merged, near enough when asked."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient.circuits.latency import Histogram, Latencies

SECONDS = st.lists(st.floats(1e-6, 7000), max_size=300)


def of(*batches: list[float]) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


@given(SECONDS, SECONDS)
@settings(max_examples=60, deadline=None)
def test_merging_equals_the_union(first, second):
    merged = of(first)
    merged.merge(of(second))
    both = of(first + second)
    assert merged.packed() == both.packed()
    assert merged.longest == both.longest == max([*first, *second], default=0.0)
    assert merged.total == pytest.approx(both.total)
    assert len(merged) == len(first) + len(second)


@given(st.lists(st.floats(1e-6, 7000), min_size=1, max_size=300), st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_a_quantile_is_at_most_one_point_seven_percent_off(seconds, share):
    (found,) = of(seconds).quantiles([share])
    ordered = sorted(seconds)
    exact = ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]
    assert abs(found - exact) <= 0.017 * exact


@given(SECONDS)
@settings(max_examples=40, deadline=None)
def test_on_the_wire_and_back(seconds):
    histogram = of(seconds)
    packed = histogram.packed()
    assert all(n > 0 for _, n in packed)
    assert packed == sorted(packed)
    back = Histogram.unpack(packed)
    assert back.packed() == packed
    assert back.total == pytest.approx(histogram.total, rel=0.017, abs=1e-6)


def test_an_empty_one_answers_zero():
    histogram = Histogram()
    assert histogram.quantiles([0.5, 0.99]) == [0.0, 0.0]
    assert (histogram.mean, histogram.longest, len(histogram), histogram.packed()) == (0.0, 0.0, 0, [])
    assert histogram.add([]) == 0.0


def test_what_lies_outside_counts_at_the_end_it_missed():
    histogram = of([0.0, -1.0, 1e-9, 1e9, math.inf])
    assert len(histogram) == 5
    (lowest, low), (_, high) = histogram.packed()
    assert (lowest, low, high) == (0, 3, 2)


def test_counts_beyond_a_byte_and_beyond_two():
    histogram = Histogram()
    for batch in (200, 100, 70_000):
        histogram.add([0.01] * batch)
    histogram.add([0.02])
    assert len(histogram) == 70_301
    assert Histogram.unpack([[5, 5_000_000_000]]).packed() == [[5, 5_000_000_000]]


@pytest.mark.parametrize(
    "packed", [[[-1, 1]], [[100_000, 1]], [[1, -1]], [[1, 2**64]], [[1, 2**63], [1, 2**63]]]
)
def test_foreign_buckets_are_refused(packed):
    with pytest.raises(ValueError):
        Histogram.unpack(packed)


def test_the_last_minute():
    latencies = Latencies()
    assert latencies.add([0.1, 0.3], 1000.0) == 0.3
    latencies.add([1.0], 1030.0)
    assert len(latencies.merged(1040.0)) == 3
    assert len(latencies.merged(1065.0)) == 1
    assert len(latencies.merged(1090.0)) == 0
    latencies.add([1.0], 50.0)  # a clock that stepped back
    assert len(latencies.merged(50.0)) == 1
    latencies.add([1.0], 1e9)
    assert len(latencies.merged(1e9)) == 1


def test_the_mean_is_exact():
    rng = random.Random(1)
    seconds = [rng.expovariate(10) for _ in range(1000)]
    assert of(seconds[:500], seconds[500:]).mean == pytest.approx(sum(seconds) / 1000)


def test_a_snapshot_has_them(serve, clock):
    service = serve()
    for n in range(1, 101):
        service(lambda n=n: clock.advance(n / 1000))
    shown = service.f.snapshot().as_dict()
    assert shown["latency"]["p50"] == pytest.approx(0.05, rel=0.04)
    assert shown["latency"]["p99"] == pytest.approx(0.099, rel=0.04)
    assert shown["latency"]["max"] == pytest.approx(0.1)
    assert sum(n for _, n in shown["histogram"]) == 100
    import json

    assert json.loads(json.dumps(shown)) == shown
