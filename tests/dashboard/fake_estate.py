"""A made-up estate for looking at the web UI without a registry: seeded services, circuits, changes, nodes.

Tests make an ``Estate``, change it, and serve it with ``fake_server.FakeServer``.
"""

from __future__ import annotations

import random

from fake_answers import Answers

NAMES = [
    "storefront",
    "mobile-bff",
    "basket",
    "catalogue",
    "checkout",
    "accounts",
    "recommend",
    "reviews",
    "orders",
    "pricing",
    "stock",
    "sessions",
    "identity",
    "payments-gateway",
    "fraud-score",
    "tax-rules",
    "ledger",
    "notify",
    "feature-flags",
    "audit-trail",
    "search-query",
    "partner-api",
    "backoffice",
    "wishlist",
    "returns-desk",
    "webhooks-in",
    "promo-engine",
    "loyalty",
    "gift-cards",
    "courier-quotes",
    "address-check",
    "ab-assign",
    "media-resize",
    "carrier-events",
    "currency-rates",
    "warehouse-picks",
    "search-index",
    "invoice-pdf",
    "label-print",
    "geo-lookup",
    "email-render",
    "sms-relay",
    "push-relay",
    "attachments",
    "reports",
    "usage-meter",
    "quota",
    "sitemap",
]
VERBS = [
    "get",
    "list",
    "put",
    "reserve",
    "quote",
    "render",
    "verify",
    "apply",
    "score",
    "lookup",
    "assign",
    "record",
    "send",
    "rank",
    "merge",
]
ZONES = ("eu-1a", "eu-1b", "eu-1c")
TROUBLE = {
    "payments-gateway": {"DOWN": 2, "OUT_OF_SERVICE": 1, "LATE": 1},
    "tax-rules": {"DOWN": 3, "LATE": 2},
    "ledger": {"LATE": 2},
    "recommend": {"STARTING": 4},
    "pricing": {"OUT_OF_SERVICE": 3},
    "notify": {"LATE": 1},
}
#: Milliseconds since the epoch at which the estate begins, if it does not follow the wall clock.
BEGAN = 1_767_225_600_000


