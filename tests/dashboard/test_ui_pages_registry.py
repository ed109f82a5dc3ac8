"""Services, a service, nodes, changes and API in a real Chromium, on a made-up estate."""

from __future__ import annotations

import json
import re

import pytest
from fake_estate import Estate
from fake_server import FakeServer
from ui_browser import FULL, needs_chromium, opened, playwright

expect = playwright.expect
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
GATEWAY = "services/payments-gateway"
ROWS = ".lrow:not([hidden])"


def served(**size):
    return FakeServer(Estate(**{"services": 20, "circuits": 40, "instances": 400, **size}), interval=0.3)


def counted(estate):
    statuses = [
        estate.status(row) for service in estate.services.values() for row in service["rows"].values()
    ]
    return {status: statuses.count(status) for status in set(statuses)}, len(statuses)


async def names(page):
    rows = await page.locator(ROWS).evaluate_all(
        "all => all.map(r => [parseFloat(r.style.transform.slice(11)), r.dataset.key])"
    )
    return [name for _, name in sorted(rows)]


async def test_the_overview_adds_up_and_follows_an_instance_through_its_life(browser):
    async with served() as server, opened(browser, server) as page:
        estate = server.estate
        counts, total = counted(estate)
        cell = page.locator("[data-cell=up]")
        await expect(cell.locator(".v")).to_have_text(f"{counts['UP']} of {total}")
        shown = [int(text) for text in await cell.locator(".counts .with-g").all_inner_texts()]
        assert sum(shown) + counts["UP"] == total
        await expect(page.locator("[data-cell=circuits] .v")).to_have_text("2 of 40")
        await expect(page.locator("[data-cell=nodes] .v")).to_have_text("3 of 3 in step")
        # The worst comes first: most of its instances down.
        share = {row["n"]: row["down"] / row["total"] for row in map(estate.service_row, estate.services)}
        assert (await names(page))[0] == max(share, key=share.get)
        row = page.locator(ROWS + "[data-key=orders]")
        rows = estate.services["orders"]["rows"]
        one = next(iter(rows.values()))
        for change, mark in (({"late": True, "age": 70}, "Late"), ({"own": "DOWN"}, "Down")):
            one.update(change)
            server.changed("orders")
            await expect(row.locator(".c-state svg")).to_have_attribute("aria-label", mark)
            await expect(row.locator(".c-up .num")).to_have_text(f"{len(rows) - 1} / {len(rows)}")
        del estate.services["orders"]
        server.send("services", {"full": False, "rows": [], "gone": ["orders"]})
        await expect(row).to_have_count(0)


async def test_one_zone_and_few_columns_keep_the_table_a_table(browser):
    async with served(services=3, circuits=2, instances=30) as server:
        for service in server.estate.services.values():
            for row in service["rows"].values():
                row["zone"] = "default"
        async with opened(browser, server) as page:
            lines = "all => new Set(all.map(one => Math.round(one.getBoundingClientRect().top))).size"
            heads = page.locator(".lhead > :visible")
            await expect(page.locator(ROWS)).to_have_count(3)
            assert await heads.evaluate_all(lines) <= 2, "words and buttons"
            for column in ("Version", "Circuits"):
                await page.get_by_role("button", name="Columns").click()
                await page.get_by_role("menuitemradio", name=column).click()
                await expect(page.get_by_role("columnheader", name=column)).to_have_count(0)
                assert await heads.evaluate_all(lines) <= 2, column


async def test_the_filter_stands_in_the_url_and_survives_reload_and_back(browser):
    async with served() as server, opened(browser, server) as page:
        field = page.locator("[data-filter]")
        await page.keyboard.press("/")
        await page.keyboard.type("zone:eu-1a status:down -tax")
        await expect(page.locator(ROWS)).to_have_count(1)
        assert "q=zone%3Aeu-1a+status%3Adown+-tax" in page.url
        await page.reload()
        await expect(field).to_have_value("zone:eu-1a status:down -tax")
        assert await names(page) == ["payments-gateway"]
        await page.keyboard.press("/")
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name=re.compile("^Late")).click()
        late = {name for name in server.estate.services if server.estate.service_row(name)["late"]}
        await expect(page.locator(ROWS)).to_have_count(len(late))
        assert set(await names(page)) == late
        await page.go_back()
        await expect(page.locator(ROWS)).to_have_count(20)
        await field.fill("nobody <b>here</b>")
        await expect(page.locator(".empty")).to_contain_text("nobody <b>here</b>")
        await page.get_by_role("button", name="Clear filter").last.click()
        await expect(page.locator(ROWS)).to_have_count(20)
        await field.fill("rate>x orders")
        await expect(page.locator("#filter-hint u")).to_have_text("rate>x")
        await expect(page.locator(ROWS)).to_have_count(1)


