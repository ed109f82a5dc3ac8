"""The latest word on every circuit, summed over the processes that have it.

Processes push what their circuits look like; :class:`Board` keeps the last push of each, adds them
up per caller and circuit, and remembers a few minutes of rates. Nothing here does input or output,
and every collection has a bound.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from resilient.circuits.latency import Histogram
from resilient.clock import Clock
from resilient.errors import WireError

from .board_wire import COUNTS, Push, Snapshot, read_push

#: Seconds one point of history stands for, and how many points :meth:`Board.view` hands out (2 minutes).
STEP = 2.0
POINTS = 60

#: A process silent for so many of its own intervals leaves the sums; after so many seconds it is gone.
STALE_INTERVALS = 3
FORGET_AFTER = 60.0

_ERRORS = ("failure", "timeout", "rejected")
_ATTEMPTS = ("success", *_ERRORS)
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_LATENCIES = ("mean", "p50", "p90", "p95", "p99", "max")
#: From the state that matters most to the one that matters least.
_WORST_FIRST = ("forced-open", "forced-closed", "open", "half-open", "closed")

_NAN = float("nan")


class _Process:
    """One process's last push, and when it came."""

    __slots__ = ("circuits", "heard_at", "instance", "interval", "service", "worker")

    def __init__(self, push: Push, now: float) -> None:
        self.service = push.service
        self.instance = push.instance
        self.worker = push.worker
        self.interval = push.interval
        self.circuits = push.circuits
        self.heard_at = now

    @property
    def name(self) -> str:
        return f"{self.instance}#{self.worker}" if self.worker else self.instance

    def silent(self, now: float) -> bool:
        return now - self.heard_at > STALE_INTERVALS * self.interval


class _Key(NamedTuple):
    service: str
    name: str


class _Circuit:
    """One circuit of one caller: who has it, and how its rates were lately."""

    __slots__ = ("failing", "members", "rate", "refused", "slot")

    def __init__(self, slot: int) -> None:
        self.members: dict[tuple[str, str, str], _Process] = {}
        self.slot = slot
        self.rate = array("f")
        self.failing = array("f")
        self.refused = array("f")

    def record(self, slot: int, key: _Key, now: float, keep: int) -> None:
        """Close all slots before ``slot`` with the sums as they are: a word holds until the next one."""
        missing = min(slot - self.slot, keep)
        if missing <= 0:
            return
        self.slot = slot
        sums = (_NAN, _NAN, _NAN)
        heard = [one.circuits[key.name] for one in self.members.values() if not one.silent(now)]
        if heard:
            sums = _rates(heard)
        for series, value in zip((self.rate, self.failing, self.refused), sums, strict=True):
            series.extend([value] * missing)
            # Trimmed in large steps, because deleting from the front moves the rest.
            if len(series) > keep + POINTS:
                del series[: len(series) - keep]


def _rates(snapshots: Iterable[Snapshot]) -> tuple[float, float, float]:
    """Calls, failing calls and refused calls per second, summed."""
    rate = failing = refused = 0.0
    for one in snapshots:
        rate += one.rate
        window = one.window or 1.0
        failing += sum(one.counts[name] for name in _ERRORS) / window
        refused += one.counts["short_circuited"] / window
    return rate, failing, refused


