"""Every number on the registry's pages equals one computed from its JSON."""

from __future__ import annotations

from collections import Counter

import pytest
from real_estate import ZONES, named
from ui_browser import FULL, needs_chromium, opened
from ui_figures import DASH, STANDING, ago, agrees, count, duration, line, percent, rate, whole

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
# From good to bad; the page names the worst first.
WORDS = {
    "up": "Up", "starting": "Starting", "unknown": "Unknown", "out": "Out of service", "late": "Late",
    "down": "Down",
}  # fmt: skip
KINDS = {"UP": "up", "STARTING": "starting", "OUT_OF_SERVICE": "out", "DOWN": "down", "UNKNOWN": "unknown"}
CIRCUITS = {
    "open": "Open", "half-open": "Half-open", "forced-open": "Forced open", "forced-closed": "Forced open"
}  # fmt: skip


def kind(instance):
    found = KINDS[instance["status"]]
    return "late" if found == "up" and instance["late"] else found


def shares(counts):
    return ", ".join(f"{counts[one]} {word.lower()}" for one, word in WORDS.items() if counts[one])


def troubles(counts):
    return [f"{WORDS[one]} {whole(counts[one])}" for one in reversed(WORDS) if one != "up" and counts[one]]


def tally(circuits):
    """Open, half-open and forced ones, as the page groups them."""
    found = Counter(CIRCUITS.get(one["state"], "") for one in circuits)
    return [f"{word} {found[word]}" for word in ("Open", "Half-open", "Forced open") if found[word]]


def versions(instances):
    found = Counter(one["metadata"]["version"] for one in instances if "version" in one["metadata"])
    return found.most_common(), found.total()


async def asked(one):
    """What the registry's own JSON says, and the moment it says it."""
    names = ("services", "circuits", "node", "changes")
    found = {name: await one.json(f"resilient/v1/{name}") for name in names}
    # Heartbeats due in a minute are nowhere in it, but known to who registered them.
    found["want"] = sum(
        60 / lease.record.instance.renew_every
        for service in found["services"]
        for lease in one.registry.registry.table.leases(service["name"]).values()
    )
    found["feed"] = (await one.json("ui/data/changes"))["rows"]
    shown = {(row["from"], row["cmd"]): row["rate"] for row in (await one.json("ui/data/circuits"))["rows"]}
    for row in found["circuits"]:
        row["shown"] = shown[row["service"], row["name"]]
        assert row["shown"] == pytest.approx(row["rate"], abs=0.051)
    live = {row["n"]: row for row in (await one.json("ui/data/services"))["rows"]}
    found["rates"] = {name: row["callsPerS"] for name, row in live.items()}
    for name, shown in found["rates"].items():
        exact = sum(row["rate"] for row in found["circuits"] if row["target"] == name)
        assert shown == pytest.approx(exact, abs=0.051), name
    # What the callers' balancers say of each instance: all calls, however they are dealt out.
    found["each"] = {name: (await one.json(f"ui/data/services/{name}"))["rates"] for name in live}
    for name, each in found["each"].items():
        assert not each or sum(each.values()) == pytest.approx(found["rates"][name], rel=0.05, abs=0.1), name
    return {**found, "now": one.clock.time()}


