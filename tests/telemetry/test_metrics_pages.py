"""What /metrics says, read by Prometheus's own parsers. Numbers in brackets are the specification's cases."""

from __future__ import annotations

import asyncio
import math
import random
import threading

import pytest
from metrics_kit import OPENMETRICS, Key, measured, one, openmetrics, page, series, total
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from resilient import Runtime, circuit
from resilient.circuits.latency import BOUNDS, Histogram, Latencies
from resilient.circuits.policy import Outcome
from resilient.clock import ManualClock
from resilient.errors import CircuitFull, CircuitOpen
from resilient.telemetry.metrics import Family, Fold, Group, Metrics, Page, Row, content_type, metrics_of
from resilient.telemetry.metrics import circuits as exported
from resilient.telemetry.metrics.rows import cumulative

ONLY_GROW = ("_total", "_count", "_sum", "_bucket")
NAUGHTY = 'a "quoted" \\ back\nslash % {x="1"} é'


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def runtime(clock: ManualClock):
    with Runtime(clock=clock, rng=random.Random(1)).active() as runtime:
        yield runtime


@pytest.fixture
def metrics(runtime: Runtime) -> Metrics:
    return metrics_of(runtime)


class Boom(Exception):
    """The service is ill."""


def write(rows: list[Row], accept: str = "") -> bytes:
    steps = Page().write(rows, content_type(accept))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def busy(name: str = "busy"):
    @circuit(name, min_calls=5, max_concurrent=2, reset_timeout=5)
    def call(error: Exception | None = None) -> int:
        if error is not None:
            raise error
        return 1

    return call


# --- the text


def test_case_8_a_reference_parser_reads_it(metrics: Metrics) -> None:
    call = busy(NAUGHTY)
    call()
    body, kind = metrics.page()
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    text = body.decode()
    families = list(read_text(text))
    assert len(families) > 20
    series(sample for family in families for sample in family.samples)  # none is there twice
    for family in families:
        assert family.documentation, family.name
        assert family.type != "unknown", family.name
        assert text.count(f"# TYPE {family.name} ") + text.count(f"# TYPE {family.name}_total ") == 1
        for sample in family.samples:
            assert not {"instance", "job"} & set(sample.labels), sample
            if family.type == "counter":
                assert sample.name.endswith("_total"), sample.name
            if family.name.startswith("resilient_"):
                assert sample.name.startswith("resilient_")


def test_case_9_openmetrics_and_labels_of_every_kind(metrics: Metrics) -> None:
    busy(NAUGHTY)()
    body, kind = metrics.page(OPENMETRICS)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert body.endswith(b"# EOF\n")
    found = openmetrics(metrics)
    assert one(found, "resilient_circuit_calls_total", circuit=NAUGHTY, outcome="success") == 1
    plain = page(metrics)
    assert one(plain, "resilient_circuit_calls_total", circuit=NAUGHTY, outcome="success") == 1
    same = {key for key in found if not key[0].startswith("process_")}
    assert same == {key for key in plain if not key[0].startswith("process_")}


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", "text/plain"),
        ("text/plain", "text/plain"),
        ("*/*", "text/plain"),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2", "application/openmetrics-text"),
        ("application/openmetrics-text;q=0, text/plain", "text/plain"),
        ("text/html, APPLICATION/OPENMETRICS-TEXT", "application/openmetrics-text"),
        (";;,,q", "text/plain"),
    ],
)
def test_what_is_answered_to_whom(accept: str, wanted: str) -> None:
    assert content_type(accept).split(";")[0] == wanted


def test_numbers_that_are_none() -> None:
    family = Family("x", "gauge", "Help.", ("of",))
    rows = [Row(Group(family), (str(n),), ((n,),)) for n in (math.inf, -math.inf, math.nan, 3, 0.1)]
    for read, accept in ((read_text, ""), (read_openmetrics, OPENMETRICS)):
        samples = [s for f in read(write(rows, accept).decode()) for s in f.samples]
        assert [s.value for s in samples[:2]] == [math.inf, -math.inf]
        assert math.isnan(samples[2].value)
        assert [s.value for s in samples[3:]] == [3, 0.1]


def test_a_registry_of_ones_own_gets_the_same(metrics: Metrics, runtime: Runtime) -> None:
    call = busy()
    call()
    registry = CollectorRegistry()
    registry.register(metrics)
    text = generate_latest(registry).decode()
    theirs = series(s for f in read_text(text) for s in f.samples)
    ours = {key: n for key, n in page(metrics).items() if not key[0].startswith("process_")}
    assert theirs == ours
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(Metrics(runtime))  # twice the same names is a mistake, and is told


def test_a_page_forgets_the_labels_of_series_that_are_gone() -> None:
    group = Group(Family("x", "gauge", "Help.", ("of",)))
    page = Page()
    for n in range(2000):
        for _ in page.write([Row(group, (str(n),), ((n,),))]):
            pass
    assert len(page._known[group]) < 200


