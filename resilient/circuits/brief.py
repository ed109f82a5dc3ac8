"""A circuit in few and cheap words, for telling others about hundreds of them every second.

A **row** is a list; what it holds is named by the constants below. Durations are seconds. Latencies are
those of ten-second periods, which have numbers that only grow: whoever heard of a period that has ended needs
to hear of it no more.
"""

from __future__ import annotations

import math
from typing import Any

from .circuit import Circuit
from .policy import Outcome
from .window import BAD, DRAGGED, FALLBACK_SUCCESS, GOOD, RETRY_DENIED

Row = list[Any]
#: Characters of what somebody said who turned a circuit by hand.
MOST_SAID = 200

#: The places in a row. ``PERIODS`` are lists of number, lowest bucket, counts, sum and longest (s).
#: ``KINDS`` are pairs of a failure's kind and its count, the most frequent first; a row of a circuit that has
#: not failed for long ends before them.
NAME, STATE, SINCE, RETRY_IN, COUNTS, JUDGED, IN_FLIGHT, TRIALS, PERIODS, ERROR, MODE, KINDS = range(12)
#: The order of ``COUNTS``. ``JUDGED`` holds good, bad and slow calls, as the judge counts them.
WORDS = (
    *(one.word for one in Outcome),
    *("fallback_success", "fallback_failure", "fallback_rejected", "late", "slow"),
    *("response_from_cache", "collapsed", "retried", "retry_denied"),
)
assert WORDS[FALLBACK_SUCCESS :: RETRY_DENIED - FALLBACK_SUCCESS] == ("fallback_success", "retry_denied")
STATES = {"closed": "C", "open": "O", "half-open": "H"}
_HELD = {"open": "F", "closed": "L"}


def brief(circuit: Circuit, known: int) -> tuple[Row, int]:
    """A row, and the number of the newest period in it; only periods from ``known`` on are told."""
    with circuit.section:
        now = circuit.now()
        circuit._fold(now)
        circuit._end_hold(now)
        state = circuit._notice()
        window = circuit.window
        if now >= window.end:
            window.roll(now)
        sums = window.sums
        mode = circuit._mode
        left = circuit.open_until - now
        periods: list[Row] = []
        newest = known
        for number, histogram in circuit.latencies.periods(now):
            if number >= known:
                lowest, counts = histogram.dense()
                periods.append(
                    [number, lowest, counts, round(histogram.total, 6), round(histogram.longest, 6)]
                )
                newest = number
        held: Any = 0
        if mode != "auto" or circuit._command:
            until = circuit._mode_until
            held = [
                mode,
                None if until == math.inf else round(circuit.clock.time() + until - now, 3),
                circuit._mode_reason,
                circuit._mode_by,
                circuit._command,
            ]
        row = [
            circuit.name,
            _HELD[mode] if mode != "auto" else STATES.get(state, "C"),
            round(now - circuit._since, 3),
            round(left, 3) if 0 < left < math.inf else None,
            sums[: RETRY_DENIED + 1],
            [sums[GOOD], sums[BAD], sums[DRAGGED]],
            sum(crew.busy() for crew in circuit.crews),
            len(circuit._trials),
            periods,
            circuit.last_error[:200],
            held,
        ]
        if kinds := circuit.kinds.told():
            row.append([list(pair) for pair in kinds])
    return row, newest


def why(circuit: Circuit) -> dict[str, object] | None:
    """The rule that has just opened a circuit, as far as its window still shows it; or who turned it."""
    policy = circuit.policy
    with circuit.section:
        good, bad, slow = (circuit.window.sums[place] for place in (GOOD, BAD, DRAGGED))
        text = circuit.last_error[:200]
        row = circuit._storage.counter
        hand = circuit.turned_by
    calls = good + bad
    found: dict[str, object] = {"calls": calls, "text": text}
    if hand is not None:
        by, reason = hand
        found.update(rule="hand", value=None, limit=None, by=by[:MOST_SAID], reason=reason[:MOST_SAID])
    elif calls >= policy.min_calls and bad and bad >= policy.error_rate * calls:
        found.update(
            rule="error_rate", value=round(100 * bad / calls, 1), limit=round(100 * policy.error_rate, 1)
        )
    elif policy.slow_duration is not None and slow and calls and slow >= policy.slow_rate * calls:
        found.update(
            rule="slow_rate", value=round(100 * slow / calls, 1), limit=round(100 * policy.slow_rate, 1)
        )
    elif policy.fail_max and row >= policy.fail_max:
        found.update(rule="fail_max", value=row, limit=policy.fail_max)
    else:
        found.update(rule="trial", value=None, limit=None)
    return found


def about(circuit: Circuit) -> dict[str, object]:
    """What seldom changes."""
    policy = circuit.policy
    return {
        "group": circuit.group,
        "target": circuit.target,
        "window": policy.window,
        "limit": policy.max_concurrent,
        "timeout": circuit.limit,
        "min_calls": policy.min_calls,
        "error_threshold": policy.error_rate,
        "trials": policy.trials,
        "observe": policy.observe,
        "isolation": policy.isolation,
    }


def settings(circuit: Circuit) -> list[list[str]]:
    """What is in force: name, value, and where that came from."""
    return [[one.name, one.value, one.source] for one in circuit.settings()]
