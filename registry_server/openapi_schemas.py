"""What the JSON API's bodies look like, as JSON Schema."""

from __future__ import annotations

from typing import Any

from .board_wire import COUNTS, MAX_CIRCUITS, STATES
from .feed.actions import ACTIONS, LONGEST
from .openapi_words import (
    NUMBER,
    POSITIVE,
    SWITCH,
    TEXT,
    TEXTS,
    WHOLE,
    list_of,
    maps,
    object_,
    or_null,
    ref,
    says,
)
from .renewals import MOST_ROWS

_Row = dict[str, Any]

_PLACES: _Row = {"type": "array", "items": WHOLE}
_SERIES: _Row = {"type": "array", "items": {"type": ["number", "null"]}}
_STATUS: _Row = {"enum": ["UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN"]}
_MODE: _Row = {"type": "string", "description": "open, closed or auto; empty if the process did not say."}


def _asked(properties: _Row, *required: str) -> _Row:
    """What callers send: nearly everything may be left out, and what is unknown is ignored."""
    return {"type": "object", "properties": properties, "required": list(required)}


_INSTANCE: _Row = {
    "id": TEXT,
    "url": says(TEXT, "Where to call it, without a slash at the end."),
    "status": says(_STATUS, "The status in force."),
    "own_status": says(_STATUS, "What the instance said last."),
    "overridden": or_null(_STATUS, "An operator's word on it."),
    "zone": TEXT,
    "metadata": maps(TEXT),
    "registered_at": NUMBER,
    "renewed_ago": says(NUMBER, "Seconds since its last sign of life."),
    "expires_in": says(NUMBER, "Seconds until its lease runs out; negative if it has."),
    "late": says(SWITCH, "Heartbeats are missing."),
    "confirmed": says(SWITCH, "It was heard since this registry started."),
}
_COUNTS: _Row = object_(dict.fromkeys(COUNTS, WHOLE))
_ACTION: _Row = {"enum": list(ACTIONS)}

