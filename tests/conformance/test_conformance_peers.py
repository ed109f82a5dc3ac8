"""Cases 81, 86 to 89, 92 and 93: the start of a registry with peers, and what it tells them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from conformance_kit import Leap, Wire, alone, instance, wired
from scripted import Scripted, free_port, one, until

from registry_server.app import running
from registry_server.peers.line import Timing
from registry_server.preservation import PreservationPolicy
from registry_server.settings import Settings
from resilient.settings import RegistryAddress

Item = dict[str, Any]
BATCH_PATH = "POST peerreplication/batch/"
#: Seconds after which a batch would have come.
QUIET = 0.25


class Neighbour(Scripted):
    """A peer of another make. ``reply`` answers one item, ``status`` a whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[Item]] = []
        self.times: list[float] = []
        self.reply: Callable[[Item], Item] = lambda item: {"statusCode": 200}
        self.status = 200
        self.hang = 0.0
        self.gate = asyncio.Event()
        self.gate.set()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("peerreplication/batch/"):
            await self.gate.wait()
            return await super()._serve(request)
        self.calls.append(f"{request.method} {request.raw_path.removeprefix('/eureka/')}")
        self.headers.append(dict(request.headers))
        sent = json.loads(await request.read())["replicationList"]
        self.times.append(time.monotonic())
        self.batches.append(sent)
        await asyncio.sleep(self.hang)
        replies = [self.reply(item) for item in sent]
        return web.json_response({"responseList": replies}, status=self.status)

    def told(self, action: str = "") -> list[Item]:
        """All items told so far."""
        return [item for batch in self.batches for item in batch if action in ("", item["action"])]

    def clear(self) -> None:
        self.batches.clear()
        self.times.clear()


@pytest.fixture
async def neighbours() -> AsyncIterator[Callable[[], Any]]:
    started: list[Neighbour] = []

    async def start() -> Neighbour:
        started.append(Neighbour())
        await started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.gate.set()
        await server.stop()


def peered(*peers: Scripted | str, timing: dict[str, float] | None = None, **more: Any) -> Settings:
    """Settings of a private registry with peers; batches every 50 ms, pauses after failures as they are."""
    urls = (peer if isinstance(peer, str) else peer.url for peer in peers)
    timing = Timing(**{"delay": 0.05, "read": 0.2, "copy_again": 0.05, **(timing or {})})
    return alone(peers=tuple(map(RegistryAddress.parse, urls)), peer_timing=timing, **more)


@contextlib.asynccontextmanager
async def told_on(*peers: Scripted | str, **more: Any) -> AsyncIterator[Wire]:
    """A registry with these peers, open for reads, at a clock that can leap."""
    clock = Leap()
    async with contextlib.AsyncExitStack() as stack:
        registry = await stack.enter_async_context(running(peered(*peers, **more), clock=clock))
        wire = await stack.enter_async_context(wired_to(registry, clock))
        clock.skipped += 301
        yield wire


@contextlib.asynccontextmanager
async def wired_to(registry: Any, clock: Any) -> AsyncIterator[Wire]:
    skipped = ["Accept", "Accept-Encoding"]
    async with aiohttp.ClientSession(skip_auto_headers=skipped, auto_decompress=False) as session:
        yield Wire(registry, clock, session)


# -- what peers are not told ----------------------------------------------------------------------


@pytest.mark.instead("no number of clients is expected here")
@pytest.mark.clock("S")
async def test_case_081_an_eviction_is_not_told(neighbours: Any, private: None) -> None:
    """An eviction causes no request to peers."""
    peer = await neighbours()
    settings = peered(peer, preservation=PreservationPolicy(enabled=False))
    async with wired(settings) as wire:
        await wire.register()
        wire.clock.advance(1)
        await until(lambda: peer.told("Register"))
        peer.clear()
        wire.clock.advance(91)
        assert await wire.sweep() == 1
        for _ in range(5):
            wire.clock.advance(1)
            await asyncio.sleep(QUIET / 5)
        assert peer.told() == []


