"""How the pages look: in small windows, with wide letters, to other eyes, without motion and on paper."""

from __future__ import annotations

import base64
import itertools
import json

import pytest
import pytest_asyncio
from fake_circuits import CircuitServer, Layered
from fake_estate import Estate
from fake_server import FakeServer
from test_ui_access import fits
from ui_browser import FULL, full, needs_chromium, opened, playwright

expect = playwright.expect
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
#: View: what has to be there before it is judged.
VIEWS = {
    "": ".lrow:not([hidden])",
    "services/payments-gateway": ".lrow:not([hidden])",
    "nodes": "tbody tr",
    "changes": ".lrow:not([hidden])",
    "circuits": ".card",
    "circuits?view=table": ".vrow, .card",
    "circuit": ".plot canvas",
    "topology": ".node, .ego",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """Everything in one, and nothing moves."""
    estate = Layered(services=16, circuits=14, instances=110)
    estate.still = True
    async with CircuitServer(estate, quiet=True) as one:
        yield one


def path(server, view):
    if view != "circuit":
        return view
    return f"circuits/{next(row['id'] for row in server.estate.circuits.values() if row['state'] == 'O')}"


# --- 39: small windows


async def test_39_four_hundred_percent_and_a_phone_scroll_one_way_only(browser, server):
    """1440 px at 400 % are 360 px of four dots each; a phone has 390 or 320."""
    for view, there in VIEWS.items() if FULL else [(one, VIEWS[one]) for one in ("", "circuit")]:
        phone = {"width": 360, "height": 225, "device_scale_factor": 4}
        async with opened(browser, server, path(server, view), wait=False, **phone) as page:
            await page.wait_for_selector(there)
            for width in (360, 390, 320):
                await fits(page, width)


SMALL = """() => {
  const found = [];
  for (const one of document.querySelectorAll('a[href], button, input, select, summary')) {
    if (!one.checkVisibility() || one.closest('.sr, p, dd, li span') || one.matches('.skip, .wall-mark')) continue;
    const box = one.getBoundingClientRect();
    if (!box.width) continue;
    // What lies around a control and belongs to it counts, too.
    const around = ['::before', '::after'].map(part => getComputedStyle(one, part)).filter(part => part.position === 'absolute' && part.content !== 'none');
    const more = Math.max(0, ...around.map(part => -2 * parseFloat(part.top || 0)));
    const row = one.closest('.lrow, .vrow, .hit, tr, .card'), tall = Math.max(box.height + more, one.matches('a') && row ? Math.min(24, row.offsetHeight) : 0);
    const least = one.matches('.btn, .pick, .check, .pin') ? 43.5 : 23.5;
    if (tall < least || box.width + more < 23.5) found.push(`${one.outerHTML.slice(0, 90)} ${Math.round(box.width)}x${Math.round(box.height)}`);
  }
  return found;
}"""  # noqa: E501


async def test_39_controls_are_large_enough_and_the_bar_of_tabs_works(browser, server):
    for view in VIEWS if FULL else ("", "circuits"):
        phone = {"width": 390, "height": 800, "has_touch": True, "is_mobile": True}
        async with opened(browser, server, path(server, view), wait=False, **phone) as page:
            await page.wait_for_selector(VIEWS[view])
            small = await page.evaluate(SMALL)
            assert small == [], (view, small)
            tabs = page.locator("#tabbar > *")
            names = [text.split("\n")[0] for text in await tabs.all_inner_texts()]
            assert names == ["Services", "Circuits", "Topology", "Changes", "More"]
            boxes = await tabs.evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
            assert min(boxes) >= 44
            if view:
                continue
            await tabs.nth(1).tap()
            await expect(page.locator("h1")).to_have_text("Circuits")
            await expect(tabs.nth(1)).to_have_attribute("aria-current", "page")
            await tabs.nth(4).tap()
            await (
                page.get_by_role("menuitem", name="Registry nodes")
                .or_(page.get_by_role("menuitemradio", name="Registry nodes"))
                .tap()
            )
            await expect(page.locator("h1")).to_have_text("Registry nodes")


# --- 40: the same picture every time


OUTLINE = """() => [...document.querySelectorAll('h1, h2, h3, nav, main, aside, [role=table], [role=columnheader], table, th, [role=region], section[aria-label]')]
  .filter(one => one.checkVisibility() && one.getBoundingClientRect().width > 1)
  .map(one => [one.tagName, one.getAttribute('role') ?? '', one.getAttribute('aria-label') ?? (/^(H|TH)|SPAN/.test(one.tagName) ? one.textContent.trim() : '')])"""  # noqa: E501


@full
async def test_40_a_page_has_the_same_outline_each_time_and_in_both_themes(browser, server):
    """No picture is kept: which fonts there are differs from machine to machine. What stands on the page, in
    which order and under which heading does not."""
    for view, there in VIEWS.items():
        outlines = []
        for theme in ("light", "dark", "light"):
            async with opened(browser, server, path(server, view), theme=theme) as page:
                await page.wait_for_selector(there)
                if outlines:
                    await page.wait_for_function(
                        f"wanted => JSON.stringify(({OUTLINE})()) === wanted",
                        arg=json.dumps(outlines[0], ensure_ascii=False, separators=(",", ":")),
                    )
                else:
                    await page.wait_for_timeout(500)
                outlines.append(json.loads(await page.evaluate(f"JSON.stringify(({OUTLINE})())")))
        assert outlines[0] == outlines[1] == outlines[2], view
        assert len(outlines[0]) > 3


# --- 41: wide letters

WIDE = """() => {
  // As wide as the widest of common fonts, whatever fonts this machine has: digits of 0.64 em.
  const probe = document.createElement('span');
  probe.style.cssText = 'position: absolute; font: 100px var(--sans); font-variant-numeric: tabular-nums; white-space: nowrap';
  probe.textContent = '0'.repeat(20);
  document.body.append(probe);
  const em = probe.getBoundingClientRect().width / 2000;
  probe.remove();
  document.documentElement.style.setProperty('letter-spacing', `${Math.max(0, .64 - em).toFixed(3)}em`);
  document.documentElement.style.setProperty('--sans', '"DejaVu Sans", Verdana, sans-serif');
}"""  # noqa: E501
CLIPPED = """kinds => [...document.querySelectorAll(kinds)].filter(one => one.checkVisibility()).flatMap(one => {
  const box = one.getBoundingClientRect(), out = [];
  if (one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline') out.push(`${one.className} is cut: ${one.textContent.trim().slice(0, 40)} ${one.scrollWidth} > ${one.clientWidth}`);
  const home = one.closest('.cell, .card, .panel, .tallies button'), room = home?.getBoundingClientRect();
  if (room && box.right > room.right + 1 && !one.closest('.scroll-x, .bar.scroll, .vt, .wide-table')) out.push(`${one.className} leaves its place: ${one.textContent.trim().slice(0, 40)}`);
  return out;
})"""  # noqa: E501
VALUES = (
    ".cell > .v, .cell .counts, .cell .ends, .tallies .k, .tallies .v, .card .pct, .card .rate, "
    ".card .out div, .card .nums dd, .card footer, .btn, .seg button, .pick, .side-facts dd, "
    ".bigstate, .lease, .c-up .num"
)


@pytest.mark.parametrize("width", [1440, 1024, 390] if FULL else [1440])
async def test_41_wide_letters_cut_no_value(browser, server, width):
    for view in VIEWS if FULL else ("circuits",):
        async with opened(browser, server, path(server, view), wait=False, width=width) as page:
            await page.wait_for_selector(VIEWS[view])
            await page.evaluate(WIDE)
            await page.evaluate("dispatchEvent(new Event('resize'))")
            assert await page.evaluate(CLIPPED, VALUES) == [], view


@full
async def test_41_wider_spacing_cuts_no_text(browser, server):
    """WCAG 1.4.12: lines, letters and words further apart."""
    for view, there in VIEWS.items():
        async with opened(browser, server, path(server, view), wait=False) as page:
            await page.wait_for_selector(there)
            await page.evaluate(
                """() => { const all = document.documentElement.style;
                all.setProperty('letter-spacing', '.12em'); all.setProperty('word-spacing', '.16em'); }"""
            )
            assert (
                await page.evaluate(CLIPPED, ".card .pct, .tallies .v, .cell > .v, .bigstate, h1, h2") == []
            )


# --- 42: other eyes

SHEET = """async base => {
  const {STATES, shape} = await import(new URL('@dev/app/ui/glyph.js', base));
  const sheet = document.createElement('div');
  sheet.id = 'sheet';
  sheet.style.cssText = 'position: fixed; inset: 0; z-index: 99; background: var(--surface)';
  const names = Object.keys(STATES).filter(one => !['closed', 'open'].includes(one));
  names.forEach((name, i) => {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg'), use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
    use.setAttribute('href', `#g-${shape(name)}`);
    svg.setAttribute('class', `g t-${STATES[name][0]}`);
    svg.style.cssText = `position: absolute; left: ${i * 16}px; top: 0; width: 14px; height: 14px`;
    svg.append(use);
    sheet.append(svg);
  });
  document.body.append(sheet);
  return names;
}"""  # noqa: E501
DIFFER = """async ([picture, n, scale]) => {
  const image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const x = canvas.getContext('2d', {willReadFrequently: true});
  x.drawImage(image, 0, 0);
  const wide = 14 * scale;
  const crops = Array.from({length: n}, (_, i) => x.getImageData(i * 16 * scale, 0, wide, wide).data);
  const grey = (data, i) => .3 * data[i] + .59 * data[i + 1] + .11 * data[i + 2];
  const found = [];
  for (let a = 0; a < n; a++) {
  for (let b = a + 1; b < n; b++) {
    const one = crops[a], other = crops[b];
    let unlike = 0;
    for (let i = 0; i < one.length; i += 4) unlike += Math.abs(grey(one, i) - grey(other, i)) > 48;
    found.push([a, b, unlike / (one.length / 4)]);
  }
  }
  return found;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"] if FULL else ["light"])
async def test_42_marks_are_told_apart_without_their_colours(browser, server, theme):
    async with opened(browser, server, "api", theme=theme, wait=False, device_scale_factor=2) as page:
        await page.wait_for_selector("h1")
        session = await page.context.new_cdp_session(page)
        names = await page.evaluate(SHEET, server.url())
        assert len(names) >= 15
        for eyes in ("none", "deuteranopia", "protanopia", "achromatopsia"):
            await session.send("Emulation.setEmulatedVisionDeficiency", {"type": eyes})
            clip = {"x": 0, "y": 0, "width": 16 * len(names), "height": 14}
            picture = base64.b64encode(await page.screenshot(clip=clip)).decode()
            found = await page.evaluate(DIFFER, [picture, len(names), 2])
            assert len(found) == len(list(itertools.combinations(names, 2)))
            alike = [(names[a], names[b], share) for a, b, share in found if share < 0.06]
            assert alike == [], eyes


# --- 43: without motion, with few colours, on paper

TEXT = """() => {
  const out = [];
  const walk = node => {
    if (node.nodeType === 3) { if (node.data.trim()) out.push(node.data.trim()); return; }
    if (node.nodeType !== 1 || !node.checkVisibility()) return;
    node.childNodes.forEach(walk);
  };
  walk(document.getElementById('page'));
  return out.join(' ').replace(/\\s+/g, ' ');
}"""


async def test_43_reduced_motion_forced_colours_and_paper_keep_all_content(browser, server):
    for view, there in VIEWS.items() if FULL else [(one, VIEWS[one]) for one in ("", "circuits", "circuit")]:
        stood = {"before": "performance.now = () => 1e6;", "reduced_motion": "no-preference"}
        async with opened(browser, server, path(server, view), **stood) as page:
            await page.wait_for_selector(there)
            await page.wait_for_timeout(300)
            said = await page.evaluate(TEXT)
            assert len(said) > 200, view
            for media in ({"reduced_motion": "reduce"}, {"forced_colors": "active"}, {"media": "print"}):
                await page.emulate_media(**media)
                assert await page.evaluate(TEXT) == said, (view, media)
                hidden = await page.locator("#rail").is_hidden()
                assert hidden is (media == {"media": "print"})
            await page.emulate_media(media="screen")


@full
async def test_43_nothing_moves_where_motion_is_not_wanted(browser):
    for wish in ("reduce", "no-preference"):
        async with CircuitServer(Layered(services=6, circuits=9, instances=20), quiet=True) as server:
            async with opened(browser, server, "circuits", reduced_motion=wish) as page:
                card = page.locator(".card[data-k='9']")
                await card.scroll_into_view_if_needed()
                server.state(9, "O")
                await expect(card.get_by_role("img", name="Open")).to_be_visible()
                await expect(card).to_have_class("card turned")
                running = await card.evaluate("one => one.getAnimations().length")
                assert (running == 0) is (wish == "reduce")


@full
async def test_43_with_forced_colours_shares_marks_and_lines_are_still_seen(browser):
    async with FakeServer(Estate(services=16, circuits=9, instances=110), interval=0.3) as server:
        async with opened(browser, server, "", forced_colors="active") as page:
            await page.wait_for_selector(".lrow:not([hidden])")
            colours = await page.locator(".lrow:not([hidden]) .share i").evaluate_all(
                """all => all.map(one => getComputedStyle(one))
                  .map(at => at.backgroundColor + at.backgroundImage)"""
            )
            assert len(set(colours)) > 1
            assert not any(one == "rgba(0, 0, 0, 0)none" for one in colours)
