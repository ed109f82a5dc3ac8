"""What is known of a circuit from one process, and the pieces that a push is read with."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from resilient.circuits import brief
from resilient.errors import WireError

#: Every outcome a snapshot counts; the ones that are missing count nothing.
COUNTS = brief.WORDS
MODES = frozenset({"auto", "open", "closed"})
STATES = frozenset({"closed", "open", "half-open", "forced-open", "forced-closed"})

#: Bounds on one push.
MAX_CIRCUITS = 2000
MAX_NAME = 256
MAX_ERROR = 300
MAX_BUCKETS = 2048
MAX_SETTINGS = 64
MAX_BALANCED = 20 * 50

BIGGEST = 1e15
#: Seconds one period of latencies counts, and how many periods there are.
PERIOD_KEPT, PERIODS = 60.0, 7


class Period(NamedTuple):
    """Some seconds of latencies: counts from bucket ``lowest`` on; sum and longest in seconds."""

    lowest: int
    counts: Sequence[int]
    total: float
    longest: float


NO_PERIOD = Period(0, (), 0.0, 0.0)


class Heard:
    """A period as it came, read only when somebody wants to know: most are replaced before.

    ``raw`` is its JSON. Neither that nor what is read from it is anything the garbage collector looks at:
    there may be hundreds of thousands.
    """

    __slots__ = ("_counts", "_longest", "_lowest", "_raw", "_total", "at", "number")

    def __init__(self, number: int, at: float, raw: bytes | None = None, period: Period = NO_PERIOD) -> None:
        self.number = number
        self.at = at
        self._raw = raw
        self._lowest, self._counts, self._total, self._longest = period

    @property
    def period(self) -> Period:
        """What it says; nothing, if that makes no sense."""
        raw, self._raw = self._raw, None
        if raw is not None:
            try:
                _, lowest, counts, total, longest = orjson.loads(raw)
                if lowest <= MAX_BUCKETS and 0 < len(counts) <= MAX_BUCKETS:
                    whole([lowest], 1)
                    found = array("q", whole(counts, len(counts)))
                    self._total, self._longest = real(total), real(longest)
                    self._lowest, self._counts = lowest, found
            except (TypeError, ValueError):
                pass
        return Period(self._lowest, self._counts, self._total, self._longest)


def real(value: Any) -> float:
    """A number from 0 on; ValueError for anything else."""
    if type(value) not in (int, float) or not 0 <= value <= BIGGEST:
        raise ValueError(value)
    return float(value)


def whole(values: Any, n: int) -> list[int]:
    """So many whole numbers from 0 on; ValueError for anything else."""
    if type(values) is not list or len(values) != n or set(map(type, values)) != {int}:
        raise ValueError(values)
    if min(values) < 0 or max(values) > BIGGEST:
        raise ValueError(values)
    return values


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


class Hold(NamedTuple):
    """A circuit held by hand, and the last command from the feed that it obeyed."""

    mode: str = "auto"
    until: float | None = None
    reason: str = ""
    by: str = ""
    command: str = ""


NO_HOLD = Hold()
ABOUT = About()


class Said:
    """The last word of one process on one circuit. ``turned_at`` and ``probe_at`` are monotonic seconds."""

    __slots__ = (
        "about", "bad", "calls", "counts", "hold", "in_flight", "last_error", "latency", "name", "periods",
        "probe_at", "rate", "settings", "slow", "state", "trials", "turned_at", "why",
    )  # fmt: skip

    def __init__(self, name: str, about: About) -> None:
        self.name = name
        self.about = about
        self.state = "closed"
        self.turned_at = 0.0
        self.probe_at: float | None = None
        self.counts: Sequence[int] = (0,) * len(COUNTS)
        self.calls = self.bad = self.slow = self.in_flight = self.trials = 0
        self.rate = 0.0
        self.periods: tuple[Heard, ...] = ()
        self.latency: Mapping[str, float] = {}
        self.last_error = ""
        self.hold = NO_HOLD
        self.settings: tuple[tuple[str, ...], ...] = ()
        self.why: dict[str, Any] | None = None

    @property
    def command(self) -> str:
        """The id of the last command from the feed that it obeyed."""
        return self.hold.command

    def fresh(self, now: float, most: int = PERIODS) -> list[Period]:
        """The latencies of the last minute, of the last ``most`` periods at most."""
        return [one.period for one in self.periods[-most:] if now - one.at < PERIOD_KEPT]


class Push(NamedTuple):
    """One message of one process. ``circuits`` holds those it speaks of, by name; with ``full``, that is all
    it has."""

    service: str
    instance: str
    worker: str
    interval: float
    full: bool
    circuits: dict[str, Said]
    gone: tuple[str, ...] = ()
    balanced: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
    #: The short form: it stands on what was said before.
    short: bool = False


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
