"""What the browsers see: the source's answers made small, and the difference from one second to the next.

Ages are turned into moments of one steady clock, or every row would change every second. Moments
that only moved by rounding count as unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

Row = dict[str, Any]

#: The order of the counters in a circuit's ``counts`` and of the durations (ms) in its ``latency``.
COUNTS = ("success", "excluded", "short_circuited", "failure", "timeout", "rejected")
LATENCY = ("p50", "p90", "p99", "max")

#: Bounds on what services say of themselves.
_MAX_METADATA = 50
_MAX_TEXT = 500
_MAX_CHANGES = 500

#: What the page shows of a change.
_CHANGE = ("number", "at", "action", "service", "instance", "status", "text", "zone")

#: Moments closer than this are the same moment, heard twice.
_SLACK = 0.75


class Source(Protocol):
    """Where the numbers come from. Every method answers at once, from memory."""

    def services(self) -> Sequence[Mapping[str, Any]]:
        """``name`` and ``instances``: ``id``, ``url``, ``status``, ``overridden``, ``zone``, ``metadata``,
        ``renewed_ago``, ``expires_in`` (seconds) and ``late``."""
        ...

    def circuits(self) -> Sequence[Mapping[str, Any]]:
        """The rows of ``Board.view``."""
        ...

    def node(self) -> Mapping[str, Any]:
        """``mode``, ``reason``, ``counts``, ``uptime_seconds``, ``version``, ``heartbeats_per_minute``."""
        ...

    def changes(self) -> Sequence[Mapping[str, Any]]:
        """The last changes, newest first: ``at`` (seconds since the epoch), ``action``, ``service``,
        ``instance``, and ``status`` or ``text`` when there is more to say."""
        ...


class Picture:
    """The last known state of everything, as the browsers have it. ``now`` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._instances: dict[tuple[str, str], Row] = {}
        self._circuits: dict[int, Row] = {}
        self._histories: dict[int, object] = {}
        self._keys: dict[tuple[str, str], int] = {}
        self._last_key = 0
        self._node: Row = {}
        self._changes: list[Row] = []

    def whole(self) -> Row:
        """Everything, for a browser that has nothing yet."""
        circuits = [{**row, "history": self._histories.get(key)} for key, row in self._circuits.items()]
        return {
            "instances": list(self._instances.values()),
            "circuits": circuits,
            "node": self._node,
            "changes": self._changes,
        }

    def turn(self, source: Source, now: float) -> Row:
        """Ask ``source`` again; returns only what is different from last time."""
        delta: Row = {}
        self._turn_instances(source.services(), now, delta)
        self._turn_circuits(source.circuits(), now, delta)
        node = dict(source.node())
        node["started_at"] = _moment(now, node.pop("uptime_seconds", 0.0), self._node.get("started_at"), -1)
        if node != self._node:
            self._node = delta["node"] = node
        self._turn_changes(source.changes()[:_MAX_CHANGES], delta)
        return delta

    def _turn_changes(self, changes: Sequence[Mapping[str, Any]], delta: Row) -> None:
        before, after = self._changes, [{k: one[k] for k in _CHANGE if k in one} for one in changes]
        if after == before:
            return
        self._changes = after
        fresh = after.index(before[0]) if before and before[0] in after else None
        if fresh is None or before[: len(after) - fresh] != after[fresh:]:
            delta["changes"] = after
        elif fresh:
            delta["happened"] = after[:fresh]

    def _turn_instances(self, services: Iterable[Mapping[str, Any]], now: float, delta: Row) -> None:
        before = self._instances
        after: dict[tuple[str, str], Row] = {}
        changed: list[Row] = []
        beats: list[tuple[str, str, float]] = []
        for service in services:
            name = str(service["name"])
            for instance in service["instances"]:
                key = (name, str(instance["id"]))
                old = before.get(key, {})
                row = after[key] = _instance(name, instance, now, old)
                if row == old:
                    continue
                if old and row == {**old, "at": row["at"]}:
                    # Most of what happens in a healthy registry: a heartbeat, and nothing else.
                    beats.append((*key, row["at"]))
                else:
                    changed.append(row)
        gone = [list(key) for key in before if key not in after]
        self._instances = after
        delta.update({k: v for k, v in (("instances", changed), ("beats", beats), ("left", gone)) if v})

    def _turn_circuits(self, circuits: Iterable[Mapping[str, Any]], now: float, delta: Row) -> None:
        before = self._circuits
        after: dict[int, Row] = {}
        changed: list[Row] = []
        self._histories = {}
        keys: dict[tuple[str, str], int] = {}
        for circuit in circuits:
            name = (str(circuit["service"]), str(circuit["name"]))
            key = self._keys.get(name)
            if key is None:
                self._last_key += 1
                key = self._last_key
            keys[name] = key
            old = before.get(key, {})
            row = after[key] = _circuit(key, circuit, now, old)
            self._histories[key] = circuit.get("history")
            if row != old:
                fresh = {
                    field: value for field, value in row.items() if field not in old or old[field] != value
                }
                changed.append({**fresh, "k": key})
        gone = [key for key in before if key not in after]
        self._circuits = after
        self._keys = keys
        delta.update({k: v for k, v in (("circuits", changed), ("ended", gone)) if v})


