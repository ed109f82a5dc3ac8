"""The pages for those who hear them, or use no mouse: rare states, keyboard alone, what is read aloud."""

from __future__ import annotations

import asyncio

import pytest
from fake_circuits import CircuitServer, Layered
from fake_estate import Estate
from fake_server import FakeServer
from test_ui_access import AXE, RULES, fits
from ui_browser import FULL, PATIENCE, full, needs_chromium, opened, playwright

expect = playwright.expect
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
ROW = ".lrow:not([hidden])"
#: The page's clock can be moved on by hand.
SOON = """{ const real = performance.now.bind(performance); let more = 0;
performance.now = () => real() + more; window.skip = ms => { more += ms; }; }"""
LOOKS = [("light", 1440), ("dark", 390)]


def circuits(**size):
    return CircuitServer(Layered(**{"services": 10, "circuits": 12, "instances": 40, **size}), quiet=True)


def registry(**size):
    return FakeServer(Estate(**{"services": 8, "circuits": 8, "instances": 60, **size}), interval=0.3)


async def judged(page, looks=LOOKS):
    await page.evaluate(AXE)
    for theme, width in looks:
        await page.emulate_media(color_scheme=theme)
        await fits(page, width)
        assert await page.evaluate(RULES) == [], f"{theme} {width}"


# --- 36: what axe says of the rarer states


@full
@pytest.mark.parametrize(
    "view", ["", "services/orders", "circuits", "topology", "changes"][: 9 if FULL else 1]
)
async def test_36_nothing_yet(browser, view):
    async with (
        circuits(services=0, circuits=0) as server,
        opened(browser, server, view, allow=["404"]) as page,
    ):
        await expect(page.locator(".empty h2")).to_be_visible()
        await judged(page)


@full
@pytest.mark.parametrize(
    "view", ["", "services/storefront", "nodes", "circuits", "topology"][: 9 if FULL else 1]
)
async def test_36_old_data(browser, view):
    async with circuits() as server, opened(browser, server, view, allow=["ERR_"], before=SOON) as page:
        await page.wait_for_selector(f"{ROW}, tbody tr, .card, .node")
        await server.stop()
        await page.evaluate("skip(5000)")
        await expect(page.locator("html[data-stale]")).to_have_count(1)
        await expect(page.locator(".notice")).to_be_visible()
        await judged(page)


@full
async def test_36_dialogs_menus_and_the_finder(browser):
    async with registry() as server, opened(browser, server, "services/basket") as page:
        await page.get_by_role("checkbox").nth(1).click()
        await page.get_by_role("button", name="Take out of service").click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await judged(page, LOOKS)
        await page.keyboard.press("Escape")
        await page.set_viewport_size({"width": 1440, "height": 900})
        await page.get_by_role("button", name="Service actions").click()
        await expect(page.get_by_role("menu")).to_be_visible()
        await judged(page, LOOKS[:1])
        await page.keyboard.press("Escape")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("st")
        await judged(page, LOOKS[:1])


# --- 37: with the keyboard alone


async def test_37_an_instance_is_found_and_taken_out_without_a_mouse(browser):
    async with registry() as server, opened(browser, server) as page:
        focused = page.locator(":focus")

        async def tab_to(name, most=40, key="Tab"):
            for _ in range(most):
                await page.keyboard.press(key)
                here = await focused.evaluate(
                    "one => one.getAttribute('aria-label') ?? one.textContent.trim()"
                )
                if here.startswith(name):
                    return
            raise AssertionError(f"{name} cannot be reached")

        await page.keyboard.press("Tab")
        await expect(focused).to_have_text("Skip to content")
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        await page.keyboard.press("Control+k")
        await expect(focused).to_have_attribute("role", "combobox")
        await page.keyboard.type("bask")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("basket")
        await expect(page.locator("main")).to_be_focused()
        await expect(page.locator(ROW).nth(1)).to_be_visible()
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        row = page.locator(ROW).nth(1)
        await expect(row).to_be_focused()
        id = await row.get_attribute("data-key")
        await page.keyboard.press("x")
        await expect(page.get_by_text("1 selected")).to_be_visible()
        await expect(row).to_be_focused()
        await tab_to("Take out of service", key="Shift+Tab")
        await page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text(id)
        await expect(dialog.get_by_label("Reason")).to_be_focused()
        # The focus goes round inside.
        for _ in range(12):
            await page.keyboard.press("Tab")
            assert await page.evaluate(
                "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            )
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        await expect(focused).to_have_text("Take out of service")
        assert server.acted == []
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_label("Reason")).to_be_focused()
        await page.keyboard.type("disk swap")
        await page.keyboard.press("Enter")
        await expect(page.locator(".toast")).to_contain_text("taken out of service")
        assert server.acted[0][1]["subjects"] == [f"basket/{id}"]
        await expect(page.locator(f'{ROW}[data-key="{id}"] .c-status')).to_contain_text("Out of service")
        # Nobody's focus is lost to the page's end.
        assert await page.evaluate("document.activeElement !== null")