async def test_names_and_metadata_of_services_are_text(browser):
    estate = Estate(services=3, circuits=2)
    service = estate.services["basket"]
    evil = '<img src=x onerror="document.title=1">'
    one = next(iter(service["rows"].values()))
    one["meta"] = {evil: evil, "page": "javascript:alert(1)", "docs": "https://example.org/x"}
    service["name"] = evil
    estate.services = {evil: service}
    estate.circuits = {}
    estate.changes = [estate.happen("registered", f"{evil}/{one['id']}", evil)]
    async with FakeServer(estate) as server, opened(browser, server) as page:
        await expect(page.locator(".c-name")).to_contain_text([evil])
        await page.locator(".c-name a").click()
        await expect(page.locator("h1")).to_have_text(evil)
        await page.get_by_role("button", name=f"Details of {one['id']}").click()
        more = page.locator(".lmore")
        await expect(more).to_contain_text(evil)
        assert await page.locator("img").count() == 0
        assert await more.locator("a").evaluate_all("all => all.map(a => a.protocol)") == [
            "http:",
            "http:",
            "https:",
        ]
        await page.goto(server.url("changes"))
        await expect(page.locator(".c-why").last).to_have_text(evil)


async def test_paused_removal_is_told_calmly_with_its_numbers(browser):
    async with served() as server, opened(browser, server) as page:
        server.notice("protection", beats=3381, want=4020, limit=0.85, kept=316, zones=["eu-1b"])
        notice = page.locator(".notice")
        await expect(notice).to_contain_text("Removal of silent instances is paused to be safe.")
        await expect(notice).to_contain_text("84.1%")
        await expect(notice).to_contain_text("3,381 of 4,020; the limit is 85%")
        await expect(notice).to_contain_text("All 316 are in zone eu-1b.")
        await page.get_by_role("link", name="Show the 316").click()
        assert page.url.endswith("?show=late")
        await page.get_by_role("button", name="What to do").click()
        await expect(page.locator("dialog li")).to_have_count(3)
        await page.keyboard.press("Escape")
        server.notice("protection", on=False)
        await expect(notice).to_have_count(0)


async def test_two_thousand_instances_are_a_few_rows(browser):
    async with (
        served(services=2, circuits=2, instances=4000) as server,
        opened(browser, server, "services/mobile-bff") as page,
    ):
        await expect(page.get_by_role("button", name="All 2,000")).to_be_visible()
        assert await page.locator(ROWS).count() < 60
        assert await page.evaluate("document.querySelectorAll('*').length") < 6000
        ids = sorted(server.estate.services["mobile-bff"]["rows"])
        await page.evaluate("scrollTo(0, document.body.scrollHeight)")
        await expect(page.locator(f'{ROWS}[data-key="{ids[-1]}"]')).to_be_in_viewport()
        assert await page.locator(ROWS).count() < 60
        await page.evaluate("scrollTo(0, 0)")
        took = await page.evaluate(
            """() => {
            const field = document.querySelector('[data-filter]'), letters = 'eu-1b rack:';
            const began = performance.now();
            for (const letter of letters) {
              field.value += letter;
              field.dispatchEvent(new Event('input', {bubbles: true}));
            }
            return (performance.now() - began) / letters.length;
            }"""
        )
        assert took < 100 or not FULL, "milliseconds for a letter"