def overview(said, node):
    services, circuits = said["services"], said["circuits"]
    every = [one for service in services for one in service["instances"]]
    counts = Counter(map(kind, every))
    beats = said["node"]["heartbeats_per_minute"]
    part = percent(min(100, 100 * beats / said["want"]))
    young = [row for row in said["changes"] if "action" in row and said["now"] - row["at"] <= 900]
    joined = sum(row["action"] == "ADDED" and "before" not in row for row in young)
    left = sum(row["action"] == "DELETED" for row in young)
    opened_ = sum(row["state"] == "open" for row in circuits)
    closed = sum(row["state"] == "closed" for row in circuits)
    rows, tabs = [], Counter()
    for service in services:
        one = service["instances"]
        has = Counter(map(kind, one))
        towards = [row for row in circuits if row["target"] == service["name"]]
        is_open = sum(row["state"] == "open" for row in towards)
        worst = next((kind for kind in ("down", "late", "out", "starting", "unknown") if has[kind]), "up")
        found, of = versions(one)
        n = len(one)
        shown = [kind(each) == "up" for each in one]
        zones = Counter(each["zone"] for each, up in zip(one, shown, strict=True) if up)
        text = line(
            WORDS[worst], service["name"], shares(has), has["up"], "/", n, *(troubles(has) or [DASH]),
            *(zones[zone] for zone in ZONES),
            *((found[0][0], f"{whole(100 * found[0][1] / of)}%" if len(found) > 1 else "") if found
              else [DASH]),
            duration(max(each["renewed_ago"] for each in one)), rate(said["rates"][service["name"]]),
            *(tally(towards) or [len(towards) or DASH]),
        )  # fmt: skip
        needs = [has["down"] / n, has["late"] / n, is_open, has["out"] / n, has["starting"] / n]
        rows.append(([-need for need in needs], service["name"], text))
        tabs.update(["All"] + [word for key, word in (("down", "Down"), ("late", "Late"),
                    ("out", "Out of service")) if has[key]])  # fmt: skip
        tabs["Needs attention"] += worst != "up" or is_open > 0
    order = ("All", "Needs attention", "Down", "Late", "Out of service")
    return {
        "head": [f"Services {len(services)} services, {len(every)} instances, 3 zones"],
        "rail": [f"{opened_} open"],
        "up": [line("Instances up", counts["up"], "of", len(every), shares(counts), *troubles(counts))],
        "beats": [
            line(
                "Heartbeats per minute",
                whole(beats),
                "of",
                whole(said["want"]),
                part,
                f"percent, limit 85 percent {part}% limit 85%",
            )
        ],
        "flow": [
            line(
                "Changes, 15 min",
                f"+{joined} joined −{left} left",
                f"{joined} joined and {left} left in the last 15 minutes",
            )
        ],
        "nodes": [f"Registry nodes 1 no peers {node}"],
        "circuits": [line("Circuits open", opened_, "of", len(circuits), *tally(circuits), "Closed", closed)],
        "tabs": [f"{word} {tabs[word]}" for word in order],
        "shown": [f"{len(services)} of {len(services)}"],
        "zones": [zone.removeprefix("eu-") for zone in ZONES],
        "rows": [text for _, _, text in sorted(rows)],
    }


OVERVIEW = {
    "head": "#top .title",
    "rail": "#rail .tally",
    **{cell: f"[data-cell={cell}]" for cell in ("up", "beats", "flow", "nodes", "circuits")},
    "tabs": ".seg button",
    "shown": ".bar > .dim.nowrap",
    "zones": ".lhead .c-zone",
    "rows": ".lrow:not([hidden])",
}


async def test_every_number_of_the_overview(browser, world):
    known = [world.registry.source.name]
    async with opened(browser, world, width=1500, height=1200, before=STANDING) as page:
        await agrees(page, OVERVIEW, overview(await asked(world), *known), known)
        # Whatever happens is in them at once: one joins, one is heard again, one is late, one fails.
        await world.register("tax", "tax-new", zone="eu-1b", metadata={"version": "2.0.0"})
        late = named(world, "stock")[0]
        world.beating["stock", late] = (30, 0)
        world.registry.registry.renew("stock", late)
        world.silence("search", named(world, "search")[1])
        await world.run(62)
        world.callers[-1].call("notify.send", 17, fail=9)
        world.callers[-1].push()
        await world.tell()
        # The order waits, as the page's clock stands still.
        await agrees(page, OVERVIEW, overview(await asked(world), *known), known, order=("rows",))
        # And the comparison notices what is off by one, or old.
        await page.keyboard.press("p")
        await page.wait_for_selector(".live[data-s=paused]")
        await world.register("tax", "tax-newer", zone="eu-1b", metadata={"version": "2.0.0"})
        await world.tell()
        fresh = overview(await asked(world), *known)
        with pytest.raises(AssertionError):
            await agrees(page, OVERVIEW, fresh, known, within=0, order=("rows",))
        await page.keyboard.press("p")
        await agrees(page, OVERVIEW, fresh, known, order=("rows",))
        # The way one came here changes nothing.
        await page.click("#rail >> text=Circuits")
        await page.wait_for_selector(".card")
        await page.click("#rail >> text=Services")
        await agrees(page, OVERVIEW, fresh, known)


