"""Rows as the text that Prometheus reads, written in slices so that nobody waits for it, and how it is sent.

The labels of a series are the same at each scrape, so they are made once, and so are most numbers. That makes
it ten times quicker than writing one sample after the other, so this is not prometheus_client's own writer.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from time import perf_counter

from ...background import off_loop
from .rows import Family, Group, Number, Row

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

#: Seconds of work between two moments at which others have a turn.
SLICE = 0.001
_ROWS = 8
#: Series that are gone keep their labels until there are so many of them, and more than of those that live.
_SPARE = 100
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_SPECIAL = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_ENDLESS = float("inf")
#: A page of more bytes is compressed on another thread, one of less than the second number not at all.
_LARGE, _SMALL = 64 * 1024, 1024


def content_type(accept: str) -> str:
    """What to answer to an ``Accept`` header: OpenMetrics for those who name it, else Prometheus's text."""
    for wish in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in wish.split(";"))
        if kind == "application/openmetrics-text" and not {"q=0", "q=0.0"} & set(parameters):
            return OPENMETRICS
    return TEXT


def _template(family: Family, labels: tuple[str, ...]) -> str:
    lines = []
    for name, pairs in family.series(labels):
        shown = ",".join(f'{key}="{value.translate(_ESCAPES)}"' for key, value in pairs.items())
        series = f"{name}{{{shown}}}" if shown else name
        lines.append(series.replace("%", "%%") + " %s\n")
    return "".join(lines)


def _plain(number: Number) -> Number | str:
    return number if -_ENDLESS < number < _ENDLESS else _SPECIAL[str(float(number))]


class _Entry:
    """One family for one set of labels: its lines as they were written last."""

    __slots__ = ("finite", "numbers", "template", "text")

    def __init__(self, family: Family, labels: tuple[str, ...]) -> None:
        self.template = _template(family, labels)
        self.finite = family.kind != "gauge"  # what is counted is
        self.numbers: tuple[Number, ...] | None = None
        self.text = b""


class Page:
    """Writes rows. What has not changed since the last page is not written again.

    What lives on from page to page is kept as it is, for new objects that live would call the garbage
    collector, and that would be the longest stall of all.
    """

    def __init__(self) -> None:
        self._known: dict[Group, dict[tuple[str, ...], list[_Entry]]] = {}

    def whole(self, rows: Iterable[Row], kind: str = TEXT) -> bytes:
        """The page, written in one go."""
        steps = self.write(rows, kind)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                page: bytes = end.value
                return page

    async def sliced(self, rows: Iterable[Row], kind: str = TEXT, pause: float = 0.0) -> bytes:
        """The page, written between the other work of this loop."""
        steps = self.write(rows, kind)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                page: bytes = end.value
                return page
            await asyncio.sleep(pause)

    def write(self, rows: Iterable[Row], kind: str = TEXT) -> Generator[None, None, bytes]:
        """The page as bytes, when the generator has ended; each step is a slice of the work."""
        groups: dict[Group, list[list[bytes]]] = {}
        lines: dict[Family, list[bytes]] = {}
        until = perf_counter() + SLICE
        for number, (group, labels, values) in enumerate(rows):
            known = self._known.get(group)
            if known is None:
                known = self._known[group] = {}
            entries = known.get(labels)
            if entries is None:
                entries = known[labels] = [_Entry(one, labels) for one in group.families]
            into = groups.get(group)
            if into is None:
                into = groups[group] = [lines.setdefault(family, []) for family in group.families]
            for out, entry, numbers in zip(into, entries, values, strict=True):
                if numbers != entry.numbers:
                    shown = numbers if entry.finite else tuple(map(_plain, numbers))
                    entry.text = (entry.template % shown).encode("utf-8", "backslashreplace")
                    entry.numbers = numbers
                out.append(entry.text)
            if number % _ROWS == 0 and perf_counter() > until:
                yield
                until = perf_counter() + SLICE
        for group, into in groups.items():
            if len(self._known.get(group, ())) > 2 * len(into[0]) + _SPARE:
                self._known.pop(group, None)
        # One copy and no more: this is megabytes, and the calls want the caches, too.
        parts: list[bytes] = []
        for family, written in lines.items():
            name = family.name if kind == OPENMETRICS else family.written
            parts.append(f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n".encode())
            parts += written
        if kind == OPENMETRICS:
            parts.append(b"# EOF\n")
        yield
        return b"".join(parts)


class Exposed:
    """Something that has rows, as the page that Prometheus reads."""

    def __init__(self) -> None:
        self._page = Page()

    def exposed(self) -> Iterator[Row]:
        """All rows, as they are now."""
        raise NotImplementedError

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type, for an ``Accept`` header."""
        kind = content_type(accept)
        return self._page.whole(self.exposed(), kind), kind

    async def serve(self, accept: str = "", pause: float = 0.0) -> tuple[bytes, str]:
        """As :meth:`page`, on an event loop: others have a turn after each millisecond of work.

        For a loop in a thread beside a busy one: with ``pause`` (0.001 is good) it sleeps so many seconds
        then, so that the other loop does not have to wait for the interpreter's lock.
        """
        kind = content_type(accept)
        return await self._page.sliced(self.exposed(), kind, pause), kind

    async def answer(self, asked: Mapping[str, str], pause: float = 0.0) -> tuple[bytes, dict[str, str]]:
        """Body and headers for a request with the headers ``asked``: compressed for those who can read it."""
        body, kind = await self.serve(asked.get("Accept", ""), pause)
        headers = {
            "Content-Type": kind,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Vary": "Accept, Accept-Encoding",
        }
        if len(body) >= _SMALL and takes_gzip(asked.get("Accept-Encoding", "")):
            headers["Content-Encoding"] = "gzip"
            # Numbers between the same names shrink to a twentieth even so. zlib needs no interpreter's lock.
            body = _packed(body) if len(body) <= _LARGE else await off_loop(_packed, body)
        return body, headers


def takes_gzip(accept: str) -> bool:
    """Whether an ``Accept-Encoding`` header names gzip."""
    for wish in accept.lower().split(","):
        coding, *parameters = (part.strip() for part in wish.split(";"))
        if coding == "gzip":
            return not {"q=0", "q=0.0"} & set(parameters)
    return False


def _packed(body: bytes) -> bytes:
    return zlib.compress(body, 1, wbits=31)
