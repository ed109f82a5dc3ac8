"""Every number of a circuit and of the topology equals one computed from the JSON."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from test_ui_figures_circuits import TITLE, WORDS, WORST, asked, title
from ui_browser import FULL, full, needs_chromium, opened, playwright
from ui_figures import DASH, STANDING, ago, agrees, count, duration, latency, line, percent, rate, whole

expect = playwright.expect
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]


LETTERS = {"O": "open", "H": "half-open", "F": "forced-open", "L": "forced-closed", "C": "closed"}
CIRCUIT = {
    **TITLE,
    "state": ".statebox > div:first-child", "why": ".why > li", "machine": ".machine-box", "held": ".held p",
    "ribbon": ".ribbon-panel", "outcomes": ".outcome-panel .legend > span",
    "lats": ".latency-panel .legend > span",
    "charts": ".charts .panel-h", "plot": ".plot", "where": ".where .panel-h", "rows": ".where tbody tr",
    "columns": ".where thead", "turns": ".turns li", "settings": ".set tr", "more": ".settings summary",
    "failures": ".failures",
}  # fmt: skip
#: What is said in sentences.
WORDED = ("why", "turns")


def last(values):
    return next((one for one in reversed(values[-10:]) if one is not None), None)


def short(n):
    return percent(n).replace(".0", "")


def state_of(row, detail, now):
    hosts, state = row["processes"], WORDS[row["state"]]
    on = f"{row['on']} of {hosts}" if hosts > 1 else "its only"
    counts = row["counts"]
    probe = row["retry_in"] if row["state"] == "open" else None
    got, refused = counts["fallback_success"], counts["short_circuited"]
    trying = row["trials"] and row["state"] == "half-open"
    return line(
        state, "on", on, "hosts" if hosts > 1 else "host", "for", duration(row["age"]),
        *(f"{WORDS[one]} {row['states'][one]}" for one in
          ("open", "half-open", "forced-open", "forced-closed", "closed") if one in row["states"]),
        f"Next trial in {duration(probe)}." if probe else "",
        f"{count(row['trials'], 'trial')} under way." if trying else "",
        f"{got} calls got the fallback in this window." if got else
        f"{refused} calls were refused in this window." if refused else "",
    )  # fmt: skip


def reasons(row, detail):
    counts, why, found = row["counts"], detail["why"], []
    limit = short(100 * row["error_threshold"])
    if row["state"] in ("open", "half-open"):
        # The rule that fired, with its numbers then; and what is tried now.
        refused = f"; {counts['short_circuited']} were refused" if counts["short_circuited"] else ""
        tried, enough = count(row["attempts"], "call"), f"at least {row['min_calls']} are needed to judge"
        now = f"{tried} were tried, {percent(row['err'])}% failed" if row["attempts"] else "nothing was tried"
        had = f"{percent(why['value'])}% of {count(why['calls'], 'call')} had failed when it opened"
        found += [
            f"{had}; the limit is {short(why['limit'])}%.",
            f"{whole(why['calls'])} calls in the 10 s before; {enough}",
            f"In the last 10 s {now}{refused}.",
        ]
    else:
        found += [
            f"{percent(row['err'])}% of attempted calls failed; it opens at {limit}%"
            if row["err"] is not None
            else f"Nothing was attempted lately; it opens at {limit}%",
            f"{row['calls']} calls in 10 s; at least {row['min_calls']} are needed to judge",
        ]
    full = "; some were turned away" if counts["rejected"] else ""
    found.append(f"{row['in_flight']} in flight of {row['limit']}{full}")
    kinds = Counter({one["kind"]: one["n"] for one in detail["failures"] if one["n"]}) or Counter(
        timeout=counts["timeout"], failure=counts["failure"], rejected=counts["rejected"]
    )
    if total := kinds.total():
        shares = [f"{name} {whole(100 * n / total)}%" for name, n in kinds.most_common() if n]
        found.append("Failures: " + ", ".join(shares).replace("rejected ", "turned away "))
    if row["last_error"] and row["last_error"] != row["mode_reason"]:
        found.append(f"Last error: {row['last_error']}")
    return found


def legends(series, timeout):
    rates, fail, refused, slow = (last(series[key]) for key in ("rate", "fail", "refused", "timeout"))
    outcomes = {
        "Answered": max(0, rates - fail - refused), "Refused": refused, "Timeout": slow,
        "Failed": max(0, fail - slow),
    }  # fmt: skip
    lats = {"median": "p50", "90th": "p90", "99th": "p99"}
    # Each of them is a point of five seconds, and counts for all five.
    of = {word: last([one for one in series[key] for _ in range(5)]) for word, key in lats.items()}
    return (
        [f"{word} {rate(n)}" for word, n in outcomes.items()],
        [f"{word} {latency(ms)}" for word, ms in of.items()] + [f"timeout {latency(1000 * timeout)}"],
    )


def host_row(one):
    state = WORDS[LETTERS[one["state"]]]
    error = one["errorPercent"]
    return line(
        state, one["process"], state.lower(), duration(one["sinceS"]),
        DASH if error is None else f"{percent(error)}%", rate(one["rate"]), whole(one["refused"]),
        whole(one["inFlight"]), "Act",
    )  # fmt: skip


def instance_rows(balanced, now):
    """What the balancers of all callers make of each instance, worst first."""
    found, callers = [], len({one["by"] for one in balanced})
    most = {"ejected": 0, "healthy": 4}
    for id in {one["id"] for one in balanced}:
        rows = [one for one in balanced if one["id"] == id]
        bal = min((one["bal"] for one in rows), key=most.get)
        on = sum(one["bal"] == bal for one in rows)
        of = f" in {on} of {len(rows)} callers" if on < len(rows) else ""
        back = f", back in {duration(rows[0]['backAt'] / 1000 - now)}" if bal == "ejected" else ""
        ok = sum(one["ok"] for one in rows) / len(rows)
        share = 100 * sum(one["share"] for one in rows) / callers
        ewma = sum(one["ewma"] for one in rows) / len(rows)
        text = line(
            {"ejected": "Ejected", "healthy": "Up"}[bal], id, rows[0]["zone"],
            f"{'ejected' if bal == 'ejected' else 'in rotation'}{of}{back}", f"{percent(ok)}%", latency(ewma),
            whole(sum(one["fly"] for one in rows)), whole(max(one["run"] for one in rows)),
            f"{share:.1f}%" if share else "0",
        )  # fmt: skip
        found.append((most[bal], ok, -share, id, text))
    return [text for *_, text in sorted(found)]


async def one_circuit(world, id, by=""):
    now = world.clock.time()
    rows = await asked(world)
    (row,) = (one for one in rows if one["id"] == id)
    detail = await world.json(f"ui/data/circuits/{id}?range=900")
    balanced = await world.json(f"ui/data/circuits/{id}/instances")
    outcomes, lats = legends(detail["series"], row["timeout"])
    forced = row["state"].startswith("forced")
    instances = instance_rows(balanced, now)
    hosts = len(detail["hostsBy"])
    values = {one["name"]: one for one in detail["settings"]}
    good = int(values["success_threshold"]["value"])
    return row, detail, {
        "head": [f"Circuits / {title(row)} called from {row['service']}"],
        "rail": [f"{sum(one['state'] == 'open' for one in rows)} open"],
        "state": [state_of(row, detail, now)],
        "why": reasons(row, detail),
        "machine": [
            line(f"Closed opens at {short(100 * row['error_threshold'])}% errors. Open becomes half-open",
                 f"after {duration(float(values['reset_timeout']['value']))}. Half-open closes with",
                 f"{count(good, 'good trial')} and opens again if one fails.",
                 f"Now: {WORDS[row['state']].lower()}.")
        ],
        "held": [
            line(f"{WORDS[row['state']]} by {row['mode_by']}. “{row['mode_reason']}”",
                 f"It ends by itself in {duration(row['mode_until'] - now)}.")
        ] if forced else [],
        "outcomes": outcomes,
        "lats": lats,
        "where": [
            line(
                "Where the calls go", f"{count(hosts, 'calling host')}" if by else
                f"{count(len(instances), 'instance')}, worst first" if instances else "",
                "Instances Calling hosts",
            )
        ],
        "rows": sorted(map(host_row, detail["hostsBy"])) if by else instances,
        "turns": turns(detail, now),
    }  # fmt: skip


def turns(detail, now):
    found = []
    for one in detail["turns"]:
        why = one["why"]
        text = one["reason"] or (
            f"{percent(why['value'])}% of {count(why['calls'], 'call')} failed" if why else ""
        )
        found.append(
            line(WORDS[one["to"]], f"by {one['by']}" if one["by"] else "", text, ago(now - one["at"] / 1000))
        )
    return found


async def test_every_number_of_a_circuit(browser, world):
    ids = {f"{row['service']}/{row['target']}:{row['name']}": row for row in await asked(world)}
    picked = (
        "orders/payments:payments.authorise", "storefront/search:search.find", "orders/notify:notify.send",
        "storefront/stock:stock.count",
    )  # fmt: skip
    for id in picked if FULL else picked[:2]:
        assert id in ids
        for by in ("", "hosts") if id == picked[0] else ("",):
            view = f"circuits/{id}" + (f"?by={by}" if by else "")
            size = {"width": 1500, "height": 1600, "before": STANDING}
            async with opened(browser, world, view, **size) as page:
                _, _, expected = await one_circuit(world, id, by)
                known = [world.registry.source.name]
                await agrees(page, CIRCUIT, expected, known, order=("rows",) if by else (), loose=WORDED)


@full
async def test_24_a_setting_changed_live_names_its_source_and_the_sums_follow(browser, world):
    id = "storefront/stock:stock.count"
    callers = world.callers[:2]
    async with opened(browser, world, f"circuits/{id}", width=1500, height=1600, before=STANDING) as page:
        for caller in callers:
            caller.circuits["stock.count"].configure(timeout=0.25)
        callers[0].call("stock.count", 40, fail=3, seconds=0.1)
        await world.run(1)
        await world.tell()
        _, detail, expected = await one_circuit(world, id)
        (timeout,) = (one for one in detail["settings"] if one["name"] == "timeout")
        assert (timeout["value"], timeout["source"]) == ("0.25", "run time")
        expected["lats"][-1] = "timeout 250 ms"
        await agrees(page, CIRCUIT, expected, [world.registry.source.name], loose=WORDED)
        row = page.locator(".set tr[title=timeout]")
        await expect(row).to_have_text(re.compile(r"Timeout\s*250 ms\s*run time"))


# --- who calls whom


def paths(rows):
    """The edges by their ends, with what is worst on them."""
    found = {}
    for row in rows:
        found.setdefault((row["service"], row["to"]), []).append(row)
    edges = {}
    for ends, among in found.items():
        worst = min((row["state"] for row in among), key=WORST.index)
        edges[ends] = {
            "rate": sum(row["shown"] for row in among),
            "worst": worst,
            "in": sum(row["state"] == worst for row in among),
            "n": len(among),
            "failed": sum(row["tried"] - row["counts"]["success"] for row in among),
            "tried": sum(row["tried"] for row in among),
        }
    return edges


def feels(edges, name):
    """Everybody who calls it, or calls one that does."""
    found, work = set(), [name]
    while work:
        one = work.pop()
        more = {a for a, b in edges if b == one} - found
        found |= more
        work += more
    return found


def steps(edges, name):
    """The longest way to it from where nobody calls."""
    return max((steps(edges, a) + 1 for a, b in edges if b == name), default=0)


def by_need(item):
    ends, edge = item
    return WORST.index(edge["worst"]), -edge["rate"], "\n".join(ends)


async def test_28_and_29_every_number_of_the_topology(browser, world):
    """The lines are the calls, the reach is a walk along them, the table has the same in rows."""
    known, name = [world.registry.source.name], "payments"
    wanted = {
        **TITLE, "steps": ".colh", "nodes": ".node", "top": ".side-top", "lists": ".topo-side .list li",
        "rows": ".paths tbody tr",
    }  # fmt: skip

    async def expected(chosen):
        rows = await asked(world)
        edges = paths(rows)
        services = {row["n"]: row for row in (await world.json("ui/data/services"))["rows"]}
        names = {one for ends in edges for one in ends}

        def calls(one):
            to = [edge["rate"] for (_, b), edge in edges.items() if b == one]
            out = sum(edge["rate"] for (a, _), edge in edges.items() if a == one)
            return services[one]["callsPerS"] or (sum(to) if to else out)

        def up(one):
            row = services[one]
            return f"{row['up']} up" if row["up"] == row["total"] else f"{row['up']}/{row['total']} up"

        def entry(other, edge):
            calm = edge["worst"] == "closed"
            bad = "" if calm else f"{edge['in']} {WORDS[edge['worst']].lower()}"
            return line(WORDS[edge["worst"]], other, bad, f"{rate(edge['rate'])}/s")

        felt, row = feels(edges, chosen), services[chosen]
        first = sorted(one for one in felt if not any(b == one for _, b in edges))
        among = f", among them {' and '.join(first)}" if first else ""
        version = max(row["ver"].items(), key=lambda one: one[1])[0] if row["ver"] else DASH
        order = sorted(edges.items(), key=by_need)
        shut = [one for one in rows if one["to"] == chosen and one["state"] != "closed"]
        mark = "Down" if row["down"] else "Late" if row["late"] else "Up"
        troubled = [
            line(
                WORDS[one["state"]],
                one["cmd"],
                "from",
                one["service"],
                percent(one["err"]) + "%" * (one["err"] is not None),
            )
            for one in shut
        ]
        far = max(steps(edges, one) for one in names)
        heads = ["Entry", "1 step on", *(f"{n} steps on" for n in range(2, far + 1))]
        called = [entry(a, edge) for (a, b), edge in order if b == chosen]
        calling = [entry(b, edge) for (a, b), edge in order if a == chosen]
        table = [
            line(
                WORDS[edge["worst"]],
                a,
                b,
                "closed"
                if edge["worst"] == "closed"
                else f"{edge['in']} of {edge['n']} {WORDS[edge['worst']].lower()}",
                edge["n"],
                rate(edge["rate"]),
                f"{percent(100 * edge['failed'] / edge['tried'])}%" if edge["tried"] else DASH,
            )
            for (a, b), edge in order
        ]
        graph = {
            "head": [f"Topology {count(len(names), 'service')}, {count(len(edges), 'call path')}"],
            "rail": [f"{sum(one['state'] == 'open' for one in rows)} open"],
            "steps": heads,
            "nodes": sorted(f"{one} {up(one)}, {rate(calls(one))}/s" for one in names),
            "top": [
                line(
                    mark,
                    chosen,
                    "Up",
                    f"{row['up']} of {row['total']}",
                    "Calls/s",
                    rate(calls(chosen)),
                    "Version",
                    version,
                    f"If it fails, {count(len(felt), 'service')} can feel it{among}."
                    if felt
                    else "Nobody calls it through a circuit.",
                )
            ],
            "lists": [
                *(called or ["No caller seen"]),
                *(calling or ["Calls no other service"]),
                *(troubled or ["None"]),
            ],
        }
        return graph, {**{key: graph[key] for key in TITLE}, "rows": table}, edges

    async with opened(
        browser, world, f"topology?name={name}", width=1500, height=1100, before=STANDING
    ) as page:
        graph, _, edges = await expected(name)
        await agrees(page, wanted, graph, known, order=("nodes",))
        assert await page.locator(".edge[d]:not(.key *)").count() == len(edges)
        places = "all => Object.fromEntries(all.map(one => [one.dataset.n, one.getAttribute('transform')]))"
        before = await page.locator(".node").evaluate_all(places)
        # A new caller is there with the next tick, and nobody else has moved.
        caller = world.caller("tax", "tax-a", ["ledger.audit"])
        caller.call("ledger.audit", 12, fail=1)
        await world.run(1)
        await world.tell()
        graph, table, edges = await expected(name)
        assert ("tax", "ledger") in edges
        await agrees(page, wanted, graph, known, order=("nodes",))
        after = await page.locator(".node").evaluate_all(places)
        assert {one: after[one] for one in before} == before
        await page.keyboard.press("v")
        await agrees(page, wanted, table, known)
