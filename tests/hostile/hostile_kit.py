"""A registry as a real process, and a caller that sends whatever bytes it likes."""

from __future__ import annotations

import gzip
import json
import os
import re
import select
import socket
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from process_kit import Process

#: What a registry may answer beside 2xx to 4xx: busy, or full.
SAID_SO = (503, 507)
KEEPERS = 8
_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\x20-\x7e]*")
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) [\x20-\x7e]*")


class Wrong(AssertionError):
    """The registry answered as it never may."""


@dataclass
class Reply:
    """One answer; status 0: the connection was closed without one."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def streams(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")


class Line:
    """A connection that is made anew whenever the other side has closed it."""

    def __init__(self, port: int, host: str = "127.0.0.1", timeout: float = 10.0) -> None:
        self.place = (host, port)
        self.timeout = timeout
        self._socket: socket.socket | None = None
        self._rest = b""

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._rest = None, b""

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(self.place, timeout=self.timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(data)

    def ask(self, data: bytes, *, head: bool = False) -> Reply:
        """Send a whole request; its answer. Once more on a new connection if the kept one was closed."""
        kept = self._socket is not None
        try:
            self.send(data)
            reply = self.read(head=head)
        except ConnectionError:
            reply = Reply(0)
        if not reply.status and kept:
            self.close()
            return self.ask(data, head=head)
        if head and reply.status >= 400:
            self.close()  # a body follows if nobody understood that it was a HEAD
        return reply

    def blurt(self, data: bytes, patience: float = 0.05) -> list[Reply]:
        """Send what may be no request at all on a connection of its own, and all that is answered.

        When nothing has come for ``patience`` seconds, the other side is told that nothing more will.
        """
        self.close()
        found, head = [], b"HEAD " in data
        try:
            self.send(data)
            assert self._socket is not None
            if select.select([self._socket], [], [], patience)[0]:
                # Whether a body follows an answer to HEAD depends on what was understood: see the head only.
                found.append(self.read(head=head))
            if self._socket is not None and not head:
                self._socket.shutdown(socket.SHUT_WR)
            while self._socket is not None and not head:
                found.append(self.read())
        except ConnectionError:
            pass
        finally:
            self.close()
        return [reply for reply in found if reply.status]

    def read(self, *, head: bool = False) -> Reply:
        """The next final answer. TimeoutError if none comes."""
        while True:
            raw = self._until(b"\r\n\r\n")
            if raw is None:
                self.close()
                return Reply(0)
            status, headers = _head(raw)
            if status >= 200:
                break
        reply = Reply(status, headers)
        if head or status in (204, 304) or reply.streams:
            pass
        elif headers.get("transfer-encoding") == "chunked":
            reply.body = self._chunks()
        else:
            reply.body = self._exactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close" or reply.streams:
            self.close()
        if headers.get("content-encoding") == "gzip" and reply.body:
            reply.body = gzip.decompress(reply.body)
        return reply

    def _more(self) -> bool:
        if self._socket is None:
            return False
        piece = self._socket.recv(65_536)
        self._rest += piece
        return bool(piece)

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._rest:
            if not self._more():
                if self._rest:
                    raise Wrong(f"an answer was cut: {self._rest[:200]!r}")
                return None
        found, _, self._rest = self._rest.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            if not self._more():
                raise ConnectionError("a body was cut")
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self._until(b"\r\n") or b"0", 16):
            parts.append(self._exactly(size))
            self._exactly(2)
        self._exactly(2)
        return b"".join(parts)


def _head(raw: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = raw.split(b"\r\n")
    match = _STATUS.fullmatch(first)
    if match is None:
        raise Wrong(f"not the first line of an answer: {first[:200]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        if _LINE.fullmatch(line) is None:
            raise Wrong(f"not a header line: {line[:200]!r}")
        name, _, value = line.decode("ascii").partition(": ")
        headers[name.lower()] = value
    return int(match[1]), headers


def request(
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    host: str = "localhost",
) -> bytes:
    """A well-formed request."""
    lines = {"Host": host, **(headers or {})}
    if body:
        lines.setdefault("Content-Type", "application/json")
        lines.setdefault("Content-Length", str(len(body)))
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
    return head.encode("latin-1") + body


def instance(app: str, id: str, **changes: Any) -> dict[str, Any]:
    """What a client registers; a None takes a member out."""
    tree: dict[str, Any] = {
        "instanceId": id,
        "hostName": "h1.example.net",
        "app": app,
        "ipAddr": "10.0.0.1",
        "status": "UP",
        "port": {"$": 8080, "@enabled": "true"},
        "securePort": {"$": 8443, "@enabled": "false"},
        "dataCenterInfo": {
            "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
            "name": "MyOwn",
        },
        "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 86_400},
        "metadata": {"zone": "a", "path": "/x"},
        "homePageUrl": "http://h1.example.net:8080/",
        "vipAddress": app.lower(),
        "secureVipAddress": app.lower(),
        "lastDirtyTimestamp": "1000",
    }
    tree.update(changes)
    return {key: value for key, value in tree.items() if value is not None}


def registration(tree: Mapping[str, Any]) -> bytes:
    return json.dumps({"instance": tree}).encode()


class HostileRegistry:
    """A registry process in which some well-behaved instances were registered before anything else."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self.process = Process(
            sys.executable, "-m", "resilient", "registry", "--port", "0", "--json", *arguments, **environ
        )
        line = self.process.line(lambda line: line.startswith('{"url"'))
        self.url: str = json.loads(line)["url"]
        self.port = int(self.url.split(":")[2].split("/")[0])
        self.line = Line(self.port)
        self.kept = {f"keeper-{n}": self._keep(n) for n in range(KEEPERS)}

    def close(self) -> None:
        self.line.close()
        self.process.__exit__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        target = target if target.startswith("/") else "/eureka/" + target
        return self.line.ask(request(method, target, headers, body), head=method == "HEAD")

    def get(self, target: str, accept: str = "application/json") -> Reply:
        return self.ask("GET", target, {"Accept": accept})

    def register(self, tree: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> int:
        return self.ask("POST", f"apps/{tree['app']}", headers, registration(tree)).status

    def _keep(self, n: int) -> Any:
        tree = instance(f"KEEPER-{n % 2}", f"keeper-{n}", metadata={"n": str(n), "<&>": "\u00e9\"'"})
        assert self.register(tree) == 204
        return self._one(f"KEEPER-{n % 2}", f"keeper-{n}")

    def _one(self, app: str, id: str) -> Any:
        reply = self.get(f"apps/{app}/{id}")
        if reply.status != 200:
            raise Wrong(f"{id} was lost: {reply.status}")
        return _steady(reply.json()["instance"])

    def rss(self) -> int:
        """Resident memory of the process in KiB."""
        with open(f"/proc/{self.process.popen.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.popen.pid}/fd"))

    def complaints(self) -> list[str]:
        """Lines of its log that speak of a failure of its own."""
        marks = ("Traceback", "error", "exception", "never retrieved")
        return [line for line in self.process.said if any(mark in line for mark in marks)]

    def glance(self) -> None:
        """It lives, complains of nothing, and knows one of those who were there before."""
        if self.process.popen.poll() is not None:
            raise Wrong(f"it ended: {''.join(self.process.said)}")
        if found := self.complaints():
            raise Wrong("it logged: " + found[0].replace("\\n", "\n")[-2500:])
        if self._one("KEEPER-0", "keeper-0") != self.kept["keeper-0"]:
            raise Wrong("somebody is not what he was")

    def check(self) -> None:
        """And it tells everybody who asks, in every way, of all of them as they were."""
        self.glance()
        for n, (id, known) in enumerate(self.kept.items()):
            if self._one(f"KEEPER-{n % 2}", id) != known:
                raise Wrong(f"{id} is not what it was")
        for target in ("apps", "vips/keeper-0", "svips/keeper-0", "apps/KEEPER-0"):
            wanted = {id for n, id in enumerate(self.kept) if target == "apps" or not n % 2}
            listed = {one["instanceId"]: one for one in self._listed(target)}
            if not wanted <= set(listed):
                raise Wrong(f"{target} lacks {wanted - set(listed)}")
            root = ET.fromstring(self.get(target, "application/xml").body)
            if {one.text for one in root.iter("instanceId")} != set(listed):
                raise Wrong(f"{target} is another one in XML")
        for accept in ("application/json", "application/xml"):
            if self.get("apps/delta", accept).status != 200:
                raise Wrong("no delta")
        names = {one["name"] for one in self.get("/resilient/v1/services").json()}
        if not {"keeper-0", "keeper-1"} <= names:
            raise Wrong(f"our own list lacks services: {names}")
        for target in ("changes", "node", "circuits", "actions", "openapi.json"):
            self.get(f"/resilient/v1/{target}").json()

    def _listed(self, target: str) -> list[dict[str, Any]]:
        tree = self.get(target).json()
        applications = [tree["application"]] if "application" in tree else tree["applications"]["application"]
        return [one for application in applications for one in application["instance"]]

    def others(self) -> list[dict[str, Any]]:
        """Everybody listed who was not there before."""
        return [one for one in self._listed("apps") if one["instanceId"] not in self.kept]


def _steady(tree: dict[str, Any]) -> dict[str, Any]:
    lease = {k: v for k, v in tree["leaseInfo"].items() if k != "lastRenewalTimestamp"}
    return {**tree, "leaseInfo": lease}


@contextmanager
def hostile_registry(*arguments: str, **environ: str) -> Iterator[HostileRegistry]:
    with HostileRegistry(*arguments, **environ) as running:
        yield running
