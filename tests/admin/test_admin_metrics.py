"""What the admin pages add to the metrics: what the lint finds, who reads streams; and how a page is sent."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import pytest
from admin_kit import Bench

from resilient import circuit
from resilient.admin import extras, lint
from resilient.telemetry.hystrix_stream import PING, Places, Stream
from resilient.telemetry.metrics import page as exposition


async def numbers(bench: Bench, name: str) -> dict[str, float]:
    """Each series of that name, by what stands between its braces."""
    body = (await bench.ask("GET", "/metrics")).body.decode()
    lines = [line for line in body.splitlines() if line.startswith(name + "{")]
    return {line[len(name) + 1 : line.index("}")]: float(line.rsplit(" ", 1)[1]) for line in lines}


async def test_7_held_open_for_a_minute_one_state_is_1_at_each_scrape(bench: Bench) -> None:
    with bench.runtime.active():
        circuit("x")(lambda: 1)()

    async def state() -> str:
        found = await numbers(bench, "resilient_circuit_state")
        (hot,) = [labels for labels, n in found.items() if n]
        return hot.rpartition("state=")[2].strip('"')

    assert await state() == "closed"
    status, _ = await bench.post("/admin/circuits/x", {"action": "open", "ttl": 60, "reason": "a test"})
    assert status == 200
    assert await state() == "forced_open"
    bench.clock.advance(59)
    assert await state() == "forced_open"
    bench.clock.advance(1.1)
    assert await state() == "closed"


# --- the lint


async def test_the_lint_is_a_metric_that_is_looked_at_seldom(bench: Bench) -> None:
    with bench.runtime.active():
        circuit("x", timeout=1, slow_duration=2)(lambda: 1)()
    before = await numbers(bench, "resilient_lint_findings")
    assert before == {'severity="info"': 0, 'severity="warn"': 1, 'severity="error"': 0}
    bench.runtime.circuits.get("x").open(None, reason="for good")
    bench.runtime.circuits.get("x").close(float("inf"))
    assert await numbers(bench, "resilient_lint_findings") == before
    bench.clock.advance(extras.LINT_EVERY)
    assert (await numbers(bench, "resilient_lint_findings"))['severity="warn"'] == 2
    _, told = await bench.get("/admin/lint")
    assert told["lint_results"]["metadata"]["num_issues_found"] == 2


async def test_a_lint_that_fails_leaves_the_numbers_alone(
    bench: Bench, monkeypatch: Any, caplog: Any
) -> None:
    def broken(scene: lint.Scene) -> dict[str, int]:
        raise KeyError("a rule")

    monkeypatch.setattr(lint, "count", broken)
    reply = await bench.ask("GET", "/metrics")
    assert reply.status == 200
    assert b"resilient_lint_findings" not in reply.body
    assert "the lint failed" in caplog.text


async def test_a_rule_counts_where_it_is_said_to() -> None:
    assert {rule.severity for rule in lint.RULES} <= set(lint.SEVERITIES)


# --- streams


async def test_27_one_reader_too_many_is_told_so_and_counted(bench: Bench) -> None:
    with bench.runtime.active():
        circuit("x")(lambda: 1)()
    readers = [await bench.ask("GET", "/hystrix.stream") for _ in range(5)]
    assert [one.status for one in readers] == [200] * 5
    for _ in range(2):
        refused = await bench.ask("GET", "/hystrix.stream")
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "5"
        assert b"no more than 5 readers" in refused.body
    assert await numbers(bench, "resilient_stream_readers") == {'stream="hystrix"': 5}
    assert await numbers(bench, "resilient_stream_refused_total") == {'stream="hystrix"': 2}
    first = readers.pop()
    assert first.stream is not None
    assert (await anext(first.stream)).endswith(PING)
    await first.stream.aclose()  # type: ignore[attr-defined]
    again = await bench.ask("GET", "/hystrix.stream")
    assert again.status == 200
    assert await numbers(bench, "resilient_stream_readers") == {'stream="hystrix"': 5}


async def test_27_a_slow_reader_misses_moments_and_nothing_waits_for_it(bench: Bench) -> None:
    made: list[int] = []
    places = Places()

    async def sleep(seconds: float) -> None:
        bench.clock.advance(seconds)
        await asyncio.sleep(0)

    def source() -> list[dict[str, object]]:
        made.append(1)
        return [{"type": "x", "text": "y" * 100}]

    stream = Stream(source, places=places, clock=bench.clock, sleep=sleep)
    quick, slow = stream.open(0.5), stream.open(0.5)
    for _ in range(5):
        await anext(quick)
    assert places.missed == 0
    await anext(slow)
    before = len(made)
    bench.clock.advance(100)  # it takes nothing for so long, while 200 moments pass
    assert len(made) == before
    await anext(slow)
    assert 198 <= places.missed <= 200
    assert len(stream._pieces) == 1, "only the newest moment is kept"
    await anext(slow)
    assert places.missed <= 200
    quick.close()
    slow.close()
    assert places.taken == 0


# --- compressed


@pytest.mark.parametrize(
    ("accept", "packed"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0, br", False),
        ("gzip; q=0.0", False),
    ],
)
async def test_a_page_is_compressed_for_those_who_can_read_it(
    bench: Bench, accept: str, packed: bool
) -> None:
    reply = await bench.ask("GET", "/metrics", headers={"Accept-Encoding": accept})
    assert ("Content-Encoding" in reply.headers) is packed
    assert "Accept-Encoding" in reply.headers["Vary"]
    text = zlib.decompress(reply.body, wbits=31) if packed else reply.body
    assert b"resilient_build_info{" in text
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_a_large_page_is_compressed_elsewhere(bench: Bench, monkeypatch: Any) -> None:
    monkeypatch.setattr(exposition, "_LARGE", 0)
    with bench.runtime.active():
        for n in range(20):
            circuit(f"c{n}")(lambda: 1)()
    reply = await bench.ask("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    plain = zlib.decompress(reply.body, wbits=31)
    assert plain.count(b"resilient_circuit_state{") == 120
    assert len(reply.body) < len(plain) / 8
