"""What foreign processes' Hystrix streams say of their circuits, as the board's rows. Pure.

Their percentiles come as numbers, which cannot be merged: over several hosts the worst one speaks for all,
and each host's own are in the detail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from resilient.errors import WireError

from .board_periods import BIGGEST
from .board_wire import COUNTS, MAX_NAME

Row = dict[str, Any]
#: Circuits of one stream, and over all streams.
MOST_OF_ONE, MOST = 500, 20_000
#: A host that said nothing of a circuit for so long leaves its sums (s), and later is forgotten.
STALE_AFTER, FORGET_AFTER = 5.0, 60.0
_WORST_FIRST = ("forced-open", "forced-closed", "open", "half-open", "closed")
_FIELDS = {
    "success": ("Success",),
    "failure": ("Failure",),
    "timeout": ("Timeout",),
    "excluded": ("BadRequests",),
    "short_circuited": ("ShortCircuited",),
    "rejected": ("SemaphoreRejected", "ThreadPoolRejected"),
    "fallback_success": ("FallbackSuccess",),
    "fallback_failure": ("FallbackFailure",),
    "fallback_rejected": ("FallbackRejection",),
}
_QUANTILES = {"p50": "50", "p90": "90", "p95": "95", "p99": "99", "p995": "99.5", "max": "100"}
_ERRORS = ("failure", "timeout", "rejected")


class Word:
    """The last event of one circuit of one host. ``at`` is monotonic; latencies are seconds."""

    __slots__ = (
        "at", "calls", "counts", "error_threshold", "group", "in_flight", "latency", "limit", "min_calls",
        "name", "since", "state", "timeout", "window",
    )  # fmt: skip

    def __init__(self, event: Mapping[str, Any], now: float) -> None:
        self.name = _text(event, "name")
        if not self.name:
            raise WireError("name: a text was expected")
        self.at = self.since = now
        self.group = _text(event, "group")
        self.counts = {
            word: sum(_whole(event.get("rollingCount" + field)) for field in fields)
            for word, fields in _FIELDS.items()
        }
        self.calls = _whole(event.get("requestCount"))
        self.in_flight = _whole(event.get("currentConcurrentExecutionCount"))
        self.state = _state(event)

        def property(name: str) -> int:
            return _whole(event.get("propertyValue_" + name))

        self.window = property("metricsRollingStatisticalWindowInMilliseconds") / 1000 or 10.0
        timeout = property("executionTimeoutInMilliseconds")
        self.timeout = timeout / 1000 if timeout else None
        self.min_calls = property("circuitBreakerRequestVolumeThreshold")
        self.error_threshold = min(1.0, property("circuitBreakerErrorThresholdPercentage") / 100)
        threaded = event.get("propertyValue_executionIsolationStrategy") == "THREAD"
        limit = property("executionIsolationSemaphoreMaxConcurrentRequests")
        self.limit = limit if limit and not threaded else None
        spread = event.get("latencyTotal")
        self.latency: dict[str, float] = {}
        if isinstance(spread, Mapping):
            self.latency = {one: _whole(spread.get(key)) / 1000 for one, key in _QUANTILES.items()}
            self.latency["mean"] = _whole(event.get("latencyTotal_mean")) / 1000

    @property
    def rate(self) -> float:
        """Calls per second, refused ones too."""
        return sum(n for word, n in self.counts.items() if not word.startswith("fallback")) / self.window


def read_event(data: str, now: float) -> Word | None:
    """An event of a stream; None for what is no command's. WireError for garbage."""
    if '"HystrixCommand"' not in data:
        return None
    try:
        event = orjson.loads(data)
    except (ValueError, RecursionError):
        raise WireError("an event is no JSON") from None
    if not isinstance(event, dict) or event.get("type") != "HystrixCommand":
        return None
    return Word(event, now)


