"""The registry's pages before a real registry whose clock is moved by hand: lives, leases, what people do."""

from __future__ import annotations

import asyncio
import re

import pytest
from real_estate import ZONES, estate
from ui_browser import PATIENCE, full, needs_chromium, opened, playwright

from resilient.model import Status

expect = playwright.expect
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
TOKEN = "a-token-of-some-length"
ROW = ".lrow:not([hidden])"


async def shop(one, n=5):
    """Four services of ``n`` instances in three zones, all well for two minutes."""
    for name in ("accounts", "basket", "catalogue", "delivery"):
        for number in range(n):
            await one.register(
                name, f"{name}-{number}", zone=ZONES[number % 3], metadata={"owner": f"team-{number % 2}"}
            )
    await one.run(120)


async def adds_up(page):
    """The summary's parts are all of it, and the rows' sums are the summary."""
    found = await page.evaluate(
        """() => {
        const number = text => Number(text.replaceAll(',', ''));
        const cell = document.querySelector('[data-cell=up]');
        const [up, total] = cell.querySelector('.v').textContent.match(/[\\d,]+/g).map(number);
        const parts = [...cell.querySelectorAll('.counts .with-g')].map(one => number(one.textContent.trim()));
        const rows = [...document.querySelectorAll('.lrow:not([hidden]) .c-up .num')].map(one => one.textContent.match(/\\d+/g).map(Number));
        const sum = list => list.reduce((all, one) => all + one, 0);
        return {up, total, parts: sum(parts), ups: sum(rows.map(([one]) => one)), totals: sum(rows.map(([, all]) => all))};
        }"""  # noqa: E501
    )
    assert found["up"] + found["parts"] == found["total"] == found["totals"], found
    assert found["up"] == found["ups"], found
    return found["up"], found["total"]


async def test_7_an_instance_comes_is_late_and_goes_and_the_counts_always_add_up(browser):
    async with estate() as one:
        await shop(one)
        async with opened(browser, one, height=700) as page:
            row = page.locator(f"{ROW}[data-key=basket]")
            counts, mark = row.locator(".c-up .num"), row.locator(".c-state svg")
            cell = page.locator("[data-cell=up] .v")
            await expect(counts).to_have_text("5 / 5")
            assert await adds_up(page) == (20, 20)
            await one.register("basket", "basket-new")
            await one.tell()
            await expect(counts).to_have_text("6 / 6")
            await expect(cell).to_have_text("21 of 21")
            assert await adds_up(page) == (21, 21)
            await one.run(31)
            one.silence("basket", "basket-new")
            # It renewed a second ago, and two of its heartbeats must be missing.
            for seconds, state, text, total in ((59, "Up", "6 / 6", 21), (3, "Late", "5 / 6", 21)):
                await one.run(seconds)
                await one.tell()
                await expect(mark).to_have_attribute("aria-label", state)
                await expect(counts).to_have_text(text)
                assert await adds_up(page) == (int(text[0]) + 15, total)
            await expect(page.get_by_role("button", name="Late 1")).to_be_visible()
            await one.run(32)
            await one.tell()
            await expect(counts).to_have_text("5 / 5")
            await expect(mark).to_have_attribute("aria-label", "Up")
            await expect(cell).to_have_text("20 of 20")
            assert await adds_up(page) == (20, 20)
            await expect(page.locator("[data-cell=flow] .v")).to_have_text("+21 joined \u22121 left")
            for number in range(5):
                await one.registry.registry.cancel("delivery", f"delivery-{number}")
            await one.tell()
            await expect(page.locator(ROW)).to_have_count(3)
            assert await adds_up(page) == (15, 15)


