"""The last changes of the directory, each written once for all readers. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator

from resilient.eureka import json

from ..records import Change, Record

#: Changes that are remembered: how many, and how many bytes of them.
CHANGES = 10_000
BYTES = 16 * 1024 * 1024
#: Changes are handed out in pieces of about so many bytes.
PIECE = 32 * 1024
_KEPT_PIECES = 64
#: What a change weighs while nobody has asked for its bytes, besides its metadata.
_USUAL = 1_000

Services = frozenset[str]


class Entry:
    """One change. Its bytes are made when the first reader needs them."""

    __slots__ = ("_cut", "_part", "_whole", "fingerprint", "number", "record", "weight")

    def __init__(self, change: Change, fingerprint: str) -> None:
        self.number = change.number
        self.record = change.record
        self.fingerprint = fingerprint
        self._whole: bytes | None = None
        self._part: bytes | None = None
        self._cut = (0, 0)
        metadata = change.record.instance.metadata
        self.weight = _USUAL + sum(len(name) + len(value) for name, value in metadata.items())

    @property
    def service(self) -> str:
        """The service it belongs to."""
        return self.record.instance.service

    def frame(self, epoch: str, write: Callable[[Record], bytes], *, part: bool) -> bytes:
        """The event for readers of everything, or (``part``) of some services: they cannot check the hash."""
        whole = self._whole
        if whole is None:
            instance = self.record.instance
            start = b'event: change\nid: %b-%d\ndata: {"action":"%b","service":%b,"id":%b' % (
                epoch.encode(),
                self.number,
                self.record.action.value.encode(),
                json.dump(instance.service),
                json.dump(instance.id),
            )
            check = b',"hash":%b' % json.dump(self.fingerprint)
            whole = self._whole = b'%b%b,"instance":%b}\n\n' % (start, check, write(self.record))
            self._cut = (len(start), len(start) + len(check))
        if not part:
            return whole
        if self._part is None:
            self._part = whole[: self._cut[0]] + whole[self._cut[1] :]
        return self._part

    @property
    def size(self) -> int:
        """The bytes it holds, as far as they are made."""
        return len(self._whole or b"") + len(self._part or b"")


class Ring:
    """What changed lately, by number. ``write`` makes an instance's JSON.

    Numbers only grow; some are missing, for what they counted changed nothing that readers see.
    """

    def __init__(
        self,
        epoch: str,
        write: Callable[[Record], bytes],
        *,
        start: int = 0,
        changes: int = CHANGES,
        size: int = BYTES,
    ) -> None:
        self.epoch = epoch
        #: The number of the last change, and the one up to which they are forgotten.
        self.head = self.floor = start
        #: Weights of all changes there ever were.
        self.poured = 0
        self._write = write
        self._most_changes = changes
        self._most_bytes = size
        self._numbers: list[int] = []
        self._entries: list[Entry] = []
        self._gone = 0  # of the entries, at the beginning
        self._bytes = 0
        self._pieces: dict[tuple[int, Services | None], tuple[bytes | None, int]] = {}

    def __len__(self) -> int:
        return len(self._entries) - self._gone

    @property
    def size(self) -> int:
        """Bytes, those of changes nobody has read yet estimated."""
        return self._bytes

    def position(self, number: int | None = None) -> str:
        """How a reader names the place after a change; by default the last one."""
        return f"{self.epoch}-{self.head if number is None else number}"

    def covers(self, number: int) -> bool:
        """Whether everything after ``number`` is still here."""
        return self.floor <= number <= self.head

    def append(self, change: Change, fingerprint: str) -> None:
        """One more. ``fingerprint`` is that of the whole directory after it."""
        entry = Entry(change, fingerprint)
        self._numbers.append(change.number)
        self._entries.append(entry)
        self.head = change.number
        self.poured += entry.weight
        self._bytes += entry.weight
        self._trim()

    def skip(self, number: int) -> None:
        """A change that no reader would notice."""
        self.head = number

    def after(self, number: int) -> Iterator[Entry]:
        """The changes after ``number``, as far as they are here."""
        for place in range(self._place(number), len(self._entries)):
            yield self._entries[place]

    def piece(self, number: int, services: Services | None = None) -> tuple[bytes | None, int]:
        """What comes after ``number``, or some of it, and the number it reaches up to.

        None if nothing in it is for a reader of ``services`` (None: of everything). Call it only for
        numbers this ring :meth:`covers`.
        """
        if number == self.head:
            return None, number
        known = self._pieces.get((number, services))
        if known is not None and known[0] is not None:
            return known
        frames: list[bytes] = []
        size, upto = 0, self.head
        for entry in self.after(number):
            if services is not None and entry.service not in services:
                continue
            before = entry.size
            frame = entry.frame(self.epoch, self._write, part=services is not None)
            if grown := entry.size - before:
                self._weigh(entry, grown if before else grown - entry.weight)
            frames.append(frame)
            size += len(frame)
            if size >= PIECE:
                upto = entry.number
                break
        found = (b"".join(frames) if frames else None, upto)
        if len(self._pieces) >= _KEPT_PIECES:
            self._pieces.clear()
        self._pieces[number, services] = found
        self._trim()
        return found

    def exceeds(self, number: int, services: Services | None, events: int, size: int) -> bool:
        """Whether what came after ``number`` is more than so many events or bytes."""
        for entry in self.after(number):
            if services is None or entry.service in services:
                events -= 1
                size -= entry.size or entry.weight
                if events < 0 or size < 0:
                    return True
        return False

    def _weigh(self, entry: Entry, more: int) -> None:
        entry.weight += more
        self._bytes += more

    def _place(self, number: int) -> int:
        return max(self._gone, bisect_right(self._numbers, number))

    def _trim(self) -> None:
        while len(self) > self._most_changes or (self._bytes > self._most_bytes and len(self) > 1):
            entry = self._entries[self._gone]
            self.floor = entry.number
            self._bytes -= entry.weight
            self._gone += 1
        # In large steps, for it moves everything behind it.
        if self._gone > 1024 and self._gone * 4 > len(self._entries):
            del self._entries[: self._gone], self._numbers[: self._gone]
            self._gone = 0
