"""What the JSON API's bodies look like, as JSON Schema."""

from __future__ import annotations

from typing import Any

from .board_wire import COUNTS, MAX_CIRCUITS, STATES
from .feed.actions import ACTIONS, LONGEST
from .renewals import MOST_ROWS

_Row = dict[str, Any]

_TEXT: _Row = {"type": "string"}
_WHOLE: _Row = {"type": "integer", "minimum": 0}
_NUMBER: _Row = {"type": "number"}
_POSITIVE: _Row = {"type": "number", "minimum": 0}
_SWITCH: _Row = {"type": "boolean"}
_TEXTS: _Row = {"type": "array", "items": _TEXT}
_PLACES: _Row = {"type": "array", "items": _WHOLE}
_SERIES: _Row = {"type": "array", "items": {"type": ["number", "null"]}}
_STATUS: _Row = {"enum": ["UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN"]}
_MODE: _Row = {"type": "string", "description": "open, closed or auto; empty if the process did not say."}


def _says(schema: _Row, description: str) -> _Row:
    return {**schema, "description": description}


def _or_null(schema: _Row, description: str = "") -> _Row:
    found: _Row = (
        {"type": [schema["type"], "null"]} if "type" in schema else {"enum": [*schema["enum"], None]}
    )
    found.update({key: value for key, value in schema.items() if key not in ("type", "enum")})
    return _says(found, description) if description else found


def _object(properties: _Row, optional: tuple[str, ...] = (), *, closed: bool = True) -> _Row:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        **({"additionalProperties": False} if closed else {}),
    }


def _asked(properties: _Row, *required: str) -> _Row:
    """What callers send: nearly everything may be left out, and what is unknown is ignored."""
    return {"type": "object", "properties": properties, "required": list(required)}


def _map(schema: _Row) -> _Row:
    return {"type": "object", "additionalProperties": schema}


_INSTANCE: _Row = {
    "id": _TEXT,
    "url": _says(_TEXT, "Where to call it, without a slash at the end."),
    "status": _says(_STATUS, "The status in force."),
    "own_status": _says(_STATUS, "What the instance said last."),
    "overridden": _or_null(_STATUS, "An operator's word on it."),
    "zone": _TEXT,
    "metadata": _map(_TEXT),
    "registered_at": _NUMBER,
    "renewed_ago": _says(_NUMBER, "Seconds since its last sign of life."),
    "expires_in": _says(_NUMBER, "Seconds until its lease runs out; negative if it has."),
    "late": _says(_SWITCH, "Heartbeats are missing."),
    "confirmed": _says(_SWITCH, "It was heard since this registry started."),
}
_COUNTS: _Row = _object(dict.fromkeys(COUNTS, _WHOLE))
_ACTION: _Row = {"enum": list(ACTIONS)}

