"""A circuit's numbers since the start, for metrics: they never fall, whatever happens to the circuit."""

from __future__ import annotations

from typing import NamedTuple

from . import window as columns
from .circuit import Circuit
from .judge import CLOSED
from .policy import Outcome

#: The columns that are exported, in the order of :attr:`Totals.counts`.
COLUMNS = {outcome.word: int(outcome) for outcome in Outcome} | {
    "cached": columns.FROM_CACHE,
    "fallback_success": columns.FALLBACK_SUCCESS,
    "fallback_failure": columns.FALLBACK_FAILURE,
    "fallback_rejected": columns.FALLBACK_REJECTED,
    "slow": columns.SLOW,
    "late": columns.LATE,
    "retried": columns.RETRIED,
    "retry_denied": columns.RETRY_DENIED,
    "collapsed": columns.COLLAPSED,
}
_ORDER = tuple(COLUMNS.values())


class Totals(NamedTuple):
    """One circuit: counts since the start, and what holds at this moment. Durations are seconds.

    ``counts`` are in the order of :data:`COLUMNS`; ``turns`` how often it became closed, open and half-open;
    ``away`` how long it was not closed; ``latency`` calls by the buckets of :data:`.latency.BOUNDS` and one
    more, ``seconds`` their sum. ``state`` is held there by hand if ``mode`` is not ``auto``.
    """

    counts: tuple[int, ...]
    turns: tuple[int, int, int]
    away: float
    latency: list[int]
    seconds: float
    state: str
    mode: str
    observe: bool
    calls: int
    error_rate: float
    slow_rate: float
    in_flight: int
    limit: int | None
    abandoned: int


def totals(circuit: Circuit) -> Totals:
    """The circuit's numbers now, all of one moment."""
    with circuit.section:
        state = circuit.state  # ends a hold whose time is over, and notices turns of others
        now = circuit.now()
        circuit._fold(now)
        window, policy = circuit.window, circuit.policy
        sums, counted = window.sums, window.total
        lifetime = window.lifetime()
        closed, opened, half, away = circuit.turns
        latency, seconds = circuit.latencies.lifetime(now)
        return Totals(
            tuple([lifetime[column] for column in _ORDER]),
            (closed, opened, half),
            away if state == CLOSED else away + max(0.0, now - circuit._since),
            latency,
            seconds,
            state,
            circuit._mode,
            policy.observe,
            counted,
            sums[columns.BAD] / counted if counted else 0.0,
            sums[columns.DRAGGED] / counted if counted else 0.0,
            sum([crew.busy() for crew in circuit.crews]),
            policy.max_concurrent,
            max(0, circuit.abandoned),
        )