async def test_it_is_written_in_slices(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(100):
        busy(f"c{n}")()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr("resilient.telemetry.metrics.page.SLICE", 0.0)
    task = asyncio.create_task(others())
    body, _ = await metrics.serve()
    task.cancel()
    assert turns >= 10
    assert body.count(b"resilient_circuit_state{") == 600


# --- circuits


def test_case_10_every_call_counts_once(metrics: Metrics, runtime: Runtime, clock: ManualClock) -> None:
    call = busy()
    call()
    circuit_ = runtime.circuits.get("busy")
    made = 0
    for outcome in (Outcome.SUCCESS, Outcome.EXCLUDED, Outcome.VOID, Outcome.FAILURE, Outcome.TIMEOUT):
        for _ in range(100):
            circuit_.close()
            circuit_.settle(circuit_.admit(len), outcome, 0.01)
            made += 1
    circuit_.close()
    held = [circuit_.admit(len), circuit_.admit(len)]
    for _ in range(100):
        with pytest.raises(CircuitFull):
            call()
        circuit_.close()
        made += 1
    for attempt in held:
        circuit_.settle(attempt, Outcome.VOID, 0.0)
        made += 1
    circuit_.open(60)
    for _ in range(100):
        with pytest.raises(CircuitOpen):
            call()
        made += 1
    for _ in range(100):
        circuit_.count_cached()
        made += 1
    found = page(metrics)
    assert total(found, "resilient_circuit_calls_total", circuit="busy") == made + 1
    for outcome in ("failure", "timeout", "excluded", "short_circuited", "cached"):
        assert one(found, "resilient_circuit_calls_total", outcome=outcome) == 100
    assert one(found, "resilient_circuit_calls_total", outcome="void") == 102
    assert one(found, "resilient_circuit_calls_total", outcome="rejected") >= 100
    # Those that were made, and neither refused nor given up.
    assert one(found, "resilient_circuit_duration_seconds_count", circuit="busy") == 401


def test_case_11_threads_record_while_it_is_read() -> None:
    runtime = Runtime()
    with runtime.active():

        @circuit("shared", max_concurrent=None)
        def call() -> int:
            return 1

        call()
        metrics = metrics_of(runtime)
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                call()

        threads = [threading.Thread(target=work) for _ in range(50)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                found = page(metrics)
                buckets = sorted(
                    (float(dict(pairs)["le"]), n)
                    for (name, pairs), n in found.items()
                    if name == "resilient_circuit_duration_seconds_bucket"
                )
                counts = [n for _, n in buckets]
                assert counts == sorted(counts)
                assert counts[-1] == one(found, "resilient_circuit_duration_seconds_count")
                assert math.isfinite(one(found, "resilient_circuit_duration_seconds_sum"))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        found = page(metrics)
        assert one(found, "resilient_circuit_duration_seconds_count") == one(
            found, "resilient_circuit_calls_total", outcome="success"
        )


def test_case_12_no_counter_ever_falls(metrics: Metrics, runtime: Runtime, clock: ManualClock) -> None:
    rng = random.Random(7)
    call = busy()
    call()
    here = runtime.circuits.get("busy")
    acts = [
        lambda: here.open(),
        lambda: here.close(),
        lambda: here.open(3),
        lambda: here.close(3),
        lambda: here.auto(),
        lambda: here.configure(window=rng.choice((5, 10, 20)), slices=rng.choice((5, 10))),
        lambda: here.configure(timeout=rng.choice((1, 2))),
        lambda: here.configure(slow_duration=rng.choice((0.001, 0.5))),
        lambda: here.count_retry(rng.random() < 0.5),
        lambda: clock.advance(rng.choice((0.1, 1, 9, 100))),
    ]
    before: dict[Key, float] = {}
    calls = 1
    for _ in range(1000):
        for _ in range(rng.randrange(4)):
            calls += 1
            try:
                call(Boom() if rng.random() < 0.4 else None)
            except (Boom, CircuitOpen):
                pass
        rng.choice(acts)()
        clock.advance(0.05)
        found = measured(metrics)
        now = {key: number for key, number in found.items() if key[0].endswith(ONLY_GROW)}
        assert now.keys() >= before.keys()
        fallen = {key: (before[key], now[key]) for key in before if now[key] < before[key]}
        assert not fallen
        assert total(now, "resilient_circuit_calls_total") == calls
        states = [n for (name, _), n in found.items() if name == "resilient_circuit_state"]
        assert sorted(states) == [0, 0, 0, 0, 0, 1]
        before = now
    assert one(before, "resilient_circuit_transitions_total", to="open") > 10
    assert one(before, "resilient_circuit_open_seconds_total") > 100


def test_case_13_more_names_than_series(metrics: Metrics, runtime: Runtime, monkeypatch) -> None:
    for n in range(exported.MOST_CIRCUITS + 2):
        busy(f"c{n}")()
    found = page(metrics)
    names = {dict(pairs)["circuit"] for (name, pairs) in found if name == "resilient_circuit_calls_total"}
    assert len(names) == exported.MOST_CIRCUITS + 1
    assert total(found, "resilient_circuit_calls_total", circuit="other", outcome="success") == 2
    assert total(found, "resilient_circuit_calls_total") == exported.MOST_CIRCUITS + 2
    assert one(found, "resilient_metrics_folded", kind="circuit") == 1
    assert one(found, "resilient_metrics_folded", kind="service") == 0
    assert not total(found, "resilient_circuit_state", circuit="other")


def test_names_that_were_folded_stay_so() -> None:
    fold = Fold(2)
    assert [fold(name) for name in "abcab"] == ["a", "b", "other", "a", "b"]
    assert (fold("c"), fold.active) == ("other", True)


def test_what_a_circuit_has_had_is_exported(runtime: Runtime, metrics: Metrics, clock: ManualClock) -> None:
    call = busy()
    call()
    here = runtime.circuits.get("busy")
    here.count_collapsed(5, 4)
    here.count_retry(True)
    here.count_retry(True)
    here.count_retry(False)
    here.count_fallback(True, "")
    here.count_fallback(False, "")
    here.abandoned = 2
    attempt = here.admit(len)
    here.settle(attempt, Outcome.SUCCESS, 9.0)  # beyond its deadline, and good
    held = here.admit(len)
    found = page(metrics)
    assert one(found, "resilient_circuit_collapsed_calls_total") == 5
    assert one(found, "resilient_circuit_retries_total", result="granted") == 2
    assert one(found, "resilient_circuit_retries_total", result="denied") == 1
    assert one(found, "resilient_circuit_late_calls_total") == 1
    assert one(found, "resilient_circuit_fallbacks_total", result="success") == 1
    assert one(found, "resilient_circuit_fallbacks_total", result="failure") == 1
    assert one(found, "resilient_circuit_fallbacks_total", result="rejected") == 0
    assert one(found, "resilient_circuit_abandoned_threads") == 2
    assert one(found, "resilient_circuit_in_flight") == 1
    assert one(found, "resilient_circuit_concurrency_limit") == 2
    assert held is not None


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (lambda c: None, "closed"),
        (lambda c: c.open(), "open"),
        (lambda c: c.open(9), "forced_open"),
        (lambda c: c.close(9), "forced_closed"),
        (lambda c: c.configure(observe=True), "observing"),
        (lambda c: (c.open(), c.clock.advance(6), c.admit(len)), "half_open"),
    ],
)
def test_one_state_is_1(metrics: Metrics, runtime: Runtime, act, state: str) -> None:
    busy()()
    act(runtime.circuits.get("busy"))
    found = page(metrics)
    ones = [
        dict(pairs)["state"] for (name, pairs), n in found.items() if name.endswith("circuit_state") and n
    ]
    assert ones == [state]