async def test_instances_are_taken_out_with_a_reason_and_put_back(browser):
    async with served() as server, opened(browser, server, GATEWAY) as page:
        estate = server.estate
        rows = estate.services["payments-gateway"]["rows"]
        ups = sorted(one for one in rows if estate.status(rows[one]) == "UP")[:2]
        for one in ups:
            await page.get_by_role("checkbox", name=f"Select {one}").click()
        await expect(page.get_by_text("2 selected")).to_be_visible()
        await page.get_by_role("button", name="Take out of service").click()
        dialog = page.get_by_role("dialog", name="Take 2 instances out of service?")
        usable = [row for row in rows.values() if estate.status(row) in ("UP", "LATE")]
        await expect(dialog.locator(".facts div").nth(1)).to_have_text(
            re.compile(f"Left in service\\s*{len(usable) - 2} of {len(rows)}")
        )
        reason = dialog.get_by_label("Reason, shown to others")
        await expect(reason).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_text("Say why, so that others know.")).to_be_visible()
        await expect(reason).to_be_focused()
        assert server.acted == []
        await reason.fill("disk swap")
        await dialog.get_by_role("button", name="Take out of service").click()
        row = page.locator(f'{ROWS}[data-key="{ups[0]}"]')
        # No state is painted before it is true.
        await expect(row.locator(".c-status")).to_contain_text("Up")
        await expect(row.locator(".c-status")).to_contain_text("Out of service")
        kind, body = server.acted[0]
        assert (kind, body["reason"], body["for"]) == ("out-of-service", "disk swap", 3600)
        assert sorted(body["subjects"]) == [f"payments-gateway/{one}" for one in ups]
        await expect(page.locator(".toast")).to_contain_text("2 instances taken out of service")
        await page.locator(".toast").get_by_role("button", name="Undo").click()
        await expect(row.locator(".c-status")).to_contain_text("Up")
        assert server.acted[1][0] == "back"


async def test_an_override_and_the_own_status_stand_side_by_side(browser):
    async with served() as server, opened(browser, server, f"{GATEWAY}?show=overridden") as page:
        await expect(page.locator(ROWS)).to_have_count(1)
        await page.locator(ROWS).focus()
        await page.keyboard.press(" ")
        more = page.locator(".lmore")
        await expect(more).to_contain_text("Set to out of service by operator, 12 min ago.")
        await expect(more).to_contain_text("Reason given: draining for a disk swap.")
        await expect(more).to_contain_text("The instance itself reports up and keeps renewing.")
        await expect(more.locator(".kv div").first).to_have_text(re.compile(r"Own status\s*UP"))
        assert "open=" in page.url
        await more.get_by_role("button", name="Put back in service").click()
        await expect(page.get_by_role("button", name=re.compile("Overridden 0"))).to_be_visible()


async def test_without_the_role_controls_are_locked_until_the_token_is_given(browser):
    estate = Estate(services=20, circuits=10)
    estate.roles = ["reader"]
    async with FakeServer(estate, interval=0.3) as server, opened(browser, server, GATEWAY) as page:
        await page.get_by_role("checkbox").nth(1).click()
        button = page.get_by_role("button", name="Take out of service")
        await expect(button).to_have_attribute("aria-disabled", "true")
        await expect(button).to_have_attribute("title", "Needs the operator role")
        await button.click(force=True)
        assert await page.get_by_role("dialog").count() == 0
        await page.get_by_role("button", name="Unlock").click()
        await page.get_by_label("Token").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("did not accept")).to_be_visible(timeout=8000)
        await page.get_by_label("Token").fill("secret")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Operator")).to_be_visible()
        await expect(button).not_to_have_attribute("aria-disabled", "true")
        assert await page.evaluate("localStorage.length") == 0


async def test_the_last_instance_and_a_live_one_need_more_than_a_click(browser):
    async with served(services=2, circuits=0) as server:
        rows = server.estate.services["storefront"]["rows"]
        for gone in list(rows)[1:]:
            del rows[gone]
        (one,) = rows
        async with opened(browser, server, f"services/storefront?open={one}") as page:
            await page.get_by_role("button", name="Deregister").click()
            dialog = page.get_by_role("dialog")
            await expect(dialog).to_contain_text("will register again within one renewal (30 s)")
            await dialog.get_by_label("Reason").fill("test")
            await dialog.get_by_role("button", name="Deregister").click()
            await expect(dialog.get_by_text("It is not the same yet.")).to_be_visible()
            await dialog.get_by_label("Type storefront").fill("storefront")
            await dialog.get_by_role("button", name="Deregister").click()
            await expect(page.locator(".toast")).to_contain_text("deregistered")
            assert server.acted[0][0] == "deregister"


