"""Our copy of the registry: all of it once, then changes (pure).

Two lists are kept. *Theirs* is exactly what the registry said, and what its fingerprint is compared
with. The *directory* is what we serve: theirs, and beside it whatever a full answer left out and we
do not believe to be gone yet. It is never given up for want of news.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Protocol

from ..clock import SYSTEM, Clock
from ..eureka.fingerprint import directory_hash
from ..model import Action, Directory, Instance

#: Registries list changes for three minutes; after so long without news we no longer rely on that.
CHANGES_LAST = 120.0
#: The fingerprint cannot see an exchange of two instances in one status, so all is read now and then.
FULL_EVERY = 600.0
#: Absences in full answers are believed after so many answers in a row ...
BELIEVED_AFTER = 3
#: ... that lie so far apart in seconds ...
APART = 2.0
#: ... and come from so many registries.
WITNESSES = 2
#: A full answer whose fingerprint contradicts its content is refused so many times in a row.
PATIENCE = 3


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


@dataclass(slots=True)
class _Doubt:
    """Instances that a full answer left out; ``witnesses`` are the registries that left them out too."""

    missing: dict[tuple[str, str], Instance]
    answers: int
    last: float
    witnesses: set[str]


class Mirror:
    """Follows a registry by whole lists and deltas. Every method decides, none of them waits.

    ``registries`` is how many are known. With more than one, a full answer in which a whole service or
    more than half of everything is missing is doubted: absences count only after three such answers,
    two seconds apart, from two registries. A removal that a delta names counts at once.
    """

    def __init__(
        self,
        *,
        registries: int = 1,
        accept_empty: bool = False,
        clock: Clock = SYSTEM,
        rng: Random | None = None,
    ) -> None:
        self._clock = clock
        self._rng = rng or Random()
        self._accept_empty = accept_empty
        self.registries = registries
        self._theirs = Directory()
        self._source = ""
        self._version = ""
        self._complete = True
        self._want_full = True
        self._full_due = 0.0
        self._heard_at: float | None = None
        self._contradictions = 0
        self._doubt: _Doubt | None = None
        self._generation = 0
        self.directory = Directory()

    @property
    def ready(self) -> bool:
        """Whether the directory was read once."""
        return self._heard_at is not None

    @property
    def age(self) -> float | None:
        """Seconds since a registry last confirmed the directory; ``None`` before the first time."""
        return None if self._heard_at is None else max(0.0, self._clock.monotonic() - self._heard_at)

    @property
    def generation(self) -> int:
        """Grows with every answer that was taken; late answers to earlier questions have no say."""
        return self._generation

    @property
    def in_doubt(self) -> int:
        """How many instances are served although the last full answer left them out."""
        return len(self._doubt.missing) if self._doubt else 0

    def next(self) -> Fetch:
        """What to ask for now."""
        age = self.age
        full = (
            self._want_full
            or age is None
            or age > CHANGES_LAST
            or self._doubt is not None
            or self._clock.monotonic() >= self._full_due
        )
        elsewhere = ""
        if self._doubt is not None and len(self._doubt.witnesses) < WITNESSES:
            elsewhere = self._source
        return Fetch(full, self._generation, self._clock.monotonic(), elsewhere)

    def failed(self, fetch: Fetch) -> None:
        """A question had no usable answer. After a delta that failed, all is read next time."""
        if fetch.generation == self._generation and not fetch.full:
            self._want_full = True

    def heard(self, fetch: Fetch, source: str, page: Listing) -> bool:
        """Learn an answer from the registry ``source``. True if the directory is another one now."""
        if fetch.generation != self._generation:
            return False
        before = self.directory
        if fetch.full:
            self._take_full(fetch, source, page)
        else:
            self._take_delta(fetch, source, page)
        return self.directory is not before

    # -- the two kinds of answer ------------------------------------------------------------------

    def _take_full(self, fetch: Fetch, source: str, page: Listing) -> None:
        fresh = Directory.of(one for action, one in page.entries if action is not Action.DELETED)
        wrong = page.fingerprint != directory_hash(fresh) and not page.skipped
        if wrong and page.fingerprint and self.ready:
            self._contradictions += 1
            if self._contradictions < PATIENCE:  # some registries simply count otherwise
                return
        self._contradictions = 0
        self._complete = not page.skipped and not wrong
        self._doubt = self._doubted(source, fresh)
        self._theirs = fresh
        self._want_full = False
        self._full_due = self._clock.monotonic() + FULL_EVERY * self._rng.uniform(0.9, 1.1)
        self._taken(fetch, source, page)

    def _take_delta(self, fetch: Fetch, source: str, page: Listing) -> None:
        if source != self._source or _older(page.version, self._version):
            # Another registry, or the same one after a restart: its changes build on another list.
            self._want_full = True
            return
        after = self._theirs.apply(_news(self._theirs, page.entries))
        if page.fingerprint != directory_hash(after) and self._complete and not page.skipped:
            self._want_full = True  # and what was merged is thrown away: it is known to be wrong
            return
        self._theirs = after
        self._taken(fetch, source, page)

    def _taken(self, fetch: Fetch, source: str, page: Listing) -> None:
        self._source = source
        self._version = page.version
        self._generation += 1
        self._heard_at = fetch.asked
        served = self._theirs
        if self._doubt is not None:
            served = served.apply((Action.ADDED, one) for one in self._doubt.missing.values())
        if not self._same(served):
            self.directory = served

    # -- absences ---------------------------------------------------------------------------------

    def _doubted(self, source: str, fresh: Directory) -> _Doubt | None:
        if self.registries < 2 or self._accept_empty or not self.ready:
            return None
        listed = {(one.service, one.id) for members in fresh.services.values() for one in members}
        missing = {
            (one.service, one.id): one
            for members in self.directory.services.values()
            for one in members
            if (one.service, one.id) not in listed
        }
        if not missing:
            return None
        now = self._clock.monotonic()
        doubt = self._doubt
        if doubt is None:
            emptied = any(not fresh.instances(service) for service, _ in missing)
            if not emptied and 2 * len(missing) <= len(self.directory):
                return None  # a few instances went: that is everyday life
            return _Doubt(missing, 1, now, {source})
        # What went missing only now is believed or not together with the rest.
        doubt.missing = missing
        doubt.witnesses.add(source)
        if now - doubt.last >= APART:
            doubt.answers += 1
            doubt.last = now
        if doubt.answers >= BELIEVED_AFTER and len(doubt.witnesses) >= WITNESSES:
            return None
        return doubt

    def _same(self, served: Directory) -> bool:
        return self.ready and served.services == self.directory.services


def _news(theirs: Directory, entries: Iterable[tuple[Action, Instance]]) -> list[tuple[Action, Instance]]:
    """The last word on each instance: a delta may hold several, and repeats those of before."""
    last: dict[tuple[str, str], tuple[Action, Instance]] = {}
    for action, instance in entries:
        last[instance.service, instance.id] = (action, instance)
    return list(last.values())


def _older(version: str, than: str) -> bool:
    try:
        return int(version) < int(than)
    except ValueError:
        return False
