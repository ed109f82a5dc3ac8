"""What the web UI asks for and what it may ask to be done, as JSON Schema: it may change with the pages."""

from __future__ import annotations

from typing import Any

from .openapi_words import (
    NUMBER,
    SWITCH,
    TEXT,
    TEXTS,
    WHOLE,
    counts,
    list_of,
    maps,
    object_,
    or_null,
    ref,
    rows,
    says,
    tuple_,
)

_Row = dict[str, Any]

_LETTER: _Row = says(
    {"type": "string", "enum": list("CHOFLDM")},
    "closed, half-open, open, forced open, forced closed, disabled, measuring only",
)
_MS: _Row = {"type": "integer", "description": "Milliseconds since the epoch."}
_MAYBE: _Row = or_null(NUMBER)
_SHARE: _Row = or_null(NUMBER, "Percent; null if nothing was attempted.")
_MAYBE_MS: _Row = or_null({"type": "integer"}, "Milliseconds since the epoch.")
_SERIES: _Row = says(list_of(_MAYBE), "Oldest first, null where nobody was heard.")
_STATES: _Row = says(maps(WHOLE), "Processes by state.")
_BEATS: _Row = object_({"min": WHOLE, "want": WHOLE, "limit": NUMBER})
_TOTALS: _Row = counts("up", "late", "start", "oos", "down", "unk", "total")
_PERSON: _Row = object_({"by": TEXT, "reason": TEXT, "at": _MAYBE_MS, "until": _MAYBE_MS}, ("at",))
_EDGE: _Row = tuple_(TEXT, TEXT, NUMBER, _LETTER, WHOLE, WHOLE, _MAYBE)

