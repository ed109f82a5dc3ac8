from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from registry_wire import Wire, wired


@pytest_asyncio.fixture
async def wire() -> AsyncIterator[Wire]:
    """A fresh registry with ``i1`` of ORDERS: UP, stamp 1000, lease 30/90."""
    async with wired() as wire:
        await wire.register()
        yield wire


@pytest_asyncio.fixture
async def bare() -> AsyncIterator[Wire]:
    """A fresh registry without anybody in it."""
    async with wired() as wire:
        yield wire
