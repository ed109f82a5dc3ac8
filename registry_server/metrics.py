"""The registry itself, for Prometheus: leases, heartbeats, protection, readers, requests, peers, its loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from resilient.model import Status
from resilient.telemetry.metrics import process
from resilient.telemetry.metrics.page import Exposed
from resilient.telemetry.metrics.rows import Family, Group, Row
from resilient.telemetry.stalls import Stalls
from resilient.web.connection import Counts

from .board import Board
from .feed.hub import Feed
from .peers.cluster import Cluster
from .records import Cause, Change
from .registry import Registry
from .snapshots_file import Keeper

#: So many peers have series of their own; more than that is no group, but a mistake.
MOST_PEERS = 100
_CAUSES = {cause: cause.value.replace(" ", "_") for cause in Cause}
ROUTES = (
    "heartbeat", "fetch", "register", "cancel", "operate", "replicate", "feed", "tools", "metrics", "health",
    "ui", "other",
)  # fmt: skip
_CLASSES = ("2xx", "3xx", "4xx", "5xx")

INSTANCES = Family(
    "resilient_registry_instances",
    "gauge",
    "Registered instances by status.",
    (),
    "status",
    tuple(one.value for one in Status),
)
SERVICES = Family("resilient_registry_services", "gauge", "Services with at least one instance.")
LATE = Family("resilient_registry_late_instances", "gauge", "Instances that missed two heartbeats.")
UNCONFIRMED = Family(
    "resilient_registry_unconfirmed_instances", "gauge", "From the snapshot, and not heard of since."
)
RENEWALS = Family("resilient_registry_renewals", "counter", "Heartbeats of instances that were known.")
CHANGES = Family(
    "resilient_registry_changes",
    "counter",
    "Changes of the directory by cause; expired: evicted after silence.",
    (),
    "cause",
    tuple(_CAUSES.values()),
)
PRESERVING = Family(
    "resilient_registry_preserving", "gauge", "1 while silent instances are kept: self-preservation."
)
SUSPICIOUS = Family(
    "resilient_registry_suspicious",
    "gauge",
    "1 while too many instances are late, whether they are kept for it or not.",
)
READY = Family("resilient_registry_ready", "gauge", "1 when reads are answered.")
READERS = Family("resilient_registry_feed_readers", "gauge", "Open readers of the feed of changes.")
CUT = Family(
    "resilient_registry_feed_readers_cut",
    "counter",
    "Readers that took nothing while too much waited for them.",
)
REFUSED = Family(
    "resilient_registry_connections_refused",
    "counter",
    "Connections that were refused or cut, by why: too many, slow heads or bodies, no reading, garbage.",
    (),
    "reason",
    ("connections", "heads", "bodies", "readers", "garbage"),
)
PROCESSES = Family("resilient_registry_board_processes", "gauge", "Processes that tell of their circuits.")
DROPPED = Family(
    "resilient_registry_board_dropped", "counter", "Circuits left out because the board was full."
)
REQUESTS = Family(
    "resilient_registry_requests",
    "counter",
    "Requests by kind and class of status; plain heartbeats are renewals, and not here.",
    ("route",),
    "status",
    _CLASSES,
)
PEER_UP = Family("resilient_registry_peer_up", "gauge", "1 if the peer took what was told last.", ("peer",))
PEER_QUEUE = Family("resilient_registry_peer_queue", "gauge", "Changes that wait for the peer.", ("peer",))
PEER_LAG = Family(
    "resilient_registry_peer_lag_seconds", "gauge", "How long the oldest of them has waited.", ("peer",)
)
PEER_LOST = Family(
    "resilient_registry_peer_lost", "counter", "Changes that were given up for the peer.", ("peer",)
)
SNAPSHOT_AT = Family(
    "resilient_registry_snapshot_written_seconds", "gauge", "When the snapshot was written, Unix time."
)
SNAPSHOT_BAD = Family("resilient_registry_snapshot_failing", "gauge", "1 if it cannot be written.")

_SELF = Group(
    INSTANCES, SERVICES, LATE, UNCONFIRMED, RENEWALS, CHANGES, PRESERVING, SUSPICIOUS, READY, READERS,
    PROCESSES, DROPPED, CUT,
)  # fmt: skip
_REQUESTS, _REFUSED = Group(REQUESTS), Group(REFUSED)
_PEER = Group(PEER_UP, PEER_QUEUE, PEER_LAG, PEER_LOST)
_WRITTEN, _FAILING = Group(SNAPSHOT_AT), Group(SNAPSHOT_BAD)


def route_of(method: str, path: str) -> str:
    """The kind of a request: one of :data:`ROUTES`, whatever the path."""
    first, _, rest = path.lstrip("/").partition("/")
    if first == "resilient":
        return "feed" if rest == "v1/feed" else "tools"
    if first in ("ui", "health", "metrics"):
        return first
    if first != "eureka":
        return "ui" if path == "/" else "other"
    parts = rest.removeprefix("v2/").split("/")
    if parts[0] == "peerreplication":
        return "replicate"
    if method in ("GET", "HEAD"):
        return "fetch"
    if len(parts) > 3:
        return "operate"  # status and metadata
    return {"POST": "register", "PUT": "heartbeat", "DELETE": "cancel"}.get(method, "other")


class RegistryMetrics(Exposed):
    """One registry's metrics. ``ready``: reads are answered; ``refused``: what its listener refused."""

    def __init__(
        self,
        registry: Registry,
        cluster: Cluster,
        board: Board,
        feed: Feed,
        stalls: Stalls,
        *,
        keeper: Keeper | None = None,
        ready: Callable[[], bool],
        refused: Callable[[], Counts | None] = lambda: None,
    ) -> None:
        super().__init__()
        self._registry = registry
        self._cluster = cluster
        self._board = board
        self._feed = feed
        self._keeper = keeper
        self._ready = ready
        self._refused = refused
        self._loops = {"registry": stalls}
        self._changes = dict.fromkeys(Cause, 0)
        self._requests = {route: dict.fromkeys(_CLASSES, 0) for route in ROUTES}
        registry.subscribe(self._heard)

    def _heard(self, change: Change) -> None:
        self._changes[change.record.cause] += 1

    @property
    def middleware(self) -> Middleware:
        """Counts requests. Heartbeats are answered before it is asked."""
        requests = self._requests

        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            status = 500
            try:
                response = await handler(request)
                status = response.status
            except web.HTTPException as error:
                status = error.status
                raise
            finally:
                counts = requests[route_of(request.method, request.rel_url.raw_path)]
                counts[_CLASSES[min(max(status // 100, 2), 5) - 2]] += 1
            return response

        return count

    def exposed(self) -> Iterator[Row]:
        """Everything, from memory; as much for a million instances as for one."""
        registry = self._registry
        table, preservation = registry.table, registry.preservation
        yield from process.info_rows()
        yield Row(
            _SELF,
            (),
            (
                tuple([table.counts.get(one, 0) for one in Status]),
                (sum(1 for _ in table.services()),),
                (table.late_count,),
                (table.unconfirmed,),
                (table.renewals,),
                tuple(self._changes.values()),
                (int(preservation.active),),
                (int(preservation.suspicious),),
                (int(self._ready()),),
                (len(self._feed),),
                (len(self._board),),
                (self._board.dropped,),
                (self._feed.cut,),
            ),
        )
        for route, counts in self._requests.items():
            yield Row(_REQUESTS, (route,), (tuple(counts.values()),))
        if (counts_of := self._refused()) is not None:
            yield Row(_REFUSED, (), (tuple([getattr(counts_of, reason) for reason in REFUSED.over]),))
        for peer in [one for one in self._cluster.peers if not one.itself][:MOST_PEERS]:
            lost = peer.backlog.lost + peer.refused
            yield Row(_PEER, (peer.address.url,), ((int(peer.well),), (peer.queue,), (peer.lag,), (lost,)))
        if self._keeper is not None:
            yield Row(_FAILING, (), ((int(bool(self._keeper.problem)),),))
            if (at := self._keeper.written_at) is not None:
                yield Row(_WRITTEN, (), ((at,),))
        yield from process.loop_rows(self._loops)
        yield from process.process_rows()
