"""A circuit in Hystrix's spelling: the events of ``hystrix.stream``, as Hystrix's own tools read them (pure).

Old readers add numbers up and take everything else for text, so all numbers are whole (durations are
milliseconds), switches are booleans, nothing is missing and nothing is null but the one field that may be.
What Hystrix has no word for stands in fields that begin with ``x_``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from ..circuits.circuit import Circuit
from ..circuits.policy import CircuitPolicy
from ..circuits.pool import PoolSnapshot

Frame = dict[str, Any]

COMMAND, POOL = "HystrixCommand", "HystrixThreadPool"

#: Hystrix's percentiles, and the shares they stand for.
PERCENTILES = {
    "0": 0.0, "25": 0.25, "50": 0.5, "75": 0.75, "90": 0.9, "95": 0.95, "99": 0.99, "99.5": 0.995, "100": 1.0,
}  # fmt: skip
_NEVER = CircuitPolicy()
_MOST = 2.0**53


class Spread(Protocol):
    """How long calls took, in seconds; a :class:`~..circuits.latency.Histogram` is one."""

    @property
    def mean(self) -> float: ...
    @property
    def longest(self) -> float: ...
    def quantiles(self, shares: Iterable[float], /) -> Sequence[float]: ...


class Facts(NamedTuple):
    """What a command's event is made of. Durations are seconds; ``at`` is wall time."""

    name: str
    group: str
    at: float
    state: str
    counts: Mapping[str, int]
    calls: int
    errors: int
    in_flight: int
    most_in_flight: int
    latency: Spread
    mode: str = "auto"
    observe: bool = False
    retry_in: float | None = None
    window: float = _NEVER.window
    min_calls: int = _NEVER.min_calls
    error_rate: float = _NEVER.error_rate
    reset_timeout: float = _NEVER.reset_timeout
    timeout: float | None = None
    max_concurrent: int | None = None
    fallback_max_concurrent: int | None = _NEVER.fallback_max_concurrent
    isolation: str = "caller"
    thread_pool: str = ""


def facts(circuit: Circuit) -> Facts:
    """A circuit of this process at this moment."""
    seen, policy = circuit.snapshot(), circuit.policy
    return Facts(
        name=seen.name,
        group=seen.group or seen.target or "",
        at=seen.at,
        state=seen.state,
        counts=seen.counts,
        calls=seen.calls,
        errors=round(seen.error_rate * seen.calls),
        in_flight=seen.in_flight,
        # Attempts are kept as long as they were needed lately: as many as were under way at a time.
        most_in_flight=max(seen.in_flight, sum(crew.made for crew in circuit.crews)),
        latency=seen.latency,
        mode=seen.mode,
        observe=seen.observe,
        retry_in=seen.retry_in,
        window=seen.window,
        min_calls=seen.min_calls,
        error_rate=seen.error_threshold,
        reset_timeout=policy.reset_timeout,
        timeout=seen.timeout,
        max_concurrent=seen.limit,
        fallback_max_concurrent=policy.fallback_max_concurrent,
        isolation=seen.isolation,
        thread_pool=policy.thread_pool or (seen.name if seen.isolation == "thread" else ""),
    )


def was_used(circuit: Circuit, seen: Facts) -> bool:
    """Whether there is something to show: Hystrix's commands appear with their first call."""
    return seen.state != "closed" or seen.in_flight > 0 or any(circuit.window.lifetime())


