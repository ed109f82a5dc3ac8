"""What is still to be told to one peer: merged, in order, aged, bounded. Pure.

What is pending stands by instance, and an instance keeps its place however often it has news, so that a
busy one neither waits for ever nor lets others wait. Heartbeats stand apart, one per instance: they are
many, the next one is never far, and so they are the first to go when there is no room.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from resilient.clock import SYSTEM, Clock
from resilient.eureka.replication import Item, Kind

#: Items that may wait for a peer, and items of one batch.
MOST = 10_000
BATCH = 250
#: Seconds a batch may be waited for after its first item.
DELAY = 0.5

Key = tuple[str, str]
#: An operator's word on a status: set, taken back.
OVERRIDES = (Kind.STATUS, Kind.STATUS_REMOVED)


@dataclass(frozen=True, slots=True)
class Task:
    """An item, since when something waits in its place, and until when it is worth telling.

    Both are seconds of the clock's monotonic time.
    """

    item: Item
    since: float
    until: float

    @property
    def key(self) -> Key:
        return self.item.app, self.item.id


def merged(pending: tuple[Task, ...], task: Task) -> tuple[Task, ...]:
    """What is left to tell of one instance when ``task`` is its latest news. At most three tasks.

    A cancel makes everything before it pointless. A registration replaces an earlier one and an override,
    set or removed, an earlier one; apart from that they stay in the order in which they happened.
    """
    kind = task.item.kind
    if pending:
        task = replace(task, since=min(pending[0].since, task.since))
    if kind is Kind.CANCEL:
        return (task,)
    replaced = OVERRIDES if kind in OVERRIDES else (kind,)
    return (*(one for one in pending if one.item.kind not in replaced), task)


class Backlog:
    """The items that wait for one peer. Lives on one event loop."""

    def __init__(self, clock: Clock = SYSTEM, *, most: int = MOST, delay: float = DELAY) -> None:
        self._clock = clock
        self._most = most
        self._delay = delay
        self._words: dict[Key, tuple[Task, ...]] = {}
        self._beats: dict[Key, Task] = {}
        self._size = 0
        #: Heartbeats for which there was no room, or no time. The next ones make up for them.
        self.skipped = 0
        #: Registrations, cancels and overrides that were given up for the same reasons.
        self.lost = 0

    def __len__(self) -> int:
        return self._size

    @property
    def oldest(self) -> float | None:
        """Since when the oldest item waits, in monotonic seconds; None if nothing does."""
        word = next(iter(self._words.values()), None)
        beat = next(iter(self._beats.values()), None)
        firsts = ([word[0].since] if word else []) + ([beat.since] if beat else [])
        return min(firsts, default=None)

    @property
    def due(self) -> float | None:
        """Seconds until the next batch should go; None if nothing waits."""
        oldest = self.oldest
        if oldest is None:
            return None
        return 0.0 if self._size >= BATCH else max(0.0, oldest + self._delay - self._clock.monotonic())

    def tell(self, item: Item, keep: float) -> None:
        """Something to tell within ``keep`` seconds; after that it is no longer worth it."""
        now = self._clock.monotonic()
        task = Task(item, now, now + keep)
        if item.kind is Kind.HEARTBEAT:
            self._beat(task)
        else:
            self._word(task)

    def take(self, most: int = BATCH) -> list[Task]:
        """The next batch, without what has become too old. Changes go before heartbeats."""
        now = self._clock.monotonic()
        taken: list[Task] = []
        for key, tasks in list(self._words.items()):
            fresh = [task for task in tasks if task.until >= now]
            if len(taken) + len(fresh) > most:
                return taken  # what is told of one instance stays together
            del self._words[key]
            self._size -= len(tasks)
            self.lost += len(tasks) - len(fresh)
            taken += fresh
        for key in list(self._beats):
            if len(taken) >= most:
                return taken
            beat = self._beats.pop(key)
            self._size -= 1
            if beat.until >= now:
                taken.append(beat)
            else:
                self.skipped += 1
        return taken

    def give_back(self, tasks: Iterable[Task]) -> None:
        """Put a batch that could not be told back to the front, below what has been said since."""
        words, beats = self._words, self._beats
        self._words, self._beats, self._size = {}, {}, 0
        for task in tasks:
            if task.item.kind is Kind.HEARTBEAT:
                self._beat(task)
            else:
                self._word(task)
        for pending in words.values():
            for task in pending:
                self._word(task)
        for task in beats.values():
            self._beat(task)

    def _beat(self, task: Task) -> None:
        if task.key in self._words:
            return  # whatever is told of an instance renews it, too
        old = self._beats.get(task.key)
        if old is not None:
            # The first one's moment stays, or an eager client would always look fresh.
            self._beats[task.key] = replace(task, since=old.since)
        elif self._size >= self._most:
            self.skipped += 1
        else:
            self._beats[task.key] = task
            self._size += 1

    def _word(self, task: Task) -> None:
        key = task.key
        if self._beats.pop(key, None) is not None:
            self._size -= 1
        old = self._words.get(key, ())
        new = merged(old, task)
        while self._size + len(new) - len(old) > self._most and self._drop(key):
            pass
        if self._size + len(new) - len(old) > self._most:
            self.lost += 1
            return
        self._words[key] = new
        self._size += len(new) - len(old)

    def _drop(self, keep: Key) -> bool:
        """Make room: the oldest heartbeat, else the oldest words of another. False if there are none."""
        for key in self._beats:
            del self._beats[key]
            self._size -= 1
            self.skipped += 1
            return True
        for key in self._words:
            if key != keep:
                gone = len(self._words.pop(key))
                self._size -= gone
                self.lost += gone
                return True
        return False
