"""A service's instances counted, as its row in the list of services has them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resilient.model import Status

from .expiry import Lease
from .records import Record

Row = dict[str, Any]

#: Different zones and versions counted for one service.
_MOST_KINDS = 200
_MOST_TEXT = 100
_KINDS = {
    Status.UP: "up",
    Status.STARTING: "starting",
    Status.OUT_OF_SERVICE: "out",
    Status.DOWN: "down",
}


def counted_of(name: str, leases: Mapping[str, Lease]) -> Row:
    """How many of a service's instances are in which state, where, and of which version."""
    counts = dict.fromkeys(("up", "late", "starting", "out", "down", "unknown"), 0)
    zones: dict[str, int] = {}
    versions: dict[str, int] = {}
    renew = ttl = want = 0.0
    overridden = 0
    for lease in leases.values():
        record: Record = lease.record
        instance = record.instance
        counts[_KINDS.get(instance.status, "unknown")] += 1
        _more(zones, instance.zone, instance.status is Status.UP)
        if version := instance.metadata.get("version"):
            _more(versions, version[:_MOST_TEXT])
        overridden += record.override is not Status.UNKNOWN
        renew, ttl = max(renew, instance.renew_every), max(ttl, lease.duration)
        want += 60.0 / max(instance.renew_every, 0.1)
    return {
        "name": name,
        "total": len(leases),
        **counts,
        "overridden": overridden,
        "zones": zones,
        "versions": versions,
        "renew": round(renew, 1),
        "ttl": round(ttl, 1),
        "want": want,
    }


def _more(counts: dict[str, int], name: str, n: int = 1) -> None:
    if name in counts or len(counts) < _MOST_KINDS:
        counts[name] = counts.get(name, 0) + n