# -- the start ------------------------------------------------------------------------------------


@pytest.mark.clock("S")
async def test_case_086_nobody_has_data(neighbours: Any, private: None) -> None:
    """Peers without data: lists are refused for 300 s; single instances and all writes work."""
    peer = await neighbours()
    lists = ("apps", "apps/delta", "apps/ORDERS", "vips/orders", "svips/orders")
    async with wired(peered(peer)) as wire:
        await wire.register()
        for seconds in (0, 1, 298):
            wire.clock.advance(seconds)
            await asyncio.sleep(0.06)
            for path in lists:
                answer = await wire.get(path)
                assert (path, answer.status, answer.body) == (path, 403, b"")
            assert (await wire.put("apps/ORDERS/i1")).status == 200
        assert (await wire.one())["status"] == (await wire.one("instances/i1"))["status"] == "UP"
        assert (await wire.put("apps/ORDERS/i1/status?value=DOWN")).status == 200
        assert (await wire.delete("apps/ORDERS/i1/status?value=UP")).status == 200
        assert (await wire.put("apps/ORDERS/i1/metadata?a=1")).status == 200
        await wire.register(instanceId="i2")
        assert (await wire.delete("apps/ORDERS/i2")).status == 200
        wire.clock.advance(2)
        for path in lists:
            assert (await wire.get(path)).status == 200


@pytest.mark.clock("plus")
async def test_case_086_nobody_to_wait_for(private: None) -> None:
    """No peers configured: open at once."""
    async with wired(alone()) as wire:
        assert (await wire.get("apps")).status == 200


@pytest.mark.clock("plus")
async def test_case_087_no_list_before_it_is_whole(neighbours: Any, private: None) -> None:
    """While a peer's instances are copied no reader gets a part of them."""
    peer = await neighbours()
    for number in range(450):
        peer.put(one(f"i{number}", f"app{number % 7}"))
    peer.gate.clear()
    seen: list[tuple[int, int]] = []
    async with wired(peered(peer)) as wire:

        async def look() -> int:
            answer = await wire.get("apps")
            seen.append((answer.status, answer.body.count(b'"instanceId"')))
            return answer.status

        for _ in range(5):
            assert await look() == 403
        peer.gate.set()
        async with asyncio.timeout(5):
            while await look() != 200:
                await asyncio.sleep(0)
    assert set(seen) == {(403, 0), (200, 450)}


# -- telling --------------------------------------------------------------------------------------


@pytest.mark.clock("M")
async def test_case_088_three_servers(neighbours: Any, private: None) -> None:
    """Registered at A, listed by B and C; these tell nobody on."""
    spy, ports = await neighbours(), [free_port() for _ in range(3)]
    urls = [f"http://127.0.0.1:{port}/eureka/" for port in ports]
    clock = Leap()
    async with contextlib.AsyncExitStack() as stack:
        wires = []
        for number, port in enumerate(ports):
            others = (*urls, spy.url) if number else tuple(urls)  # B and C have a neighbour that A has not
            settings = peered(*others, port=port)
            registry = await stack.enter_async_context(running(settings, clock=clock))
            wires.append(await stack.enter_async_context(wired_to(registry, clock)))
        clock.skipped += 301
        await wires[0].register()

        async def listed(id: str) -> None:
            async with asyncio.timeout(5):
                for wire in wires[1:]:
                    while (await wire.get(f"apps/ORDERS/{id}")).status != 200:
                        await asyncio.sleep(0.02)

        await listed("i1")
        assert "i1" in await wires[1].listed()
        assert "i1" in await wires[2].listed()
        assert (await wires[0].put("apps/ORDERS/i1/status?value=OUT_OF_SERVICE")).status == 200
        async with asyncio.timeout(5):
            while {(await wire.one())["status"] for wire in wires} != {"OUT_OF_SERVICE"}:
                await asyncio.sleep(0.02)
        assert (await wires[0].delete("apps/ORDERS/i1")).status == 200
        async with asyncio.timeout(5):
            while any([await wire.listed() for wire in wires]):
                await asyncio.sleep(0.02)
        await asyncio.sleep(QUIET)
        assert spy.told() == []


