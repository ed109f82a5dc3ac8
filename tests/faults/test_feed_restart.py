"""The registry dies by SIGKILL and is started again under a client that lives on its feed."""

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from process_kit import Process, registry, until

HERE = Path(__file__).parent
SERVICE, CALLER = str(HERE / "rolling_service.py"), str(HERE / "feed_caller.py")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_calls_go_on_and_the_feed_comes_back() -> None:
    with registry() as reg, ExitStack() as stack:
        environ = {"RESILIENT_REGISTRY": reg.url}

        def start() -> tuple[Process, str]:
            made = stack.enter_context(
                Process(sys.executable, SERVICE, RESILIENT_PORT="0", RESILIENT_RENEW_EVERY="5", **environ)
            )
            return made, made.line(lambda line: "listens on" in line).split()[-1]

        _, first = start()
        until(lambda: reg.urls("orders") == [first])
        caller = stack.enter_context(
            Process(sys.executable, CALLER, "50", RESILIENT_FETCH_INTERVAL="1", **environ)
        )
        caller.line(lambda line: line == "FeedChanged live")
        reg.kill()
        caller.line(lambda line: line == "FeedChanged lost")
        caller.line(lambda line: line == "RegistryChanged lost")
        time.sleep(0.5)
        reg.restart()
        # The registry has forgotten everybody, and the service comes back with its next heartbeat only:
        # meanwhile the caller must not believe a list that has just begun.
        caller.line(lambda line: line == "FeedChanged live", timeout=60)
        until(lambda: reg.urls("orders") == [first])
        start()
        time.sleep(1.0)
        caller.tell("end")
        result = json.loads(caller.line(lambda line: line.startswith("{")))
        assert result["errors"] == []
        assert result["made"] > 50


def test_a_change_can_be_picked_within_a_second() -> None:
    with registry() as reg, ExitStack() as stack:
        reader = stack.enter_context(
            Process(sys.executable, "-m", "benchmarks.feed_pick", "orders", "60", RESILIENT_REGISTRY=reg.url)
        )
        reader.line(lambda line: line.startswith("ready"))
        service = stack.enter_context(
            Process(sys.executable, SERVICE, RESILIENT_PORT="0", RESILIENT_REGISTRY=reg.url)
        )
        until(lambda: reg.urls("orders"), every=0.01)
        listed = time.monotonic()
        seen = float(reader.line(lambda line: line.startswith("+ ")).split()[-1])
        assert seen - listed < 1
        assert service.end() == 0
        assert reader.line(lambda line: line.startswith("- "), timeout=2)
