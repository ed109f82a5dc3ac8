"""Every number on the page of circuits equals one computed from the JSON."""

from __future__ import annotations

from collections import Counter

import pytest
from ui_browser import needs_chromium, opened
from ui_figures import DASH, STANDING, agrees, count, duration, latency, line, percent, rate, whole

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
WORDS = {
    "open": "Open", "half-open": "Half-open", "forced-open": "Forced open", "forced-closed": "Forced closed",
    "closed": "Closed",
}  # fmt: skip
#: As the list and the wall rank them, and as lines between services do.
RANK = ("open", "half-open", "forced-open", "forced-closed", "closed")
WORST = ("open", "forced-open", "half-open", "forced-closed", "closed")
TITLE = {"head": "#top .title", "rail": "#rail .tally"}


async def asked(one):
    """The circuits as the registry's JSON has them, each with what the page is told of it."""
    rows = await one.json("resilient/v1/circuits")
    told = {(row["from"], row["cmd"]): row for row in (await one.json("ui/data/circuits"))["rows"]}
    assert len(told) == len(rows)
    for row in rows:
        said, counts = told[row["service"], row["name"]], row["counts"]
        # Errors by hand: refused calls and those that are no failure were not attempted.
        failed = counts["failure"] + counts["timeout"] + counts["rejected"]
        tried = counts["success"] + failed
        error = 100 * failed / tried if tried else None
        assert said["errorPercent"] == (None if error is None else pytest.approx(error, abs=0.0051))
        assert said["rate"] == pytest.approx(row["rate"], abs=0.0051)
        q = row["latency"]
        ms = [1000 * q[name] for name in ("p50", "p90", "p99", "p995")] if q else None
        assert said["latencyMs"] == (None if ms is None else pytest.approx(ms, rel=0.006, abs=0.06))
        row.update(
            id=said["id"], to=row["target"], cmd=row["name"].removeprefix(f"{row['target']}."),
            shown=said["rate"], err=said["errorPercent"], ms=said["latencyMs"] or [None] * 4, tried=tried,
            counted=[counts[key] for key in
                     ("success", "excluded", "short_circuited", "failure", "timeout", "rejected")],
            age=row["since"], where=f"on all {row['of']}" if row["on"] >= row["of"] else
            f"on {row['on']} of {row['of']}",
        )  # fmt: skip
    return rows


def title(row):
    return f"{row['to']} {row['cmd']}"


def heads(rows):
    forced = sum(row["state"].startswith("forced") for row in rows)
    n = Counter(row["state"] for row in rows)
    hot = sum(row["state"] == "closed" and (row["err"] or 0) >= 2 for row in rows)
    callers = len({row["service"] for row in rows})
    wall = f"{len(rows)} circuits: {n['open']} open, {n['half-open']} half-open, {forced} forced, "
    wall += f"{n['closed']} closed."
    return {
        "head": [f"Circuits {count(len(rows), 'circuit')} in {count(callers, 'caller')}"],
        "rail": [f"{n['open']} open"],
        "tallies": [
            f"Open {n['open']} refusing calls",
            f"Half-open {n['half-open']} probing",
            f"Forced {forced} set by hand",
            f"Closed {n['closed']} {hot} above 2%",
        ],
        "wall": [f"{wall} The same data is in the list below."],
        "window": ["last 10 s"],
    }


HEADS = {
    **TITLE,
    "tallies": ".tallies button",
    "wall": ".wall-canvas",
    "window": ".tools-line .dim.wide-only",
    # One mark's words are in the page as they were when it was drawn; they are compared when it is reached.
    "mark": ".wall-mark",
}


def card(row):
    success, ignored, refused, failure, timeout, rejected = map(whole, row["counted"])
    state, hosts = WORDS[row["state"]], row["processes"]
    calm = row["state"] == "closed"
    return line(
        state, title(row), f"from {row['service']}",
        "" if calm else line(state, row["where"] if row["of"] > 1 else "") + f", {duration(row['age'])}",
        percent(row["err"]), ("none tried" if row["shown"] else "no calls") if row["err"] is None else "%",
        rate(row["shown"]), "calls/s",
        "Success", success, "Ignored", ignored, "Refused", refused, "Failure", failure, "Timeout", timeout,
        "Rejected", rejected,
        *(f"{name} {latency(ms)}" for name, ms in
          zip(("median", "90th", "99th", "99.5th"), row["ms"], strict=True)),
        f"{count(hosts, 'host')}, {rate(row['shown'] / hosts)}/s" + (" each" if hosts > 1 else ""),
        f"in flight {row['in_flight']} of {row['limit']}",
    )  # fmt: skip


