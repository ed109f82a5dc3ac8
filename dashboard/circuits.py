"""The circuits as the pages have them: a dictionary of keys, and a row of numbers for each in every tick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from .frames import letter, milliseconds
from .source import Row

#: Moments closer than this are the same moment, heard twice (s).
_SLACK = 1.5
_ERRORS = ("failure", "timeout", "rejected")
#: The order of the counters in a tick.
COUNTS = ("success", "failure", "short_circuited", "timeout", "rejected", "excluded")
_QUANTILES = ("p50", "p90", "p99", "p995")
_GROUP = {"O": "open", "H": "half", "F": "forced", "L": "forced"}


def id_of(row: Mapping[str, Any]) -> str:
    """``caller/target:command``; the target is empty while nobody was called."""
    return f"{row['service']}/{row.get('target') or ''}:{row['name']}"


class Circuits:
    """Keys, and what was last sent of each circuit. ``now`` is wall time, in seconds."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], int] = {}
        self._names: dict[int, tuple[str, str]] = {}
        self._ids: dict[str, int] = {}
        self._dictionary: dict[int, Row] = {}
        self._rows: dict[int, Mapping[str, Any]] = {}
        self._last = 0
        #: The numbers of the last turn, as a tick has them.
        self.ticks: list[list[Any]] = []
        #: Circuits by target: calls per second and how many are in which state.
        self.towards: dict[str, Row] = {}

    def full(self) -> Row:
        """The whole dictionary."""
        return {"full": True, "rows": list(self._dictionary.values()), "gone": []}

    def turn(self, rows: Iterable[Mapping[str, Any]], now: float) -> Row | None:
        """Take in how it is now. Returns what changed in the dictionary, if anything did."""
        dictionary: dict[int, Row] = {}
        seen: dict[int, Mapping[str, Any]] = {}
        ticks: list[list[Any]] = []
        towards: dict[str, Row] = {}
        changed: list[Row] = []
        for row in rows:
            key = self.key_of(str(row["service"]), str(row["name"]))
            before = self._dictionary.get(key)
            said = _said(key, row, now, before)
            if said == before:
                said = before
            else:
                changed.append(said)
            dictionary[key] = said
            seen[key] = row
            ticks.append(_tick(key, row))
            _add(towards, row)
        gone = [key for key in self._dictionary if key not in dictionary]
        for key in gone:
            self._keys.pop(self._names.pop(key), None)
        if gone or changed:
            self._ids = {one["id"]: one["k"] for one in dictionary.values()}
        self._dictionary, self._rows, self.ticks, self.towards = dictionary, seen, ticks, towards
        return {"full": False, "rows": changed, "gone": gone} if changed or gone else None

    def key_of(self, caller: str, name: str) -> int:
        """The key of a circuit; a new one if it has none."""
        key = self._keys.get((caller, name))
        if key is None:
            self._last += 1
            key = self._keys[caller, name] = self._last
            self._names[key] = (caller, name)
        return key

    def find(self, id: str) -> int | None:
        """The key of an id, as it is in an address: percent-encoded or not, and whatever its target was
        when somebody wrote it down."""
        for one in (id, unquote(id)):
            if (key := self._ids.get(one)) is not None:
                return key
            caller, _, rest = one.partition("/")
            if (key := self._keys.get((caller, rest.partition(":")[2]))) is not None:
                return key
        return None

    def name(self, key: int) -> tuple[str, str] | None:
        """Caller and name."""
        return self._names.get(key)

    def row(self, key: int) -> Mapping[str, Any] | None:
        """What the source said last."""
        return self._rows.get(key)

    def said(self, key: int) -> Row | None:
        """The dictionary's row."""
        return self._dictionary.get(key)

    def rows(self) -> Sequence[Row]:
        """Dictionary and numbers together, for those who ask once."""
        return [
            {**said, **tick_named(tick)}
            for said, tick in zip(self._dictionary.values(), self.ticks, strict=True)
        ]

    def edges(self) -> list[list[Any]]:
        """Who calls whom: caller, target, calls/s, worst state, hosts in it, circuits, errors % or None."""
        found: dict[tuple[str, str], list[Any]] = {}
        for row in self._rows.values():
            target = str(row.get("target") or "")
            if not target:
                continue
            state = letter(row.get("state"))
            rate = float(row.get("rate") or 0.0)
            attempts = float(row.get("attempts") or 0)
            failed = attempts * float(row.get("error_rate") or 0.0)
            edge = found.setdefault((str(row["service"]), target), [0.0, "C", 0, 0, 0.0, 0.0])
            edge[0] += rate
            if _RANK[state] < _RANK[edge[1]] or (state == edge[1] and row.get("on", 1) > edge[2]):
                edge[1], edge[2] = state, row.get("on", 1)
            edge[3] += 1
            edge[4] += attempts
            edge[5] += failed
        return [
            [
                *names,
                round(rate, 2),
                state,
                hosts,
                circuits,
                round(100 * failed / attempts, 2) if attempts else None,
            ]
            for names, (rate, state, hosts, circuits, attempts, failed) in sorted(found.items())
        ]


