"""What the pages cost the browser that shows them, against their budgets.

``python -m benchmarks.ui_pages`` starts a registry with 2,000 instances in 48 services and 500 circuits that
are told of once a second, and opens the pages in the system's Chromium. It takes a quarter of an hour, ten
minutes of it for the heap; ``--short`` replays those ten minutes twenty times as fast and is a look of some
two minutes. Times may be twice their budget before that counts (the machine has other things to do);
sizes, nodes and the heap may not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from playwright.async_api import Browser
from rich.console import Console
from rich.table import Table

from .ui_estate import INSTANCES, LARGE, Estate, estate
from .ui_probe import FRAMES, PAINT, REPLAY, SCROLL, TYPE, chromium, context, dropped, heap, spent, visit

#: Times of the budget that a time may take on a shared machine.
SHARED = 2.0
VIEWS = ("", f"services/{LARGE}", "nodes", "changes", "circuits", "circuits?view=table", "topology", "api")
LETTERS = "rack:c-1 eu"


@dataclass
class Row:
    """One budget, and what was measured. ``factor``: how many times the budget it may be."""

    name: str
    budget: float
    measured: float
    unit: str
    factor: float = 1.0

    @property
    def verdict(self) -> str:
        if self.measured <= self.budget:
            return "ok"
        return "over" if self.measured <= self.budget * self.factor else "fail"


@dataclass
class Found:
    """All rows, and what is worth knowing besides."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def time(self, name: str, budget: float, measured: float, unit: str = "ms") -> None:
        self.rows.append(Row(name, budget, measured, unit, SHARED))

    def size(self, name: str, budget: float, measured: float, unit: str) -> None:
        self.rows.append(Row(name, budget, measured, unit))


async def loading(found: Found, browser: Browser, url: str, times: int) -> None:
    """First and second visits, and the bytes of both. A page of one line says what Chromium itself takes."""
    bare = []
    for _ in range(times):
        async with context(browser) as one:
            page = await one.new_page()
            await page.goto(url.removesuffix("ui/") + "health/live")
            await asyncio.sleep(0.3)
            bare.append(await page.evaluate(PAINT))
    found.notes.append(f"a page of one line, first visit: first paint {statistics.median(bare):.0f} ms")
    for title, view in (("services", ""), ("circuits", "circuits")):
        colds, warms = [], []
        for _ in range(times):
            async with context(browser) as one:
                page, _, cold = await visit(one, url + view)
                await page.close()
                page, _, warm = await visit(one, url + view)
                await page.close()
            colds.append(cold)
            warms.append(warm)
        middle = statistics.median
        found.time(f"{title}: first paint, first visit", 100, middle(one.paint for one in colds))
        found.time(f"{title}: data drawn, first visit", 250, middle(one.drawn for one in colds))
        found.time(f"{title}: first paint, second visit", 60, middle(one.paint for one in warms))
        found.size(
            f"{title}: requests of a second visit", 2, max(len(one.asked) for one in warms), "requests"
        )
        if later := sorted({urlsplit(path).path for one in warms for path in one.later}):
            found.notes.append(f"{title}: asked for later: {', '.join(later)}")
        if title == "services":
            files = [path for path in colds[0].asked + colds[0].later if _is_code(path)]
            found.size("services: scripts and styles", 50, await _packed(files), "KB gzip")


async def _packed(urls: list[str]) -> float:
    total = 0
    async with aiohttp.ClientSession(auto_decompress=False, headers={"Accept-Encoding": "gzip"}) as session:
        for url in dict.fromkeys(urls):
            async with session.get(url) as answer:
                total += len(await answer.read())
    return total / 1000


def _is_code(url: str) -> bool:
    return urlsplit(url).path.endswith((".js", ".css"))


