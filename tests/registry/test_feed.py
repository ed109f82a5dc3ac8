"""The feed over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from feed_kit import Follower
from registry_wire import Wire, instance, wired

from registry_server.feed.hub import PARTS
from registry_server.feed.reader import HEARTBEAT
from registry_server.settings import Settings
from resilient.settings import RegistryAddress
from resilient.telemetry.sse import Message, Parser

FEED = "/resilient/v1/feed"
TOKEN = "a-token-of-some-length"


class Stream:
    """An open feed."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.raw = b""
        self.waiting: list[Message] = []
        self._parser = Parser()

    async def more(self) -> bool:
        piece = await asyncio.wait_for(self.response.content.readany(), 5)
        self.raw += piece
        self.waiting += self._parser.feed(piece)
        return bool(piece)

    async def next(self, name: str) -> dict[str, Any]:
        """The next event, which must be of this name."""
        message = await self.message()
        assert message.name == name
        found: dict[str, Any] = json.loads(message.data)
        return found

    async def message(self) -> Message:
        while not self.waiting:
            assert await self.more(), "the stream has ended"
        return self.waiting.pop(0)

    async def end(self) -> None:
        while await self.more():
            pass


@contextlib.asynccontextmanager
async def listening(wire: Wire, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    url = f"{wire.base}{FEED}{query}"
    async with wire.session.get(url, headers={k.replace("_", "-"): v for k, v in headers.items()}) as got:
        assert got.status == 200, await got.text()
        assert got.headers["Content-Type"].startswith("text/event-stream")
        yield Stream(got)


async def test_a_snapshot_then_what_happens(wire: Wire) -> None:
    epoch = wire.registry.cluster.id
    async with listening(wire) as stream:
        hello = await stream.next("hello")
        assert hello == {"epoch": epoch, "position": f"{epoch}-1", "heartbeat": 5.0, "watched": False}
        service = await stream.next("service")
        assert service["service"] == "orders"
        assert service["instances"] == [(await wire.apps())["application"][0]["instance"][0]]
        ready = await stream.message()
        assert (ready.name, ready.id, json.loads(ready.data)) == (
            "ready",
            f"{epoch}-1",
            {"hash": "UP_1_", "instances": 1},
        )
        await wire.register(instanceId="i2", status="DOWN")
        change = await stream.message()
        assert change.id == f"{epoch}-2"
        told = json.loads(change.data)
        assert (told["action"], told["service"], told["id"]) == ("ADDED", "orders", "i2")
        assert told["hash"] == (await wire.apps())["apps__hashcode"] == "DOWN_1_UP_1_"
        assert told["instance"] == (await wire.listed())["i2"]
        await wire.put("apps/ORDERS/i2")
        await wire.put("apps/ORDERS/i2/status?value=OUT_OF_SERVICE")
        assert (await stream.next("change"))["instance"]["status"] == "OUT_OF_SERVICE"
        await wire.delete("apps/ORDERS/i2")
        gone = await stream.next("change")
        assert (gone["action"], gone["hash"], gone["instance"]["hostName"]) == (
            "DELETED",
            "UP_1_",
            "h1.example.net",
        )


async def test_reads_say_how_far_they_go(wire: Wire) -> None:
    epoch = wire.registry.cluster.id
    for path in ("apps", "apps/delta"):
        for headers in ({}, {"Accept-Encoding": "gzip"}):
            answer = await wire.get(path, {"Accept": "application/json", **headers})
            assert answer.headers["Resilient-Position"] == f"{epoch}-1"
    await wire.register(instanceId="i2")
    for path in ("apps", "apps/delta", "/resilient/v1/services", "/resilient/v1/changes"):
        answer = await wire.get(path)
        assert answer.headers["Resilient-Position"] == f"{epoch}-2"
    async with listening(wire, f"?snapshot=0&last={epoch}-1") as stream:
        await stream.next("hello")
        assert (await stream.next("change"))["id"] == "i2"


async def test_resume_and_reset(wire: Wire) -> None:
    epoch = wire.registry.cluster.id
    for n in range(3):
        await wire.register(instanceId=f"n{n}")
    async with listening(wire, Last_Event_ID=f"{epoch}-2") as stream:
        await stream.next("hello")
        assert [(await stream.next("change"))["id"] for _ in range(2)] == ["n1", "n2"]
    async with listening(wire, Last_Event_ID="0123-2") as stream:
        await stream.next("hello")
        reset = await stream.message()
        assert (reset.name, reset.id) == ("reset", f"{epoch}-4")
        await stream.next("service")
        await stream.next("ready")
    async with listening(wire, "?snapshot=0&last=0123-2") as stream:
        await stream.next("hello")
        await stream.next("reset")
        await wire.register(instanceId="late")
        assert (await stream.next("change"))["id"] == "late"


async def test_after_a_restart_everything_is_read_anew() -> None:
    async with wired() as wire:
        await wire.register()
        last = wire.registry.feed.position
    async with wired() as wire, listening(wire, Last_Event_ID=last) as stream:
        await stream.next("hello")
        assert "anew" in (await stream.next("reset"))["reason"]
        assert (await stream.next("ready"))["instances"] == 0


async def test_filters(wire: Wire) -> None:
    await wire.register(app="STOCK", instanceId="s1")
    async with listening(wire, "?service=Stock,nobody&service=other") as stream:
        await stream.next("hello")
        assert (await stream.next("service"))["service"] == "stock"
        assert await stream.next("ready") == {"instances": 1}
        await wire.register(instanceId="o2")
        await wire.register(app="STOCK", instanceId="s2")
        change = await stream.next("change")
        assert (change["id"], "hash" in change) == ("s2", False)


@pytest.mark.parametrize(
    "query",
    [
        "?service=" + ",".join(f"s{n}" for n in range(65)),
        "?service=a/b",
        "?service=a%0Ab",
        "?instance=orders",
        "?instance=orders/a%20b",
        "?instance=orders/",
        "?worker=" + "x" * 300,
        "?worker=a%0Ab",
        "?snapshot=yes",
    ],
)
async def test_a_wish_that_makes_no_sense(wire: Wire, query: str) -> None:
    answer = await wire.get(FEED + query)
    assert answer.status == 400
    assert answer.json()["error"]["message"]
    assert len(wire.registry.feed) == 0


async def test_a_burst_is_one_write_for_each_reader(wire: Wire) -> None:
    from resilient.model import Instance

    async with listening(wire, "?snapshot=0") as stream:
        await stream.next("hello")
        for n in range(20):
            await wire.registry.registry.register(Instance(service="s", id=f"i{n}", host="h", port=1))
        stream.raw = b""
        assert await stream.more()
        assert stream.raw.count(b"event: change") == 20


async def test_a_quiet_stream_says_that_it_lives(wire: Wire) -> None:
    async with listening(wire, "?snapshot=0") as stream:
        await stream.next("hello")
        stream.raw = b""
        for _ in range(2 * PARTS + 1):  # two looks, as in one heartbeat
            wire.registry.feed.tick()
        assert await stream.more()
        assert stream.raw == b": \n\n"
        assert HEARTBEAT == 5.0


async def test_before_it_stops_the_registry_says_so() -> None:
    async with wired() as wire, contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(listening(wire, "?snapshot=0")) for _ in range(3)]
        for stream in streams:
            await stream.next("hello")
        await wire.registry.stop()
        for stream in streams:
            assert (await stream.next("gone"))["retry_in"] >= 1
            await stream.end()
    assert len(wire.registry.feed) == 0


