"""The diagram of a circuit's states in docs/circuits.md, found out by trying: `tools/state_diagram.py`

A real circuit on a clock of its own is put into each state it can reach, and everything that can happen is
let happen there. What follows is written down, so that the picture cannot say what the code does not do.
With ``--check`` nothing is written; the exit status is 1 if the page is out of date.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

from resilient.circuits.circuit import Circuit
from resilient.circuits.policy import CircuitPolicy
from resilient.clock import ManualClock
from resilient.errors import CallRejected

PAGE = Path(__file__).parent.parent / "docs" / "circuits.md"
BEGIN = "<!-- states: written by tools/state_diagram.py -->"
END = "<!-- end of states -->"


class _Bad(Exception):
    pass


class _Void(Exception):
    pass


class _Still(Random):
    def random(self) -> float:
        return 0.0


POLICY = CircuitPolicy(
    window=60.0, min_calls=20, fail_max=15, slow_duration=1.0, slow_rate=0.5, trial_timeout=10.0, ignore=_Void
)


class Subject:
    """One circuit, and what can be done to it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.circuit = Circuit("subject", POLICY, clock=self.clock, rng=_Still())
        self.circuit.look()

    def call(self, error: Exception | None = None, seconds: float = 0.0) -> bool:
        """One call; False if it was refused."""
        try:
            attempt = self.circuit.admit(len)
        except CallRejected:
            return False
        attempt.began = self.circuit.now()
        self.clock.advance(seconds)
        if error is not None:
            self.circuit.failed(attempt, error)
        else:
            self.circuit.ended(attempt, 1)
        return True

    def calls(self, good: int, bad: int, seconds: float = 0.0) -> bool:
        done = True
        for _ in range(good):
            done &= self.call(seconds=seconds)
        for _ in range(bad):
            done &= self.call(_Bad())
        return done

    def hangs(self) -> bool:
        """A trial that does not end; the next caller finds that out."""
        try:
            self.circuit.admit(len).began = self.circuit.now()
        except CallRejected:
            return False
        self.clock.advance(POLICY.longest_trial)
        self.call()
        return True

    def waits(self, seconds: float) -> bool:
        """Time passes; the next caller finds that out, and his call is given up without a verdict."""
        self.clock.advance(seconds)
        self.call(_Void())
        return True

    @property
    def state(self) -> str:
        return self.circuit.snapshot().shown_state


_HOUR = 3600.0
#: Everything that can happen, in words, and how to let it happen. One is left out where a better one fits.
EVENTS: dict[str, Callable[[Subject], object]] = {
    "a call goes well": lambda one: one.call(),
    "a call fails": lambda one: one.call(_Bad()),
    "a call is slow": lambda one: one.call(seconds=1.1),
    "a call ends without a verdict": lambda one: one.call(_Void()),
    "a call does not end within trial_timeout": lambda one: one.hangs(),
    "error_rate of at least min_calls failed": lambda one: one.calls(10, 10),
    "fail_max failed in a row": lambda one: one.calls(0, 15),
    "slow_rate of at least min_calls were slow": lambda one: one.calls(20, 0, 1.1),
    "reset_timeout is over, a call comes": lambda one: one.waits(POLICY.reset_timeout),
    "open()": lambda one: one.circuit.open(),
    "open(seconds)": lambda one: one.circuit.open(_HOUR),
    "close()": lambda one: one.circuit.close(),
    "close(seconds)": lambda one: one.circuit.close(_HOUR),
    "its seconds are over": lambda one: one.waits(_HOUR),
    "open(math.inf)": lambda one: one.circuit.open(math.inf),
    "auto()": lambda one: one.circuit.auto(),
}
#: The same as another event, seen from a state where both can be told apart from outside only.
_SAME = {
    "closed": {"a call fails", "a call is slow", "its seconds are over", "open(math.inf)"},
    "open": {"its seconds are over", "open(math.inf)"},
    "half-open": {
        "error_rate of at least min_calls failed",
        "fail_max failed in a row",
        "slow_rate of at least min_calls were slow",
        "its seconds are over",
        "reset_timeout is over, a call comes",
        "open(math.inf)",
    },
    "forced-open": {"open(math.inf)"},
    "forced-closed": {"open(math.inf)"},
}


def explored() -> dict[tuple[str, str], str]:
    """Where each event leads from each state that can be reached, by (state, event)."""
    paths: dict[str, list[str]] = {Subject().state: []}
    found: dict[tuple[str, str], str] = {}
    waiting = list(paths)
    while waiting:
        state = waiting.pop(0)
        for event, happen in EVENTS.items():
            subject = Subject()
            for step in paths[state]:
                EVENTS[step](subject)
            assert subject.state == state, (paths[state], subject.state)
            happen(subject)
            found[state, event] = subject.state
            if subject.state not in paths:
                paths[subject.state] = [*paths[state], event]
                waiting.append(subject.state)
    return found


def turns() -> dict[tuple[str, str], list[str]]:
    """The events that turn the circuit, by (from, to)."""
    found: dict[tuple[str, str], list[str]] = {}
    for (state, event), to in explored().items():
        again = state == to == "open" and event.startswith("reset_timeout")
        if (state != to or again) and event not in _SAME[state]:
            found.setdefault((state, to), []).append(event)
    return found


def written() -> str:
    """The section of the page."""
    rows = turns()
    lines = [BEGIN, "```mermaid", "stateDiagram-v2", "    [*] --> closed"]
    names = {"half-open": "half_open", "forced-open": "forced_open", "forced-closed": "forced_closed"}
    lines += [f'    state "{name}" as {short}' for name, short in names.items()]
    for (state, to), events in rows.items():
        label = "<br/>".join(events)
        lines.append(f"    {names.get(state, state)} --> {names.get(to, to)}: {label}")
    lines += ["```", "", "The same in words; whatever is not listed turns nothing:", "", "```text"]
    for (state, to), events in rows.items():
        head = f"{state} -> {to}"
        for event in events:
            lines.append(f"{head:<30}{event}")
            head = ""
    return "\n".join([*lines, "```", END])


def main(arguments: list[str]) -> int:
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    fresh = before + written() + rest.split(END)[1]
    if fresh == text:
        return 0
    if "--check" in arguments:
        print(f"{PAGE.name} is out of date: run tools/state_diagram.py")
        return 1
    PAGE.write_text(fresh)
    print(f"{PAGE.name} was written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