class Board:
    """What all processes said of their circuits.

    ``history`` is how many seconds of rates are kept per circuit. ``max_processes`` bounds the
    processes, ``max_circuits`` the circuits over all callers; ten times as many snapshots are kept.
    Circuits beyond that are left out and counted in :attr:`dropped`.
    """

    def __init__(
        self, clock: Clock, *, history: float = 900.0, max_processes: int = 5000, max_circuits: int = 20000
    ) -> None:
        self._clock = clock
        self._keep = max(POINTS, int(history / STEP))
        self._max_processes = max_processes
        self._max_circuits = max_circuits
        self._max_snapshots = max_circuits * 10
        self._processes: dict[tuple[str, str, str], _Process] = {}
        self._circuits: dict[_Key, _Circuit] = {}
        self._snapshots = 0
        self._swept_at = clock.monotonic()
        #: Grows with every push that was taken.
        self.version = 0
        #: Circuits that were left out because the board was full.
        self.dropped = 0

    def put(self, body: Mapping[str, object]) -> Push:
        """Take one push: everything a process has to say of its circuits, in place of what it said before.

        Returns it as it was understood.

        Raises :class:`WireError` naming the field that makes no sense, or if the board is full of
        processes that are heard; the board is then as it was.
        """
        push = read_push(body)
        now = self._clock.monotonic()
        if now - self._swept_at >= 1.0:
            self._sweep(now)
        identity = (push.service, push.instance, push.worker)
        before = self._processes.get(identity)
        if before is None and len(self._processes) >= self._max_processes:
            raise WireError(f"instance: the board is full, {self._max_processes} processes are on it")
        slot = int(now / STEP)
        if before is not None:
            self._snapshots -= len(before.circuits)
            for name in before.circuits:
                key = _Key(push.service, name)
                self._circuits[key].record(slot, key, now, self._keep)
                if name not in push.circuits:
                    self._leave(key, identity)
        process = _Process(push, now)
        for name in list(push.circuits):
            key = _Key(push.service, name)
            circuit = self._circuits.get(key)
            full = self._snapshots >= self._max_snapshots
            if full or (circuit is None and len(self._circuits) >= self._max_circuits):
                del push.circuits[name]
                self._leave(key, identity)
                self.dropped += 1
                continue
            if circuit is None:
                circuit = self._circuits[key] = _Circuit(slot)
            circuit.record(slot, key, now, self._keep)
            circuit.members[identity] = process
            self._snapshots += 1
        self._processes[identity] = process
        self.version += 1
        return push

    def forget(self, service: str, instance: str, worker: str | None = None) -> None:
        """Forget a process that signed out; without ``worker``, every process of that instance."""
        for identity in [one for one in self._processes if one[:2] == (service, instance)]:
            if worker is None or identity[2] == worker:
                self._remove(identity)

    def view(self) -> list[dict[str, object]]:
        """Every circuit of every caller, summed over the processes heard lately; ordered by caller and name.

        Durations are seconds, rates are calls per second. ``error_rate`` is ``None`` when nothing
        was attempted. ``history`` holds the last two minutes, oldest first, one point per ``step``
        seconds; ``None`` stands where nobody was heard.
        """
        now = self._clock.monotonic()
        self._sweep(now)
        slot = int(now / STEP)
        rows = []
        for key, circuit in sorted(self._circuits.items()):
            circuit.record(slot, key, now, self._keep)
            rows.append(_row(key, circuit, now))
        return rows

    def __len__(self) -> int:
        """How many processes are on the board."""
        return len(self._processes)

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        for identity in [i for i, one in self._processes.items() if now - one.heard_at > FORGET_AFTER]:
            self._remove(identity)

    def _remove(self, identity: tuple[str, str, str]) -> None:
        process = self._processes.pop(identity)
        self._snapshots -= len(process.circuits)
        for name in process.circuits:
            self._leave(_Key(process.service, name), identity)
        self.version += 1

    def _leave(self, key: _Key, identity: tuple[str, str, str]) -> None:
        circuit = self._circuits.get(key)
        if circuit is None:
            return
        circuit.members.pop(identity, None)
        if not circuit.members:
            del self._circuits[key]