_SERVICE: _Row = {
    "n": TEXT,
    **dict.fromkeys(("up", "late", "start", "oos", "down", "unk", "total", "over"), WHOLE),
    "zones": says(maps(WHOLE), "Instances that are up, by zone."),
    "ver": says(maps(WHOLE), "Instances by version."),
    "renewS": _MAYBE,
    "ttlS": _MAYBE,
    "circ": says(counts("open", "half", "forced", "closed"), "Circuits towards it."),
}
_CIRCUIT: _Row = {
    "k": says(WHOLE, "Its key in this process's ticks."),
    "id": says(TEXT, "CALLER/TARGET:NAME"),
    "from": TEXT,
    "to": TEXT,
    "cmd": TEXT,
    "hosts": says(WHOLE, "Processes heard lately."),
    "of": WHOLE,
    "silent": TEXTS,
    "states": _STATES,
    "limit": or_null(WHOLE),
    "timeoutMs": or_null(WHOLE),
    "windowMs": or_null(WHOLE),
    "threshold": says(NUMBER, "Percent of errors at which it opens."),
    "minCalls": or_null(WHOLE),
    "since": _MAYBE_MS,
    "probeAt": _MAYBE_MS,
    "forced": or_null(object_({"by": TEXT, "reason": TEXT, "until": _MAYBE_MS})),
    "merged": says(SWITCH, "The percentiles are those of all hosts together."),
    "foreign": says(SWITCH, "Known from a Hystrix stream alone."),
    "lastError": TEXT,
}
_NOW: _Row = {
    "state": _LETTER,
    "inState": WHOLE,
    "rate": says(NUMBER, "Calls per second."),
    "errorPercent": _SHARE,
    "counts": tuple_(*[WHOLE] * 6),
    "latencyMs": or_null(list_of(_MAYBE), "Median, 90th, 99th and 99.5th."),
    "inFlight": WHOLE,
}
_CHANGE: _Row = object_(
    {
        "id": TEXT,
        "at": _MS,
        "kind": TEXT,
        "sub": says(TEXT, "Whom it is about."),
        "text": TEXT,
        "by": TEXT,
        "node": TEXT,
        "n": says(WHOLE, "How many such there were at once."),
        "reason": TEXT,
        "status": TEXT,
        "before": TEXT,
        "until": _MS,
    },
    ("reason", "status", "before", "until"),
)
_WHY: _Row = or_null(
    object_(
        {"rule": TEXT, "value": _MAYBE, "limit": _MAYBE, "calls": or_null(WHOLE), "text": TEXT},
        ("value", "limit", "calls", "text"),
        closed=False,
    )
)
_INSTANCE: _Row = {
    "id": TEXT,
    "url": TEXT,
    "status": TEXT,
    "own": TEXT,
    "over": or_null(TEXT),
    "override": or_null(_PERSON, "Who set the override, if that is known here."),
    "kind": TEXT,
    "late": SWITCH,
    "zone": TEXT,
    "version": TEXT,
    "beatAt": _MS,
    "ageS": NUMBER,
    "ttlS": _MAYBE,
    "renewS": _MAYBE,
    "since": _MAYBE_MS,
    "meta": maps(TEXT),
    "links": maps(TEXT),
    "confirmed": SWITCH,
}
_RATES: _Row = says(maps(NUMBER), "Calls per second by id, of those that a caller's balancer knows.")
_HOST: _Row = object_(
    {
        "process": TEXT,
        "instance": TEXT,
        "worker": TEXT,
        "state": _LETTER,
        "sinceS": NUMBER,
        "silent": SWITCH,
        "heardAt": _MAYBE_MS,
        "rate": NUMBER,
        "errorPercent": _SHARE,
        "refused": WHOLE,
        "inFlight": WHOLE,
        "mode": TEXT,
        "command": TEXT,
        "lastError": TEXT,
        "latencyMs": maps(NUMBER),
    },
    ("latencyMs",),
)
_DETAIL: _Row = {
    "group": TEXT,
    "window": _MAYBE,
    "latency": says(maps(NUMBER), "Milliseconds."),
    "allCounts": maps(WHOLE),
    "series": or_null(
        object_(
            {
                "step": NUMBER,
                "slowStep": NUMBER,
                **dict.fromkeys(("rate", "fail", "refused", "timeout", "p50", "p90", "p99"), _SERIES),
                "states": list_of(or_null(list_of(WHOLE))),
            }
        )
    ),
    "rules": rows({"rule": TEXT, "value": _MAYBE, "limit": _MAYBE, "met": SWITCH, "unit": TEXT}),
    "why": _WHY,
    "turns": rows({"at": _MS, "from": TEXT, "to": TEXT, "why": _WHY, "by": TEXT, "reason": TEXT}),
    "failures": rows({"kind": TEXT, "n": or_null(WHOLE), "last": TEXT, "at": _MAYBE_MS}),
    "hostsBy": list_of(_HOST),
    "settings": rows({"name": TEXT, "value": TEXT, "source": TEXT}),
    "settingsDiffer": SWITCH,
    "trials": or_null(object_({"out": WHOLE, "limit": WHOLE})),
    "fallbacks": counts("success", "failure", "rejected"),
    "changes": list_of(ref("UiChange")),
}
_BALANCED: _Row = {
    "id": TEXT,
    "by": TEXT,
    "zone": TEXT,
    "bal": TEXT,
    "status": or_null(TEXT),
    "why": TEXT,
    "backAt": _MAYBE_MS,
    "ok": _MAYBE,
    "ewma": _MAYBE,
    "fly": WHOLE,
    "run": or_null(WHOLE),
    "share": NUMBER,
    "weight": _MAYBE,
    "picks": or_null(WHOLE),
}
_NOTICE: _Row = object_(
    {"id": TEXT, "level": {"enum": ["warn", "bad"]}, "on": SWITCH, "at": _MS, "data": {"type": "object"}}
)
_DIFFERENCE: _Row = {
    "now": _MS,
    "peer": TEXT,
    "asked": says(SWITCH, "The peer gave its list; else this is what changed here and has not reached it."),
    "since": _MAYBE_MS,
    "complete": says(SWITCH, "All of that is still known here."),
    "problem": TEXT,
    "counts": counts("here", "there", "status"),
    "rows": rows(
        {"what": TEXT, "service": TEXT, "instance": TEXT, "here": or_null(TEXT), "there": or_null(TEXT)},
        ("here", "there"),
    ),
}