SCHEMAS: _Row = {
    "Error": object_(
        {"error": object_({"code": says(TEXT, "A word for programs."), "message": says(TEXT, "For people.")})}
    ),
    "Instance": object_(_INSTANCE),
    "PlacedInstance": object_({"service": TEXT, **_INSTANCE}),
    "Service": object_(
        {"name": TEXT, "instances": {"type": "array", "items": {"$ref": "#/components/schemas/Instance"}}}
    ),
    "Change": object_(
        {
            "number": says(WHOLE, "Counts changes; for an action on circuits, that of the change before it."),
            "at": NUMBER,
            "action": {"enum": ["ADDED", "MODIFIED", "DELETED", "CIRCUIT"]},
            "cause": TEXT,
            "service": TEXT,
            "instance": says(TEXT, "Empty for an action on all instances of a service."),
            "status": says(TEXT, "The status since then; empty for an action on circuits."),
            "before": says(_STATUS, "The status until then."),
            "text": says(TEXT, "What happened, in words."),
            "command": says(TEXT, "Of an action on circuits: its id."),
            "by": says(TEXT, "Of an action on circuits: who asked."),
            "reason": says(TEXT, "Of an action on circuits: why."),
            "until": or_null(NUMBER, "Of an action on circuits: when it ends."),
        },
        ("before", "command", "by", "reason", "until"),
    ),
    "Peer": object_(
        {
            "url": TEXT,
            "well": says(SWITCH, "It took what was told last, or answered when it was last asked."),
            "problem": TEXT,
            "last_batch_at": or_null(NUMBER),
            "queue": says(WHOLE, "Changes that wait to be told."),
            "lag": says(
                NUMBER, "Seconds for which it has not been told the oldest of what it does not know."
            ),
            "skipped": says(WHOLE, "Heartbeats that were given up."),
            "lost": says(WHOLE, "Changes that were given up."),
            "refused": says(WHOLE, "Changes that it would not take."),
        }
    ),
    "Node": object_(
        {
            "id": says(TEXT, "A random one of this process; the first part of every position."),
            "position": TEXT,
            "ready": says(SWITCH, "Reads are answered."),
            "mode": says({"enum": ["normal", "preserving"]}, "preserving: silent instances are kept."),
            "reason": TEXT,
            "preserving_for": or_null(NUMBER),
            "warnings": says(TEXTS, "What somebody should know, in sentences."),
            "zone": TEXT,
            "peers": list_of(ref("Peer")),
            "counts": object_(
                {"services": WHOLE, "instances": WHOLE, "late": WHOLE, "statuses": maps(WHOLE)}
            ),
            "restored": says(WHOLE, "Instances read from the snapshot."),
            "unconfirmed": says(WHOLE, "Of these, not heard from since."),
            "snapshot": or_null(object_({"written_at": or_null(NUMBER), "problem": TEXT})),
            "stalls": or_null(maps(NUMBER), "How long the event loop was kept, in ms."),
            "time": says(NUMBER, "Its clock, in seconds since the epoch."),
            "uptime_seconds": NUMBER,
            "heartbeats_per_minute": WHOLE,
            "version": TEXT,
        }
    ),
    "Circuit": object_(
        {
            "service": says(TEXT, "Who calls."),
            "name": TEXT,
            "group": TEXT,
            "target": or_null(TEXT, "Who is called."),
            "state": says({"enum": sorted(STATES)}, "The worst over the processes."),
            "on": says(WHOLE, "Processes in that state."),
            "of": says(WHOLE, "Processes that have this circuit."),
            "states": maps(WHOLE),
            "since": NUMBER,
            "retry_in": or_null(NUMBER),
            "window": NUMBER,
            "counts": _COUNTS,
            "calls": WHOLE,
            "attempts": WHOLE,
            "error_rate": or_null(NUMBER, "From 0 to 1; null if nothing was attempted."),
            "rate": says(NUMBER, "Calls per second."),
            "in_flight": WHOLE,
            "limit": or_null(WHOLE),
            "slow_rate": says(NUMBER, "From 0 to 1."),
            "trials": says(WHOLE, "Trial calls that are under way."),
            "latency": says(maps(NUMBER), "mean, p50, p90, p95, p99, p995 and max, in seconds."),
            "merged": says(SWITCH, "The quantiles are those of all processes together."),
            "timeout": or_null(NUMBER),
            "last_error": TEXT,
            "min_calls": WHOLE,
            "error_threshold": NUMBER,
            "observe": says(SWITCH, "It only measures."),
            "mode": _MODE,
            "mode_until": or_null(NUMBER),
            "mode_reason": says(TEXT, "Why it is held."),
            "mode_by": says(TEXT, "Who holds it."),
            "command": says(TEXT, "The last action applied to it."),
            "commands": says(maps(TEXT), "The last action of each process."),
            "processes": says(WHOLE, "Processes heard lately."),
            "silent": says(TEXTS, "Processes not heard lately."),
            "history": object_({"step": NUMBER, "rate": _SERIES, "failing": _SERIES, "refused": _SERIES}),
            "foreign": says(SWITCH, "Known from a Hystrix stream alone."),
        },
        ("commands", "history", "foreign"),
    ),
    "Push": _asked(
        {
            "service": says(TEXT, "Who calls."),
            "instance": TEXT,
            "worker": says(TEXT, "Which process of the instance."),
            "interval": says(NUMBER, "Seconds until it will tell again."),
            "circuits": {
                "type": "array",
                "maxItems": MAX_CIRCUITS,
                "items": _asked(
                    {
                        "name": TEXT,
                        "group": TEXT,
                        "target": or_null(TEXT),
                        "state": {"enum": sorted(STATES)},
                        "since": says(POSITIVE, "Seconds in this state."),
                        "retry_in": or_null(POSITIVE),
                        "window": POSITIVE,
                        "counts": maps(WHOLE),
                        "calls": WHOLE,
                        "rate": POSITIVE,
                        "in_flight": WHOLE,
                        "limit": or_null(WHOLE),
                        "latency": maps(POSITIVE),
                        "histogram": says(
                            {"type": ["array", "null"]}, "Pairs of bucket and count, which can be added up."
                        ),
                        "timeout": or_null(POSITIVE),
                        "last_error": TEXT,
                        "min_calls": WHOLE,
                        "error_threshold": POSITIVE,
                        "mode": _MODE,
                        "mode_until": or_null(POSITIVE),
                        "command": says(TEXT, "The id of the last action applied to it."),
                    },
                    "name",
                ),
            },
        },
        "service",
        "instance",
    ),
    "Wish": object_(
        {
            "service": says(TEXT, "Whose circuit: the caller."),
            "instance": says(TEXT, "One of its instances; all that are connected if left out."),
            "worker": says(TEXT, "One process of that instance."),
            "circuit": says(TEXT, "The circuit's name."),
            "action": says(_ACTION, "open and close hold it so; auto lets it decide by itself again."),
            "for": or_null(
                {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST},
                "Seconds until it decides by itself again; of open and close only.",
            ),
            "reason": says({"type": "string", "maxLength": 300}, "Why, for the list of changes."),
            "by": says(TEXT, "Who asks, for the list of changes."),
        },
        ("instance", "worker", "for", "reason", "by"),
    ),
    "Beats": {
        "type": "array",
        "description": "Service, id, and the instance's own stamp if there is one.",
        "maxItems": MOST_ROWS,
        "items": {"type": "array", "minItems": 2, "maxItems": 3, "prefixItems": [TEXT, TEXT, WHOLE]},
    },
    "Beaten": object_(
        {
            "unknown": says(_PLACES, "Rows whose instances are to register, or to register again."),
            "conflict": says(_PLACES, "Rows whose stamps make no sense."),
        }
    ),
    "ScrapeTarget": object_(
        {
            "targets": says(TEXTS, "HOST:PORT, one."),
            "labels": {"type": "object", "additionalProperties": TEXT},
        }
    ),
    "Sent": object_({"id": TEXT, "delivered": says(WHOLE, "Processes it was sent to.")}),
    "Action": object_(
        {
            "id": TEXT,
            "at": NUMBER,
            "service": TEXT,
            "instance": TEXT,
            "worker": TEXT,
            "circuit": TEXT,
            "action": _ACTION,
            "for": or_null(NUMBER),
            "until": or_null(NUMBER),
            "reason": TEXT,
            "by": TEXT,
            "delivered": WHOLE,
            "confirmed": says(WHOLE, "Processes that said they did it."),
            "state": says(
                {"enum": ["sent", "confirmed", "unconfirmed"]},
                "unconfirmed: after 30 s, not everybody who got it has said so.",
            ),
        }
    ),
}
