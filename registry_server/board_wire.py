"""What is known of a circuit from one process, and the pieces that a push is read with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec

from resilient.circuits import brief
from resilient.errors import WireError

from .board_periods import BIGGEST, PERIOD_KEPT, PERIODS, Heard, N, Period, Real

if TYPE_CHECKING:
    from .board_circuit import Circuit

#: Every outcome a snapshot counts; the ones that are missing count nothing.
COUNTS = brief.WORDS
MODES = frozenset({"auto", "open", "closed"})
#: States by their letter in the short form.
LETTERS = {"C": "closed", "O": "open", "H": "half-open", "F": "forced-open", "L": "forced-closed"}
STATES = frozenset(LETTERS.values())

#: Bounds on one push.
MAX_CIRCUITS = 2000
MAX_NAME = 256
MAX_ERROR = 300
MAX_SETTINGS = 64
MAX_BALANCED = 20 * 50
#: Kinds of failures of one circuit, and characters of a kind.
MAX_KINDS, MAX_KIND = 9, 80
#: Nothing, where a row brings latencies.
NO_RAW = msgspec.Raw(b"[]")


# --- a row. Nothing in it is anything the garbage collector looks at: there may be hundreds of thousands of
# them, they come and go every second, and none leads back to itself.


class Counts(msgspec.Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    """Calls of the window by outcome, in the order of :data:`COUNTS`."""

    success: N
    failure: N
    timeout: N
    excluded: N
    void: N
    short_circuited: N
    rejected: N
    fallback_success: N
    fallback_failure: N
    fallback_rejected: N
    late: N
    slow: N
    response_from_cache: N
    collapsed: N
    retried: N
    retry_denied: N


assert Counts.__struct_fields__ == COUNTS


class Judged(msgspec.Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    """Good, bad and slow calls of the window, as the judge counts them."""

    good: N
    bad: N
    slow: N


class Hold(msgspec.Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    """A circuit held by hand, and the last command from the feed that it obeyed."""

    mode: Literal["auto", "open", "closed"] = "auto"
    until: Real | None = None
    reason: str = ""
    by: str = ""
    command: str = ""


class Kind(msgspec.Struct, array_like=True, gc=False):
    """How many failures of one kind there were lately."""

    name: str
    n: N


class Word(msgspec.Struct, array_like=True, gc=False):
    """A row as it comes: the places are those of :mod:`resilient.circuits.brief`. Durations are seconds."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
    state: Literal["C", "O", "H", "F", "L"]
    since: Real
    retry_in: Real | None
    counts: Counts
    judged: Judged
    in_flight: N
    trials: N
    periods: msgspec.Raw
    error: str
    held: Hold | Literal[0]
    kinds: list[Kind] | None = None

    @property
    def command(self) -> str:
        """The id of the last command from the feed that it obeyed."""
        return self.held.command if self.held else ""


assert (brief.NAME, brief.COUNTS, brief.PERIODS, brief.KINDS) == (0, 4, 8, 11)
NO_COUNTS = Counts(*(0 for _ in COUNTS))
NO_WORD = Word("-", "C", 0.0, None, NO_COUNTS, Judged(0, 0, 0), 0, 0, NO_RAW, "", 0)
NO_HOLD = Hold()


def calls_of(word: Word) -> int:
    """All that callers asked for in the window, refused ones too, but not what was given back unjudged."""
    n = word.counts
    return n.success + n.failure + n.timeout + n.excluded + n.short_circuited + n.rejected


# --- what is kept


class About(NamedTuple):
    """What seldom changes of a circuit. Durations are seconds."""

    group: str = ""
    target: str | None = None
    window: float = 10.0
    limit: int | None = None
    timeout: float | None = None
    min_calls: int = 20
    error_threshold: float = 0.5
    trials: int = 1
    observe: bool = False


ABOUT = About()


