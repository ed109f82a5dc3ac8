"""For the tests of the command line: one command with what it printed, and registries to ask."""

import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from resilient.cli import main


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """One command in this process."""
    capsys.readouterr()
    code = main(arguments)
    return Said(code, *capsys.readouterr())


def register(
    url: str, service: str, id: str, port: int = 8080, *, status: str = "UP", token: str = "", **metadata: str
) -> None:
    """Register an instance as any Eureka client does."""
    instance = {
        "instanceId": id,
        "hostName": "10.0.0.7",
        "app": service.upper(),
        "ipAddr": "10.0.0.7",
        "status": status,
        "port": {"$": port, "@enabled": "true"},
        "dataCenterInfo": {"@class": "x", "name": "MyOwn"},
        "metadata": metadata,
    }
    _post(f"{url}apps/{service.upper()}", {"instance": instance}, token)


def push(url: str, service: str, *circuits: dict[str, Any]) -> None:
    """Tell a registry of a process's circuits."""
    body = {"service": service, "instance": f"{service}-1", "worker": "1", "circuits": list(circuits)}
    _post(f"{url.removesuffix('eureka/')}resilient/v1/circuits", body)


def _post(url: str, body: object, token: str = "") -> None:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 204


class Foreign(ThreadingHTTPServer):
    """Another product's Eureka server, as far as the command line asks it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str]] = []
        self.statuses: dict[str, str] = {"host:orders:1": "UP", "host:orders:2": "DOWN"}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/eureka/"

    def apps(self) -> dict[str, object]:
        listed = [
            {
                "instanceId": id,
                "hostName": "host",
                "app": "ORDERS",
                "ipAddr": "10.0.0.7",
                "status": status,
                "port": {"$": int(id[-1]), "@enabled": "true"},
                "metadata": {"note": "\x1b[31mred\u202e"},
            }
            for id, status in self.statuses.items()
        ]
        application = [{"name": "ORDERS", "instance": listed}]
        return {"applications": {"versions__delta": "1", "apps__hashcode": "", "application": application}}


class _Handler(BaseHTTPRequestHandler):
    server: Foreign

    def _answer(self) -> None:
        self.server.asked.append((self.command, self.path))
        body, status = b'{"status":404,"error":"Not Found"}', 404
        if self.path.startswith("/eureka/apps") and self.command == "GET":
            body, status = json.dumps(self.server.apps()).encode(), 200
        elif found := re.fullmatch(r"/eureka/apps/ORDERS/(.+)/status\?value=(.+)", self.path):
            id = urllib.request.unquote(found[1])
            if id in self.server.statuses:
                self.server.statuses[id] = found[2]
                body, status = b"", 200
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def foreign() -> Iterator[Foreign]:
    server = Foreign()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
