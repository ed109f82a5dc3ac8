"""A Chromium for the tests of the web UI, and what every page has to keep to."""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager

import pytest

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
expect = playwright.expect

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the path (apt-get install chromium)"
)
#: Milliseconds after which something will not come any more, on the slowest of machines.
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)
#: The long forms of the tests: make test-ui.
FULL = os.environ.get("UI") == "full"
full = pytest.mark.skipif(not FULL, reason="takes long; make test-ui")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def chromium():
    """One browser."""
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser, server, view="", *, theme="light", width=1440, height=900, allow=(), wait=True, before="", **more
):
    """A page of ``server``. Complaints of the browser and requests elsewhere fail the test, but those that
    contain one of ``allow``. ``before`` is a script that runs first; ``more`` goes to the browser."""
    given = {"color_scheme": theme, "reduced_motion": "reduce", **more}
    context = await browser.new_context(viewport={"width": width, "height": height}, **given)
    if before:
        await context.add_init_script(before)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    complaints = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    own = server.url().removesuffix("ui/")
    page.on("request", lambda r: None if r.url.startswith((own, "blob:")) else complaints.append(r.url))
    try:
        await page.goto(server.url(view))
        if wait:
            await expect(page.locator("#rail .live b")).to_have_text("Live")
        yield page
        complaints = [one for one in complaints if not any(word in one for word in allow)]
        assert complaints == [], complaints
    finally:
        await context.close()


async def overflow(page):
    """How many pixels the page is wider than the window."""
    return await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