class Said:
    """The last word of one process on one circuit, said ``at`` a monotonic second. ``turned_at`` and
    ``probe_at`` are such seconds, too."""

    __slots__ = (
        "about", "at", "circuit", "latency", "name", "periods", "rate", "settings", "why", "word",
    )  # fmt: skip

    def __init__(self, circuit: Circuit, about: About) -> None:
        self.circuit = circuit
        self.name = circuit.name
        self.about = about
        self.word = NO_WORD
        self.at = 0.0
        self.rate = 0.0
        self.periods: tuple[Heard, ...] = ()
        self.latency: Mapping[str, float] = {}
        self.settings: tuple[tuple[str, ...], ...] = ()
        #: Why it turned the last time, if it said so.
        self.why: dict[str, Any] | None = None

    @property
    def state(self) -> str:
        return LETTERS[self.word.state]

    @property
    def turned_at(self) -> float:
        return self.at - self.word.since

    @property
    def probe_at(self) -> float | None:
        left = self.word.retry_in
        return None if left is None else self.at + left

    @property
    def counts(self) -> tuple[int, ...]:
        """In the order of :data:`COUNTS`."""
        found: tuple[int, ...] = msgspec.structs.astuple(self.word.counts)
        return found

    @property
    def calls(self) -> int:
        """Those that the judge counts."""
        judged = self.word.judged
        return judged.good + judged.bad

    @property
    def bad(self) -> int:
        return self.word.judged.bad

    @property
    def in_flight(self) -> int:
        return self.word.in_flight

    @property
    def last_error(self) -> str:
        return self.word.error

    @property
    def hold(self) -> Hold:
        return self.word.held or NO_HOLD

    @property
    def command(self) -> str:
        """The id of the last command from the feed that it obeyed."""
        return self.word.command

    def listen(self, fresh: Heard, now: float) -> None:
        """Newer latencies, which hold in place of older ones of the same periods."""
        kept = [one for one in self.periods if one.first < fresh.first and now - one.at < PERIOD_KEPT]
        self.periods = (*kept[1 - PERIODS :], fresh)

    def fresh(self, now: float, most: int = PERIODS) -> list[Period]:
        """The latencies of the last minute, of the last ``most`` periods at most; newest first."""
        found: list[Period] = []
        before = BIGGEST
        for one in reversed(self.periods):
            if now - one.at >= PERIOD_KEPT:
                break
            for period in reversed(one.periods()):
                if period.number < before:
                    found.append(period)
                    before = period.number
        return found[:most]


class Told(NamedTuple):
    """What a word in the plain form says beside a row's: calls per second, and latencies (s) by name."""

    rate: float
    latency: Mapping[str, float]


class Push(NamedTuple):
    """One message of one process. ``circuits`` holds those it speaks of, by name; with ``full``, that is all
    it has. What seldom changes stands beside them."""

    service: str
    instance: str
    worker: str
    interval: float
    full: bool
    circuits: dict[str, Word]
    gone: tuple[str, ...] = ()
    latencies: Mapping[str, Heard] = {}
    about: Mapping[str, About] = {}
    settings: Mapping[str, tuple[tuple[str, ...], ...]] = {}
    why: Mapping[str, dict[str, Any] | None] = {}
    told: Mapping[str, Told] = {}
    balanced: Mapping[str, Sequence[Mapping[str, Any]]] | None = None


# --- fields of the plain form


def text(
    row: Mapping[str, object], field: str, at: str, *, required: bool = False, most: int | None = MAX_NAME
) -> str:
    """A text, "" if it is left out."""
    value = row.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        raise WireError(f"{at}{field}: a text was expected")
    if most is not None and len(value) > most:
        raise WireError(f"{at}{field}: at most {most} characters are taken")
    return value


def number(row: Mapping[str, object], field: str, at: str, default: float = 0.0) -> float:
    """A number from 0 on."""
    value = row.get(field)
    if value is None:
        return default
    # bool is an int in Python, but not on the wire.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= BIGGEST:
        raise WireError(f"{at}{field}: a number from 0 was expected")
    return float(value)


def optional(row: Mapping[str, object], field: str, at: str) -> float | None:
    """A number, or None."""
    return None if row.get(field) is None else number(row, field, at)


def object_of(row: Mapping[str, object], field: str, at: str) -> Mapping[str, object]:
    """An object, empty if it is left out."""
    value = row.get(field)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise WireError(f"{at}{field}: an object was expected")
    return value
