"""py-eureka-client 0.13.3 against a real registry process.

The short form renews every second. ``INTEROP=full`` uses the client's own default settings (30 s), as
``make test-interop`` does.
"""

import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from process_kit import Process, registry, until

FULL = os.environ.get("INTEROP") == "full"
RENEWAL = 0 if FULL else 1  # 0: the client's own default
PATIENCE = 75.0 if FULL else 15.0
PROGRAM = str(Path(__file__).with_name("py_eureka_program.py"))
SERVICE = str(Path(__file__).parents[2] / "examples" / "service.py")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400 if FULL else 90)]


def _call(client: Process, service: str) -> dict[str, str]:
    client.tell(f"call {service} /orders/7")
    return json.loads(client.line(lambda line: '"did": "call"' in line))


def _renewed_ago(reg, service: str) -> float:
    return float(reg.services()[service][0]["renewed_ago"])


def test_registers_renews_discovers_returns_and_signs_out() -> None:
    with (
        registry() as reg,
        Process(sys.executable, PROGRAM, reg.url, "billing", "9191", str(RENEWAL)) as client,
    ):
        client.line(lambda line: '"did": "init"' in line)
        listed = until(lambda: reg.services().get("billing"))
        assert [one["url"] for one in listed] == ["http://127.0.0.1:9191"]
        assert listed[0]["status"] == "UP"

        # It renews: after two intervals the last heartbeat is younger than one.
        time.sleep(62 if FULL else 2.5)
        until(lambda: _renewed_ago(reg, "billing") < (32 if FULL else 1.8), PATIENCE)

        # It finds a service that registered after its first fetch, and calls it.
        with Process(sys.executable, SERVICE, RESILIENT_REGISTRY=reg.url) as orders:
            orders.line(lambda line: "listens on" in line)
            until(lambda: reg.services().get("orders"))
            answer = until(lambda: _call(client, "ORDERS").get("answer"), PATIENCE, every=0.5)
            assert json.loads(answer) == {"id": 7, "item": "anvil"}

        # The registry is killed and comes back empty: the client registers again by itself.
        # It is held while that happens, between two of its rounds: a registry that returns between its failed
        # registration and the fetch after it locks version 0.13.3 up for ever (docs/compatibility.md).
        reg.kill()
        client.line(lambda line: "EUREKA_ERROR_DISCOVER" in line, PATIENCE)
        client.popen.send_signal(signal.SIGSTOP)
        reg.restart()
        client.popen.send_signal(signal.SIGCONT)
        assert "billing" not in reg.services()
        until(lambda: reg.services().get("billing"), PATIENCE)

        client.tell("stop")
        client.line(lambda line: '"did": "stop"' in line)
        until(lambda: "billing" not in reg.services() or None, 10)
        with pytest.raises(urllib.error.HTTPError) as gone:
            urllib.request.urlopen(f"{reg.url}apps/BILLING", timeout=5)
        assert gone.value.code == 404
