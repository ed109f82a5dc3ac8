"""Nothing grows with what strangers make up (S-56, L-17), and nobody holds the registry up (S-50 to S-55)."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable, Iterator

import pytest
from hostile_kit import HostileRegistry, Line, hostile_registry, instance, registration, request

LONG = int(os.environ.get("HOSTILE_REQUESTS", "0")) > 10_000
UNKNOWN = 10_000
WARM_UP = 2_000


@pytest.fixture(scope="module")
def fresh() -> Iterator[HostileRegistry]:
    """A registry for this file alone, whose memory is looked at."""
    with hostile_registry() as registry:
        yield registry
        registry.check()


def pipelined(registry: HostileRegistry, requests: Iterator[bytes], batch: int = 12) -> set[int]:
    """Send many, some at a time, and the statuses that came."""
    found = set()
    with Line(registry.port) as line:
        ahead = []
        for one in requests:
            ahead.append(one)
            if len(ahead) == batch:
                line.send(b"".join(ahead))
                found |= {line.read().status for _ in ahead}
                ahead = []
    return found


def _odd(n: int) -> dict[str, str]:
    return {"User-Agent": f"agent-{n}", "Accept": f"x/{n}", "X-Eureka-Accept": f"c{n}"}


def _batch(n: int) -> bytes:
    item = {"appName": f"X{n}", "id": f"i{n}", "action": "Heartbeat", "lastDirtyTimestamp": 1}
    return json.dumps({"replicationList": [{**item, "overriddenStatus": "DOWN"}]}).encode()


KINDS: dict[str, Callable[[int], bytes]] = {
    "paths": lambda n: request("GET", f"/x{n}/y{n}"),
    "eureka paths": lambda n: request("GET", f"/eureka/apps/X{n}/i{n}"),
    "agents": lambda n: request("GET", "/eureka/apps/X", _odd(n)),
    "heartbeats": lambda n: request("PUT", f"/eureka/apps/X{n}/i{n}?lastDirtyTimestamp={n}"),
    "overrides": lambda n: request("PUT", f"/eureka/apps/X{n}/i{n}/status?value=DOWN"),
    "cancels": lambda n: request("DELETE", f"/eureka/apps/X{n}/i{n}"),
    "addresses": lambda n: request("GET", f"/eureka/vips/v{n}"),
    "hosts": lambda n: request("GET", "/nowhere", host=f"host-{n}"),
    "tokens": lambda n: request("GET", "/eureka/apps/X", {"Authorization": f"Bearer {n:020}"}),
    "services": lambda n: request("GET", f"/resilient/v1/services/x{n}"),
    "pushes": lambda n: request("POST", "/resilient/v1/circuits", body=b'{"service":"x","circuits":%d}' % n),
    "batches": lambda n: request(
        "POST", "/eureka/peerreplication/batch",
        body=_batch(n),
    ),
}  # fmt: skip


def test_S56_unknown_names_leave_nothing_behind(fresh: HostileRegistry) -> None:
    each = (UNKNOWN if LONG else UNKNOWN // 2) // len(KINDS)
    for make in KINDS.values():
        pipelined(fresh, (make(n) for n in range(WARM_UP // len(KINDS))))
    before = fresh.rss()
    for name, make in KINDS.items():
        statuses = pipelined(fresh, (make(n) for n in range(WARM_UP, WARM_UP + each)))
        assert max(statuses) < 500, name
    grown = fresh.rss() - before
    assert grown <= 2 * 1024, f"{grown} KiB for {each * len(KINDS)} unknown names"


def test_S56_register_and_cancel_for_ever(fresh: HostileRegistry) -> None:
    """The same few come and go; what is remembered of them has an end."""

    def both(n: int) -> bytes:
        tree = instance("COMES", f"goes-{n % 50}", lastDirtyTimestamp=str(n))
        path = f"/eureka/apps/COMES/goes-{n % 50}"
        return request("POST", "/eureka/apps/COMES", body=registration(tree)) + request("DELETE", path)

    def once(start: int, count: int) -> None:
        with Line(fresh.port) as line:
            for n in range(start, start + count):
                line.send(both(n))
                assert (line.read().status, line.read().status) in ((204, 200), (204, 404))

    once(1, 700)
    before = fresh.rss()
    once(2000, 5000 if LONG else 700)
    assert fresh.rss() - before <= 4 * 1024


def test_S24_half_heads_do_not_keep_others_waiting(fresh: HostileRegistry) -> None:
    lines = [Line(fresh.port) for _ in range(150)]
    try:
        for line in lines:
            line.send(b"POST /eureka/apps/X HTTP/1.1\r\nHost: localhost\r\nX: ")
        begun = time.monotonic()
        for _ in range(100):
            assert fresh.get("apps/KEEPER-0").status == 200
        assert time.monotonic() - begun < 20
        if LONG:
            time.sleep(12)
            statuses = [line.read().status for line in lines]
            assert set(statuses) == {408}
    finally:
        for line in lines:
            line.close()


def test_S55_whoever_does_not_read_is_not_waited_for(fresh: HostileRegistry) -> None:
    for n in range(40):
        assert (
            fresh.register(instance("LARGE", f"large-{n}", metadata={f"k{m}": "v" * 4000 for m in range(7)}))
            == 204
        )
    before = fresh.rss()
    lines = [Line(fresh.port) for _ in range(30)]
    try:
        for line in lines:
            line.send(request("GET", "/eureka/apps", {"Accept": "application/json"}) * 8)
        begun = time.monotonic()
        for _ in range(20):
            assert fresh.get("apps/KEEPER-0").status == 200
        assert time.monotonic() - begun < 20
        # A megabyte each, eight times over, was asked for: only what is under way is held.
        assert fresh.rss() - before < 80 * 1024
    finally:
        for line in lines:
            line.close()
    for n in range(40):
        assert fresh.ask("DELETE", f"apps/LARGE/large-{n}").status == 200


def test_L05_bombs_cost_little(fresh: HostileRegistry) -> None:
    bomb = gzip.compress(b'{"a":"' + b"x" * 60_000_000 + b'"}', 9)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    paths = ("apps/X", "peerreplication/batch", "/resilient/v1/circuits")
    for path in paths:
        fresh.ask("POST", path, headers, bomb)
    before = fresh.rss()
    for path in paths * 5:
        assert fresh.ask("POST", path, headers, bomb).status == 413
    assert fresh.rss() - before < 24 * 1024
