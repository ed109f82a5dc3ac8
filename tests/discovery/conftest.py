"""What the tests of this room share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from scripted import INTERVAL, Scripted

from resilient.discovery import feed, lease, polling
from resilient.discovery.tasks import Discovery
from resilient.events import Event
from resilient.settings import Settings

Make = Callable[..., Discovery]


@pytest.fixture
async def registry() -> AsyncIterator[Scripted]:
    server = await Scripted().start()
    yield server
    await server.stop()


@pytest.fixture
async def another() -> AsyncIterator[Callable[[], Awaitable[Scripted]]]:
    started: list[Scripted] = []

    async def make() -> Scripted:
        started.append(await Scripted().start())
        return started[-1]

    yield make
    for server in started:
        await server.stop()


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of workers go to the test's own directory."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def make(events: list[Event], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    made: list[Discovery] = []
    # Back-off in tests: as in production, but a hundred times as fast.
    monkeypatch.setattr(lease.BackOff.__init__, "__kwdefaults__", {"first": 0.02, "longest": 0.2})
    monkeypatch.setattr(lease, "SHORTEST_WAIT", 0.005)
    monkeypatch.setattr(polling, "LONGEST_BACK_OFF", 0.2)
    monkeypatch.setattr(feed, "FIRST_BACK_OFF", 0.02)
    monkeypatch.setattr(feed, "LONGEST_BACK_OFF", 0.2)

    def build(urls: Any, me: Any = None, **more: Any) -> Discovery:
        settings = Settings.load(
            {}, fetch_interval=INTERVAL, push_interval=INTERVAL, **more.pop("settings", {})
        )
        made.append(Discovery(settings, urls, me, rng=Random(1), publish=events.append, **more))
        return made[-1]

    yield build
    for discovery in made:
        await discovery.stop()
    await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task.get_name().startswith("resilient")]
    assert left == []
