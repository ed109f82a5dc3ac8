"""One circuit of one caller: the words of all processes that have it, added up. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from operator import add, sub
from typing import Any

from .board_history import SLOW_STEP, STEP, History
from .board_latency import lately, latency_of
from .board_wire import COUNTS, Said

Row = dict[str, Any]

#: From the state that matters most to the one that matters least.
WORST_FIRST = ("forced-open", "forced-closed", "open", "half-open", "closed")
#: Turns that are remembered, and processes named in one answer.
TURNS, HOSTS = 50, 500
#: Seconds for which the quantiles of a circuit that nothing new is told of stay what they were.
_SAME = 20.0
_SUCCESS, _FAILURE, _TIMEOUT, _REFUSED, _REJECTED = (
    COUNTS.index(one) for one in ("success", "failure", "timeout", "short_circuited", "rejected")
)


class Process:
    """One process's last words. ``heard_at`` is monotonic, in seconds."""

    __slots__ = (
        "balanced",
        "balanced_at",
        "circuits",
        "heard_at",
        "instance",
        "interval",
        "service",
        "silent",
        "worker",
    )

    def __init__(self, service: str, instance: str, worker: str) -> None:
        self.service = service
        self.instance = instance
        self.worker = worker
        self.interval = 5.0
        self.heard_at = 0.0
        #: It says nothing any more: its words are left out of the sums.
        self.silent = False
        self.circuits: dict[str, Said] = {}
        self.balanced: Mapping[str, Any] = {}
        self.balanced_at = float("-inf")

    @property
    def name(self) -> str:
        return f"{self.instance}#{self.worker}" if self.worker else self.instance


