"""Events as structlog lines. A library configures nothing; programs call :func:`configure`."""

from __future__ import annotations

import dataclasses
import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, TextIO

import structlog

from ..circuits.attempt import CURRENT, Attempt
from ..events import LOGGED, Event, EventBus

LONGEST = 512
#: Items of a list that a line shows.
MOST_ITEMS = 50
MASK = "******"
_READ = 8 * 1024
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NAMES = r"(?:password|passwd|secret|token|credential|authorization|cookie|api_?key|private_?key)"
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/@\s]+@")
_SAID = re.compile(
    rf"({_NAMES}[\w-]{{0,40}}[\"']?\s?[=:]\s?[\"']?(?:bearer\s|basic\s)?)[^\s\"',;&]+", re.IGNORECASE
)

#: What is true where a line is written, such as the trace it belongs to; set by whoever knows.
_context: list[Callable[[], Mapping[str, object]]] = []


def safe(value: object) -> object:
    """What comes from outside as it may stand in a log: one line, no control or direction marks, not too
    long, without the user of a URL and without what is called a password, token or the like."""
    if isinstance(value, str):
        shown = _USER.sub(MASK + "@", value[:_READ])
        shown = _SAID.sub(rf"\g<1>{MASK}", shown)
        shown = _UNSAFE.sub(lambda found: ascii(found.group())[1:-1], shown)
        return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
    if isinstance(value, tuple | list):
        items = [safe(one) for one in value[:MOST_ITEMS]]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {str(safe(str(key))): _safe_field(key, one) for key, one in [*value.items()][:MOST_ITEMS]}
    return value


def _safe_field(key: object, value: object) -> object:
    plain = not value or isinstance(value, bool | int | float)
    return safe(value) if plain or not _SECRET_NAME.search(str(key)) else MASK


def _safe_fields(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: _safe_field(key, value) for key, value in line.items()}


def add_context(fields: Callable[[], Mapping[str, object]]) -> Callable[[], None]:
    """Let each line have these fields too, as they are where it is written. Returns the way to end it."""
    _context.append(fields)

    def end() -> None:
        if fields in _context:
            _context.remove(fields)

    return end


def _here() -> dict[str, object]:
    found: dict[str, object] = {}
    for fields in _context:
        found.update(fields())
    return found


def _with_context(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For a program's own lines: the trace, and the circuit whose call they are written in."""
    for key, value in _here().items():
        line.setdefault(key, value)
    # Only looked at: whoever holds an attempt makes its call a slow one.
    present = CURRENT.get()
    if present is not None and isinstance(present[0], Attempt) and present[0].began is present[1]:
        line.setdefault("circuit", present[0].name)
    return line


def logger(name: str = "resilient") -> Any:
    """A structlog logger: the program's own, if it has configured structlog; else one over ``logging``.

    Unconfigured structlog prints to standard output, where a library has no business.
    """
    if structlog.is_configured():
        return structlog.get_logger(name)
    return structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            _safe_fields,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def name_of(kind: type[Event]) -> str:
    """The stable name of an event's lines: ``CircuitChanged`` is ``circuit_changed``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


def event_name(event: Event) -> str:
    """The stable name of an event's line."""
    return name_of(type(event))


def write(event: Event, bound: Mapping[str, object] = MappingProxyType({})) -> None:
    """One event, one line, at its own level. ``bound`` fields come first; an event that has a field of the
    same name speaks for itself."""
    fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(event) if f.name != "at"}
    told = {key: _safe_field(key, value) for key, value in fields.items() if value not in ("", None, ())}
    line = {**{key: _safe_field(key, value) for key, value in bound.items()}, **_here(), **told}
    getattr(logger(), event.severity)(event_name(event), **line)


class EventLog:
    """Writes a line for each event worth one, until :attr:`leave` is called."""

    def __init__(self, events: EventBus, **bound: object) -> None:
        self.leave = events.subscribe(lambda event: write(event, bound), *LOGGED)


def configure(
    *, as_json: bool | None = None, level: str = "INFO", stream: TextIO | None = None, **bound: object
) -> None:
    """For programs: log lines to ``stream`` (standard error), pretty on a terminal, JSON elsewhere.

    Lines of the standard ``logging`` module go the same way. ``bound`` are fields of every line, such as
    ``service="orders"``.
    """
    out = stream if stream is not None else sys.stderr
    pretty = out.isatty() if as_json is None else not as_json

    def always(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**bound, **line}

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        always,
        _with_context,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if pretty else "iso", utc=not pretty),
        _safe_fields,
    ]
    end: list[Any] = (
        [structlog.dev.ConsoleRenderer(pad_event_to=24)]
        if pretty
        else [structlog.processors.format_exc_info, _safe_trace, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *end],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def _safe_trace(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A traceback ends in the error's own words, which may hold a secret."""
    trace = line.get("exception")
    if isinstance(trace, str):
        line["exception"] = _SAID.sub(rf"\g<1>{MASK}", _USER.sub(MASK + "@", trace[-4 * _READ :]))
    return line
