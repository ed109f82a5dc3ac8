"""Cases 77 to 85: lease, eviction, self-preservation, and what people see of it."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import asynccontextmanager

import pytest
from conformance_kit import Server, Wire, alone, unprotected, wired

from registry_server.settings import Settings


async def register_many(wire: Wire, count: int, first: int = 0) -> list[str]:
    ids = [f"i{n}" for n in range(first, first + count)]
    for id in ids:
        await wire.register(instanceId=id)
    return ids


async def beat(wire: Wire, ids: list[str]) -> None:
    for id in ids:
        assert (await wire.put(f"apps/ORDERS/{id}")).status == 200


async def pass_time(wire: Wire, seconds: int, alive: list[str], quick: str = "") -> None:
    """Let time pass: a sweep each second, a heartbeat of the living every 30, of ``quick`` each."""
    for second in range(1, seconds + 1):
        wire.clock.advance(1)
        if quick:
            await beat(wire, [quick])
        await wire.sweep()
        if second % 30 == 0:
            await beat(wire, alive)


async def mode(wire: Wire) -> str:
    return str((await wire.get("/resilient/v1/node")).json()["mode"])


@pytest.mark.clock("M")
async def test_case_077_a_lease_runs_out(private: None) -> None:
    """No heartbeat: hidden after 90 s; after the next eviction run gone everywhere, ``DELETED`` in deltas."""
    async with wired(unprotected()) as wire:
        await wire.register()
        wire.clock.advance(89)
        assert (await wire.get("apps/ORDERS/i1")).status == 200
        wire.clock.advance(2)
        for path in ("apps/ORDERS/i1", "instances/i1"):
            answer = await wire.get(path)
            assert (answer.status, answer.empty) == (404, True)
        assert await wire.sweep() == 1
        assert await wire.listed() == {}
        assert (await wire.get("apps/ORDERS")).status == 404
        assert await wire.listed("vips/orders") == {}
        assert [one["actionType"] for one in (await wire.listed("apps/delta")).values()] == ["DELETED"]


@pytest.mark.clock("M")
async def test_case_077_a_lease_runs_out_in_real_time(slowly: None, server: Server, profile: str) -> None:
    """The same by waiting, with a lease of two seconds."""
    await server.register(leaseInfo={"renewalIntervalInSecs": 1, "durationInSecs": 2})
    assert (await server.get(server.path())).status == 200
    await asyncio.sleep(2.2)
    assert (await server.get(server.path())).status == 404
    # Ref evicts once a minute, and not at all while it protects itself.
    await asyncio.sleep(61 if profile == "ref" else 2)
    assert (await server.get(f"apps/{server.app}")).status == 404
    assert [one["actionType"] for one in await server.mine("apps/delta")] == ["DELETED"]


@pytest.mark.clock("plus")
@pytest.mark.parametrize(("factor", "seconds"), [(1, 90), (2, 180)])
async def test_case_078_from_the_last_heartbeat(factor: int, seconds: int, private: None) -> None:
    """One duration after the last heartbeat an instance is hidden; with factor 2, as in Ref, after two."""
    async with wired(unprotected(strict=factor == 2)) as wire:
        await wire.register()
        wire.clock.advance(10)
        await wire.put("apps/ORDERS/i1")
        wire.clock.advance(seconds - 1)
        assert (await wire.get("apps/ORDERS/i1")).status == 200
        wire.clock.advance(2)
        assert (await wire.get("apps/ORDERS/i1")).status == 404


@pytest.mark.clock("plus")
async def test_case_078_from_the_last_heartbeat_in_real_time(
    slowly: None, server: Server, profile: str
) -> None:
    """The same by waiting, with a lease of three seconds."""
    await server.register(leaseInfo={"renewalIntervalInSecs": 1, "durationInSecs": 3})
    await server.put(server.path())
    whole = 6 if profile == "ref" else 3
    await asyncio.sleep(whole - 1)
    assert (await server.get(server.path())).status == 200
    await asyncio.sleep(1.5)
    assert (await server.get(server.path())).status == 404


@pytest.mark.clock("S")
async def test_case_079_a_late_eviction_run_is_lenient(private: None) -> None:
    """A run that comes 20 s late spares whoever expired within these 20 s."""
    async with wired(unprotected()) as wire:
        for id, seconds in (("long-ago", 77), ("just-now", 85), ("alive", 200)):
            await wire.register(
                instanceId=id, leaseInfo={"durationInSecs": seconds, "renewalIntervalInSecs": 30}
            )
        wire.clock.advance(78)
        await wire.sweep()
        assert sorted(await wire.listed()) == ["alive", "just-now"]
        wire.clock.advance(1 + 20)
        assert await wire.sweep() == 0
        assert sorted(await wire.listed()) == ["alive", "just-now"]
        for _ in range(8):
            wire.clock.advance(1)
            await wire.sweep()
        assert sorted(await wire.listed()) == ["alive"]


@pytest.mark.clock("S")
@pytest.mark.parametrize(("size", "cancelled"), [(1, 1), (6, 1), (7, 2), (10, 2), (20, 3), (100, 15)])
async def test_case_080_how_many_one_run_evicts(size: int, cancelled: int, private: None) -> None:
    """All leases have run out: one run takes 15 %, but at least one."""
    async with wired(unprotected()) as wire:
        await register_many(wire, size)
        wire.clock.advance(91)
        assert await wire.sweep() == cancelled
        assert len(await wire.listed()) == size - cancelled


@pytest.mark.clock("S")
async def test_case_080_whom_one_run_evicts(private: None) -> None:
    """Victims are drawn by lot."""
    left = []
    for seed in (1, 2):
        async with wired(unprotected(), seed) as wire:
            await register_many(wire, 20)
            wire.clock.advance(91)
            await wire.sweep()
            left.append(sorted(await wire.listed()))
    assert left[0] != left[1]


@pytest.mark.instead("leases are judged one by one, so there is no expected number of heartbeats")
@pytest.mark.clock("S")
async def test_case_082_late_leases_decide_instead_of_a_threshold(private: None) -> None:
    """Three of ten silent: they are evicted. Four of ten: nobody is, whatever their intervals."""
    for silent, evicted in ((3, 3), (4, 0)):
        async with wired(alone()) as wire:
            ids = await register_many(wire, 10)
            await wire.register(
                instanceId="quick", leaseInfo={"renewalIntervalInSecs": 1, "durationInSecs": 90}
            )
            await pass_time(wire, 119, ids[silent:], "quick")
            assert len(await wire.listed()) == 11 - evicted
            assert await mode(wire) == ("normal" if evicted else "preserving")


@pytest.mark.instead("the last sixty seconds are counted, and not the last full minute")
@pytest.mark.clock("S")
async def test_case_083_heartbeats_of_the_last_minute(private: None) -> None:
    """Only successful heartbeats are counted, and only those of the last minute."""
    async with wired(alone()) as wire:

        async def counted() -> int:
            return int((await wire.get("/resilient/v1/node")).json()["heartbeats_per_minute"])

        await wire.sweep()
        await wire.register()
        await wire.register(instanceId="unknown", status="UNKNOWN")
        await wire.put("apps/ORDERS/i1/status?value=DOWN")
        await wire.delete("apps/ORDERS/i1/status?value=UP")
        await wire.put("apps/ORDERS/nobody")
        await wire.put("apps/ORDERS/unknown")
        assert await counted() == 0
        await beat(wire, ["i1"] * 7)
        for _ in range(30):
            wire.clock.advance(1)
            await wire.sweep()
        assert await counted() == 7
        for _ in range(31):
            wire.clock.advance(1)
            await wire.sweep()
        assert await counted() == 0


@pytest.mark.clock("plus")
async def test_case_084_small_registries_lose_their_dead(private: None) -> None:
    """One of two crashes: it is gone within its lease and one sweep, although protection is on."""
    async with wired(alone()) as wire:
        ids = await register_many(wire, 2)
        await pass_time(wire, 91, ids[:1])
        assert list(await wire.listed()) == ids[:1]
        assert await mode(wire) == "normal"


@pytest.mark.clock("plus")
async def test_case_084_many_at_once_are_protected(private: None) -> None:
    """Ten of twenty fall silent: nobody is evicted, the mode is told; they return: it ends by itself."""
    async with wired(alone()) as wire:
        ids = await register_many(wire, 20)
        await pass_time(wire, 150, ids[:10])
        assert len(await wire.listed()) == 20
        node = (await wire.get("/resilient/v1/node")).json()
        assert node["mode"] == "preserving"
        assert "10 of 20" in node["reason"]
        assert (await wire.get("apps/ORDERS/i15")).status == 200
        await beat(wire, ids)
        await pass_time(wire, 1, ids)
        assert await mode(wire) == "normal"
        assert len(await wire.listed()) == 20


CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@asynccontextmanager
async def browser_page(url: str):  # type: ignore[no-untyped-def]
    driver = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on the path")
    async with driver.async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            page = await browser.new_page()
            await page.goto(url)
            yield page
        finally:
            await browser.close()


@pytest.mark.clock("S")
@pytest.mark.parametrize("protected", [True, False])
async def test_case_085_four_warnings(protected: bool, private: None) -> None:
    """Too few heartbeats or not, protection on or off: each has its warning, and only health has none."""
    async with wired(alone() if protected else unprotected()) as wire:

        async def warnings() -> str:
            return " ".join((await wire.get("/resilient/v1/node")).json()["warnings"])

        ids = await register_many(wire, 20)
        await pass_time(wire, 2, ids)
        assert await warnings() == "" if protected else "switched off" in await warnings()
        await pass_time(wire, 63, ids[:10])
        assert ("Emergency" in await warnings()) is protected
        assert "oo few heartbeats" in await warnings()
        assert ("switched off" in await warnings()) is not protected


@pytest.mark.clock("S")
async def test_case_085_what_the_page_shows(private: None) -> None:
    """On the page: a notice while leases are protected, ids as text, and no script as a link."""
    id = "<script>document.title='owned'</script>"
    async with wired(Settings(port=0)) as wire:
        await register_many(wire, 9)
        await wire.register(
            instanceId=id, statusPageUrl="javascript:alert(1)", homePageUrl="javascript:alert(2)"
        )
        await wire.sweep()
        async with browser_page(f"{wire.base}/ui/services/orders") as page:
            await page.get_by_text(id, exact=True).first.wait_for(timeout=5000)
            assert await page.title() != "owned"
            assert await page.locator("a[href^='javascript' i]").count() == 0
            assert await page.locator(".notice").count() == 0
            await pass_time(wire, 65, [])
            await page.wait_for_selector(".notice", timeout=5000)
            assert "0 of 20" in await page.inner_text(".notice")


@pytest.mark.wire("S")
async def test_case_085_links_of_scripts_are_not_kept(server: Server, profile: str) -> None:
    """A ``javascript:`` status URL is not handed on."""
    if profile == "ref":
        pytest.skip("Ref hands it on, and only its page leaves the link out")
    await server.register(statusPageUrl="javascript:alert(1)")
    assert "statusPageUrl" not in await server.read()