SCHEMAS: _Row = {
    "Error": _object(
        {
            "error": _object(
                {"code": _says(_TEXT, "A word for programs."), "message": _says(_TEXT, "For people.")}
            )
        }
    ),
    "Instance": _object(_INSTANCE),
    "PlacedInstance": _object({"service": _TEXT, **_INSTANCE}),
    "Service": _object(
        {"name": _TEXT, "instances": {"type": "array", "items": {"$ref": "#/components/schemas/Instance"}}}
    ),
    "Change": _object(
        {
            "number": _says(
                _WHOLE, "Counts changes; for an action on circuits, that of the change before it."
            ),
            "at": _NUMBER,
            "action": {"enum": ["ADDED", "MODIFIED", "DELETED", "CIRCUIT"]},
            "cause": _TEXT,
            "service": _TEXT,
            "instance": _says(_TEXT, "Empty for an action on all instances of a service."),
            "status": _says(_TEXT, "The status since then; empty for an action on circuits."),
            "before": _says(_STATUS, "The status until then."),
            "text": _says(_TEXT, "What happened, in words."),
            "command": _says(_TEXT, "Of an action on circuits: its id."),
            "by": _says(_TEXT, "Of an action on circuits: who asked."),
            "reason": _says(_TEXT, "Of an action on circuits: why."),
            "until": _or_null(_NUMBER, "Of an action on circuits: when it ends."),
        },
        ("before", "command", "by", "reason", "until"),
    ),
    "Node": _object(
        {
            "id": _says(_TEXT, "A random one of this process; the first part of every position."),
            "position": _TEXT,
            "ready": _says(_SWITCH, "Reads are answered."),
            "mode": _says({"enum": ["normal", "preserving"]}, "preserving: silent instances are kept."),
            "reason": _TEXT,
            "preserving_for": _or_null(_NUMBER),
            "warnings": _says(_TEXTS, "What somebody should know, in sentences."),
            "zone": _TEXT,
            "peers": {"type": "array", "items": {"type": "object"}},
            "counts": _object(
                {"services": _WHOLE, "instances": _WHOLE, "late": _WHOLE, "statuses": _map(_WHOLE)},
                closed=False,
            ),
            "uptime_seconds": _NUMBER,
            "heartbeats_per_minute": _WHOLE,
            "version": _TEXT,
        },
        closed=False,
    ),
    "Circuit": _object(
        {
            "service": _says(_TEXT, "Who calls."),
            "name": _TEXT,
            "group": _TEXT,
            "target": _or_null(_TEXT, "Who is called."),
            "state": _says({"enum": sorted(STATES)}, "The worst over the processes."),
            "on": _says(_WHOLE, "Processes in that state."),
            "of": _says(_WHOLE, "Processes that have this circuit."),
            "states": _map(_WHOLE),
            "since": _NUMBER,
            "retry_in": _or_null(_NUMBER),
            "window": _NUMBER,
            "counts": _COUNTS,
            "calls": _WHOLE,
            "attempts": _WHOLE,
            "error_rate": _or_null(_NUMBER, "From 0 to 1; null if nothing was attempted."),
            "rate": _says(_NUMBER, "Calls per second."),
            "in_flight": _WHOLE,
            "limit": _or_null(_WHOLE),
            "latency": _says(_map(_NUMBER), "mean, p50, p90, p95, p99 and max, in seconds."),
            "merged": _says(_SWITCH, "The quantiles are those of all processes together."),
            "timeout": _or_null(_NUMBER),
            "last_error": _TEXT,
            "min_calls": _WHOLE,
            "error_threshold": _NUMBER,
            "mode": _MODE,
            "mode_until": _or_null(_NUMBER),
            "command": _says(_TEXT, "The last action applied to it."),
            "processes": _says(_WHOLE, "Processes heard lately."),
            "silent": _says(_TEXTS, "Processes not heard lately."),
            "history": _object({"step": _NUMBER, "rate": _SERIES, "failing": _SERIES, "refused": _SERIES}),
        },
        closed=False,
    ),
    "Push": _asked(
        {
            "service": _says(_TEXT, "Who calls."),
            "instance": _TEXT,
            "worker": _says(_TEXT, "Which process of the instance."),
            "interval": _says(_NUMBER, "Seconds until it will tell again."),
            "circuits": {
                "type": "array",
                "maxItems": MAX_CIRCUITS,
                "items": _asked(
                    {
                        "name": _TEXT,
                        "group": _TEXT,
                        "target": _or_null(_TEXT),
                        "state": {"enum": sorted(STATES)},
                        "since": _says(_POSITIVE, "Seconds in this state."),
                        "retry_in": _or_null(_POSITIVE),
                        "window": _POSITIVE,
                        "counts": _map(_WHOLE),
                        "calls": _WHOLE,
                        "rate": _POSITIVE,
                        "in_flight": _WHOLE,
                        "limit": _or_null(_WHOLE),
                        "latency": _map(_POSITIVE),
                        "histogram": _says(
                            {"type": ["array", "null"]}, "Pairs of bucket and count, which can be added up."
                        ),
                        "timeout": _or_null(_POSITIVE),
                        "last_error": _TEXT,
                        "min_calls": _WHOLE,
                        "error_threshold": _POSITIVE,
                        "mode": _MODE,
                        "mode_until": _or_null(_POSITIVE),
                        "command": _says(_TEXT, "The id of the last action applied to it."),
                    },
                    "name",
                ),
            },
        },
        "service",
        "instance",
    ),
    "Wish": _object(
        {
            "service": _says(_TEXT, "Whose circuit: the caller."),
            "instance": _says(_TEXT, "One of its instances; all that are connected if left out."),
            "worker": _says(_TEXT, "One process of that instance."),
            "circuit": _says(_TEXT, "The circuit's name."),
            "action": _says(_ACTION, "open and close hold it so; auto lets it decide by itself again."),
            "for": _or_null(
                {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST},
                "Seconds until it decides by itself again; of open and close only.",
            ),
            "reason": _says({"type": "string", "maxLength": 300}, "Why, for the list of changes."),
            "by": _says(_TEXT, "Who asks, for the list of changes."),
        },
        ("instance", "worker", "for", "reason", "by"),
    ),
    "Beats": {
        "type": "array",
        "description": "Service, id, and the instance's own stamp if there is one.",
        "maxItems": MOST_ROWS,
        "items": {"type": "array", "minItems": 2, "maxItems": 3, "prefixItems": [_TEXT, _TEXT, _WHOLE]},
    },
    "Beaten": _object(
        {
            "unknown": _says(_PLACES, "Rows whose instances are to register, or to register again."),
            "conflict": _says(_PLACES, "Rows whose stamps make no sense."),
        }
    ),
    "ScrapeTarget": _object(
        {
            "targets": _says(_TEXTS, "HOST:PORT, one."),
            "labels": {"type": "object", "additionalProperties": _TEXT},
        }
    ),
    "Sent": _object({"id": _TEXT, "delivered": _says(_WHOLE, "Processes it was sent to.")}),
    "Action": _object(
        {
            "id": _TEXT,
            "at": _NUMBER,
            "service": _TEXT,
            "instance": _TEXT,
            "worker": _TEXT,
            "circuit": _TEXT,
            "action": _ACTION,
            "for": _or_null(_NUMBER),
            "until": _or_null(_NUMBER),
            "reason": _TEXT,
            "by": _TEXT,
            "delivered": _WHOLE,
            "confirmed": _says(_WHOLE, "Processes that said they did it."),
            "state": _says(
                {"enum": ["sent", "confirmed", "unconfirmed"]},
                "unconfirmed: after 30 s, not everybody who got it has said so.",
            ),
        }
    ),
}
