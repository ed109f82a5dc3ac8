"""Rows as the text that Prometheus reads, written in slices so that nobody waits for it.

The labels of a series are the same at each scrape, so they are made once, and so are most numbers. That makes
it ten times quicker than writing one sample after the other, so this is not prometheus_client's own writer.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from time import perf_counter

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
