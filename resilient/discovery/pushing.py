"""What a process tells its registry of its circuits: everything now and then, and else what has changed.

A push is ``{"v": 2, "service", "instance", "worker", "interval", "full", "rows", "about", "why",
"settings", "gone", "more", "balancer"}``. ``rows`` are those of :mod:`..circuits.brief`; in one that is not
``full``, circuits that look as they did are left out, and ``gone`` names those that are no more; ``more``
says that the rest comes next. ``about``, ``why`` and ``settings`` are by circuit, and only told when they
changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..circuits.book import CircuitBook
from ..circuits.brief import (
    COUNTS,
    IN_FLIGHT,
    JUDGED,
    KINDS,
    MODE,
    STATE,
    TRIALS,
    Row,
    about,
    brief,
    settings,
    why,
)
from ..circuits.circuit import Circuit
from ..clock import Clock

VERSION = 2
#: Seconds between two pushes that tell everything, and two that tell what balancers think.
FULL, BALANCER = 30.0, 5.0
#: Circuits that are told of, rows in one push, and circuits whose settings are told in it.
#: A message must not keep whoever reads it for more than some milliseconds.
MOST, ROWS, SETTINGS = 2000, 250, 25
#: What may differ without anything having happened: a row that differs elsewhere is news.
_NEWS = (STATE, COUNTS, JUDGED, IN_FLIGHT, TRIALS, MODE)


class _Told:
    """What the registry knows of one circuit."""

    __slots__ = ("about", "news", "period", "policy", "state")

    def __init__(self) -> None:
        self.news: tuple[Any, ...] = ()
        self.period = 0
        self.policy: object = None
        self.about: object = None
        self.state = ""


class Pusher:
    """Makes the pushes of one process. ``balancer`` gives what its balancers think."""

    def __init__(
        self, circuits: CircuitBook, clock: Clock, balancer: Callable[[], object] | None = None
    ) -> None:
        self._circuits = circuits
        self._clock = clock
        self._balancer = balancer
        self._told: dict[str, _Told] = {}
        self._next = 0
        self._full_at = float("-inf")
        self._balanced_at = float("-inf")
        self._who: tuple[str, str, str] | None = None

    def forget(self) -> None:
        """The registry knows nothing (any more): the next push tells everything."""
        self._full_at = float("-inf")
        self._told.clear()

    def push(self, service: str, instance: str, worker: str, interval: float) -> dict[str, object]:
        """What to tell now."""
        now = self._clock.monotonic()
        if self._who != (service, instance, worker):
            self._who = (service, instance, worker)
            self.forget()
        full = now - self._full_at >= FULL
        if full:
            self._full_at = now
        rows: list[Row] = []
        abouts: dict[str, object] = {}
        whys: dict[str, object] = {}
        told_settings: dict[str, object] = {}
        present: set[str] = set()
        more = False
        circuits = list(self._circuits)[:MOST]
        start, self._next = self._next % max(1, len(circuits)), 0
        for place, circuit in enumerate((*circuits[start:], *circuits[:start]), start):
            present.add(circuit.name)
            told = self._told.get(circuit.name)
            if told is None:
                told = self._told[circuit.name] = _Told()
            if len(rows) >= ROWS:
                if not more:
                    more, self._next = True, place
                if full:
                    told.news = ()  # its turn comes with the next push
                continue
            row = self._row(circuit, told, full)
            if row is not None:
                rows.append(row)
                if row[STATE] != told.state:
                    if told.state and (row[STATE] == "O" or circuit.turned_by is not None):
                        whys[circuit.name] = why(circuit)
                    told.state = row[STATE]
            said = about(circuit)
            if said != told.about:
                abouts[circuit.name] = told.about = said
            if told.policy is not circuit.policy and len(told_settings) < SETTINGS:
                told.policy = circuit.policy
                told_settings[circuit.name] = settings(circuit)
        gone = [name for name in self._told if name not in present]
        for name in gone:
            del self._told[name]
        push: dict[str, object] = {
            "v": VERSION,
            "service": service,
            "instance": instance,
            "worker": worker,
            "interval": interval,
            "full": full,
            "rows": rows,
        }
        if more:
            push["more"] = True
        more_of = {"about": abouts, "why": whys, "settings": told_settings, "gone": gone}
        push.update({key: value for key, value in more_of.items() if value})
        if self._balancer is not None and (full or now - self._balanced_at >= BALANCER - 0.5):
            self._balanced_at = now
            push["balancer"] = self._balancer()
        return push

    def _row(self, circuit: Circuit, told: _Told, full: bool) -> Row | None:
        row, newest = brief(circuit, 0 if full else told.period)
        news = (*[row[place] for place in _NEWS], *row[KINDS:])
        if not full and news == told.news:
            return None
        told.news = news
        told.period = newest
        return row
