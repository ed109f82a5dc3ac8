"""Our copy of the registry: all of it once, then changes, asked for or told by its feed (pure).

Two lists are kept. *Theirs* is exactly what the registry said, and what its fingerprint is compared
with. The *directory* is what we serve: theirs, and beside it whatever a full answer left out and we
do not believe to be gone yet. It is never given up for want of news.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from random import Random

from ..clock import SYSTEM, Clock
from ..eureka.fingerprint import directory_hash
from ..model import Action, Directory, Instance
from .copy import Copy
from .feed import Change, Position, Trail, last_words
from .grace import Grace
from .listing import Fetch, Listing, differ, news, older

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
_NOTHING: frozenset[str] = frozenset()


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
    two seconds apart, from two registries. A removal that a delta or the feed names counts at once.

    A feed is *followed* from the position that the last answer came with. What it tells is served if the
    registry's fingerprint agrees with ours; else what was served before stays, until all has been read.
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
        self._grace = Grace(clock)
        self._epoch = ""
        self._position: Position | None = None
        self._trail: Trail | None = None
        self._copy: Copy | None = None
        #: The registry has begun another life since the last list: everybody has to read all of it.
        self.anew = False
        self._gap = False  # the feed left something out: what it tells now cannot be built upon
        self._suspect = False  # what it told does not agree with its fingerprint, and is not served
        self._unserved: set[str] = set()
        #: Of what was learned last: the services that are others now, and those of them that gained or lost
        #: instances; ``None``: all may be.
        self.touched: Set[str] | None = None
        self.moved: Set[str] | None = None
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
    def source(self) -> str:
        """The registry that gave the list; ``""`` before the first one."""
        return self._source

    @property
    def following(self) -> bool:
        """Whether what a feed tells is listened to. If it ends by itself, the feed is to be opened anew."""
        return self._trail is not None

    @property
    def live(self) -> bool:
        """Whether a feed keeps the directory up to date, so that nothing needs to be asked for."""
        return not (self._trail is None or self._gap or self._suspect or self._want_full or self._doubt)

    @property
    def in_doubt(self) -> int:
        """How many instances are served although the last full answer left them out."""
        return len(self._doubt.missing) if self._doubt else 0

    @property
    def in_grace(self) -> int:
        """How many instances are served although a registry that has just begun does not list them."""
        return len(self._grace)

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

    def heard(self, fetch: Fetch, source: str, page: Listing, position: str = "") -> bool:
        """Learn an answer from the registry ``source``. True if the directory is another one now.

        ``position`` is the place in the registry's feed that came with it, if any.
        """
        if fetch.generation != self._generation:
            return False
        before = self.directory
        at = Position.parse(position)
        if fetch.full:
            self._take_full(fetch, source, page, at)
        else:
            self._take_delta(fetch, source, page, at)
        return self.directory is not before

    # -- the feed ---------------------------------------------------------------------------------

    @property
    def position(self) -> str:
        """From where the feed of `source` can be followed; ``""`` if it cannot, now or at all."""
        return "" if self._position is None or self._want_full else str(self._position)

    def follow(self) -> None:
        """The feed of `source` was opened at `position`."""
        self._trail = Trail(self._position) if self._position is not None else None

    def unfollow(self) -> None:
        """The feed has ended."""
        self._trail = None

    def restarted(self, at: Position) -> None:
        """The feed goes on at ``at``, and cannot tell what came before: all must be read."""
        if self._trail is not None:
            self._trail.restart(at)
            self._gap = self._want_full = True

    def confirmed(self) -> None:
        """The feed gave a sign of life."""
        if self.live:
            self._heard_at = self._clock.monotonic()

    def changed(self, changes: Sequence[Change]) -> Set[str]:
        """Learn what the feed told in one go. Returns the services that are served differently now."""
        trail, known = self._trail, self._position
        if trail is None or known is None:
            return _NOTHING
        # What a whole list held already comes again behind it: taking it twice could take it back.
        fresh = [one for one in changes if trail.add(one) and one.at > known]
        if self._gap or not fresh:
            return _NOTHING
        if self._copy is None:
            self._copy = Copy(self._theirs)
        copy = self._copy
        self._unserved |= self._grace.heard(last_words(fresh))
        for action, instance in last_words(fresh):
            copy.change(action, instance)
            # In doubt is what a list left out without a word; here is the word.
            if self._doubt and self._doubt.missing.pop((instance.service, instance.id), None):
                self._unserved.add(instance.service)
        self._unserved |= copy.done()
        self.moved = copy.moved
        self._theirs = copy.directory
        self._position = fresh[-1].at
        if any(one.instance is None for one in fresh):
            self._complete = False
        if self._wrong(fresh[-1], copy.fingerprint):
            self._suspect = self._want_full = True
            return _NOTHING
        if self._suspect:  # it lagged behind a list that was newer than its position said
            self._suspect = self._want_full = False
            self.moved = None
        self._heard_at = self._clock.monotonic()
        return self._serve_changes()

    def _serve_changes(self) -> Set[str]:
        if self._doubt is not None and not self._doubt.missing:
            self._doubt = None
        touched, self._unserved = self._unserved, set()
        before = self.directory
        if self._grace or self._doubt is not None:
            self.moved = None
        patch = self._grace and self._doubt is None
        served = self._grace.patched(before, self._theirs, touched) if patch else self._served()
        different = {name for name in touched if differ(served.instances(name), before.instances(name))}
        if different:
            self.directory = served
        return different

    def _wrong(self, last: Change, fingerprint: str) -> bool:
        return self._complete and last.fingerprint is not None and last.fingerprint != fingerprint

    def _joined(self, fresh: Directory, source: str, at: Position | None) -> Directory | None:
        """A list that was read, and over it what the feed told since; ``None`` if they do not agree."""
        trail = self._trail
        later = trail.since(at) if trail is not None and at is not None and source == self._source else None
        if not later:
            if later is None:  # another registry, another life of it, or older than the feed reaches back
                self._trail = None
            self._position, self._gap = at, False
            return fresh
        copy = Copy(fresh)
        for action, instance in last_words(later):
            copy.change(action, instance)
        copy.done()
        if self._wrong(later[-1], copy.fingerprint):
            self._contradictions += 1
            if self._contradictions < PATIENCE:
                return None
            self._complete = False
        self._position, self._gap = later[-1].at, False
        return copy.directory

    # -- the two kinds of answer ------------------------------------------------------------------

    def _take_full(self, fetch: Fetch, source: str, page: Listing, at: Position | None) -> None:
        fresh = Directory.of(one for action, one in page.entries if action is not Action.DELETED)
        wrong = page.fingerprint != directory_hash(fresh) and not page.skipped
        if wrong and page.fingerprint and self.ready:
            self._contradictions += 1
            if self._contradictions < PATIENCE:  # some registries simply count otherwise
                return
        self._complete = not page.skipped and not wrong
        joined = self._joined(fresh, source, at)
        if joined is None:
            return
        fresh = joined
        self._contradictions = 0
        self._doubt = self._doubted(source, fresh)
        if at is not None:
            another = self._epoch not in ("", at.epoch) and source == self._source
            if another and self.registries < 2 and not self._accept_empty:
                self._grace.begin(self.directory, fresh)
            self._epoch = at.epoch
        self._theirs = fresh
        self._copy = None
        self._want_full = False
        self._full_due = self._full_from_now()
        self._taken(fetch, source, page)

    def _take_delta(self, fetch: Fetch, source: str, page: Listing, at: Position | None) -> None:
        known = self._position
        moved = known is not None and at is not None and at.epoch != known.epoch
        if source != self._source or moved or older(page.version, self._version):
            # Another registry, or the same one after a restart: its changes build on another list.
            self._want_full = True
            self.anew = moved
            return
        if self._gap or (known is not None and at is not None and at < known):
            return  # while it was on its way, the feed has told more
        patched = self._grace or self._doubt is not None or self._suspect or self._unserved
        copy = self._copy or Copy(self._theirs)
        for action, instance in news(page.entries):
            copy.change(action, instance)
        touched = copy.done()
        if page.fingerprint != copy.fingerprint and self._complete and not page.skipped:
            self._copy = None
            self._want_full = True  # and what was merged is thrown away: it is known to be wrong
            return
        self._grace.heard(page.entries)
        self._copy = copy
        self._theirs = copy.directory
        self._position = at
        if at is None:
            self._trail = None
        elif self._trail is not None:
            # The feed leaves nothing out unnoticed, and here are its word and the fingerprint that agree.
            self._full_due = self._full_from_now()
        self._taken(fetch, source, page, None if patched else touched)

    def _full_from_now(self) -> float:
        return self._clock.monotonic() + FULL_EVERY * self._rng.uniform(0.9, 1.1)

    def _taken(self, fetch: Fetch, source: str, page: Listing, touched: Set[str] | None = None) -> None:
        self._source = source
        self._version = page.version
        self._generation += 1
        self._heard_at = fetch.asked
        self._suspect = self.anew = False
        self._unserved.clear()
        self.touched, self.moved = touched, None
        if touched is not None and self.ready:
            if touched:
                self.directory = self._theirs
            return
        served = self._served()
        if not self._same(served):
            self.directory = served

    def _served(self) -> Directory:
        served = self._grace.over(self._theirs)
        if self._doubt is None:
            return served
        return served.apply((Action.ADDED, one) for one in self._doubt.missing.values())

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
