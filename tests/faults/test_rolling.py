"""All copies of a service are restarted one by one, by SIGTERM and under load: nobody notices."""

import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from process_kit import Process, registry, until

HERE = Path(__file__).parent
SERVICE, CALLER = str(HERE / "rolling_service.py"), str(HERE / "rolling_caller.py")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
full = pytest.mark.skipif(os.environ.get("FAULTS") != "full", reason="long; make test-faults")


def roll(
    interval: str | None,
    rate: float,
    *,
    rounds: int = 1,
    callers: int = 1,
    same_port: bool = True,
    gently: bool = True,
) -> list[dict]:
    """Restart three copies one by one, ``rounds`` times; what the callers saw.

    Not ``gently`` is by SIGKILL.
    """
    with registry() as reg, ExitStack() as stack:
        environ = {"RESILIENT_REGISTRY": reg.url}
        if interval is not None:
            environ["RESILIENT_FETCH_INTERVAL"] = interval

        def start(port: str) -> Process:
            return stack.enter_context(Process(sys.executable, SERVICE, RESILIENT_PORT=port, **environ))

        started = [start("0") for _ in range(3)]
        calling = [
            stack.enter_context(Process(sys.executable, CALLER, str(rate), **environ)) for _ in range(callers)
        ]
        copies = [(copy, where(copy)) for copy in started]
        for caller in calling:
            caller.line(lambda line: line == "ready")
        gets = posts = 0

        def count(copy: Process) -> None:
            nonlocal gets, posts
            said = copy.line(lambda line: line.startswith("answered")).split()
            gets, posts = gets + int(said[1]), posts + int(said[2])

        for number in range(3 * rounds):
            old, url = copies[number % 3]
            if gently:
                assert old.end(60) == 0
                count(old)
            else:
                old.kill()
            new = start(url.rsplit(":", 1)[1] if same_port else "0")
            address = where(new)
            copies[number % 3] = new, address
            # As those do who deploy: the next one goes when this one is there.
            until(lambda: address in reg.urls("orders"), every=0.02)
        time.sleep(max(1.0, 1.5 * float(interval or 5)))  # a new copy gets little at first
        for caller in calling:
            caller.tell("end")
        seen = [json.loads(caller.line(lambda line: line.startswith("{"))) for caller in calling]
        for copy, _ in copies:
            copy.popen.send_signal(signal.SIGTERM)
        for copy, _ in copies:
            assert copy.popen.wait(60) == 0
            count(copy)
    if gently:
        # No POST was done twice, and a GET only where a second try is owned up to: on a slow machine
        # an answer may come after its try was given up.
        assert posts == sum(one["outcomes"]["POST"] for one in seen)
        assert 0 <= gets - sum(one["outcomes"]["GET"] for one in seen) <= sum(one["retries"] for one in seen)
    return seen


def where(copy: Process) -> str:
    return copy.line(lambda line: "listens on" in line).split()[-1]


def check(seen: list[dict], generations: int) -> None:
    for one in seen:
        print(one)
        assert set(one["outcomes"]) == {"GET", "POST"}, one  # no error, no fallback
        assert sum(one["outcomes"].values()) == one["made"]
        assert not one["errors"], one
        assert len(one["copies"]) == generations, one  # the new copies have had their calls


def test_a_rolling_restart_fails_no_call() -> None:
    check(roll("0.2", 150.0), generations=6)


@full
@pytest.mark.parametrize("same_port", [True, False])
def test_with_the_settings_everybody_has(same_port: bool) -> None:
    check(roll(None, 100.0, callers=2, same_port=same_port), generations=6)


@full
def test_again_and_again() -> None:
    check(roll("0.3", 200.0, rounds=5, callers=2), generations=18)


@full
def test_without_a_farewell_it_would_be_noticed() -> None:
    """What the tests above look for is there when copies just die: it is the farewell that prevents it."""
    (seen,) = roll("0.3", 200.0, gently=False)
    assert any(error.startswith("POST") for error in seen["errors"]), seen
    assert not any(error.startswith("GET") for error in seen["errors"]), seen  # went elsewhere