def _moment(now: float, ago: object, before: object, sign: int = -1) -> float | None:
    """The moment that is ``ago`` seconds from ``now`` (``sign`` 1: ahead), steady against rounding."""
    if isinstance(ago, bool) or not isinstance(ago, (int, float)):
        return None
    at = round(now + sign * ago, 1)
    if isinstance(before, (int, float)) and abs(at - before) < _SLACK:
        return float(before)
    return at


def _instance(service: str, one: Mapping[str, Any], now: float, old: Row) -> Row:
    at = _moment(now, one.get("renewed_ago", 0.0), old.get("at"))
    lease = float(one.get("renewed_ago") or 0.0) + float(one.get("expires_in") or 0.0)
    known = old.get("lease")
    if known is not None and abs(known - lease) < _SLACK:
        lease = known
    metadata = one.get("metadata") or {}
    return {
        "service": service,
        "id": str(one["id"]),
        "url": str(one.get("url", "")),
        "status": str(one.get("status", "UNKNOWN")),
        "overridden": one.get("overridden") or None,
        "zone": str(one.get("zone") or ""),
        "late": bool(one.get("late")),
        "metadata": {
            str(name)[:_MAX_TEXT]: str(value)[:_MAX_TEXT]
            for name, value in list(metadata.items())[:_MAX_METADATA]
        },
        "lease": round(lease, 1),
        "at": at,
    }


def _circuit(key: int, one: Mapping[str, Any], now: float, old: Row) -> Row:
    counts = one.get("counts") or {}
    latency = one.get("latency") or {}
    error = one.get("error_rate")
    return {
        "k": key,
        "service": one["service"],
        "name": one["name"],
        "target": one.get("target"),
        "state": one.get("state", "closed"),
        "on": one.get("on", 1),
        "of": one.get("of", 1),
        "heard": one.get("processes", 1),
        "since_at": _moment(now, one.get("since", 0.0), old.get("since_at")),
        "retry_at": _moment(now, one.get("retry_in"), old.get("retry_at"), 1),
        "window": one.get("window", 10.0),
        "counts": [counts.get(name, 0) for name in COUNTS],
        "fallbacks": counts.get("fallback_success", 0) + counts.get("fallback_failure", 0),
        "errors": None if error is None else round(error * 100, 2),
        "rate": round(one.get("rate") or 0.0, 2),
        "in_flight": one.get("in_flight", 0),
        "limit": one.get("limit"),
        "latency": [round(latency[name] * 1000, 2) if name in latency else None for name in LATENCY],
        "merged": bool(one.get("merged")),
        "timeout": one.get("timeout"),
        "last_error": str(one.get("last_error") or ""),
        "threshold": one.get("error_threshold"),
        "min_calls": one.get("min_calls"),
        "silent": list(one.get("silent") or ())[:_MAX_METADATA],
    }