_RANK = {one: place for place, one in enumerate("FOHLMDC")}


def _said(key: int, row: Mapping[str, Any], now: float, before: Row | None) -> Row:
    state = letter(row.get("state"))
    held = state in "FL"
    since = milliseconds(now - float(row.get("since") or 0.0))
    probe = row.get("retry_in")
    return {
        "k": key,
        "id": id_of(row),
        "from": row["service"],
        "to": row.get("target") or "",
        "cmd": row["name"],
        "hosts": row.get("processes", 1),
        "of": row.get("of", 1),
        "silent": list(row.get("silent") or ())[:50],
        "states": {letter(name): n for name, n in (row.get("states") or {}).items()},
        "limit": row.get("limit"),
        "timeoutMs": milliseconds(row.get("timeout")),
        "windowMs": milliseconds(row.get("window")),
        "threshold": round(100 * float(row.get("error_threshold") or 0.0), 2),
        "minCalls": row.get("min_calls"),
        "since": _steady(since, before and before["since"]),
        "probeAt": None
        if probe is None or state != "O"
        else _steady(milliseconds(now + probe), before and before["probeAt"]),
        "forced": None
        if not held
        else {
            "by": row.get("mode_by") or "",
            "reason": row.get("mode_reason") or "",
            "until": milliseconds(row.get("mode_until")),
        },
        "merged": bool(row.get("merged")),
        "foreign": bool(row.get("foreign")),
        "lastError": str(row.get("last_error") or "")[:200],
    }


def _steady(at: int | None, before: object) -> int | None:
    """A moment, or the one it was before if it only moved by rounding."""
    if at is not None and isinstance(before, int) and abs(at - before) < 1000 * _SLACK:
        return before
    return at


def _tick(key: int, row: Mapping[str, Any]) -> list[Any]:
    counts = row.get("counts") or {}
    latency = row.get("latency") or {}
    error = row.get("error_rate")
    return [
        key,
        letter(row.get("state")),
        row.get("on", 1),
        # Two digits: one failure in 3,000 calls is not "0%", and the page itself shows fewer.
        round(float(row.get("rate") or 0.0), 2),
        None if error is None else round(100 * error, 2),
        [counts.get(name, 0) for name in COUNTS],
        None if not latency else [_short(latency.get(name)) for name in _QUANTILES],
        row.get("in_flight", 0),
    ]


def tick_named(tick: list[Any]) -> Row:
    """A tick's row with names, as the plain JSON answers have it."""
    names = ("key", "state", "inState", "rate", "errorPercent", "counts", "latencyMs", "inFlight")
    return dict(zip(names[1:], tick[1:], strict=True))


def _short(seconds: object) -> float | None:
    if not isinstance(seconds, (int, float)):
        return None
    millis = 1000 * seconds
    return round(millis) if millis >= 100 else round(millis, 1)


def _add(towards: dict[str, Row], row: Mapping[str, Any]) -> None:
    target = row.get("target")
    if not target:
        return
    found = towards.get(target)
    if found is None:
        found = towards[target] = {
            "rate": 0.0,
            "states": {"open": 0, "half": 0, "forced": 0, "closed": 0},
        }
    found["rate"] += float(row.get("rate") or 0.0)
    found["states"][_GROUP.get(letter(row.get("state")), "closed")] += 1
