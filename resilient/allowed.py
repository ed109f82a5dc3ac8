"""Deadlines that travel: what our own caller has left, and what whoever we call may take.

A header says how many milliseconds are left, never a time of day: two machines need not agree on the clock.
It goes to instances of services only, so no stranger learns how patient we are.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from .circuits.allowance import LEAST_GRANTED, Allowance
from .circuits.attempt import BOTTOM, CURRENT, watch
from .errors import CallTimeout
from .runtime import current

#: The header, and as ASGI spells it.
DEADLINE = "Resilient-Deadline-Ms"
DEADLINE_RAW = DEADLINE.lower().encode()

#: Milliseconds believed at most: what is longer bounds nothing.
MOST = 3_600_000


def told(text: str | bytes) -> float | None:
    """Seconds that such a header grants; ``None`` for one that makes no sense. 0.0: too late already."""
    if len(text) > 7 or not text.isdigit() or not text.isascii():
        return None
    milliseconds = int(text)
    return milliseconds / 1000 if milliseconds <= MOST else None


def telling(seconds: float) -> str:
    """The header's value for a try that may take so long: rounded down, but something is left."""
    return str(int(min(seconds * 1000, MOST)) or 1)


@contextlib.contextmanager
def allowed(seconds: float) -> Iterator[Allowance]:
    """No call made in this block takes longer than until ``seconds`` from now."""
    watch()
    allowance = Allowance(seconds, current().clock.monotonic)
    assert allowance.began is not None
    token = CURRENT.set((allowance, allowance.began, BOTTOM))
    try:
        yield allowance
    finally:
        allowance.close()
        with contextlib.suppress(ValueError):  # closed in another context
            CURRENT.reset(token)


def too_late(seconds: float) -> bool:
    """Whether there is no point in beginning."""
    return seconds < LEAST_GRANTED


def lapsed(error: BaseException, allowance: Allowance) -> bool:
    """Whether that error of a handler means no more than that its caller's time is up."""
    return isinstance(error, CallTimeout) and allowance.remaining() <= 0.0


_TEXT = "the time that the caller had for this request is up"

#: What the caller gets, if it still listens.
TOO_LATE: tuple[int, dict[str, str], bytes] = (
    504,
    {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"},
    json.dumps({"error": {"code": "DeadlineExceeded", "message": _TEXT}}).encode(),
)
