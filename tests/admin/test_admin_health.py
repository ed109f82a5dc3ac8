"""Alive, ready, well."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from admin_kit import Bench

from resilient import circuit
from resilient.admin import health
from resilient.admin.checks import Check
from resilient.admin.health import Link
from resilient.admin.loops import STUCK, LoopWatch
from resilient.clock import ManualClock


def test_the_worst_counts() -> None:
    assert health.worst([]) == "UP"
    assert health.worst(["UP", "UNKNOWN"]) == "UNKNOWN"
    assert health.worst(["UNKNOWN", "DEGRADED"]) == "DEGRADED"
    assert health.worst(["OUT_OF_SERVICE", "DEGRADED"]) == "OUT_OF_SERVICE"
    assert health.worst(["OUT_OF_SERVICE", "DOWN", "UP"]) == "DOWN"
    assert health.worst(["nonsense"]) == "UNKNOWN"


async def test_22_an_open_circuit_degrades_and_no_more(bench: Bench) -> None:
    """Spec case 22."""
    with bench.runtime.active():
        circuit("pay")(lambda: 1)()
    bench.runtime.circuits.get("pay").open(60)
    assert (await bench.get("/health/live"))[0] == 200
    assert (await bench.get("/health/ready"))[0] == 200
    status, said = await bench.get("/health")
    assert (status, said["status"]) == (200, "DEGRADED")
    assert said["components"]["circuits"] == {"status": "DEGRADED", "open": ["pay"]}
    bench.member.critical = frozenset({"pay"})
    assert await bench.get("/health/ready") == (503, {"status": "DOWN"})
    assert (await bench.get("/health"))[0] == 503
    assert (await bench.get("/health/live"))[0] == 200
    bench.runtime.circuits.get("pay").close()
    assert (await bench.get("/health/ready"))[0] == 200


class FakeDiscovery:
    live = False

    def __init__(self) -> None:
        self.age: float | None = None
        self.connected, self.registered, self.error = "", False, "nobody answers"

    def report(self) -> dict[str, Any]:
        return {
            "urls": ["http://registry:8761/eureka/"],
            "connected": self.connected,
            "age_seconds": self.age,
            "registered": self.registered,
            "error": self.error,
        }


async def test_23_a_registry_that_goes_away_changes_nothing(bench: Bench) -> None:
    """Spec case 23."""
    found: Any = FakeDiscovery()
    bench.runtime._discovery = found
    bench.member.joined = 9.9
    assert await bench.get("/health/ready") == (503, {"status": "STARTING"})
    assert (await bench.get("/health"))[0] == 200
    bench.member.joined = 10.0
    assert await bench.get("/health/ready") == (200, {"status": "UP"})
    assert (await bench.get("/health"))[1]["status"] == "DEGRADED"
    bench.member.require_registry = True
    assert await bench.get("/health/ready") == (503, {"status": "STARTING"})
    found.age, found.connected, found.registered = 0.5, "http://registry:8761/eureka/", True
    bench.member.joined = 0.1
    assert await bench.get("/health/ready") == (200, {"status": "UP"})
    assert (await bench.get("/health"))[1]["status"] == "UP"
    found.connected, found.age = "", 77.0
    assert await bench.get("/health/ready") == (200, {"status": "UP"})
    said = (await bench.get("/health"))[1]
    assert said["status"] == "DEGRADED"
    assert said["components"]["registry"]["age_seconds"] == 77.0
    assert said["components"]["registry"]["detail"] == "nobody answers"


def test_ready_waits_for_the_registration_too() -> None:
    link = Link(wanted=True, connected=True, answered=True, registers=True, waited=1)
    assert health.ready("UP", link) == "STARTING"
    assert health.ready("UP", link._replace(registered=True)) == "UP"
    assert health.ready("UP", link._replace(registers=False)) == "UP"
    assert health.ready("UP", link._replace(waited=11)) == "UP"
    assert health.ready("DRAINING", link) == "DRAINING"
    assert health.ready("UP", Link(), ["UP", "UNKNOWN"]) == "UP"
    assert health.ready("UP", Link(), ["UP", "DOWN"]) == "DOWN"


async def test_states_of_the_service(bench: Bench) -> None:
    for state, ready, whole in (
        ("STARTING", (503, "STARTING"), (200, "UNKNOWN")),
        ("UP", (200, "UP"), (200, "UP")),
        ("DRAINING", (503, "DRAINING"), (503, "OUT_OF_SERVICE")),
    ):
        bench.member.state = state
        for path, expected in (("/health/ready", ready), ("/health", whole), ("/actuator/health", whole)):
            status, said = await bench.get(path)
            assert (status, said["status"]) == expected
        assert (await bench.get("/health/live"))[0] == 200
    bench.member.state, bench.member.well = "UP", False
    assert await bench.get("/health/ready") == (503, {"status": "DOWN"})


# -- checks ------------------------------------------------------------------------------------


async def slow() -> bool:
    await asyncio.sleep(60)
    return True


def broken() -> bool:
    raise OSError("disk is gone " + "x" * 500)


async def later() -> bool:
    return False


@pytest.mark.parametrize(
    ("function", "well", "detail"),
    [
        (lambda: True, True, ""),
        (lambda: None, True, ""),
        (lambda: 0, True, ""),
        (lambda: False, False, "the health check said no"),
        (later, False, "the health check said no"),
        (lambda: later(), False, "the health check said no"),
        (slow, False, "the health check took longer than 0.05s"),
        (broken, False, "OSError: disk is gone"),
    ],
)
async def test_what_a_check_says(function: Any, well: bool, detail: str) -> None:
    check = Check(function, clock=ManualClock())
    assert check.view() == {"status": "UNKNOWN", "age_seconds": None}
    got, why = await check.ask(0.05 if function is slow else 30)
    assert got is well
    assert why.startswith(detail)
    assert len(why) <= 200
    assert check.view()["status"] == ("UP" if well else "DOWN")


async def test_an_old_answer_is_no_answer() -> None:
    clock = ManualClock()
    check = Check(lambda: True, clock=clock)
    await check.ask(30)
    clock.advance(30)
    assert check.view()["status"] == "UP"
    clock.advance(1)
    assert check.view()["status"] == "UNKNOWN"


async def test_24_a_check_that_hangs_holds_up_nobody(bench: Bench) -> None:
    """Spec case 24."""
    gate = threading.Event()
    begun: list[int] = []

    def hangs() -> None:
        begun.append(1)
        gate.wait(60)

    check = Check(hangs, clock=bench.clock)
    bench.member.said = {"db": check.view()}
    asked = asyncio.create_task(check.ask(0.2))
    await asyncio.sleep(0.01)
    async with asyncio.timeout(30):  # of the 60 that it hangs
        assert await bench.get("/health/ready") == (200, {"status": "UP"})
    assert (await bench.get("/health"))[1]["components"]["user:db"]["status"] == "UNKNOWN"
    assert (await asked)[1] == "the health check took longer than 0.2s"
    assert await check.ask(0.2) == (False, "the health check has not come back from the last time")
    assert len(begun) == 1
    bench.member.said = {"db": check.view()}
    assert (await bench.get("/health/ready"))[0] == 503
    gate.set()
    async with asyncio.timeout(30):
        while not (await check.ask(5))[0]:
            await asyncio.sleep(0.01)


# -- loops -------------------------------------------------------------------------------------


async def test_3_a_loop_that_does_not_answer(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Spec case 3, with a clock in hand."""
    watch = LoopWatch("app", clock=bench.clock)
    bench.desk.loops.add(watch)
    watch.start()
    assert (await bench.get("/health/live"))[0] == 200
    bench.clock.advance(STUCK + 0.2)  # and nobody lets the loop run in between
    for _ in range(3):
        assert (await bench.get("/health/live?format=json")) == (503, {"status": "DOWN"})
    assert (await bench.get("/health"))[1]["components"]["event_loop"]["status"] == "DOWN"
    told = [one for one in caplog.records if "has not answered" in one.getMessage()]
    assert len(told) == 1
    assert "test_3_a_loop_that_does_not_answer" in told[0].getMessage()
    watch.beat()
    assert (await bench.get("/health/live"))[0] == 200
    watch.stop()
    bench.clock.advance(100)
    assert (await bench.get("/health/live"))[0] == 200


async def test_a_watched_loop_beats_by_itself(bench: Bench) -> None:
    watch = bench.desk.loops.watch("app")
    assert bench.desk.loops.watch("again") is watch
    assert watch.loop is asyncio.get_running_loop()
    bench.clock.advance(5)
    await asyncio.sleep(0.25)
    assert watch.lag == 0
    bench.desk.loops.forget(watch)
    assert list(bench.desk.loops) == []
