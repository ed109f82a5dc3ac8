"""Words and colours that several pages share (pure)."""

from __future__ import annotations

from typing import Any

from ..web.trust import split_host
from .asked import Ask, Tone
from .render import at

TONES = {
    "UP": "good", "closed": "dim", "open": "bad", "half-open": "warn", "DOWN": "bad", "DEGRADED": "warn",
    "OUT_OF_SERVICE": "warn", "STARTING": "warn", "DRAINING": "warn", "forced-open": "held",
    "forced-closed": "held", "ejected": "bad", "probation": "warn", "warming": "warn", "draining": "warn",
    "error": "bad", "warn": "warn",
}  # fmt: skip


def tone(word: object) -> Any:
    """A state in its colour."""
    text = str(word)
    return Tone(text, TONES.get(text, "")) if text in TONES else text


def more(total: int, offset: int, shown: int) -> str:
    """What a page of a list says about the rest of it."""
    if shown == total:
        return ""
    return f"{offset + 1} to {offset + shown} of {total}; ?offset= and ?limit= show others"


def curl(ask: Ask, path: str, body: str) -> str:
    """An action as it is typed by whoever sees this page."""
    given = ask.headers.get("Host", "")
    host = given if split_host(given) is not None else "127.0.0.1"
    url = f"http://{host}{at(ask.base, path)}"
    return f"curl -X POST -H 'Content-Type: application/json' -d '{body}' '{url}'"
