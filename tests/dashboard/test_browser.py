"""The page in a real Chromium, against a made-up estate. Skipped where there is no Chromium or playwright."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from seeded_source import SeededSource

from dashboard.app import mount

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path (apt-get install chromium)")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def chromium():
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


class Served:
    """A source behind a real server that can be stopped and started on the same port."""

    def __init__(self, source):
        self.source = source
        self.port = 0
        self.runner = None

    async def start(self):
        app = web.Application()
        mount(app, self.source, interval=0.5)
        self.runner = web.AppRunner(app, shutdown_timeout=1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self.runner.addresses[0][1]

    async def stop(self):
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    def url(self, view=""):
        return f"http://127.0.0.1:{self.port}/ui/{view}"


@asynccontextmanager
async def opened(chromium, source, view="", *, theme="light", width=1280, quiet=True):
    """A page on a served source. Complaints of the browser and requests elsewhere fail the test."""
    served = Served(source)
    await served.start()
    context = await chromium.new_context(viewport={"width": width, "height": 844}, color_scheme=theme)
    page = await context.new_page()
    complaints = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(served.url()) else complaints.append(r.url))
    try:
        await page.goto(served.url(view))
        # Not wait_for_function: the page's own policy forbids evaluating text.
        await page.wait_for_selector("#sub:not(:text-is('connecting'))")
        yield page, served
        if quiet:
            assert complaints == []
    finally:
        await context.close()
        await served.stop()


def condition(one):
    if one["status"] == "DOWN":
        return "down"
    if one["status"] == "OUT_OF_SERVICE":
        return "out"
    return "late" if one["late"] else {"UP": "up"}.get(one["status"], "starting")


async def overflow(page):
    return await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


async def test_services_show_the_sources_numbers(chromium):
    source = SeededSource(past=3)
    async with opened(chromium, source) as (page, _):
        every = [condition(one) for row in source.rows for one in row["instances"]]
        up = await page.inner_text("[data-cell=up] .v")
        assert up.split() == [str(every.count("up")), "of", str(len(every))]
        assert (await page.inner_text("[data-cell=up] .counts")).split() == [
            str(every.count(name)) for name in ("down", "late", "out", "starting")
        ]
        assert await page.inner_text("[data-cell=beats] .v") == str(len(every) * 2)
        assert (await page.inner_text("[data-cell=circuits] .v")).split() == ["2", "of", "40"]
        shown = await page.eval_on_selector_all(
            "tr[data-service]",
            "all => all.map(r => [r.dataset.service, r.querySelector('.c-up').innerText.replace(/\\s/g,'')])",
        )
        wanted = {
            row["name"]: f"{sum(condition(o) == 'up' for o in row['instances'])}/{len(row['instances'])}"
            for row in source.rows
        }
        assert dict(shown) == wanted
        assert shown[0][0] == "payments-gateway", "the worst comes first"

        await page.click("tr[data-service=catalogue]")
        ids = await page.eval_on_selector_all(".inst .x-id", "nodes => nodes.map(n => n.textContent)")
        assert sorted(ids) == sorted(one["id"] for one in source.rows[3]["instances"])
        assert await page.locator(".inst .tag.s-held").count() == 1
        await page.fill("#filter", "zone:nowhere")
        assert "No service matches" in await page.inner_text("#page")
        await page.click("text=Clear filter")
        assert await page.locator("tr[data-service]").count() == 14


async def test_circuits_show_the_sources_numbers(chromium):
    source = SeededSource(circuits=12, past=3)
    async with opened(chromium, source, "circuits") as (page, _):
        rows = source.circuits()
        for row in rows:
            card = page.locator(f'[data-circuit="{row["service"]}/{row["name"]}"]')
            await card.scroll_into_view_if_needed()
            counts = row["counts"]
            for name, key in (
                ("success", "success"),
                ("refused", "short_circuited"),
                ("failure", "failure"),
                ("timeout", "timeout"),
                ("rejected", "rejected"),
                ("ignored", "excluded"),
            ):
                assert await card.locator(f"[data-o={name}]").inner_text() == f"{counts[key]:,}", (row, name)
            tried = sum(counts[name] for name in ("success", "failure", "timeout", "rejected"))
            failed = tried - counts["success"]
            if tried:
                shown = await card.locator("[data-f=errors]").inner_text()
                assert float(shown) == pytest.approx(100 * failed / tried, abs=0.051)
            else:
                assert "none tried" in await card.locator(".pct").inner_text()
            assert await card.get_attribute("data-s") == row["state"]
        for state, wanted in (("open", 2), ("half-open", 1), ("forced", 1), ("closed", 8)):
            assert await page.inner_text(f"[data-tally={state}] .v") == str(wanted)
        first = await page.locator(".card").first.get_attribute("data-s")
        assert first == "open"
        await page.click("[data-tally=half-open]")
        assert await page.locator(".card").count() == 1


async def test_changes_arrive_within_two_seconds(chromium):
    source = SeededSource(services=3, circuits=3, past=3)
    async with opened(chromium, source, "circuits") as (page, _):
        spec = source._specs[1]
        card = f'[data-circuit="{spec["caller"]}/{spec["name"]}"]'
        assert await page.get_attribute(card, "data-s") == "closed"
        spec.update(state="open", turned=10)
        await page.wait_for_selector(f'{card}[data-s="open"]', timeout=2000)
        await page.keyboard.press("g")
        await page.keyboard.press("s")
        source.rows[2]["instances"][0]["status"] = "DOWN"
        await page.wait_for_selector("tr[data-service=checkout] .c-state .t-bad", timeout=2000)
        source.rows.pop()
        await page.wait_for_selector("tr[data-service=checkout]", state="detached", timeout=2000)


async def test_hostile_words_are_only_text(chromium):
    evil = "<img src=x onerror=alert(1)>"
    source = SeededSource(services=3, circuits=2, past=3)
    one = source.rows[0]["instances"][0]
    source.rows[0]["name"] = evil
    one.update(
        id=f"{evil}id", url="javascript:alert(1)", zone=f"{evil}zone", metadata={evil: evil, "version": evil}
    )
    source.happened[0].update(service=evil, instance=evil, text=evil, action=evil)
    source.mode, source.reason = "preserving", evil
    for spec in source._specs:
        spec.update(name=evil + spec["name"], target=evil, state="open", turned=50)
    async with opened(chromium, source) as (page, _):
        await page.locator("tr[data-service]", has_text="<img").locator(".name button").click()
        await page.locator(".inst .fold").first.click()
        assert evil in await page.inner_text("tr.more")
        assert evil in await page.inner_text("[data-notice=protection]")
        assert await page.locator('a[href^="javascript"]').count() == 0
        await page.goto(page.url.split("?")[0] + "circuits")
        await page.wait_for_selector(".card")
        assert "<img" in await page.inner_text(".card h2 >> nth=0")
        await page.goto(page.url.replace("circuits", "changes"))
        await page.wait_for_selector(".feed li")
        assert evil in await page.inner_text(".feed li >> nth=0")
        assert await page.locator("img").count() == 0


async def test_no_sideways_scrolling_in_any_theme_and_width(chromium):
    source = SeededSource(past=3)
    async with opened(chromium, source) as (page, served):
        for view in ("?open=catalogue", "circuits", "changes"):
            await page.goto(served.url(view))
            await page.wait_for_selector("tr.row, .card, .feed li")
            for theme in ("light", "dark"):
                await page.emulate_media(color_scheme=theme)
                for width in (1440, 1024, 800, 390, 320):
                    await page.set_viewport_size({"width": width, "height": 844})
                    assert await overflow(page) <= 0, (theme, width, view)
                    if view.startswith("?"):
                        await asyncio.sleep(0.1)  # the open row is fitted with the next frame
                        name = page.locator("tr[data-service=payments-gateway] .name button")
                        assert (await name.bounding_box())["width"] > 100, (theme, width)
                paper = await page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert paper == {"light": "rgb(245, 246, 247)", "dark": "rgb(12, 15, 18)"}[theme]


async def test_nothing_yet_says_what_to_type(chromium):
    async with opened(chromium, SeededSource(0, 0), width=390) as (page, served):
        text = await page.inner_text("#page")
        assert "No services yet" in text
        assert "resilient demo" in text
        assert f"http://127.0.0.1:{served.port}/eureka/" in text
        assert await overflow(page) <= 0
        await page.click(".tabbar [data-view=circuits]")
        assert "No circuits yet" in await page.inner_text("#page")
        assert await overflow(page) <= 0


async def test_a_lost_server_is_said_and_found_again(chromium):
    source = SeededSource(services=3, circuits=2, past=3)
    async with opened(chromium, source, quiet=False) as (page, served):
        assert await page.get_attribute(".live", "data-s") == "live"
        await served.stop()
        await page.wait_for_selector("[data-notice=lost]", timeout=4000)
        assert "can\u2019t be reached" in await page.inner_text("[data-notice=lost]")
        assert await page.locator("html[data-stale]").count() == 1
        assert await page.locator("tr[data-service]").count() == 3, "the last picture stays"
        source.rows[1]["instances"][0]["status"] = "DOWN"
        await served.start()
        await page.click("text=Try now")
        await page.wait_for_selector("[data-notice=lost]", state="detached", timeout=4000)
        await page.wait_for_selector("tr[data-service=orders] .c-state .t-bad")
        assert await page.locator("tr[data-service]").count() == 3
        assert await page.locator("html[data-stale]").count() == 0


async def test_paused_removal_is_explained(chromium):
    source = SeededSource(past=3)
    source.mode = "preserving"
    for row in source.rows:
        for one in row["instances"]:
            one["late"] = one["zone"] == "eu-1b"
    late = sum(one["late"] and one["status"] == "UP" for row in source.rows for one in row["instances"])
    async with opened(chromium, source) as (page, _):
        text = await page.inner_text("[data-notice=protection]")
        assert "paused to be safe" in text
        assert f"{late} of " in text
        source.mode = "normal"
        await page.wait_for_selector("[data-notice=protection]", state="detached", timeout=2000)


async def test_what_the_registry_warns_of_is_said_once(chromium):
    source = SeededSource(services=3, past=3)
    source.warnings = ["Self-preservation is switched off: <b>a fault</b> would empty this registry."]
    async with opened(chromium, source) as (page, _):
        said = page.locator("[data-notice^=warning]")
        assert await said.count() == 1
        assert "<b>a fault</b> would empty" in await said.inner_text()
        source.mode, source.warnings = "preserving", ["Emergency: too few heartbeats arrive."]
        await page.wait_for_selector("[data-notice=protection]", timeout=3000)
        assert await said.count() == 0


async def test_keys_and_pause(chromium):
    source = SeededSource(services=3, circuits=2, past=3)
    async with opened(chromium, source) as (page, _):
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        assert await page.locator("tr.more").count() == 1
        await page.keyboard.press("/")
        await page.keyboard.type("orders")
        assert await page.locator("tr[data-service]").count() == 1
        assert "q=orders" in page.url
        await page.keyboard.press("Escape")
        await page.keyboard.press("Escape")
        await page.keyboard.press("?")
        assert await page.locator("dialog[open]").count() == 1
        await page.keyboard.press("Escape")
        await page.keyboard.press("g")
        await page.keyboard.press("c")
        await page.wait_for_selector(".card")
        await page.keyboard.press("p")
        source._specs[1].update(state="open", turned=10)
        await asyncio.sleep(1.2)
        assert await page.locator('.card[data-s="open"]').count() == 1
        assert "waiting" in await page.inner_text("#page")
        await page.keyboard.press("p")
        assert await page.locator('.card[data-s="open"]').count() == 2
