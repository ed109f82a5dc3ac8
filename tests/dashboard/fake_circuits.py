"""A made-up estate whose callers stand in layers, and circuits told of as a registry does.

``python tests/dashboard/fake_circuits.py --port 8791`` serves it, for looking at the circuit pages.
"""

from __future__ import annotations

import argparse
import asyncio
import math

from aiohttp import web
from fake_estate import NAMES, VERBS, Estate
from fake_server import FakeServer

LAYERS = 5
WORDS = {
    "C": "closed",
    "O": "open",
    "H": "half-open",
    "F": "forced-open",
    "L": "forced-closed",
    "M": "measuring",
}
SETTINGS = [
    ("error_rate", "0.5", "default"),
    ("min_calls", "20", "orders.toml [circuit]"),
    ("window", "10", "default"),
    ("slices", "10", "default"),
    ("reset_timeout", "5", "default"),
    ("trials", "1", "default"),
    ("success_threshold", "3", "code"),
    ("timeout", "0.8", "run time"),
    ("max_concurrent", "40", "RESILIENT_CIRCUIT_AUTHORISE_MAX_CONCURRENT"),
    ("slow_duration", "none", "default"),
    ("observe", "off", "default"),
]


class Layered(Estate):
    """Callers stand left of whom they call. Circuits 1 to 9 are in trouble, the others calm."""

    def __init__(self, **options):
        self.pairs = []
        super().__init__(**options)

    def layer(self, name):
        return NAMES.index(name) * LAYERS // max(1, len(self.services))

    def _pairs(self, names):
        """Who calls whom: two or three of the next layer, now and then one further on."""
        if not self.pairs:
            for i, caller in enumerate(names):
                for ahead in (1, 1, 1 + (i % 3 == 0) * (i % 2 + 1)):
                    below = [one for one in names if self.layer(one) == self.layer(caller) + ahead]
                    if (
                        below
                        and (caller, one := below[(i * 7 + len(self.pairs) * 3) % len(below)])
                        not in self.pairs
                    ):
                        self.pairs.append((caller, one))
        return self.pairs

    def _circuit(self, key, names):
        super()._circuit(key, names)
        r, row = self.random, self.circuits[key]
        taken = {one["id"] for one in self.circuits.values()}
        for _ in range(200):
            caller, target = r.choice(self._pairs(names))
            verb = r.choice(VERBS)
            if f"{caller}/{target}:{verb}" not in taken:
                break
        state = {1: "O", 2: "O", 3: "O", 4: "H", 5: "H", 6: "F", 7: "L"}.get(key, "C")
        err = {1: 100.0, 2: 61.9, 3: 56.4, 4: 21.5, 5: 12.4, 6: None, 7: 8.6, 8: 7.1, 9: 4.1}.get(
            key, r.random() ** 4 * 3
        )
        row.update(
            {"from": caller, "to": target, "cmd": verb, "id": f"{caller}/{target}:{verb}", "state": state,
            "err": err},
            hosts=len(self.services[caller]["rows"]), rate=math.exp(r.uniform(0, 5.5)),
              since=self.now - key * 21_000,
            probeAt=self.now + 3_000 if state == "O" else None, forced=None,
        )  # fmt: skip
        if state in "FL":
            row["forced"] = {
                "by": "operator",
                "reason": "acquirer maintenance",
                "until": self.now + 2_400_000,
            }

    def step(self):
        errors = {key: row["err"] for key, row in self.circuits.items()}
        changes = super().step()
        for key, row in self.circuits.items():
            # Wobble, but stay what it is.
            row["err"] = (
                None
                if errors[key] is None
                else min(100.0, max(0.0, errors[key] * self.random.uniform(0.99, 1.01)))
            )
        return changes

    def circuits_event(self):
        event = super().circuits_event()
        for row in event["rows"]:
            row.update(windowMs=10_000, threshold=50, minCalls=20, silent=[], merged=True, lastError="")
            if self.circuits[row["k"]]["state"] in "OH":
                row["lastError"] = "TimeoutError: no answer within 800 ms <b>not markup</b>"
        return event

    def detail(self, row, seconds=900):
        """As ``GET /ui/data/circuits/{id}`` of the registry."""
        r = self.random.__class__(row["k"])
        tick = self._circuit_tick(row)
        on, hosts, bad = tick[2], row["hosts"], (row["err"] or 0) / 100
        troubled = row["state"] in "OHF"
        rate = [
            round(row["rate"] * (1 + 0.08 * math.sin(i / 40) + 0.05 * r.uniform(-1, 1)), 2)
            for i in range(seconds)
        ]

        def share(i, now, before):
            age = seconds - i
            return now if troubled and age < 42 else before if troubled and 590 < age < 640 else 0.0

        fail = [round(v * (share(i, bad * 0.4, 0.5) or 0.006), 2) for i, v in enumerate(rate)]
        refused = [round(v * share(i, 0.7, 0.4), 2) for i, v in enumerate(rate)]
        slow = seconds // 5
        factor = [4.0 if share(i * 5, 1, 1) else 1.0 for i in range(slow)]
        base = tick[6][0] / (4 if row["state"] == "O" else 1) if tick[6] else None
        quantile = [
            [None if base is None else round(base * f * k * r.uniform(0.96, 1.04), 1) for f in factor]
            for k in (1, 2.1, 3.7)
        ]
        states = [[hosts - on, 0, on, 0] if share(i * 5, 1, 1) else [hosts, 0, 0, 0] for i in range(slow)]
        said = {
            key: row[key]
            for key in (
                "k",
                "id",
                "from",
                "to",
                "cmd",
                "hosts",
                "limit",
                "timeoutMs",
                "since",
                "probeAt",
                "forced",
            )
        }
        why = (
            {"rule": "error_rate", "value": 63.9, "limit": 50.0, "calls": 1220, "text": "TimeoutError"}
            if troubled
            else None
        )
        calls = sum(tick[5])
        return {
            "now": self.now, **said, "of": hosts, "silent": [], "states": {row["state"]: on,
            "C": hosts - on} if on < hosts else {row["state"]: on},
            "windowMs": 10_000, "threshold": 50.0, "minCalls": 20, "merged": True, "foreign": False,
            "lastError": "", "state": row["state"], "inState": on, "rate": tick[3], "errorPercent": tick[4],
            "counts": tick[5], "latencyMs": tick[6], "inFlight": tick[7],
            "series": {
                "step": 1, "slowStep": 5, "rate": rate, "fail": fail, "refused": refused,
                "timeout": [round(v * 0.6, 2) for v in fail], "p50": quantile[0], "p90": quantile[1],
                "p99": quantile[2], "states": states,
            },
            "rules": [
                {"rule": "min_calls", "value": calls, "limit": 20, "met": calls >= 20, "unit": "calls"},
                {"rule": "error_rate", "value": row["err"] and round(row["err"], 1), "limit": 50.0,
                "met": (row["err"] or 0) >= 50, "unit": "%"},
            ],
            "why": why,
            "turns": [{"at": row["since"], "from": "closed", "to": WORDS[row["state"]], "why": why,
            "by": "", "reason": ""},
                      {"at": row["since"] - 480_000, "from": "open", "to": "closed", "why": None, "by": "",
                      "reason": ""}],
            "failures": [
                {"kind": "timeout", "n": 671, "last": "timed out after 0.8 s", "at": self.now - 400},
                {"kind": "ClientConnectorError", "n": 341,
                 "last": "Cannot connect <script>alert(1)</script>", "at": self.now - 900},
                {"kind": "rejected", "n": 25, "last": "", "at": None},
            ] if troubled else [],
            "hostsBy": [
                {"process": f"{row['from']}-{i}#w1", "instance": f"{row['from']}-{i}", "worker": "w1",
                "state": row["state"] if i < on else "C",
                 "sinceS": 42.0, "silent": False, "heardAt": self.now, "rate": round(row["rate"] / hosts, 2),
                 "errorPercent": row["err"] and round(row["err"], 1), "refused": 12 if i < on else 0,
                 "inFlight": i % 3, "mode": "auto", "command": "", "lastError": ""}
                for i in range(hosts)
            ],
            "settings": [{"name": n, "value": v, "source": s} for n, v, s in SETTINGS],
            "trials": {"out": 1 if row["state"] == "H" else 0, "limit": 1},
            "fallbacks": {"success": 84 if troubled else 0, "failure": 0, "rejected": 0}, "changes": [],
        }  # fmt: skip

    def balanced(self, row):
        """As ``GET /ui/data/circuits/{id}/instances``: what two calling processes make of each instance."""
        rows = list(self.services[row["to"]]["rows"].values())[:14]
        odd = (
            {0: "ejected", 1: "ejected", 2: "probation", 3: "draining", 4: "warming"}
            if row["state"] != "C"
            else {}
        )
        return [
            {"id": one["id"], "by": f"{row['from']}-{caller}", "zone": one["zone"], "bal": odd.get(i,
            "healthy"), "status": "UP",
             "why": "5 failures in a row" if i < 2 and odd else "",
             "backAt": self.now + 9_000 + i * 13_000 if odd.get(i) == "ejected" else None,
             "ok": [0.0, 31.4, 71.2, None, 93.1][i] if i in odd else 98.4 + i % 3 / 2,
             "ewma": None if odd.get(i) == "draining" else 612 + i * 31 if i < 2 and odd else 38 + i,
             "fly": 0 if i < 2 and odd else i % 4, "run": [41, 9, 1, 0, 0][i] if i in odd else 0,
             "share": 0 if i < 2 and odd else 0.1, "weight": 1, "picks": 100}
            for caller in range(2) for i, one in enumerate(rows)
        ]  # fmt: skip

    def act(self, kind, body):
        if kind != "circuit":
            return super().act(kind, body)
        hold = {"open": "F", "close": "L"}
        for id in body["subjects"]:
            row = self.circuit(id)
            row["state"] = hold.get(body["action"], "C")
            row["since"] = self.now
            row["err"] = None if row["state"] == "F" else 0.3
            seconds = body.get("for")
            until = self.now + seconds * 1000 if seconds else None
            row["forced"] = (
                {"by": "operator", "reason": body["reason"], "until": until} if row["state"] in "FL" else None
            )
            self.happen("circuit_forced", id, body["reason"], "operator")
        self.seq += 1
        return {
            "id": f"a-{self.seq}",
            "ok": True,
            "what": "circuit",
            "sub": body["subjects"],
            "by": "operator",
            "applied": ["node-1"],
            "waiting": [],
        }


