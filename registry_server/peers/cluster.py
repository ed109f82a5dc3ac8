"""All peers of a registry, the way Eureka does it: every one is told of everything, nobody tells on.

Without peers nothing here runs, and the registry is open for reads at once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from random import Random

from resilient.eureka.replication import Item
from resilient.model import Instance, Status
from resilient.settings import RegistryAddress

from ..records import Record
from ..registry import Registry
from . import items
from .copying import newest
from .line import Timing, Trouble
from .peer import Peer

_log = logging.getLogger("resilient.registry.peers")

#: Seconds for which a registry that starts waits for a peer's list before it is read without one.
WAIT = 300.0
#: Instances that are registered in one go, before others have their turn.
_AT_ONCE = 200
#: Seconds in which a registry that ends tells its last words.
_LAST_WORDS = 1.0


class Cluster:
    """A registry's :class:`~..registry.Outbox`, and its start from the peers' lists.

    ``id`` is a random one of this process: a peer's URL that leads to it is our own.
    """

    def __init__(
        self,
        registry: Registry,
        addresses: Sequence[RegistryAddress],
        *,
        rng: Random,
        timing: Timing | None = None,
        wait: float = WAIT,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.wait = wait
        self._registry = registry
        self._timing = timing or Timing()
        self._copied = not addresses
        self._opens_at = registry.clock.monotonic() + wait
        self._tasks: list[asyncio.Task[None]] = []
        self.peers = [
            Peer(one, registry, self.id, rng=rng, timing=self._timing) for one in dict.fromkeys(addresses)
        ]

    @property
    def ready(self) -> bool:
        """Whether reads may be answered: peers have given their lists, or had the time to."""
        return self._copied or self._registry.clock.monotonic() >= self._opens_at

    @property
    def opens_in(self) -> float:
        """Seconds until reads are answered whatever the peers do; 0 if they are."""
        return 0.0 if self.ready else self._opens_at - self._registry.clock.monotonic()

    def start(self, url: str) -> None:
        """Begin to copy and to tell. ``url`` is our own, which is no peer's."""
        self._opens_at = self._registry.clock.monotonic() + self.wait
        self.peers = [peer for peer in self.peers if peer.address.url != url]
        if not self.peers:
            self._copied = True
            return
        self._registry.outbox = self
        self._registry.beats = {}
        self._tasks = [
            asyncio.create_task(self._copy(), name="registry copy"),
            asyncio.create_task(self._collect(), name="registry heartbeats"),
            *(asyncio.create_task(one.run(), name=f"registry peer {one.address}") for one in self.peers),
        ]

    async def stop(self) -> None:
        """Tell what still waits, for at most a second, and end."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if tasks:
            try:
                async with asyncio.timeout(_LAST_WORDS):
                    await asyncio.gather(*(peer.flush() for peer in self.peers))
            except TimeoutError:
                pass
        self._registry.outbox = self._registry.beats = None
        for peer in self.peers:
            await peer.line.close()

    def view(self) -> list[dict[str, object]]:
        """The peers in plain words, without credentials; times in seconds."""
        return [
            {
                "url": peer.address.url,
                "well": peer.well,
                "problem": peer.problem,
                "last_batch_at": peer.last_batch,
                "queue": peer.queue,
                "lag": round(peer.lag, 3),
                "skipped": peer.backlog.skipped,
                "lost": peer.backlog.lost,
                "refused": peer.refused,
            }
            for peer in self.peers
            if not peer.itself
        ]

    def problems(self) -> list[tuple[str, str]]:
        """The peers that cannot be told, by URL, each with the reason."""
        return [(one.address.url, one.problem) for one in self.peers if one.problem and not one.itself]

    def replicas(self) -> tuple[list[str], list[str]]:
        """The URLs of the peers that answer, and of those that do not."""
        known = [peer for peer in self.peers if not peer.itself]
        return (
            [peer.address.url for peer in known if peer.well],
            [peer.address.url for peer in known if not peer.well],
        )

    # --- the registry's outbox

    def registered(self, record: Record) -> None:
        """An instance registered, or its metadata changed."""
        lease = self._registry.table.get(record.instance.service, record.instance.id)
        if lease is not None:
            lease.direct = lease.renewed
        self._tell(items.registered(record), record.instance.renew_every)

    def cancelled(self, record: Record) -> None:
        """An instance signed out."""
        self._tell(items.cancelled(record), self._timing.keep)

    def overridden(self, record: Record, status: Status) -> None:
        """An operator's status was set."""
        self._tell(items.overridden(record, status), self._timing.keep_override)

    def override_removed(self, record: Record, show: Status) -> None:
        """An operator's status was taken back."""
        self._tell(items.override_removed(record, show), self._timing.keep_override)

    def _tell(self, item: Item, keep: float) -> None:
        for peer in self.peers:
            peer.tell(item, keep)

    async def _collect(self) -> None:
        """Heartbeats are only noted when they come, and become items here, once per batch's time."""
        while True:
            await asyncio.sleep(self._timing.delay)
            try:
                self._pass_on()
            except Exception:
                _log.exception("some heartbeats were not told to the peers")

    def _pass_on(self) -> None:
        registry = self._registry
        beats = registry.beats
        if not beats:
            return
        registry.beats = {}
        for service, id in beats:
            lease = registry.table.get(service, id)
            if lease is not None:
                lease.direct = lease.renewed
                self._tell(items.heartbeat(lease.record), lease.record.instance.renew_every)

    # --- the start

    async def _copy(self) -> None:
        pause = self._timing.copy_again
        told = False
        while True:
            lists = await asyncio.gather(*(self._list(peer) for peer in self.peers))
            self._leave_out_itself()
            found = [one for one in lists if one is not None]
            if found or not self.peers:
                try:
                    await self._fill(newest(found))
                except Exception:
                    _log.exception("the copy of the peers' lists stopped half way")
                self._copied = True
                return
            if self.ready:
                break
            if not told:
                told = True
                _log.warning(
                    "no peer has given its list yet; until one does, and for %.0f seconds at most, "
                    "instances can register here but reads are refused. In a group that starts for the first "
                    "time, --peer-wait 5 is enough",
                    self.opens_in,
                )
            await asyncio.sleep(min(pause, self.opens_in))
            pause = min(2 * pause, 10 * self._timing.copy_again)
        if self.wait:
            _log.warning("no peer gave its list; reads are answered from now on with what registered here")

    def _leave_out_itself(self) -> None:
        self.peers = [peer for peer in self.peers if not peer.itself]
        if not self.peers:
            self._registry.outbox = self._registry.beats = None

    async def _list(self, peer: Peer) -> list[Instance] | None:
        """A peer's instances; None if it has nothing to give, which a foreign empty list is, too:
        Eureka's own server is open to readers before it knows anybody."""
        try:
            await peer.identify()
            if peer.itself:
                return None
            status, instances = await peer.line.everything()
        except Trouble as trouble:
            peer.trouble(str(trouble))
            return None
        except Exception:
            _log.exception("the list of %s could not be read", peer.address)
            return None
        if status == 200:
            peer.answered()
            return instances if instances or peer.id else None
        if status == 403:
            peer.unwell("it waits for a list of its peers itself, or wants a token")
        else:
            peer.unwell(f"it does not give its list (status {status})")
        return None

    async def _fill(self, instances: list[Instance]) -> None:
        for number, instance in enumerate(instances, 1):
            await self._registry.register(instance, replication=True)
            if not number % _AT_ONCE:
                await asyncio.sleep(0)
