"""Cases 95 to 100: our own client, against a registry that does what the test tells it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web
from conformance_kit import Leap
from flaky import servers
from scripted import INTERVAL, Scripted, free_port, ids, me, one, until

import resilient.aiohttp
from resilient import Runtime, circuit
from resilient.balancing.balancer import Balancer
from resilient.clock import ManualClock
from resilient.discovery.client import RegistryClient
from resilient.discovery.tasks import Discovery
from resilient.model import Action, Status
from resilient.settings import RegistryAddress, Settings

Make = Callable[..., Discovery]


@pytest.fixture
async def played() -> AsyncIterator[Scripted]:
    server = await Scripted().start()
    yield server
    await server.stop()


@pytest.fixture
async def discover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Start a client of registries: ``await discover([url], me())``."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made: list[Discovery] = []

    async def start(urls: list[str], instance: Any = None, clock: Any = None, **more: Any) -> Discovery:
        settings = Settings.load({}, fetch_interval=INTERVAL, mdns=False, **more)
        made.append(Discovery(settings, urls, instance, rng=Random(1), clock=clock or time))
        await made[-1].start()
        return made[-1]

    yield start
    for discovery in made:
        await discovery.stop()


def refusing(
    method: str, code: int, end: str = "", text: str = ""
) -> Callable[[web.Request], web.Response | None]:
    def answer(request: web.Request) -> web.Response | None:
        if request.method != method or not request.path.endswith(end):
            return None
        return web.Response(status=code, text=text)

    return answer


# -- 95: registration -----------------------------------------------------------------------------


@pytest.mark.client("M")
async def test_case_095_204_is_registered(played: Scripted, discover: Make) -> None:
    """Answered with 204: registered, once, and heartbeats follow."""
    discovery = await discover([played.url], me())
    await until(lambda: played.count("PUT apps/ORDERS/me?") >= 2)
    assert discovery.registered
    assert played.count("POST") == 1


@pytest.mark.client("M")
@pytest.mark.parametrize("code", [200, 400, 500])
async def test_case_095_nothing_else_is(played: Scripted, discover: Make, code: int) -> None:
    """Answered with anything else: not registered, no heartbeat, tried again."""
    played.answer = refusing("POST", code)
    discovery = await discover([played.url], me())
    await until(lambda: played.count("POST") >= 3)
    assert not discovery.registered
    assert played.count("PUT") == 0
    played.answer = None
    await until(lambda: discovery.registered)


@pytest.mark.client("M")
@pytest.mark.parametrize("text", ["", "404: Not Found"])
async def test_case_095_a_404_is_followed_by_a_registration(
    played: Scripted, discover: Make, text: str
) -> None:
    """A heartbeat's 404, with or without a body: at once a registration with a newer stamp."""
    discovery = await discover([played.url], me(renew_every=0.6))
    await until(lambda: discovery.registered)
    stamp = played.instances["me"].dirty_at
    heard: list[float] = []

    def forget(request: web.Request) -> web.Response | None:
        if request.method == "PUT" and not heard:
            heard.append(time.monotonic())
            played.instances.clear()
            return web.Response(status=404, text=text)
        return None

    played.answer = forget
    await until(lambda: heard)
    await until(lambda: played.instances)
    assert time.monotonic() - heard[0] < 0.5  # no interval was waited for
    assert played.instances["me"].dirty_at > stamp


# -- 96: reading ----------------------------------------------------------------------------------


def reads(played: Scripted) -> list[str]:
    return [call for call in played.calls if call.startswith("GET")]


@pytest.mark.client("M")
async def test_case_096_first_everything_then_deltas(played: Scripted, discover: Make) -> None:
    """The first fetch is full, later ones are deltas."""
    played.put(one("a"))
    discovery = await discover([played.url])
    await until(lambda: ids(discovery) == ["a"])
    played.put(one("b"))
    await until(lambda: ids(discovery) == ["a", "b"])
    played.drop("a")
    await until(lambda: ids(discovery) == ["b"])
    assert reads(played)[0] == "GET apps"
    assert set(reads(played)[1:]) == {"GET apps/delta"}


@pytest.mark.client("M")
@pytest.mark.parametrize("code", [403, 404, 500, 503])
async def test_case_096_a_delta_that_is_refused(played: Scripted, discover: Make, code: int) -> None:
    """A delta refused in any way is followed by a full fetch."""
    discovery = await discover([played.url])
    await until(lambda: discovery.ready.is_set())
    played.answer = refusing("GET", code, "delta")
    played.put(one("a"))
    await until(lambda: ids(discovery) == ["a"])
    refused = reads(played).index("GET apps/delta")
    assert "GET apps" in reads(played)[refused + 1 :]


