"""Events as structlog lines. A library configures nothing; programs call :func:`configure`."""

from __future__ import annotations

import dataclasses
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, TextIO

import structlog

from ..events import LOGGED, Event, EventBus

LONGEST = 512
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def safe(value: object) -> object:
    """Text from outside as it may stand in a log: one line, no control or direction marks, not too long."""
    if not isinstance(value, str):
        return value
    shown = _UNSAFE.sub(lambda found: ascii(found.group())[1:-1], value)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def _safe_fields(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: safe(value) for key, value in line.items()}


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


def event_name(event: Event) -> str:
    """The stable name of an event's line: ``CircuitChanged`` is ``circuit_changed``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()


def write(event: Event, bound: Mapping[str, object] = MappingProxyType({})) -> None:
    """One event, one line, at its own level; ``bound`` fields come first."""
    fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(event) if f.name != "at"}
    told = {key: safe(value) for key, value in fields.items() if value not in ("", None)}
    getattr(logger(), event.severity)(event_name(event), **bound, **told)


class EventLog:
    """Writes a line for each event worth one, until :attr:`leave` is called."""

    def __init__(self, events: EventBus, **bound: object) -> None:
        self.leave = events.subscribe(lambda event: write(event, bound), *LOGGED)


def configure(*, as_json: bool | None = None, level: str = "INFO", stream: TextIO | None = None) -> None:
    """For programs: log lines to ``stream`` (standard error), pretty on a terminal, JSON elsewhere.

    Lines of the standard ``logging`` module go the same way.
    """
    out = stream if stream is not None else sys.stderr
    pretty = out.isatty() if as_json is None else not as_json
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if pretty else "iso", utc=not pretty),
        _safe_fields,
    ]
    end: list[Any] = (
        [structlog.dev.ConsoleRenderer(pad_event_to=24)]
        if pretty
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
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
