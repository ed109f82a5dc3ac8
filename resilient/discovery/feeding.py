"""The loop that reads the registry's feed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from random import Random

import aiohttp

from ..clock import Clock
from ..errors import RegistryError, WireError
from ..events import FeedChanged, Publish
from . import feed
from .bell import Bell
from .client import RegistryClient, why
from .feed import Change, Command, End, FeedPlan, Gone, Hello, Position, Reset, Watched
from .mirror import Mirror
from .polling import Poller, line
from .sse_reader import SseReader
from .stream import Stream

#: Who reads: ``SERVICE/ID`` and ``HOST:PID``, as commands name them. Empty: nobody in particular.
Who = Callable[[], tuple[str, str]]

_log = logging.getLogger("resilient.discovery")


class Feeder:
    """Opens the feed of the registry that gave the list, and hands on what it tells. Belongs to one loop.

    ``on_command`` hears what is to be done to circuits of this process; ``on_watched`` whether somebody
    looks at circuits.
    """

    def __init__(
        self,
        mirror: Mirror,
        poller: Poller,
        interval: float,
        *,
        clock: Clock,
        rng: Random,
        publish: Publish,
        who: Who,
        on_command: Callable[[Mapping[str, object]], None],
        on_watched: Callable[[bool], None],
    ) -> None:
        self._mirror = mirror
        self._poller = poller
        self._interval = interval
        self._clock = clock
        self._publish = publish
        self._who = who
        self._on_command = on_command
        self._on_watched = on_watched
        self._plan = FeedPlan(clock=clock, rng=rng)
        self._bell = Bell()
        self._stream: Stream | None = None
        self._detail = ""
        self._hurried = False
        self._lives = self._changes = 0
        self._epoch = ""  # of the last stream
        self._nameless = False

    @property
    def live(self) -> bool:
        """Whether the feed is open and the directory is as it says."""
        return self._mirror.live

    def report(self) -> dict[str, object]:
        """For an operator's eyes."""
        state = "polling"
        if self._stream is not None:
            state = "live" if self._mirror.live else "catching up"
        return {
            "state": state,
            "position": self._mirror.position,
            "changes": self._changes,
            "opened": self._lives,
            "error": self._detail,
        }

    def polled(self) -> None:
        """A poll had its answer: whatever kept us from the feed may be over, or its registry another one."""
        here = Position.parse(self._mirror.position)
        if here is not None:
            # Another life: everybody has to read all of it, and then opens a stream.
            self._plan.polled(2 * self._interval if self._epoch not in ("", here.epoch) else 0.0)
        if self._mirror.live:
            self._hurried = False
        if self._stream is not None and not self._mirror.following:
            self._stream.close()
        self._bell.ring()

    async def run(self, client: RegistryClient) -> None:
        """Read for ever."""
        self._bell.hang()
        while True:
            known = self._mirror.position != ""
            wait = self._plan.wait(self._mirror.source) if known else float("inf")
            if wait > 0:
                await self._bell.wait(wait)
            else:
                await self._once(client)

    async def _once(self, client: RegistryClient) -> None:
        mirror = self._mirror
        source = mirror.source
        instance, worker = ("", "") if self._nameless else self._who()
        query = {"snapshot": "0", "instance": instance, "worker": worker}
        how, after, detail = End.BROKEN, 0.0, ""
        opened = False
        try:
            async with client.feed(
                source, {name: text for name, text in query.items() if text}, mirror.position
            ) as stream:
                if stream.status == 400 and instance:
                    self._nameless, how = True, End.MOVED  # our name makes no sense there; changes still do
                elif not stream.is_feed:
                    busy = stream.status == 429 or (stream.status >= 500 and stream.status != 501)
                    how, after = (End.BUSY if busy else End.ABSENT), stream.retry_after
                    detail = f"no feed: status {stream.status}"
                elif mirror.source != source or not mirror.position:
                    how = End.MOVED  # another list has come meanwhile
                else:
                    opened = True
                    self._begin(stream)
                    how, after = await self._follow(stream)
                    detail = "the registry ended it"
        except (aiohttp.ClientError, OSError, TimeoutError, WireError, RegistryError) as error:
            detail = line(error) if isinstance(error, RegistryError) else why(error)
        finally:
            if opened:
                how = how if mirror.following else End.MOVED
                mirror.unfollow()
                self._stream = None
                self._on_watched(False)
            self._plan.ended(how, after)
        self._detail = detail if how is not End.MOVED else ""
        if opened and how is not End.MOVED:
            self._say(source, "lost", f"{detail}; polling meanwhile")
            self._poller.hurry(self._interval)

    def _begin(self, stream: Stream) -> None:
        self._stream = stream
        self._lives += 1
        self._hurried = False
        self._plan.opened()
        self._epoch = self._mirror.position.partition("-")[0]
        self._mirror.follow()

    async def _follow(self, stream: Stream) -> tuple[End, float]:
        reader = SseReader()
        patience = feed.PATIENCE * feed.HEARTBEAT
        while self._mirror.following:
            chunk = await stream.read(patience)
            if not chunk:
                return End.CLOSED, 0.0
            changes: list[Change] = []
            for frame in reader.feed(chunk):
                match feed.read(frame):
                    case Change() as change:
                        changes.append(change)
                    case Hello(heartbeat, watched):
                        patience = feed.PATIENCE * heartbeat
                        self._detail = ""
                        self._on_watched(watched)
                        self._say(self._mirror.source, "live", "")
                    case Reset(at):
                        self._take(changes)
                        changes = []
                        self._mirror.restarted(at)
                        self._poller.hurry(self._interval)
                        self._hurried = True
                    case Watched(circuits):
                        self._on_watched(circuits)
                    case Command(payload):
                        self._command(payload)
                    case Gone(retry_in):
                        self._take(changes)
                        return End.GONE, retry_in
            self._take(changes)
            self._mirror.confirmed()
        return End.MOVED, 0.0

    def _take(self, changes: list[Change]) -> None:
        """What came in one go is one step: the cost of a new directory is shared."""
        if not changes:
            return
        self._changes += len(changes)
        before = self._mirror.directory
        touched = self._mirror.changed(changes)
        if touched:
            self._poller.spread(before, touched, self._mirror.moved)
        if self._mirror.live:
            self._hurried = False
        elif not self._hurried and not self._mirror.position:
            self._hurried = True
            self._poller.hurry(min(1.0, self._interval))

    def _command(self, payload: Mapping[str, object]) -> None:
        instance, worker = self._who()
        named = payload.get("instance")
        if not (isinstance(named, str) and _same(named, instance)) or payload.get("worker") not in (
            "",
            None,
            worker,
        ):
            return
        try:
            self._on_command(payload)
        except Exception:
            _log.exception("a command could not be carried out")

    def _say(self, url: str, what: str, detail: str) -> None:
        self._publish(FeedChanged(at=self._clock.time(), url=url, what=what, detail=detail))


def _same(named: str, ours: str) -> bool:
    """Whether these name one instance: ids as they are written, services however they are."""
    service, slash, id = named.partition("/")
    mine, _, my_id = ours.partition("/")
    return slash == "/" and bool(my_id) and id == my_id and service.lower() == mine.lower()
