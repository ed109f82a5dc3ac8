"""One circuit in detail, as its page has it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .frames import letter, milliseconds
from .source import Row

#: Series of rates per second.
SERIES = ("rate", "fail", "refused")
#: Kinds of failures that are told.
MOST_KINDS = 20


def rules_of(row: Mapping[str, Any], more: Mapping[str, Any]) -> list[Row]:
    """What would open it, with the values of this moment. Shares are percent."""
    counts = row.get("counts") or {}
    settings = {one.get("name"): one.get("value") for one in more.get("settings") or ()}
    calls = row.get("calls") or 0
    error = row.get("error_rate")
    limit = round(100 * float(row.get("error_threshold") or 0.0), 1)
    minimum = row.get("min_calls") or 0
    value = None if error is None else round(100 * error, 1)
    enough = calls >= minimum
    rules: list[Row] = [
        {"rule": "min_calls", "value": calls, "limit": minimum, "met": enough, "unit": "calls"},
        {
            "rule": "error_rate",
            "value": value,
            "limit": limit,
            "met": enough and value is not None and value >= limit,
            "unit": "%",
        },
    ]
    slow = settings.get("slow_duration")
    if slow not in (None, "none"):
        share = round(100 * float(row.get("slow_rate") or 0.0), 1)
        rules.append(
            {"rule": "slow_rate", "value": share, "limit": _percent(settings.get("slow_rate")), "unit": "%"}
        )
        rules[-1]["met"] = enough and rules[-1]["limit"] is not None and share >= rules[-1]["limit"]
    if row.get("limit") is not None:
        rules.append(
            {
                "rule": "max_concurrent",
                "value": row.get("in_flight", 0),
                "limit": row["limit"],
                "met": bool(counts.get("rejected")),
                "unit": "calls",
            }
        )
    return rules


def _percent(text: object) -> float | None:
    try:
        return round(100 * float(str(text)), 1)
    except ValueError:
        return None


def failures_of(row: Mapping[str, Any], more: Mapping[str, Any]) -> list[Row]:
    """What failed lately, by kind, most frequent first: how often, and the last words of some.

    ``n`` is None where only the words are known, as of callers that do not tell kinds.
    """
    said = {str(one.get("kind", "")): one for one in more.get("errors") or ()}
    found = []
    for one in list(more.get("failures") or ())[:MOST_KINDS]:
        kind = str(one.get("kind", ""))
        last = said.pop(kind, {})
        found.append(_failure(kind, one.get("n"), one.get("last") or last.get("text"), last.get("at")))
    if not found:
        found = [
            _failure(kind, None, one.get("text"), one.get("at"))
            for kind, one in list(said.items())[:MOST_KINDS]
        ]
    return found


def _failure(kind: str, n: object, last: object, at: object) -> Row:
    return {"kind": kind[:100], "n": n, "last": str(last or "")[:200], "at": milliseconds(at)}


def series_of(found: Mapping[str, Any] | None) -> Row | None:
    """The last minutes as the charts take them: rates per second, quantiles in ms."""
    if found is None:
        return None
    return {
        "step": found.get("step", 1),
        "slowStep": found.get("slow_step", 5),
        **{name: list(found.get(name) or ()) for name in (*SERIES, "timeout")},
        **{
            name: [None if one is None else round(1000 * one, 1) for one in found.get(name) or ()]
            for name in ("p50", "p90", "p99")
        },
        "states": list(found.get("states") or ()),
    }


def host_of(one: Mapping[str, Any]) -> Row:
    """One calling process."""
    row = {**one, "state": letter(one.get("state")), "heardAt": milliseconds(one.get("heard_at"))}
    row.pop("heard_at", None)
    return row


def balanced_of(one: Mapping[str, Any]) -> Row:
    """One instance as one process's balancer sees it."""
    return {
        "id": one.get("id"),
        "by": one.get("process", ""),
        "zone": one.get("zone") or "",
        "bal": one.get("state"),
        "status": one.get("status"),
        "why": one.get("why") or "",
        "backAt": milliseconds(one.get("until")),
        "ok": None if one.get("success") is None else round(100 * one["success"], 1),
        "ewma": one.get("latency_ms"),
        "fly": one.get("in_flight", 0),
        "run": one.get("row"),
        "share": one.get("share", 0.0),
        "weight": one.get("weight"),
        "picks": one.get("picks"),
    }
