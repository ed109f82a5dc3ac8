"""Reading a push, with suspicion.

There are two forms. The plain one, for anybody who writes JSON, names everything in each push. The short one
(``"v": 2``) is what our own processes send every second: lists, of which the unchanged are left out. Its rows
are checked and taken apart in one go, while they are parsed.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
import orjson

from resilient.circuits.latency import Histogram
from resilient.errors import WireError

from .board_periods import BIGGEST, MAX_BUCKETS, Heard, heard, period
from .board_wire import (
    COUNTS,
    LETTERS,
    MAX_BALANCED,
    MAX_CIRCUITS,
    MAX_ERROR,
    MAX_KIND,
    MAX_KINDS,
    MAX_NAME,
    MAX_SETTINGS,
    MODES,
    NO_RAW,
    STATES,
    About,
    Counts,
    Hold,
    Judged,
    Kind,
    Push,
    Told,
    Word,
    number,
    object_of,
    optional,
    text,
)

#: A process that says nothing for longer than this would be forgotten between two pushes.
_LONGEST_INTERVAL = 15.0
#: Rows that are read, or taken, before others may have their turn: a millisecond's work.
STEP = 64
#: What many processes say alike is kept once; begun anew when there are so many.
_MOST_SHARED = 20_000
_shared: dict[Any, Any] = {}
_T = TypeVar("_T", bound=Hashable)
_R = TypeVar("_R")
_LATENCIES = ("mean", "p50", "p90", "p95", "p99", "max")
_LETTER: dict[str, Any] = {name: letter for letter, name in LETTERS.items()}


def _same(value: _T) -> _T:
    """This value, or an equal one that is there already."""
    if len(_shared) >= _MOST_SHARED:
        _shared.clear()
    found: _T = _shared.setdefault(value, value)
    return found


class Short(msgspec.Struct):
    """A message in the short form; its rows are checked, the rest is as it came."""

    v: Literal[2]
    service: Any = None
    instance: Any = None
    worker: Any = None
    interval: Any = None
    full: Any = None
    more: Any = None
    rows: list[Word] = []
    about: Any = None
    why: Any = None
    settings: Any = None
    gone: Any = None
    balancer: Any = None


_SHORT = msgspec.json.Decoder(Short)
_ROW = msgspec.json.Decoder(Word)
_HEAD = tuple(name for name in Short.__struct_fields__ if name != "rows")


def parse(body: bytes) -> object:
    """A message, of which only the short form's rows have been checked; WireError for what is no JSON or has
    rows that make no sense. How deep or large it may be is nobody's business: what is unknown is not looked
    into."""
    try:
        return _SHORT.decode(body)
    except msgspec.ValidationError:
        pass  # the plain form, or one with a flaw
    except (ValueError, RecursionError):
        raise WireError("cannot parse the body as JSON") from None
    try:
        found = orjson.loads(body)
    except (ValueError, RecursionError):
        raise WireError("cannot parse the body as JSON") from None
    if isinstance(found, dict) and found.get("v") == 2:
        raise WireError(_flaw(found))
    return found


def _flaw(body: Mapping[str, object]) -> str:
    """What is wrong with a message in the short form."""
    for place, row in enumerate(_rows(body, "rows")):
        try:
            _ROW.decode(orjson.dumps(row))
        except (ValueError, TypeError, RecursionError):
            return f"rows[{place}]: this is no row"
    return "v: no such version"


def understood(body: object) -> Mapping[str, Any] | Short:
    """The message; of a short one the rows are checked, whoever parsed it."""
    if isinstance(body, Mapping) and body.get("v") == 2:
        try:
            body = parse(orjson.dumps(body))
        except TypeError:
            raise WireError("body: JSON was expected") from None
    if not isinstance(body, (Mapping, Short)):
        raise WireError("body: an object was expected")
    return body


def head_of(message: Mapping[str, Any] | Short) -> tuple[str, str, str, bool]:
    """Service, instance and worker of a push, and whether it stands on earlier ones."""
    short = isinstance(message, Short)
    fields = _fields(message) if isinstance(message, Short) else message
    return (
        text(fields, "service", "", required=True).lower(),
        text(fields, "instance", "", required=True),
        text(fields, "worker", ""),
        short and fields["full"] is not True,
    )


def reading(message: Mapping[str, Any] | Short, now: float) -> Generator[None, None, Push]:
    """Read a push, step by step; :class:`WireError` names the first field that makes no sense.

    ``now`` is the monotonic time. Unknown fields are ignored.
    """
    who = head_of(message)[:3]
    if isinstance(message, Short):
        return (yield from _short(message, who, now))
    circuits: dict[str, Word] = {}
    abouts: dict[str, About] = {}
    told: dict[str, Told] = {}
    latencies: dict[str, Heard] = {}
    for place, row in enumerate(_rows(message, "circuits")):
        word, about, more, spread = _plain(row, f"circuits[{place}]", now)
        circuits[word.name], abouts[word.name], told[word.name] = word, about, more
        if spread is not None:
            latencies[word.name] = spread
        if place % STEP == STEP - 1:
            yield
    return Push(*who, _interval(message), True, circuits, (), latencies, abouts, told=told)


def _interval(fields: Mapping[str, Any]) -> float:
    return min(max(number(fields, "interval", "", 5.0), 0.5), _LONGEST_INTERVAL)


def _rows(body: Mapping[str, object], field: str) -> Sequence[object]:
    rows = body.get(field, ())
    if not isinstance(rows, (list, tuple)):
        raise WireError(f"{field}: a list was expected")
    return _few(rows, field)


def _few(rows: Sequence[_R], field: str) -> Sequence[_R]:
    if len(rows) > MAX_CIRCUITS:
        raise WireError(f"{field}: {len(rows)} are too many, at most {MAX_CIRCUITS} are taken")
    return rows


# --- the short form


def _fields(message: Short) -> dict[str, Any]:
    """All but the rows."""
    return {name: getattr(message, name) for name in _HEAD}


def _short(message: Short, who: tuple[str, str, str], now: float) -> Generator[None, None, Push]:
    fields = _fields(message)
    circuits: dict[str, Word] = {}
    latencies: dict[str, Heard] = {}
    for place, word in enumerate(_few(message.rows, "rows")):
        # A copy, for what was parsed would keep the whole message.
        raw, word.periods = bytes(word.periods), NO_RAW
        if raw != b"[]":
            try:
                spread = heard(raw, now)
            except ValueError:
                raise WireError(f"rows[{place}]: this is no row") from None
            if spread is not None:
                latencies[word.name] = spread
        if word.held or word.kinds or len(word.error) > MAX_ERROR:
            _cut(word)
        circuits[word.name] = word
        if place % STEP == STEP - 1:
            yield
    gone = fields["gone"]
    return Push(
        *who,
        _interval(fields),
        fields["full"] is True and fields["more"] is not True,
        circuits,
        tuple(one for one in gone if isinstance(one, str)) if isinstance(gone, list) else (),
        latencies,
        {name: _about(one, f"about.{name[:50]}.") for name, one in object_of(fields, "about", "").items()},
        {name: _settings(rows) for name, rows in object_of(fields, "settings", "").items()},
        {name: why_of(why) for name, why in object_of(fields, "why", "").items()},
        balanced=_balanced(fields["balancer"]),
    )


def _cut(word: Word) -> None:
    """Texts no longer than they are kept."""
    word.error = word.error[:MAX_ERROR]
    if held := word.held:
        texts = held.reason[:MAX_ERROR], held.by[:MAX_NAME], held.command[:MAX_NAME]
        word.held = Hold(held.mode, held.until, *texts)
    if word.kinds:
        word.kinds = [Kind(one.name[:MAX_KIND], one.n) for one in word.kinds[:MAX_KINDS]]


def _about(value: object, at: str) -> About:
    if not isinstance(value, Mapping):
        raise WireError(f"{at[:-1]}: an object was expected")
    return _same(
        About(
            group=text(value, "group", at),
            target=text(value, "target", at) or None,
            window=number(value, "window", at, 10.0) or 10.0,
            limit=None if value.get("limit") is None else int(number(value, "limit", at)),
            timeout=optional(value, "timeout", at),
            min_calls=int(number(value, "min_calls", at, 20)),
            error_threshold=number(value, "error_threshold", at, 0.5),
            trials=int(number(value, "trials", at, 1)),
            observe=value.get("observe") is True,
        )
    )


def _settings(value: object) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, (list, tuple)):
        return ()
    return _same(
        tuple(
            _same(tuple([str(part)[:MAX_NAME] for part in row[:3]]))
            for row in value[:MAX_SETTINGS]
            if isinstance(row, (list, tuple)) and len(row) >= 3
        )
    )


def why_of(value: object) -> dict[str, Any] | None:
    """Why it turned: ``rule``, ``value``, ``limit``, ``calls`` and ``text``; ``by`` and ``reason`` of a
    person."""
    if not isinstance(value, Mapping):
        return None
    found: dict[str, Any] = {}
    for name in ("value", "limit", "calls"):
        one = value.get(name)
        found[name] = one if type(one) in (int, float) and abs(one) <= BIGGEST else None  # type: ignore[arg-type]
    found["rule"] = str(value.get("rule") or "")[:50]
    found["text"] = str(value.get("text") or "")[:MAX_ERROR]
    for name, most in (("by", MAX_NAME), ("reason", MAX_ERROR)):
        if isinstance(value.get(name), str):
            found[name] = value[name][:most]
    return found


def _balanced(value: object) -> Mapping[str, Sequence[Mapping[str, Any]]] | None:
    services = value.get("services") if isinstance(value, Mapping) else None
    if not isinstance(services, Mapping):
        return None
    found: dict[str, list[Mapping[str, Any]]] = {}
    left = MAX_BALANCED
    for name, service in services.items():
        rows = service.get("instances") if isinstance(service, Mapping) else None
        if not isinstance(rows, (list, tuple)) or left <= 0:
            continue
        kept = [_instance(one) for one in rows[:left] if isinstance(one, Mapping)]
        left -= len(kept)
        found[str(name).lower()[:MAX_NAME]] = kept
    return found


_TEXTS = ("id", "url", "zone", "status", "state", "why")
_NUMBERS = ("until", "score", "latency_ms", "in_flight", "picks", "share", "weight", "success", "row")


def _instance(one: Mapping[str, Any]) -> Mapping[str, Any]:
    row: dict[str, Any] = {name: str(one.get(name) or "")[:MAX_NAME] for name in _TEXTS}
    for name in _NUMBERS:
        value = one.get(name)
        row[name] = value if type(value) in (int, float) and abs(value) <= BIGGEST else None  # type: ignore[arg-type]
    return row


# --- the plain form


def _plain(row: object, where: str, now: float) -> tuple[Word, About, Told, Heard | None]:
    if not isinstance(row, Mapping):
        raise WireError(f"{where}: an object was expected")
    at = where + "."
    state = text(row, "state", at) or "closed"
    if state not in STATES:
        raise WireError(f"{at}state: one of {', '.join(sorted(STATES))} was expected")
    mode: Any = text(row, "mode", at) or "auto"
    if mode not in MODES:
        raise WireError(f"{at}mode: one of {', '.join(sorted(MODES))} was expected")
    counts = object_of(row, "counts", at)
    shares = object_of(row, "latency", at)
    latency = {name: number(shares, name, at + "latency.") for name in _LATENCIES if name in shares}
    hold = Hold(
        mode,
        optional(row, "mode_until", at),
        text(row, "mode_reason", at, most=None)[:MAX_ERROR],
        text(row, "mode_by", at, most=None)[:MAX_NAME],
        text(row, "command", at),
    )
    kinds = object_of(row, "kinds", at)
    word = Word(
        text(row, "name", at, required=True),
        _LETTER[state],
        number(row, "since", at),
        optional(row, "retry_in", at),
        Counts(*[int(number(counts, name, at + "counts.")) for name in COUNTS]),
        Judged(int(number(row, "calls", at)), 0, 0),
        int(number(row, "in_flight", at)),
        0,
        NO_RAW,
        text(row, "last_error", at, most=None)[:MAX_ERROR],
        hold,
        [Kind(str(one)[:MAX_KIND], int(number(kinds, one, at + "kinds."))) for one in [*kinds][:MAX_KINDS]],
    )
    spread = _packed(row.get("histogram"), latency, at, now)
    return word, _about(row, at), Told(number(row, "rate", at), latency), spread


def _packed(value: object, latency: Mapping[str, float], at: str, now: float) -> Heard | None:
    if not value:
        return None
    if not isinstance(value, (list, tuple)) or len(value) > MAX_BUCKETS:
        raise WireError(f"{at}histogram: a list of at most {MAX_BUCKETS} pairs was expected")
    for pair in value:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or any(type(one) is not int for one in pair):
            raise WireError(f"{at}histogram: pairs of bucket and count were expected")
    try:
        histogram = Histogram.unpack(value)
    except ValueError as error:
        raise WireError(f"{at}histogram: {error}") from None
    lowest, counts = histogram.dense()
    if not any(counts):
        return None
    mean = latency.get("mean")
    total = mean * len(histogram) if mean else histogram.total
    # The exact maximum came along; the one of a histogram is only its highest bucket.
    longest = latency.get("max") or histogram.longest
    return Heard(0, now, b"", (period(0, lowest, counts, total, longest),))