@pytest.mark.clock("M")
async def test_case_088_what_a_peer_hears(neighbours: Any, private: None) -> None:
    """The path of a batch, an instance without wrapper, a stamp that is a number."""
    peer = await neighbours()
    async with told_on(peer) as wire:
        await wire.register()
        await until(lambda: peer.told("Register"))
        assert BATCH_PATH in peer.calls
        headers = peer.headers[peer.calls.index(BATCH_PATH)]
        assert headers["Content-Type"].startswith("application/json")
        assert "x-netflix-discovery-replication" not in {name.lower() for name in headers}
        (item,) = peer.told("Register")
        assert (item["appName"], item["id"]) == ("ORDERS", "i1")
        assert item["lastDirtyTimestamp"] == 1000
        assert type(item["lastDirtyTimestamp"]) is int
        assert item["instanceInfo"]["instanceId"] == "i1"
        assert "instance" not in item["instanceInfo"]
        deeds = {
            "Heartbeat": lambda: wire.put("apps/ORDERS/i1?lastDirtyTimestamp=1000"),
            "StatusUpdate": lambda: wire.put("apps/ORDERS/i1/status?value=OUT_OF_SERVICE"),
            "DeleteStatusOverride": lambda: wire.delete("apps/ORDERS/i1/status?value=UP"),
            "Cancel": lambda: wire.delete("apps/ORDERS/i1"),
        }
        for action, deed in deeds.items():
            assert (await deed()).status == 200
            await until(lambda action=action: peer.told(action))
        (update,), (removal,) = peer.told("StatusUpdate"), peer.told("DeleteStatusOverride")
        assert (update["status"], removal["status"]) == ("OUT_OF_SERVICE", "UP")


@pytest.mark.clock("M")
async def test_case_089_a_batch_is_not_told_on(neighbours: Any, private: None) -> None:
    """Nothing of a batch goes to other peers."""
    peer = await neighbours()
    async with told_on(peer) as wire:
        base = {"appName": "ORDERS", "id": "i1", "lastDirtyTimestamp": 1000}
        items = [
            {**base, "action": "Register", "status": "UP", "instanceInfo": instance()},
            {**base, "action": "Heartbeat"},
            {**base, "action": "StatusUpdate", "status": "DOWN"},
            {**base, "action": "DeleteStatusOverride", "status": "UP"},
            {**base, "action": "Cancel"},
        ]
        answer = await wire.ask("POST", "peerreplication/batch/", json={"replicationList": items})
        assert [one["statusCode"] for one in answer.json()["responseList"]] == [200] * 5
        await asyncio.sleep(QUIET)
        assert peer.told() == []


@pytest.mark.clock("M")
async def test_case_092_a_peer_that_does_not_know(neighbours: Any, private: None) -> None:
    """A heartbeat answered 404: the next batch holds the whole instance."""
    peer = await neighbours()
    async with told_on(peer) as wire:
        await wire.register(metadata={"a": "b"})
        await until(lambda: peer.told("Register"))
        peer.clear()
        peer.reply = lambda item: {"statusCode": 404 if item["action"] == "Heartbeat" else 200}
        assert (await wire.put("apps/ORDERS/i1")).status == 200
        await until(lambda: peer.told("Register"))
        assert [item["action"] for item in peer.batches[0]] == ["Heartbeat"]
        (item,) = peer.batches[1]
        assert item["action"] == "Register"
        assert item["instanceInfo"]["metadata"] == {"a": "b"}
        assert item["instanceInfo"]["hostName"] == "h1.example.net"


