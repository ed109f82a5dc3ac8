"""The pages on a port of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from admin_kit import TOKEN

from resilient import Runtime, admin
from resilient.admin import PORTS
from resilient.errors import ConfigError
from resilient.identity import listening_ports
from resilient.settings import Settings


def runtime(**environ: str) -> Runtime:
    return Runtime(settings=Settings.load(environ), instances={"stock": ["http://10.0.0.1:80"]})


def fetch(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    asked = urllib.request.Request(
        url, body, {k.replace("_", "-"): v for k, v in headers.items()}, method=method
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture
def opened() -> Iterator[Any]:
    made: list[Any] = []

    def start(port: int = 0, **options: Any) -> Any:
        options.setdefault("runtime", runtime())
        made.append(admin.serve(port, **options))
        return made[-1]

    yield start
    for one in made:
        one.stop()


def test_1_a_circuit_alone_opens_no_port_and_loads_no_pages() -> None:
    """Spec case 1."""
    script = (
        "import sys, resilient, resilient.requests\n"
        "@resilient.circuit\ndef f(): return 1\n"
        "f()\n"
        "from resilient.identity import listening_ports\n"
        "print(listening_ports(), [m for m in sys.modules if m.startswith('resilient.admin')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


async def test_2_it_answers_while_the_loop_is_blocked(opened: Any) -> None:
    """Spec case 2, with a block that lasts until it has answered."""
    listener = opened()
    found: dict[str, Any] = {}

    def ask() -> None:
        found["ping"] = fetch(f"{listener.url}/admin/ping")
        found["threads"] = fetch(f"{listener.url}/admin/threads?format=json")
        found["tasks"] = fetch(f"{listener.url}/admin/tasks?format=json")

    def blocks_the_loop(thread: threading.Thread) -> None:
        while thread.is_alive():
            time.sleep(0.001)

    asking = threading.Thread(target=ask)
    asking.start()
    blocks_the_loop(asking)
    assert found["ping"] == (200, b"pong\n")
    assert b"blocks_the_loop" in found["threads"][1]
    loops = {one["loop"] for one in json.loads(found["tasks"][1])["tasks"]}
    assert {"main", "admin"} <= loops


def test_4_the_next_port_is_taken(opened: Any) -> None:
    """Spec case 4."""
    first = opened()
    second = opened(first.port)
    assert first.port < second.port < first.port + 20
    assert first.metadata["management.port"] != second.metadata["management.port"]
    assert second.metadata == {"management.port": str(second.port), "management.path": "/admin"}
    assert {first.port, second.port} <= PORTS
    assert fetch(f"{second.url}/health/live") == (200, b"UP\n")
    second.stop()
    second.stop()
    assert second.port not in PORTS
    with pytest.raises(OSError):
        fetch(f"{second.url}/health/live")


def test_no_port_is_an_error_with_the_cure(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resilient.admin.listener.TRIED", 1)
    taken = opened()
    with pytest.raises(ConfigError, match="RESILIENT_ADMIN_PORT"):
        opened(taken.port)
    with pytest.raises(ConfigError, match="cannot listen on 203"):
        opened(0, host="203.0.113.1")


def test_the_setting_says_which_port(opened: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listener = opened(None, runtime=runtime(RESILIENT_ADMIN_PORT=str(port), RESILIENT_ADMIN_HOST="localhost"))
    assert port <= listener.port < port + 20
    assert listener.host == "localhost"
    assert fetch(f"{listener.url}/health/live")[0] == 200


def test_everything_through_real_http(opened: Any) -> None:
    url = opened().url
    assert fetch(f"{url}/admin/circuits") == (200, b'{\n  "circuits": []\n}\n')
    assert fetch(f"{url}/admin/drain")[0] == 405
    assert fetch(f"{url}/nothing")[0] == 404
    assert fetch(f"{url}/admin/circuits", "HEAD") == (200, b"")
    assert b"<!doctype html>" in fetch(f"{url}/admin", Accept="text/html")[1]
    json_ = {"Content_Type": "application/json"}
    assert fetch(f"{url}/admin/circuits/x", "POST", b'{"action": "auto"}', **json_)[0] == 404
    assert fetch(f"{url}/admin/circuits/x", "POST", b"x" * 70_000, **json_)[0] == 413
    assert fetch(f"{url}/admin/circuits/x", "POST", b"a=1")[0] == 415
    foreign = {**json_, "Origin": "http://evil.example"}
    assert fetch(f"{url}/admin/circuits/x", "POST", b"{}", **foreign)[0] == 403
    assert fetch(f"{url}/admin/circuits", Host="evil.example")[0] == 421


def test_26_listening_wide(opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Spec case 26."""
    listener = opened(host="0.0.0.0")
    assert "without a token" in caplog.text
    elsewhere = {"Host": "10.0.0.7:9990", "X_Forwarded_For": "10.0.0.9"}
    assert fetch(f"{listener.url}/metrics", **elsewhere)[0] == 403
    assert fetch(f"{listener.url}/hystrix.stream", **elsewhere)[0] == 403
    assert fetch(f"{listener.url}/health/live", **elsewhere) == (200, b"UP\n")
    lint = json.loads(fetch(f"{listener.url}/admin/lint.json")[1])["lint_results"]
    assert "PX011" in [one["id"] for one in lint["failed_rules"]]
    named = opened(host="0.0.0.0", runtime=runtime(RESILIENT_ADMIN_TOKEN=TOKEN))
    assert fetch(f"{named.url}/metrics", **elsewhere)[0] == 200
    assert fetch(f"{named.url}/admin/settings", **elsewhere)[0] == 403
    assert fetch(f"{named.url}/admin/settings", Authorization=f"Bearer {TOKEN}", **elsewhere)[0] == 200


