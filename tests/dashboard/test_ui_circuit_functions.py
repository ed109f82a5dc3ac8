"""The circuit pages' pure functions, run where they run: imported inside a real Chromium."""

from __future__ import annotations

import random

import pytest
import pytest_asyncio
from fake_circuits import CircuitServer, Layered
from ui_browser import chromium, needs_chromium, opened

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run():
    """Call with the body of a function; it may ``await load('graph.js')``."""
    server = CircuitServer(Layered(services=3, circuits=0), quiet=True)
    async with server, chromium() as browser, opened(browser, server, "api", wait=False) as page:

        async def run(body, value=None):
            text = (
                "async value => { const load = name => import(new URL('@dev/app/' + name, '%s').href); %s }"
            )
            return await page.evaluate(text % (server.url(), body), value)

        yield run


LAYOUT = """const g = await load('graph.js'), [names, edges, before] = value;
    const first = before ? g.layout(before[0], before[1]) : null;
    const was = first && [...first.nodes].map(([name, one]) => [name, one.x, one.y]);
    const all = g.layout(names, edges, first);
    return {
      nodes: Object.fromEntries(all.nodes), columns: all.columns, was, height: all.height, width: all.width,
      routes: [...all.routes].map(([key, segments]) => [...key.split('\\n'), segments[0].slice(0, 2),
        segments.at(-1).slice(6), segments.flat().every(Number.isFinite)]),
    };"""


def tangled(seed, n=30, m=55):
    """Names and edges of a made-up estate, with a ring now and then."""
    r = random.Random(seed)
    names = [f"s{i:02}" for i in range(n)]
    edges = {tuple(sorted(r.sample(names, 2))) for _ in range(m)}
    edges |= {(b, a) for a, b in r.sample(sorted(edges), 3)}
    return names, sorted(edges)


@pytest.mark.parametrize("seed", range(4))
async def test_boxes_never_overlap_and_lines_run_from_left_to_right(run, seed):
    names, edges = tangled(seed)
    found = await run(LAYOUT, [names, edges, None])
    nodes = found["nodes"]
    assert set(nodes) == set(names)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if nodes[a]["x"] == nodes[b]["x"]:
                assert abs(nodes[a]["y"] - nodes[b]["y"]) >= 36, (a, b)
            else:
                assert abs(nodes[a]["x"] - nodes[b]["x"]) >= 140, (a, b)
    assert all(18 <= one["y"] <= found["height"] - 18 for one in nodes.values())
    assert len(found["routes"]) == len(edges)
    for start, end, first, last, finite in found["routes"]:
        assert finite
        assert first[0] == nodes[start]["x"] + 140
        if nodes[start]["column"] < nodes[end]["column"]:
            assert last == [nodes[end]["x"], nodes[end]["y"]]
        else:
            # Only those that call each other in a ring share a column.
            assert nodes[start]["column"] == nodes[end]["column"]
    assert await run(LAYOUT, [names[::-1], edges[::-1], None]) == {**found, "routes": found["routes"][::-1]}


async def test_columns_count_the_longest_way_and_rings_stay_in_one(run):
    edges = [["a", "b"], ["b", "c"], ["a", "c"], ["c", "d"], ["d", "c"], ["d", "e"]]
    found = await run(
        "const g = await load('graph.js'); return Object.fromEntries(g.columns([...'abcdef'], value))",
        edges,
    )
    assert found == {"a": 0, "b": 1, "c": 2, "d": 2, "e": 3, "f": 0}


async def test_a_newcomer_moves_nobody(run):
    names, edges = tangled(7, 16, 22)
    found = await run(LAYOUT, [[*names, "new"], [*edges, ["new", "s15"]], [names, edges]])
    for name, x, y in found["was"]:
        assert (found["nodes"][name]["x"], found["nodes"][name]["y"]) == (x, y)
    new = found["nodes"]["new"]
    assert new["column"] < found["nodes"]["s15"]["column"]
    same = [one for name, one in found["nodes"].items() if name != "new" and one["x"] == new["x"]]
    assert all(abs(one["y"] - new["y"]) >= 36 for one in same)
    assert ["new", "s15"] in [route[:2] for route in found["routes"]]