async def test_not_before_the_list_is_complete() -> None:
    peer = RegistryAddress.parse("http://127.0.0.1:9/eureka/")
    async with wired(Settings(port=0, ui=False, peers=(peer,))) as wire:
        answer = await wire.get(FEED)
        assert answer.status == 503
        assert 1 <= int(answer.headers["Retry-After"]) <= 31


async def test_reading_may_take_a_token() -> None:
    settings = Settings(port=0, ui=False, token=TOKEN, read_token="another-token-to-read")
    async with wired(settings) as wire:
        assert (await wire.get(FEED)).status == 401
        async with listening(wire, Authorization="Bearer another-token-to-read") as stream:
            await stream.next("hello")


async def test_only_so_many_readers(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from registry_server.feed import route

    assert route._LIMITS.streams == 5000
    few = dataclasses.replace(route._LIMITS, streams=2)
    monkeypatch.setattr(route, "_LIMITS", few)
    async with wired() as wire, listening(wire), listening(wire):
        answer = await wire.get(FEED)
        assert answer.status == 503
        assert "Retry-After" in answer.headers
        assert len(wire.registry.feed) == 2


def _deaf(port: int) -> socket.socket:
    """A connection that asks for the feed and never reads."""
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.connect(("127.0.0.1", port))
    wire.sendall(f"GET {FEED}?snapshot=0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    return wire


async def test_a_deaf_reader_is_cut_and_the_others_do_not_feel_it() -> None:
    async with wired() as wire:
        await wire.register()
        deaf = [_deaf(wire.registry.port) for _ in range(10)]
        try:
            follower = Follower()
            async with listening(wire, "?snapshot=0") as stream:
                await stream.next("hello")
                while len(wire.registry.feed) < 11:
                    await asyncio.sleep(0.01)
                for n in range(800):
                    metadata = {f"k{k}": "x" * 2000 for k in range(3)}
                    await wire.register(instanceId=f"i{n % 40}", metadata={**metadata, "n": str(n)})
                    change = await stream.message()
                    follower.take(change.name, json.loads(change.data), change.id)
                    if len(wire.registry.feed) == 1:
                        break
                assert len(wire.registry.feed) == 1
                # It was cut for what waited for it, not by a clock.
                assert n > 20
                assert follower.seen == ["change"] * (n + 1)
            for one in deaf:
                one.settimeout(5)
                with contextlib.suppress(ConnectionResetError):
                    while one.recv(1 << 20):
                        pass
        finally:
            for one in deaf:
                one.close()
        # Back again, it gets what it has missed.
        async with listening(wire, Last_Event_ID=f"{wire.registry.cluster.id}-1") as stream:
            again = Follower()
            while again.position != wire.registry.feed.position:
                message = await stream.message()
                again.take(message.name, json.loads(message.data), message.id)
        assert again.instances == {("orders", f"i{k}"): "UP" for k in range(min(40, n + 1))}


async def test_a_reader_that_breaks_off_is_forgotten(wire: Wire) -> None:
    one = _deaf(wire.registry.port)
    while not len(wire.registry.feed):
        await asyncio.sleep(0.01)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
    for _ in range(100):
        wire.registry.feed.tick()
        if not len(wire.registry.feed):
            break
        await asyncio.sleep(0.01)
    assert len(wire.registry.feed) == 0
    assert (await wire.post(instance(instanceId="i9"))).status == 204


async def test_a_deaf_reader_does_not_hold_up_the_end() -> None:
    async with wired() as wire:
        deaf = _deaf(wire.registry.port)
        try:
            while not len(wire.registry.feed):
                await asyncio.sleep(0.01)
            (reader,) = wire.registry.feed._readers
            for n in range(2000):
                await wire.register(instanceId=f"i{n % 10}", metadata={"n": str(n), "x": "x" * 4000})
                if reader.busy:
                    break
            assert reader.busy
            async with asyncio.timeout(3):
                await wire.registry.stop()
        finally:
            deaf.close()


async def test_a_command_does_not_go_to_who_has_hung_up(wire: Wire) -> None:
    deaf = _deaf(wire.registry.port)
    try:
        while not len(wire.registry.feed):
            await asyncio.sleep(0.01)
        (reader,) = wire.registry.feed._readers
        assert reader.say(b": \n\n")
        assert reader.wire is not None
        reader.wire.abort()  # type: ignore[attr-defined]
        assert not reader.say(b": \n\n")
    finally:
        deaf.close()