UI_SCHEMAS: _Row = {
    "UiService": object_(_SERVICE),
    "UiServices": object_(
        {
            "now": _MS,
            "totals": _TOTALS,
            "beats": _BEATS,
            "rows": rows({**_SERVICE, "oldestS": _MAYBE, "callsPerS": _MAYBE}),
        }
    ),
    "UiServicePage": object_(
        {
            "now": _MS,
            "n": TEXT,
            "row": ref("UiService"),
            "instances": rows(_INSTANCE),
            "rates": _RATES,
            "callers": list_of(_EDGE),
            "calls": list_of(_EDGE),
            "changes": list_of(ref("UiChange")),
        }
    ),
    "UiBeats": object_(
        {"i": says(list_of(tuple_(TEXT, NUMBER)), "Age of the last heartbeat (s), by id."), "rates": _RATES}
    ),
    "UiCircuits": object_({"now": _MS, "rows": rows({**_CIRCUIT, **_NOW})}),
    "UiCircuitPage": object_({"now": _MS, **_CIRCUIT, **_NOW, **_DETAIL}),
    "UiHistory": says(
        maps(object_({"rate": _SERIES, "fail": _SERIES, "refused": _SERIES})), "Per second, by key."
    ),
    "UiRates": says(maps(_SERIES), "Per second, by the name of who is called."),
    "UiInstances": rows(_BALANCED),
    "UiTopology": object_({"now": _MS, "nodes": list_of(tuple_(TEXT, WHOLE)), "edges": list_of(_EDGE)}),
    "UiChange": _CHANGE,
    "UiChanges": object_({"now": _MS, "rows": list_of(ref("UiChange")), "more": SWITCH, "kept": WHOLE}),
    "UiNodes": object_(
        {
            "now": _MS,
            "node": TEXT,
            "self": {"type": "object"},
            "peers": list_of({"type": "object"}),
            "beats": _BEATS,
            "notices": list_of(_NOTICE),
        }
    ),
    "UiDifference": object_(_DIFFERENCE),
    "UiFound": object_(
        {"rows": rows({"service": TEXT, "id": TEXT, "url": TEXT, "kind": TEXT}), "more": SWITCH}
    ),
    "UiHaving": object_({"services": says(maps(TEXTS), "Names by what was asked.")}),
    "UiConsequence": object_(
        {"what": TEXT, "services": list_of({"type": "object"}), "circuits": list_of({"type": "object"})},
        ("services", "circuits"),
    ),
    "UiBoot": {"type": "object", "required": ["v", "hello", "totals", "beats", "notices", "peers"]},
    "UiAct": {
        "type": "object",
        "required": ["subjects", "reason"],
        "properties": {
            "subjects": says(TEXTS, "SERVICE/INSTANCE each; of circuits CALLER/TARGET:NAME."),
            "reason": {"type": "string", "maxLength": 300},
            "for": or_null({"type": "number", "exclusiveMinimum": 0}, "Seconds until it ends by itself."),
            "status": says(TEXT, "Of override: UP, DOWN or OUT_OF_SERVICE."),
            "action": says(TEXT, "Of circuit: open, close, auto or reset."),
            "host": says(TEXT, "Of circuit: this instance alone."),
            "worker": says(TEXT, "Of circuit: this process of it alone."),
            "by": TEXT,
        },
    },
    "UiBegun": object_({"id": says(TEXT, "The outcome is the `action` event with this id.")}),
}

#: Path below ``/ui/data/``: title, schema, and parameters by name with what they mean.
READS: dict[str, tuple[str, str, dict[str, str]]] = {
    "services": ("The list of services", "UiServices", {}),
    "services/{name}": ("One service", "UiServicePage", {}),
    "services/{name}/beats": ("Ages of heartbeats", "UiBeats", {}),
    "circuits": ("The list of circuits", "UiCircuits", {}),
    "circuits/history": (
        "Circuits second by second",
        "UiHistory",
        {"k": "Keys, separated by commas.", "n": "Points, at most 900."},
    ),
    "circuits/rates": (
        "Calls per second of each service",
        "UiRates",
        {"n": "Seconds of history."},
    ),
    "circuits/{id}": ("One circuit", "UiCircuitPage", {"range": "Seconds of history, at most 900."}),
    "circuits/{id}/instances": ("Where its calls go", "UiInstances", {}),
    "topology": ("Who calls whom", "UiTopology", {}),
    "changes": (
        "What happened",
        "UiChanges",
        {
            "before": "Older than the one with this id.",
            "kind": "Of these kinds, separated by commas.",
            "q": "With these words.",
            "sub": "About this subject.",
        },
    ),
    "nodes": ("This registry and its peers", "UiNodes", {}),
    "nodes/difference": ("In which entries a peer's list differs", "UiDifference", {"peer": "Its URL."}),
    "find": ("Instances by id or address", "UiFound", {"q": "Words that are in it."}),
    "having": ("Services by metadata", "UiHaving", {"meta": "KEY:VALUE, up to ten times."}),
    "consequence": (
        "What an action would do, in numbers",
        "UiConsequence",
        {"what": "The action.", "subject": "Whom it is about, any number of times."},
    ),
    "boot": ("What a page needs for its first picture", "UiBoot", {"page": "Which page."}),
}
