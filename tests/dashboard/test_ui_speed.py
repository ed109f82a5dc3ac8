"""What the pages do each second and at each key, counted and not timed (45 to 47); `python -m
benchmarks.ui_pages` has the times."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from fake_circuits import CircuitServer, Layered
from fake_estate import Estate
from fake_server import FakeServer
from ui_browser import needs_chromium, playwright

from benchmarks.ui_probe import REPLAY, heap

expect = playwright.expect
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
#: Counts what is written into a part of the page: texts, attributes, and elements that come or go.
COUNT = """selector => {
  const part = document.querySelector(selector), sum = { text: 0, attribute: 0, element: 0 };
  window.counted = sum;
  new MutationObserver(all => {
    for (const one of all) {
      if (one.type === 'characterData') sum.text += 1;
      else if (one.type === 'attributes') sum.attribute += 1;
      else for (const node of [...one.addedNodes, ...one.removedNodes]) {
        if (node.nodeType === 1) sum.element += 1 + node.querySelectorAll('*').length;
        else if (node.nodeType === 3) sum.text += 1;
      }
    }
  }).observe(part, { subtree: true, childList: true, characterData: true, attributes: true });
}"""
#: All ten minutes, or five of them.
FULL = os.environ.get("UI") == "full"
DRAWN = "new Promise(go => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(go))))"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    estate = Layered(services=40, circuits=500, instances=200)
    async with CircuitServer(estate, quiet=True) as one:
        yield one


@asynccontextmanager
async def page_of(browser, server, view, script=""):
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    page.set_default_timeout(20_000)
    try:
        if script:
            await page.add_init_script(script)
        await page.goto(server.url(view))
        await expect(page.locator("#rail .live b")).to_have_text("Live")
        yield page
    finally:
        await context.close()


async def counted(page, server, rate, *, still):
    """What one tick wrote. ``rate`` of circuit 2 shows that it is on the screen."""
    await page.evaluate("Object.assign(counted, { text: 0, attribute: 0, element: 0 })")
    server.estate.still = still
    if not still:
        server.estate.step()
    server.estate.circuits[2]["rate"] = rate
    server.estate.still = True
    server.tick()
    await expect(page.locator("[data-k='2']").get_by_text(str(rate), exact=True)).to_be_visible()
    return await page.evaluate("counted")


@pytest.mark.parametrize(("view", "row", "cells"), [("", ".card", 24), ("?view=table", ".vrow", 18)])
async def test_45_a_tick_of_500_circuits_writes_only_what_is_seen_and_differs(
    browser, server, view, row, cells
):
    async with page_of(browser, server, f"circuits{view}") as page:
        await page.wait_for_selector(row)
        await page.evaluate(f"({COUNT})('.circuit-list')")
        seen = await page.evaluate(
            """selector => [...document.querySelectorAll(selector)].filter(one => {
              const box = one.getBoundingClientRect();
              return box.height && box.bottom > -150 && box.top < innerHeight + 150;
            }).length""",
            row,
        )
        assert 6 < seen < 45
        await counted(page, server, 111, still=True)
        for n in range(112, 115):
            wrote = await counted(page, server, n, still=True)
            assert wrote["element"] == 0
            assert wrote["text"] + wrote["attribute"] <= cells, wrote
        for n in range(115, 118):
            wrote = await counted(page, server, n, still=False)
            assert wrote["element"] == 0
            assert wrote["text"] + wrote["attribute"] <= cells * seen, wrote


@pytest.mark.parametrize("view", ["circuits", "circuits?view=table"])
async def test_46_ten_minutes_of_ticks_leave_nothing_behind(browser, server, view):
    async with page_of(browser, server, view, REPLAY) as page:
        cdp = await page.context.new_cdp_session(page)
        server.estate.still = False
        for _ in range(5):
            server.tick()
        async with asyncio.timeout(20):
            while await page.evaluate("recorded()") < 5:
                await asyncio.sleep(0.05)
        await page.evaluate("replay(130, 1000)")
        used, nodes = await heap(cdp)
        await page.evaluate(f"replay({470 if FULL else 150}, 1000)")
        await page.evaluate(DRAWN)
        after, left = await heap(cdp)
        assert abs(left - nodes) < 60
        assert after - used < 1.0, "megabytes"


async def test_47_each_key_in_the_filter_of_2000_instances_makes_no_more_than_is_seen(browser):
    estate = Estate(services=2, circuits=2, instances=4000)
    async with (
        FakeServer(estate, quiet=True) as server,
        page_of(browser, server, "services/mobile-bff") as page,
    ):
        await expect(page.get_by_role("button", name="All 2,000")).to_be_visible()
        await page.evaluate(f"({COUNT})('.rows')")
        shown = await page.locator(".lrow").count()
        elements = await page.evaluate("document.querySelectorAll('.rows *').length")
        assert shown < 60
        rows = estate.services["mobile-bff"]["rows"].values()
        field = page.locator("[data-filter]")
        for end in range(1, 11):
            text = "zone:eu-1b"[:end]
            await page.evaluate("Object.assign(counted, { text: 0, attribute: 0, element: 0 })")
            await field.fill(text)
            await page.evaluate(DRAWN)
            wrote = await page.evaluate("counted")
            assert sum(wrote.values()) < 2 * elements, (text, wrote)
        assert await page.locator(".lrow").count() == shown
        left = sum(row["zone"] == "eu-1b" for row in rows)
        await expect(page.locator(".grid-table")).to_have_attribute("aria-rowcount", str(left + 1))
