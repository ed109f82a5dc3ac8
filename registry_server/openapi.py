"""The JSON API in OpenAPI's words, for programs and for the page that shows it."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import Any

from resilient.eureka import json

from .openapi_schemas import SCHEMAS
from .openapi_ui import READS, UI_SCHEMAS
from .views import product_version

_Row = dict[str, Any]


def _ref(name: str) -> _Row:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(name: str) -> _Row:
    return {"type": "array", "items": _ref(name)}


def _json(description: str, schema: _Row, *, position: bool = False) -> _Row:
    response: _Row = {"description": description, "content": {"application/json": {"schema": schema}}}
    if position:
        response["headers"] = {"Resilient-Position": {"$ref": "#/components/headers/Resilient-Position"}}
    return response


def _query(name: str, description: str, schema: _Row) -> _Row:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _path(name: str, description: str) -> _Row:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


def _get(summary: str, description: str, answers: _Row, parameters: list[_Row] | None = None) -> _Row:
    return {
        "summary": summary,
        "description": description,
        **({"parameters": parameters} if parameters else {}),
        "responses": {**answers, "default": _ERROR},
    }


def _body(name: str) -> _Row:
    return {"required": True, "content": {"application/json": {"schema": _ref(name)}}}


_ERROR = {"$ref": "#/components/responses/Error"}
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 10_000}
_NUMBER = {"type": "integer", "minimum": 0}
_NOT_THERE = _json("Nobody there.", _ref("Error"))
_SAME = {"description": "Nothing has changed since the answer with this ETag."}

_PATHS: _Row = {
    "/resilient/v1/feed": {
        "get": _get(
            "Every change as it happens",
            "Server-sent events: `hello`, then a snapshot (`service`, `ready`), the changes since "
            "`Last-Event-ID`, or a `reset` if that is too long ago; then a `change` for all that happens, "
            "`command`, `watched`, and `gone` before a planned end. docs/api.md describes each of them.",
            {
                "200": {
                    "description": "The stream. It ends with the registry, or when the reader is too slow.",
                    "content": {"text/event-stream": {"schema": _TEXT}},
                },
                "503": _json("No peer has given its list yet, or too many readers.", _ref("Error")),
            },
            [
                _query("service", "Only these services; up to 64 names, separated by commas.", _TEXT),
                _query("instance", "Who reads, as SERVICE/ID: commands for it are sent here.", _TEXT),
                _query("worker", "Which process of that instance reads, as HOST:PID.", _TEXT),
                _query("snapshot", "0: no snapshot, ever.", {"enum": ["0", "1"], "default": "1"}),
                _query("last", "The same as Last-Event-ID.", _TEXT),
                {
                    "name": "Last-Event-ID",
                    "in": "header",
                    "description": "The position to go on from.",
                    "schema": _TEXT,
                },
            ],
        )
    },
    "/resilient/v1/services": {
        "get": _get(
            "All services with their instances",
            "In alphabetical order. For many services, ask for some at a time with `after` and `limit`.",
            {"200": _json("The services.", _list("Service"), position=True)},
            [
                _query("after", "Only services behind this name.", _TEXT),
                _query("limit", "So many services at most.", _COUNT),
            ],
        )
    },
    "/resilient/v1/services/{name}": {
        "get": _get(
            "One service",
            "Names are compared without regard to case.",
            {"200": _json("The service.", _ref("Service"), position=True), "404": _NOT_THERE},
            [_path("name", "The service's name.")],
        )
    },
    "/resilient/v1/instances/{id}": {
        "get": _get(
            "One instance",
            "By its id. If several services use the same id, name the service.",
            {"200": _json("The instance.", _ref("PlacedInstance"), position=True), "404": _NOT_THERE},
            [_path("id", "The instance's id."), _query("service", "Of this service.", _TEXT)],
        )
    },
    "/resilient/v1/changes": {
        "get": _get(
            "What changed",
            "The last thousand changes of the directory, and the last 200 actions on circuits between them, "
            "newest first. Conditional: send the ETag back in If-None-Match.",
            {"200": _json("The changes.", _list("Change"), position=True), "304": _SAME},
            [
                _query("after", "Only changes behind the one with this number.", _NUMBER),
                _query("before", "Only changes in front of the one with this number.", _NUMBER),
                _query("limit", "So many at most, the newest of them.", _COUNT),
            ],
        )
    },
    "/resilient/v1/node": {
        "get": _get(
            "This registry itself",
            "How it is, what it holds, and its peers.",
            {"200": _json("The registry.", _ref("Node"))},
        )
    },
    "/resilient/v1/circuits": {
        "get": _get(
            "All circuits",
            "Summed over the processes that have them, ordered by caller and name.",
            {"200": _json("The circuits.", _list("Circuit"))},
            [
                _query(
                    "watch",
                    "Ask with it while somebody looks: for ten seconds processes then tell of theirs every "
                    "second, not every five.",
                    _TEXT,
                )
            ],
        ),
        "post": {
            "summary": "Tell of one's circuits",
            "description": "What a process says of all its circuits, in place of what it said before.",
            "requestBody": _body("Push"),
            "responses": {"204": {"description": "Taken."}, "default": _ERROR},
        },
    },
    "/resilient/v1/actions": {
        "get": _get(
            "What was asked of circuits",
            "The last 200 actions, newest first, and whether processes have confirmed them.",
            {"200": _json("The actions.", _list("Action"))},
        ),
        "post": {
            "summary": "Ask circuits to open, close, decide by themselves, or forget",
            "description": "Sent to the processes that read the feed in the instance's name, or to those of "
            "all instances of the service. Needs the token, or a caller on the registry's machine.",
            "requestBody": _body("Wish"),
            "responses": {
                "202": _json("Sent to so many processes; they confirm it by telling of it.", _ref("Sent")),
                "default": _ERROR,
            },
        },
    },
    "/resilient/v1/renewals": {
        "post": {
            "summary": "Many heartbeats at once",
            "description": "For whoever speaks for many instances.",
            "requestBody": _body("Beats"),
            "responses": {
                "200": _json("Renewed, but for these, by their places in the body.", _ref("Beaten")),
                "default": _ERROR,
            },
        }
    },
    "/resilient/v1/prometheus/targets": {
        "get": _get(
            "Whom Prometheus should scrape",
            "Its HTTP service discovery: the registry itself, and the instances whose metadata tell of "
            "metrics (`prometheus.path`, `management.path`), see docs/operating.md.",
            {"200": _json("The targets.", _list("ScrapeTarget"))},
            [_query("service", "Only these services; up to 64 names, separated by commas.", _TEXT)],
        )
    },
    "/resilient/v1/openapi.json": {
        "get": _get(
            "This description",
            "Conditional: send the ETag back in If-None-Match.",
            {"200": _json("An OpenAPI 3.1 document.", {"type": "object"}), "304": _SAME},
        )
    },
}


#: Paths below ``/ui``.
_PAGES = "Pages"


def _read(title: str, schema: str, parameters: dict[str, str], path: str) -> _Row:
    named = [_path(name, f"The {name}.") for name in ("name", "id") if "{" + name + "}" in path]
    asked = [_query(name, meaning, _TEXT) for name, meaning in parameters.items()]
    answers = {"200": _json(title + ".", _ref(schema)), **({"404": _NOT_THERE} if named else {})}
    text = "For the web UI; it may change with it. Moments are milliseconds since the epoch."
    return {"get": {**_get(title, text, answers, [*named, *asked]), "tags": [_PAGES]}}


_UI: _Row = {
    **{f"/ui/data/{path}": _read(*found, path) for path, found in READS.items()},
    "/ui/act/{what}": {
        "post": {
            "summary": "Do something, as a person on a page would",
            "description": "`what` is out-of-service, back, override, deregister or circuit. Needs this "
            "server's `Origin`, the header `Resilient-Action: 1`, and the token or a page on its machine.",
            "tags": [_PAGES],
            "parameters": [_path("what", "The action.")],
            "requestBody": _body("UiAct"),
            "responses": {"202": _json("Begun.", _ref("UiBegun")), "default": _ERROR},
        }
    },
}


def description() -> _Row:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Resilient registry",
            "version": product_version(),
            "summary": "The live directory, circuits and actions, beside Eureka's protocol under /eureka.",
            "description": "Durations are seconds, moments seconds since the epoch. Without a token, reads "
            "are open and actions take a caller on the registry's machine.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"basic": []}],
        "paths": {**_PATHS, **_UI},
        "components": {
            "schemas": {**SCHEMAS, **UI_SCHEMAS},
            "responses": {"Error": _json("Refused; `message` says why.", _ref("Error"))},
            "headers": {
                "Resilient-Position": {
                    "description": "Everything up to this place in the feed is contained in the answer.",
                    "schema": {"type": "string", "pattern": "^[0-9a-f]+-[0-9]+$"},
                }
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Any user, the token as password.",
                },
            },
        },
    }


@cache
def document() -> bytes:
    """The description as JSON."""
    return json.dump(description())


@cache
def tag() -> str:
    """Its ETag."""
    return f'"{sha256(document()).hexdigest()[:16]}"'
