"""For the tests of the web UI. Nothing is imported before it is asked for: there may be no playwright."""

import pytest_asyncio


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    """One Chromium for a file."""
    from ui_browser import chromium

    async with chromium() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world():
    """A real registry, seeded, on a clock that is moved by hand."""
    from real_estate import seeded

    async with seeded() as one:
        yield one