async def standing(found: Found, browser: Browser, estate: Estate, circuit: str) -> None:
    """Nodes, layout shift and complaints of every page, and the bytes of all scripts and styles."""
    await estate.large()
    files: list[str] = []
    complaints: list[str] = []
    nodes: dict[str, int] = {}
    shifts: dict[str, float] = {}
    async with context(browser) as one:
        one.on("weberror", lambda error: complaints.append(str(error.error)))
        one.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        one.on("request", lambda asked: files.append(asked.url) if _is_code(asked.url) else None)
        for view in (*VIEWS, circuit):
            page = await one.new_page()
            await page.goto(f"{estate.url}/ui/{view}")
            await page.wait_for_selector("#rail .live[data-s=live]")
            await asyncio.sleep(2.5)
            nodes[view] = await page.evaluate("document.querySelectorAll('*').length")
            shifts[view] = await page.evaluate("seen.shift")
            await page.close()
    worst = max(nodes, key=nodes.__getitem__)
    found.size(f"elements of a page, at most (/{worst})", 6000, nodes[worst], "")
    worst = max(shifts, key=shifts.__getitem__)
    found.size(f"layout shift, at most (/{worst})", 0.01, round(shifts[worst], 4), "")
    found.size("all scripts and styles", 100, await _packed(files), "KB gzip")
    found.size("errors in the console", 0, len(complaints), "")
    found.notes += [f"console: {text}" for text in complaints[:5]]
    found.notes.append("elements: " + ", ".join(f"/{view} {n:,}" for view, n in nodes.items()))


async def ticking(found: Found, browser: Browser, estate: Estate, seconds: float, frames: float) -> None:
    """What a second costs a page that is only looked at, and how smooth it stays."""
    for title, view, budget in (("cards", "circuits", 8), ("table", "circuits?view=table", 10)):
        async with context(browser) as one:
            page, cdp, _ = await visit(one, f"{estate.url}/ui/{view}", 3)
            # Processor time, or the turns of others on the core would be in it.
            await cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
            before, ticks = await spent(cdp), estate.ticks
            await asyncio.sleep(seconds)
            after, ticks = await spent(cdp), estate.ticks - ticks
            each = {key: (after[key] - before[key]) / max(1, ticks) for key in after}
            found.time(f"{title}: a tick, everything on the page's thread", budget, each["all"])
            found.notes.append(
                f"{title}: of that scripts {each['script']:.1f} ms, styles and layout {each['layout']:.1f} ms"
            )
            gaps = await page.evaluate(f"({FRAMES})({frames})")
        _smooth(found, f"{title}, {frames:.0f} s", gaps, await _control(browser, min(frames, 20)))


async def _control(browser: Browser, seconds: float) -> list[float]:
    """The frames of an empty page, while everybody else works on."""
    async with context(browser) as one:
        gaps: list[float] = await (await one.new_page()).evaluate(f"({FRAMES})({seconds})")
        return gaps


def _smooth(found: Found, title: str, gaps: list[float], control: list[float]) -> None:
    """Frames, less what an empty page loses just after: on a busy machine that one stumbles, too."""
    (share, longest), (lost, lag) = dropped(gaps), dropped(control)
    found.time(f"{title}: frames dropped", 0.5, max(0.0, share - lost), "%")
    found.time(f"{title}: longest frame", 50, max(1000 / 60, longest - lag + 1000 / 60))
    found.notes.append(
        f"{title}: {share:.1f}% dropped, longest {longest:.0f} ms; "
        f"an empty page after it {lost:.1f}% and {lag:.0f} ms"
    )


async def lists(found: Found, browser: Browser, estate: Estate) -> None:
    """Long lists: scrolled through, and filtered while typing."""
    await estate.large()
    for title, view, row, box in (
        ("500 rows of the table", "circuits?view=table", ".vrow", ".vt"),
        (f"{INSTANCES:,} instances", f"services/{LARGE}", ".lrow", None),
    ):
        async with context(browser) as one:
            page, cdp, _ = await visit(one, f"{estate.url}/ui/{view}", 2)
            said: dict[str, Any] = await page.evaluate(f"({SCROLL})({json.dumps(_way(row, box))})")
            await cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
            before = await spent(cdp)
            took: list[float] = await page.evaluate(f"({TYPE})({json.dumps(LETTERS)})")
            after = await spent(cdp)
        key = sum(after[part] - before[part] for part in ("script", "layout")) / len(took)
        _smooth(found, f"{title}, scrolled", said["gaps"], await _control(browser, 5))
        found.size(f"{title}, scrolled: blank frames in a row", 1, said["worst"], "")
        found.time(f"{title}, filtered: a key, of the processor's time", 16, key)
        found.notes.append(
            f"{title}: {said['frames']} frames, {said['blank']} blank; "
            f"from key to layout {statistics.median(took):.1f} ms in the middle, {max(took):.1f} at most"
        )


