"""What a page does when the line to its server is cut, slow, shared, unseen or talks nonsense (30 to 35)."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import ClientSession, ClientTimeout, web
from fake_circuits import CircuitServer, Layered
from seeded_source import SeededSource
from ui_browser import needs_chromium, opened, playwright
from ui_kit import Site

from dashboard.viewer import WAITING_BYTES
from resilient.clock import ManualClock

expect = playwright.expect
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
CUT = ("ERR_", "network error", "Failed to load resource")
#: Lets a test say whether anybody looks at the tab.
HIDING = """
let hidden = false;
Object.defineProperty(document, 'hidden', { get: () => hidden });
Object.defineProperty(document, 'visibilityState', { get: () => (hidden ? 'hidden' : 'visible') });
window.hide = value => { hidden = value; document.dispatchEvent(new Event('visibilitychange')); };
"""


class Real(Site):
    """The product's own server on a seeded source; ``restart`` is another one at the same address."""

    def __init__(self, **options):
        self.source = SeededSource(services=6, circuits=20, past=2, clock=options.get("clock", ManualClock()))
        self.options = {"interval": 0.2, **options}
        super().__init__(self.source, **self.options)

    def url(self, view=""):
        return self.root + view

    async def __aenter__(self):
        self.runner = web.AppRunner(self.app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", getattr(self, "port", 0), reuse_address=True).start()
        self.port = self.runner.addresses[0][1]
        self.root = f"http://127.0.0.1:{self.port}/ui/"
        return self

    async def __aexit__(self, *_):
        await self.runner.cleanup()

    def cut(self):
        for viewer in list(self.hub._viewers):
            viewer.close()

    async def restart(self):
        self.source.listeners.clear()
        Site.__init__(self, self.source, **self.options)
        await self.__aenter__()


class Quiet(CircuitServer):
    """A made-up estate in which time stands still; ``tick`` tells of what a test changed."""

    def tick_still(self):
        self.estate.still = True
        self.tick()


def served(**size):
    return Quiet(Layered(**{"services": 20, "circuits": 60, "instances": 120, **size}), quiet=True)


def happened(site, n):
    kind = ("registered", "expired", "cancelled", "metadata")[n % 4]  # equal ones would become one line
    at = site.source.clock.time() + n
    return {"kind": kind, "service": "orders", "instance": f"i{n}", "text": "new", "at": at}


async def until(there, within=20.0, every=0.05):
    """Wait until it is so; a page may be slow."""
    async with asyncio.timeout(within):
        while not there():
            await asyncio.sleep(every)


async def told(page):
    """Whom the list of changes tells of, newest first."""
    return await page.locator(".lrow:not([hidden])").evaluate_all(
        """all => all.map(row => [parseFloat(row.style.transform.slice(11)), row])
        .sort((a, b) => a[0] - b[0]).map(([, row]) => row.querySelector('.c-sub').textContent)"""
    )


async def test_30_a_killed_server_is_told_of_and_another_takes_over(browser):
    async with Real() as site, opened(browser, site, "circuits", allow=CUT) as page:
        page.set_default_timeout(20_000)
        cards = await page.locator(".card").evaluate_all("all => all.map(one => one.dataset.k).sort()")
        assert len(cards) == 20
        site.source.tell("change", happened(site, 6))
        await page.locator("#rail a[href$=changes]").click()
        await expect(page.locator(".lrow", has_text="orders/i6")).to_have_count(1)
        await page.go_back()
        await expect(page.locator(".card")).to_have_count(20)
        live = page.locator("#rail .live")
        await site.runner.cleanup()
        await expect(live.locator("b")).to_have_text("Not connected", timeout=20_000)
        await expect(page.locator(".notice")).to_contain_text("can’t be reached")
        await expect(page.locator("html")).to_have_attribute("data-stale", "")
        said = await live.locator("span").inner_text()
        await expect(live.locator("span")).not_to_have_text(said)  # the age counts up
        await site.restart()
        await page.evaluate("dispatchEvent(new Event('online'))")
        await expect(live.locator("b")).to_have_text("Live", timeout=20_000)
        await expect(page.locator(".notice")).to_have_count(0)
        await expect(page.locator(".toast")).to_contain_text("Connected again")
        again = await page.locator(".card").evaluate_all("all => all.map(one => one.dataset.k).sort()")
        assert again == cards
        # The new server counts its changes from one again: they are news all the same.
        site.source.tell("change", happened(site, 7))
        await page.locator("#rail a[href$=changes]").click()
        await expect(page.locator(".lrow", has_text="orders/i7")).to_have_count(1)


async def test_31_what_was_missed_comes_once_and_in_order_and_after_minutes_everything_anew(browser):
    asked = []
    async with Real() as site, opened(browser, site, "changes", allow=CUT) as page:
        page.set_default_timeout(20_000)
        page.on("request", lambda r: asked.append(r.headers) if "/stream?" in r.url else None)

        async def away(seconds, *numbers):
            site.cut()
            await until(lambda: not site.hub._viewers)
            site.source.clock.advance(seconds)
            for n in numbers:
                site.source.tell("change", happened(site, n))
            await page.evaluate("dispatchEvent(new Event('online'))")
            await expect(page.locator(".lrow", has_text=f"orders/i{numbers[-1]}")).to_have_count(1)

        before = await told(page)
        await away(5, 1, 2, 3)
        rows = await told(page)
        assert rows == ["orders/i3", "orders/i2", "orders/i1", *before][: len(rows)]
        assert asked[-1]["last-event-id"].startswith(site.hub.epoch)
        # So long that nobody knows what was missed: everything comes, and nothing stands there twice.
        await away(300, 4, 5)
        rows = await told(page)
        assert rows == [*(f"orders/i{n}" for n in (5, 4, 3, 2, 1)), *before][: len(rows)]


async def test_32_a_viewer_that_reads_nothing_gets_a_gap_and_takes_nothing_from_others():
    async with Real() as site, ClientSession(timeout=ClientTimeout(60)) as session:
        loop = asyncio.get_running_loop()
        stalled = socket.socket()
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.setblocking(False)
        await loop.sock_connect(stalled, ("127.0.0.1", site.port))
        await loop.sock_sendall(stalled, b"GET /ui/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await until(lambda: site.hub._viewers)
        [slow] = site.hub._viewers
        heard = 0

        async def read():
            nonlocal heard
            async with session.get(site.url("stream")) as answer:
                async for line in answer.content:
                    heard += line.startswith(b'data: {"id":"e-') and b"xxx" in line

        reading = asyncio.create_task(read())
        await until(lambda: len(site.hub._viewers) == 2)
        quick = next(one for one in site.hub._viewers if one is not slow)
        n = 0
        while not slow.behind:
            for _ in range(20):
                n += 1
                text = {"text": f"{n} {'x' * 290}", "reason": "y" * 300}
                site.source.tell("change", {**happened(site, n), **text})
            site.hub.flush()
            assert slow.waiting <= WAITING_BYTES
            assert len(slow._ticks) <= 2
            assert n < 100_000
            await until(lambda: not quick.waiting, every=0)
        assert slow.waiting == 0
        await until(lambda: heard == n)
        assert not quick.behind
        got = b""
        while b"event: services" not in got.rpartition(b"event: gap")[2] or b"event: gap" not in got:
            async with asyncio.timeout(20):
                got = got[-400_000:] + await loop.sock_recv(stalled, 262_144)
        stalled.close()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_32_a_page_that_is_told_of_a_gap_asks_for_everything(browser):
    async with served() as server, opened(browser, server, "circuits") as page:
        rate = page.locator("[data-k='2'] [data-f=rate]")
        server.estate.circuits[2]["rate"] = 77
        streams = len(server.requests)
        server.send("gap", {"reason": "too_slow"})
        await expect(rate).to_have_text("77.0")
        assert len(server.requests) == streams + 1
        await expect(page.locator("#rail .live b")).to_have_text("Live")


async def test_33_many_tabs_leave_room_for_each_other(browser):
    async with served() as server:
        context = await browser.new_context()
        await context.add_init_script(HIDING)
        try:
            tabs = []
            for n in range(8):
                for tab in tabs:
                    await tab.evaluate("hide(true)")
                tabs.append(page := await context.new_page())
                await page.goto(server.url())
                # Without room it would wait for one of the others to end, for a minute.
                await expect(page.locator("#rail .live b")).to_have_text("Live", timeout=20_000)
                # Who has left is noticed when he is told something.
                await until(lambda: server.tick() or len(server._queues) <= 2)
            # Who is looked at again is current at once.
            await tabs[-1].evaluate("hide(true)")
            await tabs[0].evaluate("hide(false)")
            await until(lambda: server.tick() or len(server._queues) <= 2)
            server.estate.circuits[2]["state"] = "C"
            open_now = sum(row["state"] == "O" for row in server.estate.circuits.values())
            server.tick()
            await expect(tabs[0].locator("[data-cell=circuits] .v")).to_contain_text(f"{open_now} ")
        finally:
            await context.close()


async def test_34_a_hidden_tab_makes_nothing_of_its_numbers_until_it_is_seen(browser):
    async with served() as server:
        context = await browser.new_context()
        await context.add_init_script(HIDING)
        try:
            page = await context.new_page()
            await page.goto(server.url("circuits"))
            rate = page.locator("[data-k='2'] [data-f=rate]")
            await expect(rate).to_have_text(f"{server.estate.circuits[2]['rate']:,.1f}".removesuffix(".0"))
            await page.evaluate(
                """hide(true);
                window.writes = 0;
                new MutationObserver(all => { writes += all.length; }).observe(
                  document.getElementById('page'),
                  { subtree: true, childList: true, characterData: true, attributes: true })"""
            )
            for state in "OHOHO":
                server.estate.circuits[30]["state"] = state
                server.tick()
            server.estate.circuits[2]["rate"] = 77
            server.estate.still = True
            server.tick()
            # Seen even now, so the ticks before it have arrived.
            server.notice("odd", title="Odd")
            await page.wait_for_selector("text=Odd", state="attached")
            assert await page.evaluate("writes") == 0
            await page.evaluate("hide(false)")
            await expect(rate).to_have_text("77.0")
        finally:
            await context.close()


BROKEN = [
    ("tick\ndata: {not json\n\nevent: other", {}),
    ("tick", None),
    ("tick", [1, 2]),
    ("tick", {"c": [None, [999], [2]], "s": 5}),
    ("services", {"rows": [None], "gone": 7}),
    ("services", {"rows": [{"up": 1}]}),
    ("circuits", {"rows": "none"}),
    ("circuits", {"rows": [{"k": 9999}, "x"]}),
    ("state", {"k": 999, "to": "X"}),
    ("change", {}),
    ("notice", {"id": "odd", "on": True, "level": "loud"}),
    ("beats:nobody", {"i": None}),
    ("constructor", {"a": 1}),
    ("something-new", {"v": 9}),
]


async def test_35_events_that_make_no_sense_break_nothing_and_a_newer_server_is_noticed(browser):
    async with (
        served() as server,
        # What cannot be read is written to the console, and that is all.
        opened(browser, server, "circuits", allow=("JSON", "Error")) as page,
    ):
        for n, (event, data) in enumerate(BROKEN):
            server.send(event, data)
            server.estate.circuits[2]["rate"] = 100 + n
            server.tick_still()
            await expect(page.locator("[data-k='2'] [data-f=rate]")).to_have_text(str(100 + n))
        await expect(page.locator("#top .sub")).to_contain_text("60 circuits in ")
        assert await page.locator(".card").count() == 60
        await expect(page.locator(".notice")).to_have_count(1)
        server.send("hello", {**server.estate.hello(), "v": 2})
        await expect(page.locator(".notice", has_text="newer version")).to_be_visible()