class Estate(Answers):
    """Services, instances, circuits and what happens to them. ``step`` lets one second pass."""

    def __init__(self, *, services=20, circuits=60, instances=None, seed=7, now=BEGAN, seq=0):
        self.random = random.Random(seed)
        self.now = now
        self.still = False
        self.roles = ["reader", "operator"]
        self.beats = None
        self.notices = {}
        self.changes = []
        self.services = {}
        self.circuits = {}
        self.nodes = [
            ["http://node-2:8761", "ok", 0.2, 0],
            ["http://node-3:8761", "ok", 1.9, 14],
        ]  # name, state, lag s, backlog
        self.seq = seq
        names = list(NAMES[:services])
        per = None if instances is None else instances / max(1, services)
        for index, name in enumerate(names):
            self._service(index, name, per)
        for key in range(1, circuits + 1 if len(names) > 1 else 1):
            self._circuit(key, names)
        for _ in range(40 if names else 0):
            self._happening(self.now - self.random.randrange(1000, 900_000))
        self.changes.sort(key=lambda change: -change["at"])

    # Making it up

    def _service(self, index, name, per):
        r = self.random
        total = r.randrange(6, 31) if per is None else round(per)
        marks = [mark for mark, n in TROUBLE.get(name, {}).items() for _ in range(n)]
        version = f"{r.randrange(1, 12)}.{r.randrange(20)}.{r.randrange(9)}"
        older = r.randrange(2, 5) if index % 5 == 3 else 0
        rows = {}
        for i in range(max(total, len(marks) + 2)):
            mark = marks[i] if i < len(marks) else "UP"
            late = mark == "LATE"
            override = None
            if mark == "OUT_OF_SERVICE":
                override = {
                    "status": "OUT_OF_SERVICE",
                    "by": "operator",
                    "at": self.now - 720_000,
                    "why": "draining for a disk swap",
                    "until": self.now + 2_880_000,
                }
            own = "DOWN" if mark == "DOWN" else "STARTING" if mark == "STARTING" else "UP"
            one = f"{name.split('-')[0][:2]}-{r.randrange(16**6):06x}"
            port = 8000 + index * 10
            rows[one] = {
                "id": one,
                "addr": f"10.{20 + index}.{r.randrange(16)}.{r.randrange(4, 250)}:{port}",
                "zone": ZONES[i % 3],
                "ver": f"{version}-old" if i >= total - older else version,
                "own": own,
                "override": override,
                "late": late,
                "age": r.uniform(50, 84) if late else r.uniform(0, 30),
                "up": r.randrange(4_000, 2_000_000),
                "rate": 0.0 if mark in ("DOWN", "OUT_OF_SERVICE", "STARTING") else r.uniform(4, 9),
                "meta": {
                    "commit": f"{r.randrange(16**7):07x}",
                    "owner": ("payments team", "web team", "data team")[index % 3],
                    "protocol": "http/1.1, h2",
                    "rack": f"c-{r.randrange(20)}",
                    "weight": "1.0",
                },
            }
        self.services[name] = {"name": name, "renewS": 30, "ttlS": 90, "rows": rows}

    def _circuit(self, key, names):
        r = self.random
        caller, target = r.sample(names, 2)
        if key <= 6:
            target = "payments-gateway" if "payments-gateway" in names else names[-1]
            caller = [name for name in names if name != target][key % (len(names) - 1)]
        hosts = max(1, len(self.services[caller]["rows"]))
        state = {1: "O", 2: "O", 3: "H", 4: "F"}.get(key, "C")
        if key % 97 == 0:
            state = "M"
        self.circuits[key] = {
            "k": key,
            "from": caller,
            "to": target,
            "cmd": f"{r.choice(VERBS)}",
            "hosts": hosts,
            "limit": 40,
            "timeoutMs": 800,
            "since": self.now - r.randrange(5_000, 600_000),
            "probeAt": self.now + 3_000 if state in "OH" else None,
            "forced": {"by": "operator", "why": "maintenance"} if state == "F" else None,
            "state": state,
            "rate": r.uniform(1, 240),
            "err": {"O": 62.0, "H": 18.0}.get(state, r.random() * 2.4),
        }
        row = self.circuits[key]
        row["id"] = f"{caller}/{target}:{row['cmd']}-{key}"
        row["cmd"] += f"-{key}"

    def _happening(self, at):
        r = self.random
        name = r.choice(list(self.services))
        one = r.choice(list(self.services[name]["rows"]))
        kind, text, by = r.choice(
            [
                ("registered", "", "instance"),
                ("registered", "", "instance"),
                ("removed", "signed out", "instance"),
                ("instance_down", "its own health check failed", "instance"),
                ("instance_up", "said it is UP, was STARTING", "instance"),
                ("expired", "no heartbeat for 90 s", "registry"),
                ("override_set", "draining for a disk swap", "operator"),
            ]
        )
        self.happen(kind, f"{name}/{one}", text, by, at=at)

    def happen(self, kind, sub, text="", by="registry", *, at=None, n=1):
        self.seq += 1
        change = {
            "id": f"e-{self.seq}",
            "at": self.now if at is None else at,
            "kind": kind,
            "sub": sub,
            "text": text,
            "by": by,
            "node": "node-1",
            "n": n,
        }
        self.changes.insert(0, change)
        return change

    # What the server tells

    @staticmethod
    def status(row):
        status = row["override"]["status"] if row["override"] else row["own"]
        return "LATE" if status == "UP" and row["late"] else status

    def hello(self):
        on = "protection" in self.notices
        return {
            "v": 1,
            "epoch": "fake",
            "seq": self.seq,
            "node": "node-1",
            "env": "prod",
            "now": self.now,
            "tickMs": 1000,
            "ui": "dev",
            "roles": self.roles,
            "features": ["registry", "circuits"],
            "protection": {"on": on},
        }

    def service_row(self, name):
        service = self.services[name]
        rows = service["rows"].values()
        count = dict.fromkeys(("UP", "LATE", "STARTING", "OUT_OF_SERVICE", "DOWN", "UNKNOWN"), 0)
        zones, versions = dict.fromkeys(sorted({row["zone"] for row in rows}), 0), {}
        for row in rows:
            status = self.status(row)
            count[status] += 1
            if status == "UP":
                zones[row["zone"]] += 1
            versions[row["ver"]] = versions.get(row["ver"], 0) + 1
        circ = {"open": 0, "half": 0, "forced": 0, "closed": 0}
        for circuit in self.circuits.values():
            if circuit["to"] == name:
                circ[
                    {"O": "open", "H": "half", "F": "forced", "L": "forced"}.get(circuit["state"], "closed")
                ] += 1
        return {
            "n": name,
            "up": count["UP"],
            "late": count["LATE"],
            "start": count["STARTING"],
            "oos": count["OUT_OF_SERVICE"],
            "down": count["DOWN"],
            "unk": count["UNKNOWN"],
            "total": len(rows),
            "zones": zones,
            "over": sum(row["override"] is not None for row in rows),
            "ver": versions,
            "renewS": service["renewS"],
            "ttlS": service["ttlS"],
            "circ": circ,
        }

    def services_event(self):
        return {"full": True, "rows": [self.service_row(name) for name in self.services], "gone": []}

    def circuits_event(self):
        keys = ("k", "id", "from", "to", "cmd", "hosts", "limit", "timeoutMs", "since", "probeAt", "forced")
        rows = [{key: row[key] for key in keys} for row in self.circuits.values()]
        return {"full": True, "rows": rows, "gone": []}

    def tick(self):
        want = sum(len(service["rows"]) for service in self.services.values()) * 2
        beats = round(want * 0.998) if self.beats is None else self.beats
        return {
            "now": self.now,
            "beats": {"min": beats, "want": want, "limit": 0.85},
            "s": [self._service_tick(service) for service in self.services.values()],
            "c": [self._circuit_tick(row) for row in self.circuits.values()],
            "nodes": self.nodes,
        }

    def _service_tick(self, service):
        rows = service["rows"].values()
        oldest = max((row["age"] for row in rows), default=0)
        return [round(oldest, 1), round(sum(row["rate"] for row in rows), 1)]

    def _circuit_tick(self, row):
        calls, err = row["rate"] * 10, row["err"]
        refused = calls * 0.75 if row["state"] in "OF" else 0
        tried = calls - refused
        if row["state"] == "F":
            tried, refused, err = 0, calls, None
        failed = tried * (err or 0) / 100
        counts = [tried - failed, failed * 0.6, refused, failed * 0.4, 0, tried * 0.01]
        base = 20 + row["k"] % 40 + (400 if row["state"] == "O" else 0)
        hosts = row["hosts"] if row["state"] in "CM" else max(1, row["hosts"] * 2 // 3)
        latency = None if tried == 0 else [base, round(base * 2.1), round(base * 3.7), round(base * 4.4)]
        return [
            row["k"],
            row["state"],
            hosts,
            round(row["rate"], 1),
            None if err is None else round(err, 1),
            [round(count) for count in counts],
            latency,
            row["k"] % 5,
        ]

    def circuit(self, text):
        return next((row for row in self.circuits.values() if row["id"] == text), None)

    # What happens

    def step(self):
        """One second passes; returns the changes it brought."""
        self.now += 1000
        before = len(self.changes)
        r = self.random
        for service in self.services.values():
            for row in service["rows"].values():
                row["age"] += 1
                if not row["late"] and row["age"] > service["renewS"]:
                    row["age"] = r.random()
                elif row["late"]:
                    row["age"] = min(row["age"], 84)
        for row in self.circuits.values():
            row["rate"] = max(0.2, row["rate"] * r.uniform(0.96, 1.04))
            if row["err"] is not None:
                row["err"] = min(99.0, max(0.0, row["err"] + r.uniform(-0.4, 0.4)))
        if self.services and r.random() < 0.2:
            self._happening(self.now)
        return self.changes[: len(self.changes) - before]

    def act(self, kind, body):
        """Do what a person asked for; returns the `action` event (with its changes already made)."""
        what = {"out-of-service": "override_set", "override": "override_set", "back": "override_removed"}.get(
            kind, kind
        )
        for sub in body["subjects"]:
            name, _, one = sub.partition("/")
            row = self.services.get(name, {"rows": {}})["rows"].get(one)
            if row is None:
                continue
            if kind in ("out-of-service", "override"):
                seconds = body.get("for")
                row["override"] = {
                    "status": body.get("status", "OUT_OF_SERVICE"),
                    "by": "operator",
                    "why": body.get("reason", ""),
                    "at": self.now,
                    "until": self.now + seconds * 1000 if seconds else None,
                }
                row["rate"] = 0.0
            elif kind == "back":
                row["override"] = None
                row["rate"] = 6.0
            elif kind == "deregister":
                del self.services[name]["rows"][one]
            self.happen(what, sub, body.get("reason") or "", "operator")
        self.seq += 1
        return {
            "id": f"a-{self.seq}",
            "ok": True,
            "what": what,
            "sub": body["subjects"],
            "by": "operator",
            "applied": ["node-1", "node-2", "node-3"],
            "waiting": [],
        }
