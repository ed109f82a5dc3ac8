"""The picture of docs/operating.md: Prometheus's own page of alerts while a service is ill.

Needs Debian's prometheus and chromium, and playwright.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "ops"), str(ROOT / "tools")]

from ops_kit import MISSING, PROMETHEUS, PROMTOOL, Estate, estate, until  # noqa: E402
from pictures import CHROMIUM, FLAGS, SCREENS  # noqa: E402


async def shoot(url: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        await page.goto(f"{url}/classic/alerts")
        await page.wait_for_timeout(2000)
        picture = SCREENS / "alerts.png"
        await page.screenshot(path=picture)
        print(picture)
        await browser.close()


def fires(live: Estate) -> bool:
    found = live.prometheus.get("alerts")["alerts"]
    return any(one["labels"]["alertname"] == "ResilientCircuitOpen" for one in found)


def main() -> int:
    if not (PROMETHEUS and PROMTOOL):
        print(MISSING)
        return 1
    with tempfile.TemporaryDirectory() as folder, estate(Path(folder), patience="5s") as live:
        until(lambda: len(live.prometheus.healthy()) == 3, "not everybody is scraped", 60)
        live.tell("status 503")
        until(lambda: fires(live), "the circuit does not open", 60)
        asyncio.run(asyncio.wait_for(_soon(live), 60))
    return 0


async def _soon(live: Estate) -> None:
    await asyncio.sleep(8)
    await shoot(live.prometheus.url)


if __name__ == "__main__":
    sys.exit(main())
