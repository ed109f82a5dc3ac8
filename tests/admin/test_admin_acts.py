"""Circuits turned and tuned, loggers, profiles, the end."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from admin_kit import Bench

from resilient import CircuitOpen, circuit
from resilient.admin.levels import Levels
from resilient.events import Event, OperatorActed


def guarded(bench: Bench, name: str = "pay", **options: Any) -> Any:
    call = circuit(name, **options)(lambda: "done")
    with bench.runtime.active():
        call()
    return call


async def test_7_held_open_for_a_minute(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Spec case 7, as far as metrics are others' to test."""
    call = guarded(bench)
    told: list[Event] = []
    bench.runtime.events.subscribe(told.append, OperatorActed)
    payload = {"action": "open", "ttl": 60, "reason": "a test", "by": "ann"}
    status, said = await bench.post("/admin/circuits/pay", payload)
    assert (status, said["circuit"]["state"]) == (200, "forced-open")
    with bench.runtime.active(), pytest.raises(CircuitOpen):
        call()
    (event,) = told
    assert isinstance(event, OperatorActed)
    assert (event.action, event.by, event.reason) == ("open", "ann", "a test")
    (line,) = [one.getMessage() for one in caplog.records if one.name == "resilient.admin"]
    assert line.startswith("admin: open circuit by loopback from 127.0.0.1 circuit='pay' ttl='60'")
    bench.clock.advance(59)
    assert (await bench.get("/admin/circuits/pay"))[1]["circuit"]["state"] == "forced-open"
    bench.clock.advance(2)
    assert (await bench.get("/admin/circuits/pay"))[1]["circuit"]["mode"] == "auto"
    with bench.runtime.active():
        assert call() == "done"