async def test_19_and_20_every_number_of_the_cards(browser, world):
    wanted = {**HEADS, "cards": ".card"}

    def page_of(rows):
        return {**heads(rows), "cards": sorted(map(card, rows))}

    async def same(page):
        expected = page_of(await asked(world))
        await agrees(page, wanted, expected, [world.registry.source.name], order=("cards",))

    async with opened(browser, world, "circuits", width=1500, height=1800, before=STANDING) as page:
        await same(page)
        for caller in world.callers[:3]:
            for name in caller.circuits:
                caller.call(name, 7, fail=2, slow=1, ignored=1, seconds=0.33)
        # One failure of very many is not none.
        world.callers[5].call("notify.send", 900, fail=1)
        await world.run(1)
        await world.tell()
        await same(page)


async def test_22_the_same_command_of_two_callers_is_two_cards(browser, world):
    async with opened(browser, world, "circuits?q=cmd:notify.send", height=1200, before=STANDING) as page:
        names = await page.locator(".card").evaluate_all(
            "all => all.map(one => one.getAttribute('aria-label'))"
        )
        assert sorted(names) == ["orders to notify send", "payments to notify send"]
        links = await page.locator(".card .nm").evaluate_all("all => all.map(one => one.pathname)")
        assert len(set(links)) == 2


def table_row(row):
    success, _, refused, failure, timeout, rejected = map(whole, row["counted"])
    calm, error = row["state"] == "closed", percent(row["err"])
    state = WORDS[row["state"]]
    short = [
        DASH if ms is None else whole(ms).replace(",", "") if ms >= 10 else f"{ms:.1f}" for ms in row["ms"]
    ]
    where = f"{row['on']} of {row['of']}" if row["of"] > 1 else state.lower()
    return line(
        state, title(row), row["service"], "closed" if calm else f"{where} {duration(row['age'])}",
        error if error == DASH else f"{error}%", rate(row["shown"]), success, refused, timeout, rejected,
        failure, *short, f"{row['in_flight']} / {row['limit']}", row["processes"],
    )  # fmt: skip


async def test_every_number_of_the_table_and_the_wall(browser, world):
    wanted = {**HEADS, "rows": ".vrow:not([hidden])", "columns": ".vhead"}
    async with opened(
        browser, world, "circuits?view=table", width=1600, height=1200, before=STANDING
    ) as page:
        rows = await asked(world)
        columns = (
            "State Circuit Caller State Errors Calls/s 2 min Success Refused Timeout Rejected Failure "
            "p50 p90 p99 p99.5 In flight Hosts"
        )
        expected = {**heads(rows), "rows": sorted(map(table_row, rows)), "columns": [columns]}
        await agrees(page, wanted, expected, [world.registry.source.name], order=("rows",))
        assert await page.locator(".vt").get_attribute("aria-rowcount") == str(len(rows) + 1)
        # Worst first: by state, then errors in steps of two, and here no two are in one step.
        order = await page.locator(".vrow:not([hidden]) a").evaluate_all("all => all.map(one => one.title)")
        places = [RANK.index(next(row["state"] for row in rows if row["id"] == id)) for id in order]
        assert places == sorted(places)
        # The wall says each mark's numbers to who walks over it.
        said = set()
        for caller in world.callers:
            for name in caller.circuits:
                caller.call(name, 5)
        await world.run(1)
        await world.tell()
        rows = await asked(world)
        await agrees(
            page,
            wanted,
            {"rows": sorted(map(table_row, rows))},
            [world.registry.source.name],
            order=("rows",),
        )
        focused, said = page.locator(".wall-mark:focus"), set()
        await page.locator(".wall-mark:not([hidden])").first.focus()
        # Along each line of marks, and from its beginning to the next.
        for _ in range(3):
            for _ in rows:
                said.add(await focused.get_attribute("aria-label"))
                await page.keyboard.press("ArrowRight")
            for _ in rows:
                await page.keyboard.press("ArrowLeft")
            await page.keyboard.press("ArrowDown")

        def sentence(row):
            where = row["where"] if row["of"] > 1 else ""
            errors = "nothing attempted" if row["err"] is None else f"{percent(row['err'])}% errors"
            state = line(WORDS[row["state"]].lower(), where)
            return (
                f"{row['service']} to {title(row)}: {state}, {errors}, {rate(row['shown'])} calls per second"
            )

        assert said == set(map(sentence, rows))
        # Also a mark that looks as it did says its numbers of now when it is reached.
        await page.locator(".vt").focus()
        world.callers[-1].call("notify.send", 2)
        world.callers[2].call("payments.authorise", 1)
        await world.run(1)
        await world.tell()
        rows = await asked(world)
        expected = {"rows": sorted(map(table_row, rows))}
        await agrees(page, wanted, expected, [world.registry.source.name], order=("rows",))
        await page.locator(".wall-mark:not([hidden])").first.focus()
        assert await focused.get_attribute("aria-label") in set(map(sentence, rows))
