"""The circuits' pages before real circuits: what those do, what is done to them, what stays where it is."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from fake_circuits import CircuitServer, Layered
from real_estate import estate
from ui_browser import FULL, full, needs_chromium, opened, playwright

from resilient.errors import CircuitOpen

expect = playwright.expect
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
#: The page's clock can be moved on by hand: `skip(5000)`.
MOVED = """{ const real = performance.now.bind(performance); let more = 0;
performance.now = () => real() + more; window.skip = ms => { more += ms; }; }"""


async def pair(one, **policy):
    """Two hosts of orders that call payments, and one of basket with a circuit of the same name."""
    for service in ("orders", "basket", "payments"):
        await one.register(service, f"{service}-0")
    options = {"reset_timeout": 20.0, "reset_jitter": 0.0, **policy}
    hosts = [one.caller("orders", f"orders-{n}", ["payments.pay"], **options) for n in range(2)]
    other = one.caller("basket", "basket-0", ["payments.pay"], **options)
    for caller in (*hosts, other):
        one.traffic.append(lambda caller=caller: caller.call("payments.pay", 6))
    await one.run(10)
    return hosts


async def test_18_every_page_tells_of_a_circuits_states_alike(browser):
    async with estate() as one, AsyncExitStack() as stack:
        hosts = await pair(one)
        pages = [
            await stack.enter_async_context(opened(browser, one, view))
            for view in ("circuits", "topology", "changes?kind=circuit_opened")
        ]
        cards, graph, feed = pages
        card = cards.get_by_role("article", name="orders to payments pay")
        edge = graph.locator(".edge[d]:not(.key *)", has_text="orders to payments")
        line = feed.locator(".lrow:not([hidden])").first

        async def all_say(state, kind, tally, told):
            await one.run(1)
            await one.tell()
            await expect(card.get_by_role("img", name=state, exact=True)).to_be_visible()
            words = f"2 circuits: {tally[0]} open, {tally[1]} half-open, 0 forced, {tally[2]} closed"
            words += ". The same data is in the list below."
            await expect(cards.locator(".wall-canvas")).to_have_attribute("aria-label", words)
            for page in pages:
                await expect(page.locator("#rail .tally")).to_have_text(
                    [f"{tally[0]} open"] if tally[0] else []
                )
            await expect(edge).to_have_class(f"edge {kind} near")
            await expect(line.locator(".c-what")).to_have_text(told)
            await expect(line.locator(".c-sub")).to_have_text("orders/payments:payments.pay")

        for host in hosts:
            host.call("payments.pay", 120, fail=115)
        await all_say("Open", "open", (1, 0, 1), "Circuit opened")
        await expect(card.locator(".st")).to_contain_text("Open on all 2")
        with pytest.raises(CircuitOpen):
            hosts[0].circuits["payments.pay"].admit(print)
        one.traffic.clear()
        await one.run(19)
        trials = [host.circuits["payments.pay"].admit(print) for host in hosts]
        await all_say("Half-open", "half", (0, 1, 1), "Circuit half-open")
        for host, trial in zip(hosts, trials, strict=True):
            host.circuits["payments.pay"].ended(trial, 1)
        await all_say("Closed", "closed", (0, 0, 2), "Circuit closed")


async def test_23_forced_open_by_hand_all_hosts_refuse_until_the_time_is_over(browser):
    async with estate() as one:
        hosts = await pair(one)
        view = "circuits/orders/payments:payments.pay"
        async with opened(browser, one, view) as page, AsyncExitStack() as stack:
            for host in hosts:
                await stack.enter_async_context(host.listening())
            big = page.locator(".bigstate")
            for host in hosts:
                host.call("payments.pay", 120, fail=115)
                host.push()
            await one.tell()
            await expect(big).to_have_text("Open")
            await page.get_by_role("button", name="Reset").click()
            await expect(big).to_have_text("Closed")
            assert [host.said for host in hosts] == [[("reset", "applied")]] * 2
            await page.get_by_role("button", name="Force open").click()
            dialog = page.get_by_role("dialog")
            await expect(dialog).to_contain_text("All 2 orders hosts refuse every payments pay call at once")
            await dialog.get_by_label("Reason").fill("bank holiday")
            await dialog.get_by_role("button", name="Force open").click()
            await expect(dialog.locator(".wrong")).to_be_visible()
            assert [len(host.said) for host in hosts] == [1, 1]
            await dialog.get_by_label("Type pay to go on").fill("pay")
            await dialog.get_by_label("Ends by itself").select_option("900")
            await dialog.get_by_role("button", name="Force open").click()
            await expect(page.locator(".toast", has_text="Forced open.")).to_be_visible()
            for host in hosts:
                with pytest.raises(CircuitOpen):
                    host.circuits["payments.pay"].admit(print)
            await one.tell()
            await expect(big).to_have_text("Forced open")
            await expect(page.locator(".held")).to_contain_text("bank holiday")
            await expect(page.locator(".held")).to_contain_text("It ends by itself in 15 min.")
            # The other caller's circuit of that name is another one.
            one.callers[2].circuits["payments.pay"].admit(print)
            one.clock.advance(895)
            await one.run(4)
            with pytest.raises(CircuitOpen):
                hosts[0].circuits["payments.pay"].admit(print)
            await one.run(2)
            hosts[0].circuits["payments.pay"].admit(print)
            await one.tell()
            await expect(big).to_have_text("Closed")
            assert [[action for action, _ in host.said] for host in hosts] == [["reset", "open"]] * 2


@full
async def test_25_two_minutes_are_drawn_at_once_after_a_reload(browser):
    painted = """canvas => {
        const {width, height} = canvas;
        const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
        let n = 0;
        for (let x = 0; x < width; x++) {
          for (let y = 0; y < height; y++) if (pixels[(y * width + x) * 4 + 3]) { n += 1; break; }
        }
        return n / width;
    }"""
    async with estate() as one:
        await pair(one)
        await one.run(125)
        async with opened(browser, one, "circuits") as page:
            for _ in range(2):
                canvas = page.locator(".card canvas").first
                await expect(canvas).to_be_visible()
                await page.wait_for_function(
                    f"one => ({painted})(one) > .9", arg=await canvas.element_handle()
                )
                await page.reload()


def served():
    return CircuitServer(Layered(services=12, circuits=30, instances=40), quiet=True)


async def keys(page):
    return await page.locator(".cards:not(.pinned) .card").evaluate_all(
        "all => all.map(one => +one.dataset.k)"
    )


@full
async def test_21_the_order_is_held_under_the_pointer_and_made_anew_after(browser):
    async with served() as server, opened(browser, server, "circuits", before=MOVED) as page:
        server.estate.still = True
        before = await keys(page)
        last = before[-1]
        # Less than a step moves nobody, however long one waits.
        for row in server.estate.circuits.values():
            row["err"] = None if row["err"] is None else row["err"] + (0.3 if row["k"] % 2 else -0.3)
        await page.evaluate("skip(6000)")
        server.tick()
        await page.wait_for_timeout(50)
        assert await keys(page) == before
        await page.locator(".card").nth(3).hover()
        server.state(last, "O")
        await page.evaluate("skip(6000)")
        server.tick()
        await expect(page.get_by_text("order held")).to_be_visible()
        assert await keys(page) == before
        await page.mouse.move(5, 5)
        await page.evaluate("skip(6000)")
        server.tick()
        await expect(page.get_by_text("order held")).to_have_count(0)
        after = await keys(page)
        assert after.index(last) < 5
        assert [one for one in after if one != last] == [one for one in before if one != last]


@pytest.mark.parametrize("view", ["circuits", "circuits?view=table"] if FULL else ["circuits"])
async def test_38_the_focus_stays_on_its_circuit_through_thirty_new_orders(browser, view):
    async with served() as server, opened(browser, server, view) as page:
        place = "document.activeElement.closest('[data-k]')?.dataset.k"
        every = (
            "[...document.querySelectorAll('.card, .vrow')].map(one => one.hidden || one.dataset.k).join()"
        )
        link = page.locator(".card .nm, .vrow:not([hidden]) a").nth(9)
        await link.focus()
        mine = await page.evaluate(place)
        orders = set()
        for turn in range(30):
            # It goes to the front, and back to where it was; others turn meanwhile.
            await page.keyboard.press("b")
            server.state(20 + turn % 10, "HC"[turn % 2])
            server.tick()
            here, order = await page.evaluate(f"[{place}, {every}]")
            assert here == mine, turn
            orders.add(order)
        assert len(orders) > 1
        await expect(page.locator(f":is(.card, .vrow)[data-k='{mine}'] a:focus")).to_have_count(1)


@full
async def test_27_pins_density_theme_and_the_address_survive_a_reload(browser):
    async with served() as server:
        view = "circuits?sort=volume&show=closed&q=rate%3E1"
        async with opened(browser, server, view) as page:
            sort = page.get_by_role("button", name="Sort")
            await expect(sort).to_contain_text("Volume")
            pinned = (await keys(page))[4]
            await page.locator(f".card[data-k='{pinned}'] .pin").click()
            await page.keyboard.press("t")
            await page.keyboard.press("d")
            for _ in range(2):
                await expect(page.locator(".cards.pinned .card")).to_have_attribute("data-k", str(pinned))
                await expect(page.locator("html[data-theme=dark][data-density=dense]")).to_have_count(1)
                await expect(page.locator("[data-filter]")).to_have_value("rate>1")
                await expect(sort).to_contain_text("Volume")
                shown = await keys(page)
                rows = server.estate.circuits
                assert all(rows[key]["state"] in "CM" and rows[key]["rate"] > 1 for key in shown)
                await page.reload()
            await expect(page.locator(".cards.pinned .card")).to_have_count(1)
            await page.keyboard.press("v")
            await expect(page.locator(".vrow:not([hidden])").first).to_have_attribute("data-k", str(pinned))
