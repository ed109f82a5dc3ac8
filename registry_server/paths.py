"""From a request's raw path to Eureka's resource. Pure."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from resilient.eureka.limits import canonical_id


class Place(NamedTuple):
    """The decoded segments behind the base path, and whether the caller speaks version 1."""

    segments: tuple[str, ...]
    v1: bool = False


def place_of(raw: str) -> Place | None:
    """What a raw path names: ``/eureka``, ``/eureka/v1``, ``/eureka/v2`` or ``/v2`` and then the resource.

    Doubled and trailing slashes mean nothing. None if the path is below none of these bases;
    UnicodeDecodeError if its percent-encoding is not UTF-8.
    """
    parts = [part for part in raw.split("/") if part]
    if not parts:
        return None
    v1 = False
    base = parts[0].lower()
    if base == "eureka":
        start = 1
        if len(parts) > 1 and parts[1].lower() in ("v1", "v2"):
            v1 = parts[1].lower() == "v1"
            start = 2
    elif base == "v2":
        start = 1
    else:
        return None
    return Place(tuple(map(decoded, parts[start:])), v1)


def decoded(segment: str) -> str:
    """A path segment in plain characters."""
    if "%" in segment:
        segment = unquote(segment, errors="strict")
    return canonical_id(segment)


def stamp_of(query: str) -> int | None:
    """``lastDirtyTimestamp`` in a raw query string; None if absent or empty. ValueError if no number."""
    start = query.find("lastDirtyTimestamp=")
    while start > 0 and query[start - 1] != "&":
        start = query.find("lastDirtyTimestamp=", start + 1)
    if start < 0:
        return None
    value = query[start + 19 :].partition("&")[0]
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 19):
        raise ValueError("lastDirtyTimestamp must be a whole number")
    return int(value)
