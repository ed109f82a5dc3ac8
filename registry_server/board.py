"""The latest word on every circuit, summed over the processes that have it.

Processes push what their circuits look like; :class:`Board` keeps the last word of each, adds them
up per caller and circuit, and remembers a quarter of an hour. Nothing here does input or output,
and every collection has a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from resilient.clock import Clock
from resilient.errors import WireError

from .board_circuit import Circuit, Process, Row
from .board_history import KEEP, SERIES, STEP, History, added
from .board_push import STEP as ROWS
from .board_push import head_of, reading, understood
from .board_wire import ABOUT, Push, Said, calls_of
from .slices import whole

__all__ = ["FORGET_AFTER", "POINTS", "STEP", "Board", "Unknown"]

#: How many points of history :meth:`Board.view` hands out (2 minutes).
POINTS = 120
#: A process silent for so many of its own intervals, and for so many seconds, leaves the sums; after
#: :data:`FORGET_AFTER` seconds it is gone.
STALE_INTERVALS, STALE_AFTER = 2.5, 5.0
FORGET_AFTER = 60.0
#: Circuits that get a history, which may take 20 KiB each.
HISTORIES = 2000

Turned = Callable[[Row], None]
Identity = tuple[str, str, str]


class Unknown(WireError):
    """A push stands on earlier ones that are not known here: its process must tell everything."""


class Board:
    """What all processes said of their circuits.

    ``history`` is how many seconds of rates are kept per circuit, for the first ``histories`` of them.
    ``max_processes`` bounds the processes, ``max_circuits`` the circuits over all callers; ten times as many
    snapshots are kept. Circuits beyond that are left out and counted in :attr:`dropped`.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        history: float = KEEP,
        histories: int = HISTORIES,
        max_processes: int = 5000,
        max_circuits: int = 20000,
    ) -> None:
        self._clock = clock
        self._keep = max(POINTS * STEP, history)
        self._histories = histories
        self._max_processes = max_processes
        self._max_circuits = max_circuits
        self._max_snapshots = max_circuits * 10
        self._processes: dict[Identity, Process] = {}
        self._circuits: dict[tuple[str, str], Circuit] = {}
        self._sorted: list[Circuit] | None = None
        self._snapshots = 0
        self._recorded = 0
        self._swept_at = clock.monotonic()
        self._turned: Turned = lambda turn: None
        self._pushed: Callable[[], None] = lambda: None
        #: Grows with every push that was taken.
        self.version = 0
        #: How many words on circuits have come to stay, ever.
        self.placed = 0
        #: Circuits that were left out because the board was full.
        self.dropped = 0

    def listen(self, turned: Turned | None = None, pushed: Callable[[], None] | None = None) -> None:
        """Call ``turned`` whenever a circuit's worst state has changed, ``pushed`` after every push."""
        if turned is not None:
            self._turned = turned
        if pushed is not None:
            self._pushed = pushed

    # --- taking pushes

    def put(self, body: object) -> Push:
        """Take one push: what a process has to say of its circuits, in place of what it said of them before.

        Returns it as it was understood.

        Raises :class:`WireError` naming the field that makes no sense, or if the board is full of
        processes that are heard; the board is then as it was. :class:`Unknown` if it stands on pushes that
        are not known here.
        """
        return whole(self.putting(body))

    def putting(self, body: object) -> Generator[None, None, Push]:
        """As :meth:`put`, step by step: between two of them the board may be looked at and changed."""
        now = self._clock.monotonic()
        if now - self._swept_at >= 1.0:
            yield from self._sweeping(now)
        message = understood(body)
        *who, stands = head_of(message)
        identity: Identity = (who[0], who[1], who[2])
        if stands and identity not in self._processes:
            raise Unknown("this process is not known here: tell everything")
        push = yield from reading(message, now)
        process = self._processes.get(identity)
        if process is None and stands:
            raise Unknown("this process has gone meanwhile: tell everything")
        if process is None:
            if len(self._processes) >= self._max_processes:
                raise WireError(f"instance: the board is full, {self._max_processes} processes are on it")
            process = self._processes[identity] = Process(*identity)
        yield from self._taking(process, identity, push, now)
        self.version += 1
        self._pushed()
        return push

    def _taking(
        self, process: Process, identity: Identity, push: Push, now: float
    ) -> Generator[None, None, None]:
        returned = process.silent
        if returned:
            self._speak(process, now)
        process.heard_at = now
        process.interval = push.interval
        if push.balanced is not None:
            process.balanced, process.balanced_at = push.balanced, now
        known = process.circuits
        gone = [name for name in known if name not in push.circuits] if push.full else push.gone
        for name in gone:
            if name in known and name not in push.circuits:
                self._turn(self._leave(process, identity, name, now), now)
        self._learn(known, push)
        latencies, told, why = push.latencies, push.told, push.why
        for place, (name, word) in enumerate(list(push.circuits.items()), 1):
            if place % ROWS == 0:
                yield
                if self._processes.get(identity) is not process:
                    return  # it signed out meanwhile
            said = known.get(name)
            joined = said is None
            if said is None:
                circuit = self._place(process.service, name, now)
                if circuit is None:
                    del push.circuits[name]
                    continue
                said = Said(circuit, push.about.get(name, ABOUT))
                said.settings = push.settings.get(name, ())
                self._join(process, identity, said, now)
            circuit = said.circuit
            if told:
                rate, said.latency = told[name]
                if name not in latencies:
                    said.periods = ()
            else:
                rate = calls_of(word) / said.about.window
            if (fresh := latencies.get(name)) is not None:
                said.listen(fresh, now)
            if why and name in why:
                said.why = why[name]
            elif word.state != said.word.state:
                said.why = None  # that was another turn's
            if circuit.hear(said, word, rate, now) or joined:
                self._turn(circuit, now)
        if returned:
            yield from self._turning([one.circuit for one in list(known.values())], now)

    def _learn(self, known: Mapping[str, Said], push: Push) -> None:
        """What seldom changes."""
        for name, about in push.about.items():
            if (said := known.get(name)) is not None and said.about != about:
                said.about = about
                said.circuit.version += 1
        for name, settings in push.settings.items():
            if (said := known.get(name)) is not None:
                said.settings = settings

    def _join(self, process: Process, identity: Identity, said: Said, now: float) -> None:
        """A process has come to have a circuit, of which it has said nothing yet."""
        process.circuits[said.name] = said
        said.circuit.members[identity] = process
        said.circuit.enter(said, now)
        self._snapshots += 1
        self.placed += 1

    def _place(self, service: str, name: str, now: float) -> Circuit | None:
        """The circuit for one more word; None if there is no room for it."""
        circuit = self._circuits.get((service, name))
        if self._snapshots >= self._max_snapshots or (
            circuit is None and len(self._circuits) >= self._max_circuits
        ):
            self.dropped += 1
            return None
        if circuit is None:
            history = None
            if self._recorded < self._histories:
                self._recorded += 1
                history = History(now, self._keep)
            circuit = self._circuits[service, name] = Circuit(service, name, history)
            self._sorted = None
        return circuit

    def _turn(self, circuit: Circuit, now: float) -> None:
        if not circuit.members:
            return
        turn = circuit.turn(self._clock.time(), now)
        if turn is not None:
            self._turned(turn)

    def forget(self, service: str, instance: str, worker: str | None = None) -> None:
        """Forget a process that signed out; without ``worker``, every process of that instance."""
        for identity in [one for one in self._processes if one[:2] == (service, instance)]:
            if worker is None or identity[2] == worker:
                whole(self._removing(identity, self._clock.monotonic()))

    # --- time

    def tick(self) -> None:
        """Once a second: who is silent leaves the sums, and history is written."""
        whole(self.ticking())

    def ticking(self) -> Generator[None, None, None]:
        """As :meth:`tick`, step by step."""
        now = self._clock.monotonic()
        yield from self._sweeping(now)
        for circuit in list(self._circuits.values()):
            if circuit.history is not None and circuit.members and circuit.catch_up_slowly(now):
                yield

    def _sweeping(self, now: float) -> Generator[None, None, None]:
        self._swept_at = now
        for identity, process in list(self._processes.items()):
            if self._processes.get(identity) is not process:
                continue  # gone, while others had their turn
            age = now - process.heard_at
            if age > FORGET_AFTER:
                yield from self._removing(identity, now)
            elif not process.silent and age > max(STALE_AFTER, STALE_INTERVALS * process.interval):
                yield from self._falling_silent(process, now)

    def _falling_silent(self, process: Process, now: float) -> Generator[None, None, None]:
        # In one go until the sums are right.
        said = list(process.circuits.values())
        for one in said:
            one.circuit.leave(one, now)
        process.silent = True
        yield from self._turning([one.circuit for one in said], now)

    def _turning(self, circuits: list[Circuit], now: float) -> Generator[None, None, None]:
        for place, circuit in enumerate(circuits, 1):
            self._turn(circuit, now)
            if place % ROWS == 0:
                yield

    def _speak(self, process: Process, now: float) -> None:
        for said in process.circuits.values():
            said.circuit.enter(said, now)
        process.silent = False

    def _removing(self, identity: Identity, now: float) -> Generator[None, None, None]:
        process = self._processes.pop(identity)
        left = [self._leave(process, identity, name, now) for name in list(process.circuits)]
        self.version += 1
        yield from self._turning(left, now)

    def _leave(self, process: Process, identity: Identity, name: str, now: float) -> Circuit:
        said = process.circuits[name]
        circuit = said.circuit
        if not process.silent:
            circuit.leave(said, now)
        del process.circuits[name]
        circuit.members.pop(identity, None)
        self._snapshots -= 1
        if circuit.members:
            circuit.version += 1
            return circuit
        if circuit.history is not None:
            self._recorded -= 1
        del self._circuits[process.service, name]
        self._sorted = None
        return circuit

    # --- looking

    def rows(self) -> Iterator[Row]:
        """Every circuit of every caller, summed over the processes heard lately; ordered by caller and name.

        Durations are seconds, rates are calls per second. ``error_rate`` is ``None`` when nothing
        was attempted.
        """
        now = self._clock.monotonic()
        whole(self._sweeping(now))
        if self._sorted is None:
            self._sorted = [one for _, one in sorted(self._circuits.items())]
        for circuit in self._sorted:
            if circuit.members:  # it may have gone since the first row was taken
                yield circuit.row(now)

    def view(self) -> list[Row]:
        """As :meth:`rows`, each with its ``commands`` and the last two minutes of ``history``, oldest first,
        one point per ``step`` seconds; ``None`` stands where nobody was heard."""
        return whole(self.viewing())

    def viewing(self) -> Generator[None, None, list[Row]]:
        """As :meth:`view`, step by step."""
        now = self._clock.monotonic()
        found = []
        for row in self.rows():
            circuit = self._circuits[row["service"], row["name"]]
            circuit.catch_up(now)
            row["commands"] = circuit.commands()
            row["history"] = _two_minutes(circuit)
            found.append(row)
            yield
        return found

    def has(self, service: str, name: str) -> bool:
        """Whether somebody has told of this circuit."""
        return (service, name) in self._circuits

    def target(self, service: str, name: str) -> str:
        """Whom a circuit calls; "" if nobody has told."""
        circuit = self._circuits.get((service, name))
        return circuit.target() if circuit is not None else ""

    def detail(self, service: str, name: str) -> Row | None:
        """What :meth:`rows` leaves out of one circuit."""
        circuit = self._circuits.get((service, name))
        if circuit is None:
            return None
        return circuit.detail(self._clock.monotonic(), self._clock.time())

    def history(self, service: str, name: str, seconds: float) -> Mapping[str, Any] | None:
        """The last ``seconds`` of one circuit: see :meth:`.board_history.History.tail`."""
        circuit = self._circuits.get((service, name))
        if circuit is None or circuit.history is None:
            return None
        now = self._clock.monotonic()
        circuit.catch_up(now)
        circuit.catch_up_slowly(now)
        return circuit.history.tail(seconds)

    def rates(self, seconds: float) -> Generator[None, None, dict[str, list[float | None]]]:
        """Calls per second towards each target, the last ``seconds``, step by step."""
        now = self._clock.monotonic()
        found: dict[str, list[float | None]] = {}
        for circuit in list(self._circuits.values()):
            if circuit.history is not None and (target := circuit.target()):
                circuit.catch_up(now)
                found[target] = added(found.get(target, []), circuit.history.rates(seconds))
                yield
        return {
            target: [None if one is None else round(one, 2) for one in sums] for target, sums in found.items()
        }

    def balanced(self, service: str, target: str) -> list[Row]:
        """What the balancers of a caller's processes think of the target's instances."""
        return [
            {**row, "process": process.name}
            for identity, process in self._processes.items()
            if identity[0] == service and not process.silent
            for row in process.balanced.get(target, ())
        ][:5000]

    def size(self) -> int:
        """Bytes of all history."""
        return sum(one.history.size() for one in self._circuits.values() if one.history is not None)

    def __len__(self) -> int:
        """How many processes are on the board."""
        return len(self._processes)


def _two_minutes(circuit: Circuit) -> Row:
    tail: Mapping[str, Any] = circuit.history.tail(POINTS * STEP) if circuit.history is not None else {}
    rate, fail, refused = (tail.get(name, []) for name in SERIES[:3])
    return {"step": STEP, "rate": rate, "failing": fail, "refused": refused}
