"""Thousands of requests that are nearly right. The short form runs always; the long one when asked for:
``HOSTILE_REQUESTS=100000 HOSTILE_SEED=7 pytest tests/hostile/test_hostile_fuzz.py``."""

from __future__ import annotations

import contextlib
import json
import os
import xml.etree.ElementTree as ET
from urllib.parse import quote

import pytest
from hostile_fuzz import Fuzz, Request
from hostile_kit import SAID_SO, HostileRegistry, Line, Reply, Wrong, hostile_registry

SHORT = 2000
REQUESTS = int(os.environ.get("HOSTILE_REQUESTS", SHORT))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))
EVERY = 1000 if REQUESTS <= SHORT else 2000
#: What the process may grow by after its first tenth of the requests, in KiB.
GROWTH = 64 * 1024

pytestmark = pytest.mark.timeout(60 if REQUESTS <= SHORT else 3600)


def judge(request: Request, reply: Reply) -> None:
    if reply.status >= 500 and reply.status not in SAID_SO:
        raise Wrong(f"status {reply.status}")
    if not reply.status or reply.status == 304:
        return
    if reply.headers.get("x-content-type-options") != "nosniff":
        raise Wrong("no nosniff")
    if "server" in reply.headers:
        raise Wrong("it names its software")
    kind = reply.headers.get("content-type", "")
    if reply.body:
        if kind.startswith("application/json"):
            json.loads(reply.body)
        elif kind.startswith("application/xml"):
            ET.fromstring(reply.body)
        bare = request.framed and request.target.startswith("/eureka/") and reply.status not in (200, 409)
        # What was never understood as a request has no path yet.
        if bare and reply.json()["error"]["code"] not in ("bad-request", "header-too-large"):
            raise Wrong("an error with a body, which Eureka's clients would read as an instance")


def clear(registry: HostileRegistry) -> None:
    """Everybody who got in can be addressed, and signs out."""
    for one in registry.others():
        path = f"apps/{one['app']}/{quote(one['instanceId'], safe='')}"
        if (status := registry.ask("DELETE", path).status) not in (200, 404):
            raise Wrong(f"{path} cannot sign out: {status}")
    if left := registry.others():
        raise Wrong(f"still there: {left[:3]}")


def test_a_fuzzed_registry_answers_loses_nothing_and_does_not_grow() -> None:
    fuzz = Fuzz(SEED)
    counts: dict[int, int] = {}
    with hostile_registry() as registry, Line(registry.port) as line:
        base = descriptors = 0
        for number in range(1, REQUESTS + 1):
            request, wire = fuzz.next()
            try:
                if request.framed:
                    replies = [line.ask(wire, head=request.method == "HEAD")]
                else:
                    replies = line.blurt(wire)
                for reply in replies:
                    judge(request, reply)
                    counts[reply.status] = counts.get(reply.status, 0) + 1
                if number % EVERY == 0 or number == REQUESTS:
                    registry.check()
                    clear(registry)
            except (Wrong, TimeoutError, ValueError, ET.ParseError) as error:
                shown = wire if len(wire) < 3000 else wire[:1500] + b" ... " + wire[-300:]
                with contextlib.suppress(Exception):
                    registry.check()
                log = "".join(registry.complaints()[-1:]).replace("\\n", "\n")[-2500:]
                raise AssertionError(
                    f"request {number} of seed {SEED}: {error}\n{shown!r}\nframed: {request.framed}\n{log}"
                ) from None
            if number == max(1, REQUESTS // 10):
                base, descriptors = registry.rss(), registry.descriptors()
        grown = registry.rss() - base
        print(f"{REQUESTS} requests, grown by {grown} KiB from {base} KiB; {dict(sorted(counts.items()))}")
        assert grown < GROWTH, f"grew by {grown} KiB from {base} KiB"
        assert registry.descriptors() <= descriptors + 5
    # Enough of them got through to mean something.
    assert counts[204] > REQUESTS / 100
    assert counts[200] > REQUESTS / 10
    assert counts[400] > REQUESTS / 20
