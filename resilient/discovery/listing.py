"""What is asked of a registry, and what its lists say (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from ..model import Action, Instance


class Listing(Protocol):
    """What `eureka.json.read_applications` gives; entries that were skipped are only counted."""

    @property
    def version(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def entries(self) -> list[tuple[Action, Instance]]: ...
    @property
    def skipped(self) -> int: ...


class Fetch(NamedTuple):
    """What to ask for. ``elsewhere`` is the registry that should not be asked again, if there is another.

    ``asked`` is when, by the monotonic clock: an answer may be on its way for long, and speaks of then.
    """

    full: bool
    generation: int
    asked: float
    elsewhere: str = ""


def news(entries: Iterable[tuple[Action, Instance]]) -> list[tuple[Action, Instance]]:
    """The last word on each instance: a delta may hold several, and repeats those of before."""
    last: dict[tuple[str, str], tuple[Action, Instance]] = {}
    for action, instance in entries:
        last[instance.service, instance.id] = (action, instance)
    return list(last.values())


def differ(one: tuple[Instance, ...], other: tuple[Instance, ...]) -> bool:
    """Whether these two are not the same instances in the same order."""
    # Different lengths say it at once; most often it is one instance of many that is another.
    return one is not other and (len(one) != len(other) or one != other)


def older(version: str, than: str) -> bool:
    """Whether a version of a list is an earlier one; False if they are no numbers."""
    try:
        return int(version) < int(than)
    except ValueError:
        return False
