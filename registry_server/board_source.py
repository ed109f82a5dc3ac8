"""The registry as its own pages see it: services in short, circuits, and what happens, told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from resilient.clock import Clock
from resilient.model import Status

from .board import Board
from .board_words import asked_of, said_of, why_of
from .counting import counted_of
from .expiry import Lease
from .feed.actions import Actions
from .foreign_rows import ForeignRows
from .nodes import Nodes
from .records import Cause, Change
from .registry import Registry
from .slices import sliced
from .views import Views

Row = dict[str, Any]
Heard = Callable[[str, Mapping[str, Any]], None]

#: With more instances than this, the age of a service's oldest heartbeat is looked up now and then (s).
MANY, SELDOM = 2000, 10.0
#: Notes of what operators did that are kept for showing.
_MOST_NOTES = 10_000


class UiSource:
    """What :mod:`dashboard` asks. ``url`` tells where we listen, "" before we do."""

    def __init__(
        self,
        registry: Registry,
        board: Board,
        foreign: ForeignRows,
        views: Views,
        actions: Actions,
        nodes: Nodes,
        *,
        url: Callable[[], str],
        replicas: Callable[[], tuple[list[str], list[str]]],
    ) -> None:
        self._registry = registry
        self._board = board
        self._foreign = foreign
        self._views = views
        self._actions = actions
        self._nodes = nodes
        self._url = url
        self._replicas = replicas
        self._clock: Clock = registry.clock
        self._counted: dict[str, Row] = {}
        self._oldest: dict[str, tuple[float, float]] = {}
        self._listeners: tuple[Heard, ...] = ()
        self._preserving = False
        self._peers: dict[str, bool] = {}
        self._asked = ""
        #: What operators did to instances: by service and id, who and why, and when it ends.
        self.notes: dict[tuple[str, str], Row] = {}
        registry.subscribe(self._changed)
        board.listen(self._turned)

    @property
    def name(self) -> str:
        """Host and port."""
        return self._url().partition("://")[2].partition("/")[0] or "registry"

    # --- services

    def summaries(self) -> Iterator[Row]:
        """Every service in short."""
        table = self._registry.table
        now = table.now()
        for name in sorted(table.services()):
            leases = table.leases(name)
            if not leases:
                continue
            counted = self._counted.get(name)
            if counted is None:
                counted = self._counted[name] = counted_of(name, leases)
            late: dict[str, int] = {}
            if len(leases) <= MANY:
                oldest = now
                for lease in leases.values():
                    renewed = lease.renewed
                    if renewed < oldest:
                        oldest = renewed
                    instance = lease.record.instance
                    if renewed + lease.late_after < now and instance.status is Status.UP:
                        late[instance.zone] = late.get(instance.zone, 0) + 1
            else:
                late, oldest = self._slowly(name, leases, now)
            n = sum(late.values())
            row = {**counted, "up": counted["up"] - n, "late": n, "oldest": max(0.0, now - oldest)}
            if late:
                row["zones"] = {zone: up - late.get(zone, 0) for zone, up in counted["zones"].items()}
            yield row

    def _slowly(self, name: str, leases: Mapping[str, Lease], now: float) -> tuple[dict[str, int], float]:
        late: dict[str, int] = {}
        for lease in self._registry.table.late():
            instance = lease.record.instance
            if instance.service == name and instance.status is Status.UP:
                late[instance.zone] = late.get(instance.zone, 0) + 1
        at, oldest = self._oldest.get(name, (float("-inf"), now))
        if now - at > SELDOM:
            oldest = min(lease.renewed for lease in leases.values())
            self._oldest[name] = (now, oldest)
        return late, oldest

    def service(self, name: str) -> Row | None:
        """One service with its instances."""
        leases = self._registry.table.leases(name)
        if not leases:
            return None
        rows = []
        for lease, row in zip(tuple(leases.values()), self._views.instances(name), strict=True):
            record = lease.record
            instance = record.instance
            row["renew_every"] = instance.renew_every
            row["duration"] = lease.duration
            row["links"] = {
                "home": instance.extra.get("homePageUrl"),
                "status": instance.extra.get("statusPageUrl"),
                "health": instance.extra.get("healthCheckUrl"),
            }
            if record.override is not Status.UNKNOWN:
                row["override"] = self.notes.get((name, instance.id))
            rows.append(row)
        return {"name": name, "instances": rows}

    def beats(self, name: str) -> list[tuple[str, float]]:
        """The age of the last heartbeat of each instance."""
        now = self._registry.table.now()
        leases = self._registry.table.leases(name)
        return [(id, max(0.0, now - lease.renewed)) for id, lease in leases.items()]

    def names(self) -> list[str]:
        """All services, in alphabetical order."""
        return self._views.names()

    def entries(self, name: str) -> Iterator[tuple[str, str, str, bool, Mapping[str, str]]]:
        """A service's instances in short: id, address, status, late, metadata."""
        table = self._registry.table
        for lease in tuple(table.leases(name).values()):
            one = lease.record.instance
            yield one.id, one.url, one.status.value, table.is_late(lease), one.metadata

    # --- circuits

    def circuits(self) -> Iterator[Mapping[str, Any]]:
        """Every circuit of every caller."""
        yield from self._board.rows()
        yield from self.foreign()

    def foreign(self) -> Iterator[Row]:
        """Those that are only known from foreign streams."""
        for row in self._foreign.rows(self._clock.monotonic()):
            if not self._board.has(row["service"], row["name"]):
                yield row

    def circuit(self, caller: str, name: str) -> Mapping[str, Any] | None:
        """What more is known of one."""
        found = self._board.detail(caller, name)
        if found is None:
            found = self._foreign.detail(caller, name, self._clock.monotonic(), self._clock.time())
        return found

    def history(self, caller: str, name: str, seconds: int) -> Mapping[str, Any] | None:
        """The rates of the last ``seconds``."""
        return self._board.history(caller, name, seconds)

    async def rates(self, seconds: int) -> Mapping[str, list[float | None]]:
        """Calls per second towards each service, the last ``seconds``, one point for each."""
        return await sliced(self._board.rates(seconds))

    def balancer(self, caller: str, target: str) -> list[Row]:
        """What the caller's balancers make of the target's instances."""
        return self._board.balanced(caller, target)

    # --- itself

    def node(self) -> Row:
        """This registry."""
        registry = self._registry
        policy = registry.preservation.policy
        row: Row = {
            **self._views.node(),
            "name": self.name,
            "protection": {"enabled": policy.enabled, "suspicious": registry.preservation.suspicious},
            "beats_limit": round(1.0 - policy.share, 4),
        }
        row["peers"] = self._nodes.told(row["peers"])
        if registry.preservation.active:
            zones: dict[str, int] = {}
            for lease in registry.table.late():
                zone = lease.record.instance.zone
                zones[zone] = zones.get(zone, 0) + 1
            row["late_zones"] = zones
        return row

    def lags(self) -> Mapping[str, Any]:
        """How far behind each peer was over the last quarter of an hour, by its URL."""
        return self._nodes.past()

    async def difference(self, peer: str) -> Mapping[str, Any] | None:
        """In which entries a peer's list differs from ours."""
        return await self._nodes.difference(peer)

    def changes(self) -> list[Row]:
        """What happened before anybody listened, newest first."""
        found = []
        for at, change in reversed(self._registry.remembered):
            row = self._row_of(change)
            if row is not None:
                found.append({**row, "at": at})
        return found

    # --- telling

    def subscribe(self, heard: Heard) -> Callable[[], None]:
        """Tell of whatever happens. Returns the way to leave."""
        self._listeners = (*self._listeners, heard)

        def leave() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not heard)

        return leave

    def tell(self, what: str, data: Mapping[str, Any]) -> None:
        """Tell everybody who listens."""
        for heard in self._listeners:
            heard(what, data)

    def ill(self) -> list[str]:
        """The peers that do not answer."""
        return self._replicas()[1]

    async def ticked(self) -> None:
        """Once a second, in slices: see :meth:`tick`."""
        await sliced(self._board.ticking())
        self._look()

    def tick(self) -> None:
        """Look for what changes without telling."""
        self._board.tick()
        self._look()

    def _look(self) -> None:
        preservation = self._registry.preservation
        if preservation.active is not self._preserving:
            self._preserving = preservation.active
            self._happened(
                "protection_on" if preservation.active else "protection_off",
                text=preservation.reason or "enough heartbeats arrive again; silent instances are removed",
                by="registry",
            )
        well, ill = self._replicas()
        for url, is_well in [*((one, True) for one in well), *((one, False) for one in ill)]:
            before = self._peers.get(url)
            self._peers[url] = is_well
            if before is not None and before is not is_well:
                text = "answers again" if is_well else "does not answer"
                self._happened("node_back" if is_well else "node_lost", subject=url, text=text, by="registry")
        if self._actions.newest != self._asked:
            self._told_of_actions()

    def _told_of_actions(self) -> None:
        fresh: list[Row] = []
        for row in self._actions.rows():
            if row["id"] == self._asked:
                break
            fresh.append(row)
        self._asked = self._actions.newest
        for row in reversed(fresh):
            target = self._board.target(str(row["service"]), str(row["circuit"]))
            self._happened("circuit_command", **asked_of(row, target))

    def _happened(self, kind: str, **row: Any) -> None:
        self.tell("change", {"kind": kind, "at": self._clock.time(), **row})

    def _changed(self, change: Change) -> None:
        self._counted.pop(change.service, None)
        if change.same:
            return
        row = self._row_of(change)
        key = (change.service, change.id)
        if change.record.cause in (Cause.CANCELLED, Cause.OVERRIDE_REMOVED):
            self.notes.pop(key, None)
        if row is not None:
            self.tell("change", {**row, "at": self._clock.time()})

    def _row_of(self, change: Change) -> Row | None:
        found = said_of(change)
        if found is None:
            return None
        kind, text, by = found
        row: Row = {
            "kind": kind,
            "service": change.service,
            "instance": change.id,
            "text": text,
            "by": by,
            "status": change.record.instance.status.value,
        }
        if change.before is not None:
            row["before"] = change.before.value
        note = self.notes.get((change.service, change.id))
        if note is not None and change.record.cause in (
            Cause.OVERRIDE,
            Cause.OVERRIDE_REMOVED,
            Cause.CANCELLED,
        ):
            row.update(by=note["by"], reason=note["reason"], until=note.get("until"))
        return row

    def _turned(self, turn: Mapping[str, Any]) -> None:
        """A circuit turned: the board says so."""
        self.tell("state", turn)
        after = str(turn["state"])
        kinds = {"closed": "circuit_closed", "open": "circuit_opened", "half-open": "circuit_half_open"}
        why = turn.get("why") or {}
        self.tell(
            "change",
            {
                "kind": kinds.get(after, "circuit_forced"),
                "at": turn["at"],
                "subject": f"{turn['service']}/{turn.get('target') or ''}:{turn['name']}",
                "service": turn["service"],
                "text": why_of(why) or f"{turn['before']} to {after}",
                "by": turn.get("by") or "circuit",
                "reason": turn.get("reason") or "",
                "until": turn.get("until"),
                "before": turn["before"],
                "status": after,
            },
        )

    def note(self, service: str, id: str, note: Row) -> None:
        """Remember who does something to an instance."""
        if len(self.notes) >= _MOST_NOTES:
            del self.notes[next(iter(self.notes))]
        self.notes[service, id] = note
