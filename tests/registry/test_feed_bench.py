"""The bench of the feed: that what it times happens. No speed is tested."""

from __future__ import annotations

import asyncio

import pytest
from registry_wire import Wire

from benchmarks import feed


@pytest.mark.slow
def test_every_reader_sees_every_change() -> None:
    result = feed.measure(2, 3, 0.01)
    assert (result.readers, result.seen, result.missed) == (2, 6, 0)
    assert 0 < result.p50 <= result.p99
    assert len(result.line().split()) == len(feed.HEAD.replace(" ms", "").replace("KiB each", "KiB").split())


async def test_a_raw_reader_finds_events_however_they_are_cut(wire: Wire) -> None:
    seen: list[int] = []
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    reader = feed._Raw(seen.append, ready)
    text = b"event: hello\ndata: {}\n\n" + b"".join(
        b'event: change\ndata: {"service":"bench","id":"bench-%d","x":"%b"}\n\n' % (n, b"y" * (n % 60))
        for n in range(50)
    )
    for size in (1, 7, 30, 1000):
        seen.clear()
        reader._tail = b""
        for start in range(0, len(text), size):
            reader.data_received(text[start : start + size])
        assert seen == list(range(50))
    close = await feed.raw(f"{wire.base}/eureka/", seen.append)
    assert len(wire.registry.feed) == 1
    close()