# --- a service


def instance_row(said, one, each):
    calls = (rate(each[one["id"]]) if one["id"] in each else DASH) if each else ""
    return line(
        WORDS[kind(one)], "override" if one["overridden"] else "", one["id"],
        one["url"].partition("://")[2], one["zone"], one["metadata"].get("version", DASH),
        duration(one["renewed_ago"]), duration(said["now"] - one["registered_at"]), calls,
    )  # fmt: skip


def edges(circuits, other):
    """Who calls, or is called: worst first, then the busiest; with circuits in that state, and calls/s."""
    words = {
        "open": "Open", "forced-open": "Forced open", "half-open": "Half-open",
        "forced-closed": "Forced closed", "closed": "Closed",
    }  # fmt: skip
    order, found = list(words), []
    for name in {row[other] for row in circuits}:
        rows = [row for row in circuits if row[other] == name]
        worst = min((row["state"] for row in rows), key=order.index)
        bad, total = sum(row["state"] == worst for row in rows), sum(row["shown"] for row in rows)
        calm = worst == "closed"
        tail = count(len(rows), "circuit") if calm else f"{bad} of {len(rows)} {words[worst].lower()}"
        found.append((order.index(worst), -total, f"{words[worst]} {name} {tail} {rate(total)}/s"))
    return [text for _, _, text in sorted(found)]


def service_page(said, name):
    (every,) = (one["instances"] for one in said["services"] if one["name"] == name)
    has, n = Counter(map(kind, every)), len(every)
    found, of = versions(every)
    up_in = Counter(one["zone"] for one in every if kind(one) == "up")
    order = ("down", "late", "starting", "out", "unknown", "up")
    worst = next((word for word in ("down", "late", "out", "starting") if has[word]), "")
    bad = [f"{WORDS[one]} {has[one]} {one}" for one in reversed(WORDS) if has[one] and one != "up"]
    changes = told(said, [row for row in said["feed"] if about(row, name)][:5])
    return {
        "head": [line("Services /", name, f"{has[worst]} {WORDS[worst].lower()}" if worst else "All up")],
        "rail": [f"{sum(row['state'] == 'open' for row in said['circuits'])} open"],
        "strip": [
            line("In service", has["up"], "of", n, shares(has), *(bad or ["all are up"])),
            line("Zones", *(f"{zone} {up_in[zone]}" for zone in sorted({one["zone"] for one in every}))),
            line("Versions", found[0][0], f"{whole(100 * found[0][1] / of)}%",
                 *(f"{version} {times}" for version, times in found[:3])),
            f"Calls per second 2 min {rate(said['rates'][name])}",
            "Lease Renews every 30 s Expires after 90 s Oldest heartbeat "
            + duration(max(one["renewed_ago"] for one in every)),
        ],
        "tabs": [
            f"All {n}",
            f"Not up {n - has['up']}",
            f"Overridden {sum(one['overridden'] is not None for one in every)}",
        ],
        "rows": [
            instance_row(said, one, said["each"].get(name) or {})
            for one in sorted(every, key=lambda one: (order.index(kind(one)), one["id"]))
        ],
        "callers": edges([row for row in said["circuits"] if row["target"] == name], "service")
        or ["No caller heard of"],
        "calls": edges([row for row in said["circuits"] if row["service"] == name], "target")
        or ["Calls no other service"],
        "changes": [line(one["what"], one["ago"], here(one["sub"], name), one["why"]) for one in changes],
    }  # fmt: skip


