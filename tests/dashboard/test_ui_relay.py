"""A dashboard of its own passes a registry's stream on: until the browser leaves, or the registry does."""

from __future__ import annotations

import asyncio
import logging

import pytest
from test_ui_apart import apart
from ui_kit import Events
from yarl import URL


async def until(condition, within=30.0):
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


def hub_of(registry):
    (heard,) = registry.source._listeners
    return heard.__self__


@pytest.mark.parametrize("times", [1, 20])
async def test_a_browser_that_leaves_is_nothing_to_complain_of(caplog, times):
    caplog.set_level(logging.WARNING)
    async with apart() as (base, registry, _):
        hub = hub_of(registry)
        for _ in range(times):
            reader, writer = await asyncio.open_connection("127.0.0.1", URL(base).port)
            writer.write(b"GET /ui/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.wait_for(reader.readuntil(b"event: tick"), 30)
            writer.transport.abort()
            # Whatever is passed on now meets a connection that is no more.
            while len(hub):
                registry.source.tell("action", {"id": "a-0", "text": "x" * 100_000})
                await asyncio.sleep(0.01)
        await until(lambda: not len(hub))
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_when_the_registry_breaks_off_the_browser_is_told_by_the_end(caplog):
    caplog.set_level(logging.WARNING)
    async with apart() as (base, registry, browser):
        async with browser.get(f"{base}/ui/stream") as answer:
            await Events(answer).until("tick", within=30)
            for viewer in tuple(hub_of(registry)._viewers):
                viewer._cut()  # its connection is broken off in the middle
            async with asyncio.timeout(30):
                while await answer.content.read(65536):
                    pass
            assert answer.status == 200
        async with browser.get(f"{base}/ui/stream") as again:
            assert again.status == 200
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []
