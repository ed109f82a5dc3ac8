"""The pages as they are meant to be used: a service breaks, somebody sees it, acts, and reads it up later.

Filmed: if it fails, its pictures stay in the folder that the failure names.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from fake_circuits import CircuitServer, Layered
from process_kit import Process, RegistryProcess, registry, until
from ui_browser import chromium, needs_chromium, opened, playwright

expect = playwright.expect
pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(90)]
COPIES = {"front": 1, "catalog": 1, "orders": 1, "prices": 1, "reviews": 2}
PACE = {"RESILIENT_FETCH_INTERVAL": "0.5", "RESILIENT_PUSH_INTERVAL": "1"}
CIRCUIT = "catalog/reviews:reviews"
#: From the first failing call to what the page says of it, in seconds. Where others work, too, it takes twice
#: as long.
SEEN_WITHIN = 2 * 2.0


class Shop:
    """The demo's services under a load that the test sets; ``failing`` says how reviews are."""

    def __init__(self, registry: RegistryProcess, session: aiohttp.ClientSession) -> None:
        self.root = registry.root
        self.urls = {name: registry.urls(name) for name in COPIES}
        self.session = session
        self.first_failed = 0.0

    def url(self, view: str = "") -> str:
        return f"{self.root}/ui/{view}"

    async def mood(self, service: str, **wish: float) -> None:
        for url in self.urls[service]:
            async with self.session.post(f"{url}/demo/mood", json=wish):
                pass

    async def call(self) -> None:
        async with self.session.get(self.urls["front"][0] + "/") as answer:
            assert answer.status == 200

    async def warm_up(self) -> None:
        """A few calls, until the registry has heard of the circuit."""
        async with asyncio.timeout(30):
            while True:
                await asyncio.gather(*(self.call() for _ in range(5)))
                async with self.session.get(f"{self.root}/resilient/v1/circuits") as answer:
                    if any(one["name"] == "reviews" for one in await answer.json()):
                        return
                await asyncio.sleep(0.5)

    async def load(self, rate: float) -> None:
        """An open loop, until cancelled."""
        due, calls = time.monotonic(), set()
        while True:
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            calls.add(call := asyncio.create_task(self.call()))
            call.add_done_callback(calls.discard)


@asynccontextmanager
async def shop():
    with ExitStack() as stack:
        running = stack.enter_context(registry())
        environ = {**PACE, "RESILIENT_REGISTRY": running.url}
        copies = [
            stack.enter_context(Process(sys.executable, "-m", "resilient.demo.shop", name, **environ))
            for name, n in COPIES.items()
            for _ in range(n)
        ]
        for copy in copies:
            copy.line()
        until(lambda: sum(len(running.urls(name)) for name in COPIES) == len(copies))
        await asyncio.sleep(1.2)  # until everybody has read of everybody
        async with aiohttp.ClientSession() as session:
            yield Shop(running, session)


@asynccontextmanager
async def film():
    """Takes a picture of a page under a name. The folder goes if all went well."""
    folder = Path(tempfile.mkdtemp(prefix="resilient-story-"))
    number = 0

    async def take(page, name):
        nonlocal number
        number += 1
        await page.screenshot(path=folder / f"{number}-{name}.png")

    try:
        yield take
    except BaseException as error:
        error.add_note(f"pictures of the story are in {folder}")
        raise
    shutil.rmtree(folder)


async def test_a_service_breaks_is_seen_is_helped_and_the_tale_is_told():
    async with shop() as estate, chromium() as browser, film() as take:
        await estate.warm_up()
        async with opened(browser, estate, "circuits") as page:
            card = page.get_by_role("article", name="catalog to reviews")
            await expect(card.get_by_role("img", name="Closed")).to_be_visible(timeout=15_000)
            await take(page, "well")

            await estate.mood("reviews", errors=1.0)
            began = time.monotonic()
            load = asyncio.create_task(estate.load(60))
            try:
                await expect(card.locator(".st")).to_contain_text("Open", timeout=SEEN_WITHIN * 1000)
                took = time.monotonic() - began
                await take(page, "open")
                print(f"seen {took:.2f} s after the first failing call")

                # Who feels it?
                await page.goto(estate.url("topology?name=reviews"))
                await expect(page.locator(".felt b")).to_have_text("2 services")
                felt = await page.locator(".node:not(.far)").evaluate_all("all => all.map(n => n.dataset.n)")
                assert "catalog" in felt
                await expect(page.locator(".felt")).to_be_visible()
                await take(page, "topology")

                # Somebody mends it, and says so.
                await page.goto(estate.url(f"circuits/{CIRCUIT}"))
                await expect(page.locator(".bigstate")).to_have_text("Open")
                await expect(page.locator(".why")).to_contain_text("had failed when it opened")
                await take(page, "circuit")
                await page.get_by_role("button", name="Force closed").click()
                dialog = page.get_by_role("dialog")
                await dialog.get_by_label("Reason").fill("reviews are mended")
                await take(page, "dialog")
                await estate.mood("reviews", errors=0.0)
                await dialog.get_by_role("button", name="Force closed").click()
                await expect(page.locator(".bigstate")).to_have_text("Forced closed", timeout=8000)
                await expect(page.locator(".held")).to_contain_text("reviews are mended")
                await take(page, "forced")
                await page.get_by_role("button", name="Reset").click()
                await expect(page.locator(".bigstate")).to_have_text("Closed", timeout=8000)
                await take(page, "closed")

                # All of it can be read afterwards, in order.
                await page.goto(estate.url("changes?kind=circuit_opened"))
                rows = page.locator(".lrow:not([hidden])")
                # What was asked is told once a second, what turned at once.
                for what in ("Circuit closed", "Asked to hold it closed"):
                    await expect(rows.locator(".c-what", has_text=what)).not_to_have_count(0)
                await take(page, "changes")
                told = [text.split("\n") for text in reversed(await rows.all_inner_texts())]
                whats = [what for _, what, *_ in told if what != "Circuit half-open"]
                turned = [one for one in whats if not one.startswith("Asked")]
                assert "Asked to hold it closed" in whats, told
                assert turned == ["Circuit opened", "Circuit forced closed", "Circuit closed"], told
                assert {who for _, _, who, *_ in told} == {CIRCUIT}
                assert "Internal Server Error" in told[0][3]
                (forced,) = (one for one in told if one[1] == "Circuit forced closed")
                assert "reviews are mended" in forced[3]
                assert forced[4].startswith("operator")
            finally:
                load.cancel()
                with suppress(asyncio.CancelledError):
                    await load


async def test_a_refusal_is_told_in_the_servers_words():
    async with CircuitServer(Layered(services=4, circuits=4, instances=12), quiet=True) as server:
        row = next(iter(server.estate.circuits.values()))
        refused = {"error": {"code": "unknown-circuit", "message": "nobody reports this circuit"}}
        async with (
            chromium() as browser,
            opened(browser, server, f"circuits/{row['id']}", allow=("409",)) as page,
        ):
            await page.route("**/ui/act/circuit", lambda route: route.fulfill(status=409, json=refused))
            await page.get_by_role("button", name="Reset").click()
            await expect(page.locator(".toast")).to_contain_text("Not done: nobody reports this circuit")