SERVICE = {
    "head": "#top .title",
    "rail": "#rail .tally",
    "strip": ".strip .cell",
    "tabs": ".bar .seg button",
    "rows": ".lrow:not([hidden])",
    "callers": ".side section:nth-child(1) li",
    "calls": ".side section:nth-child(2) li",
    "changes": ".side section:nth-child(3) li",
}


async def test_every_number_of_a_service(browser, world):
    known = [world.registry.source.name]
    for name in ("payments", "orders", "notify") if FULL else ("payments",):
        size = {"width": 1500, "height": 1300, "before": STANDING}
        async with opened(browser, world, f"services/{name}", **size) as page:
            await agrees(page, SERVICE, service_page(await asked(world), name), known, loose=["changes"])
            if name != "payments":
                continue
            await world.act("out-of-service", f"{name}/{named(world, name)[-1]}")
            await world.run(3)
            await world.tell()
            await agrees(page, SERVICE, service_page(await asked(world), name), known, loose=["changes"])


async def test_every_number_of_an_opened_instance(browser, world):
    id = named(world, "notify")[0]
    view = f"services/notify?open={id}"
    async with opened(browser, world, view, width=1500, height=1300, before=STANDING) as page:
        said = await asked(world)
        one = await world.json(f"resilient/v1/instances/{id}?service=notify")
        note = (await world.json("ui/data/services/notify"))["instances"][0]["override"]
        assert note["until"] == pytest.approx(1000 * world.registry.source.notes["notify", id]["until"])
        left, since = note["until"] / 1000 - said["now"], said["now"] - note["at"] / 1000
        wanted = {"said": ".said p", "facts": ".kv > div", "last": ".inst-more .happened li"}
        mine = told(said, [row for row in said["feed"] if row["sub"] == f"notify/{id}"][:10])
        await agrees(page, {**SERVICE, **wanted}, {
            **service_page(said, "notify"),
            "said": [
                line(f"Set to out of service by Ann, {ago(since)}. Reason given: new disk. The instance",
                     f"itself reports up and keeps renewing. It ends by itself in {duration(left)}.")
            ],
            "facts": [
                "Own status UP", "Override OUT_OF_SERVICE",
                f"Registered {ago(said['now'] - one['registered_at'])}",
                f"Zone {one['zone']}", f"Version {one['metadata']['version']}", "Renews, expires 30 s, 90 s",
                "Home page /", f"owner {one['metadata']['owner']}",
            ],
            "last": [line(each["what"], each["ago"], each["why"].partition(";")[0]) for each in mine],
        }, [world.registry.source.name], loose=["changes", "last"])  # fmt: skip


# --- what happened

WHAT = {
    "registered": "Registered", "removed": "Left", "expired": "Expired", "instance_down": "Reported down",
    "override_set": "Taken out of service", "override_removed": "Put back in service",
    "circuit_opened": "Circuit opened", "circuit_closed": "Circuit closed",
    "circuit_half_open": "Circuit half-open", "circuit_forced": "Circuit forced",
}  # fmt: skip


def about(row, name):
    return row["sub"] == name or row["sub"].startswith(f"{name}/") or f"/{name}:" in row["sub"]


def here(sub, name):
    """A subject as the page of one of its services shortens it."""
    if sub.startswith(f"{name}/") and ":" not in sub:
        return sub.removeprefix(f"{name}/")
    return sub.replace(f"/{name}:", " → here, ").replace(f"{name}/", "here → ")


def told(said, rows):
    """The rows of the feed in words."""
    found = []
    for row in rows:
        what = WHAT[row["kind"]]
        if row["kind"] == "override_set" and row["status"] != "OUT_OF_SERVICE":
            what = f"Override {row['status']}"
        when = ago(said["now"] - row["at"] / 1000)
        found.append({**row, "what": what, "ago": when, "why": row["text"]})
    return found
