"""What happened, newest last: numbered, bounded, and folded where very much happens at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .source import Row

KEPT = 2000
#: Of one kind and service, more than so many at once become one line.
FOLDED = 5
PAGE = 200
_MOST_TEXT = 300


class Journal:
    """The last changes. ``node`` is where they were seen."""

    def __init__(self, node: Callable[[], str] = str) -> None:
        self._node = node
        self._rows: deque[Row] = deque(maxlen=KEPT)
        self._waiting: list[Mapping[str, Any]] = []
        self._number = 0

    @property
    def waiting(self) -> bool:
        """Whether something was noted that :meth:`flush` has not handed out."""
        return bool(self._waiting)

    def note(self, change: Mapping[str, Any]) -> None:
        """Something happened. It is seen after the next :meth:`flush`."""
        self._waiting.append(change)
        if len(self._waiting) >= KEPT:
            self.flush()

    def start(self, changes: Iterable[Mapping[str, Any]]) -> None:
        """What happened before anybody listened, newest first."""
        for one in reversed(list(changes)[:KEPT]):
            self._keep(one, 1)

    def flush(self) -> list[Row]:
        """Everything since the last time, as rows."""
        waiting, self._waiting = self._waiting, []
        groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
        for one in waiting:
            key = (str(one.get("kind")), str(one.get("service")), str(one.get("text")))
            groups.setdefault(key, []).append(one)
        rows = []
        for one in waiting:
            key = (str(one.get("kind")), str(one.get("service")), str(one.get("text")))
            group = groups.get(key)
            if group is None:
                continue
            if len(group) > FOLDED:
                del groups[key]
                rows.append(self._keep({**group[-1], "instance": ""}, len(group)))
            else:
                rows.append(self._keep(one, 1))
        return rows

    def _keep(self, change: Mapping[str, Any], n: int) -> Row:
        self._number += 1
        service, instance = str(change.get("service") or ""), str(change.get("instance") or "")
        row: Row = {
            "id": f"e-{self._number}",
            "at": round(float(change.get("at") or 0.0) * 1000),
            "kind": str(change.get("kind") or "change"),
            "sub": str(change.get("subject") or (f"{service}/{instance}" if instance else service)),
            "text": str(change.get("text") or "")[:_MOST_TEXT],
            "by": str(change.get("by") or ""),
            "node": str(change.get("node") or self._node()),
            "n": n,
        }
        for name in ("reason", "status", "before"):
            if change.get(name):
                row[name] = str(change[name])[:_MOST_TEXT]
        if change.get("until") is not None:
            row["until"] = round(float(change["until"]) * 1000)
        self._rows.append(row)
        return row

    def last(self, n: int = 50) -> list[Row]:
        """The last ones, newest first."""
        found: list[Row] = []
        for row in reversed(self._rows):
            if len(found) >= n:
                break
            found.append(row)
        return found

    def page(self, *, before: str = "", kind: str = "", text: str = "", subject: str = "") -> Row:
        """At most :data:`PAGE` rows older than the one named ``before``, newest first.

        ``kind``: one or several, divided by commas; ``circuit`` also stands for ``circuit_opened`` and so on.
        ``text``: words that must all be in it somewhere; ``subject``: whom it must be about.
        """
        limit = _number(before)
        kinds = [one for one in kind.split(",") if one][:20]
        words = [one for one in text.lower().split() if one][:20]
        found: list[Row] = []
        more = False
        for row in reversed(self._rows):
            if limit is not None and _number(row["id"]) >= limit:  # type: ignore[operator]
                continue
            if kinds and not any(row["kind"] == one or row["kind"].startswith(one + "_") for one in kinds):
                continue
            if subject and row["sub"] != subject and not row["sub"].startswith(subject + "/"):
                continue
            if words and not _has(row, words):
                continue
            if len(found) >= PAGE:
                more = True
                break
            found.append(row)
        return {"rows": found, "more": more, "kept": len(self._rows)}


def _number(id: str) -> int | None:
    digits = id.removeprefix("e-")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else None


def _has(row: Row, words: list[str]) -> bool:
    text = " ".join(str(row.get(name, "")) for name in ("sub", "kind", "text", "by", "reason")).lower()
    return all(word in text for word in words)
