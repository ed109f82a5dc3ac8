"""Every number of the changes and of the nodes equals one computed from the JSON."""

from __future__ import annotations

import pytest
from test_ui_figures_registry import asked, told
from ui_browser import needs_chromium, opened
from ui_figures import DASH, STANDING, ago, agrees, count, duration, line, whole

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]


def lines(said, rows):
    """Equal changes within five seconds are one line with their number."""
    found, last = [], {}
    for row in told(said, rows):
        key = (row["kind"], row["sub"].partition("/")[0], row["text"], row["by"])
        if key in last and last[key]["first"] - row["at"] <= 5000:
            last[key]["times"] += row["n"]
            last[key]["first"] = row["at"]
        else:
            last[key] = {**row, "first": row["at"], "times": row["n"]}
            found.append(last[key])
    return [
        line(
            one["ago"], f"{one['what']}, {one['times']} instances" if one["times"] > 1 else one["what"],
            one["sub"].partition("/")[0] if one["times"] > 1 else one["sub"],
            "; ".join(filter(None, (one["why"], one.get("reason")))), one["by"],
        )
        for one in found
    ]  # fmt: skip


async def test_every_number_of_the_changes(browser, world):
    wanted = {
        "head": "#top .title", "rail": "#rail .tally", "bars": ".density canvas",
        "rows": ".lrow:not([hidden])",
        "shown": ".bar > .dim.nowrap", "ends": ".density .ends",
    }  # fmt: skip

    def page_of(said):
        rows = said["feed"]
        return {
            "head": [f"Changes the last one {ago(said['now'] - rows[0]['at'] / 1000)}"],
            "rail": [f"{sum(row['state'] == 'open' for row in said['circuits'])} open"],
            "bars": [count(len(rows), "change") + " in the last 15 minutes"],
            "ends": ["15 min ago bars of 15 s; drag to look at a part now"],
            "shown": [f"{len(rows)} shown"],
            "rows": lines(said, rows),
        }

    known, words = [world.registry.source.name], ["rows"]
    async with opened(browser, world, "changes", width=1500, height=3000, before=STANDING) as page:
        said = await asked(world)
        # The registry's own list of what happened has as many, but for circuits, which have another.
        own = [row for row in said["changes"] if "action" in row]
        assert sum(row["n"] for row in said["feed"] if "circuit" not in row["kind"]) == len(own)
        await agrees(page, wanted, page_of(said), known, loose=words)
        for n in range(4):
            await world.register("tax", f"tax-late-{n}", zone="eu-1b")
        world.callers[0].circuits["orders.list"].open(60, reason="drill", by="Ann")
        await world.run(2)
        await world.tell()
        await agrees(page, wanted, page_of(await asked(world)), known, loose=words)


# --- the nodes


async def test_every_number_of_the_nodes(browser, world):
    wanted = {
        "head": "#top .title", "rail": "#rail .tally", "strip": ".strip .cell", "row": "tbody tr",
        "columns": "thead",
        "facts": ".facts-list > div",
    }  # fmt: skip

    def page_of(said):
        node, name = said["node"], world.registry.source.name
        counts = node["counts"]
        return {
            "head": ["Registry nodes one node"],
            "rail": [f"{sum(row['state'] == 'open' for row in said['circuits'])} open"],
            "strip": [
                "Nodes answering 1 of 1 this one, no peers",
                f"Largest lag {DASH} nobody is behind",
                line("Leases held", counts["instances"], count(counts["services"], "service") + ",",
                     counts["late"], "late"),
                f"Renewals per minute {node['heartbeats_per_minute']} of {whole(said['want'])} limit 85%",
                "Self-preservation Ready removal stops if many go silent",
            ],
            "row": [
                line(name, "this one Serving", DASH, DASH, DASH, DASH, counts["instances"], DASH,
                     node["version"], duration(node["uptime_seconds"]), DASH)
            ],
            "facts": [
                f"Version {node['version']}", f"Up for {duration(node['uptime_seconds'])}", f"Zone {DASH}",
                f"Position {node['position']}", "Start-up done", "Restored from disk nothing",
                "Removal of silent instances runs", "Self-preservation on", "Limit of missing heartbeats 15%",
                "Snapshot on disk none is kept",
            ],
        }  # fmt: skip

    known = [world.registry.source.name]
    async with opened(browser, world, "nodes", width=1500, height=1200, before=STANDING) as page:
        await agrees(page, wanted, page_of(await asked(world)), known)
        await world.register("tax", "tax-newest", zone="eu-1b")
        await world.run(31)
        await world.tell()
        await agrees(page, wanted, page_of(await asked(world)), known)
