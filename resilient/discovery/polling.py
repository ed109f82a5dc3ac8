"""The loop that asks for the directory: often where there is no feed, now and then where there is one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Set
from random import Random

from ..clock import Clock
from ..errors import RegistryError, RegistryRefused
from ..events import DirectoryChanged, Publish, RegistryChanged
from ..model import Directory, Instance
from .bell import Bell
from .client import RegistryClient
from .lease import LONGEST_BACK_OFF, BackOff, jittered
from .listing import Fetch
from .mirror import APART, Mirror

#: Early refreshes come in bunches; they lead to no more than one call in this time, in seconds.
REFRESH_GAP = 1.0
#: Whoever waits for an answer waits no longer than this, in seconds.
ANSWER_WITHIN = 5.0
#: Seconds between two polls while the feed is live.
SAFETY = 60.0

#: Hears a new directory and the services that are others in it; ``None``: all may be.
OnDirectory = Callable[[Directory, Set[str] | None], None]

_log = logging.getLogger("resilient.discovery")


class Poller:
    """Keeps a mirror fresh by asking, and tells everybody what became of it. Belongs to one loop.

    ``polled`` is called after each answer.
    """

    def __init__(
        self,
        mirror: Mirror,
        interval: float,
        *,
        clock: Clock,
        rng: Random,
        publish: Publish,
        on_directory: OnDirectory | None = None,
        polled: Callable[[], None] = lambda: None,
    ) -> None:
        self._mirror = mirror
        self._interval = interval
        self._clock = clock
        self._rng = rng
        self._publish = publish
        self._on_directory = on_directory
        self._polled = polled
        self._delay = 0.0
        self._answers: set[asyncio.Future[None]] = set()
        self.bell = Bell()
        #: The registry we are connected to; ``""``: to none, ``None``: nobody was asked yet.
        self.link: str | None = None
        self.error = ""
        #: Set once the directory was read.
        self.ready = asyncio.Event()
        #: How often the directory was asked for, by what came of it.
        self.fetches = {"full": 0, "delta": 0, "error": 0}

    def refresh(self) -> None:
        """Ask early, at most once a second; from any thread. Needless while a feed is live."""
        if not self._mirror.live:
            self.bell.ring()

    def hurry(self, within: float) -> None:
        """Ask at some moment ``within`` so many seconds: others were told to in the same moment."""
        self._delay = self._rng.uniform(0.0, within)
        self.bell.ring()

    async def refreshed(self) -> None:
        """`refresh`, and wait for what comes of it."""
        if self._mirror.live:
            return
        answer = asyncio.get_running_loop().create_future()
        self._answers.add(answer)
        self.bell.ring()
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await answer
        except TimeoutError:
            pass
        finally:
            self._answers.discard(answer)

    async def run(self, client: RegistryClient) -> None:
        """Ask for ever."""
        loop = asyncio.get_running_loop()
        interval = self._interval
        back_off = BackOff(self._rng)
        while True:
            fetch = self._mirror.next()
            began = loop.time()
            asking = list(self._answers)
            try:
                wait = await self._fetch(client, fetch)
            except RegistryError as error:
                self.fetches["error"] += 1
                self._mirror.failed(fetch)
                if isinstance(error, RegistryRefused) and not fetch.full:
                    wait = self._rng.uniform(0.0, min(1.0, interval))
                else:
                    self.lost(client.urls[0], error)
                    wait = back_off.next()
                    self._answered(asking)
            else:
                self.fetches["full" if fetch.full else "delta"] += 1
                # From now on a failure is no hurry: the mean wait stays what it was, and grows.
                back_off = BackOff(self._rng, first=2 * interval, longest=max(LONGEST_BACK_OFF, interval))
                if not self._mirror.next().full:
                    self._answered(asking)
            if await self.bell.wait(wait):
                delay, self._delay = self._delay, 0.0
                await asyncio.sleep(max(delay, began + min(REFRESH_GAP, interval) - loop.time()))

    async def _fetch(self, client: RegistryClient, fetch: Fetch) -> float:
        """One question and its answer. Returns how long to wait for the next."""
        listed = await (client.full(fetch.elsewhere) if fetch.full else client.delta())
        self._linked(listed.source)
        mirror, interval = self._mirror, self._interval
        first = not mirror.ready
        before = mirror.directory
        if mirror.heard(fetch, *listed) or (first and mirror.ready):
            self.spread(before, mirror.touched)
            self.ready.set()
        self._polled()
        if mirror.in_doubt:
            return jittered(min(interval, APART * 1.2), self._rng)
        if not fetch.full and mirror.next().full:
            if mirror.anew:  # so it is for everybody else, and the next look is soon enough
                return jittered(interval, self._rng)
            return self._rng.uniform(0.0, min(1.0, interval))
        return jittered(max(interval, SAFETY) if mirror.live else interval, self._rng)

    def _answered(self, asking: list[asyncio.Future[None]]) -> None:
        for answer in asking:
            if not answer.done():
                answer.set_result(None)

    # -- telling ----------------------------------------------------------------------------------

    def lost(self, url: str, error: RegistryError) -> None:
        """No registry answers."""
        self.error = line(error)
        before, self.link = self.link, ""
        if before != "":  # said once, not at every try
            detail = f"{self.error}; trying again, the last known directory is used meanwhile"
            self._publish(
                RegistryChanged(at=self._clock.time(), url=before or url, what="lost", detail=detail)
            )

    def _linked(self, url: str) -> None:
        self.error = ""
        before, self.link = self.link, url
        if not before:
            self._publish(RegistryChanged(at=self._clock.time(), url=url, what="connected"))
        elif before != url:
            self._publish(
                RegistryChanged(at=self._clock.time(), url=url, what="moved", detail=f"from {before}")
            )

    def spread(
        self, before: Directory, touched: Set[str] | None = None, moved: Set[str] | None = None
    ) -> None:
        """The mirror's directory is another one; only ``touched`` services are others in it, if given, and
        only ``moved`` gained or lost instances, if that is known too."""
        after = self._mirror.directory
        if self._on_directory is not None:
            try:
                self._on_directory(after, touched)
            except Exception:
                _log.exception("a new directory could not be taken")
        known = tuple(sorted(moved)) if moved is not None else None
        changed = _changed(before.services, after.services, touched) if known is None else known
        if changed:
            self._publish(DirectoryChanged(at=self._clock.time(), services=changed))


def _changed(
    before: Mapping[str, tuple[Instance, ...]],
    after: Mapping[str, tuple[Instance, ...]],
    touched: Set[str] | None,
) -> tuple[str, ...]:
    """Services that gained or lost instances."""
    names = before.keys() | after.keys() if touched is None else touched
    return tuple(
        sorted(
            name
            for name in names
            if before.get(name) is not after.get(name)
            and {one.id for one in before.get(name, ())} != {one.id for one in after.get(name, ())}
        )
    )


def line(error: Exception) -> str:
    """An error on one line."""
    return " ".join(str(error).split())
