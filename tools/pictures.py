"""The pictures of the docs, taken from the running demo: ``make pictures``.

Needs Debian's chromium and playwright (both set up by ``make setup`` where possible).
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from playwright.async_api import async_playwright

SCREENS = Path(__file__).parents[1] / "docs" / "screens"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PAGES = {"services": "ui/", "circuits": "ui/circuits"}


async def main() -> None:
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "resilient", "demo", "--chaos", "--port", "0",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert demo.stdout is not None
    try:
        url = ""
        while not url:
            line = (await demo.stdout.readline()).decode()
            if not line:
                raise SystemExit("the demo ended before it said where it is")
            found = re.search(r"Open\s+(http://\S+)", line)
            url = found.group(1) if found else ""
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            opened = {}
            for theme in ("light", "dark"):
                for name, path in PAGES.items():
                    page = await browser.new_page(viewport={"width": 1440, "height": 860}, color_scheme=theme)
                    await page.goto(url + path)
                    opened[f"{name}{'' if theme == 'light' else '-dark'}"] = page
            # The second time all copies of reviews fail: by then there is some history to see.
            for _ in range(2):
                while "reviews opened" not in (await demo.stdout.readline()).decode():
                    pass
            drained = asyncio.create_task(_drain(demo.stdout))
            await asyncio.sleep(1.5)
            for name, page in opened.items():
                await page.screenshot(path=SCREENS / f"{name}.png")
                print(SCREENS / f"{name}.png")
            await browser.close()
            drained.cancel()
    finally:
        demo.terminate()
        await demo.wait()


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass


if __name__ == "__main__":
    SCREENS.mkdir(parents=True, exist_ok=True)
    asyncio.run(main())
