"""Hystrix's own tools and our streams: the same fields from both, and a real Turbine that reads ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hystrix_kit import hystrix_missing, netflix, ours, read_until

sys.path.insert(0, str(Path(__file__).parent.parent / "telemetry"))

from hystrix_kinds import RECORDED, kinds

from resilient.circuits.pool import PoolSnapshot
from resilient.telemetry.hystrix import pool
from resilient.telemetry.turbine import total


@pytest.fixture(autouse=True)
def there() -> None:
    if why := hystrix_missing():
        pytest.skip(why)


def test_our_events_have_the_fields_and_types_of_hystrix_cores() -> None:
    with netflix("hystrix") as theirs, ours("well") as process:
        url = f"http://127.0.0.1:{theirs.port}/hystrix.stream"
        command = read_until(url, lambda event: event["type"] == "HystrixCommand")
        threads = read_until(url, lambda event: event["type"] == "HystrixThreadPool")
        mine = read_until(f"http://127.0.0.1:{process.port}/hystrix.stream", lambda event: True)
    assert kinds(mine) == kinds(command) == RECORDED["HystrixCommand"]
    assert list(kinds(mine)) == list(command)
    empty = PoolSnapshot(name="a", size=1, threads=1, active=0, largest=1, done=1, rejected=0)
    assert kinds(pool(empty, 2e9, ())) == kinds(threads) == RECORDED["HystrixThreadPool"]


def test_a_real_turbine_adds_up_two_of_our_processes() -> None:
    with ours("well") as well, ours("ill") as ill:
        hosts = f"127.0.0.1:{well.port},127.0.0.1:{ill.port}"
        with netflix("turbine", hosts) as turbine:
            url = f"http://127.0.0.1:{turbine.port}/turbine.stream?cluster=default"
            event = read_until(
                url,
                lambda one: (
                    one["type"] == "HystrixCommand"
                    and one["reportingHosts"] == 2
                    and one["rollingCountShortCircuited"] > 0
                    and one["rollingCountSuccess"] > 0
                ),
            )
    assert event["name"] == "orders.get"
    assert event["group"] == "orders"
    assert json.loads(event["isCircuitBreakerOpen"]) == {"false": 1, "true": 1}  # text, its way
    assert total([event])["isCircuitBreakerOpen"] == {"false": 1, "true": 1}
    assert event["propertyValue_circuitBreakerRequestVolumeThreshold"] == 10  # a sum over both, its way
    assert event["requestCount"] >= event["rollingCountSuccess"]
    assert event["latencyExecute"]["99"] >= event["latencyExecute"]["50"] >= 1
