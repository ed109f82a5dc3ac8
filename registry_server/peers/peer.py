"""Tells one peer what happened here, in batches, one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from random import Random

from resilient.errors import WireError
from resilient.eureka.replication import Item, Kind, Reply, read_replies, write_batch
from resilient.model import Status
from resilient.settings import RegistryAddress

from ..registry import Registry
from . import items
from .batch import BATCH, OVERRIDES, Backlog, Key, Task
from .line import Congested, Line, Timing, Trouble

_log = logging.getLogger("resilient.registry.peers")

#: A batch of more bytes is told in two. Registries take at most eight million.
LARGEST_BATCH = 4 * 1024 * 1024

_KEPT = "changes are kept and told when it answers"


class Peer:
    """Another registry. :meth:`tell` never waits; :meth:`run` does the telling."""

    def __init__(
        self, address: RegistryAddress, registry: Registry, own_id: str, *, rng: Random, timing: Timing
    ) -> None:
        self.address = address
        self.line = Line(address, timing)
        self.backlog = Backlog(registry.clock, delay=timing.delay)
        #: The address leads back to ourselves: there is nothing to tell.
        self.itself = False
        #: The peer's random id if it is of our make; None until it has answered for the first time.
        self.id: str | None = None
        #: Whether it took what was told last, or answered when it was last asked.
        self.well = False
        #: What keeps it from being told, in plain words.
        self.problem = ""
        #: Changes it would not take, one by one; what was told with them arrived.
        self.refused = 0
        #: When the last batch arrived, in seconds since the epoch.
        self.last_batch: float | None = None
        self._registry = registry
        self._own_id = own_id
        self._rng = rng
        self._timing = timing
        self._news = asyncio.Event()
        self._failures = 0
        self._down_since: float | None = None
        # What was given up makes up the difference between the peer's view and ours. A walk over all
        # whom only we hear finds it: the peer answers for each whether it knows him.
        self._behind = False
        self._walk: deque[tuple[str, str]] | None = None
        self._given_up = 0
        self._sending: float | None = None
        self._on_the_way = 0

    @property
    def queue(self) -> int:
        """How many items it has not been told yet."""
        return len(self.backlog) + self._on_the_way

    @property
    def lag(self) -> float:
        """Seconds for which the peer has not been told the oldest of what it does not know."""
        # What grew too old to be told is still not known there, so while it takes nothing that moment stands.
        untold = self._down_since if self.queue or self._behind else None
        waiting = [one for one in (self.backlog.oldest, self._sending, untold) if one is not None]
        return max(0.0, self._registry.clock.monotonic() - min(waiting)) if waiting else 0.0

    def tell(self, item: Item, keep: float) -> None:
        """Something to tell, worth it for ``keep`` seconds."""
        if not self.itself:
            self.backlog.tell(item, keep)
            self._news.set()

    async def identify(self) -> None:
        """Ask who is there, once. Trouble if nobody answers."""
        if self.id is None:
            self.id = await self.line.id()
            self.itself = self.id == self._own_id

    async def run(self) -> None:
        """Tell for ever, or until the peer turns out to be ourselves."""
        while not self.itself:
            try:
                pause = await self._step()
            except Exception:
                _log.exception("telling %s failed", self.address)
                pause = self._timing.congested
            if pause:
                await asyncio.sleep(pause)

    async def _step(self) -> float:
        """Do what is due. Returns for how many seconds nothing will be."""
        wait = self.backlog.due
        if self._behind or wait == 0:
            return await self.turn()
        if wait is None:
            await self._rest()
            return 0.0
        return wait

    async def _rest(self) -> None:
        """Until there is something to tell; somebody who was ill is asked now and then how he is."""
        self._news.clear()
        try:
            async with asyncio.timeout(self._timing.most if self.problem else None):
                await self._news.wait()
            return
        except TimeoutError:
            pass
        try:
            await self.line.id()
        except Trouble as trouble:
            self.problem = str(trouble)
        else:
            self.answered()

    async def turn(self) -> float:
        """Tell one batch. Returns for how many seconds to leave the peer alone."""
        self._sending = self.backlog.oldest
        tasks = [task for task in self.backlog.take() if not self._late(task) or self._in_force(task.item)]
        self._on_the_way = len(tasks)
        given_up = self.backlog.lost + self.backlog.skipped
        if given_up > self._given_up:
            self._given_up, self._behind, self._walk = given_up, True, None
        try:
            await self.identify()
            return 0.0 if self.itself else await self._tell(tasks)
        except Trouble as trouble:
            self.backlog.give_back(tasks)
            return self._failed(trouble)
        except asyncio.CancelledError:
            self.backlog.give_back(tasks)
            raise
        except Exception:
            # Never again with the same batch: it would be the same failure.
            _log.exception("a batch for %s failed and is dropped", self.address)
            return self._timing.congested
        finally:
            self._sending, self._on_the_way = None, 0

    async def flush(self) -> None:
        """Tell what waits, until it fails: for a registry that ends."""
        while not self.itself and len(self.backlog):
            if await self.turn():
                return

    async def _tell(self, tasks: list[Task]) -> float:
        body = write_batch(task.item for task in tasks)
        while len(body) > LARGEST_BATCH and len(tasks) > 1:
            half = len(tasks) // 2
            self.backlog.give_back(tasks[half:])
            del tasks[half:]
            body = write_batch(task.item for task in tasks)
        sent = [task.item for task in tasks]
        if walked := list(self._walked(BATCH - len(sent))):
            sent += walked
            body = write_batch(sent)
        if not sent:
            return 0.0
        try:
            status, answer = await self.line.send(body)
        except BaseException:
            if walked:
                self._behind, self._walk = True, None
            raise
        if not 200 <= status < 300:
            return self._refused(status, tasks)
        self._worked()
        late = {_key(task.item) for task in tasks if self._late(task)}
        await self._hear(sent, answer, late)
        return 0.0

    def _walked(self, most: int) -> Iterable[Item]:
        """Heartbeats of whom we hear ourselves, while the peer is behind."""
        if not self._behind:
            return
        table = self._registry.table
        if self._walk is None:
            now = table.now()
            self._walk = deque(
                (service, id)
                for service in table.services()
                for id, lease in table.leases(service).items()
                if now - lease.direct <= lease.duration
            )
        while self._walk and most > 0:
            lease = table.get(*self._walk.popleft())
            if lease is not None:
                most -= 1
                yield items.heartbeat(lease.record)
        if not self._walk:
            self._walk, self._behind = None, False

    def _late(self, task: Task) -> bool:
        """Whether it is an operator's word, and has waited for longer than other changes may."""
        said = task.until - self._timing.keep_override
        return task.item.kind in OVERRIDES and self._registry.clock.monotonic() - said > self._timing.keep

    def _in_force(self, item: Item) -> bool:
        """Whether an operator's word still holds here: meanwhile there may have been another one."""
        lease = self._registry.table.get(*_key(item))
        if lease is None:
            return False
        wanted = item.status if item.kind is Kind.STATUS else Status.UNKNOWN
        return lease.record.override is wanted

    # --- what became of it

    async def _hear(self, sent: list[Item], answer: bytes, late: set[Key]) -> None:
        try:
            replies = read_replies(answer)
        except WireError as error:
            self.problem = f"its answer makes no sense: {error}"
            return
        if len(replies) == len(sent):
            late -= {_key(item) for item in sent if item.kind is Kind.REGISTER}
            for item, reply in zip(sent, replies, strict=True):
                await self._answered(item, reply, late)

    async def _answered(self, item: Item, reply: Reply, late: set[Key]) -> None:
        if reply.status < 300:
            return
        key = _key(item)
        if reply.status == 404 and item.kind in OVERRIDES and key in late:
            # The lease ran out there, but the override before this one is kept beyond that, and comes back
            # with the instance. So both are told, the instance first.
            if self._register(key):
                self.tell(item, self._timing.keep)
        elif item.kind is not Kind.HEARTBEAT:
            self.refused += reply.status != 404
            _log.debug("%s answered %d to a %s", self.address, reply.status, item.kind)
        elif reply.status == 404:
            self._register(key)
        elif reply.instance is not None and (reply.instance.service, reply.instance.id) == key:
            await self._registry.take(reply.instance)

    def _register(self, key: Key) -> bool:
        """Tell the whole instance; False if its lease has run out here."""
        lease = self._registry.table.get(*key)
        if lease is None or self._registry.table.has_expired(lease):
            return False
        self.tell(items.registered(lease.record), lease.record.instance.renew_every)
        return True

    def _worked(self) -> None:
        clock = self._registry.clock
        self.last_batch = clock.time()
        if self._down_since is not None:
            _log.warning(
                "%s takes changes again, after %.0f seconds; %d had grown too old or too many",
                self.address,
                clock.monotonic() - self._down_since,
                self.backlog.lost,
            )
        self.answered()

    def answered(self) -> None:
        """The peer is there."""
        self._failures, self._down_since, self.problem, self.well = 0, None, "", True

    def _failed(self, trouble: Trouble) -> float:
        timing = self._timing
        self.trouble(str(trouble))
        base = timing.congested if isinstance(trouble, Congested) else timing.transient
        return self._pause(base, timing.most)

    def _refused(self, status: int, tasks: list[Task]) -> float:
        why = f"it refuses what it is told (status {status})"
        longest = self._timing.most
        if status in (401, 403):
            why += "; put its token into its URL, http://any:TOKEN@host:port/eureka/"
        elif status in (404, 405):
            why += "; its URL should end with Eureka's path, as in http://host:port/eureka/"
        if status in (401, 403, 404, 405):
            # Somebody has to set this right, and what was dropped until then has to be made up for.
            self._behind, self._walk = True, None
            longest = self._timing.refused
            kept = [task for task in tasks if task.item.kind in OVERRIDES]
            self.backlog.give_back(kept)
            tasks = [task for task in tasks if task not in kept]
        self.trouble(why, f"{len(tasks)} changes are dropped" if tasks else _KEPT)
        return self._pause(self._timing.congested, longest)

    def trouble(self, why: str, so: str = _KEPT) -> None:
        """Remember what is wrong, and say so once."""
        if self._down_since is None:
            self._down_since = self._registry.clock.monotonic()
            _log.warning("peer %s: %s; %s", self.address, why, so)
        self.unwell(why)

    def unwell(self, why: str) -> None:
        """Remember what is wrong, until the peer takes a batch or answers when it is asked."""
        self.problem, self.well = why, False
        self._news.set()

    def _pause(self, base: float, longest: float) -> float:
        # A little more than the base, so that several registries do not come back in step.
        pause = min(max(base, longest), base * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return pause * self._rng.uniform(1.0, 1.25)


def _key(item: Item) -> Key:
    """By which the registry's table knows the instance."""
    return item.app.lower(), item.id
