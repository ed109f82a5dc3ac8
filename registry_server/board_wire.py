"""What a process pushes about its circuits: read with suspicion, kept small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from resilient.circuits.latency import Histogram
from resilient.errors import WireError

#: Every outcome a snapshot counts; the ones that are missing count nothing.
COUNTS = (
    "success",
    "failure",
    "timeout",
    "excluded",
    "void",
    "short_circuited",
    "rejected",
    "fallback_success",
    "fallback_failure",
    "fallback_rejected",
    "late",
    "slow",
    "response_from_cache",
    "collapsed",
    "retried",
    "retry_denied",
)
MODES = frozenset({"auto", "open", "closed"})
STATES = frozenset({"closed", "open", "half-open", "forced-open", "forced-closed"})

#: Bounds on one push.
MAX_CIRCUITS = 2000
MAX_NAME = 256
MAX_ERROR = 300
MAX_BUCKETS = 2048

_BIGGEST = 1e15
#: A process that says nothing for longer than this would be forgotten between two pushes.
_LONGEST_INTERVAL = 15.0
_LATENCIES = ("mean", "p50", "p90", "p95", "p99", "max")


class Snapshot(NamedTuple):
    """One circuit of one process at one moment. Durations are seconds."""

    name: str
    group: str
    target: str | None
    state: str
    since: float
    retry_in: float | None
    window: float
    counts: dict[str, int]
    calls: int
    rate: float
    in_flight: int
    limit: int | None
    latency: dict[str, float]
    histogram: Histogram | None
    timeout: float | None
    last_error: str
    min_calls: int
    error_threshold: float
    #: ``open``, ``closed`` or ``auto``, until when (seconds since the epoch), why and who, and the last
    #: command from the feed that it has applied.
    mode: str = "auto"
    mode_until: float | None = None
    mode_reason: str = ""
    mode_by: str = ""
    command: str = ""


class Push(NamedTuple):
    """One message of one process: all its circuits, by name."""

    service: str
    instance: str
    worker: str
    interval: float
    circuits: dict[str, Snapshot]


def read_push(body: Mapping[str, object]) -> Push:
    """Read a push; :class:`WireError` names the first field that makes no sense.

    Unknown fields are ignored.
    """
    if not isinstance(body, Mapping):
        raise WireError("body: an object was expected")
    rows = body.get("circuits", ())
    if not isinstance(rows, (list, tuple)):
        raise WireError("circuits: a list was expected")
    if len(rows) > MAX_CIRCUITS:
        raise WireError(f"circuits: {len(rows)} are too many, at most {MAX_CIRCUITS} are taken")
    circuits = {}
    for place, row in enumerate(rows):
        snapshot = _snapshot(row, f"circuits[{place}]")
        circuits[snapshot.name] = snapshot
    interval = _number(body, "interval", "", 5.0)
    return Push(
        _text(body, "service", "", required=True).lower(),
        _text(body, "instance", "", required=True),
        _text(body, "worker", ""),
        min(max(interval, 0.5), _LONGEST_INTERVAL),
        circuits,
    )


def _snapshot(row: object, where: str) -> Snapshot:
    if not isinstance(row, Mapping):
        raise WireError(f"{where}: an object was expected")
    at = where + "."
    state = _text(row, "state", at) or "closed"
    if state not in STATES:
        raise WireError(f"{at}state: one of {', '.join(sorted(STATES))} was expected")
    mode = _text(row, "mode", at) or "auto"
    if mode not in MODES:
        raise WireError(f"{at}mode: one of {', '.join(sorted(MODES))} was expected")
    counts = _object(row, "counts", at)
    latency = _object(row, "latency", at)
    return Snapshot(
        name=_text(row, "name", at, required=True),
        group=_text(row, "group", at),
        target=_text(row, "target", at) or None,
        state=state,
        since=_number(row, "since", at),
        retry_in=_optional(row, "retry_in", at),
        window=_number(row, "window", at, 10.0),
        counts={name: int(_number(counts, name, at + "counts.")) for name in COUNTS},
        calls=int(_number(row, "calls", at)),
        rate=_number(row, "rate", at),
        in_flight=int(_number(row, "in_flight", at)),
        limit=None if row.get("limit") is None else int(_number(row, "limit", at)),
        latency={name: _number(latency, name, at + "latency.") for name in _LATENCIES if name in latency},
        histogram=_histogram(row.get("histogram"), at),
        timeout=_optional(row, "timeout", at),
        last_error=_text(row, "last_error", at, most=None)[:MAX_ERROR],
        min_calls=int(_number(row, "min_calls", at, 20)),
        error_threshold=_number(row, "error_threshold", at, 0.5),
        mode=mode,
        mode_until=_optional(row, "mode_until", at),
        mode_reason=_text(row, "mode_reason", at, most=None)[:MAX_ERROR],
        mode_by=_text(row, "mode_by", at, most=None)[:MAX_NAME],
        command=_text(row, "command", at),
    )


def _text(
    row: Mapping[str, object], field: str, at: str, *, required: bool = False, most: int | None = MAX_NAME
) -> str:
    value = row.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        raise WireError(f"{at}{field}: a text was expected")
    if most is not None and len(value) > most:
        raise WireError(f"{at}{field}: at most {most} characters are taken")
    return value


def _number(row: Mapping[str, object], field: str, at: str, default: float = 0.0) -> float:
    value = row.get(field)
    if value is None:
        return default
    # bool is an int in Python, but not on the wire.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _BIGGEST:
        raise WireError(f"{at}{field}: a number from 0 was expected")
    return float(value)


def _optional(row: Mapping[str, object], field: str, at: str) -> float | None:
    return None if row.get(field) is None else _number(row, field, at)


def _object(row: Mapping[str, object], field: str, at: str) -> Mapping[str, object]:
    value = row.get(field)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise WireError(f"{at}{field}: an object was expected")
    return value


def _histogram(value: object, at: str) -> Histogram | None:
    if not value:
        return None
    if not isinstance(value, (list, tuple)) or len(value) > MAX_BUCKETS:
        raise WireError(f"{at}histogram: a list of at most {MAX_BUCKETS} pairs was expected")
    for pair in value:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or any(type(one) is not int for one in pair):
            raise WireError(f"{at}histogram: pairs of bucket and count were expected")
    try:
        return Histogram.unpack(value)
    except ValueError as error:
        raise WireError(f"{at}histogram: {error}") from None
