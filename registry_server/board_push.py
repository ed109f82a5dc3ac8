"""Reading a push, with suspicion.

There are two forms. The plain one, for anybody who writes JSON, names everything in each push. The short one
(``"v": 2``) is what our own processes send every second: lists, of which the unchanged are left out.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from resilient.circuits import brief
from resilient.circuits.latency import Histogram
from resilient.errors import WireError

from .board_wire import (
    ABOUT,
    BIGGEST,
    COUNTS,
    MAX_BALANCED,
    MAX_BUCKETS,
    MAX_CIRCUITS,
    MAX_ERROR,
    MAX_NAME,
    MAX_SETTINGS,
    MODES,
    PERIOD_KEPT,
    PERIODS,
    STATES,
    About,
    Heard,
    Hold,
    Period,
    Push,
    Said,
    number,
    object_of,
    optional,
    real,
    text,
    whole,
)

#: A process that says nothing for longer than this would be forgotten between two pushes.
_LONGEST_INTERVAL = 15.0
#: Rows that are read, or taken, before others may have their turn: a millisecond's work.
STEP = 64
#: What many processes say alike is kept once; begun anew when there are so many.
_MOST_SHARED = 20_000
_shared: dict[Any, Any] = {}
_T = TypeVar("_T", bound=Hashable)
_LATENCIES = ("mean", "p50", "p90", "p95", "p99", "max")
_LETTERS = {"C": "closed", "O": "open", "H": "half-open", "F": "forced-open", "L": "forced-closed"}


def _same(value: _T) -> _T:
    """This value, or an equal one that is there already."""
    if len(_shared) >= _MOST_SHARED:
        _shared.clear()
    found: _T = _shared.setdefault(value, value)
    return found


def parse(body: bytes) -> object:
    """JSON; WireError if it is none. How deep or large it may be is nobody's business: what makes no sense is
    not looked into."""
    try:
        return orjson.loads(body)
    except (ValueError, RecursionError):
        raise WireError("cannot parse the body as JSON") from None


def head_of(body: object) -> tuple[str, str, str, bool]:
    """Service, instance and worker of a push, and whether it stands on earlier ones."""
    if not isinstance(body, Mapping):
        raise WireError("body: an object was expected")
    return (
        text(body, "service", "", required=True).lower(),
        text(body, "instance", "", required=True),
        text(body, "worker", ""),
        body.get("v") == 2 and body.get("full") is not True,
    )


def reading(body: object, known: Mapping[str, Said], now: float) -> Generator[None, None, Push]:
    """Read a push, step by step; :class:`WireError` names the first field that makes no sense.

    ``known`` is what its process said before, ``now`` the monotonic time. Unknown fields are ignored.
    """
    service, instance, worker, _ = head_of(body)
    assert isinstance(body, Mapping)
    interval = min(max(number(body, "interval", "", 5.0), 0.5), _LONGEST_INTERVAL)
    if body.get("v") == 2:
        return (yield from _reading_short(body, (service, instance, worker), interval, known, now))
    rows = _rows(body, "circuits")
    circuits = {}
    for place, row in enumerate(rows):
        said = _plain(row, f"circuits[{place}]", now)
        circuits[said.name] = said
        if place % STEP == STEP - 1:
            yield
    return Push(service, instance, worker, interval, True, circuits)


def _rows(body: Mapping[str, object], field: str) -> Sequence[object]:
    rows = body.get(field, ())
    if not isinstance(rows, (list, tuple)):
        raise WireError(f"{field}: a list was expected")
    if len(rows) > MAX_CIRCUITS:
        raise WireError(f"{field}: {len(rows)} are too many, at most {MAX_CIRCUITS} are taken")
    return rows


# --- the short form


def _reading_short(
    body: Mapping[str, Any], who: tuple[str, str, str], interval: float, known: Mapping[str, Said], now: float
) -> Generator[None, None, Push]:
    abouts = object_of(body, "about", "")
    circuits: dict[str, Said] = {}
    for place, row in enumerate(_rows(body, "rows")):
        try:
            said = _short(row, known, abouts, now)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError):
            raise WireError(f"rows[{place}]: this is no row") from None
        circuits[said.name] = said
        if place % STEP == STEP - 1:
            yield
    changed = {
        one: _about(about, f"about.{name[:50]}.")
        for name, about in abouts.items()
        if name not in circuits and (one := known.get(name)) is not None
    }
    told = {name: _settings(rows) for name, rows in object_of(body, "settings", "").items()}
    yield
    for name, why in object_of(body, "why", "").items():
        if (said_now := circuits.get(name)) is not None:
            said_now.why = why_of(why)
    # From here on all makes sense.
    for one, about in changed.items():
        one.about = about
    for name, rows in told.items():
        if (known_one := circuits.get(name) or known.get(name)) is not None:
            known_one.settings = rows
    gone = body.get("gone", ())
    names = tuple(one for one in gone if isinstance(one, str)) if isinstance(gone, (list, tuple)) else ()
    full = body.get("full") is True and body.get("more") is not True
    return Push(*who, interval, full, circuits, names, _balanced(body.get("balancer")), short=True)


def _short(row: Any, known: Mapping[str, Said], abouts: Mapping[str, object], now: float) -> Said:
    name = row[brief.NAME]
    if type(name) is not str or not 0 < len(name) <= MAX_NAME:
        raise ValueError(name)
    before = known.get(name)
    about = abouts.get(name)
    if about is not None:
        said = Said(name, _about(about, f"about.{name[:50]}."))
    else:
        said = Said(name, before.about if before is not None else ABOUT)
    said.state = _LETTERS[row[brief.STATE]]
    said.turned_at = now - real(row[brief.SINCE])
    retry = row[brief.RETRY_IN]
    said.probe_at = None if retry is None else now + real(retry)
    said.counts = tuple(whole(row[brief.COUNTS], len(COUNTS)))
    good, said.bad, said.slow = whole(row[brief.JUDGED], 3)
    said.calls = good + said.bad
    said.in_flight, said.trials = whole(row[brief.IN_FLIGHT : brief.TRIALS + 1], 2)
    success, failure, timeout, excluded, _, refused, rejected = said.counts[:7]
    said.rate = (success + failure + timeout + excluded + refused + rejected) / (said.about.window or 1.0)
    error = row[brief.ERROR]
    said.last_error = error[:MAX_ERROR] if type(error) is str else ""
    if row[brief.MODE]:
        said.hold = _hold(row[brief.MODE])
    old = before.periods if before is not None else ()
    if fresh := row[brief.PERIODS]:
        new = [Heard(one[0], now, orjson.dumps(one)) for one in fresh[-PERIODS:]]
        first = real(new[0].number)
        old = (*[one for one in old if one.number < first and now - one.at < PERIOD_KEPT], *new)[-PERIODS:]
    said.periods = old
    if before is not None:
        said.settings = before.settings
        said.why = before.why
    return said


def _hold(row: Any) -> Hold:
    mode, until, reason, by, command = row
    if mode not in MODES or not all(type(one) is str for one in (reason, by, command)):
        raise ValueError(mode)
    return Hold(
        mode,
        None if until is None else real(until),
        reason[:MAX_ERROR],
        by[:MAX_NAME],
        command[:MAX_NAME],
    )


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
    """Why it turned: ``rule``, ``value``, ``limit``, ``calls`` and ``text``."""
    if not isinstance(value, Mapping):
        return None
    found: dict[str, Any] = {}
    for name in ("value", "limit", "calls"):
        one = value.get(name)
        found[name] = one if type(one) in (int, float) and abs(one) <= BIGGEST else None  # type: ignore[arg-type]
    found["rule"] = str(value.get("rule") or "")[:50]
    found["text"] = str(value.get("text") or "")[:MAX_ERROR]
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


def _plain(row: object, where: str, now: float) -> Said:
    if not isinstance(row, Mapping):
        raise WireError(f"{where}: an object was expected")
    at = where + "."
    state = text(row, "state", at) or "closed"
    if state not in STATES:
        raise WireError(f"{at}state: one of {', '.join(sorted(STATES))} was expected")
    mode = text(row, "mode", at) or "auto"
    if mode not in MODES:
        raise WireError(f"{at}mode: one of {', '.join(sorted(MODES))} was expected")
    counts = object_of(row, "counts", at)
    latency = object_of(row, "latency", at)
    said = Said(text(row, "name", at, required=True), _about(row, at))
    said.state = state
    said.turned_at = now - number(row, "since", at)
    retry = optional(row, "retry_in", at)
    said.probe_at = None if retry is None else now + retry
    said.counts = [int(number(counts, name, at + "counts.")) for name in COUNTS]
    said.calls = int(number(row, "calls", at))
    said.rate = number(row, "rate", at)
    said.in_flight = int(number(row, "in_flight", at))
    said.latency = {name: number(latency, name, at + "latency.") for name in _LATENCIES if name in latency}
    said.periods = _packed(row.get("histogram"), said.latency, at, now)
    said.last_error = text(row, "last_error", at, most=None)[:MAX_ERROR]
    said.hold = Hold(
        mode,
        optional(row, "mode_until", at),
        text(row, "mode_reason", at, most=None)[:MAX_ERROR],
        text(row, "mode_by", at, most=None)[:MAX_NAME],
        text(row, "command", at),
    )
    return said


def _packed(value: object, latency: Mapping[str, float], at: str, now: float) -> tuple[Heard, ...]:
    if not value:
        return ()
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
    mean = latency.get("mean")
    total = mean * len(histogram) if mean else histogram.total
    # The exact maximum came along; the one of a histogram is only its highest bucket.
    period = Period(lowest, counts, total, latency.get("max") or histogram.longest)
    return (Heard(0, now, period=period),)
