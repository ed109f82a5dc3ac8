"""Tries by what came of them, by zone, and what they took; threads. Numbers are the specification's cases."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp import web
from metrics_kit import one, page, total

import resilient.aiohttp
from resilient import Runtime, circuit
from resilient.balancing.dialect import TROUBLES, Dialect
from resilient.circuits.pool import Pool
from resilient.clock import ManualClock
from resilient.model import Instance
from resilient.settings import Settings
from resilient.telemetry.metrics import Fold, metrics_of
from resilient.telemetry.metrics import threads as exported

DIALECT = Dialect(timeouts=(TimeoutError,), broken=(ConnectionError,))


def until(done: Callable[[], object]) -> None:
    """Wait in this thread, up to twenty seconds."""
    waited = threading.Event()
    for _ in range(4000):
        if done():
            return
        waited.wait(0.005)
    raise AssertionError("it did not come to that")


# --- what is counted


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def made(clock: ManualClock, zone: str = "", *zones: str) -> Runtime:
    listed = tuple(
        Instance(service="stock", id=f"i{n}", host=f"h{n}", port=80, zone=where)
        for n, where in enumerate(zones or ("default",))
    )
    return Runtime(
        settings=Settings.load({"RESILIENT_ZONE": zone} if zone else {}),
        instances={"stock": listed},
        clock=clock,
        rng=random.Random(1),
    )


def tried(
    runtime: Runtime, clock: ManualClock, end: BaseException | int | None, seconds: float = 0.5
) -> None:
    """One try that takes so long and ends so: with an error, a status, or well."""
    tries = runtime.balancer.tries("stock", harmless=False, dialect=DIALECT, retries=0)
    with contextlib.suppress(BaseException):
        for pick in tries:
            with pick:
                clock.advance(seconds)
                if isinstance(end, int):
                    tries.again(end, 3.0 if end == 429 else None)
                elif isinstance(end, BaseException):
                    raise end


@pytest.mark.parametrize(
    ("end", "result", "reason"),
    [
        (None, "success", ""),
        (404, "success", ""),
        (503, "failure", "status"),
        (429, "other", "overload"),
        (TimeoutError(), "failure", "timeout"),
        (ConnectionResetError(), "failure", "broken"),
        (asyncio.CancelledError(), "other", "void"),
        (ValueError("the caller's own"), "other", "void"),
    ],
)
def test_each_try_is_counted_once_by_what_came_of_it(
    clock: ManualClock, end, result: str, reason: str
) -> None:
    runtime = made(clock)
    tried(runtime, clock, end)
    found = page(metrics_of(runtime))
    assert one(found, "resilient_tries_total", result=result) == 1
    assert total(found, "resilient_tries_total") == 1
    assert total(found, "resilient_try_troubles_total") == bool(reason)
    if reason:
        assert one(found, "resilient_try_troubles_total", reason=reason) == 1
    assert one(found, "resilient_try_duration_seconds_count", service="stock") == 1
    assert one(found, "resilient_try_duration_seconds_sum", service="stock") == 0.5
    assert one(found, "resilient_balancer_picks_total", zone="none") == 1


def test_nothing_was_sent() -> None:
    never = Dialect(never_sent=(OSError,))
    runtime = made(ManualClock())
    for error in (ConnectionRefusedError(), OSError("no route")):
        with contextlib.suppress(OSError):
            for pick in runtime.balancer.tries("stock", harmless=True, dialect=never, retries=0):
                with pick:
                    raise error
    found = page(metrics_of(runtime))
    assert one(found, "resilient_try_troubles_total", reason="refused") == 1
    assert one(found, "resilient_try_troubles_total", reason="connect") == 1
    assert one(found, "resilient_tries_total", result="failure") == 2


def test_an_answer_that_breaks_off_later(clock: ManualClock) -> None:
    runtime = made(clock)
    with runtime.balancer.pick("stock") as pick:
        clock.advance(0.1)
    pick.broke(ConnectionResetError())
    with runtime.balancer.pick("stock") as pick:
        pick.broke(ConnectionResetError())
    found = page(metrics_of(runtime))
    assert one(found, "resilient_try_troubles_total", reason="body") == 1
    assert one(found, "resilient_try_troubles_total", reason="broken") == 1
    # The first one was a success before.
    assert total(found, "resilient_tries_total") == 2 + one(
        found, "resilient_try_troubles_total", reason="body"
    )


def test_tries_by_zone(clock: ManualClock) -> None:
    runtime = made(clock, "a", "a", "A", *"bbbbbb")
    for n in range(100):
        tried(runtime, clock, 503 if n % 10 == 9 else None, 0.01)
    found = page(metrics_of(runtime))
    local, remote = (one(found, "resilient_balancer_picks_total", zone=zone) for zone in ("local", "remote"))
    assert local > remote > 0
    assert local + remote == total(found, "resilient_tries_total") == 100
    assert one(found, "resilient_balancer_picks_total", zone="none") == 0
    assert one(found, "resilient_try_duration_seconds_sum") == pytest.approx(1.0)


def test_12_a_copy_that_changes_its_zone_or_is_forgotten_makes_no_counter_fall(clock: ManualClock) -> None:
    listed = [[Instance(service="stock", id="i", host="h", port=80, zone=zone)] for zone in "ab"]
    runtime = made(clock, "a")
    runtime.balancer._lookup = lambda _: listed[0]  # type: ignore[method-assign]
    metrics = metrics_of(runtime)
    before = dict.fromkeys(("local", "remote"), 0.0)
    for number in range(300):
        if number == 50:
            listed.reverse()
        elif number > 100:
            listed[0] = [Instance(service="stock", id=f"i{number}", host="h", port=80, zone="ab"[number % 2])]
        tried(runtime, clock, None)
        found = page(metrics)
        now = {zone: one(found, "resilient_balancer_picks_total", zone=zone) for zone in before}
        assert all(now[zone] >= before[zone] for zone in before)
        assert sum(now.values()) == number + 1 == one(found, "resilient_try_duration_seconds_count")
        before = now
    assert len(runtime.balancer.pools[0].nodes) < 250


# --- a server of one's own


class Moody:
    """A server that counts the requests it sees, and answers as their path says."""

    def __init__(self) -> None:
        self.seen = self.hung = 0
        self.waiting = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen += 1
        mood = request.path.strip("/")
        if mood == "hang":
            self.hung += 1
            self.waiting.set()
            await asyncio.sleep(60)
        if mood == "reset":
            assert request.transport is not None
            request.transport.abort()
        if mood == "half":
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b"half of it")
            assert request.transport is not None
            request.transport.abort()
            return response
        headers = {"Retry-After": "0"} if mood == "429" else {}
        return web.Response(status=int(mood) if mood.isdigit() else 200, headers=headers)


async def test_10_as_many_tries_as_the_server_saw_requests() -> None:
    """Calls of every outcome, some of them with two tries: what is counted is what arrived."""
    moody = Moody()
    app = web.Application()
    app.router.add_get("/{mood}", moody.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    sites = [web.TCPSite(runner, "127.0.0.1", 0) for _ in range(2)]
    for site in sites:
        await site.start()
    urls = ["http://127.0.0.1:{}".format(*site._server.sockets[0].getsockname()[1:2]) for site in sites]  # type: ignore[union-attr]
    runtime = Runtime(instances={"moody": urls}, settings=Settings.load({}))

    @circuit("calls", fail_max=10_000, min_calls=10_000, timeout=20)
    async def call(mood: str) -> bytes:
        async with session.get(f"http://moody/{mood}") as response:
            body = await response.read()
            if response.status >= 500:
                raise OSError(response.status)
            return body

    patient, hasty = call, call.options(timeout=0.3)
    made = 0
    with runtime.active():
        # No connection is used twice: when one breaks then, the same try goes on over another.
        fresh = aiohttp.TCPConnector(force_close=True)
        async with resilient.aiohttp.make_session(connector=fresh) as session:
            for mood in ("fine", "503", "500", "404", "429", "reset", "half", "fine") * 5:
                with contextlib.suppress(OSError, aiohttp.ClientError):
                    await patient(mood)
                made += 1
            for _ in range(3):
                with contextlib.suppress(TimeoutError, resilient.CallTimeout):
                    await hasty("hang")
                made += 1
            for _ in range(3):
                moody.waiting.clear()
                task = asyncio.ensure_future(patient("hang"))
                await asyncio.wait_for(moody.waiting.wait(), 20)
                task.cancel()
                await asyncio.wait([task])
                made += 1
        found = page(metrics_of(runtime))
    await runner.cleanup()
    twice, late, given_up = (
        one(found, "resilient_try_troubles_total", reason=reason) for reason in ("body", "timeout", "void")
    )
    assert twice == 5  # answered, and broken off later
    tries = total(found, "resilient_tries_total") - twice
    assert tries - late - given_up == moody.seen - moody.hung
    assert given_up >= 3
    # On a machine that is very busy the time may be over before the server has heard of it.
    assert 3 <= moody.hung <= late + given_up
    assert tries == made + one(found, "resilient_retries_total", service="moody") > made
    assert one(found, "resilient_tries_in_flight", service="moody") == 0
    assert total(found, "resilient_circuit_calls_total", circuit="calls") == made
    for reason in ("status", "broken", "overload"):
        assert one(found, "resilient_try_troubles_total", reason=reason), reason
    assert set(TROUBLES) == {
        dict(pairs)["reason"] for name, pairs in found if name == "resilient_try_troubles_total"
    }


# --- threads


def test_pools_of_threads() -> None:
    runtime = Runtime(settings=Settings.load({}))
    with runtime.active():
        go, begun = threading.Event(), threading.Event()

        @circuit("blocking", isolation="thread", pool_size=2, thread_pool="disk", timeout=0.05)
        def work(wait: bool) -> int:
            if wait:
                begun.set()
                go.wait(30)
            return 1

        metrics = metrics_of(runtime)
        assert not total(page(metrics), "resilient_pool_size"), "a pool that nobody has used"
        work.options(timeout=20)(False)
        with pytest.raises(resilient.CallTimeout):
            work(True)
        assert begun.wait(20)
        found = page(metrics)
        assert one(found, "resilient_pool_size", pool="disk") == 2
        assert one(found, "resilient_pool_threads", pool="disk", state="abandoned") == 1
        assert one(found, "resilient_pool_threads", pool="disk", state="active") == 0
        pool = runtime.circuits.pools.get("disk", 2)
        assert pool.start(lambda: go.wait(30) and None)  # type: ignore[func-returns-value]
        assert not pool.start(go.wait)  # type: ignore[arg-type]
        found = page(metrics)
        assert one(found, "resilient_pool_threads", pool="disk", state="active") == 1
        assert one(found, "resilient_pool_calls_total", pool="disk", result="rejected") == 1
        go.set()
        until(lambda: pool.snapshot().active == 0)
        until(lambda: runtime.circuits.get("blocking").abandoned == 0)
        found = page(metrics)
        assert one(found, "resilient_pool_calls_total", pool="disk", result="done") == 3
        assert total(found, "resilient_pool_threads") == one(found, "resilient_pool_threads", state="idle")


def test_13_more_pools_than_series() -> None:
    pools = [Pool(f"p{n}", 4) for n in range(5)]
    names = Fold(3)
    rows = list(exported.rows([one.snapshot() for one in pools], [], names))
    assert [row.labels for row in rows] == [("p0",), ("p1",), ("p2",), ("other",)]
    assert rows[-1].numbers[1] == (8,)
    assert names.active
