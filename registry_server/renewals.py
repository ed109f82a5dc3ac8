"""Many heartbeats in one request, for whoever speaks for many instances.

The body is ``[["orders", "id", dirty_at], ...]``; the stamp may be left out. The answer names rows by their
place: ``unknown`` are to register, or to register again; ``conflict`` are those whose stamp makes no sense.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import orjson

from resilient.errors import WireError

from .records import Renewal
from .registry import Registry

#: Rows, and bytes, of one request.
MOST_ROWS = 10_000
MOST_BYTES = 1024 * 1024
#: Rows that are renewed before others may have their turn: half a millisecond.
STEP = 250
_RENEWED = Renewal.RENEWED
_UNREADABLE = "the body must be an array of [service, id] or [service, id, stamp]"


def renew(registry: Registry, body: bytes) -> Generator[None, None, dict[str, list[int]]]:
    """Renew them all, in steps. WireError, and nothing renewed, if the body makes no sense."""
    try:
        rows: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise WireError("the body is not JSON") from None
    if not isinstance(rows, list):
        raise WireError(_UNREADABLE)
    if len(rows) > MOST_ROWS:
        raise WireError(f"at most {MOST_ROWS} rows are taken at once")
    for row in rows:
        if (
            type(row) is not list
            or not 2 <= len(row) <= 3
            or type(row[0]) is not str
            or type(row[1]) is not str
        ):
            raise WireError(_UNREADABLE)
    unknown: list[int] = []
    conflict: list[int] = []
    beat = registry.renew
    for place, row in enumerate(rows):
        if not place % STEP:
            yield
        stamp = row[2] if len(row) == 3 else None
        if stamp is not None and (type(stamp) is not int or stamp < 0):
            conflict.append(place)
        elif beat(row[0].lower(), row[1], stamp or None) is not _RENEWED:
            unknown.append(place)
    return {"unknown": unknown, "conflict": conflict}
