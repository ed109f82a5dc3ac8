"""A made-up estate for the web UI's tests: always the same for the same seed, moved by hand."""

from __future__ import annotations

import random
import time
from typing import Any

from dashboard.services import summary_of
from registry_server.board import Board
from registry_server.slices import whole
from resilient.circuits.latency import Histogram
from resilient.clock import SYSTEM, Clock

WORDS = """
payments-gateway orders checkout catalogue ledger notify search-index reports recommend courier-quotes
tax-rules sms-relay media-resize accounts address-check attachments audit-trail backoffice basket coupons
currency devices email-relay exports features fraud-score gift-cards identity inventory invoices labels
locations loyalty merchants pricing profiles promotions quotes refunds returns-desk reviews sessions stock
subscriptions tickets uploads warehouse-picks webhooks
""".split()  # noqa: SIM905
ZONES = ("eu-1a", "eu-1b", "eu-1c")
COMMANDS = ("get", "list", "authorise", "capture", "quote", "rate", "render", "post", "merge", "send")


class SeededSource:
    """Services, circuits, node and changes, each a plain attribute that a test may edit."""

    def __init__(
        self, services: int = 14, circuits: int = 40, seed: int = 7, clock: Clock = SYSTEM, past: int = 60
    ) -> None:
        self.random = random.Random(seed)
        self.clock = clock
        self.started = clock.monotonic() - 12_345
        self.shift = 0.0
        self.mode = "normal"
        self.peers: list[dict[str, Any]] = []
        self.differences: dict[str, dict[str, Any]] = {}
        self.listeners: list[Any] = []
        self.warnings: list[str] = []
        self.reason = ""
        self.rows = [self._service(name, place) for place, name in enumerate(WORDS[:services])]
        self.happened = self._changes(24) if services else []
        self.pushes: dict[tuple[str, str], dict[str, Any]] = {}
        self.board = Board(_Shifted(self))
        self._specs = [self._spec(place) for place in range(circuits)] if services > 1 else []
        for back in range(past, -1, -1):
            self.shift = -2.0 * back
            self.push(back)
        self.shift = 0.0

    # What the pages ask

    name = "seeded:8761"

    def summaries(self):
        return [summary_of(one) for one in self.services()]

    def services(self) -> list[dict[str, Any]]:
        now = self.clock.monotonic()
        return [
            {
                "name": row["name"],
                "instances": [
                    {
                        **{k: v for k, v in one.items() if k not in ("at", "lease")},
                        "renewed_ago": now - one["at"],
                        "expires_in": one["lease"] - (now - one["at"]),
                        "renew_every": one["lease"] / 3,
                        "duration": one["lease"],
                    }
                    for one in row["instances"]
                ],
            }
            for row in self.rows
        ]

    def service(self, name):
        return next((one for one in self.services() if one["name"] == name), None)

    def names(self):
        return sorted(row["name"] for row in self.rows)

    def entries(self, name):
        for row in self.rows:
            for one in row["instances"] if row["name"] == name else ():
                yield one["id"], one["url"], one["status"], one["late"], one["metadata"]

    def beats(self, name):
        found = self.service(name)
        return [] if found is None else [(one["id"], one["renewed_ago"]) for one in found["instances"]]

    def circuits(self):
        self.push(0)
        return self.board.rows()

    def circuit(self, caller, name):
        return self.board.detail(caller, name)

    def history(self, caller, name, seconds):
        return self.board.history(caller, name, seconds)

    async def rates(self, seconds):
        return whole(self.board.rates(seconds))

    def balancer(self, caller, target):
        return self.board.balanced(caller, target)

    def node(self) -> dict[str, Any]:
        total = sum(len(row["instances"]) for row in self.rows)
        return {
            "mode": self.mode,
            "reason": self.reason,
            "warnings": self.warnings,
            "counts": {"instances": total, "services": len(self.rows)},
            "uptime_seconds": self.clock.monotonic() - self.started,
            "version": "0.1.0",
            "heartbeats_per_minute": total * 2,
            "peers": self.peers,
        }

    def lags(self):
        return {one["url"]: [0.0, one.get("lag", 0.0)] for one in self.peers}

    async def difference(self, peer):
        return self.differences.get(peer)

    def changes(self) -> list[dict[str, Any]]:
        return self.happened

    def subscribe(self, heard):
        self.listeners.append(heard)
        return lambda: self.listeners.remove(heard)

    def tell(self, what, data):
        for heard in list(self.listeners):
            heard(what, data)

    # Making it up

    def _service(self, name: str, place: int) -> dict[str, Any]:
        n = 2 + self.random.randrange(11)
        version = f"{1 + place % 6}.{self.random.randrange(20)}.{self.random.randrange(9)}"
        instances = [self._instance(name, number, version) for number in range(n)]
        trouble = {0: ("DOWN", 2), 3: ("OUT_OF_SERVICE", 2), 5: ("STARTING", 1), 7: ("DOWN", 1)}.get(place)
        if trouble:
            for one in instances[: trouble[1]]:
                one["status"] = trouble[0]
        if trouble and trouble[0] == "OUT_OF_SERVICE":
            instances[0]["overridden"] = "OUT_OF_SERVICE"
        if place in (0, 4, 9):
            instances[-1].update(late=True, at=self.clock.monotonic() - 67)
        if place in (1, 8):
            for one in instances[: n // 3]:
                one["metadata"]["version"] = "0.9.9"
        return {"name": name, "instances": instances}

    def _instance(self, name: str, number: int, version: str) -> dict[str, Any]:
        host = f"10.{20 + number}.{self.random.randrange(200)}.{self.random.randrange(250)}"
        return {
            "id": f"{name}-{self.random.randrange(16**6):06x}",
            "url": f"http://{host}:8080",
            "status": "UP",
            "overridden": None,
            "zone": ZONES[number % 3],
            "late": False,
            "metadata": {
                "version": version,
                "owner": "shop",
                "commit": f"{self.random.randrange(16**7):07x}",
            },
            "at": self.clock.monotonic() - self.random.uniform(0, 29),
            "lease": 90.0,
        }

    def _changes(self, n: int) -> list[dict[str, Any]]:
        found, at = [], time.time()
        for _ in range(n):
            at -= self.random.expovariate(1 / 25)
            row = self.random.choice(self.rows)
            one = self.random.choice(row["instances"])
            action = self.random.choice(["ADDED", "ADDED", "DELETED", "MODIFIED"])
            found.append(
                {
                    "at": at,
                    "service": row["name"],
                    "instance": one["id"],
                    "action": action,
                    "kind": {"ADDED": "registered", "DELETED": "removed", "MODIFIED": "status"}[action],
                    "text": f"said it is {action}",
                    "status": self.random.choice(["UP", "DOWN", "OUT_OF_SERVICE"])
                    if action == "MODIFIED"
                    else "UP",
                    "zone": one["zone"],
                }
            )
        return found

    def _spec(self, place: int) -> dict[str, Any]:
        names = [row["name"] for row in self.rows]
        target = names[place % len(names)]
        caller = names[(place * 5 + 3) % len(names)]
        if caller == target:
            caller = names[(place * 5 + 4) % len(names)]
        state = {0: "open", 3: "half-open", 4: "open", 9: "forced-open", 14: "forced-closed"}.get(
            place, "closed"
        )
        return {
            "caller": caller,
            "name": f"{target}.{COMMANDS[(place * 7) % len(COMMANDS)]}{place // 40 or ''}",
            "target": target,
            "state": state,
            "rate": round(self.random.lognormvariate(2.2, 1.1), 1),
            "bad": self.random.choice([0, 0, 0, 0.004, 0.012, 0.031]),
            "base": self.random.uniform(0.008, 0.2),
            "turned": self.random.randrange(8, 24),
            "hosts": 1 + place % 4,
        }

    def push(self, back: int) -> None:
        """Let every process say what its circuits look like, ``back`` points before now."""
        bodies: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for spec in self._specs:
            for host in range(spec["hosts"]):
                bodies.setdefault((spec["caller"], host), []).append(self._snapshot(spec, back))
        for (caller, host), circuits in bodies.items():
            self.board.put(
                {
                    "service": caller,
                    "instance": f"{caller}-{host}",
                    "worker": "",
                    "interval": 5.0,
                    "circuits": circuits,
                }
            )

    def _snapshot(self, spec: dict[str, Any], back: int) -> dict[str, Any]:
        state, bad, turned = spec["state"], spec["bad"], spec["turned"]
        rng = random.Random(f"{spec['name']}{spec['caller']}{back}")
        refused = 0.0
        if state == "open":
            refused = 0.9 if back < turned else 0.0
            bad = 0.7 if back < turned else max(0.0, 0.9 - 0.2 * (back - turned))
        elif state == "half-open":
            refused, bad = (0.5, 0.2) if back < turned else (0.0, 0.01)
        elif state == "forced-open":
            refused = 1.0
        rate = spec["rate"] / spec["hosts"] * rng.uniform(0.93, 1.07)
        calls = round(rate * 10)
        short = round(calls * refused)
        tried = calls - short
        failing = round(tried * bad)
        timeouts, rejected = failing // 3, failing // 8
        samples = [spec["base"] * rng.lognormvariate(0, 0.5) for _ in range(min(tried, 60))]
        histogram = Histogram()
        histogram.add(samples)
        p50, p90, p95, p99 = histogram.quantiles((0.5, 0.9, 0.95, 0.99))
        return {
            "name": spec["name"],
            "target": spec["target"],
            "state": state if back < turned or state.startswith("forced") else "closed",
            "since": max(0.0, 2.0 * (turned - back)) if state != "closed" else 4000.0,
            "retry_in": 3.0 if state == "open" else None,
            "window": 10.0,
            "counts": {
                "success": tried - failing,
                "failure": failing - timeouts - rejected,
                "timeout": timeouts,
                "rejected": rejected,
                "short_circuited": short,
                "excluded": round(tried * 0.01),
            },
            "calls": calls,
            "rate": rate,
            "in_flight": round(rate * spec["base"]),
            "limit": 100,
            "latency": {
                "mean": histogram.mean,
                "p50": p50,
                "p90": p90,
                "p95": p95,
                "p99": p99,
                "max": histogram.longest,
            },
            "histogram": histogram.packed(),
            "timeout": 1.0,
            "last_error": "ConnectionRefusedError: [Errno 111] connect to 10.20.4.7:8080"
            if bad > 0.1
            else "",
        }


class _Shifted:
    """The source's clock, moved back while it makes up its past."""

    def __init__(self, source: SeededSource) -> None:
        self._source = source

    def time(self) -> float:
        return self._source.clock.time() + self._source.shift

    def monotonic(self) -> float:
        return self._source.clock.monotonic() + self._source.shift
