"""What the pages tell of the peers: how far behind they were, what they say of themselves, and in which
entries their lists differ from ours.

Peers are asked only while somebody looks, and for their whole list only when somebody wants to see it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

from resilient.model import Instance

from .peers.cluster import Cluster
from .peers.line import Trouble
from .peers.peer import Peer
from .registry import Registry
from .slices import sliced

_log = logging.getLogger("resilient.registry.peers")

Row = dict[str, Any]
Key = tuple[str, str]

#: Seconds of one point of a peer's past, and points that are kept: a quarter of an hour.
STEP, POINTS = 5.0, 180
#: Seconds between two questions to a peer how it is, and for which its list is good enough to be shown again.
EVERY, AGAIN = 5.0, 5.0
#: Seconds a peer's whole list may take, and entries that are named.
LONGEST, MOST = 20.0, 200


class Nodes:
    """Belongs to the registry's event loop. ``watched`` tells whether somebody looks."""

    def __init__(
        self, registry: Registry, cluster: Cluster, *, watched: Callable[[], bool] = lambda: True
    ) -> None:
        self._registry = registry
        self._cluster = cluster
        self._watched = watched
        self._lags: dict[str, deque[float]] = {}
        self._slot = -1
        self._told: dict[str, Row] = {}
        self._asked = float("-inf")
        self._lists: dict[str, tuple[float, Row]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what is seen from here

    def tick(self) -> None:
        """Once a second: note how far behind the peers are, and ask them how they are."""
        now = self._registry.clock.monotonic()
        slot = int(now / STEP)
        fresh = slot != self._slot
        self._slot = slot
        for peer in self._peers():
            past = self._lags.setdefault(peer.address.url, deque(maxlen=POINTS))
            lag = round(peer.lag, 1)
            if fresh or not past:
                past.append(lag)
            else:
                past[-1] = max(past[-1], lag)
        if self._cluster.peers and self._watched() and now - self._asked >= EVERY and not self._tasks:
            self._asked = now
            task = asyncio.get_running_loop().create_task(self._ask(), name="registry nodes")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def told(self, rows: Iterable[Row]) -> list[Row]:
        """The peers' rows with what they said of themselves lately."""
        return [{**row, **self._told.get(str(row["url"]), {})} for row in rows]

    def past(self) -> dict[str, list[float]]:
        """The lag of each peer over the last quarter of an hour, one point each :data:`STEP` seconds."""
        return {url: list(past) for url, past in self._lags.items()}

    async def close(self) -> None:
        """Ask no more."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _peers(self) -> list[Peer]:
        return [one for one in self._cluster.peers if not one.itself]

    async def _ask(self) -> None:
        await asyncio.gather(*(self._ask_one(one) for one in self._peers()))

    async def _ask_one(self, peer: Peer) -> None:
        if peer.id == "":
            return  # of another make: it says nothing of itself
        clock = self._registry.clock
        began = clock.time()
        try:
            said = await peer.line.node()
        except Trouble:
            self._told.pop(peer.address.url, None)
            return
        self._told[peer.address.url] = _short(said, (began + clock.time()) / 2)

    # --- what differs

    async def difference(self, url: str) -> Row | None:
        """The entries in which a peer's list differs from ours; None if there is no such peer.

        ``here``: only we have it, ``there``: only the peer has it, ``status``: both have it, with another
        status. A peer that does not answer cannot be asked: what changed here since it last took anything
        is told instead, with ``since``; ``complete`` says whether all of that is still known.
        """
        peer = next((one for one in self._peers() if one.address.url == url), None)
        if peer is None:
            return None
        if not peer.well:
            return self._untold(peer)
        async with self._locks.setdefault(url, asyncio.Lock()):
            clock = self._registry.clock
            began = clock.monotonic()
            until, found = self._lists.get(url, (float("-inf"), {}))
            if began >= until:
                found = await self._asked_for(peer)
                # A list that takes long to read is not read all the time, however many look.
                now = clock.monotonic()
                self._lists[url] = (now + max(AGAIN, 5 * (now - began)), found)
            return found

    async def _asked_for(self, peer: Peer) -> Row:
        problem = "it does not give its list"
        try:
            async with asyncio.timeout(LONGEST):
                status, instances = await peer.line.everything()
            if status == 200:
                return await sliced(self._compared(instances))
            problem = f"it does not give its list (status {status})"
        except Trouble as trouble:
            problem = str(trouble)
        except TimeoutError:
            problem = "its list took too long"
        except Exception:
            _log.exception("the list of %s could not be compared", peer.address)
        return {**self._untold(peer), "problem": problem}

    def _compared(self, instances: Iterable[Instance]) -> Generator[None, None, Row]:
        there: dict[Key, str] = {}
        for number, one in enumerate(instances):
            there[one.service.lower(), one.id] = one.status.value
            if number % 500 == 0:
                yield
        found = _Found()
        table = self._registry.table
        for service in sorted(table.services()):
            for id, lease in tuple(table.leases(service).items()):
                status = lease.record.instance.status.value
                known = there.pop((service, id), None)
                if known is None:
                    found.add("here", service, id, here=status)
                elif known != status:
                    found.add("status", service, id, here=status, there=known)
            yield
        for (service, id), status in there.items():
            found.add("there", service, id, there=status)
        return found.row(asked=True, since=None, complete=True)

    def _untold(self, peer: Peer) -> Row:
        registry = self._registry
        since = None
        if peer.last_batch is not None:
            since = min(peer.last_batch, registry.clock.time() - peer.lag)
        found = _Found()
        if since is None:
            return found.row(asked=False, since=None, complete=False)
        first: dict[Key, str | None] = {}
        complete = len(registry.remembered) < (registry.remembered.maxlen or 0)
        for at, change in registry.remembered:
            if at <= since:
                complete = True
            elif not change.same:
                first.setdefault(
                    (change.service, change.id), None if change.before is None else change.before.value
                )
        for (service, id), before in first.items():
            lease = registry.table.get(service, id)
            status = None if lease is None else lease.record.instance.status.value
            if before is None and status is not None:
                found.add("here", service, id, here=status)
            elif before is not None and status is None:
                found.add("there", service, id, there=before)
            elif before != status:
                found.add("status", service, id, here=status, there=before)
        return found.row(asked=False, since=since, complete=complete)


class _Found:
    """The first entries, and how many there are of each kind."""

    def __init__(self) -> None:
        self._counts = {"here": 0, "there": 0, "status": 0}
        self._rows: list[Row] = []

    def add(self, what: str, service: str, id: str, **statuses: str | None) -> None:
        self._counts[what] += 1
        if len(self._rows) < MOST:
            self._rows.append({"what": what, "service": service, "instance": id, **statuses})

    def row(self, *, asked: bool, since: float | None, complete: bool) -> Row:
        return {
            "asked": asked,
            "since": since,
            "complete": complete,
            "problem": "",
            "counts": self._counts,
            "rows": self._rows,
        }


def _short(said: Mapping[str, object], at: float) -> Row:
    """Of what a registry says of itself what we show; ``at`` is when it said so."""
    found: Row = {}
    counts = said.get("counts")
    instances = counts.get("instances") if isinstance(counts, dict) else None
    if isinstance(version := said.get("version"), str):
        found["version"] = version[:40]
    if _is_number(uptime := said.get("uptime_seconds")):
        found["uptime_seconds"] = uptime
    if _is_number(instances):
        found["instances"] = instances
    if isinstance(time := said.get("time"), (int, float)) and _is_number(time):
        found["skew"] = round(time - at, 2)
    if isinstance(ready := said.get("ready"), bool):
        found["ready"] = ready
    if isinstance(zone := said.get("zone"), str):
        found["zone"] = zone[:100]
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