class Circuit:
    """The sums. Whoever changes what a member says calls :meth:`replace`."""

    __slots__ = (
        "_lately", "_latency", "_latency_at", "counts", "heard", "history", "in_flight", "members", "name",
        "rate", "service", "state", "turns", "version",
    )  # fmt: skip

    def __init__(self, service: str, name: str, history: History | None) -> None:
        self.service = service
        self.name = name
        self.members: dict[tuple[str, str, str], Process] = {}
        self.counts = [0] * len(COUNTS)
        self.in_flight = 0
        self.rate = 0.0
        self.heard = 0
        self.history = history
        self.state = "closed"
        self.turns: deque[Row] = deque(maxlen=TURNS)
        self.version = 0
        self._latency: tuple[dict[str, float], bool] = ({}, False)
        self._latency_at = (-1, 0.0)
        self._lately: tuple[int, float, list[float] | None] = (-1, 0.0, None)

    def replace(self, old: Said | None, new: Said | None, now: float) -> None:
        """A process that is heard says ``new`` in place of ``old``; None: it said, or says, nothing."""
        self.catch_up(now)
        if old is not None:
            self.counts = list(map(sub, self.counts, old.counts))
            self.in_flight -= old.in_flight
            self.rate -= old.rate
            self.heard -= 1
        if new is not None:
            self.counts = list(map(add, self.counts, new.counts))
            self.in_flight += new.in_flight
            self.rate += new.rate
            self.heard += 1
        if not self.heard:
            self.rate = 0.0  # what rounding has left
        self.version += 1

    def catch_up(self, now: float) -> None:
        """Write history up to now: what was said holds until something else is."""
        history = self.history
        if history is None:
            return
        slot = int(now / STEP)
        if slot > history.slot:
            history.fill(slot, self._rates() if self.heard else None)
        # The dear part is :meth:`catch_up_slowly`'s, unless nobody has called that for a whole step.
        if int(now / SLOW_STEP) > history.slow_slot + 1:
            self.catch_up_slowly(now)

    def catch_up_slowly(self, now: float) -> bool:
        """Write also what is dear to know: a millisecond for a circuit that fifty processes have.

        Says whether there was anything to write.
        """
        history = self.history
        slot = int(now / SLOW_STEP)
        if history is None or slot <= history.slow_slot:
            return False
        said = self.said()
        version, at, quantiles = self._lately
        if not self.heard:
            quantiles = None
        elif version != self.version or now - at > _SAME:
            quantiles = lately(said, now)
            self._lately = (self.version, now, quantiles)
        history.fill_slow(slot, quantiles, self._spread(said))
        return True

    def _rates(self) -> tuple[float, float, float, float]:
        window = self._window()
        counts = self.counts
        fail = counts[_FAILURE] + counts[_TIMEOUT] + counts[_REJECTED]
        return self.rate, fail / window, counts[_REFUSED] / window, counts[_TIMEOUT] / window

    def _window(self) -> float:
        for process in self.members.values():
            return process.circuits[self.name].about.window or 1.0
        return 1.0

    def _spread(self, said: Iterable[Said]) -> list[int]:
        found = [0, 0, 0, 0]
        for one in said:
            found[{"closed": 0, "half-open": 1, "open": 2}.get(one.state, 3)] += 1
        return found

    def said(self) -> list[Said]:
        """What those that are heard say; if nobody is, the last words of all."""
        members = self.members.values()
        name = self.name
        if self.heard == len(members) or not self.heard:
            return [one.circuits[name] for one in members]
        return [one.circuits[name] for one in members if not one.silent]

    def states(self, said: Iterable[Said]) -> dict[str, int]:
        """How many are in which state."""
        found: dict[str, int] = {}
        for one in said:
            found[one.state] = found.get(one.state, 0) + 1
        return found

    def turn(self, wall: float, now: float) -> Row | None:
        """The worst state has become another one: what to tell, or None."""
        said = self.said()
        states = self.states(said)
        state = next(name for name in WORST_FIRST if name in states)
        if state == self.state:
            return None
        before, self.state = self.state, state
        last = max((one for one in said if one.state == state), key=lambda one: one.turned_at)
        row: Row = {
            "service": self.service,
            "name": self.name,
            "target": next((one.about.target for one in said if one.about.target), None),
            "at": round(wall - min(60.0, max(0.0, now - last.turned_at)), 3),
            "before": before,
            "state": state,
            "states": states,
            "why": last.why if state == "open" else None,
            "by": last.hold.by,
            "reason": last.hold.reason,
        }
        self.turns.appendleft(row)
        return row

    def row(self, now: float) -> Row:
        """All sums. Durations are seconds; latency is that of the last minute."""
        said = self.said()
        members = self.members.values()
        silent = [one.name for one in members if one.silent] if self.heard != len(members) else []
        states = self.states(said)
        state = next(name for name in WORST_FIRST if name in states)
        of_state = [one for one in said if one.state == state]
        first = said[0].about
        heard = bool(self.heard)
        counts = dict(zip(COUNTS, self.counts, strict=True))
        errors = counts["failure"] + counts["timeout"] + counts["rejected"]
        attempts = counts["success"] + errors
        probes = [one.probe_at for one in said if one.probe_at is not None]
        limits = [one.about.limit for one in said if one.about.limit is not None]
        latency, merged = self._latencies(said if heard else [], now)
        # Who is held by hand speaks for all: the one whose state is shown, if there is one.
        held = min(said, key=lambda one: (one.hold.mode == "auto", one.state != state)).hold
        calls = sum(one.calls for one in said) if heard else 0
        return {
            "service": self.service,
            "name": self.name,
            "group": first.group,
            "target": next((one.about.target for one in said if one.about.target), None),
            "state": state,
            "on": states[state],
            "of": len(said),
            "states": states,
            "since": now - min(one.turned_at for one in of_state),
            "retry_in": max(0.0, min(probes) - now) if probes else None,
            "window": max(one.about.window for one in said),
            "counts": counts,
            "calls": calls,
            "attempts": attempts,
            "error_rate": errors / attempts if attempts else None,
            "slow_rate": sum(one.slow for one in said) / calls if calls else 0.0,
            "rate": round(self.rate, 6),
            "in_flight": self.in_flight,
            "trials": sum(one.trials for one in said) if heard else 0,
            "limit": sum(limits) if heard and limits and len(limits) == len(said) else None,
            "latency": latency,
            "merged": merged,
            "timeout": next((one.about.timeout for one in said if one.about.timeout is not None), None),
            "last_error": next((one.last_error for one in said if one.last_error), ""),
            "min_calls": first.min_calls,
            "error_threshold": first.error_threshold,
            "observe": first.observe,
            "mode": held.mode,
            "mode_until": held.until,
            "mode_reason": held.reason,
            "mode_by": held.by,
            "command": next((one.command for one in said if one.command), ""),
            "processes": self.heard,
            "silent": sorted(silent),
        }

    def _latencies(self, heard: list[Said], now: float) -> tuple[dict[str, float], bool]:
        # Old ones leave by themselves; a few seconds more of them do no harm.
        version, at = self._latency_at
        if version != self.version or now - at > 5.0:
            self._latency = latency_of(heard, now)
            self._latency_at = (self.version, now)
        return self._latency

    def commands(self) -> dict[str, str]:
        """The last command that each process obeyed, by process."""
        return {
            process.name: command
            for process in self.members.values()
            if (command := process.circuits[self.name].command)
        }

    def detail(self, now: float, wall: float) -> Row:
        """What the list leaves out: processes, settings, turns, errors, trials."""
        said = self.said()
        with_settings = [one for one in said if one.settings]
        settings = with_settings[0].settings if with_settings else ()
        errors: dict[str, Row] = {}
        for process in self.members.values():
            one = process.circuits[self.name]
            kind = one.last_error.partition(":")[0][:100]
            if one.last_error == one.hold.reason:
                continue  # not an error, but what somebody said when holding it
            if kind and len(errors) < 20:
                row = errors.setdefault(kind, {"kind": kind, "text": one.last_error, "n": 0, "at": 0.0})
                row["n"] += 1
                row["at"] = max(row["at"], wall - (now - process.heard_at))
        return {
            "hosts": [
                _host(one, one.circuits[self.name], now, wall) for one in list(self.members.values())[:HOSTS]
            ],
            "settings": [{"name": n, "value": value, "source": source} for n, value, source in settings],
            "settings_differ": any(one.settings != settings for one in with_settings),
            "why": next((row["why"] for row in self.turns if row["why"]), None),
            "turns": [
                {
                    "at": round(row["at"] * 1000),
                    "from": row["before"],
                    "to": row["state"],
                    "why": row["why"],
                    "by": row["by"],
                    "reason": row["reason"],
                }
                for row in self.turns
            ],
            "errors": sorted(errors.values(), key=lambda row: -row["n"])[:5],
            "trials": {
                "out": sum(one.trials for one in said),
                "limit": max(one.about.trials for one in said),
            },
        }


def _host(process: Process, said: Said, now: float, wall: float) -> Row:
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
