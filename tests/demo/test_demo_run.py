"""The demo as a newcomer runs it: real processes, real ports, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


def _environ() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("RESILIENT_", "EUREKA_"))}


def _of_demo(marker: str) -> list[int]:
    """Processes whose environment carries our marker: the demo and all its children."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if marker.encode() in file.read():
                    found.append(int(pid))
        except OSError:
            continue
    return found


def _wait_for_none(marker: str, seconds: float) -> list[int]:
    end = time.monotonic() + seconds
    while (left := _of_demo(marker)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def test_with_chaos_it_shows_what_it_promises_and_leaves_nothing() -> None:
    marker = f"DEMO_TEST_MARK={os.getpid()}-{time.monotonic_ns()}"
    environ = {**_environ(), **dict([marker.split("=", 1)])}
    done = subprocess.run(
        [sys.executable, "-m", "resilient", "demo", "--chaos", "--seconds", "20", "--port", "0", "--json"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["rate"] >= 20
    assert "reviews" in verdict["turned"]
    assert len(verdict["served"]) >= 12
    assert all(verdict["served"].values())
    assert _wait_for_none(marker, 30) == []


def test_killed_it_leaves_no_child_and_no_port() -> None:
    marker = f"DEMO_TEST_MARK={os.getpid()}-{time.monotonic_ns()}"
    environ = {**_environ(), **dict([marker.split("=", 1)])}
    demo = subprocess.Popen(
        [sys.executable, "-m", "resilient", "demo", "--seconds", "60", "--port", "0", "--json"],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while len(_of_demo(marker)) < 15 and time.monotonic() < end:
            time.sleep(0.2)
        assert len(_of_demo(marker)) >= 15  # itself, the registry, 13 copies
    finally:
        demo.send_signal(signal.SIGKILL)
        demo.wait()
    assert _wait_for_none(marker, 30) == []
