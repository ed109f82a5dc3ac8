"""Serves a ``fake_estate.Estate`` as the registry's web UI would, with the files of the source tree.

``python tests/dashboard/fake_server.py --port 8790`` serves it for looking at the pages (``--large``: 2,000
instances, 500 circuits; ``--empty``; ``--still``: nothing moves).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import mimetypes
import re
from functools import cache
from pathlib import Path

from aiohttp import web
from fake_estate import BEGAN, Estate

from dashboard.files import Files

STATIC = Path(__file__).parents[2] / "dashboard" / "static"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)


#: The bundle, if there is one of these sources.
bundle = cache(Files)


class FakeServer:
    """The web UI on a free port of 127.0.0.1. ``quiet`` sends no ticks by itself: call ``tick``.

    Its pages are the bundle's, if there is one of these sources and unless not ``built``; the sources
    themselves are below ``@dev/`` at any rate, read anew for each request.
    """

    def __init__(self, estate=None, *, interval=1.0, quiet=False, port=0, host="127.0.0.1", built=True):
        self.built = built and bundle().built
        self.estate = estate if estate is not None else Estate()
        self.interval = interval
        self.quiet = quiet
        self.port = port
        self.host = host
        self.acted = []
        self.requests = []
        self.openapi = {"openapi": "3.1.0", "info": {"title": "Resilient", "version": "0"}, "paths": {}}
        self._queues = {}
        self._runner = None
        self._task = None

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.stop()

    def url(self, path=""):
        return f"http://{self.host}:{self.port}/ui/{path}"

    async def start(self):
        app = web.Application()
        get = app.router.add_get
        get("/ui/stream", self._stream)
        get("/ui/data/services/{name}", self._service)
        get("/ui/data/circuits/history", self._history)
        get("/ui/data/circuits/rates", self._asked("called", "-"))
        get("/ui/data/circuits/{id}/instances", self._circuit_instances)
        get("/ui/data/circuits/{id}", self._circuit)
        get("/ui/data/topology", self._json(lambda: self.estate.topology()))
        get("/ui/data/nodes", self._json(lambda: self.estate.nodes_detail()))
        get("/ui/data/nodes/difference", self._asked("difference", "peer"))
        get("/ui/data/find", self._asked("found", "q"))
        get("/ui/data/having", self._asked("having", "meta"))
        get("/ui/data/changes", self._changes)
        get("/resilient/v1/openapi.json", self._json(lambda: self.openapi))
        app.router.add_post("/ui/act/{kind}", self._act)
        get("/ui/@{hash}/{name:.+}", self._file)
        get("/ui/{view:.*}", self._page)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]
        if not self.quiet:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self):
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for queue in self._queues:
            queue.put_nowait(None)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # Live

    def send(self, event, data, topic=None):
        """To all who look (at this topic)."""
        for queue, topics in self._queues.items():
            if topic is None or topic in topics:
                queue.put_nowait((event, data))

    def tick(self):
        """One second passes, and all are told."""
        if not self.estate.still:
            for change in self.estate.step():
                self.send("change", change, "changes")
        tick = self.estate.tick()
        self.send("tick", tick)
        for topic in {
            topic for topics in self._queues.values() for topic in topics if topic.startswith("beats:")
        }:
            service = self.estate.services.get(topic[6:])
            if service is not None:
                beats = [[one, round(row["age"], 1)] for one, row in service["rows"].items()]
                self.send(topic, {"i": beats}, topic)

    def notice(self, key, level="warn", on=True, **data):
        """A condition begins or ends."""
        event = {"id": key, "level": level, "on": on, "at": self.estate.now, "data": data}
        if on:
            self.estate.notices[key] = event
        else:
            self.estate.notices.pop(key, None)
        self.send("notice", event)

    def changed(self, *names, gone=()):
        """The rows of these services are different now."""
        rows = [self.estate.service_row(name) for name in names if name in self.estate.services]
        self.send("services", {"full": False, "rows": rows, "gone": list(gone)})

    def state(self, key, to):
        """A circuit turns."""
        row = self.estate.circuits[key]
        before, row["state"], row["since"] = row["state"], to, self.estate.now
        row["err"] = {"O": 64.0, "C": 0.4, "H": 9.0, "F": None}.get(to, row["err"])
        why = {"rule": "error_rate", "value": 63.9, "limit": 50, "calls": 1220}
        event = {
            "k": key,
            "at": self.estate.now,
            "from": before,
            "to": to,
            "hosts": {to: row["hosts"]},
            "why": why,
        }
        self.send("state", event, "circuits")
        kind = {"O": "circuit_opened", "C": "circuit_closed", "H": "circuit_half_opened"}.get(
            to, "circuit_forced"
        )
        self.send(
            "change",
            self.estate.happen(kind, row["id"], "64% errors over 1,180 calls", row["from"]),
            "changes",
        )

    async def _run(self):
        while True:
            await asyncio.sleep(self.interval)
            self.tick()

    def _roles(self, request):
        token = request.headers.get("Authorization") == "Bearer secret"
        return ["reader", "operator"] if token else self.estate.roles

    def _first(self, request):
        estate = self.estate
        yield "hello", {**estate.hello(), "roles": self._roles(request)}
        yield "services", estate.services_event()
        yield "circuits", estate.circuits_event()
        for notice in estate.notices.values():
            yield "notice", notice
        yield "tick", estate.tick()

    async def _stream(self, request):
        self.requests.append(request.path_qs)
        queue = asyncio.Queue()
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        await response.write(b"retry: 2000\n\n")
        for event in self._first(request):
            queue.put_nowait(event)
        self._queues[queue] = set(request.query.get("topics", "").split(","))
        try:
            while (item := await queue.get()) is not None:
                event, data = item
                self.estate.seq += 1
                text = f"id: fake-{self.estate.seq}\nevent: {event}\ndata: {json.dumps(data)}\n\n"
                await response.write(text.encode())
        except ConnectionError:
            pass
        finally:
            del self._queues[queue]
        return response

    # On request

    @staticmethod
    def _json(answer):
        async def handler(_):
            return web.json_response(answer())

        return handler

    def _asked(self, what, key):
        async def handler(request):
            return web.json_response(getattr(self.estate, what)(*request.query.getall(key, [])))

        return handler

    async def _service(self, request):
        name = request.match_info["name"]
        if name not in self.estate.services:
            return _refused(404, "not_found", f"No service {name}")
        return web.json_response(self.estate.service_detail(name))

    async def _changes(self, request):
        query = request.query
        rows = self.estate.changes
        if query.get("kind"):
            rows = [row for row in rows if row["kind"] in query["kind"].split(",")]
        if query.get("q"):
            rows = [
                row for row in rows if query["q"].lower() in f"{row['sub']} {row['text']} {row['by']}".lower()
            ]
        if query.get("before"):
            rows = rows[next((i for i, row in enumerate(rows) if row["id"] == query["before"]), -1) + 1 :]
        return web.json_response(
            {"now": self.estate.now, "rows": rows[:200], "more": len(rows) > 200, "kept": len(rows)}
        )

    async def _history(self, request):
        answer = {}
        n = int(request.query.get("n", 120))
        for key in map(int, filter(None, request.query.get("k", "").split(","))):
            row = self.estate.circuits.get(key)
            if row is not None:
                rate = [round(row["rate"] * (1 + 0.1 * math.sin(i / 7 + key)), 1) for i in range(n)]
                bad = (row["err"] or 0) / 100
                turned = n * 2 // 3 if row["state"] in "OF" else n
                fail = [round(v * (bad * 0.4 if i >= turned else bad / 8), 2) for i, v in enumerate(rate)]
                refused = [round(v * (0.5 if i >= turned else 0), 2) for i, v in enumerate(rate)]
                answer[str(key)] = {"rate": rate, "fail": fail, "refused": refused}
        return web.json_response(answer)

    async def _circuit(self, request):
        row = self.estate.circuit(request.match_info["id"])
        if row is None:
            return _refused(404, "not_found", "No such circuit")
        n = min(900, int(request.query.get("range", 900)))
        at = [self.estate.now - (n - i) * 1000 for i in range(n)]
        rate = [round(row["rate"] * (1 + 0.1 * math.sin(i / 20)), 1) for i in range(n)]
        bad = (row["err"] or 0) / 100
        series = {
            "at": at,
            "success": [round(v * (1 - bad), 1) for v in rate],
            "failure": [round(v * bad, 1) for v in rate],
            "refused": [0.0] * n,
            "timeout": [0.0] * n,
            "rejected": [0.0] * n,
            "ignored": [0.0] * n,
            "p50": [20.0] * n,
            "p90": [44.0] * n,
            "p99": [90.0] * n,
        }
        others = row["hosts"] // 3
        hosts = (
            {row["state"]: row["hosts"] - others, "C": others} if row["state"] != "C" else {"C": row["hosts"]}
        )
        return web.json_response(
            {
                "row": {key: row[key] for key in row if key not in ("rate", "err")},
                "series": series,
                "hosts": hosts,
                "rules": [
                    {"rule": "error_rate", "value": row["err"], "limit": 50, "met": (row["err"] or 0) > 50},
                    {"rule": "calls", "value": round(row["rate"] * 10), "limit": 20, "met": True},
                ],
                "settings": [
                    {"name": "failure_rate", "value": "50%", "source": "default"},
                    {"name": "timeout", "value": "0.8 s", "source": "environment"},
                ],
                "failures": [
                    {
                        "kind": "ConnectionRefused",
                        "n": 71,
                        "text": "[Errno 111] refused",
                        "at": self.estate.now,
                    }
                ],
            }
        )

    async def _circuit_instances(self, request):
        row = self.estate.circuit(request.match_info["id"])
        if row is None:
            return _refused(404, "not_found", "No such circuit")
        rows = list(self.estate.services[row["to"]]["rows"].values())
        return web.json_response(
            [
                {
                    "id": one["id"],
                    "zone": one["zone"],
                    "bal": "ejected" if i == 0 and row["state"] == "O" else "in",
                    "backAt": self.estate.now + 12_000 if i == 0 else None,
                    "ok": 31.4 if i == 0 else 99.2,
                    "ewma": 736 if i == 0 else 40,
                    "fly": i % 3,
                    "run": 9 if i == 0 else 0,
                    "share": round(1 / len(rows), 3),
                }
                for i, one in enumerate(rows)
            ]
        )

    async def _act(self, request):
        body = await request.json()
        if request.headers.get("Resilient-Action") != "1" or not str(body.get("reason") or "").strip():
            return _refused(400, "refused", "a header or the reason is missing")
        kind = request.match_info["kind"]
        if "operator" not in self._roles(request):
            return _refused(401, "forbidden", "Needs the operator role")
        self.acted.append((kind, body))
        event = self.estate.act(kind, body)
        asyncio.get_running_loop().call_later(0.1, self._acted, event, body)
        return web.json_response({"id": event["id"]}, status=202)

    def _acted(self, event, body):
        self.changed(*{sub.partition("/")[0] for sub in body["subjects"]})
        for change in self.estate.changes[: len(body["subjects"])]:
            self.send("change", change, "changes")
        self.send("action", event)

    # Page and files

    async def _page(self, request):
        view = request.match_info["view"]
        up = "../" * view.count("/")
        text = (STATIC / "index.html").read_text()
        estate, tick = self.estate, self.estate.tick()
        boot = {"v": 1, "hello": estate.hello(), "beats": tick["beats"], "peers": {}}
        boot["notices"] = list(estate.notices.values())
        if view == "":
            boot["services"] = {**estate.services_event(), "s": tick["s"]}
        elif view in ("circuits", "topology"):
            boot["circuits"], boot["c"] = estate.circuits_event(), tick["c"]
        headers = {"Content-Security-Policy": CSP, "Cache-Control": "no-cache"}
        boot = json.dumps(boot).replace("<", "\\u003c")
        if self.built:
            first, _, rest = view.partition("/")
            shown = {"": "services", "services": "service", "circuits": "circuit"}.get(first, first)
            page = bundle().page(view.count("/"), boot.encode(), shown if rest or not first else first)
            return web.Response(body=page, content_type="text/html", charset="utf-8", headers=headers)
        text = text.replace("@version/", f"{up}@dev/").replace("<!-- modules -->\n", "")
        text = re.sub(r"<!-- boot -->", lambda _: boot, text)
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def _file(self, request):
        if request.match_info["hash"] == bundle().version:
            one = bundle()[request.match_info["name"]]
            return web.Response(body=one.plain, headers={"Content-Type": one.type})
        path = (STATIC / request.match_info["name"]).resolve()
        if not path.is_relative_to(STATIC) or not path.is_file():
            raise web.HTTPNotFound
        kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0]
        return web.Response(
            body=path.read_bytes(), content_type=kind or "text/plain", headers={"Cache-Control": "no-cache"}
        )


def _refused(status, code, message):
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


async def main():
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=8790)
    options.add_argument("--large", action="store_true")
    options.add_argument("--empty", action="store_true")
    options.add_argument("--still", action="store_true")
    options.add_argument("--seconds", type=float, default=3600)
    asked = options.parse_args()
    size = {"services": 48, "circuits": 500, "instances": 2000} if asked.large else {}
    estate = Estate(now=BEGAN, **({"services": 0, "circuits": 0} if asked.empty else size))
    estate.still = asked.still
    async with FakeServer(estate, port=asked.port, built=False) as server:
        print(server.url(), flush=True)
        await asyncio.sleep(asked.seconds)


if __name__ == "__main__":
    asyncio.run(main())