def test_a_stream_over_the_wire(opened: Any) -> None:
    listener = opened()
    with urllib.request.urlopen(f"{listener.url}/hystrix.stream", timeout=30) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert b"ping" in stream.readline()


FORKS = """
import os, sys, time, urllib.request
from resilient import Runtime, admin
from resilient.identity import listening_ports
from resilient.settings import Settings

listener = admin.serve(0, runtime=Runtime(settings=Settings.load({}), instances={"a": ["http://h:1"]}))
child = os.fork()
if child == 0:
    inherited = listening_ports()
    again = admin.serve(0, runtime=Runtime(settings=Settings.load({}), instances={"a": ["http://h:1"]}))
    own = urllib.request.urlopen(again.url + "/admin/ping", timeout=30).read()
    print("child", inherited, again.port != listener.port, own, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("parent", urllib.request.urlopen(listener.url + "/admin/ping", timeout=30).read(), flush=True)
listener.stop()
"""


def test_29_a_child_has_no_part_in_it() -> None:
    """Spec case 29."""
    done = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.splitlines() == ["child [] True b'pong\\n'", "parent b'pong\\n'"]


def test_told_to_end_without_a_member(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    url = opened().url
    assert fetch(f"{url}/admin/shutdown", "POST", b"{}", Content_Type="application/json")[0] == 202
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_nothing_can_be_done_where_acts_are_off(opened: Any) -> None:
    url = opened(acts=False).url
    assert fetch(f"{url}/admin/drain", "POST", b"{}", Content_Type="application/json")[0] == 404


def test_ports_of_ours_are_known(opened: Any) -> None:
    listener = opened()
    assert listener.port in [port for _, port in listening_ports()]
    assert listener.port not in [port for _, port in listening_ports(PORTS)]


async def test_serving_on_a_loop_watches_it(opened: Any) -> None:
    listener = opened()
    assert [one.name for one in listener.desk.loops] == ["main"]
    await asyncio.sleep(0)
