"""A Chromium, and what can be read off a page in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, BrowserContext, CDPSession, Page, async_playwright

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: Notes when data was first on the screen, and how far things were moved after the first picture.
WATCH = """(() => {
  const seen = window.seen = { shift: 0 };
  seen.drawn = new Promise(done => new MutationObserver((_, self) => {
    if (!document.querySelector('.lrow, .vrow, .card')) return;
    self.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now())));
  }).observe(document, { childList: true, subtree: true }));
  new PerformanceObserver(list => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) seen.shift += one.value;
  }).observe({ type: 'layout-shift', buffered: true });
})();"""

#: Stands between the page and its stream: what came can be sent again, faster.
REPLAY = """(() => {
  const ticks = [], real = window.fetch;
  let feed = null, cut = false, came = 0;
  window.fetch = async (input, init) => {
    const answer = await real(input, init);
    if (!String(input.url ?? input).includes('/stream?')) return answer;
    const body = new ReadableStream({ start(to) { feed = to; } });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(), to = new TextEncoder();
    (async () => {
      let text = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        if (cut) continue;
        feed.enqueue(to.encode(value));
        const parts = (text + value).split('\\n\\n');
        text = parts.pop();
        // Twenty are enough.
        for (const part of parts) if (part.includes('event: tick')) ticks[came++ % 20] = part;
      }
    })().catch(() => {});
    return new Response(body, { status: answer.status, headers: answer.headers });
  };
  window.recorded = () => ticks.length;
  /** So many seconds, `speed` of them in each; nothing else comes meanwhile. */
  window.replay = async (n, speed) => {
    if (!ticks.length) return 0;
    cut = true;
    const to = new TextEncoder(), began = performance.now();
    let now = Number(/"now": ?(\\d+)/.exec(ticks.at(-1))[1]);
    for (let i = 0; i < n; i++) {
      now += 1000;
      feed.enqueue(to.encode(ticks[i % ticks.length].replace(/"now": ?\\d+/, `"now":${now}`) + '\\n\\n'));
      const wait = began + (i + 1) * 1000 / speed - performance.now();
      do await new Promise(go => setTimeout(go, Math.max(0, wait))); while (feed.desiredSize < 1);
    }
    cut = false;
    return ticks.length;
  };
})();"""

FRAMES = """seconds => new Promise(done => {
  const began = performance.now(), gaps = [];
  let last = 0;
  const step = at => {
    if (last) gaps.push(at - last);
    last = at;
    if (at - began < seconds * 1000) requestAnimationFrame(step);
    else done(gaps);
  };
  requestAnimationFrame(step);
})"""

#: Scrolls step by step; after each step it looks whether rows are where the reader looks.
SCROLL = """({ row, box, step }) => new Promise(done => {
  const scroller = box ? document.querySelector(box) : document.scrollingElement;
  const gaps = [];
  let last = 0, blank = 0, run = 0, worst = 0, frames = 0;
  const covered = () => {
    const list = document.querySelector(row).parentElement, all = list.getBoundingClientRect();
    const seen = box ? scroller.getBoundingClientRect() : { top: 0, bottom: innerHeight };
    const low = Math.max(seen.top, all.top, 0), high = Math.min(seen.bottom, all.bottom, innerHeight);
    let at = low;
    const rows = [...list.querySelectorAll(`${row}:not([hidden])`)].map(one => one.getBoundingClientRect());
    for (const one of rows.sort((a, b) => a.top - b.top)) {
      if (one.top <= at + 1 && one.bottom > at) at = one.bottom;
    }
    return at >= high - 1;
  };
  const go = at => {
    if (last) gaps.push(at - last);
    last = at;
    frames += 1;
    const before = scroller.scrollTop;
    scroller.scrollTop += step;
    if (covered()) run = 0;
    else { blank += 1; run += 1; worst = Math.max(worst, run); }
    if (scroller.scrollTop > before && frames < 1500) requestAnimationFrame(go);
    else done({ gaps, blank, worst, frames, end: scroller.scrollTop });
  };
  requestAnimationFrame(go);
})"""

#: Types letters and takes them away again; the page has to have laid out its answer before the next.
TYPE = """async letters => {
  const field = document.querySelector('[data-filter]'), took = [];
  const put = text => {
    const began = performance.now();
    field.value = text;
    field.dispatchEvent(new Event('input', { bubbles: true }));
    document.body.offsetHeight;
    took.push(performance.now() - began);
  };
  for (let i = 1; i <= letters.length; i++) {
    put(letters.slice(0, i));
    await new Promise(go => requestAnimationFrame(() => setTimeout(go)));
  }
  put('');
  return took;
}"""


@dataclass
class Load:
    """One visit: milliseconds until the first picture and until data was drawn; what was asked of the server
    for it (page, files, stream), and the data that what stands on it then asked for."""

    paint: float
    drawn: float
    asked: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """One browser."""
    if CHROMIUM is None:
        raise FileNotFoundError("no chromium on the path (apt-get install chromium)")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def context(browser: Browser, *scripts: str) -> AsyncIterator[BrowserContext]:
    """A browser that was never here."""
    one = await browser.new_context(viewport={"width": 1440, "height": 900})
    for script in (WATCH, *scripts):
        await one.add_init_script(script)
    try:
        yield one
    finally:
        await one.close()


#: When the page first showed something, in ms since it was asked for.
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


async def visit(context: BrowserContext, url: str, calm: float = 0.7) -> tuple[Page, CDPSession, Load]:
    """A page, drawn, and what its way there took."""
    page = await context.new_page()
    cdp = await context.new_cdp_session(page)
    await cdp.send("Network.enable")
    urls: dict[str, str] = {}
    real: dict[str, None] = {}

    def sent(event: Any) -> None:
        urls[event["requestId"]] = event["request"]["url"]
        real[event["requestId"]] = None

    def answered(event: Any) -> None:
        if event["response"].get("fromDiskCache") or event["response"].get("fromPrefetchCache"):
            real.pop(event["requestId"], None)

    cdp.on("Network.requestWillBeSent", sent)
    cdp.on("Network.responseReceived", answered)
    cdp.on("Network.requestServedFromCache", lambda event: real.pop(event["requestId"], None))
    await page.goto(url)
    drawn = await page.evaluate("seen.drawn")
    await page.wait_for_selector("#rail .live[data-s=live]")
    await asyncio.sleep(calm)
    paint = await page.evaluate(PAINT)
    load = Load(paint, drawn)
    for id in real:
        (load.later if "/ui/data/" in urls[id] else load.asked).append(urls[id])
    return page, cdp, load


async def spent(cdp: CDPSession) -> dict[str, float]:
    """Milliseconds of the page's own thread so far: its processor's, not the clock's."""
    metrics = {one["name"]: one["value"] for one in (await cdp.send("Performance.getMetrics"))["metrics"]}
    return {
        "script": 1000 * metrics["ScriptDuration"],
        "layout": 1000 * (metrics["LayoutDuration"] + metrics["RecalcStyleDuration"]),
        "all": 1000 * metrics["TaskDuration"],
    }


async def heap(cdp: CDPSession) -> tuple[float, int]:
    """Megabytes of JavaScript after collection, and how many nodes are alive."""
    for _ in range(2):
        await cdp.send("HeapProfiler.collectGarbage")
    used = (await cdp.send("Runtime.getHeapUsage"))["usedSize"]
    nodes = (await cdp.send("Memory.getDOMCounters"))["nodes"]
    return used / 1e6, nodes


def dropped(gaps: list[float], each: float = 1000 / 60) -> tuple[float, float]:
    """The share of frames that were left out, in percent, and the longest in ms."""
    lost = sum(max(0, round(gap / each) - 1) for gap in gaps)
    return 100 * lost / max(1, lost + len(gaps)), max(gaps, default=0.0)