async def test_changes_fold_wait_while_scrolled_and_can_be_taken_along(browser):
    async with served() as server, opened(browser, server, "changes", height=500) as page:
        estate = server.estate
        estate.still = True
        await expect(page.locator(ROWS).first).to_be_visible()
        for i in range(12):
            server.send("change", estate.happen("registered", f"recommend/re-{i}", "", "instance"))
        first = page.locator(ROWS).filter(has_text="recommend").first
        await expect(first).to_contain_text("Registered, 12 instances")
        await page.evaluate("scrollTo(0, 400)")
        await page.wait_for_timeout(100)
        server.send("change", estate.happen("expired", "stock/st-new", "no heartbeat", "registry"))
        await expect(page.get_by_role("button", name="1 new")).to_be_visible()
        await expect(page.get_by_text("stock/st-new")).to_have_count(0)
        await page.get_by_role("button", name="1 new").click()
        await expect(page.get_by_text("stock/st-new").first).to_be_visible()
        await page.get_by_role("button", name="Joined, left").click()
        await page.locator("[data-filter]").fill("recommend")
        async with page.expect_download() as started:
            await page.get_by_role("button", name="Export").click()
        path = await (await started.value).path()
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(rows) >= 12
        assert {row["sub"].split("/")[0] for row in rows} == {"recommend"}


async def test_a_lost_line_is_told_and_everything_returns(browser):
    async with served() as server, opened(browser, server, GATEWAY, allow=["ERR_CONNECTION_REFUSED"]) as page:
        await page.get_by_role("checkbox").nth(1).click()
        rows = await page.locator(ROWS).count()
        await server.stop()
        await expect(page.locator(".notice")).to_contain_text("The registry can’t be reached", timeout=8000)
        await expect(page.locator("html")).to_have_attribute("data-stale", "")
        await expect(page.locator("#rail .live b")).to_have_text("Not connected")
        await expect(page.get_by_role("button", name="Take out of service")).to_have_attribute(
            "title", "Not connected"
        )
        await server.start()
        await page.get_by_role("button", name="Try now").click()
        await expect(page.locator("#rail .live b")).to_have_text("Live")
        await expect(page.locator(".notice")).to_have_count(0)
        await expect(page.locator(".toast")).to_contain_text("Connected again")
        assert await page.locator(ROWS).count() == rows


async def test_pause_stops_all_and_counts_what_waits(browser):
    async with served() as server, opened(browser, server) as page:
        server.estate.still = True
        await page.keyboard.press("p")
        await expect(page.locator("#rail .live b")).to_have_text("Paused")
        rows = server.estate.services["orders"]["rows"]
        next(iter(rows.values()))["own"] = "DOWN"
        server.changed("orders")
        server.send("change", server.estate.happen("instance_down", "orders/x"))
        await expect(page.locator("#rail .live span")).to_have_text("1 change waiting")
        row = page.locator(f"{ROWS}[data-key=orders] .c-state svg")
        await expect(row).to_have_attribute("aria-label", "Up")
        await page.keyboard.press("p")
        await expect(row).to_have_attribute("aria-label", "Down")


async def test_everything_is_found_by_keyboard_alone(browser):
    async with served() as server, opened(browser, server) as page:
        await page.keyboard.press("Control+k")
        box = page.get_by_role("combobox")
        await expect(box).to_be_focused()
        await page.keyboard.type("ledg")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("ledger")
        await expect(page.locator(ROWS).first).to_be_visible()
        await page.keyboard.press("j")
        await expect(page.locator(ROWS).first).to_be_focused()
        await page.keyboard.press("x")
        await expect(page.get_by_text("1 selected")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_text("1 selected")).to_have_count(0)
        for keys, heading in (("ge", "Changes"), ("gn", "Registry nodes"), ("gs", "Services")):
            await page.keyboard.type(keys)
            await expect(page.locator("h1")).to_have_text(heading)
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("t")
        await page.keyboard.press("d")
        await page.reload()
        await expect(page.locator("html[data-theme=dark][data-density=dense]")).to_have_count(1)


async def test_nothing_yet_gone_and_nowhere_have_words_of_their_own(browser):
    async with served(services=0, circuits=0) as server, opened(browser, server, allow=["404"]) as page:
        await expect(page.locator(".empty h2")).to_have_text("Nothing has registered yet")
        await page.get_by_role("button", name="Copy").first.click()
        assert await page.evaluate("navigator.clipboard.readText()") == "resilient demo"
        server.estate.happen("expired", "orders/o-1", "no heartbeat for 90 s")
        server.send("change", server.estate.changes[0])
        await page.goto(server.url("services/orders"))
        await expect(page.locator(".empty h2")).to_have_text("orders is not registered")
        await page.goto(server.url("no/such/page"))
        await expect(page.locator(".empty h2")).to_have_text("There is no such page")