def _way(row: str, box: str | None) -> dict[str, object]:
    return {"row": row, "box": box, "step": 80}


async def keeping(found: Found, browser: Browser, estate: Estate, minutes: float) -> None:
    """The heap after ten minutes; replayed if ``minutes`` is 0."""
    views = ("circuits", "circuits?view=table", "")
    scripts = () if minutes else (REPLAY,)
    async with contextlib.AsyncExitStack() as stack:
        # A context each, and so a process each: pages that share one share its heap.
        contexts = [await stack.enter_async_context(context(browser, *scripts)) for _ in views]
        pages = [
            await visit(one, f"{estate.url}/ui/{view}", 3) for one, view in zip(contexts, views, strict=True)
        ]

        async def pass_by(seconds: int, speed: int) -> None:
            if minutes:
                await asyncio.sleep(seconds)
                return
            for page, _, _ in pages:
                await page.evaluate(f"replay({seconds}, {speed})")

        await pass_by(130, 40)  # until two minutes of history are there
        before = [await heap(cdp) for _, cdp, _ in pages]
        await pass_by(round(60 * (minutes or 10)), 20)
        after = [await heap(cdp) for _, cdp, _ in pages]
        for view, (was, nodes), (now, left) in zip(views, before, after, strict=True):
            found.size(f"/{view}: heap", 30, now, "MB")
            found.size(f"/{view}: heap's growth in ten minutes", 1, now - was, "MB")
            found.notes.append(f"/{view}: {nodes:,} nodes alive before, {left:,} after")


async def measure(short: bool, only: list[str], say: Callable[[str], object]) -> Found:
    """Everything, or the parts named."""
    found = Found()
    async with estate() as one, chromium() as browser:
        url = f"{one.url}/ui/"
        async with one.session.get(f"{url}data/circuits") as answer:
            rows = (await answer.json())["rows"]
        circuit = f"circuits/{rows[0]['id']}"
        parts: dict[str, Callable[[], Any]] = {
            "loading": lambda: loading(found, browser, url, 3 if short else 9),
            "ticking": lambda: ticking(found, browser, one, *((6, 6) if short else (30, 60))),
            "lists": lambda: lists(found, browser, one),
            "pages": lambda: standing(found, browser, one, circuit),
            "heap": lambda: keeping(found, browser, one, 0 if short else 10),
        }
        for name, part in parts.items():
            if not only or name in only:
                say(name)
                size, began = one.bytes, time.monotonic()
                await part()
                if name == "ticking":
                    each = (one.bytes - size) / (time.monotonic() - began) / 1000
                    found.size("stream, for one who looks", 40, each, "KB/s")
    return found


def show(found: Found, console: Console) -> None:
    """The table, and the notes."""
    table = Table(title="The pages, in Chromium", title_justify="left", title_style="bold")
    for head, side in (("", "left"), ("budget", "right"), ("measured", "right"), ("", "left")):
        table.add_column(head, justify=side)  # type: ignore[arg-type]
    looks = {"ok": "green", "over": "yellow", "fail": "bold red"}
    for row in found.rows:
        words = [f"{value:,.4g} {row.unit}".strip() for value in (row.budget, row.measured)]
        table.add_row(row.name, *words, f"[{looks[row.verdict]}]{row.verdict}[/]")
    console.print(table)
    for note in found.notes:
        console.print(f"  {note}", style="dim", highlight=False, markup=False)


def main(argv: list[str] | None = None) -> int:
    """The exit code: 1 beyond a budget (times: beyond twice)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ui_pages", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a look of two minutes")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--only", action="append", default=[], choices=["loading", "ticking", "lists", "pages", "heap"]
    )
    options = parser.parse_args(argv)
    found = asyncio.run(measure(options.short, options.only, lambda name: print(name, file=sys.stderr)))
    if options.json:
        rows = [{**asdict(row), "verdict": row.verdict} for row in found.rows]
        print(json.dumps({"rows": rows, "notes": found.notes}, indent=2))
    else:
        show(found, Console(width=None if sys.stdout.isatty() else 110))
    return 1 if any(row.verdict == "fail" for row in found.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
