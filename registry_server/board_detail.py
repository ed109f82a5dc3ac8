"""What is told of one circuit only when somebody looks at it: its processes, and how it failed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from .board_wire import COUNTS, MAX_KINDS, Said

if TYPE_CHECKING:
    from .board_circuit import Process

Row = dict[str, Any]
#: How an error's text begins where its kind is none of the program's own types.
_BEGINNINGS = {"timeout": ("timed out", "CallTimeout", "TimeoutError")}
#: What many different ones are counted as.
_OTHER = "other"
#: Different errors that are told apart, and those that are shown.
_MOST_ERRORS, _SHOWN = 20, 5


def failures_of(said: Iterable[Said]) -> list[Row]:
    """Failures of the last minutes by kind, over all processes, the most frequent first; ``last`` is the
    newest text of such an error, "" if only newer ones of other kinds are known."""
    sums: dict[str, int] = {}
    texts: list[str] = []
    for one in sorted(said, key=attrgetter("at"), reverse=True):
        for kind in one.word.kinds or ():
            sums[kind.name] = sums.get(kind.name, 0) + kind.n
        if one.word.error:
            texts.append(one.word.error)
    rest = sums.pop(_OTHER, 0)
    found = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))
    rest += sum(n for _, n in found[MAX_KINDS - 1 :])
    found = found[: MAX_KINDS - 1]
    if rest:
        found.append((_OTHER, rest))
    only = texts[0] if len(found) == 1 and texts else ""
    return [{"kind": kind, "n": n, "last": _newest(kind, texts) or only} for kind, n in found]


def _newest(kind: str, texts: Sequence[str]) -> str:
    beginnings = _BEGINNINGS.get(kind, (kind,))
    return next((text for text in texts if text.startswith(beginnings)), "")


def errors_of(members: Iterable[Process], name: str, now: float, wall: float) -> list[Row]:
    """The last errors of all processes, by what they begin with."""
    errors: dict[str, Row] = {}
    for process in members:
        one = process.circuits[name]
        kind = one.last_error.partition(":")[0][:100]
        if one.last_error == one.hold.reason:
            continue  # not an error, but what somebody said when holding it
        if kind and len(errors) < _MOST_ERRORS:
            row = errors.setdefault(kind, {"kind": kind, "text": one.last_error, "n": 0, "at": 0.0})
            row["n"] += 1
            row["at"] = max(row["at"], wall - (now - process.heard_at))
    return sorted(errors.values(), key=lambda row: -row["n"])[:_SHOWN]


def host_of(process: Process, said: Said, now: float, wall: float) -> Row:
    """One process."""
    counts = dict(zip(COUNTS, said.counts, strict=True))
    errors = counts["failure"] + counts["timeout"] + counts["rejected"]
    attempts = counts["success"] + errors
    return {
        "process": process.name,
        "instance": process.instance,
        "worker": process.worker,
        "state": said.state,
        "sinceS": round(now - said.turned_at, 1),
        "silent": process.silent,
        "heard_at": wall - (now - process.heard_at),
        "rate": round(said.rate, 2),
        "errorPercent": round(100 * errors / attempts, 1) if attempts else None,
        "refused": counts["short_circuited"],
        "inFlight": said.in_flight,
        "mode": said.hold.mode,
        "command": said.hold.command,
        "lastError": said.last_error[:200],
    }
