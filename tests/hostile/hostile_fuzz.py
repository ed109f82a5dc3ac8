"""Requests that are nearly right: a valid one of every resource, then things done to it. Seeded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from xml.sax.saxutils import escape

import hostile_corpus as corpus
from hostile_kit import instance

PREFIXES = ["/eureka/", "/eureka/v2/", "/v2/", "/eureka/v1/", "/EUREKA/", "//eureka//", "/eureka"]
FORMATS = ["application/json", "application/xml", "*/*", "text/html"]
_RAW = "\x00raw\x00"


@dataclass
class Request:
    """A request before it becomes bytes. ``framed``: it says truly where it ends."""

    method: str
    target: str
    headers: list[str] = field(default_factory=list)
    body: bytes = b""
    first: str | None = None
    framed: bool = True
    chunks: bytes | None = None

    def wire(self) -> bytes:
        lines = [self.first if self.first is not None else f"{self.method} {self.target} HTTP/1.1"]
        names = {line.partition(":")[0].lower() for line in self.headers}
        if "host" not in names:
            lines.append("Host: localhost")
        lines += self.headers
        if self.chunks is not None:
            lines.append("Transfer-Encoding: chunked")
        elif self.body and self.framed:
            lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join(lines) + "\r\n\r\n"
        return head.encode("utf-8", "surrogatepass") + (self.chunks or self.body)


class Fuzz:
    """An endless source of requests. Only names with ``fuzz`` in them are ever meant."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self._bodies: dict[str, Callable[[], tuple[str, bytes]]] = {
            "registration": self._registration,
            "batch": self._batch,
            "push": self._push,
            "renewals": self._renewals,
            "action": self._action,
        }

    # -- valid ones

    def valid(self) -> Request:
        rng = self.rng
        app, id = f"FUZZ-{rng.randrange(20)}", f"fuzz-{rng.randrange(40)}"
        there = f"apps/{app}/{id}"
        stamp = f"lastDirtyTimestamp={rng.randrange(3000)}"
        method, path, body = rng.choice(
            [
                ("GET", "apps", ""),
                ("GET", "apps/delta", ""),
                ("GET", f"apps/{app}", ""),
                ("POST", f"apps/{app}", "registration"),
                ("POST", f"apps/{app}", "registration"),
                ("POST", f"apps/{app}", "registration"),
                ("GET", there, ""),
                ("PUT", f"{there}?status=UP&{stamp}", ""),
                ("PUT", there, ""),
                ("DELETE", there, ""),
                ("PUT", f"{there}/status?value=OUT_OF_SERVICE&{stamp}", ""),
                ("DELETE", f"{there}/status?value=UP", ""),
                ("PUT", f"{there}/metadata?a=b&c=d", ""),
                ("GET", f"instances/{id}", ""),
                ("GET", f"vips/{app.lower()}", ""),
                ("GET", f"svips/{app.lower()}", ""),
                ("POST", "peerreplication/batch/", "batch"),
                ("PUT", "asg/x/status?value=ENABLED", ""),
                ("GET", "status", ""),
                ("GET", "serverinfo/statusoverrides", ""),
                ("GET", "/resilient/v1/services", ""),
                ("GET", f"/resilient/v1/services/{app.lower()}", ""),
                ("GET", "/resilient/v1/changes", ""),
                ("GET", "/resilient/v1/node", ""),
                ("GET", "/resilient/v1/circuits", ""),
                ("POST", "/resilient/v1/circuits", "push"),
                ("GET", f"/resilient/v1/instances/{id}", ""),
                ("GET", "/resilient/v1/openapi.json", ""),
                ("POST", "/resilient/v1/renewals", "renewals"),
                ("GET", "/resilient/v1/actions", ""),
                ("POST", "/resilient/v1/actions", "action"),
                ("GET", f"/resilient/v1/feed?services={app.lower()}&instance={app.lower()}/{id}", ""),
                ("GET", "/health/live", ""),
                ("GET", "/health/ready", ""),
                ("GET", "/", ""),
                ("GET", "/ui", ""),
                ("GET", "/ui/", ""),
                ("GET", "/ui/circuits", ""),
                ("GET", "/ui/stream", ""),
                ("GET", "/ui/@1/app.js", ""),
            ]
        )
        if not path.startswith("/"):
            path = (rng.choice(PREFIXES[:3]) if rng.random() < 0.8 else PREFIXES[3]) + path
        request = Request(method, path, [f"Accept: {rng.choice(FORMATS)}"])
        if rng.random() < 0.2:
            request.headers.append("x-netflix-discovery-replication: true")
        if body:
            self._app, self._id = app, id
            kind, request.body = self._bodies[body]()
            request.headers.append(f"Content-Type: {kind}")
        return request

    def _tree(self) -> dict[str, Any]:
        rng = self.rng
        tree = instance(self._app, self._id, lastDirtyTimestamp=str(rng.randrange(3000)))
        tree["status"] = rng.choice(["UP", "DOWN", "STARTING", "OUT_OF_SERVICE"])
        return tree

    def _registration(self) -> tuple[str, bytes]:
        tree = self._tree()
        if self.rng.random() < 0.35:
            return "application/xml", self._spoilt_xml(tree)
        return "application/json", self._spoilt({"instance": tree}, tree)

    def _batch(self) -> tuple[str, bytes]:
        rng = self.rng
        items = []
        for _ in range(rng.randrange(1, 6)):
            item: dict[str, Any] = {
                "appName": self._app,
                "id": self._id,
                "lastDirtyTimestamp": rng.randrange(3000),
            }
            item["action"] = rng.choice(
                ["Register", "Heartbeat", "Cancel", "StatusUpdate", "DeleteStatusOverride"]
            )
            item["status"] = rng.choice(["UP", "DOWN", "UNKNOWN", None])
            item["overriddenStatus"] = rng.choice(["UP", None])
            if rng.random() < 0.6:
                item["instanceInfo"] = self._tree()
            items.append(item)
        part = rng.choice(items)
        return "application/json", self._spoilt(
            {"replicationList": items}, rng.choice([part, part.get("instanceInfo") or part])
        )

    def _push(self) -> tuple[str, bytes]:
        circuit: dict[str, Any] = {
            "name": f"fuzz-{self.rng.randrange(30)}",
            "group": "g",
            "state": "open",
            "counts": {"success": 3},
            "latency": {"mean": 0.1},
            "histogram": [[3, 1], [4, 2]],
            "calls": 3,
            "rate": 1.5,
            "window": 10,
        }
        push = {"service": "fuzz", "instance": self._id, "worker": "", "interval": 5, "circuits": [circuit]}
        return "application/json", self._spoilt(push, self.rng.choice([push, circuit]))

    def _renewals(self) -> tuple[str, bytes]:
        rng = self.rng
        rows = [f'["{self._app}","{self._id}",{rng.randrange(3000)}]', f'["{self._app}","{self._id}"]']
        if rng.random() < 0.5:
            value = rng.choice(corpus.VALUES)
            rows.append(rng.choice((value, f"[{value},{value}]", f'["{self._app}","{self._id}",{value}]')))
        return "application/json", f"[{','.join(rows)}]".encode("utf-8", "surrogatepass")

    def _action(self) -> tuple[str, bytes]:
        root = {"service": "fuzz", "circuit": "fuzz-1", "action": "open", "instance": self._id, "for": 5}
        return "application/json", self._spoilt(root, root)

    # -- what is done to bodies

    def _spoilt(self, root: dict[str, Any], part: dict[str, Any]) -> bytes:
        rng = self.rng
        if rng.random() < 0.4:
            return json.dumps(root).encode()
        raw = []
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            name = rng.choice([*part, "unknown", "@class", "instanceInfo", "overriddenstatus"])
            if rng.random() < 0.15:
                part.pop(name, None)
            else:
                part[name] = f"{_RAW}{len(raw)}{_RAW}"
                raw.append(rng.choice(corpus.VALUES))
        text = json.dumps(root)
        for number, value in enumerate(raw):
            mark = json.dumps(f"{_RAW}{number}{_RAW}")
            text = text.replace(mark, value)
        if rng.random() < 0.05:
            text = text.replace("{", '{"app":"FUZZ-1",', 2)
        return text.encode(rng.choice(("utf-8",) * 30 + ("utf-16", "utf-32", "utf-8-sig")), "surrogatepass")

    def _spoilt_xml(self, tree: dict[str, Any]) -> bytes:
        rng = self.rng
        inner = _xml(tree)
        if rng.random() < 0.6:
            at = rng.choice([n for n, c in enumerate(inner) if c == "<"])
            inner = inner[:at] + rng.choice(corpus.INSIDE) + inner[at:]
        text = f"<instance>{inner}</instance>"
        if rng.random() < 0.2:
            text = rng.choice(corpus.PROLOGUES) + text
        return text.encode(rng.choice(("utf-8",) * 20 + ("utf-16", "utf-8-sig")), "surrogatepass")

    # -- what is done to requests

    def next(self) -> tuple[Request, bytes]:
        """A request and its bytes."""
        rng = self.rng
        request = self.valid()
        for _ in range(rng.choice((0, 0, 0, 1, 1, 1, 1, 2, 3))):
            rng.choice(
                (self._target, self._target, self._query, self._header, self._header, self._body, self._other)
            )(request)
        wire = request.wire()
        if rng.random() < 0.06:
            request.framed = False
            wire = self._broken(wire)
        return request, wire

    def _target(self, request: Request) -> None:
        rng = self.rng
        path, _, query = request.target.partition("?")
        parts = path.split("/")
        at = rng.randrange(1, len(parts)) if len(parts) > 1 else 0
        match rng.randrange(6):
            case 0 | 1 | 2:
                parts[at] = rng.choice(corpus.SEGMENTS)
            case 3:
                parts.insert(at, rng.choice(corpus.SEGMENTS))
            case 4:
                del parts[at]
            case 5:
                parts[1:2] = [rng.choice(PREFIXES).strip("/")]
        path = "/".join(parts)
        request.target = ("/" + path if not path.startswith("/") else path) + (f"?{query}" if query else "")
        request.framed = request.framed and request.target.isascii() and "\\" not in path

    def _query(self, request: Request) -> None:
        request.target = request.target.partition("?")[0] + self.rng.choice(corpus.QUERIES)
        request.framed = request.framed and request.target.isascii()

    def _header(self, request: Request) -> None:
        line = self.rng.choice(corpus.HEADERS)
        if self.rng.random() < 0.5:
            name = line.partition(":")[0].lower()
            request.headers = [one for one in request.headers if one.partition(":")[0].lower() != name]
        request.headers.append(line)

    def _body(self, request: Request) -> None:
        rng = self.rng
        match rng.randrange(4):
            case 0:
                request.body = rng.choice(corpus.BODIES)
            case 1:
                coding, change = rng.choice(corpus.CODINGS)
                request.body = change(request.body or b"{}")
                request.headers.append(f"Content-Encoding: {coding}")
            case 2 if request.body:
                at = rng.randrange(len(request.body))
                request.body = (
                    request.body[:at]
                    + rng.choice((b"", b"\x00", b"\xff", b'"', b"<", b"{"))
                    + request.body[at + 1 :]
                )
            case _:
                request.chunks = _chunked(request.body, rng)

    def _other(self, request: Request) -> None:
        rng = self.rng
        match rng.randrange(5):
            case 0:
                request.method = rng.choice(corpus.METHODS)
                request.framed = request.framed and request.method.isupper()
            case 1:
                request.first, request.framed = rng.choice(corpus.LINES), False
            case 2:
                request.headers.append(rng.choice(corpus.FRAMING))
                request.framed = False
            case 3:
                request.chunks, request.framed = rng.choice(corpus.CHUNKS), False
            case 4:
                request.headers += [rng.choice(corpus.HEADERS) for _ in range(rng.randrange(12))]

    def _broken(self, wire: bytes) -> bytes:
        rng = self.rng
        at = rng.randrange(len(wire))
        match rng.randrange(5):
            case 0:
                return wire[:at]
            case 1:
                return wire[:at] + bytes([rng.randrange(256)]) + wire[at + 1 :]
            case 2:
                return wire[:at] + rng.randbytes(rng.randrange(1, 9)) + wire[at:]
            case 3:
                return wire + wire[:at]
            case _:
                return wire[:at] + wire[at + rng.randrange(1, 40) :]


def _chunked(body: bytes, rng: Random) -> bytes:
    out = b""
    while body:
        size = rng.randrange(1, max(2, len(body)))
        out += b"%x\r\n%b\r\n" % (size if size < len(body) else len(body), body[:size])
        body = body[size:]
    return out + b"0\r\n\r\n"


def _xml(tree: dict[str, Any]) -> str:
    out = ""
    for name, value in tree.items():
        if isinstance(value, dict) and "$" in value:
            out += f'<{name} enabled="{value["@enabled"]}">{value["$"]}</{name}>'
        elif isinstance(value, dict):
            inner = {key: one for key, one in value.items() if key != "@class"}
            kind = f' class="{value["@class"]}"' if "@class" in value else ""
            out += f"<{name}{kind}>{_xml(inner)}</{name}>"
        else:
            out += f"<{name}>{escape(str(value))}</{name}>"
    return out
