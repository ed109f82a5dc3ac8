"""The large charts of a circuit: what they show under the pointer, and a closer look at a part."""

from __future__ import annotations

import asyncio
import re

import pytest
import pytest_asyncio
from fake_circuits import CircuitServer, Layered
from ui_browser import chromium, needs_chromium, opened, playwright

expect = playwright.expect
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

#: Of a chart, in pixels: what is left of the picture, and right of it.
LEFT, RIGHT = 50, 14


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page():
    server = CircuitServer(Layered(services=20, circuits=60, instances=120), quiet=True)
    async with server, chromium() as browser:
        async with opened(browser, server, f"circuits/{server.estate.circuits[2]['id']}") as one:
            await expect(one.locator(".plot canvas")).to_have_count(2)
            yield one


async def point(page, share):
    """Move to a share of the shown time in the first chart."""
    plot = page.locator(".plot").first
    await plot.scroll_into_view_if_needed()
    box = await plot.bounding_box()
    # Not from where it is by chance already.
    await page.mouse.move(box["x"] + LEFT + 5, box["y"] + box["height"] * 0.5)
    x = box["x"] + LEFT + share * (box["width"] - LEFT - RIGHT)
    await page.mouse.move(x, box["y"] + box["height"] * 0.4)


async def shown(page, share, ago, off=3):
    """What the first chart's legend says of a share of the shown time is so many seconds ago."""
    await point(page, share)
    legend = page.locator(".charts .legend").first
    async with asyncio.timeout(30):
        while (found := age(await legend.inner_text())) is None or abs(found - ago) > off:
            await asyncio.sleep(0.02)


def age(text):
    if re.search(r"\bnow\b", text):
        return 0
    found = re.search(r"(\d+) (s|min) ago", text)
    return found and int(found[1]) * (60 if found[2] == "min" else 1)


async def test_both_charts_follow_one_pointer(page):
    await shown(page, 0, 899)
    await shown(page, 1, 0)
    await shown(page, 0.5, 450)
    lines = page.locator(".plot-line")
    assert await lines.count() == 2
    left = [(await one.bounding_box())["x"] for one in await lines.all()]
    plots = [(await one.bounding_box())["x"] for one in await page.locator(".plot").all()]
    assert left[0] - plots[0] == pytest.approx(left[1] - plots[1], abs=1)
    await page.mouse.move(5, 5)
    await expect(lines.first).to_be_hidden(timeout=30_000)
    assert age(await page.locator(".charts .legend").first.inner_text()) is None


async def test_a_drag_looks_closer_in_both_until_a_double_click(page):
    await shown(page, 0.2, 720)
    await page.mouse.down()
    await shown(page, 0.4, 540)
    await expect(page.locator(".plot-pick").first).to_be_visible(timeout=30_000)
    await page.mouse.up()
    await expect(page.locator(".plot-pick").first).to_be_hidden(timeout=30_000)
    await shown(page, 0, 720, 6)
    await shown(page, 1, 540, 6)
    # A click is no drag.
    await page.mouse.down()
    await page.mouse.up()
    await shown(page, 0, 720, 6)
    box = await page.locator(".plot").nth(1).bounding_box()
    await page.mouse.dblclick(box["x"] + 100, box["y"] + 50)
    await shown(page, 0, 899)


async def test_what_is_looked_at_goes_with_the_range(page):
    await shown(page, 0.1, 810)
    await page.mouse.down()
    await shown(page, 0.3, 630)
    await page.mouse.up()
    # Older than all that two minutes hold.
    await page.get_by_role("button", name="2 min", exact=True).click()
    await expect(page).to_have_url(re.compile("range=120"))
    await shown(page, 0, 119, 2)
    await shown(page, 1, 0, 2)


async def test_values_on_the_axis_are_round(page):
    body = """async url => {
        const { rounds, firstFrom, nearest } = await import(url);
        return {
            rounds: [[0, 1, 4], [0, 20.9, 4], [0, 7, 3], [0, 0.3, 3], [0, 1234, 4], [5, 5.5, 2]]
                .map(one => rounds(...one)),
            first: [0, 1, 1.5, 9].map(one => firstFrom([1, 2, 3], one)),
            nearest: [0, 1.4, 1.5, 1.6, 9].map(one => nearest([1, 2, 3], one)),
        };
    }"""
    found = await page.evaluate(body, f"{page.url.partition('/ui/')[0]}/ui/@dev/app/plot.js")
    assert found["rounds"] == [
        [0, 0.25, 0.5, 0.75, 1],
        [0, 10, 20],
        [0, 2.5, 5],
        [0, 0.1, 0.2, 0.3],
        [0, 500, 1000],
        [5, 5.25, 5.5],
    ]
    assert found["first"] == [0, 0, 1, 3]
    assert found["nearest"] == [0, 0, 1, 1, 2]