@pytest.mark.client("M")
async def test_case_096_a_delta_whose_hash_differs(played: Scripted, discover: Make) -> None:
    """A delta that leads to another hash is followed by a full fetch."""
    played.put(one("a"))
    discovery = await discover([played.url])
    await until(lambda: ids(discovery) == ["a"])
    played.put(one("b"))
    played.recent.clear()  # the news of b is lost: only the hash can tell
    await until(lambda: ids(discovery) == ["a", "b"])
    assert played.count("GET apps") - played.count("GET apps/delta") >= 2


@pytest.mark.client("M")
async def test_case_096_deltas_that_say_nothing_new(played: Scripted, discover: Make) -> None:
    """``DELETED`` for an unknown id, and the same delta again and again, change nothing."""
    played.put(one("a"))
    discovery = await discover([played.url])
    await until(lambda: ids(discovery) == ["a"])
    played.recent.append((Action.DELETED, one("ghost")))
    played.recent.append((Action.MODIFIED, one("b")))
    played.instances["b"] = one("b")
    played.version += 1
    await until(lambda: ids(discovery) == ["a", "b"])
    directory, before = discovery.directory, len(played.calls)
    await until(lambda: len(played.calls) >= before + 4)
    assert discovery.directory is directory
    assert reads(played).count("GET apps") == 1


# -- 97 and 98: registries that fail ----------------------------------------------------------------


@pytest.mark.client("M")
async def test_case_097_an_hour_without_a_registry(played: Scripted, discover: Make) -> None:
    """The last list is served with its age; within one interval of the return heartbeats go on."""
    interval, clock = 0.4, Leap()
    played.put(one("a"))
    discovery = await discover([played.url], me(renew_every=interval), clock)
    await until(lambda: ids(discovery) == ["a", "me"] and discovery.registered)
    await played.stop()
    await until(lambda: discovery.last_error)
    clock.skipped = 3600.0
    await asyncio.sleep(2 * interval)
    assert ids(discovery) == ["a", "me"]
    assert discovery.age is not None
    assert 3600 < discovery.age < 3610
    played.calls.clear()
    await played.restart()
    began = time.monotonic()
    await until(lambda: [call for call in played.calls if call[:3] in ("PUT", "POS")])
    assert time.monotonic() - began < interval + 5  # not at the end of some back-off
    await until(lambda: ids(discovery) == ["me"])
    await until(lambda: discovery.age is not None and discovery.age < 1)
    assert discovery.registered


@pytest.mark.client("M")
async def test_case_098_a_dead_address_first(played: Scripted) -> None:
    """[dead, alive]: the call succeeds in its series, and next time the dead one is not asked first."""
    dead = f"http://127.0.0.1:{free_port()}/eureka/"
    for seed in range(6):
        client = RegistryClient([dead, played.url], clock=ManualClock(), rng=Random(seed))
        try:
            assert (await client.full()).source == played.url
            assert client.urls == [played.url, dead]
            assert (await client.delta()).source == played.url
        finally:
            await client.close()


@pytest.mark.client("M")
async def test_case_098_three_tries_at_most(played: Scripted) -> None:
    """A call asks three addresses at most."""
    dead = [f"http://127.0.0.1:{free_port()}/eureka/" for _ in range(5)]
    client = RegistryClient(dead, clock=ManualClock(), rng=Random(1))
    with pytest.raises(Exception) as caught:
        await client.full()
    assert len(caught.value.tried) == 3  # type: ignore[attr-defined]
    await client.close()


@pytest.mark.client("M")
def test_case_098_the_choice_is_made_anew() -> None:
    """After 10 to 30 minutes the address is chosen anew, and not before."""
    urls = ["http://a/eureka/", "http://b/eureka/", "http://c/eureka/"]
    moved_at = []
    for seed in range(40):
        clock = ManualClock()
        client = RegistryClient(urls, clock=clock, rng=Random(seed))
        first = client.urls
        for second in range(0, 1801, 10):
            if client.urls != first:
                moved_at.append(second)
                break
            clock.advance(10)
    assert len(moved_at) > 20  # some draw the same order again
    assert min(moved_at) >= 600
    assert max(moved_at) - min(moved_at) > 600  # not all at once


@pytest.mark.client("M")
def test_case_098_the_own_zone_first() -> None:
    """Addresses of the own zone precede the others."""
    near = [RegistryAddress.parse(f"near{n}", zone="east") for n in range(2)]
    far = [RegistryAddress.parse(f"far{n}", zone="west") for n in range(3)]
    for seed in range(10):
        client = RegistryClient([*far, *near], zone="east", clock=ManualClock(), rng=Random(seed))
        assert set(client.urls[:2]) == {one.url for one in near}


