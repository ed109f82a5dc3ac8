"""Circuits as rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...circuits.circuit import Circuit
from ...circuits.latency import BOUNDS
from ...circuits.policy import Outcome
from ...circuits.totals import COLUMNS, Totals, totals
from .rows import Family, Fold, Group, Number, Row, cumulative

#: So many circuits have series of their own; the others are summed up in one called ``other``.
MOST_CIRCUITS = 1000
STATES = ("closed", "open", "half_open", "forced_open", "forced_closed", "observing")
_WHO = ("circuit", "service")
_OUTCOMES = (*(outcome.word for outcome in Outcome), "cached")
_N_OUTCOMES = len(_OUTCOMES)
_FALLBACKS = ("success", "failure", "rejected")
_PLACE = {name: place for place, name in enumerate(COLUMNS)}
_FALLBACK = _PLACE["fallback_success"]
_SLOW, _LATE, _COLLAPSED, _RETRIED = (_PLACE[name] for name in ("slow", "late", "collapsed", "retried"))

CALLS = Family(
    "resilient_circuit_calls",
    "counter",
    "Calls by how they ended; each call counts once, before any fallback.",
    _WHO,
    "outcome",
    _OUTCOMES,
)
FALLBACKS = Family(
    "resilient_circuit_fallbacks",
    "counter",
    "Calls that asked a fallback, by what came of it; rejected: too many were at work.",
    _WHO,
    "result",
    _FALLBACKS,
)
DURATION = Family(
    "resilient_circuit_duration_seconds",
    "histogram",
    "How long calls that were made took, failed ones included; refused and cached ones are not.",
    _WHO,
    bounds=BOUNDS,
)
SLOW = Family("resilient_circuit_slow_calls", "counter", "Calls above slow_duration.", _WHO)
LATE = Family("resilient_circuit_late_calls", "counter", "Calls that ended well, after their deadline.", _WHO)
COLLAPSED = Family("resilient_circuit_collapsed_calls", "counter", "Calls that became part of a batch.", _WHO)
RETRIES = Family(
    "resilient_circuit_retries",
    "counter",
    "Repetitions of calls under way; denied: the retry budget was used up.",
    _WHO,
    "result",
    ("granted", "denied"),
)
STATE = Family(
    "resilient_circuit_state",
    "gauge",
    "The state of a circuit: exactly one of its series is 1.",
    _WHO,
    "state",
    STATES,
)
TRANSITIONS = Family(
    "resilient_circuit_transitions",
    "counter",
    "How often the circuit turned.",
    _WHO,
    "to",
    ("closed", "open", "half_open"),
)
AWAY = Family("resilient_circuit_open_seconds", "counter", "Time in which it was not closed.", _WHO)
IN_FLIGHT = Family("resilient_circuit_in_flight", "gauge", "Calls under way.", _WHO)
LIMIT = Family("resilient_circuit_concurrency_limit", "gauge", "How many calls may be under way.", _WHO)
ABANDONED = Family(
    "resilient_circuit_abandoned_threads", "gauge", "Threads at work for callers who have left.", _WHO
)
ERROR_RATIO = Family(
    "resilient_circuit_error_ratio", "gauge", "Share of bad calls in the window; 0 without calls.", _WHO
)
SLOW_RATIO = Family(
    "resilient_circuit_slow_ratio", "gauge", "Share of slow calls in the window; 0 without calls.", _WHO
)
WINDOW = Family("resilient_circuit_window_calls", "gauge", "Calls in the window that count.", _WHO)
_COUNTED = (
    CALLS, FALLBACKS, DURATION, SLOW, LATE, COLLAPSED, RETRIES, TRANSITIONS, AWAY, IN_FLIGHT, ABANDONED,
)  # fmt: skip
_PRESENT = (STATE, ERROR_RATIO, SLOW_RATIO, WINDOW)
_REST = Group(*_COUNTED)
_UNLIMITED = Group(*_COUNTED, *_PRESENT)
_LIMITED = Group(*_COUNTED, *_PRESENT, LIMIT)
FAMILIES = _LIMITED.families

_HOT = {
    name: tuple(int(name == one) for one in STATES)
    for name in STATES
}  # fmt: skip


def state_of(one: Totals) -> str:
    """The one state that is 1."""
    if one.mode != "auto":
        return f"forced_{one.mode}"
    if one.observe and one.state == "closed":
        return "observing"
    return one.state.replace("-", "_")


def rows(circuits: Iterable[Circuit], names: Fold, services: Fold) -> Iterator[Row]:
    """All circuits, one after the other."""
    rest: Totals | None = None
    for circuit in circuits:
        one = totals(circuit)
        name = names(circuit.name)
        if name == Fold.OTHER:
            rest = one if rest is None else _sum(rest, one)
            continue
        who = (name, services(circuit.target) if circuit.target else "")
        numbers = (
            *_counted(one),
            _HOT[state_of(one)],
            (one.error_rate,),
            (one.slow_rate,),
            (one.calls,),
        )
        if one.limit is None:
            yield Row(_UNLIMITED, who, numbers)
        else:
            yield Row(_LIMITED, who, (*numbers, (one.limit,)))
    if rest is not None:
        yield Row(_REST, (Fold.OTHER, Fold.OTHER), _counted(rest))


def _counted(one: Totals) -> tuple[tuple[Number, ...], ...]:
    counts = one.counts
    return (
        counts[:_N_OUTCOMES],
        counts[_FALLBACK : _FALLBACK + 3],
        cumulative(one.latency, one.seconds),
        (counts[_SLOW],),
        (counts[_LATE],),
        (counts[_COLLAPSED],),
        counts[_RETRIED : _RETRIED + 2],
        one.turns,
        (one.away,),
        (one.in_flight,),
        (one.abandoned,),
    )


def _sum(a: Totals, b: Totals) -> Totals:
    """What can be added up; the rest is nobody's."""
    return a._replace(
        counts=tuple(n + m for n, m in zip(a.counts, b.counts, strict=True)),
        turns=(a.turns[0] + b.turns[0], a.turns[1] + b.turns[1], a.turns[2] + b.turns[2]),
        away=a.away + b.away,
        latency=[n + m for n, m in zip(a.latency, b.latency, strict=True)],
        seconds=a.seconds + b.seconds,
        in_flight=a.in_flight + b.in_flight,
        abandoned=a.abandoned + b.abandoned,
    )
