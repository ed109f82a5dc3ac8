"""The registry in plain words, for our own tools and the web UI.

Ages and durations are seconds, moments are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from importlib.metadata import PackageNotFoundError, version

from resilient.model import Action, Status
from resilient.telemetry.stalls import Stalls

from . import renewals
from .board import Board
from .expiry import Lease
from .feed.actions import Actions
from .peers.cluster import Cluster
from .records import Cause, Change
from .registry import Registry
from .slices import sliced
from .snapshots_file import Keeper

Row = dict[str, object]


def product_version() -> str:
    """The installed version, or ``0``."""
    try:
        return version("resilient-sidecar")
    except PackageNotFoundError:
        return "0"


class Views:
    """What can be seen. Every method answers at once, from memory."""

    def __init__(
        self,
        registry: Registry,
        board: Board,
        cluster: Cluster,
        zone: str = "",
        *,
        actions: Actions | None = None,
        position: Callable[[], str] = str,
        stalls: Stalls | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self._registry = registry
        self._cluster = cluster
        self._board = board
        self._zone = zone
        self._actions = actions
        self._position = position
        self._stalls = stalls
        self._keeper = keeper
        self._version = product_version()

    def services(self) -> list[Row]:
        """All services in alphabetical order, each with its instances."""
        table = self._registry.table
        return [self._service(name) for name in sorted(table.services())]

    def service(self, name: str) -> Row | None:
        """One service; None if it has no instance."""
        return self._service(name) if self._registry.table.leases(name) else None

    def names(self) -> list[str]:
        """The names of all services, in alphabetical order."""
        return sorted(self._registry.table.services())

    def instances(self, name: str) -> Iterator[Row]:
        """One service's instances as they are now, each made when it is asked for."""
        for lease in tuple(self._registry.table.leases(name).values()):
            yield self._instance(lease, self._registry.table.now())

    def instance(self, id: str, service: str = "") -> Row | None:
        """One instance with its ``service``; the first with this id if no service is named."""
        table = self._registry.table
        lease = table.get(service, id) if service else table.find(id)
        if lease is None:
            return None
        return {"service": lease.record.instance.service, **self._instance(lease, table.now())}

    def size(self) -> int:
        """How many instances there are."""
        return len(self._registry.table)

    def _service(self, name: str) -> Row:
        return {"name": name, "instances": list(self.instances(name))}

    def _instance(self, lease: Lease, now: float) -> Row:
        record = lease.record
        instance = record.instance
        return {
            "id": instance.id,
            "url": instance.url,
            "status": instance.status.value,
            "own_status": record.own.value,
            "overridden": None if record.override is Status.UNKNOWN else record.override.value,
            "zone": instance.zone,
            "metadata": dict(instance.metadata),
            "registered_at": record.registered_at / 1000,
            "renewed_ago": round(max(0.0, lease.age(now)), 3),
            "expires_in": round(lease.remaining(now), 3),
            "late": self._registry.table.is_late(lease),
            "confirmed": not lease.restored,
        }

    def circuits(self) -> list[dict[str, object]]:
        """Every circuit of every caller."""
        return self._board.view()

    async def renew(self, body: bytes) -> dict[str, list[int]]:
        """The one thing here that changes something: heartbeats, see :func:`.renewals.renew`."""
        return await sliced(renewals.renew(self._registry, body))

    def node(self) -> Row:
        """This registry itself: ``mode`` is ``normal`` or ``preserving``, ``reason`` says why.

        ``ready`` tells whether reads are answered, ``warnings`` what somebody should know, in sentences.
        """
        registry = self._registry
        table, preservation = registry.table, registry.preservation
        since = preservation.since
        return {
            "id": self._cluster.id,
            "position": self._position(),
            "ready": self._cluster.ready,
            "mode": "preserving" if preservation.active else "normal",
            "reason": preservation.reason,
            "preserving_for": None if since is None else round(registry.clock.monotonic() - since, 3),
            "warnings": self._warnings(),
            "zone": self._zone,
            "peers": self._cluster.view(),
            "counts": {
                "services": sum(1 for _ in table.services()),
                "instances": len(table),
                "late": table.late_count,
                "statuses": {status.value: n for status, n in table.counts.items() if n},
            },
            "restored": table.restored,
            "unconfirmed": table.unconfirmed,
            "snapshot": None
            if self._keeper is None
            else {"written_at": self._keeper.written_at, "problem": self._keeper.problem},
            "stalls": None if self._stalls is None else self._stalls.view(),
            "time": round(registry.clock.time(), 3),
            "uptime_seconds": round(registry.uptime(), 3),
            "heartbeats_per_minute": registry.heartbeats_per_minute(),
            "version": self._version,
        }

    def _warnings(self) -> list[str]:
        preservation = self._registry.preservation
        found = []
        if preservation.suspicious and preservation.policy.enabled:
            found.append(
                "Emergency: too few heartbeats arrive, so silent instances are kept for safety. "
                "Some that are shown as UP may be dead."
            )
        elif preservation.suspicious:
            found.append(
                "Too few heartbeats arrive, and self-preservation is switched off: instances are being "
                "removed, wrongly so if the network is at fault."
            )
        elif not preservation.policy.enabled:
            found.append(
                "Self-preservation is switched off: a fault of the network would empty this registry."
            )
        if self._keeper is not None and self._keeper.problem:
            found.append(f"The snapshot cannot be written: {self._keeper.problem}.")
        if not self._cluster.ready:
            found.append(
                f"No peer has given its list yet: reads are refused for up to "
                f"{self._cluster.opens_in:.0f} seconds more."
            )
        found += [f"Peer {url}: {problem}." for url, problem in self._cluster.problems()]
        return found

    def changes(self) -> list[Row]:
        """The last thousand changes, and what was asked of circuits, newest first."""
        directory = (_change(at, change) for at, change in reversed(self._registry.remembered))
        if not self._actions:
            return list(directory)
        asked: list[Row] = self._actions.changes()
        return list(merge(asked, directory, key=lambda row: -_at(row)))


def _at(row: Row) -> float:
    at = row["at"]
    return at if isinstance(at, float) else 0.0


def _change(at: float, change: Change) -> Row:
    record = change.record
    row: Row = {
        "number": change.number,
        "at": round(at, 3),
        "action": change.action.value,
        "cause": record.cause.value,
        "service": change.service,
        "instance": change.id,
        "status": record.instance.status.value,
        "text": _words(change),
    }
    if change.before is not None:
        row["before"] = change.before.value
    return row


def _words(change: Change) -> str:
    record, status = change.record, change.record.instance.status.value
    if change.action is Action.DELETED:
        return "signed out" if record.cause is Cause.CANCELLED else "removed: its lease ran out"
    if record.cause is Cause.OVERRIDE:
        return f"set to {status} by an operator"
    if record.cause is Cause.OVERRIDE_REMOVED:
        return f"operator's status taken back, now {status}"
    if change.before is not None and change.before is not record.instance.status:
        return f"{record.cause}: {change.before} to {status}"
    return f"{record.cause}, {status}"