# -- 99: the end -----------------------------------------------------------------------------------


@pytest.mark.client("M")
async def test_case_099_signing_out(played: Scripted, discover: Make) -> None:
    """At the end: ``DOWN``, then DELETE, then nothing any more."""
    discovery = await discover([played.url], me())
    await until(lambda: played.count("PUT") >= 1)
    await discovery.stop()
    assert discovery.instance is not None
    assert discovery.instance.status is Status.DOWN
    assert played.calls[-1] == "DELETE apps/ORDERS/me"
    assert played.instances == {}
    calls = len(played.calls)
    discovery.become(Status.UP)
    await asyncio.sleep(4 * INTERVAL)
    assert len(played.calls) == calls


@pytest.mark.client("M")
async def test_case_099_not_signing_out(played: Scripted, discover: Make) -> None:
    """With signing out switched off there is no DELETE, and no heartbeat either."""
    discovery = await discover([played.url], me(), sign_out=False)
    await until(lambda: discovery.registered)
    await discovery.stop()
    calls = len(played.calls)
    await asyncio.sleep(4 * INTERVAL)
    assert len(played.calls) == calls
    assert played.count("DELETE") == 0
    assert "me" in played.instances


# -- 100: the circuit stands before the balancer ---------------------------------------------------


@pytest.fixture
def consulted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whatever is asked of the directory and of the balancer."""
    seen: list[str] = []

    def spy(kind: type, name: str) -> None:
        real = getattr(kind, name)

        def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(f"{kind.__name__}.{name}")
            return real(self, *args, **kwargs)

        monkeypatch.setattr(kind, name, asked)

    for name in ("lookup", "knows", "instances", "services"):
        spy(Runtime, name)
    for name in ("pick", "tries", "pick_for"):
        spy(Balancer, name)
    return seen


@pytest.mark.client("M")
async def test_case_100_an_open_circuit_asks_nobody(consulted: list[str]) -> None:
    """Circuit open: the fallback answers; neither directory nor balancer is consulted."""
    with servers() as made:
        service = made.start("ok")
        runtime = Runtime(instances={"orders": [service.url]})
        with runtime.active():

            @circuit("calls", fallback=lambda: "from the fallback")
            async def fetch() -> str:
                async with resilient.aiohttp.session().get("http://orders/x") as response:
                    return await response.text()

            assert await fetch() == "fine"
            assert {"Runtime.lookup", "Balancer.tries", "Balancer.pick_for"} <= set(consulted)
            runtime.circuits.get("calls").open()
            consulted.clear()
            for _ in range(3):
                assert await fetch() == "from the fallback"
            assert consulted == []
            assert service.reached == 1
        await runtime.aclose()


@pytest.mark.client("M")
async def test_case_100_a_closed_circuit_goes_where_it_should(played: Scripted) -> None:
    """Circuit closed: only ``UP`` instances, the own zone first, and a retry avoids who failed."""
    with servers() as made:
        near, bad, far, far_too, down = (made.start(word) for word in ("ok", "503", "ok", "ok", "ok"))
        zones = {
            "near": (near, "east"),
            "bad": (bad, "east"),
            "far": (far, "west"),
            "far2": (far_too, "west"),
        }
        for id, (server, zone) in zones.items():
            played.put(one(id, port=int(server.url.rpartition(":")[2]), zone=zone))
        for id, status in (
            ("down", "DOWN"),
            ("out", "OUT_OF_SERVICE"),
            ("new", "STARTING"),
            ("who", "UNKNOWN"),
        ):
            played.put(one(id, port=int(down.url.rpartition(":")[2]), zone="east", status=status))
        settings = Settings.load({}, registry=played.url, zone="east", register=False, mdns=False)
        async with Runtime(settings=settings, rng=Random(5)) as runtime:

            @circuit("calls")
            async def fetch() -> int:
                async with resilient.aiohttp.session().get("http://orders/x") as response:
                    return response.status

            for _ in range(20):
                failed, tried = bad.reached, sum(one.reached for one, _ in zones.values())
                assert await fetch() == 200
                failed = bad.reached - failed
                tried = sum(one.reached for one, _ in zones.values()) - tried
                assert failed <= 1
                assert tried == 1 + failed
            assert bad.reached > 0
            # Only a retry leaves the zone while it can serve its share.
            assert far.reached + far_too.reached <= bad.reached
            assert near.reached >= 20 - bad.reached
            assert down.reached == 0
            assert [one.id for one in runtime.lookup("orders")] == list(zones)