@full
async def test_8_the_filter_finds_what_people_write_and_stands_in_the_address(browser):
    async with estate() as one:
        await shop(one, 3)
        record = one.registry.registry.table.get("basket", "basket-1").record
        await one.registry.registry.register(record.instance.become(Status.DOWN))
        view = "services/basket"
        async with opened(browser, one, view) as page:
            rows, field = page.locator(ROW), page.locator("[data-filter]")
            for text, wanted in (
                ("basket-2", {"basket-2"}), ("zone:eu-1b", {"basket-1"}), ("status:down", {"basket-1"}),
                ("meta.owner:team-0", {"basket-0", "basket-2"}), ("-zone:eu-1a", {"basket-1", "basket-2"}),
                ("meta.owner:team-0 -basket-2", {"basket-0"}),
                ("age>=0", {"basket-0", "basket-1", "basket-2"}),
            ):  # fmt: skip
                await field.fill(text)
                await expect(rows).to_have_count(len(wanted))
                keys = await rows.evaluate_all("all => all.map(one => one.dataset.key)")
                assert set(keys) == wanted, text
            await field.fill("meta.owner:team-0")
            await expect(page).to_have_url(re.compile("q=meta.owner%3Ateam-0"))
            await page.get_by_role("button", name="Not up").click()
            await expect(page.locator(".empty")).to_contain_text("meta.owner:team-0")
            await page.reload()
            await expect(field).to_have_value("meta.owner:team-0")
            await expect(page.get_by_role("button", name="Not up")).to_have_attribute("aria-pressed", "true")
            await page.go_back()
            await expect(rows).to_have_count(2)
            await page.get_by_role("button", name="Clear filter").first.click()
            await expect(rows).to_have_count(3)


async def test_10_paused_removal_is_told_with_its_numbers_and_ends(browser):
    async with estate() as one:
        await shop(one)
        silent = [f"accounts-{number}" for number in range(5)] + ["basket-0", "basket-3"]
        for id in silent:
            one.silence(id.partition("-")[0], id)
        await one.run(95)
        async with opened(browser, one) as page:
            node = await one.json("resilient/v1/node")
            assert node["mode"] == "preserving"
            assert node["counts"]["late"] == len(silent)
            notice = page.locator(".notice")
            beats = node["heartbeats_per_minute"]
            await expect(notice).to_contain_text("Removal of silent instances is paused to be safe.")
            await expect(notice).to_contain_text(
                f"Only {beats / 40 * 100:.1f}% of the expected heartbeats arrived in the last minute "
                f"({beats} of 40; the limit is 85%). That looks more like a network fault than 7 crashes"
            )
            await expect(notice).to_contain_text("They are in eu-1a, eu-1b and eu-1c.")
            await page.get_by_role("link", name="Show the 7").click()
            assert page.url.endswith("?show=late")
            await expect(page.locator(ROW)).to_have_count(2)
            await expect(page.locator("[data-cell=up] .v")).to_have_text("13 of 20")
            await adds_up_late(page)
            for id in silent:
                one.registry.registry.renew(id.partition("-")[0], id)
                one.beating[id.partition("-")[0], id] = (30, round(one.clock.monotonic()) % 30)
            await one.run(2)
            await one.tell()
            await expect(notice).to_have_count(0)
            await expect(page.locator("[data-cell=up] .v")).to_have_text("20 of 20")


async def adds_up_late(page):
    rows = await page.locator(f"{ROW} .c-need").all_inner_texts()
    assert sum(int(text) for text in rows) == 7


async def test_12_and_13_instances_are_taken_out_and_put_back_as_the_dialog_said(browser):
    async with estate() as one:
        await shop(one)
        record = one.registry.registry.table.get("basket", "basket-4").record
        await one.registry.registry.register(record.instance.become(Status.DOWN))
        chosen = ("basket-0", "basket-3", "basket-4")
        async with opened(browser, one, "services/basket") as page:
            held = asyncio.Queue()

            async def hold(route):
                held.put_nowait(route)

            await page.route("**/ui/act/*", hold)
            for id in chosen:
                await page.get_by_role("checkbox", name=f"Select {id}").click()
            await page.get_by_role("button", name="Take out of service").click()
            dialog = page.get_by_role("dialog", name="Take 3 instances out of service?")
            query = "&".join(f"subject=basket/{id}" for id in chosen)
            said = await one.json(f"ui/data/consequence?what=out-of-service&{query}")
            (facts,) = said["services"]
            shown = dict(zip(
                await dialog.locator("dt").all_inner_texts(), await dialog.locator("dd").all_inner_texts(),
                strict=True,
            ))  # fmt: skip
            zone, n = facts["fewest"]
            assert shown == {
                "Instances": "basket-0, basket-3 and 1 more" if len(chosen) > 3 else ", ".join(chosen),
                "Left in service": f"{facts['left']} of {facts['total']}",
                "Load on the rest": "about +100%",
                "Fewest in a zone": f"{zone}, {n}",
            }
            await dialog.get_by_role("button", name="Take out of service").click()
            await expect(dialog.get_by_text("Say why, so that others know.")).to_be_visible()
            assert held.empty()
            await dialog.get_by_label("Reason").fill("disk swap")
            # All of one zone goes: that takes more than a click.
            await dialog.get_by_label("Type basket").fill("basket")
            await dialog.get_by_role("button", name="Take out of service").click()
            await expect(dialog).to_have_count(0)
            status = page.locator(f"{ROW}[data-key=basket-0] .c-status")
            route = await asyncio.wait_for(held.get(), PATIENCE / 1000)
            # Nothing is painted before it is true.
            await one.tell()
            await expect(status).to_have_text(re.compile("^Up"))
            assert one.registry.registry.table.get("basket", "basket-0").record.override is Status.UNKNOWN
            await route.continue_()
            await expect(page.locator(".toast")).to_contain_text("3 instances taken out of service")
            await expect(status).to_contain_text("Out of service")
            # Its own status stands beside the override, and comes back with it.
            await page.get_by_role("button", name="Details of basket-4").click()
            more = page.locator(".lmore")
            await expect(more).to_contain_text("Set to out of service by operator at 127.0.0.1")
            await expect(more).to_contain_text("The instance itself reports down")
            await expect(more.locator(".kv div").first).to_have_text(re.compile(r"Own status\s*DOWN"))
            await page.unroute("**/ui/act/*")
            await page.locator(".toast").get_by_role("button", name="Undo").click()
            await expect(status).to_have_text(re.compile("^Up"))
            down = page.locator(f"{ROW}[data-key=basket-4] .c-status")
            await expect(down).to_have_text(re.compile("^Down"))
            await expect(more.locator(".kv div").nth(1)).to_have_text(re.compile(r"Override\s*none"))