def command(seen: Facts) -> Frame:
    """A circuit as a HystrixCommand event."""
    n = seen.counts.get
    threaded = seen.isolation == "thread"
    rejected = n("rejected", 0)
    unanswered = n("failure", 0) + n("timeout", 0) + rejected + n("short_circuited", 0)
    served, broken, full = n("fallback_success", 0), n("fallback_failure", 0), n("fallback_rejected", 0)
    limit = _ms(seen.timeout)
    mean, spread = _latency(seen.latency)
    return {
        "type": COMMAND,
        "name": seen.name,
        "group": seen.group or seen.name,
        "currentTime": int(seen.at * 1000),
        "isCircuitBreakerOpen": not seen.observe
        and (seen.mode == "open" or (seen.mode == "auto" and seen.state != "closed")),
        "errorPercentage": min(100, 100 * seen.errors // seen.calls) if seen.calls else 0,
        "errorCount": seen.errors,
        "requestCount": seen.calls,
        "rollingCountBadRequests": n("excluded", 0),
        "rollingCountCollapsedRequests": n("collapsed", 0),
        "rollingCountEmit": 0,
        # What callers saw as an exception: wrong questions, and what no fallback had an answer for.
        "rollingCountExceptionsThrown": n("excluded", 0) + max(0, unanswered - served),
        "rollingCountFailure": n("failure", 0),
        "rollingCountFallbackEmit": 0,
        "rollingCountFallbackFailure": broken,
        "rollingCountFallbackMissing": max(0, unanswered - served - broken - full),
        "rollingCountFallbackRejection": full,
        "rollingCountFallbackSuccess": served,
        "rollingCountResponsesFromCache": n("response_from_cache", 0),
        "rollingCountSemaphoreRejected": 0 if threaded else rejected,
        "rollingCountShortCircuited": n("short_circuited", 0),
        "rollingCountSuccess": n("success", 0),
        "rollingCountThreadPoolRejected": rejected if threaded else 0,
        "rollingCountTimeout": n("timeout", 0),
        "currentConcurrentExecutionCount": seen.in_flight,
        "rollingMaxConcurrentExecutionCount": seen.most_in_flight,
        "latencyExecute_mean": mean,
        "latencyExecute": spread,
        "latencyTotal_mean": mean,
        "latencyTotal": spread,
        "propertyValue_circuitBreakerRequestVolumeThreshold": seen.min_calls,
        "propertyValue_circuitBreakerSleepWindowInMilliseconds": _ms(seen.reset_timeout),
        "propertyValue_circuitBreakerErrorThresholdPercentage": int(seen.error_rate * 100 + 1e-9),
        "propertyValue_circuitBreakerForceOpen": seen.mode == "open",
        "propertyValue_circuitBreakerForceClosed": seen.mode == "closed",
        "propertyValue_circuitBreakerEnabled": not seen.observe,
        "propertyValue_executionIsolationStrategy": "THREAD" if threaded else "SEMAPHORE",
        "propertyValue_executionIsolationThreadTimeoutInMilliseconds": limit,
        "propertyValue_executionTimeoutInMilliseconds": limit,
        "propertyValue_executionIsolationThreadInterruptOnTimeout": False,
        "propertyValue_executionIsolationThreadPoolKeyOverride": seen.thread_pool or None,
        "propertyValue_executionIsolationSemaphoreMaxConcurrentRequests": seen.max_concurrent or 0,
        "propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests": seen.fallback_max_concurrent or 0,
        "propertyValue_metricsRollingStatisticalWindowInMilliseconds": _ms(seen.window),
        "propertyValue_requestCacheEnabled": False,
        "propertyValue_requestLogEnabled": False,
        "reportingHosts": 1,
        "threadPool": seen.thread_pool or seen.group or seen.name,
        "x_state": _state(seen),
        "x_openForMs": _ms(seen.retry_in),
        "x_rollingCountSlow": n("slow", 0),
        "x_rollingCountRetries": n("retried", 0),
    }


def pool(seen: PoolSnapshot, at: float, users: Iterable[Facts]) -> Frame:
    """A pool of threads as a HystrixThreadPool event; ``users`` are the circuits whose calls it makes."""
    executed = rejected = most = 0
    window = 0.0
    for one in users:
        n = one.counts.get
        executed += n("success", 0) + n("failure", 0) + n("timeout", 0) + n("excluded", 0)
        rejected += n("rejected", 0)
        most += one.most_in_flight
        window = max(window, one.window)
    return {
        "type": POOL,
        "name": seen.name,
        "currentTime": int(at * 1000),
        "currentActiveCount": seen.active,
        "currentCompletedTaskCount": seen.done,
        "currentCorePoolSize": seen.size,
        "currentLargestPoolSize": seen.largest,
        "currentMaximumPoolSize": seen.size,
        "currentPoolSize": seen.threads,
        "currentQueueSize": 0,
        "currentTaskCount": seen.done + seen.active,
        "rollingCountThreadsExecuted": executed,
        "rollingMaxActiveThreads": max(seen.active, min(most, seen.size)),
        "rollingCountCommandRejections": rejected,
        "propertyValue_queueSizeRejectionThreshold": 0,
        "propertyValue_metricsRollingStatisticalWindowInMilliseconds": _ms(window or _NEVER.window),
        "reportingHosts": 1,
    }


def frames(circuits: Iterable[Circuit], pools: Iterable[PoolSnapshot], at: float) -> Iterator[Frame]:
    """All events of one moment: every circuit that was used, then every pool that has done something.

    Nothing is held between two of them, so the caller may do something else there. ``at`` is wall time.
    """
    users: dict[str, list[Facts]] = {}
    for circuit in circuits:
        seen = facts(circuit)
        if was_used(circuit, seen):
            if seen.thread_pool:
                users.setdefault(seen.thread_pool, []).append(seen)
            yield command(seen)
    for one in pools:
        if one.done:
            yield pool(one, at, users.get(one.name, ()))


def encode(frame: Mapping[str, Any]) -> bytes:
    """An event as it stands in the stream: one line and an empty one."""
    try:
        return b"data: " + orjson.dumps(frame) + b"\n\n"
    except TypeError:  # half a surrogate pair in a name: text for JSON, but not for UTF-8
        return b"data: " + json.dumps(frame, separators=(",", ":")).encode("ascii") + b"\n\n"


def _ms(seconds: float | None) -> int:
    """Whole milliseconds; 0 for nothing and for ever."""
    if seconds is None or not math.isfinite(seconds):
        return 0
    return int(max(0.0, min(seconds * 1000 + 1e-6, _MOST)))


def _latency(histogram: Spread) -> tuple[int, dict[str, int]]:
    values = histogram.quantiles(PERCENTILES.values())
    spread = {name: _ms(value) for name, value in zip(PERCENTILES, values, strict=True)}
    spread["100"] = _ms(histogram.longest)
    return _ms(histogram.mean), spread


def _state(seen: Facts) -> str:
    if seen.mode != "auto":
        return f"FORCED_{seen.mode.upper()}"
    return "METRICS_ONLY" if seen.observe else seen.state.upper().replace("-", "_")