class CircuitServer(FakeServer):
    """Serves a ``Layered`` estate."""

    async def _circuit(self, request):
        row = self.estate.circuit(request.match_info["id"])
        if row is None:
            return web.json_response({"message": "No such circuit"}, status=404)
        return web.json_response(self.estate.detail(row))

    async def _circuit_instances(self, request):
        row = self.estate.circuit(request.match_info["id"])
        if row is None:
            return web.json_response({"message": "No such circuit"}, status=404)
        return web.json_response(self.estate.balanced(row))

    def _acted(self, event, body):
        self.changed(*{sub.partition("/")[0] for sub in body["subjects"]})
        self.send("circuits", self.estate.circuits_event())
        self.send("tick", self.estate.tick())
        self.send("action", event)


async def main():
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=8791)
    options.add_argument("--circuits", type=int, default=500)
    options.add_argument("--services", type=int, default=48)
    options.add_argument("--still", action="store_true")
    options.add_argument("--seconds", type=float, default=3600)
    asked = options.parse_args()
    estate = Layered(services=asked.services, circuits=asked.circuits, instances=asked.services * 42)
    estate.still = asked.still
    async with CircuitServer(estate, port=asked.port, built=False) as server:
        print(server.url(), flush=True)
        await asyncio.sleep(asked.seconds)


if __name__ == "__main__":
    asyncio.run(main())
