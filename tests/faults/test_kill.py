"""A copy dies by SIGKILL under load, while the registry still lists it."""

import json
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from process_kit import Process, registry, until

HERE = Path(__file__).parent
SERVICE = str(HERE.parents[1] / "examples" / "service.py")
LOAD = str(HERE / "load_program.py")
CALLERS, SECONDS, RATE = 2, 6.0, 100.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_killed_copy_costs_no_get_while_it_is_still_listed() -> None:
    with registry() as reg, ExitStack() as stack:
        copies = [
            stack.enter_context(Process(sys.executable, SERVICE, RESILIENT_REGISTRY=reg.url))
            for _ in range(3)
        ]
        addresses = [copy.line(lambda line: "listens on" in line).split()[-1] for copy in copies]
        until(lambda: sorted(reg.urls("orders")) == sorted(addresses))
        callers = [
            stack.enter_context(
                Process(
                    sys.executable,
                    LOAD,
                    str(SECONDS),
                    str(RATE),
                    RESILIENT_REGISTRY=reg.url,
                    RESILIENT_FETCH_INTERVAL="1",
                )
            )
            for _ in range(CALLERS)
        ]
        for caller in callers:
            caller.line(lambda line: line == "ready")
        # One that is called, by the first caller at least: another may have learnt to prefer the others.
        killed = addresses.index(callers[0].line(lambda line: line.startswith("used")).split()[-1])
        copies[killed].kill()
        results = [json.loads(caller.line(lambda line: line.startswith("{"))) for caller in callers]
        # Nobody told the registry: what saved the calls is not that the copy had been taken off the list.
        assert addresses[killed] in reg.urls("orders")
    made = int(SECONDS * RATE)
    # Suspended for 1, 2, then 4 seconds: three probes fit into what was left of the run.
    probes = 3
    # It was noticed: by a connection refused, or by one that broke, after which the copy was left alone.
    state, _, failures = results[0]["nodes"][addresses[killed]]
    assert state == "ejected" or failures >= 1, results
    for result in results:
        outcomes = result["outcomes"]
        assert sum(outcomes.values()) == made
        assert not [name for name in outcomes if name.startswith("error")], result
        assert outcomes.get("fallback", 0) <= made * 0.001, result
        assert result["after_first"] <= 1 + probes, result
