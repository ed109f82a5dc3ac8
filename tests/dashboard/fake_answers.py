"""What the made-up estate answers to single requests of the web UI."""

from __future__ import annotations


class Answers:
    """The part of ``fake_estate.Estate`` that is asked for once, not streamed."""

    def service_detail(self, name):
        service = self.services[name]
        rows = [self._instance(service, row) for row in service["rows"].values()]
        edges = self.edges()
        return {
            "now": self.now,
            "n": name,
            "row": self.service_row(name),
            "instances": rows,
            "callers": [edge for edge in edges if edge[1] == name],
            "calls": [edge for edge in edges if edge[0] == name],
            "changes": [change for change in self.changes if change["sub"].split("/")[0] == name][:50],
        }

    def _instance(self, service, row):
        override = row["override"]
        status = self.status(row)
        return {
            "id": row["id"],
            "url": f"http://{row['addr']}",
            "status": "UP" if status == "LATE" else status,
            "own": row["own"],
            "over": override["status"] if override else None,
            "override": override
            and override["by"]
            and {
                "by": override["by"],
                "reason": override["why"],
                "at": override["at"],
                "until": override["until"],
            },
            "kind": {"UP": "up", "LATE": "late", "STARTING": "starting", "DOWN": "down"}.get(status, "out"),
            "late": row["late"],
            "zone": row["zone"],
            "version": row["ver"],
            "beatAt": round(self.now - row["age"] * 1000),
            "ageS": round(row["age"], 1),
            "ttlS": service["ttlS"],
            "renewS": service["renewS"],
            "since": self.now - row["up"] * 1000,
            "meta": {**row["meta"], "version": row["ver"]},
            "links": {"home": f"http://{row['addr']}/", "health": f"http://{row['addr']}/healthz"},
            "confirmed": True,
        }

    def edges(self):
        edges = {}
        for row in self.circuits.values():
            edge = edges.setdefault(
                (row["from"], row["to"]), [row["from"], row["to"], 0.0, "C", 0, 0, row["err"]]
            )
            edge[2] = round(edge[2] + row["rate"], 1)
            edge[5] += 1
            edge[3] = min(edge[3], row["state"], key="FOLHMDC".index)
            edge[4] = max(edge[4], row["hosts"])
        return list(edges.values())

    def topology(self):
        nodes = [[name, len(service["rows"])] for name, service in self.services.items()]
        return {"now": self.now, "nodes": nodes, "edges": self.edges()}

    def nodes_detail(self):
        total = sum(len(service["rows"]) for service in self.services.values())
        peers = [
            {
                "url": name,
                "well": state == "ok",
                "queue": backlog,
                "lag": lag,
                "skew": 0.1,
                "version": "0.1.0",
                "uptime_seconds": 812_000,
                "instances": total,
                "lags": [round(lag * i / 40, 1) for i in range(40)],
                "last_batch_at": self.now / 1000 - lag,
                "problem": "" if state == "ok" else "connection refused",
                "position": 88120 - backlog,
            }
            for name, state, lag, backlog in self.nodes
        ]
        node = {
            "name": "node-1",
            "id": "k3f9",
            "zone": "eu-1a",
            "ready": True,
            "mode": "normal",
            "reason": "",
            "counts": {"services": len(self.services), "instances": total, "late": 5},
            "uptime_seconds": 812_000,
            "position": 88120,
            "heartbeats_per_minute": self.tick()["beats"]["min"],
            "version": "0.1.0",
            "warnings": [],
            "snapshot": {"written_at": self.now / 1000 - 12, "problem": ""},
            "unconfirmed": 0,
            "protection": {"enabled": True, "suspicious": False},
            "beats_limit": 0.85,
            "stalls": None,
        }
        notices = list(self.notices.values())
        return {
            "now": self.now,
            "node": "node-1",
            "self": node,
            "peers": peers,
            "beats": self.tick()["beats"],
            "notices": notices,
        }

    def difference(self, peer):
        """As ``GET /ui/data/nodes/difference``."""
        name, state, lag, _ = next(one for one in self.nodes if one[0] == peer)
        service = next(iter(self.services))
        ids = list(self.services[service]["rows"])[:3] if state != "ok" else []
        rows = [{"what": "here", "service": service, "instance": id, "here": "UP"} for id in ids[:1]] + [
            {"what": "status", "service": service, "instance": id, "here": "DOWN", "there": "UP"}
            for id in ids[1:]
        ]
        return {
            "now": self.now,
            "peer": name,
            "asked": state == "ok",
            "since": None if state == "ok" else round(self.now - 1000 * lag),
            "complete": True,
            "problem": "",
            "counts": {"here": len(ids[:1]), "there": 0, "status": len(ids[1:])},
            "rows": rows,
        }

    def found(self, text):
        """As ``GET /ui/data/find``."""
        rows = [
            {"service": name, "id": one["id"], "url": self._instance(service, one)["url"], "kind": "up"}
            for name, service in self.services.items()
            for one in service["rows"].values()
        ]
        rows = [row for row in rows if all(word in f"{row['id']} {row['url']}" for word in text.split())]
        return {"rows": rows[:20], "more": len(rows) > 20}

    def having(self, *questions):
        """As ``GET /ui/data/having``."""
        found = {}
        for question in questions:
            key, _, value = question.partition(":")
            found[question] = [
                name
                for name, service in self.services.items()
                if any(value in one["meta"].get(key, "") for one in service["rows"].values())
            ]
        return {"services": found}

    def called(self):
        """As ``GET /ui/data/circuits/rates``."""
        found = {}
        for row in self.circuits.values():
            found[row["to"]] = found.get(row["to"], 0.0) + row["rate"]
        return {name: [round(rate, 1)] * 120 for name, rate in found.items()}