# --- 44: what is read aloud

SPOKEN = """{
  window.spoken = [];
  // What has come over the line: a tick has the heartbeats, a turn its rule.
  window.came = {beats: 0, why: 0};
  const parse = JSON.parse;
  JSON.parse = text => {
    for (const key of ['beats', 'why']) if (String(text).includes(`"${key}"`)) window.came[key] += 1;
    return parse(text);
  };
  const hear = () => {
    const say = document.getElementById('say');
    new MutationObserver(() => { if (say.textContent) window.spoken.push(say.textContent); }).observe(say, {childList: true, characterData: true, subtree: true});
    const seen = new Set();
    new MutationObserver(() => {
      for (const one of document.querySelectorAll('#notices [role=status] p.strong')) {
        if (!seen.has(one.textContent)) { seen.add(one.textContent); window.spoken.push(`notice: ${one.textContent}`); }
      }
    }).observe(document.getElementById('notices'), {childList: true, subtree: true});
  };
  document.addEventListener('DOMContentLoaded', hear);
}"""  # noqa: E501


async def test_44_a_minute_is_read_aloud_in_a_few_sentences(browser):
    """Ticks and other circuits are silent; own pins, notices, own actions and the pause are not."""
    async with circuits() as server:
        async with opened(browser, server, "circuits", before=SPOKEN) as page:
            await page.clock.install()
            await page.clock.pause_at(await page.evaluate("Date.now() / 1000") + 1)
            rows = server.estate.circuits

            order = await page.locator(".card").evaluate_all("all => all.map(one => +one.dataset.k)")
            mine, other = order[8], order[9]
            await page.locator(f".card[data-k='{mine}'] .pin").click()
            told = page.locator(f".card[data-k='{mine}'] header svg").first

            async def sent(key, send, *given):
                """Send it, and wait until it has come: the page's clock stands meanwhile."""
                before = await page.evaluate(f"came.{key}")
                send(*given)
                async with asyncio.timeout(PATIENCE / 1000):
                    while await page.evaluate(f"came.{key}") == before:
                        await asyncio.sleep(0.01)

            async def passes(seconds):
                for _ in range(seconds):
                    await sent("beats", server.tick)
                    await page.clock.run_for(1000)

            async def turns(key, state, word):
                await sent("why", server.state, key, state)
                await passes(1)
                if key == mine:
                    await expect(told).to_have_attribute("aria-label", word)

            await passes(5)
            await turns(other, "O", "Open")
            await turns(mine, "O", "Open")
            await passes(10)
            await turns(mine, "H", "Half-open")
            await turns(mine, "C", "Closed")
            await passes(10)
            server.notice("protection", beats=3381, want=4020, limit=0.85, kept=316, zones=["eu-1b"])
            await expect(page.locator(".notice")).to_be_visible()
            await passes(10)
            await page.keyboard.press("p")
            await passes(12)
            await page.keyboard.press("p")
            await passes(13)
            name = rows[mine]
            called = f"{name['to']} {name['cmd']} from {name['from']}"
            assert await page.evaluate("window.spoken") == [
                f"{called}: open.",
                f"{called}: half-open.",
                f"{called}: closed.",
                "notice: Removal of silent instances is paused to be safe.",
                "Paused.",
                "Live again.",
            ]
