"""What is asked of an admin page and what it answers, whatever framework carries it (pure)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from multidict import CIMultiDict

from ..web.trust import Caller

#: Bytes a body may have.
MOST_BODY = 64 * 1024
#: Rows of one page of a list, unless asked for fewer or more; and at most.
USUAL_ROWS, MOST_ROWS = 100, 1000

#: Seconds for which the reader of a stream may take nothing before it is cut off.
PATIENCE = 10.0

_NO_ONE = Caller("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request. ``path`` is decoded and as if mounted at the root; ``base`` is what stands before
    ``/admin`` where the pages are mounted elsewhere. ``may_read`` and ``may_reveal`` tell how
    much may be shown; ``rest`` is what the path names, such as a circuit."""

    method: str = "GET"
    path: str = "/"
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=CIMultiDict)
    peer: str = ""
    body: bytes = b""
    rest: str = ""
    may_read: bool = False
    may_reveal: bool = False
    base: str = ""
    caller: Caller = _NO_ONE
    payload: Mapping[str, Any] = field(default_factory=dict)
    #: All paths of the place that was asked.
    served: tuple[str, ...] = ()

    def number(self, name: str, usual: float, least: float, most: float) -> float:
        """A number of the query or the payload. Raises Refused (400) if it is none, or out of bounds."""
        given = self.payload.get(name, self.query.get(name))
        if given is None or given == "":
            return usual
        try:
            found = float("nan") if isinstance(given, bool) else float(given)
        except (TypeError, ValueError):
            found = float("nan")
        if not least <= found <= most:
            raise Refused(400, "bad-number", f"{name} must be a number from {least:g} to {most:g}")
        return found

    def page(self) -> tuple[int, int]:
        """(offset, limit) of a list."""
        limit = int(self.number("limit", USUAL_ROWS, 1, MOST_ROWS))
        return int(self.number("offset", 0, 0, 1e9)), limit


class Refused(Exception):
    """An error to answer with: ``code`` for programs, ``message`` for people."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


@dataclass(slots=True)
class Reply:
    """One answer: a body, or a stream of pieces."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None


async def close(stream: AsyncIterator[bytes]) -> None:
    """End a stream whose reader has left."""
    ending = getattr(stream, "aclose", None)
    if ending is not None:
        await ending()


class Table(NamedTuple):
    """Rows under a head. A head that ends in ``>`` is a column of numbers. Cells may be `Link`."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    more: str = ""


class Facts(NamedTuple):
    """Names and values."""

    pairs: Sequence[tuple[str, Any]]
    title: str = ""


class Words(NamedTuple):
    """A sentence; ``tone`` is ``""``, ``good``, ``warn`` or ``bad``."""

    text: str
    tone: str = ""


class Lines(NamedTuple):
    """Text whose line breaks count."""

    text: str
    title: str = ""


class Link(NamedTuple):
    """A text that leads to one of our paths."""

    text: str
    path: str


class Tone(NamedTuple):
    """A text with a colour: ``good``, ``warn``, ``bad``, ``held``, ``dim``."""

    text: str
    tone: str


Block = Table | Facts | Words | Lines


@dataclass(slots=True)
class Page:
    """What a view answers: ``data`` for programs, ``blocks`` for people, ``text`` where that is by nature
    text (then ``*/*`` gets it)."""

    title: str
    data: Any
    blocks: Sequence[Block] = ()
    status: int = 200
    text: str | None = None
    #: Said in text only if nothing else was asked for.
    plain: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


def json_body(body: bytes) -> Mapping[str, Any]:
    """The object in a body; an empty body is an empty one. Raises Refused."""
    if len(body) > MOST_BODY:
        raise Refused(413, "too-large", f"the body may have {MOST_BODY} bytes")
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "bad-json", "the body must be JSON") from None
    if not isinstance(found, dict):
        raise Refused(400, "bad-json", "the body must be a JSON object")
    return found


def wants(ask: Ask, plain: bool) -> tuple[str, bool]:
    """(``json``, ``html`` or ``text``; whether it was asked for by name).

    ``?format=`` first, then ``Accept``. Whoever takes anything gets JSON, or text where a page is ``plain``.
    """
    named = ask.query.get("format", "").lower()
    if named in ("json", "html", "text"):
        return named, True
    best, quality = "", 0.0
    for part in ask.headers.get("Accept", "")[:1024].split(","):
        media, *parameters = (one.strip().lower() for one in part.split(";"))
        kind = _MEDIA.get(media, "")
        if not kind:
            continue
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if weight > quality:
            best, quality = kind, weight
    if best and best != "any":
        return best, True
    return ("text" if plain else "json"), False


_MEDIA = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/json": "json",
    "application/problem+json": "json",
    "application/vnd.spring-boot.actuator.v3+json": "json",
    "text/plain": "text",
    "*/*": "any",
    "text/*": "text",
    "application/*": "json",
}


def same_origin(origin: str, host: str) -> bool:
    """Whether a page of ``origin`` is one that this very Host served."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower() != ""
