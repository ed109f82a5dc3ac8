"""What the registry pages ask for when somebody wants to know: lists of peers, metadata, and who did what."""

from __future__ import annotations

import re

import pytest
from fake_estate import Estate
from fake_server import FakeServer
from ui_browser import needs_chromium, opened, playwright

expect = playwright.expect
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
GATEWAY = "services/payments-gateway"
ROWS = ".lrow:not([hidden])"


def served(**size):
    return FakeServer(Estate(**{"services": 20, "circuits": 40, "instances": 400, **size}), interval=0.3)


async def test_a_silent_node_is_seen_within_two_ticks(browser):
    async with served() as server, opened(browser, server, "nodes") as page:
        await expect(page.locator("tbody tr")).to_have_count(3)
        await expect(page.locator("tbody tr").nth(2)).to_contain_text("In step")
        server.estate.nodes[1][1:] = ["bad", 41.0, 900]
        await expect(page.locator("tbody tr").nth(2)).to_contain_text("No answer", timeout=1500)
        await expect(page.locator("tbody tr").nth(2)).to_contain_text("41.0 s")
        await expect(page.locator(".strip .cell").first).to_contain_text("2 of 3")
        assert (await page.title()).startswith("Registry nodes, 1 silent")
        # What differs is listed by itself; of a peer that answers when it is asked for.
        differ = page.locator(".differ")
        await expect(differ).to_contain_text("can’t be asked. It has taken nothing from this node since")
        await expect(differ).to_contain_text(
            "3 entries have changed here: 1 only here and 2 with another status"
        )
        await expect(differ.locator("tbody tr")).to_have_count(3)
        await page.get_by_role("button", name=re.compile("^Differing entries")).nth(1).click()
        await expect(differ).to_have_count(0)
        await page.get_by_role("button", name=re.compile("^Differing entries")).first.click()
        await expect(differ).to_contain_text("lists the same instances as this node")
        assert "open=" in page.url


async def test_metadata_is_searched_in_the_list_and_any_instance_is_found(browser):
    async with served(circuits=2, instances=60) as server, opened(browser, server) as page:
        service = server.estate.services["orders"]
        one = list(service["rows"].values())[1]
        one["meta"]["team"] = "night shift"
        await page.locator("[data-filter]").fill('meta.team:"night shift"')
        await expect(page.locator(ROWS)).to_have_count(1)
        await expect(page.locator(ROWS)).to_have_attribute("data-key", "orders")
        await page.locator("[data-filter]").fill("-team:night")
        await expect(page.locator(ROWS)).to_have_count(19)
        await page.locator("[data-filter]").fill("meta.team:day")
        await expect(page.locator(".empty")).to_contain_text("No service matches")
        await page.keyboard.press("Control+k")
        await page.keyboard.type(one["id"])
        await page.get_by_role("option", name=one["id"]).click()
        await expect(page.locator("h1")).to_have_text("orders")
        await expect(page.locator(".lmore")).to_contain_text("night shift")


async def test_what_people_did_has_their_name_and_reason(browser):
    async with served(circuits=2) as server, opened(browser, server, "changes") as page:
        estate = server.estate
        estate.still = True
        await expect(page.locator(ROWS).first).to_be_visible()
        reset = {**estate.happen("circuit_command", "a/b:c", "", "Ann"), "reason": "drill", "status": "reset"}
        held = {**estate.happen("circuit_forced", "a/b:d", "closed to forced-open", "Bo")}
        server.send("change", reset)
        server.send("change", {**held, "reason": "repair", "status": "forced-open"})
        for n in range(3):
            server.send("change", {**estate.happen("node_lost", f"http://n{n}/", "does not answer")})
        await page.get_by_role("button", name="By people").click()
        rows = page.locator(ROWS)
        await expect(rows.filter(has_text="Asked to reset it")).to_contain_text("drill")
        await expect(rows.filter(has_text="Asked to reset it")).to_contain_text("Ann")
        await expect(rows.filter(has_text="Circuit forced open")).to_contain_text(
            "closed to forced-open; repair"
        )
        # Different nodes are different subjects, however equal their addresses begin.
        await page.get_by_role("button", name="Registry").click()
        await expect(rows.filter(has_text="Node lost")).to_have_count(3)


async def test_an_override_nobody_here_knows_of_says_so(browser):
    async with served() as server:
        rows = server.estate.services["payments-gateway"]["rows"].values()
        one = next(row for row in rows if row["override"])
        one["override"]["by"] = None
        view = f"{GATEWAY}?open={one['id']}"
        async with opened(browser, server, view) as page:
            said = page.locator(".lmore .said")
            await expect(said).to_contain_text("Set to out of service.")
            await expect(said).to_contain_text("Who set it and until when is not known here")
            await expect(said).not_to_contain_text("ends by itself")
