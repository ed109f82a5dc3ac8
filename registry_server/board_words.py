"""What happened, in words for the list of changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resilient.model import Action, Status

from .records import Cause, Change

Row = dict[str, Any]

_TURNED = {
    Status.UP: "instance_up",
    Status.STARTING: "instance_starting",
    Status.OUT_OF_SERVICE: "instance_out_of_service",
    Status.DOWN: "instance_down",
}
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def said_of(change: Change) -> tuple[str, str, str] | None:
    """Kind, sentence and actor of a change; None for what nobody wants to read."""
    record = change.record
    cause, status = record.cause, record.instance.status
    if change.action is Action.DELETED:
        if cause is Cause.CANCELLED:
            return "removed", "signed out", "instance"
        return "expired", "removed: its lease ran out", "registry"
    if cause is Cause.OVERRIDE:
        return "override_set", f"set to {status.value}", "operator"
    if cause is Cause.OVERRIDE_REMOVED:
        return "override_removed", f"the operator's status was taken back, now {status.value}", "operator"
    if change.before is None:
        return "registered", f"registered, {status.value}", "instance"
    if change.before is not status:
        kind = _TURNED.get(status, "instance_unknown")
        return kind, f"said it is {status.value}, was {change.before.value}", "instance"
    if cause is Cause.METADATA:
        return "metadata", "its metadata changed", "instance"
    return "registered_again", "registered again", "instance"


def why_of(why: Mapping[str, Any]) -> str:
    """Why a circuit opened: the rule with its numbers, and the last error."""
    value, calls, limit = why.get("value"), why.get("calls"), why.get("limit")
    rule = {
        "error_rate": f"{value}% of {calls} calls failed; the limit is {limit}%",
        "slow_rate": f"{value}% of {calls} calls were slow; the limit is {limit}%",
        "fail_max": f"{value} calls in a row failed",
        "trial": "a trial failed",
        "hand": "by hand",
    }.get(str(why.get("rule")), "")
    text = "" if why.get("rule") == "hand" else str(why.get("text") or "")
    return ": ".join(filter(None, (rule, text)))


def asked_of(row: Mapping[str, Any], target: str) -> Row:
    """What somebody asked circuits to do, as a row of the list of changes; ``status`` is the action."""
    parts = []
    if row["for"] is not None:
        parts.append(f"for {_duration(row['for'])}")
    if row["instance"]:
        process = f"{row['instance']}#{row['worker']}" if row["worker"] else row["instance"]
        parts.append(f"on {process} only")
    return {
        "at": row["at"],
        "subject": f"{row['service']}/{target}:{row['circuit']}",
        "service": row["service"],
        "instance": row["instance"],
        "text": ", ".join(parts),
        "by": row["by"],
        "reason": row["reason"],
        "until": row["until"],
        "status": row["action"],
    }


def _duration(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"
