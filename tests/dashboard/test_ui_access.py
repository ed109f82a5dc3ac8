"""Every page in both themes, wide and narrow: what axe says of it, and that it fits the window."""

from __future__ import annotations

import asyncio
from pathlib import Path

import axe_playwright_python
import pytest
from fake_circuits import CircuitServer, Layered
from fake_estate import Estate
from fake_server import FakeServer
from ui_browser import needs_chromium, opened

from registry_server.openapi import description

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RULES = """() => axe.run(document, {
    resultTypes: ['violations'],
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'],
}).then(found => found.violations.flatMap(one => one.nodes.slice(0, 2).map(
    node => `${one.id}: ${node.html.slice(0, 160)} ${node.failureSummary.slice(0, 300)}`)))"""
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
GATEWAY = "services/payments-gateway"
#: View: what has to be there before it is judged.
VIEWS = {
    "": ".lrow:not([hidden])",
    GATEWAY: ".lrow:not([hidden])",
    "nodes": "tbody tr",
    "changes": ".lrow:not([hidden])",
    "api": "details",
}
CIRCUITS = {
    "circuits": ".card canvas",
    "circuits?view=table": ".vrow",
    "circuit": ".plot canvas",
    "topology": ".node, .ego",
    "topology?view=table": "tbody tr",
}
LOOKS = [("light", 1440), ("light", 390), ("dark", 390), ("dark", 1440)]


async def fits(page, width):
    """The page is not wider than the window, as soon as it has settled."""
    await page.set_viewport_size({"width": width, "height": 900})
    for _ in range(20):
        if await page.evaluate(FITS):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"it scrolls sideways at {width}")


async def judged(page, widths=(), looks=LOOKS):
    """Nothing is found in any of the looks; at none of the widths it is wider than the window."""
    await page.evaluate(AXE)
    for theme, width in looks:
        await page.emulate_media(color_scheme=theme)
        await fits(page, width)
        assert await page.evaluate(RULES) == [], f"{theme} {width}"
    for width in widths:
        await fits(page, width)


@pytest.mark.parametrize("view", VIEWS)
async def test_the_registrys_pages(browser, view):
    async with FakeServer(Estate(services=14, circuits=8, instances=90), interval=0.3) as server:
        server.openapi = description()
        server.notice("protection", beats=3381, want=4020, limit=0.85, kept=316, zones=["eu-1b"])
        async with opened(browser, server, view) as page:
            await page.wait_for_selector(VIEWS[view])
            if view == GATEWAY:
                await page.locator(VIEWS[view]).nth(3).locator(".c-open button").click()
            await judged(page, (320, 700, 1024))


@pytest.mark.parametrize("view", CIRCUITS)
async def test_the_circuits_pages(browser, view):
    async with CircuitServer(Layered(services=10, circuits=9, instances=40), quiet=True) as server:
        path = view
        if view == "circuit":
            rows = server.estate.circuits.values()
            path = f"circuits/{next(row['id'] for row in rows if row['state'] == 'O')}"
        async with opened(browser, server, path) as page:
            await page.wait_for_selector(CIRCUITS[view])
            # The tables are the same pages once more: two looks do.
            await judged(page, (320, 700, 1024), LOOKS[::2] if "table" in view else LOOKS)


async def test_a_dialog(browser):
    async with CircuitServer(Layered(services=4, circuits=4, instances=12), quiet=True) as server:
        row = next(iter(server.estate.circuits.values()))
        async with opened(browser, server, f"circuits/{row['id']}") as page:
            await page.click("text=Force open")
            await page.get_by_role("dialog").get_by_role("button", name="Force open").click()
            await page.wait_for_selector("dialog .wrong")
            await judged(page, looks=LOOKS[::2])
