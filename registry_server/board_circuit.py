"""One circuit of one caller: the words of all processes that have it, added up. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from .board_detail import errors_of, failures_of, host_of
from .board_history import SLOW_STEP, STEP, History
from .board_latency import lately, latency_of
from .board_wire import COUNTS, LETTERS, Said, Word

Row = dict[str, Any]

#: From the state that matters most to the one that matters least.
_WORST_FIRST = "FLOHC"
#: Turns that are remembered, and processes named in one answer.
TURNS, HOSTS = 50, 500
#: Seconds for which the quantiles of a circuit that nothing new is told of stay what they were.
_SAME = 20.0
#: How long ago a turn is told to have been at most, in seconds, and a hold's beginning.
_LATE, _HELD = 60.0, 30 * 86_400.0


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
    """The sums over all who are heard. What history is made of is kept with every word; the rest is only
    added up when somebody looks."""

    __slots__ = (
        "_fail", "_lately", "_latency", "_latency_at", "_letters", "_refused", "_row", "_row_at", "_timeouts",
        "heard", "history", "members", "name", "rate", "service", "state", "turns", "version",
    )  # fmt: skip

    def __init__(self, service: str, name: str, history: History | None) -> None:
        self.service = service
        self.name = name
        self.members: dict[tuple[str, str, str], Process] = {}
        self.rate = 0.0
        self.heard = 0
        self.history = history
        self.state = "C"
        self.turns: deque[Row] = deque(maxlen=TURNS)
        self.version = 0
        self._fail = self._refused = self._timeouts = 0
        self._letters = dict.fromkeys(_WORST_FIRST, 0)
        self._row: Row = {}
        self._row_at = (-1, 0.0, 0.0)
        self._latency: tuple[dict[str, float], bool] = ({}, False)
        self._latency_at = (-1, 0.0)
        self._lately: tuple[int, float, list[float] | None] = (-1, 0.0, None)

    def hear(self, said: Said, word: Word, rate: float, now: float) -> bool:
        """A process that is heard says ``word`` instead, with so many calls per second. Whether its state is
        another one."""
        history = self.history
        if history is not None and int(now / STEP) > history.slot:
            # History is caught up with the old sums, then the new ones hold.
            self.catch_up(now)
        old, new = said.word.counts, word.counts
        before, after = said.word.state, word.state
        timeouts = new.timeout - old.timeout
        self._timeouts += timeouts
        self._fail += new.failure - old.failure + timeouts + new.rejected - old.rejected
        self._refused += new.short_circuited - old.short_circuited
        self.rate += rate - said.rate
        self.version += 1
        said.word, said.rate, said.at = word, rate, now
        if before == after:
            return False
        self._letters[before] -= 1
        self._letters[after] += 1
        return True

    def enter(self, said: Said, now: float) -> None:
        """A process is heard (again)."""
        self._count(said, 1, now)

    def leave(self, said: Said, now: float) -> None:
        """A process is heard no more."""
        self._count(said, -1, now)

    def _count(self, said: Said, sign: int, now: float) -> None:
        self.catch_up(now)
        word = said.word
        counts = word.counts
        self._timeouts += sign * counts.timeout
        self._fail += sign * (counts.failure + counts.timeout + counts.rejected)
        self._refused += sign * counts.short_circuited
        self.rate += sign * said.rate
        self._letters[word.state] += sign
        self.heard += sign
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
        """Write also what is dear to know, the quantiles over all processes.

        Says whether there was anything to write.
        """
        history = self.history
        slot = int(now / SLOW_STEP)
        if history is None or slot <= history.slow_slot:
            return False
        version, at, quantiles = self._lately
        if not self.heard:
            quantiles = None
        elif version != self.version or (quantiles is not None and now - at > _SAME):
            quantiles = lately(self.said(), now)
            self._lately = (self.version, now, quantiles)
        letters = self._letters if self.heard else self._last_letters()
        held = letters["F"] + letters["L"]
        history.fill_slow(slot, quantiles, (letters["C"], letters["H"], letters["O"], held))
        return True

    def _rates(self) -> tuple[float, float, float, float]:
        window = self._window()
        return self.rate, self._fail / window, self._refused / window, self._timeouts / window

    def _window(self) -> float:
        for process in self.members.values():
            return process.circuits[self.name].about.window or 1.0
        return 1.0

    def _last_letters(self) -> dict[str, int]:
        found = dict.fromkeys(_WORST_FIRST, 0)
        for one in self.said():
            found[one.word.state] += 1
        return found

    def said(self) -> list[Said]:
        """What those that are heard say; if nobody is, the last words of all."""
        members = self.members.values()
        name = self.name
        if self.heard == len(members) or not self.heard:
            return [one.circuits[name] for one in members]
        return [one.circuits[name] for one in members if not one.silent]

    def target(self) -> str:
        """Whom it calls; "" if nobody has told."""
        for process in self.members.values():
            if found := process.circuits[self.name].about.target:
                return found
        return ""

    def turn(self, wall: float, now: float) -> Row | None:
        """The worst state has become another one: what to tell, or None."""
        letters = self._letters if self.heard else self._last_letters()
        for state in _WORST_FIRST:
            if letters[state]:
                break
        if state == self.state:
            return None
        before, self.state = self.state, state
        said = self.said()
        last = max((one for one in said if one.word.state == state), key=lambda one: one.turned_at)
        why = last.why or {}
        row: Row = {
            "service": self.service,
            "name": self.name,
            "target": next((one.about.target for one in said if one.about.target), None),
            # Who holds it did so then, even if this registry was started since and hears of it only now.
            "at": round(wall - min(_HELD if state in "FL" else _LATE, max(0.0, now - last.turned_at)), 3),
            "before": LETTERS[before],
            "state": LETTERS[state],
            "states": _named(letters),
            "why": last.why if state == "O" else None,
            # Who holds it, or who turned it without holding it.
            "by": last.hold.by or why.get("by", ""),
            "reason": last.hold.reason or why.get("reason", ""),
            "until": last.hold.until,
        }
        self.turns.appendleft(row)
        return row

    def row(self, now: float) -> Row:
        """All sums. Durations are seconds; latency is that of the last minute."""
        if self._row_at[0] != self.version:
            self._add_up()
        _, turned_at, probe_at = self._row_at
        latency, merged = self._latencies(now)
        return {
            **self._row,
            "since": now - turned_at,
            "retry_in": max(0.0, probe_at - now) if probe_at else None,
            "latency": latency,
            "merged": merged,
        }

    def _add_up(self) -> None:
        said = self.said()
        heard = bool(self.heard)
        letters = self._letters if heard else self._last_letters()
        state = next(one for one in _WORST_FIRST if letters[one])
        first = said[0].about
        sums = [0] * len(COUNTS)
        good = bad = slow = trials = in_flight = limit = 0
        unlimited = not heard
        window = 0.0
        target = timeout = None
        error = command = ""
        turned_at = probe_at = float("inf")
        # Who is held by hand speaks for all: the one whose state is shown, if there is one.
        held = None
        for one in said:
            word, about = one.word, one.about
            judged = word.judged
            good, bad, slow = good + judged.good, bad + judged.bad, slow + judged.slow
            trials += word.trials
            in_flight += word.in_flight
            if about.limit is None:
                unlimited = True
            else:
                limit += about.limit
            window = max(window, about.window)
            target = target or about.target
            timeout = about.timeout if timeout is None else timeout
            error = error or word.error
            if word.state == state:
                turned_at = min(turned_at, one.at - word.since)
            if word.retry_in is not None:
                probe_at = min(probe_at, one.at + word.retry_in)
            if word.held:
                command = command or word.held.command
                if word.held.mode != "auto" and (held is None or (held[0] != state and word.state == state)):
                    held = word.state, word.held
        if heard:
            sums = [sum(column) for column in zip(*[one.counts for one in said], strict=True)]
        counts = dict(zip(COUNTS, sums, strict=True))
        errors = counts["failure"] + counts["timeout"] + counts["rejected"]
        attempts = counts["success"] + errors
        calls = good + bad if heard else 0
        members = self.members.values()
        hold = held[1] if held is not None else said[0].hold
        self._row_at = (self.version, turned_at, 0.0 if probe_at == float("inf") else probe_at)
        self._row = {
            "service": self.service,
            "name": self.name,
            "group": first.group,
            "target": target,
            "state": LETTERS[state],
            "on": letters[state],
            "of": len(said),
            "states": _named(letters),
            "since": 0.0,
            "retry_in": None,
            "window": window,
            "counts": counts,
            "calls": calls,
            "attempts": attempts,
            "error_rate": errors / attempts if attempts else None,
            "slow_rate": slow / calls if calls else 0.0,
            "rate": round(self.rate, 6),
            "in_flight": in_flight if heard else 0,
            "trials": trials if heard else 0,
            "limit": None if unlimited else limit,
            "latency": {},
            "merged": False,
            "timeout": timeout,
            "last_error": error,
            "min_calls": first.min_calls,
            "error_threshold": first.error_threshold,
            "observe": first.observe,
            "mode": hold.mode,
            "mode_until": hold.until,
            "mode_reason": hold.reason,
            "mode_by": hold.by,
            "command": command,
            "processes": self.heard,
            "silent": sorted([one.name for one in members if one.silent])
            if self.heard != len(members)
            else [],
        }

    def _latencies(self, now: float) -> tuple[dict[str, float], bool]:
        # Old ones leave by themselves; a few seconds more of them do no harm.
        version, at = self._latency_at
        if version != self.version or now - at > 5.0:
            self._latency = latency_of(self.said() if self.heard else [], now)
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
        return {
            "hosts": [
                host_of(one, one.circuits[self.name], now, wall)
                for one in list(self.members.values())[:HOSTS]
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
            "errors": errors_of(self.members.values(), self.name, now, wall),
            "failures": failures_of(said),
            "trials": {
                "out": sum(one.word.trials for one in said),
                "limit": max(one.about.trials for one in said),
            },
        }


def _named(letters: Mapping[str, int]) -> dict[str, int]:
    """States that somebody is in."""
    return {LETTERS[one]: n for one, n in letters.items() if n}
