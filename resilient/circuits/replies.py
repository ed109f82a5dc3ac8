"""What an HTTP response, or an error that carries one, says about its service, whatever library made it."""

from __future__ import annotations

import contextlib
from email.utils import parsedate_to_datetime
from typing import Any

from ..errors import ResilientError

#: Statuses below 500 that speak against the service all the same: it was too slow, too early, too busy.
_BUSY = frozenset({408, 425, 429})
#: Statuses with which a service may say when to come back, and the longest wait that is believed (seconds).
_LATER = frozenset({429, 503})
_LONGEST_WAIT = 300.0


def status_of(thing: object) -> int | None:
    """The HTTP status a response carries as ``status`` or ``status_code``; ``None`` if it carries none.

    Only an integer between 100 and 599 counts: other things have a ``status`` too.
    """
    status = getattr(thing, "status", None)
    if not isinstance(status, int):
        status = getattr(thing, "status_code", None)
    if isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599:
        return int(status)
    return None


def _status_in(error: BaseException) -> int | None:
    """The HTTP status an error carries: its own, its ``response``'s, or its ``code``."""
    status = status_of(error)
    if status is None:
        response = getattr(error, "response", None)
        if response is not None:
            status = status_of(response)
    if status is None and not hasattr(error, "status"):
        code = getattr(error, "code", None)
        if isinstance(code, int) and not isinstance(code, bool) and 100 <= code <= 599:
            status = int(code)
    return status


#: Types of errors that are nothing but errors: no status, no response, no group, none of ours.
_ONLY_ERRORS: set[type] = set()
_MOST_TYPES = 256
_TELLING = ("status", "status_code", "response", "code", "__getattr__")


def only_failed(error: BaseException) -> bool:
    """Whether an error surely says no more than that the call has failed: it can carry no status.

    Saves the search for one in the errors that come most often. False means: look.
    """
    kind = type(error)
    if kind not in _ONLY_ERRORS:
        if (
            not issubclass(kind, Exception)
            or issubclass(kind, ExceptionGroup | ResilientError)
            or any(hasattr(kind, name) for name in _TELLING)
            or kind.__getattribute__ is not BaseException.__getattribute__
        ):
            return False
        if len(_ONLY_ERRORS) >= _MOST_TYPES:  # programs make types too
            _ONLY_ERRORS.clear()
        _ONLY_ERRORS.add(kind)
    return not error.__dict__


def callers_fault(error: object) -> bool:
    """Whether an error or response carries an HTTP 4xx that the caller caused (all but 408, 425 and 429)."""
    status = _status_in(error) if isinstance(error, BaseException) else status_of(error)
    return status is not None and 400 <= status < 500 and status not in _BUSY


def server_error(result: object) -> bool:
    """Whether a result is an HTTP response that speaks against the service: 5xx, 408, 425 or 429."""
    status = status_of(result)
    return status is not None and (status >= 500 or status in _BUSY)


def never_failed(result: object) -> bool:
    """For ``failed=``: no returned value ever speaks against the service, only errors do."""
    return False


def may_be_response(result: object) -> bool:
    """Whether it has a status at all. Types that have none are not looked at twice."""
    try:
        return hasattr(result, "status") or hasattr(result, "status_code")
    except Exception:  # a property of somebody's that raises
        return False


def retry_after(thing: object, wall: float) -> float | None:
    """Seconds that a 429 or 503 (a response, or an error that carries one) asks to wait; at most 300.

    ``wall`` is the present time, seconds since the epoch, for a header that names a date. ``None`` without a
    header that makes sense.
    """
    try:
        status = _status_in(thing) if isinstance(thing, BaseException) else status_of(thing)
        if status not in _LATER:
            return None
        headers = getattr(thing, "headers", None)
        if headers is None:
            headers = getattr(getattr(thing, "response", None), "headers", None)
        return _wait(headers, wall)
    except Exception:  # somebody's own class with properties that raise
        return None


def _wait(headers: Any, wall: float) -> float | None:
    get = getattr(headers, "get", None)
    value = (get("Retry-After") or get("retry-after")) if callable(get) else None
    if not isinstance(value, str) or len(value) > 64:
        return None
    text = value.strip()
    seconds: float | None = None
    if text.removeprefix("-").isdecimal() and text.isascii():
        seconds = float(text)
    else:
        with contextlib.suppress(ValueError, TypeError, IndexError):
            seconds = parsedate_to_datetime(text).timestamp() - wall
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_WAIT)
