"""How a service ends when it is told to: real processes."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from process_kit import Process

SERVICE = str(Path(__file__).parent / "drained_service.py")
ALONE = {"RESILIENT_MDNS": "0", "RESILIENT_REGISTER": "0", "RESILIENT_REGISTRY": "http://127.0.0.1:9/eureka/"}


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[Process, str]]]:
    made: list[Process] = []

    def run(how: str, **environ: str) -> tuple[Process, str]:
        process = Process(sys.executable, SERVICE, how, **ALONE, **environ)
        made.append(process)
        found = re.search(
            r"http://127[.0-9:]+", process.line(lambda line: "http://127" in line and "/eureka" not in line)
        )
        assert found is not None
        return process, found.group()

    yield run
    for one in made:
        one.__exit__()


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def post(url: str, payload: Any = None) -> int:
    body = json.dumps(payload or {}).encode()
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return int(answer.status)


def test_21_drained_under_load(start: Any) -> None:
    """Spec case 21: nobody is cut off, in order, and it exits well."""
    process, url = start("run_app")
    with ThreadPoolExecutor(24) as pool:
        calls = [pool.submit(get, f"{url}/slow?seconds=1") for _ in range(20)]
        time.sleep(0.3)
        assert post(f"{url}/admin/drain", {"grace": 10, "reason": "a new version"}) == 202
        assert get(f"{url}/health/ready") == (503, b'{\n  "status": "DRAINING"\n}\n')
        assert get(f"{url}/health/live")[0] == 200
        assert get(f"{url}/slow?seconds=0")[0] == 200  # callers have not noticed yet, and are served
        assert [call.result() for call in calls] == [(200, b"fine")] * 20
    assert process.popen.wait(30) == 0
    said = "".join(process.said)
    steps = [
        "admin: drain by loopback from 127.0.0.1",
        "what='leaving'",
        "what='signed-out' seconds=1.5",
        "what='closing' seconds=10",
        "what='done'",
    ]
    places = [said.index(step) for step in steps]
    assert places == sorted(places)
    assert "Traceback" not in said


def test_21_a_second_signal_ends_it(start: Any) -> None:
    """Spec case 21, its last part; and a grace that is over."""
    process, url = start("run_app")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(get, f"{url}/slow?seconds=60")
        time.sleep(0.3)
        assert post(f"{url}/admin/drain") == 202
        process.line(lambda line: "what='closing'" in line)
        began = time.monotonic()
        process.popen.send_signal(signal.SIGTERM)
        process.popen.wait(30)
        assert time.monotonic() - began < 30  # of the 60 that the call would take
        assert call.exception(30) is not None
    assert "what='cut'" in "".join(process.said)


def test_a_shutdown_with_little_grace(start: Any) -> None:
    process, url = start("run_app")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(get, f"{url}/slow?seconds=60")
        time.sleep(0.3)
        began = time.monotonic()
        assert post(f"{url}/admin/shutdown", {"grace": 0.3}) == 202
        assert process.popen.wait(30) == 0
        assert time.monotonic() - began < 30
        assert call.exception(30) is not None
    assert "Traceback" not in "".join(process.said)


def test_an_application_that_somebody_else_runs(start: Any) -> None:
    process, url = start("setup")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(get, f"{url}/slow?seconds=0.6")
        time.sleep(0.3)
        assert post(f"{url}/admin/shutdown") == 202
        assert call.result() == (200, b"fine")
    assert process.popen.wait(30) == 0