def _row(key: _Key, circuit: _Circuit, now: float) -> dict[str, object]:
    heard: list[tuple[Snapshot, float]] = []
    silent: list[str] = []
    states: dict[str, int] = {}
    for process in circuit.members.values():
        if process.silent(now):
            silent.append(process.name)
        else:
            heard.append((process.circuits[key.name], now - process.heard_at))
    # When nobody is heard any more, the last words still say what it was; the sums stay empty.
    said = heard or [(one.circuits[key.name], now - one.heard_at) for one in circuit.members.values()]
    for one, _ in said:
        states[one.state] = states.get(one.state, 0) + 1
    state = next(name for name in _WORST_FIRST if name in states)
    snapshots = [one for one, _ in heard]
    counts = {name: sum(one.counts[name] for one in snapshots) for name in COUNTS}
    attempts = sum(counts[name] for name in _ATTEMPTS)
    retry = [max(0.0, one.retry_in - age) for one, age in said if one.retry_in is not None]
    limits = [one.limit for one in snapshots if one.limit is not None]
    latency, merged = _latency(snapshots)
    first = said[0][0]
    # Who is held by hand speaks for all: the one whose state is shown, if there is one.
    held = min((one for one, _ in said), key=lambda one: (one.mode == "auto", one.state != state))
    return {
        "service": key.service,
        "name": key.name,
        "group": first.group,
        "target": next((one.target for one, _ in said if one.target), None),
        "state": state,
        "on": states[state],
        "of": len(said),
        "states": states,
        "since": max(one.since + age for one, age in said if one.state == state),
        "retry_in": min(retry) if retry else None,
        "window": max(one.window for one, _ in said),
        "counts": counts,
        "calls": sum(one.calls for one in snapshots),
        "attempts": attempts,
        "error_rate": sum(counts[name] for name in _ERRORS) / attempts if attempts else None,
        "rate": sum(one.rate for one in snapshots),
        "in_flight": sum(one.in_flight for one in snapshots),
        "limit": sum(limits) if limits and len(limits) == len(snapshots) else None,
        "latency": latency,
        "merged": merged,
        "timeout": next((one.timeout for one, _ in said if one.timeout is not None), None),
        "last_error": next((one.last_error for one, _ in said if one.last_error), ""),
        "min_calls": first.min_calls,
        "error_threshold": first.error_threshold,
        "mode": held.mode,
        "mode_until": held.mode_until,
        "mode_reason": held.mode_reason,
        "mode_by": held.mode_by,
        "command": next((one.command for one, _ in said if one.command), ""),
        "commands": _obeyed(key, circuit),
        "processes": len(heard),
        "silent": sorted(silent),
        "history": {
            "step": STEP,
            "rate": _tail(circuit.rate),
            "failing": _tail(circuit.failing),
            "refused": _tail(circuit.refused),
        },
    }


def _obeyed(key: _Key, circuit: _Circuit) -> dict[str, str]:
    """The last command that each process obeyed, by process; those that never had one are left out."""
    return {
        process.name: command
        for process in circuit.members.values()
        if (command := process.circuits[key.name].command)
    }


def _latency(snapshots: list[Snapshot]) -> tuple[dict[str, float], bool]:
    """Latency in seconds over all processes, and whether its quantiles come from merged histograms.

    Quantiles cannot be averaged. Where a process sent no histogram, the worst process speaks for all.
    """
    spoken = [one for one in snapshots if one.latency and any(one.latency.values())]
    if not spoken:
        return {}, False
    worst = {name: max(one.latency.get(name, 0.0) for one in spoken) for name in _LATENCIES}
    weights = [(one.latency.get("mean", 0.0), max(one.calls, 1)) for one in spoken]
    worst["mean"] = sum(mean * calls for mean, calls in weights) / sum(calls for _, calls in weights)
    if not all(one.histogram for one in spoken):
        return worst, False
    merged = Histogram()
    for one in spoken:
        merged.merge(one.histogram or Histogram())
    # The exact maximum came along; the one of a histogram is only its highest bucket.
    merged.longest = worst["max"] or merged.longest
    worst.update(zip(_QUANTILES, merged.quantiles(_QUANTILES.values()), strict=True))
    return worst, True


def _tail(series: array[float]) -> list[float | None]:
    return [None if value != value else round(value, 3) for value in series[-POINTS:]]
