"""``resilient instances NAME --process URL``: what a process's balancer sees, and why."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import pytest
from cli_kit import run

from resilient.balancing.balancer import Balancer
from resilient.balancing.picks import Pick
from resilient.clock import SYSTEM
from resilient.model import Instance


def seen() -> dict[str, object]:
    """The report of a balancer with a healthy, an ejected and a drained copy."""
    listed = tuple(
        Instance(service="orders", id=f"o-{name}", host="10.0.0.1", port=8080, zone="eu-1") for name in "abc"
    )
    balancer = Balancer(lambda name: listed, clock=SYSTEM, rng=Random(1))
    balancer.pick("orders")
    pool = balancer._pools["orders"]
    for _ in range(5):
        with Pick(pool, pool.find("o-b"), pool.mean) as pick:
            pick.answered(500)
    with Pick(pool, pool.find("o-a"), pool.mean):
        pass
    balancer.drain("orders", "o-c")
    balancer.pick("orders")
    report: dict[str, Any] = balancer.report()
    for row in report["services"]["orders"]["instances"]:
        if row["until"] is not None:
            row["until"] += 50  # five seconds may be over before it is looked at
    return report


class Process(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, body: object, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.status = json.dumps(body).encode(), status
        self.asked: list[tuple[str, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: Process

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def process(body: object, status: int = 200) -> Iterator[Process]:
    server = Process(body, status)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def ask(capsys: pytest.CaptureFixture[str], server: Process, name: str = "Orders", *more: str):
    return run(capsys, "instances", name, "--process", f"http://127.0.0.1:{server.server_port}", *more)


def test_who_is_chosen_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    with process(seen()) as server:
        said = ask(capsys, server, "Orders", "--token", "secret")
        assert server.asked == [("/admin/instances", "Bearer secret")]
    assert (said.code, said.err) == (0, "")
    head, a, b, c, _, summary = said.out.splitlines()
    assert head.split() == ["ID", "STATE", "SHARE", "PICKS", "BUSY", "PEAK", "SCORE", "ZONE", "WHY"]
    assert "healthy" in a and "16.7 %" in a and "eu-1" in a
    assert (
        re.search(r"ejected, \d\d(\.\d)? s left", b)
        and "83.3 %" in b
        and "failed several times in a row" in b
    )
    assert "draining" in c and "by hand" in c
    assert summary.startswith("orders: 3 copies")
    assert "0 retries, 30 more possible now" in summary


def test_the_token_of_the_admin_pages(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESILIENT_TOKEN", "the-registrys")
    monkeypatch.setenv("RESILIENT_ADMIN_TOKEN", "the-pages")
    with process(seen()) as server:
        ask(capsys, server)
        ask(capsys, server, "Orders", "--token", "typed")
    assert [token for _, token in server.asked] == ["Bearer the-pages", "Bearer typed"]


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with process(seen()) as server:
        said = ask(capsys, server, "orders", "--json")
    assert [one["state"] for one in said.json["instances"]] == ["healthy", "ejected", "draining"]


def test_a_service_it_never_called(capsys: pytest.CaptureFixture[str]) -> None:
    with process(seen()) as server:
        said = ask(capsys, server, "prices")
    assert (said.code, said.out) == (1, "")
    assert said.err == "resilient: that process has not called 'prices'; it has called orders\n"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 403, "refuses with status 403"),
        ({}, 404, "is this a process with resilient?"),
        ([1], 200, "is this a process with resilient?"),
        ("x", 500, "is this a process with resilient?"),
    ],
)
def test_no_report(capsys: pytest.CaptureFixture[str], body: object, status: int, words: str) -> None:
    with process(body, status) as server:
        said = ask(capsys, server)
    assert said.code == 1
    assert words in said.err


def test_nobody_there_and_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "instances", "orders", "--process", "http://127.0.0.1:1")
    assert said.code == 1
    assert "connection refused" in said.err
    said = run(capsys, "instances", "orders", "--process", "ftp://x")
    assert said.code == 2
    assert "--process must start with http:// or https://" in said.err


def test_foreign_text_stays_text(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"id": "\x1b[31mred", "state": "\u202eodd", "why": "a\nb", "share": "x", "picks": None, "until": []}
    with process({"services": {"orders": {"instances": [row, 7], "more": 3, "panic": True}}}) as server:
        said = ask(capsys, server)
    assert said.code == 0
    assert "\x1b" not in said.out and "\u202e" not in said.out
    assert "a\\nb" in said.out
    assert "1 copy of 4" in said.out and "panic" in said.out