async def test_reach_neighbours_and_arrow_keys_follow_the_calls(run):
    edges = [
        ["web", "cart"],
        ["cart", "pay"],
        ["app", "cart"],
        ["pay", "bank"],
        ["jobs", "bank"],
        ["bank", "pay"],
    ]
    found = await run(
        """const g = await load('graph.js'), names = [...new Set(value.flat())];
        const places = g.layout(names, value).nodes;
        const by = ([a, b]) => g.step(places, value, a, b);
        return {
          pay: [...g.reach(value, 'pay')].sort(), web: [...g.reach(value, 'web')], one: [...g.around(value,
            'cart')].sort(),
          two: [...g.around(value, 'web', 2)].sort(), right: by(['web', 'ArrowRight']), left: by(['cart',
            'ArrowLeft']),
          end: by(['web', 'ArrowLeft']), down: by(['app', 'ArrowDown']) ?? by(['app', 'ArrowUp']),
        };""",
        edges,
    )
    assert found["pay"] == ["app", "bank", "cart", "jobs", "web"]
    assert found["web"] == []
    assert found["one"] == ["app", "cart", "pay", "web"]
    assert found["two"] == ["app", "cart", "pay", "web"]
    assert (found["right"], found["end"]) == ("cart", None)
    assert found["left"] in ("web", "app")
    assert found["down"] in ("web", "jobs")


ORDER = """const { Order } = await load('pages/circuits_order.js'), order = new Order();
    const row = ([k, state, err, rate, more]) => ({ k, id: `${k}`, from: 'a', to: 'b', cmd: `c${k}`, state,
      err, rate, ...more });
    return value.map(([now, rows, options]) => [order.of(rows.map(row), { now, ...options,
      pinned: new Set(options?.pinned) }).map(one => one.k), order.held]);"""


async def test_the_order_is_worst_first_and_small_jitter_changes_nothing(run):
    rows = [
        [1, "C", 0.2, 10],
        [2, "O", 90, 5],
        [3, "H", 12, 5],
        [4, "F", None, 50],
        [5, "C", 9, 1],
        [6, "C", 0.3, 200],
    ]
    r, turns = random.Random(3), [[0, rows, {}]]
    for i in range(1, 30):
        wobbly = [
            [k, s, e and max(0, e + r.uniform(-0.9, 0.9)), q * r.uniform(0.96, 1.04)] for k, s, e, q in rows
        ]
        turns.append([i * 6000, wobbly, {}])
    found = await run(ORDER, turns)
    assert found[0][0] == [2, 3, 4, 5, 6, 1]
    assert {tuple(one) for one, _ in found} == {(2, 3, 4, 5, 6, 1)}


async def test_the_order_waits_five_seconds_and_for_the_hand(run):
    calm = [[1, "C", 0, 100], [2, "C", 0, 10]]
    bad = [[1, "C", 0, 100], [2, "O", 80, 10]]
    found = await run(
        ORDER,
        [
            [0, calm, {}],
            [3000, bad, {}],
            [6000, bad, {"busy": True}],
            [60_000, bad, {"busy": True}],
            [60_500, [*bad, [3, "O", 99, 1]], {"busy": True}],
            [61_000, bad, {}],
            [61_100, bad, {"sort": "volume"}],
            [61_200, bad, {"sort": "volume", "busy": True, "pinned": ["2"]}],
            [61_300, bad, {"sort": "name", "descending": False}],
        ],
    )
    assert found == [
        [[1, 2], False],
        [[1, 2], False],
        [[1, 2], True],
        [[1, 2], True],
        [[1, 2, 3], True],
        [[2, 1], False],
        [[1, 2], False],
        [[2, 1], False],
        [[2, 1], False],
    ]


async def test_the_wall_finds_each_mark_and_arrows_stay_inside(run):
    found = await run(
        """const w = await load('wall.js');
        return [[1, 300, 76], [7, 700, 76], [500, 760, 76], [500, 340, 132], [2000, 760, 76]].map(([n,
          width, height]) => {
          const grid = w.grid(n, width, height), wrong = [];
          for (let i = 0; i < n; i++) { const [x, y] = w.middle(grid, i); if (w.at(grid, n, x,
            y) !== i || x > width * 1.03 || y > height) wrong.push(i); }
          return [wrong, w.at(grid, n, -1, 5), w.next(grid, n, 0, 'ArrowUp'), w.next(grid, n, 0, 'End'),
            w.next(grid, n, n - 1, 'ArrowRight'), w.next(grid, n, 0, 'ArrowRight') < n];
        });"""
    )
    sizes = [1, 7, 500, 500, 2000]
    assert found == [[[], -1, 0, n - 1, n - 1, True] for n in sizes]


async def test_charts_stack_scale_and_name_their_moments(run):
    found = await run(
        """const c = await load('charts.js'), d = await load('pages/circuit_data.js');
        return {
          stack: c.stack([[1, null, null], [2, 3, null]]),
          moments: c.moments(1000, 1900, 1900, 4), zoomed: c.moments(1790, 1850, 1900, 4),
          back: [1900, 1890, 1600].map(at => c.back(at, 1900)),
          decades: [[20, 800], [5, 5], [0, -Infinity], [.02, .05]].map(([a, b]) => c.decades(a, b)),
          extent: c.extent([[null, 4, 0], [90, null]]),
          thin: c.thin([1, 3, null, null, 5, 7], 3),
          series: d.series({ now: 100_000, series: { step: 1, slowStep: 5, rate: [null, 10, 10],
            fail: [null, 4, 12], refused: [null, 5, 0], timeout: [null, 1, 2], p50: [7], p90: [9],
              p99: [null] } }, 6),
          none: d.series({ now: 1, series: null }, 6),
          states: d.states({ now: 20_000, series: { slowStep: 5, states: [[2, 0, 2, 0], [0, 0, 0, 0]] } }),
        };"""
    )
    assert found["stack"] == [[1, 0, None], [3, 3, None]]
    assert found["moments"] == [1000, 1300, 1600, 1900]
    assert found["zoomed"] == [1810, 1840]
    assert found["back"] == ["now", "10 s ago", "5 min ago"]
    assert found["decades"] == [[10, 1000], [1, 10], [10, 1000], [0.01, 0.1]]
    assert found["extent"] == [4, 90]
    assert found["thin"] == [2, None, 6]
    series = found["series"]
    assert series["t"] == [95, 96, 97, 98, 99, 100]
    assert series["answered"] == [None, None, None, None, 1, 0]
    assert series["failed"] == [None, None, None, None, 3, 10]
    assert series["p50"] == [None, 7, 7, 7, 7, 7]
    assert found["none"] is None
    assert found["states"] == {
        "t0": 10_000,
        "step": 5,
        "half": [0, None],
        "open": [0.5, None],
        "forced": [0, None],
    }


async def test_instances_are_pooled_over_callers_and_worst_first(run):
    rows = [
        {"id": "a", "by": "x", "bal": "healthy", "ok": 99, "ewma": 10, "fly": 1, "share": 0.5},
        {
            "id": "b",
            "by": "x",
            "bal": "ejected",
            "backAt": 900,
            "ok": 10,
            "ewma": 30,
            "fly": 0,
            "share": 0.5,
            "run": 4,
        },
        {"id": "a", "by": "y", "bal": "healthy", "ok": None, "ewma": 30, "fly": 2, "share": 1.0},
        {"id": "b", "by": "y", "bal": "healthy", "ok": 90, "ewma": None, "fly": 1, "share": 0},
    ]
    found = await run(
        """const d = await load('pages/circuit_data.js');
        return d.pooled(value).map(({ id, bal, on, of, fly, share, ewma, ok, run, backAt }) => [id, bal,
          on, of, fly, share, ewma, ok, run, backAt]);""",
        rows,
    )
    assert found == [
        ["b", "ejected", 1, 2, 1, 25, 30, 50, 4, 900],
        ["a", "healthy", 2, 2, 3, 75, 20, 99, None, None],
    ]


async def test_edges_sum_circuits_and_show_the_worst(run):
    rows = [
        {
            "from": "a",
            "to": "b",
            "rate": 5,
            "state": "C",
            "counts": [90, 10, 0, 0, 0, 0],
            "lat": [1, 2, 400, 500],
            "timeoutMs": 800,
        },
        {
            "from": "a",
            "to": "b",
            "rate": 7,
            "state": "H",
            "counts": [0, 0, 9, 50, 50, 3],
            "lat": None,
            "timeoutMs": 800,
        },
        {"from": "b", "to": "", "rate": 7, "state": "O", "counts": [0, 0, 0, 0, 0, 0]},
    ]
    found = await run(
        """const t = await load('pages/topology_data.js'), all = t.edges(value);
        const edge = all.get('a\\nb');
        return [all.size, edge.rate, edge.letter, edge.circuits, edge.troubled + edge.worst, edge.err,
          edge.load, t.worstOf(all), t.kind(edge, ''), t.kind(edge, 'errors'), t.kind(edge, 'latency')];""",
        rows,
    )
    assert found == [1, 12, "H", 2, 2, pytest.approx(55), 0.5, "b", "half", "hot", "warm"]


async def test_the_ribbon_shows_only_what_was_not_closed(run):
    found = await run(
        """const { bars } = await load('ribbon.js');
        return bars({ t0: 0, step: 10, open: [0, .5, null, 1], half: [0, 0, null, 0], forced: [] }, 40_000,
          20);"""
    )
    assert found == [[0.5, 0.5, 1, 0, 0]]
