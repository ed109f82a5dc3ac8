"""The same as plain tables, for browsers that cannot run the pages, and for terminals. No script at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from .frames import WORST
from .source import Row

#: Rows of each table, and characters of one cell.
MOST, CHANGES, LONGEST = 500, 50, 200
WORDS = {
    "C": "closed",
    "H": "half-open",
    "O": "open",
    "F": "forced open",
    "L": "forced closed",
    "D": "disabled",
    "M": "measuring only",
}
_TROUBLE = (("down", "down"), ("late", "late"), ("oos", "out of service"), ("start", "starting"))
_NONE = "\N{EN DASH}"


def page(services: Row, circuits: Row, changes: Row) -> bytes:
    """The whole page, from the answers that the other pages get."""
    now = services["now"]
    totals = services.get("totals") or {}
    rows = sorted(services["rows"], key=_need)
    found = sorted(
        circuits["rows"], key=lambda row: (WORST.find(row["state"]), -(row["errorPercent"] or 0.0))
    )
    opened = sum(row["state"] == "O" for row in found)
    summary = (
        f"<p>As of {_time(now)} UTC. {totals.get('up', 0)} of {totals.get('total', 0)} instances are up, "
        f'{opened} of {len(found)} circuits are open. <a href="plain">Look again</a>, or try the '
        '<a href="./">pages</a>: they need a browser of the last two years, with JavaScript.</p>'
    )
    parts = [
        summary,
        _table(
            "Services",
            ("Service", "Up", "Of", "Needs attention", "Oldest heartbeat", "Calls/s"),
            [_service(row) for row in rows[:MOST]],
            len(rows),
        ),
        _table(
            "Circuits",
            ("State", "Circuit", "Errors", "Calls/s", "Refused", "Hosts"),
            [_circuit(row) for row in found[:MOST]],
            len(found),
        ),
        _table(
            "Changes",
            ("When (UTC)", "What", "Who", "Why", "By"),
            [_change(row) for row in changes["rows"][:CHANGES]],
            len(changes["rows"]),
        ),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Resilient, plain tables</title></head>\n'
        "<body><h1>Resilient</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    ).encode()


def _need(row: Mapping[str, Any]) -> tuple[float, float, str]:
    total = row["total"] or 1
    return -row["down"] / total, -row["late"] / total, row["n"]


def _service(row: Mapping[str, Any]) -> Sequence[object]:
    trouble = ", ".join(f"{row[key]} {word}" for key, word in _TROUBLE if row.get(key))
    oldest, calls = row.get("oldestS"), row.get("callsPerS")
    return (
        row["n"],
        row["up"],
        row["total"],
        trouble or _NONE,
        _NONE if oldest is None else f"{oldest:.0f} s",
        _NONE if calls is None else f"{calls:g}",
    )


def _circuit(row: Mapping[str, Any]) -> Sequence[object]:
    state, hosts, error = row["state"], row.get("hosts") or 1, row["errorPercent"]
    return (
        WORDS.get(state, state) + (f" on {row['inState']} of {hosts}" if hosts > 1 and state != "C" else ""),
        row["id"],
        _NONE if error is None else f"{error:g}%",
        f"{row['rate']:g}",
        row["counts"][2],
        hosts,
    )


def _change(row: Mapping[str, Any]) -> Sequence[object]:
    times = f", {row['n']} times" if row["n"] > 1 else ""
    why = "; ".join(filter(None, (row["text"], row.get("reason"))))
    return _time(row["at"]), row["kind"].replace("_", " ") + times, row["sub"], why, row["by"]


def _time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _table(name: str, heads: Iterable[str], rows: Sequence[Sequence[object]], total: int) -> str:
    more = f" ({len(rows)} of {total})" if total > len(rows) else ""
    head = "".join(f'<th scope="col" align="left">{escape(one)}</th>' for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_text(one)}</td>' for one in row)}</tr>\n" for row in rows)
    empty = "" if rows else "<p>None.</p>"
    return (
        f'<h2>{escape(name)}{more}</h2>{empty}<table border="1" cellpadding="4" cellspacing="0">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
    )


def _text(value: object) -> str:
    text = str(value)
    return escape(text if len(text) <= LONGEST else text[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}")
