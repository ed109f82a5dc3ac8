"""One reader of the feed: what it gets next, made when it has taken what came before.

Nothing is copied for it. It has a place in the ring that all share; only what is for it alone (commands)
waits in a queue of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from resilient.eureka import json
from resilient.web.stream import Outlet

from .ring import PIECE, Ring, Services
from .watch import Watch

#: What may wait for a reader that takes nothing: how many events, and how many bytes of them.
WAITING_EVENTS = 64
WAITING_BYTES = 256 * 1024
#: Seconds after which a silent stream says that it lives.
HEARTBEAT = 5.0

BEAT = b": \n\n"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a reader asks for. ``services`` None: all; ``last``: the position it has, "" for none."""

    services: Services | None = None
    instance: tuple[str, str] | None = None
    worker: str = ""
    last: str = ""
    snapshot: bool = True


class Directory(Protocol):
    """Where snapshots come from."""

    def services(self) -> list[str]:
        """The names of all services."""
        ...

    def parts(self, service: str) -> Iterator[bytes]:
        """Its instances' JSON, some at a time, without what stands between; nothing if it is gone."""
        ...

    def count(self, services: Services | None) -> tuple[str, int]:
        """The hash and the number of all instances; for some services the hash is ""."""
        ...


def event(name: str, data: object, id: str = "") -> bytes:
    """One event that is not shared."""
    line = f"event: {name}\nid: {id}\n" if id else f"event: {name}\n"
    return line.encode() + b"data: " + json.dump(data) + b"\n\n"


WATCHED = {on: event("watched", {"circuits": on}) for on in (False, True)}


class Reader(Outlet):
    """One reader's place. Belongs to the event loop that serves it."""

    __slots__ = (
        "_directory",
        "_middle",
        "_ring",
        "_seen",
        "_snapshot",
        "_told",
        "_watch",
        "busy",
        "cursor",
        "looks",
        "wire",
        "wish",
    )

    def __init__(self, wish: Wish, ring: Ring, watch: Watch, directory: Directory) -> None:
        super().__init__(events=WAITING_EVENTS, size=WAITING_BYTES, overflow="cut")
        self.wish = wish
        self._ring = ring
        self._watch = watch
        self._directory = directory
        self._told = watch.on
        #: Everything up to this change has been handed out.
        self.cursor = ring.head
        self._seen = ring.head
        self._snapshot: Iterator[tuple[bytes, bool]] | None = None
        self._middle = False  # of an event that is handed out in parts
        self.busy = False  #: it has something, and has not come back for more
        self.looks = 0  #: of the heartbeat, since it last got something
        self.wire: asyncio.BaseTransport | None = None  #: what it is connected by
        hello = {"epoch": ring.epoch, "position": ring.position(), "heartbeat": HEARTBEAT}
        super().put(event("hello", {**hello, "watched": watch.on}))
        self._begin(wish.last)

    def _begin(self, last: str) -> None:
        ring = self._ring
        if last:
            reason = ""
            epoch, _, number = last.rpartition("-")
            if epoch != ring.epoch:
                reason = "this registry has started anew, or the position is that of another"
            elif not (number.isascii() and number.isdigit() and len(number) < 19):
                reason = "the position makes no sense"
            elif int(number) > ring.head:
                reason = "the position has not been reached yet"
            elif not ring.covers(int(number)):
                reason = "too much has changed since"
            else:
                self.cursor = int(number)
                return
            self._reset(reason)
        elif self.wish.snapshot:
            self._snapshot = self._everything()

    def _reset(self, reason: str) -> None:
        self.cursor = self._ring.head
        super().put(event("reset", {"reason": reason}, self._ring.position()))
        if self.wish.snapshot:
            self._snapshot = self._everything()

    async def take(self) -> bytes | None:
        """What comes next, waiting for it; None at the end."""
        self.busy = False
        while True:
            piece = self.next()
            if piece is not None:
                self.busy = True
                self.looks = 0
                self._seen = self._ring.head
                return piece
            if self.closed:
                return None
            await self._until_woken()

    def next(self) -> bytes | None:
        """What comes next; None for nothing now."""
        if self._middle:
            # Nothing may come between the parts of one event. If it ends here, it ends unfinished, and
            # the other side throws away what it has of it.
            return None if self.closed else self._more()
        if self._pieces:
            own = b"".join(self._pieces)
            self._pieces.clear()
            self._waiting = 0
            return own
        if self.closed:
            return None
        if self._told is not self._watch.on:
            self._told = self._watch.on
            return WATCHED[self._told]
        if self._snapshot is not None and (piece := self._more()) is not None:
            return piece
        if not self._ring.covers(self.cursor):
            self._reset("too much has changed meanwhile")
            return self.next()
        piece, self.cursor = self._ring.piece(self.cursor, self.wish.services)
        return piece

    def _more(self) -> bytes | None:
        """The next of the snapshot; None once it is complete."""
        parts: list[bytes] = []
        size = 0
        for part, middle in self._snapshot or ():
            self._middle = middle
            parts.append(part)
            size += len(part)
            if size >= PIECE or (self._pieces and not middle):
                return b"".join(parts)
        self._snapshot = None
        return b"".join(parts) or None

    def _everything(self) -> Iterator[tuple[bytes, bool]]:
        """The snapshot's parts, and whether an event goes on behind them.

        It may take its time, and show some changes that come again behind it; that does no harm.
        """
        directory, wanted = self._directory, self.wish.services
        position = self._ring.position(self.cursor)
        fingerprint, instances = directory.count(wanted)
        for service in directory.services():
            if wanted is not None and service not in wanted:
                continue
            began = False
            for part in directory.parts(service):
                if not began:
                    head = b'event: service\ndata: {"service":%b,"instances":[' % json.dump(service)
                    yield head + part, True
                    began = True
                else:
                    yield b"," + part, True
            if began:
                yield b"]}\n\n", False
        ready: dict[str, object] = {"hash": fingerprint, "instances": instances}
        if wanted is not None:
            del ready["hash"]
        yield event("ready", ready, position), False

    def nudge(self, services: set[str], upto: int, *, always: bool = False) -> None:
        """Something happened to ``services``, the last of it numbered ``upto``. Never waits."""
        waiter = self._waiter
        if waiter is not None:
            wanted = self.wish.services
            if wanted is not None and not always and wanted.isdisjoint(services):
                # It waits, so it has all that came before; and nothing since is for it.
                self.cursor = max(self.cursor, upto)
            elif not waiter.done():
                waiter.set_result(None)
        elif (
            self.busy
            and self._snapshot is None
            and not self.closed
            and self._ring.exceeds(self._seen, self.wish.services, WAITING_EVENTS, WAITING_BYTES)
        ):
            # It takes nothing. What waits for it waits in the ring, but it shall not wait for ever.
            self._cut()

    def say(self, piece: bytes) -> bool:
        """Hand it something of its own. False if it is gone, or was too slow and is cut."""
        return not self._broken() and self.put(piece)

    def look(self) -> None:
        """Twice in each heartbeat: a reader that got nothing meanwhile is told that the stream lives."""
        if self._broken():
            return
        self.looks += 1
        if self.looks >= 2 and self._waiter is not None:
            self.looks = 0
            self.put(BEAT)

    def _broken(self) -> bool:
        """Whether it has hung up. Its handler learns of that only when it writes."""
        if self.wire is not None and self.wire.is_closing():
            self.close()
        return self.closed

    def end(self, gone: bytes) -> None:
        """The server goes. A reader that takes nothing is cut."""
        if self.busy:
            self._cut()
        elif not self.closed:
            self.put(gone)
            self.close()