@full
async def test_14_without_the_token_nothing_is_done_and_no_other_page_does_it(browser):
    async with estate(token=TOKEN) as one:
        await shop(one, 2)
        async with opened(browser, one, "services/basket?open=basket-0", allow=["403", "401"]) as page:
            button = page.locator(".inst-more").get_by_role("button", name="Take out of service")
            await expect(button).to_have_attribute("aria-disabled", "true")
            await expect(button).to_have_attribute("title", "Needs the operator role")
            await page.get_by_role("button", name="Unlock").click()
            await page.get_by_label("Token").fill(TOKEN)
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("button", name="Operator")).to_be_visible()
            ask = """async ([header, token]) => (await fetch('../act/out-of-service', {method: 'POST',
                headers: {'Content-Type': 'application/json', Authorization: `Bearer ${token}`, ...header},
                body: JSON.stringify({subjects: ['basket/basket-0'], reason: 'x'})})).status"""
            assert await page.evaluate(ask, [{}, TOKEN]) == 403
            assert (
                await page.evaluate(ask, [{"Resilient-Action": "1"}, "another-token-of-some-length"]) == 401
            )
            assert one.registry.registry.table.get("basket", "basket-0").record.override is Status.UNKNOWN
            await button.click()
            dialog = page.get_by_role("dialog")
            await dialog.get_by_label("Reason").fill("disk swap")
            await dialog.get_by_label("Put back by itself").select_option("900")
            await dialog.get_by_role("button", name="Take out of service").click()
            status = page.locator(f"{ROW}[data-key=basket-0] .c-status")
            await expect(status).to_contain_text("Out of service")
            await expect(page.locator(".inst-more")).to_contain_text("It ends by itself in 15 min.")
            await one.run(901)
            await one.tell()
            await expect(status).to_have_text(re.compile("^Up"))


async def test_15_who_is_alive_registers_again(browser):
    async with estate() as one:
        await shop(one, 3)
        async with opened(browser, one, "services/basket?open=basket-1") as page:
            await page.get_by_role("button", name="Deregister").click()
            dialog = page.get_by_role("dialog")
            await expect(dialog).to_contain_text("alive and will register again within one renewal (30 s)")
            await dialog.get_by_label("Reason").fill("test")
            await dialog.get_by_role("button", name="Deregister").click()
            row = page.locator(f"{ROW}[data-key=basket-1]")
            await expect(row).to_have_count(0)
            await expect(page.get_by_role("button", name="All 2")).to_be_visible()
            # As its client does when its heartbeat is answered by "not found".
            found = one.registry.registry.renew("basket", "basket-1")
            assert found == "unknown"
            await one.register("basket", "basket-1")
            await one.tell()
            await expect(row).to_have_count(1)
            await expect(row.locator(".c-status")).to_have_text(re.compile("^Up"))