async def test_28_a_reason_is_one_line(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Spec case 28."""
    guarded(bench)
    payload = {"action": "close", "ttl": 5, "reason": "a\nb\x1b[31mc", "by": "x\r\nFAKE"}
    assert (await bench.post("/admin/circuits/pay", payload))[0] == 200
    (line,) = [one.getMessage() for one in caplog.records if one.name == "resilient.admin"]
    assert "\n" not in line
    assert "\x1b" not in line
    assert "\r" not in line


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"action": "explode"},
        {"action": "open", "ttl": -1},
        {"action": "open", "ttl": True},
        {"action": 3},
        {"action": "open", "reason": 3},
        {"action": "auto", "settings": {"timeout": 1}},
        {"settings": {}},
        {"settings": [1]},
        {"settings": {"timeout": -1}},
        {"settings": {"isolation": "thread"}},
        {"settings": {"failed": "os.system"}},
        {"restore": "timeout"},
    ],
)
async def test_what_makes_no_sense_changes_nothing(bench: Bench, payload: dict[str, Any]) -> None:
    guarded(bench)
    found = bench.runtime.circuits.get("pay")
    before = (found.policy, found.state)
    status, said = await bench.post("/admin/circuits/pay", payload)
    assert status == 400, said
    assert said["error"]["message"]
    assert (found.policy, found.state) == before


async def test_settings_at_run_time(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    guarded(bench, timeout=5)
    found = bench.runtime.circuits.get("pay")
    status, _ = await bench.post("/admin/circuits/pay", {"settings": {"timeout": 2, "min_calls": 7}})
    assert status == 200
    assert (found.policy.timeout, found.policy.min_calls) == (2, 7)
    rows = {row["name"]: row for row in (await bench.get("/admin/circuits/pay"))[1]["settings"]}
    assert (rows["timeout"]["value"], rows["timeout"]["source"]) == ("2", "operator")
    assert "min_calls: 20 -> 7; timeout: 5 -> 2" in caplog.text
    assert (await bench.post("/admin/circuits/pay", {"restore": ["timeout"]}))[0] == 200
    assert (found.policy.timeout, found.policy.min_calls) == (5, 7)
    assert (await bench.post("/admin/circuits/pay", {"restore": []}))[0] == 200
    assert found.policy.min_calls == 7
    assert (await bench.post("/admin/circuits/pay", {"restore": True}))[0] == 200
    assert found.policy.min_calls == 20


async def test_18_levels_come_back_by_themselves(bench: Bench) -> None:
    """Spec case 18, with a timer in hand."""
    due: list[Any] = []

    def later(seconds: float, work: Any) -> Any:
        due.append((seconds, work))
        return lambda: due.clear()

    bench.desk.levels = Levels(later)
    log = logging.getLogger("admin.test.orders")
    log.setLevel(logging.WARNING)
    path = "/admin/loggers/admin.test.orders"
    status, said = await bench.post(path, {"level": "debug", "ttl": 1})
    assert (status, said["before"], said["level"]) == (200, "WARNING", "DEBUG")
    assert (await bench.get(path))[1]["level"] == "DEBUG"
    ((seconds, work),) = due
    assert seconds == 1
    work()
    assert log.level == logging.WARNING
    await bench.post(path, {"level": "DEBUG", "ttl": 1})
    await bench.post(path, {"level": "INFO", "ttl": 5})
    assert len(due) == 1  # the first one is called off, and what it was is not forgotten
    due[0][1]()
    assert log.level == logging.WARNING
    for payload in ({"level": "DEBUG"}, {"level": "LOUD", "ttl": 1}, {"level": 10, "ttl": 1}, {"ttl": 1}):
        assert (await bench.post(path, payload))[0] == 400
    bench.clock.advance(61)
    assert (await bench.post(path, {"level": "DEBUG", "ttl": 7200}))[0] == 400
    assert log.level == logging.WARNING
    for name, expected in (
        ("root", 403),
        ("http.client", 403),
        ("urllib3.connectionpool", 403),
        ("admin.test.nobody", 404),
    ):
        status, _ = await bench.post(f"/admin/loggers/{name}", {"level": "DEBUG", "ttl": 1})
        assert status == expected
    assert (await bench.post(path, {"level": None}))[0] == 200
    assert log.level == logging.NOTSET


def test_the_timer_is_real() -> None:
    log = logging.getLogger("admin.test.timer")
    levels = Levels()
    levels.set("admin.test.timer", "DEBUG", 0.05)
    end = time.monotonic() + 30
    while log.level and time.monotonic() < end:
        time.sleep(0.01)
    assert log.level == logging.NOTSET
    levels.set("admin.test.timer", "DEBUG", 60)
    levels.restore()
    assert log.level == logging.NOTSET


async def test_19_one_profile_at_a_time(bench: Bench) -> None:
    """Spec case 19."""
    first = asyncio.create_task(bench.post("/admin/profile", {"seconds": 0.6, "hz": 100}))
    while not bench.desk.profiler.taken:
        await asyncio.sleep(0.005)
    status, said = await bench.post("/admin/profile", {"seconds": 0.1})
    assert (status, said["error"]["code"]) == (409, "busy")
    assert (await bench.post("/admin/profile", {"seconds": 600}))[0] == 400
    assert (await bench.post("/admin/profile", {"hz": 1000}))[0] == 400
    status, text = await first
    assert status == 200
    total = 0
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        assert stack
        assert " " not in stack
        assert all(stack.split(";"))
        total += int(count)
    assert total >= 5
    assert "MainThread;" in text
    reply = await bench.ask(
        "POST",
        "/admin/profile?format=json",
        headers={"Content-Type": "application/json"},
        body=b'{"seconds": 0.02}',
    )
    assert b'"stacks"' in reply.body


async def test_the_end_goes_through_the_member(bench: Bench) -> None:
    status, said = await bench.post("/admin/drain", {"grace": 5})
    assert (status, said["status"]) == (202, "DRAINING")
    assert bench.member.ended == [(True, 5.0)]
    assert (await bench.get("/health/ready"))[0] == 503
    assert (await bench.post("/admin/drain"))[0] == 409
    assert (await bench.post("/admin/shutdown"))[0] == 202
    assert bench.member.ended == [(True, 5.0), (False, 30.0)]
    assert (await bench.post("/admin/shutdown", {"grace": 99}))[0] == 400