@pytest.mark.clock("M")
async def test_case_092_a_peer_that_knows_better(neighbours: Any, private: None) -> None:
    """A heartbeat answered 409 with an instance: ours is replaced, and nobody is told."""
    peer, other = await neighbours(), await neighbours()
    async with told_on(peer, other) as wire:
        await wire.register()
        await until(lambda: peer.told("Register") and other.told("Register"))
        peer.clear()
        other.clear()
        newer = instance(hostName="moved.example.net", lastDirtyTimestamp="2000", overriddenStatus="UNKNOWN")
        peer.reply = lambda item: {"statusCode": 409, "responseEntity": newer}
        await wire.put("apps/ORDERS/i1")
        async with asyncio.timeout(5):
            while (await wire.one())["hostName"] != "moved.example.net":
                await asyncio.sleep(0.02)
        assert (await wire.one())["lastDirtyTimestamp"] == "2000"
        await asyncio.sleep(QUIET)
        assert {item["action"] for item in peer.told() + other.told()} == {"Heartbeat"}


@pytest.mark.clock("M")
async def test_case_093_peers_that_cannot_be_told(neighbours: Any, private: None) -> None:
    """Busy or silent: again after a second or more. Nobody there: again after a tenth."""
    busy, silent, absent = [await neighbours() for _ in range(3)]
    busy.status, silent.hang = 503, 0.6
    await absent.stop()
    tried: list[float] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.append(time.monotonic())
        writer.transport.abort()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as broken:
        where = f"http://127.0.0.1:{broken.sockets[0].getsockname()[1]}/eureka/"
        async with told_on(busy, silent, absent, where, timing={"most": 0.4}) as wire:
            await wire.register()
            await until(lambda: len(busy.batches) >= 2 and len(silent.batches) >= 2)
            for peer, read in ((busy, 0.0), (silent, 0.2)):
                assert peer.batches[0] == peer.batches[1]
                assert peer.times[1] - peer.times[0] >= 1.0 + read
            # aiohttp repeats a request at once when a connection breaks; both count as one try.
            pauses = [after - before for before, after in pairwise(tried) if after - before > 0.02]
            assert len(pauses) >= 2
            assert min(pauses[-2:]) >= 0.1
            await absent.start()
            await until(lambda: absent.told("Register"))


@pytest.mark.clock("M")
async def test_case_093_news_that_is_too_old(neighbours: Any, private: None) -> None:
    """News is dropped once it is older than it is worth."""
    peer = await neighbours()
    async with told_on(peer) as wire:
        await wire.register(instanceId="left")
        await until(lambda: peer.told("Register"))
        await peer.stop()
        peer.clear()
        await wire.register(
            instanceId="young", leaseInfo={"renewalIntervalInSecs": 300, "durationInSecs": 900}
        )
        await wire.register(instanceId="old", leaseInfo={"renewalIntervalInSecs": 20, "durationInSecs": 900})
        await wire.delete("apps/ORDERS/left")
        await asyncio.sleep(0.2)
        wire.clock.skipped += 31
        await peer.start()
        await until(lambda: peer.told("Register"))
        await asyncio.sleep(QUIET)
        assert [item["id"] for item in peer.told("Register")] == ["young"]
        assert peer.told("Cancel") == []


@pytest.mark.clock("M")
async def test_case_093_news_that_is_refused(neighbours: Any, private: None) -> None:
    """A batch answered 400 is dropped at once."""
    peer = await neighbours()
    async with told_on(peer, timing={"congested": 0.1, "refused": 0.1}) as wire:
        peer.status = 400
        await wire.register(instanceId="refused")
        await until(lambda: peer.told("Register"))
        peer.status = 200
        await asyncio.sleep(0.1)
        peer.clear()
        await wire.register(instanceId="next")
        await until(lambda: peer.told("Register"))
        await asyncio.sleep(QUIET)
        assert [item["id"] for item in peer.told("Register")] == ["next"]