def test_time_not_closed_goes_on_while_it_is_open(
    metrics: Metrics, runtime: Runtime, clock: ManualClock
) -> None:
    busy()()
    here = runtime.circuits.get("busy")
    here.open(60)
    clock.advance(7)
    assert one(page(metrics), "resilient_circuit_open_seconds_total") == pytest.approx(7)
    here.close()
    clock.advance(7)
    assert one(page(metrics), "resilient_circuit_open_seconds_total") == pytest.approx(7)


# --- histograms


def test_case_15_quantiles_and_merging() -> None:
    whole, left, right = Histogram(), Histogram(), Histogram()
    samples = [n / 1000 for n in range(1, 1001)]
    whole.add(samples)
    left.add(samples[:500])
    right.add(samples[500:])
    p50, p99, p100 = whole.quantiles((0.5, 0.99, 1.0))
    assert p50 == pytest.approx(0.5, rel=0.049)
    assert p99 == pytest.approx(0.99, rel=0.049)
    assert p100 == pytest.approx(1.0, rel=0.02)
    assert whole.longest == 1.0
    assert Histogram().quantiles((0.5, 0.99)) == [0, 0]
    left.merge(right)
    assert left.packed() == whole.packed()


def test_case_15_the_buckets_that_are_exported() -> None:
    latencies = Latencies()
    rng = random.Random(3)
    samples = [10 ** rng.uniform(-4, 1.5) for _ in range(5000)]
    for n, sample in enumerate(samples):
        latencies.note(sample, n * 0.1)  # eight minutes: most of them have left the ring
    counts, seconds = latencies.lifetime(501.0)
    assert sum(counts) == len(samples)
    assert seconds == pytest.approx(sum(samples))
    numbers = cumulative(counts, seconds)
    for bound, seen in zip(BOUNDS, numbers, strict=False):
        near = [sum(sample <= bound * share for sample in samples) for share in (0.98, 1.02)]
        assert near[0] <= seen <= near[1]
    assert numbers[-3] == numbers[-1] == len(samples)


def test_case_16_durations_that_make_no_sense() -> None:
    latencies = Latencies()
    latencies.note(1e9, 0.0)
    latencies.note(-1.0, 0.0)
    counts, _ = latencies.lifetime(0.0)
    assert counts[-1] == 1  # beyond the last bound
    assert counts[0] == 1  # a clock that stepped back: the shortest there is
    for seconds in (math.nan, math.inf, -1.0):
        assert cumulative([1] * 3, seconds)[-2] == 0.0
