"""Which trouble says what about an instance, and which may be tried again elsewhere."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import IntEnum

_REFUSED = f"[Errno {errno.ECONNREFUSED}]"
_DEPTH = 12  # how far a chain of causes is followed


class Verdict(IntEnum):
    """What one try says about its instance."""

    GOOD = 0
    FAULT = 1  # the question was wrong; answered, but never better than average
    NEUTRAL = 2  # says nothing
    OVERLOAD = 3  # "not now": leave it alone for a while, but it is not broken
    FAILED = 4
    TIMED_OUT = 5
    CONNECT = 6  # no connection; nothing was sent
    REFUSED = 7  # nobody listens there; nothing was sent

    @property
    def failure(self) -> bool:
        return self >= Verdict.FAILED

    @property
    def unsent(self) -> bool:
        return self >= Verdict.CONNECT


#: Why a try was no success. ``body``: the answer broke off after its beginning had been taken for one.
TROUBLES = ("refused", "connect", "timeout", "status", "broken", "overload", "void", "body")
TROUBLE = {
    Verdict.NEUTRAL: "void",
    Verdict.OVERLOAD: "overload",
    Verdict.FAILED: "broken",
    Verdict.TIMED_OUT: "timeout",
    Verdict.CONNECT: "connect",
    Verdict.REFUSED: "refused",
}

#: What may be repeated, if repeating is harmless at all.
RETRYABLE = frozenset({408, 425, 502, 503, 504})
#: Server errors that speak about the question, not about the copy that answered.
_ANSWERS = frozenset({501, 505, 511})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def judge_status(status: int, retry_after: float | None = None) -> Verdict:
    """What an HTTP status says about the instance that sent it; ``retry_after`` is in seconds."""
    if status < 400:
        return Verdict.GOOD
    if status < 500:
        if status == 429:
            return Verdict.OVERLOAD
        if status == 408:
            return Verdict.FAILED
        return Verdict.NEUTRAL if status == 425 else Verdict.FAULT
    if status in _ANSWERS:
        return Verdict.GOOD
    if status == 503 and retry_after is not None:
        return Verdict.OVERLOAD
    return Verdict.FAILED


def harmless(method: str, headers: Mapping[str, str] | None = None, *, also: tuple[str, ...] = ()) -> bool:
    """Whether sending a request twice does no more than sending it once.

    ``also`` names further methods that the caller vouches for, such as ``PUT``.
    """
    method = method.upper()
    if method in _SAFE or method in also:
        return True
    return headers is not None and any(name.lower() == "idempotency-key" for name in headers)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an exception carries, as the common libraries spell it."""
    if not isinstance(error, Exception):  # SystemExit has a code too
        return None
    for owner in (error, getattr(error, "response", None)):
        # urllib's word is asked for last and only alone: aiohttp has both, and warns about the old one.
        for name in ("status", "status_code", "code"):
            if hasattr(owner, name):
                value = getattr(owner, name)
                if type(value) is int and 100 <= value <= 599:
                    return value
                break
    return None


def parse_retry_after(text: str | None, wall: float) -> float | None:
    """A ``Retry-After`` header in seconds; ``wall`` is now, for those who answer with a date."""
    if not text or len(text) > 64:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall)
    except (ValueError, TypeError, OverflowError):
        return None


def retry_after_of(error: BaseException) -> float | None:
    """The ``Retry-After`` in seconds that an exception with a response carries; dates are not read."""
    for owner in (error, getattr(error, "response", None)):
        headers = getattr(owner, "headers", None)
        get = getattr(headers, "get", None)  # urllib's headers are no Mapping
        text = get("Retry-After") if callable(get) else None
        if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10:
            return float(text)
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was made of: causes, contexts, groups, libraries' own wrappers."""
    waiting, seen = [error], 0
    while waiting and seen < _DEPTH:
        seen += 1
        one = waiting.pop(0)
        yield one
        inner: list[object] = [one.__cause__, one.__context__, getattr(one, "reason", None)]
        if isinstance(one, BaseExceptionGroup):
            inner += one.exceptions
        inner += one.args[:1]
        waiting += [other for other in inner if isinstance(other, BaseException)]


def refused(error: BaseException) -> bool:
    """Whether, beneath all wrapping, somebody's port was closed."""
    return any(
        isinstance(one, ConnectionRefusedError)
        or (isinstance(one, OSError) and (one.errno == errno.ECONNREFUSED or _REFUSED in str(one)))
        for one in causes(error)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one HTTP library spells trouble.

    ``never_sent``: the request did not leave, so it may always go again. ``timeouts``: it may have
    arrived and nobody answered in time. ``broken``: the connection broke on the way. The first that
    matches decides, in this order. ``never_sent_if`` is for libraries that wrap the cause;
    ``busy`` names errors of the caller's own connection pool: nothing was sent, and the instance is
    not to blame.
    """

    never_sent: tuple[type[BaseException], ...] = ()
    broken: tuple[type[BaseException], ...] = ()
    timeouts: tuple[type[BaseException], ...] = ()
    busy: tuple[type[BaseException], ...] = ()
    never_sent_if: Callable[[BaseException], bool] | None = None

    def judge(self, error: BaseException) -> Verdict:
        """What an error, raised before response headers, says about the instance."""
        if isinstance(error, self.busy):
            return Verdict.OVERLOAD
        if isinstance(error, self.never_sent) or (
            self.never_sent_if is not None and self.never_sent_if(error)
        ):
            return Verdict.REFUSED if refused(error) else Verdict.CONNECT
        if isinstance(error, self.timeouts):
            return Verdict.TIMED_OUT
        if isinstance(error, self.broken):
            return Verdict.FAILED
        return Verdict.NEUTRAL


#: For functions that use a library without a door: what the standard library itself says.
STANDARD = Dialect(
    never_sent=(ConnectionRefusedError, socket.gaierror),
    timeouts=(TimeoutError,),
    broken=(ConnectionError,),
    never_sent_if=lambda error: isinstance(error, Exception) and refused(error),
)
