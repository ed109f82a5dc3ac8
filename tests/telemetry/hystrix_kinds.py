"""The fields of Hystrix's events and their types: as recorded from hystrix-core, and as found in an event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: What hystrix-core 1.5.18 with hystrix-metrics-event-stream emitted: fields in order, with their types.
RECORDED: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "hystrix_fields.json").read_text())


def kind(value: Any) -> str:
    if isinstance(value, dict):
        inner = {kind(one) for one in value.values()}
        return f"object of {'/'.join(sorted(inner))}: {' '.join(value)}"
    names = {bool: "boolean", int: "integer", float: "fraction", str: "text", type(None): "null"}
    return names[type(value)]


def kinds(event: dict[str, Any]) -> dict[str, str]:
    """Field by field, without our own additions."""
    return {field: kind(value) for field, value in event.items() if not field.startswith("x_")}
