"""One browser's place in the stream: at most two ticks wait for it, and nothing else is dropped unsaid."""

from __future__ import annotations

from collections.abc import Callable

from resilient.web.stream import Outlet

from .frames import frame

#: What may wait for one browser besides ticks.
WAITING_EVENTS = 256
WAITING_BYTES = 512 * 1024
TICKS = 2
TOPICS = frozenset({"services", "circuits", "changes", "nodes", "edges"})
#: Services whose heartbeats one page may follow.
BEATS = 4

_GAP = frame("gap", {"reason": "too_slow"})


def topics_of(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """What a page wants: topics, and services whose heartbeats it follows. Unknown words count nothing."""
    named = [one.strip() for one in text.split(",") if one.strip()][:32]
    if not named:
        named = ["services", "circuits", "changes", "nodes"]
    beats = [one[6:].lower()[:256] for one in named if one.startswith("beats:")][:BEATS]
    # A name becomes part of an event's name, so it must not end the line.
    return frozenset(named) & TOPICS, frozenset(one for one in beats if one and one.isprintable())


class Viewer(Outlet):
    """``catch_up`` makes the events that give a page everything anew."""

    __slots__ = ("_catch_up", "_ticks", "beats", "behind", "topics")

    def __init__(
        self, topics: frozenset[str], beats: frozenset[str], catch_up: Callable[[Viewer], list[bytes]]
    ) -> None:
        super().__init__(events=WAITING_EVENTS, size=WAITING_BYTES, overflow="cut")
        self.topics = topics
        self.beats = beats
        self._catch_up = catch_up
        self._ticks: list[bytes] = []
        #: It did not take what it was sent: nothing is kept for it until it does.
        self.behind = False

    def tick(self, piece: bytes) -> None:
        """Hand over a tick; of three the oldest is forgotten, for ticks are complete."""
        if self._closed or self.behind:
            return
        self._ticks.append(piece)
        if len(self._ticks) > TICKS:
            del self._ticks[0]
            self.dropped += 1
        self._wake_up()

    def put(self, piece: bytes) -> bool:
        """Hand over anything else. Too much of it, and the page has to begin again."""
        if self._closed:
            return False
        if self.behind:
            return True
        if self._pieces and (
            len(self._pieces) >= WAITING_EVENTS or self._waiting + len(piece) > WAITING_BYTES
        ):
            self._pieces.clear()
            self._ticks.clear()
            self._waiting = 0
            self.behind = True
            self._wake_up()
            return True
        self._pieces.append(piece)
        self._waiting += len(piece)
        self.quiet = False
        self._wake_up()
        return True

    async def take(self) -> bytes | None:
        """What comes next, in one piece; None at the end."""
        while True:
            if self.behind:
                self.behind = False
                return b"".join((_GAP, *self._catch_up(self)))
            if self._pieces or self._ticks:
                found = b"".join((*self._pieces, *self._ticks))
                self._pieces.clear()
                self._ticks.clear()
                self._waiting = 0
                self.quiet = False
                return found
            if self._closed:
                return None
            await self._until_woken()
