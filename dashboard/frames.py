"""The stream's events as bytes, and its short names for states."""

from __future__ import annotations

from typing import Any

import orjson

VERSION = 1

#: A circuit's state in one letter. ``D`` and ``M`` are for circuits that only measure.
LETTERS = {
    "closed": "C",
    "half-open": "H",
    "open": "O",
    "forced-open": "F",
    "forced-closed": "L",
    "disabled": "D",
    "measuring": "M",
}
#: From the one that matters most to the one that matters least.
WORST = "FLOHMDC"


def letter(state: object) -> str:
    """The letter of a state; a state nobody knows is as good as closed."""
    return LETTERS.get(str(state), "C")


def dump(value: object) -> bytes:
    """JSON. What is no JSON becomes text."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str)


def frame(event: str, data: Any, id: str = "") -> bytes:
    """One event. ``data`` may be JSON already."""
    body = data if isinstance(data, bytes) else dump(data)
    line = f"event: {event}\nid: {id}\n" if id else f"event: {event}\n"
    return line.encode() + b"data: " + body + b"\n\n"


def safe_in_page(value: object) -> bytes:
    """JSON that may stand inside a ``<script>``: nothing in it ends the element or begins another."""
    text = dump(value)
    return (
        text.replace(b"<", b"\\u003c")
        .replace(b">", b"\\u003e")
        .replace(b"&", b"\\u0026")
        .replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
    )


def milliseconds(seconds: object) -> int | None:
    """A moment or duration in whole milliseconds; None stays None."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    return round(seconds * 1000)
