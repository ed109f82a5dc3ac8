"""Events of one circuit from many processes, added up the way Turbine does it (pure).

Sums are made anew from the last word of each process, never by differences, so none is ever negative.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .hystrix import POOL, Frame

#: Who it is, not how it is; and moments, of which the latest counts.
_IDENTITY = ("type", "name")
_LATEST = ("currentTime", "x_openForMs")
_PROPERTY = "propertyValue_"
_WINDOW = "propertyValue_metricsRollingStatisticalWindowInMilliseconds"
_PAIR = re.compile(r'\s*"?([^":={},]*)"?\s*[:=]\s*(\d+)\s*')
_LONGEST = 4096
#: A number so large is none that is added; and events that are kept to be added together.
_MOST, _MOST_ALIKE = 10**18, 256


class Sum:
    """One circuit or pool of a cluster: :meth:`add` each process's event, then ask for the :meth:`result`.

    Events of one process each with the same fields, as processes of one kind send them, are added field by
    field; whatever differs, or comes from another Turbine, is looked at value by value.
    """

    def __init__(self) -> None:
        self._first: Mapping[str, Any] = {}
        self._alike: list[Mapping[str, Any]] = []
        self._hosts = 0
        self._numbers: Counter[str] = Counter()
        self._latest: dict[str, int] = {}
        self._objects: dict[str, dict[str, int]] = {}
        self._votes: dict[str, dict[Any, int]] = {}

    def add(self, frame: Mapping[str, Any]) -> None:
        """One more process. Fields may have any form that Hystrix or a Turbine gives them."""
        if not self._first:
            self._first = frame
        alike = self._alike
        if (
            len(alike) == self._hosts < _MOST_ALIKE
            and type(hosts := frame.get("reportingHosts")) is int
            and hosts == 1
            and self._first.keys() == frame.keys()
        ):
            alike.append(frame)
            self._hosts += 1
            return
        self._apart()
        self._add(frame)

    def _apart(self) -> None:
        """They are not all alike: look at each value of those that were."""
        alike, self._alike = self._alike, []
        self._hosts -= len(alike)
        for frame in alike:
            self._add(frame)

    def _add(self, frame: Mapping[str, Any]) -> None:
        hosts = _whole(frame.get("reportingHosts", 1))
        self._hosts += hosts
        for field, value in frame.items():
            self._value(field, value, hosts)

    def _value(self, field: str, value: Any, hosts: int) -> None:
        if field in _IDENTITY or field == "reportingHosts":
            return
        if field in _LATEST:
            self._latest[field] = max(self._latest.get(field, 0), _whole(value))
        elif isinstance(value, bool) or value is None or isinstance(value, str):
            self._vote(field, value, hosts)
        elif isinstance(value, Mapping):
            self._object(field, value)
        elif field.startswith(_PROPERTY):
            self._votes.setdefault(field, Counter())[_whole(value)] += hosts
        else:
            self._numbers[field] += _whole(value)

    def _together(self) -> None:
        """Add those that are alike, field by field."""
        alike, self._alike = self._alike, []
        for field in self._first:
            column = [frame[field] for frame in alike]
            if not self._same(field, column, column[0]):
                for one in column:
                    self._value(field, one, 1)

    def _same(self, field: str, column: Sequence[Any], value: Any) -> bool:
        """Add values that are all of one plain kind. Whether they are."""
        if field in _LATEST:
            return False
        kinds = set(map(type, column))
        if kinds == {int}:
            if field.startswith(_PROPERTY):
                if column.count(value) < len(column):
                    return False
                self._votes[field] = {_whole(value): len(column)}
                return True
            if field == "reportingHosts" or min(column) <= -_MOST or max(column) >= _MOST:
                return False
            self._numbers[field] = sum(column)
            return True
        if kinds == {dict}:
            sums = _columns(field, column)
            if sums is not None:
                self._objects[field] = sums
            return sums is not None
        if kinds in ({bool}, {str}) and column.count(value) == len(column) and str(value)[:1] != "{":
            if field not in _IDENTITY:
                self._votes[field] = {value: len(column)}
            return True
        return False

    def _vote(self, field: str, value: Any, hosts: int) -> None:
        votes = self._votes.setdefault(field, Counter())
        spread = _spread(value) if isinstance(value, str) and value[:1] == "{" else None
        if spread is None:
            votes[value] += hosts
            return
        for word, n in spread:
            votes[_meant(word)] += n

    def _object(self, field: str, value: Mapping[str, Any]) -> None:
        if set(value) <= {"true", "false"} or field.startswith(_PROPERTY):  # a Turbine 2's way to say it
            votes = self._votes.setdefault(field, Counter())
            for word, n in value.items():
                votes[_meant(str(word))] += _whole(n)
            return
        counts = self._objects.setdefault(field, Counter())
        for key, n in value.items():
            counts[str(key)] += _whole(n)

    def result(self) -> Frame:
        """All of them as one event, its fields in the order of the first."""
        if self._alike:
            self._together()
        whole: Frame = {}
        mixed: dict[str, dict[str, int]] = {}
        for field in {**dict.fromkeys(self._first), **self._votes, **self._numbers, **self._objects}:
            if field in _IDENTITY:
                whole[field] = self._first[field]
            elif field == "reportingHosts":
                whole[field] = self._hosts
            elif field in self._latest:
                whole[field] = self._latest[field]
            elif field in self._votes:
                whole[field] = self._agreed(field, self._votes[field], mixed)
            elif field in self._objects:
                whole[field] = dict(self._objects[field])
            elif field in self._numbers:
                whole[field] = self._numbers[field]
        whole.setdefault("reportingHosts", self._hosts)
        if whole.get("type") == POOL and isinstance(whole.get(_WINDOW), int):
            whole[_WINDOW] *= self._hosts  # Hystrix's page divides this one by the hosts
        if mixed:
            whole["x_mixed"] = json.dumps(mixed, separators=(",", ":"))
        return whole

    def _agreed(self, field: str, votes: Mapping[Any, int], mixed: dict[str, dict[str, int]]) -> Any:
        if len(votes) == 1:
            return next(iter(votes))
        if set(votes) <= {True, False} and all(isinstance(one, bool) for one in votes):
            return {"true": votes[True], "false": votes[False]}
        known = {value: n for value, n in votes.items() if value is not None}
        if field.startswith(_PROPERTY):
            mixed[field] = {
                _word(value): n for value, n in sorted(votes.items(), key=lambda one: str(one[0]))
            }
        # As most have it; of equally many, the larger one.
        return max(known, key=lambda value: (known[value], isinstance(value, int), _rank(value)))


def total(frames: Iterable[Mapping[str, Any]]) -> Frame:
    """The events of one circuit, or pool, from several processes, as one."""
    whole = Sum()
    for frame in frames:
        whole.add(frame)
    return whole.result()


def gone(frame: Mapping[str, Any]) -> Frame:
    """What tells readers that nobody has this circuit any more."""
    return {"type": frame["type"], "name": frame["name"], "deleteData": "true"}


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
        return 0  # no number, or none that can be added
    return int(value)


def _columns(field: str, column: Sequence[Mapping[str, Any]]) -> dict[str, int] | None:
    """Objects of numbers added up, if they are all alike."""
    first = column[0]
    if field.startswith(_PROPERTY) or first.keys() <= {"true", "false"}:
        return None
    if any(type(one) is not dict or one.keys() != first.keys() for one in column):
        return None
    if any(set(map(type, one.values())) != {int} for one in column):
        return None
    sums: dict[str, int] = {}
    for key in first:
        values = [one[key] for one in column]
        if not -_MOST < min(values) <= max(values) < _MOST:
            return None
        sums[str(key)] = sum(values)
    return sums


def _rank(value: Any) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))


def _word(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _meant(word: str) -> Any:
    if word in ("true", "false"):
        return word == "true"
    if word == "null":
        return None
    return int(word) if word.isascii() and word.isdigit() and len(word) < 18 else word


def _spread(text: str) -> list[tuple[str, int]] | None:
    """``{"true":1,"false":3}`` as text, with or without its quotes; ``None`` if it is no such thing."""
    text = text.strip()
    if len(text) > _LONGEST or not (text.startswith("{") and text.endswith("}")):
        return None
    found = [_PAIR.fullmatch(pair) for pair in text[1:-1].split(",")]
    if not all(found):
        return None
    return [(one[1], int(one[2])) for one in found if one is not None]