class ForeignRows:
    """Last words by calling service and circuit, then by instance. ``knows`` tells whether a name is that of
    a registered service: a group of that name is whom the circuit calls."""

    def __init__(self, knows: Callable[[str], bool] = lambda name: False) -> None:
        self._knows = knows
        self._words: dict[tuple[str, str], dict[str, Word]] = {}
        self._of: dict[tuple[str, str], set[str]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def take(self, service: str, instance: str, word: Word) -> None:
        """A word in place of the one before. What is beyond the bounds is left out."""
        names = self._of.setdefault((service, instance), set())
        if word.name not in names:
            if len(names) >= MOST_OF_ONE or self._size >= MOST:
                return
            names.add(word.name)
            self._size += 1
        words = self._words.setdefault((service, word.name), {})
        before = words.get(instance)
        if before is not None and before.state == word.state:
            word.since = before.since
        words[instance] = word

    def forget(self, service: str, instance: str) -> None:
        """Forget what an instance said."""
        for name in self._of.pop((service, instance), ()):
            self._size -= 1
            words = self._words[service, name]
            del words[instance]
            if not words:
                del self._words[service, name]

    def tick(self, now: float) -> None:
        """Forget whom nothing was heard of for long."""
        for (service, instance), names in list(self._of.items()):
            if all(now - self._words[service, name][instance].at > FORGET_AFTER for name in names):
                self.forget(service, instance)

    def rows(self, now: float) -> Iterator[Row]:
        """As those of :meth:`.board.Board.rows`."""
        for (service, name), words in list(self._words.items()):
            if words:
                yield self._row(service, name, words, now)

    def _row(self, service: str, name: str, words: Mapping[str, Word], now: float) -> Row:
        heard = {instance: one for instance, one in words.items() if now - one.at <= STALE_AFTER}
        said = list((heard or words).values())
        states: dict[str, int] = {}
        for one in said:
            states[one.state] = states.get(one.state, 0) + 1
        state = next(one for one in _WORST_FIRST if one in states)
        sums = {word: sum(one.counts.get(word, 0) for one in heard.values()) for word in COUNTS}
        errors = sum(sums[word] for word in _ERRORS)
        attempts = sums["success"] + errors
        first = said[0]
        target = first.group.lower()
        limits = [one.limit for one in said if one.limit is not None]
        return {
            "service": service,
            "name": name,
            "group": first.group,
            "target": target if target != service and self._knows(target) else None,
            "state": state,
            "on": states[state],
            "of": len(said),
            "states": states,
            "since": now - min(one.since for one in said if one.state == state),
            "retry_in": None,
            "window": max(one.window for one in said),
            "counts": sums,
            "calls": sum(one.calls for one in heard.values()),
            "attempts": attempts,
            "error_rate": errors / attempts if attempts else None,
            "slow_rate": 0.0,
            "rate": round(sum(one.rate for one in heard.values()), 6),
            "in_flight": sum(one.in_flight for one in heard.values()),
            "trials": 0,
            "limit": sum(limits) if limits and len(limits) == len(said) else None,
            "latency": _latency(list(heard.values())),
            "merged": False,
            "timeout": first.timeout,
            "last_error": "",
            "min_calls": first.min_calls,
            "error_threshold": first.error_threshold,
            "observe": False,
            "mode": "auto",
            "mode_until": None,
            "mode_reason": "",
            "mode_by": "",
            "command": "",
            "processes": len(heard),
            "silent": sorted(set(words) - set(heard)),
            "foreign": True,
        }

    def detail(self, service: str, name: str, now: float, wall: float) -> Row | None:
        """What a stream gives beyond the row: each host by itself, with its own percentiles."""
        words = self._words.get((service, name))
        if not words:
            return None
        hosts = [_host(instance, one, now, wall) for instance, one in list(words.items())[:500]]
        return {
            "hosts": hosts,
            "settings": [],
            "why": None,
            "turns": [],
            "errors": [],
            "failures": [],
            "trials": None,
        }


def _host(instance: str, one: Word, now: float, wall: float) -> Row:
    errors = sum(one.counts[word] for word in _ERRORS)
    attempts = one.counts["success"] + errors
    return {
        "process": instance,
        "instance": instance,
        "worker": "",
        "state": one.state,
        "sinceS": round(now - one.since, 1),
        "silent": now - one.at > STALE_AFTER,
        "heard_at": wall - (now - one.at),
        "rate": round(one.rate, 2),
        "errorPercent": round(100 * errors / attempts, 1) if attempts else None,
        "refused": one.counts["short_circuited"],
        "inFlight": one.in_flight,
        "mode": "auto",
        "command": "",
        "lastError": "",
        "latencyMs": {name: round(1000 * value) for name, value in one.latency.items()},
    }


def _latency(heard: list[Word]) -> dict[str, float]:
    told = [one for one in heard if any(one.latency.values())]
    if not told:
        return {}
    found = {name: max(one.latency[name] for one in told) for name in _QUANTILES}
    weights = [max(one.calls, 1) for one in told]
    found["mean"] = sum(w * one.latency["mean"] for w, one in zip(weights, told, strict=True)) / sum(weights)
    return found


def _state(event: Mapping[str, Any]) -> str:
    own = event.get("x_state")  # of a process like ours; Hystrix itself knows open and not
    if own in ("CLOSED", "OPEN", "HALF_OPEN", "FORCED_OPEN", "FORCED_CLOSED"):
        return str(own).lower().replace("_", "-")
    if _true(event.get("propertyValue_circuitBreakerForceOpen")):
        return "forced-open"
    if _true(event.get("propertyValue_circuitBreakerForceClosed")):
        return "forced-closed"
    return "open" if _true(event.get("isCircuitBreakerOpen")) else "closed"


def _true(value: object) -> bool:
    return value is True or value == "true"


def _text(event: Mapping[str, Any], field: str) -> str:
    value = event.get(field)
    return value if isinstance(value, str) and len(value) <= MAX_NAME else ""


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= BIGGEST:
        return 0
    return int(value)
