"""What a page asks for once: the JSON below ``/ui/data/``, and at each page's own address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .circuits import tick_named
from .detail import SERIES, balanced_of, failures_of, host_of, rules_of, series_of
from .frames import letter, milliseconds
from .hub import Hub
from .searching import Search
from .services import kind_of
from .source import Row

#: Circuits whose history one request may name, and the points it may ask for.
MOST_KEYS, MOST_POINTS = 100, 900
#: What so many balancers' rows say of one service's instances is added up.
MOST_BALANCED = 20_000


class Data:
    """Answers from the hub's last look and the source."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._source = hub.source
        self._search = Search(hub.source)

    # --- the registry's pages

    def services(self) -> Row:
        """The list, with the numbers of this moment."""
        hub = self._hub
        live = dict(zip(hub.services.order, hub.services.live(), strict=True))
        rows = []
        for row in hub.services.rows():
            oldest, calls = live.get(row["n"]) or (None, None)
            rows.append({**row, "oldestS": oldest, "callsPerS": calls})
        return {"now": hub.now(), "totals": hub.services.totals, "beats": hub.beats(), "rows": rows}

    def service(self, name: str) -> Row | None:
        """One service with its instances, who calls it, what it calls, and what happened to it."""
        found = self._source.service(name)
        if found is None:
            return None
        edges = self._hub.circuits.edges()
        return {
            "now": self._hub.now(),
            "n": name,
            "row": self._hub.services.get(name),
            "instances": [self._instance(one) for one in found["instances"]],
            "rates": self._rates(name),
            "callers": [edge for edge in edges if edge[1] == name],
            "calls": [edge for edge in edges if edge[0] == name],
            "changes": self._hub.journal.page(subject=name)["rows"][:50],
        }

    def beats(self, name: str) -> Row:
        """The age of the last heartbeat of each instance, and calls per second where that is known, by id."""
        return {
            "i": [[id, round(age, 1)] for id, age in self._source.beats(name)],
            "rates": self._rates(name),
        }

    def _rates(self, name: str) -> dict[str, float]:
        """Calls per second of each instance: what its callers' balancers say of its share of their calls."""
        found: dict[str, float] = {}
        seen = 0
        for edge in self._hub.circuits.edges():
            if edge[1] != name:
                continue
            rows = self._source.balancer(edge[0], name)
            seen += len(rows)
            if seen > MOST_BALANCED:
                return {}  # too much to add up at each look
            processes = len({row.get("process") for row in rows})
            for row in rows:
                # A caller's processes are alike: each makes as many calls as the others.
                part = edge[2] / processes * float(row.get("share") or 0.0)
                found[row["id"]] = found.get(row["id"], 0.0) + part
        return {id: round(rate, 2) for id, rate in found.items()}

    def _instance(self, one: Mapping[str, Any]) -> Row:
        now = self._hub.clock.time()
        metadata = dict(one.get("metadata") or {})
        age = float(one.get("renewed_ago") or 0.0)
        registered = one.get("registered_at")
        links = {name: str(url) for name, url in (one.get("links") or {}).items() if _is_link(url)}
        if _is_link(one.get("url")):
            links.setdefault("home", str(one["url"]))
        return {
            "id": one["id"],
            "url": one.get("url", ""),
            "status": one.get("status"),
            "own": one.get("own_status") or one.get("status"),
            "over": one.get("overridden"),
            "override": _override(one.get("override")),
            "kind": kind_of(str(one.get("status")), bool(one.get("late"))),
            "late": bool(one.get("late")),
            "zone": one.get("zone") or "",
            "version": str(metadata.get("version") or ""),
            "beatAt": round((now - age) * 1000),
            "ageS": round(age, 1),
            "ttlS": one.get("duration") or round(age + float(one.get("expires_in") or 0.0), 1),
            "renewS": one.get("renew_every"),
            "since": milliseconds(registered),
            "meta": metadata,
            "links": links,
            "confirmed": one.get("confirmed", True),
        }

    def nodes(self) -> Row:
        """This node and its peers."""
        hub = self._hub
        node = {key: value for key, value in hub.node.items() if key != "peers"}
        lags = hub.source.lags()
        peers = [
            {**one, "lags": list(lags.get(str(one.get("url")), ()))} for one in hub.node.get("peers") or ()
        ]
        return {
            "now": hub.now(),
            "node": hub.source.name,
            "self": node,
            "peers": peers,
            "beats": hub.beats(),
            "notices": hub.notices.all(),
        }

    async def difference(self, peer: str) -> Row | None:
        """The entries in which a peer's list differs from this node's."""
        found = await self._source.difference(peer[:500])
        if found is None:
            return None
        return {"now": self._hub.now(), "peer": peer, **found, "since": milliseconds(found.get("since"))}

    async def having(self, questions: list[str]) -> Row:
        """Which services have instances with such metadata."""
        return await self._search.having(questions)

    async def find(self, text: str) -> Row:
        """Instances by id or address, over all services."""
        return await self._search.instances(text)

    def changes(self, query: Mapping[str, str]) -> Row:
        """A page of what happened."""
        return {
            "now": self._hub.now(),
            **self._hub.journal.page(
                before=query.get("before", ""),
                kind=query.get("kind", ""),
                text=query.get("q", "")[:500],
                subject=query.get("sub", ""),
            ),
        }

    # --- the circuits' pages

    def circuits(self) -> Row:
        """All circuits with the numbers of this moment."""
        return {"now": self._hub.now(), "rows": list(self._hub.circuits.rows())}

    def history(self, keys: str, points: int) -> Row:
        """Calls, failing calls and refused calls per second of some circuits: one point each second."""
        found: Row = {}
        for text in keys.split(",")[:MOST_KEYS]:
            name = self._hub.circuits.name(int(text)) if text.isascii() and text.isdigit() else None
            series = self._source.history(*name, points) if name is not None else None
            if series is not None:
                found[text] = {one: list(series.get(one) or ())[-points:] for one in SERIES}
        return found

    def circuit(self, id: str, seconds: int) -> Row | None:
        """All that is known of one circuit."""
        hub = self._hub
        key = hub.circuits.find(id)
        row = hub.circuits.row(key) if key is not None else None
        said = hub.circuits.said(key) if key is not None else None
        if key is None or row is None or said is None:
            return None
        name = (str(row["service"]), str(row["name"]))
        more = self._source.circuit(*name) or {}
        tick = next((one for one in hub.circuits.ticks if one[0] == key), None)
        return {
            "now": hub.now(),
            **said,
            **(tick_named(tick) if tick else {}),
            "group": row.get("group") or "",
            "window": row.get("window"),
            "latency": {k: round(1000 * v, 2) for k, v in (row.get("latency") or {}).items()},
            "allCounts": row.get("counts") or {},
            "series": series_of(self._source.history(*name, seconds)),
            "rules": rules_of(row, more),
            "why": more.get("why"),
            "turns": list(more.get("turns") or ())[:50],
            "failures": failures_of(row, more),
            "hostsBy": [host_of(one) for one in more.get("hosts") or ()],
            "settings": more.get("settings") or [],
            "settingsDiffer": more.get("settings_differ") is True,
            "trials": more.get("trials"),
            "fallbacks": {
                one: (row.get("counts") or {}).get("fallback_" + one, 0)
                for one in ("success", "failure", "rejected")
            },
            "changes": hub.journal.page(subject=str(said["id"]))["rows"][:50],
        }

    def instances(self, id: str) -> list[Row] | None:
        """The target's instances as the callers' balancers see them."""
        hub = self._hub
        key = hub.circuits.find(id)
        row = hub.circuits.row(key) if key is not None else None
        if row is None:
            return None
        target = str(row.get("target") or "")
        return (
            [balanced_of(one) for one in self._source.balancer(str(row["service"]), target)] if target else []
        )

    def topology(self) -> Row:
        """Who calls whom."""
        return {"now": self._hub.now(), **self._hub.edges()}

    # --- before an action

    def consequence(self, what: str, subjects: Sequence[str]) -> Row:
        """What an action on these subjects would do, in numbers."""
        if what == "circuit":
            rows = [self._of_circuit(one) for one in subjects[:50]]
            return {"what": what, "circuits": [one for one in rows if one is not None]}
        wanted: dict[str, set[str]] = {}
        for subject in subjects[:500]:
            service, _, id = subject.partition("/")
            wanted.setdefault(service.lower(), set()).add(id)
        found = [self._of_service(name, ids) for name, ids in wanted.items()]
        return {"what": what, "services": [one for one in found if one is not None]}

    def _of_circuit(self, id: str) -> Row | None:
        key = self._hub.circuits.find(id)
        row = self._hub.circuits.row(key) if key is not None else None
        if row is None:
            return None
        return {
            "id": id,
            "k": key,
            "hosts": row.get("processes", 0),
            "silent": len(row.get("silent") or ()),
            "callsPerS": round(float(row.get("rate") or 0.0), 1),
            "inFlight": row.get("in_flight", 0),
            "state": letter(row.get("state")),
            "fallback": bool((row.get("counts") or {}).get("fallback_success")),
        }

    def _of_service(self, name: str, ids: set[str]) -> Row | None:
        found = self._source.service(name)
        if found is None:
            return None
        instances = found["instances"]
        up = [one for one in instances if kind_of(str(one.get("status")), bool(one.get("late"))) == "up"]
        left = [one for one in up if one["id"] not in ids]
        zones: dict[str, int] = {str(one.get("zone") or ""): 0 for one in up}
        for one in left:
            zones[str(one.get("zone") or "")] += 1
        towards = self._hub.circuits.towards.get(name)
        calls = round(float(towards["rate"]), 1) if towards else None
        fewest = min(zones, key=lambda zone: zones[zone]) if zones else None
        return {
            "name": name,
            "chosen": sum(one["id"] in ids for one in instances),
            "total": len(instances),
            "up": len(up),
            "left": len(left),
            "zones": zones,
            "fewest": None if fewest is None else [fewest, zones[fewest]],
            "callsPerS": calls,
            "eachNow": round(calls / len(up), 1) if calls is not None and up else None,
            "eachThen": round(calls / len(left), 1) if calls is not None and left else None,
            "callers": sorted({edge[0] for edge in self._hub.circuits.edges() if edge[1] == name}),
            "last": not left,
            "renewS": max((float(one.get("renew_every") or 30.0) for one in instances), default=30.0),
        }


def _override(one: Mapping[str, Any] | None) -> Row | None:
    if not one:
        return None
    return {
        "by": one.get("by", ""),
        "reason": one.get("reason", ""),
        "at": milliseconds(one.get("at")),
        "until": milliseconds(one.get("until")),
    }


def _is_link(url: object) -> bool:
    return isinstance(url, str) and url.startswith(("http://", "https://"))
