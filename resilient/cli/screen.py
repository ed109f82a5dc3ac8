"""What the terminal shows: quiet tables, states in words with a glyph, nothing foreign unescaped."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Foreign text longer than this is cut.
LONGEST = 512
#: Not a terminal: whoever reads lines wants none broken.
_ENDLESS = 4000

_Look = tuple[str, str, str, str]  # glyph, the same in ASCII, words, style

STATUSES: Mapping[str, _Look] = {
    "UP": ("●", "*", "up", "green"),
    "STARTING": ("◐", "~", "starting", "yellow"),
    "DOWN": ("✕", "x", "down", "red"),
    "OUT_OF_SERVICE": ("○", "o", "out of service", "yellow"),
    "UNKNOWN": ("?", "?", "unknown", "dim"),
}
CIRCUITS: Mapping[str, _Look] = {
    "closed": ("●", "*", "closed", "green"),
    "half-open": ("◐", "~", "half-open", "yellow"),
    "open": ("✕", "x", "open", "red"),
    "forced-open": ("■", "#", "forced open", "red"),
    "forced-closed": ("□", "=", "forced closed", "yellow"),
}
LEVELS: Mapping[str, _Look] = {
    "ok": ("✓", "+", "", "green"),
    "note": ("•", "-", "", "dim"),
    "problem": ("✕", "x", "", "bold red"),
}


def safe(text: object, most: int = LONGEST) -> str:
    """Foreign text for the terminal: control characters, escapes and bidi marks are spelled out."""
    plain = str(text)
    cut = plain[:most] + "…" if len(plain) > most else plain
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(_spelled(letter) for letter in cut)


def _spelled(letter: str) -> str:
    # Cc, Cf, Cs, Co, Cn: controls, formats (bidi, zero width), halves of pairs; Zl, Zp: other line ends.
    if letter != "…" and (unicodedata.category(letter)[0] == "C" or letter in "\u2028\u2029"):
        return letter.encode("unicode_escape", "backslashreplace").decode("ascii")
    return letter


def ago(seconds: float | None) -> str:
    """A duration as people say it: ``0.3 s``, ``12 s``, ``4 min``, ``3 h``, ``2 d``."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def millis(seconds: float | None) -> str:
    """A latency: ``0.8 ms``, ``12 ms``, ``1.30 s``."""
    if seconds is None:
        return ""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.00995 else f"{seconds * 1000:.0f} ms"


def count(number: int, thing: str) -> str:
    """``1 circuit``, ``2 circuits``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


class Screen:
    """One stream. Colour only on a terminal without ``NO_COLOR``; plain lines of any length elsewhere."""

    def __init__(self, console: Console | None = None, *, file: TextIO | None = None) -> None:
        self.console = console or _console(file or sys.stdout)
        encoding = (self.console.encoding or "").lower().replace("-", "")
        self._ascii = not encoding.startswith("utf")

    def show(self, *things: RenderableType) -> None:
        """Print, one below the other."""
        if self.console.is_terminal:
            for thing in things:
                self.console.print(thing, highlight=False, markup=False, soft_wrap=isinstance(thing, str))
            return
        with self.console.capture() as captured:
            for thing in things:
                self.console.print(thing, highlight=False, markup=False, soft_wrap=isinstance(thing, str))
        for line in captured.get().splitlines():
            self.console.file.write(line.rstrip() + "\n")
        self.console.file.flush()

    def state(self, looks: Mapping[str, _Look], word: str, more: str = "") -> Text:
        """A state: glyph, words and colour all say the same."""
        glyph, plain, words, style = looks.get(word, ("?", "?", safe(word, 32).lower() or "unknown", "dim"))
        text = Text.assemble((plain if self._ascii else glyph, style), (f" {words}".rstrip(), style))
        if more:
            text.append(f", {more}", "dim")
        return text

    def mark(self, level: str) -> Text:
        """The mark of a check: ``ok``, ``note`` or ``problem``."""
        return self.state(LEVELS, level)

    @property
    def dot(self) -> str:
        """What stands between two remarks on one line."""
        return " - " if self._ascii else " · "


def table(*columns: str) -> Table:
    """A table without lines. A column whose name ends with ``>`` is flush right."""
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for name in columns:
        made.add_column(
            name.removesuffix(">"), justify="right" if name.endswith(">") else "left", overflow="fold"
        )
    return made


def show_json(value: object) -> None:
    """JSON in ASCII, so that nothing in it can reach a terminal as anything but text."""
    print(json.dumps(value, indent=2))


def _console(file: TextIO) -> Console:
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console.width = _ENDLESS
    return console
