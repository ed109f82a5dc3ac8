"""What the pages ask for once, and that the stream says the same."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest
from seeded_source import SeededSource
from ui_kit import Site

from dashboard import plain


@pytest.fixture
def source():
    return SeededSource(services=6, circuits=8, past=30)


async def test_a_page_and_its_data_and_the_stream_agree(source):
    async with Site(source, interval=0.05) as site:
        plain = {"Accept": "application/json"}
        for path, data in (
            ("", "services"),
            ("services/orders", "services/orders"),
            ("circuits", "circuits"),
            ("topology", "topology"),
            ("nodes", "nodes"),
            ("changes", "changes"),
        ):
            page, asked = await site.json(path, headers=plain), await site.json(f"data/{data}")
            assert page.keys() == asked.keys()
        async with site.stream() as events:
            said = dict(await events.until("tick"))
        listed = await site.json("data/services")
        assert [row["n"] for row in listed["rows"]] == sorted(row["n"] for row in said["services"]["rows"])
        circuits = await site.json("data/circuits")
        assert [row["id"] for row in circuits["rows"]] == [row["id"] for row in said["circuits"]["rows"]]


async def test_a_service_with_its_instances(source):
    wanted = source.rows[0]
    wanted["instances"][0]["metadata"]["homepage"] = "javascript:alert(1)"
    wanted["instances"][0]["url"] = "javascript:alert(1)"
    async with Site(source) as site:
        said = await site.json(f"data/services/{wanted['name'].upper()}")
        assert [one["id"] for one in said["instances"]] == [one["id"] for one in wanted["instances"]]
        assert said["instances"][0]["links"] == {}
        assert said["instances"][1]["links"]["home"].startswith("http://")
        assert sum(one["kind"] == "up" for one in said["instances"]) == said["row"]["up"]
        assert all(edge[1] == wanted["name"] for edge in said["callers"])
        async with site.session.get(site.url + "data/services/nobody") as answer:
            assert answer.status == 404
        beats = await site.json(f"data/services/{wanted['name']}/beats")
        assert len(beats["i"]) == len(wanted["instances"])


async def test_history_is_there_from_the_first_moment(source):
    async with Site(source) as site:
        rows = (await site.json("data/circuits"))["rows"]
        keys = [row["k"] for row in rows[:3]]
        found = await site.json(f"data/circuits/history?k={','.join(map(str, keys))},999,x,-1&n=40")
        assert list(found) == [str(key) for key in keys]
        for series in found.values():
            assert {len(series[name]) for name in ("rate", "fail", "refused")} == {40}
            assert all(fail <= rate + 0.01 for rate, fail in zip(series["rate"], series["fail"], strict=True))


@pytest.mark.parametrize("write", [lambda id: id, lambda id: id.replace("/", "%2F").replace(":", "%3A")])
async def test_a_circuit_is_found_by_its_id_however_it_is_written(source, write):
    async with Site(source) as site:
        row = next(one for one in (await site.json("data/circuits"))["rows"] if one["state"] == "O")
        said = await site.json(f"data/circuits/{write(row['id'])}?range=60")
        assert said["id"] == row["id"]
        assert said["state"] == "O"
        assert len(said["series"]["rate"]) == 60
        assert len(said["series"]["states"]) == 12
        assert {rule["rule"] for rule in said["rules"]} >= {"min_calls", "error_rate"}
        assert sum(host["state"] == "O" for host in said["hostsBy"]) == row["inState"]
        assert said["turns"][0]["to"] == "open"
        assert await site.json(f"data/circuits/{write(row['id'])}/instances") == []
        for wrong in ("nobody", "a/b:c", "%2F", "a%0Ab"):
            async with site.session.get(f"{site.url}data/circuits/{wrong}") as answer:
                assert answer.status == 404


async def test_edges_are_the_circuits_calls(source):
    async with Site(source) as site:
        said = await site.json("data/topology")
        rows = (await site.json("data/circuits"))["rows"]
        sums = {}
        for row in rows:
            sums[row["from"], row["to"]] = sums.get((row["from"], row["to"]), 0) + 1
        assert {(edge[0], edge[1]): edge[5] for edge in said["edges"]} == sums
        names = [name for name, _ in said["nodes"]]
        assert names == sorted(set(names))
        assert {name for edge in said["edges"] for name in edge[:2]} <= set(names)


async def test_changes_are_found_and_paged(source):
    source.happened = []
    async with Site(source) as site:
        for n in range(450):
            kind = "circuit_opened" if n % 3 == 0 else "registered"
            source.tell("change", {"kind": kind, "service": "orders", "text": f"no {n}", "at": n})
        site.hub.journal.flush()
        first = await site.json("data/changes")
        assert (len(first["rows"]), first["more"]) == (200, True)
        seen = [row["id"] for row in first["rows"]]
        page = first
        while page["more"]:
            page = await site.json(f"data/changes?before={page['rows'][-1]['id']}")
            seen += [row["id"] for row in page["rows"]]
        assert len(seen) == len(set(seen))
        only = await site.json("data/changes?kind=circuit")
        assert {row["kind"] for row in only["rows"]} == {"circuit_opened"}
        assert (await site.json("data/changes?q=orders+nobody"))["rows"] == []


async def test_bounds_of_what_is_asked(source):
    async with Site(source) as site:
        for path in ("data/circuits/history?n=99999999999", "data/circuits/history", "data/changes?before=x"):
            async with site.session.get(site.url + path) as answer:
                assert answer.status == 200, path
        many = ",".join(["1"] * 2000)
        assert len(await site.json(f"data/circuits/history?k={many}&n=900")) <= 1


# --- looking through all instances


async def test_instances_are_found_by_id_and_address_over_all_services(source):
    async with Site(source) as site:
        wanted = source.rows[3]["instances"][1]
        found = await site.json(f"data/find?q={wanted['id'].upper()}")
        assert [(one["service"], one["id"], one["kind"]) for one in found["rows"]] == [
            (source.rows[3]["name"], wanted["id"], "up" if wanted["status"] == "UP" else "out")
        ]
        host = wanted["url"].partition("://")[2]
        assert wanted["id"] in [one["id"] for one in (await site.json(f"data/find?q={host}"))["rows"]]
        many = await site.json("data/find?q=http")
        assert (len(many["rows"]), many["more"]) == (20, True)
        assert (await site.json("data/find?q="))["rows"] == []
        assert (await site.json("data/find?q=nobody+here"))["rows"] == []


async def test_services_are_found_by_metadata(source):
    first, second = (row["name"] for row in source.rows[:2])
    source.rows[0]["instances"][-1]["metadata"]["Team"] = "Blue: night"
    source.rows[1]["instances"][0]["metadata"]["team"] = "blue"
    async with Site(source) as site:
        path = "data/having?meta=team:blue&meta=TEAM:blue:%20night&meta=team:red&meta=nonsense"
        assert (await site.json(path))["services"] == {
            "team:blue": sorted([first, second]),
            "team:blue: night": [first],
            "team:red": [],
        }
        everybody = await site.json("data/having?meta=owner:shop")
        assert everybody["services"]["owner:shop"] == sorted(row["name"] for row in source.rows)
        assert await site.json("data/having") == {"services": {}}


async def test_the_difference_of_a_peer(source):
    url = "http://b:8761/eureka/"
    source.peers = [{"url": url, "well": False, "lag": 12.0, "queue": 3}]
    source.differences[url] = {"asked": False, "since": 12.5, "complete": True, "counts": {}, "rows": []}
    async with Site(source) as site:
        assert (await site.json("data/nodes"))["peers"][0]["lags"] == [0.0, 12.0]
        said = await site.json("data/nodes/difference", params={"peer": url})
        assert (said["peer"], said["since"], said["asked"]) == (url, 12_500, False)
        async with site.session.get(site.url + "data/nodes/difference?peer=x") as answer:
            assert answer.status == 404


# --- plain tables


async def test_plain_tables_hold_the_same_and_everything_in_them_is_text(source):
    evil = "<script>alert(1)</script>"
    source.rows[0]["name"] = evil
    source.happened[0]["text"] = evil
    async with Site(source) as site:
        async with site.session.get(site.url + "plain") as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
            text = await answer.text()
        assert "<script" not in text
        assert text.count("&lt;script&gt;") == 2
        services, circuits = await site.json("data/services"), await site.json("data/circuits")
        changes = await site.json("data/changes")
        assert text.count("<tr>") == 3 + len(services["rows"]) + len(circuits["rows"]) + len(changes["rows"])
        worst = min(
            circuits["rows"], key=lambda row: ("FLOHC".find(row["state"]), -(row["errorPercent"] or 0))
        )
        assert text.index(worst["id"]) < min(
            text.index(row["id"]) for row in circuits["rows"] if row["state"] == "C"
        )


@pytest.mark.parametrize("page", ["", "services/orders", "circuits/a/b:c"])
async def test_a_browser_that_runs_nothing_is_led_to_the_plain_tables(source, page):
    async with Site(source) as site:
        async with site.session.get(site.url + page, headers={"Accept": "text/html"}) as answer:
            text = await answer.text()
        for part in (text.partition("<noscript>")[2], text.partition('class="too-old"')[2]):
            href = re.search('href="([^"]+)"', part)[1]
            assert urljoin(site.url + page, href) == site.url + "plain"


def test_plain_tables_are_bounded():
    rows = [{"n": f"s{n}", "up": 1, "down": 0, "late": 0, "total": 1} for n in range(2000)]
    one = {"at": 0, "n": 2, "kind": "a_b", "sub": "x" * 999, "text": "", "by": ""}
    made = plain.page({"now": 0, "rows": rows}, {"rows": []}, {"rows": [one] * 200})
    assert made.count(b"<tr>") == 3 + plain.MOST + plain.CHANGES
    assert b"x" * plain.LONGEST not in made
    assert len(made) < 200_000


async def test_calls_of_an_instance_are_its_share_of_what_its_callers_make(source, monkeypatch):
    name = "orders"
    rows = [
        {"process": process, "id": id, "share": share}
        for process in ("p1", "p2")
        for id, share in (("i1", 0.75), ("i2", 0.25))
    ]
    source.balancer = lambda caller, target: rows if target == name else []
    async with Site(source) as site:
        said = await site.json(f"data/services/{name}")
        total = sum(edge[2] for edge in said["callers"])
        assert total > 0
        assert said["rates"] == pytest.approx({"i1": 0.75 * total, "i2": 0.25 * total}, abs=0.02)
        assert (await site.json(f"data/services/{name}/beats"))["rates"].keys() == said["rates"].keys()
        monkeypatch.setattr("dashboard.data.MOST_BALANCED", 3)
        assert (await site.json(f"data/services/{name}"))["rates"] == {}
