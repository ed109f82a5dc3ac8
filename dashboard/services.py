"""The list of services as the pages have it: full once, then what changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .source import Row

#: With more services than this, a full list after names came or went is sent this seldom, in seconds.
MANY, SELDOM = 200, 5.0
#: Zones and versions of one service that are shown.
MOST_KINDS = 20
_NO_CIRCUITS = {"open": 0, "half": 0, "forced": 0, "closed": 0}


class Services:
    """The rows as they were last sent."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._live: dict[str, list[float]] = {}
        #: The names of the last full list: a tick's numbers come in this order.
        self.order: list[str] = []
        self._full_at = float("-inf")
        #: Heartbeats due per minute, of all services.
        self.want = 0.0
        #: Counts over all services, for the summary.
        self.totals: dict[str, int] = {}

    def full(self) -> Row:
        """Everything, for a page that has nothing yet. In the order of :attr:`order`, then the new ones."""
        return {"full": True, "rows": list(self._rows.values()), "gone": []}

    def rows(self) -> list[Row]:
        """All rows, by name."""
        return [self._rows[name] for name in sorted(self._rows)]

    def get(self, name: str) -> Row | None:
        """One row."""
        return self._rows.get(name)

    def turn(
        self, summaries: Iterable[Mapping[str, Any]], towards: Mapping[str, Row], now: float
    ) -> Row | None:
        """Take in how it is now; ``towards`` are the circuits by target. Returns what to send."""
        rows: dict[str, Row] = {}
        live: dict[str, list[float]] = {}
        changed: list[Row] = []
        want = 0.0
        totals = dict.fromkeys(("up", "late", "start", "oos", "down", "unk", "total"), 0)
        for one in summaries:
            name = str(one["name"])
            circuits = towards.get(name)
            row = _row(name, one, circuits)
            if row == (before := self._rows.get(name)):
                row = before
            else:
                changed.append(row)
            rows[name] = row
            for field in totals:
                totals[field] += row[field]
            want += float(one.get("want") or 0.0)
            calls = circuits["rate"] if circuits else 0.0
            live[name] = [round(float(one.get("oldest") or 0.0), 1), round(calls, 2)]
        gone = [name for name in self._rows if name not in rows]
        came = len(rows) + len(gone) != len(self._rows)
        self._rows, self._live, self.want, self.totals = rows, live, want, totals
        if (gone or came or self.order_is_old()) and (
            len(rows) <= MANY or now - self._full_at >= SELDOM or not self.order
        ):
            self._full_at = now
            self.order = list(rows)
            return self.full()
        return {"full": False, "rows": changed, "gone": gone} if changed or gone else None

    def order_is_old(self) -> bool:
        """Whether services came or went since the last full list."""
        return len(self.order) != len(self._rows) or any(name not in self._rows for name in self.order)

    def live(self) -> list[list[float] | None]:
        """Oldest heartbeat (s) and calls per second, in the order of the last full list."""
        return [self._live.get(name) for name in self.order]


def _row(name: str, one: Mapping[str, Any], circuits: Row | None) -> Row:
    return {
        "n": name,
        "up": one.get("up", 0),
        "late": one.get("late", 0),
        "start": one.get("starting", 0),
        "oos": one.get("out", 0),
        "down": one.get("down", 0),
        "unk": one.get("unknown", 0),
        "total": one.get("total", 0),
        "zones": _most(one.get("zones")),
        "ver": _most(one.get("versions")),
        "over": one.get("overridden", 0),
        "renewS": one.get("renew"),
        "ttlS": one.get("ttl"),
        "circ": circuits["states"] if circuits else _NO_CIRCUITS,
    }


def _most(counts: Any) -> Mapping[str, int]:
    if not isinstance(counts, Mapping):
        return {}
    if len(counts) <= MOST_KINDS:
        return counts
    kept = sorted(counts, key=lambda name: -counts[name])[:MOST_KINDS]
    return {name: counts[name] for name in kept}


def summary_of(service: Mapping[str, Any]) -> Row:
    """The summary of a service given with all its instances."""
    counts = dict.fromkeys(("up", "late", "starting", "out", "down", "unknown"), 0)
    zones: dict[str, int] = {}
    versions: dict[str, int] = {}
    oldest = want = 0.0
    renew = ttl = 0.0
    overridden = 0
    instances = service["instances"]
    for one in instances:
        kind = kind_of(str(one.get("status")), bool(one.get("late")))
        counts[kind] += 1
        overridden += bool(one.get("overridden"))
        zone = str(one.get("zone") or "")
        # A zone of which nothing is left stays in the list, with 0.
        zones[zone] = zones.get(zone, 0) + (kind == "up")
        version = str((one.get("metadata") or {}).get("version", ""))
        if version:
            versions[version] = versions.get(version, 0) + 1
        age = float(one.get("renewed_ago") or 0.0)
        lease = float(one.get("duration") or age + float(one.get("expires_in") or 0.0))
        every = float(one.get("renew_every") or lease / 3 or 30.0)
        oldest, ttl, renew = max(oldest, age), max(ttl, lease), max(renew, every)
        want += 60.0 / max(every, 1.0)
    return {
        "name": service["name"],
        "total": len(instances),
        **counts,
        "overridden": overridden,
        "zones": zones,
        "versions": versions,
        "renew": round(renew),
        "ttl": round(ttl),
        "oldest": oldest,
        "want": want,
    }


def kind_of(status: str, late: bool) -> str:
    """What the pages count an instance as: up means up and not late."""
    if status == "UP":
        return "late" if late else "up"
    kinds = {"STARTING": "starting", "OUT_OF_SERVICE": "out", "DOWN": "down"}
    return kinds.get(status, "unknown")
