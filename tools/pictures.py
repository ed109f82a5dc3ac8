"""The pictures of the docs, taken from the running demo: ``make pictures``.

Every page in light and dark, some as on a phone. Before, the demo is brought into a state worth seeing: one
service fails, one is slow, one copy is taken out of service. Needs a Chromium and playwright (both set up by
``make setup`` where possible); makes the files smaller if pngquant, oxipng or optipng is there.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, Page, async_playwright

SCREENS = Path(__file__).parents[1] / "docs" / "screens"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]
#: Name of the picture: address below ``/ui/``, and what has to be there before it is taken.
PAGES = {
    "services": ("", ".lrow:not([hidden])"),
    "service": ("services/reviews", ".lrow:not([hidden])"),
    "nodes": ("nodes", "tbody tr"),
    "changes": ("changes", ".lrow:not([hidden])"),
    "circuits": ("circuits", ".card canvas"),
    "circuits-table": ("circuits?view=table", ".vrow"),
    "circuit": ("circuits/catalog/reviews:reviews", ".plot canvas"),
    "topology": ("topology?name=reviews", ".node:visible, .ego:visible"),
    "api": ("api", "details"),
}
NARROW = ("services", "circuits", "circuit", "topology")
#: Of how many seconds there is something to see.
PAST = 75


async def main() -> None:
    """Take them all."""
    async with demo() as url, aiohttp.ClientSession() as session, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        await stage(session, url)
        for theme in ("light", "dark"):
            for name, (path, there) in PAGES.items():
                target = SCREENS / f"{name}{'' if theme == 'light' else '-dark'}.png"
                await picture(browser, f"{url}ui/{path}", there, theme, (1440, 900), target)
        for name in NARROW:
            path, there = PAGES[name]
            await picture(browser, f"{url}ui/{path}", there, "light", (390, 844), SCREENS / f"{name}-390.png")
        await browser.close()
    print(f"{sum(one.stat().st_size for one in SCREENS.glob('*.png')) / 1e6:.1f} MB in {SCREENS}")


@asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """The demo on a free port; gives its address, which ends in a slash."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "resilient", "demo", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    drained = None
    try:
        url = ""
        while not url:
            line = (await running.stdout.readline()).decode()
            if not line:
                raise SystemExit("the demo ended before it said where it is")
            found = re.search(r"Open\s+(http://\S+)", line)
            url = found.group(1) if found else ""
        drained = asyncio.create_task(_drain(running.stdout))
        yield url
    finally:
        running.terminate()
        await running.wait()
        if drained is not None:
            drained.cancel()


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass


async def stage(session: aiohttp.ClientSession, url: str) -> None:
    """A past to look at, then trouble."""

    async def mood(service: str, **wish: float) -> None:
        for one in (await instances(session, url))[service]:
            async with session.post(f"{one['url']}/demo/mood", json=wish):
                pass

    await asyncio.sleep(PAST * 0.4)
    await mood("prices", delay=0.12)
    await asyncio.sleep(PAST * 0.4)
    first = (await instances(session, url))["orders"][0]
    body = {"subjects": [f"orders/{first['id']}"], "reason": "disk swap", "for": 3600, "by": "kim"}
    origin = {"Origin": url.rstrip("/"), "Resilient-Action": "1"}
    async with session.post(f"{url}ui/act/out-of-service", json=body, headers=origin) as answer:
        assert answer.status == 202, await answer.text()
    await mood("reviews", errors=1.0)
    await asyncio.sleep(PAST * 0.2)


async def instances(session: aiohttp.ClientSession, url: str) -> dict[str, list[dict[str, Any]]]:
    """The copies of each service."""
    async with session.get(f"{url}resilient/v1/services") as answer:
        return {one["name"]: one["instances"] for one in await answer.json()}


async def picture(
    browser: Browser, url: str, there: str, theme: Any, size: tuple[int, int], target: Path
) -> None:
    """One page as one file."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=theme, reduced_motion="reduce"
    )
    page: Page = await context.new_page()
    await page.goto(url)
    await page.wait_for_selector(there)
    await page.wait_for_selector("#rail .live b:text-is('Live')", state="attached")
    await asyncio.sleep(2.2)  # two ticks: what is asked for once is there, too
    await page.screenshot(path=target)
    await context.close()
    smaller(target)
    print(target)


def smaller(target: Path) -> None:
    """The same picture in fewer bytes, where there is a tool for it."""
    tools = {
        "pngquant": ["--force", "--skip-if-larger", "--strip", "--output", str(target), "256", str(target)],
        "oxipng": ["--quiet", "--opt", "4", "--strip", "safe", str(target)],
        "optipng": ["-quiet", "-o2", str(target)],
    }
    for tool, options in tools.items():
        if shutil.which(tool):
            subprocess.run([tool, *options], check=False)


if __name__ == "__main__":
    SCREENS.mkdir(parents=True, exist_ok=True)
    asyncio.run(main())
