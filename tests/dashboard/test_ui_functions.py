# ruff: noqa: E501 - the JavaScript reads better with one thought on a line
"""The pages' pure functions, run where they run: imported inside a real Chromium."""

from __future__ import annotations

import pytest
import pytest_asyncio
from fake_estate import Estate
from fake_server import FakeServer
from ui_browser import chromium, needs_chromium, opened

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run():
    """Call with the body of a function; it may ``await load('fmt.js')``."""
    server = FakeServer(Estate(services=3, circuits=4), quiet=True)
    async with server, chromium() as browser, opened(browser, server, "api", wait=False) as page:

        async def run(body, value=None):
            text = (
                "async value => { const load = name => import(new URL('@dev/app/' + name, '%s').href); %s }"
            )
            return await page.evaluate(text % (server.url(), body), value)

        yield run


async def test_numbers_keep_their_meaning_at_the_borders(run):
    found = await run(
        """const f = await load('fmt.js');
        return {
          rate: [null, NaN, 0, .004, .5, 9.994, 10, 99.94, 100, 1234.5].map(f.rate),
          percent: [null, 0, .04, .1, 99.9, 99.96, 100].map(f.percent),
          latency: [null, 0, .12, 9.94, 10, 999.4, 1010, 12000].map(f.latency),
          duration: [null, -3, 0, 89, 119, 120, 5399, 5400, 172799, 172800].map(f.duration),
        };"""
    )
    assert found["rate"] == ["–", "–", "0", "0.00", "0.50", "9.99", "10.0", "99.9", "100", "1,235"]
    assert found["percent"] == ["–", "0", "<0.1", "0.1", "99.9", "99.9", "100"]
    assert found["latency"] == ["–", "0 ms", "0.12 ms", "9.9 ms", "10 ms", "999 ms", "1.01 s", "12.0 s"]
    assert found["duration"] == ["–", "0 s", "0 s", "89 s", "119 s", "2 min", "90 min", "2 h", "48 h", "2 d"]


async def test_only_http_and_https_become_links(run):
    texts = [
        "http://a/",
        "https://a/b?c",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc",
        "/relative",
        "",
    ]
    assert await run("const f = await load('fmt.js'); return value.map(f.link)", texts) == [
        "http://a/",
        "https://a/b?c",
        *[None] * 5,
    ]


async def test_ages_are_relative_for_two_days_then_a_date(run):
    found = await run(
        """const f = await load('fmt.js'), now = Date.UTC(2026, 0, 10);
        return [now + 500, now - 900, now - 38_000, now - 720_000, now - 3 * 86_400_000].map(at => f.ago(at, now));"""
    )
    assert found[:4] == ["just now", "just now", "38 s ago", "12 min ago"]
    assert "2026" in found[4]


FILTER = """const q = await load('query.js');
const grammar = {fields: ['name', 'zone', 'status'], numbers: ['rate', 'err']};
const things = [
  {words: ['orders', '10.0.0.1:8080'], fields: {name: 'orders', zone: ['eu-1a', 'eu-1b'], status: ['up']},
   meta: {owner: 'web team', 'git.commit': 'abc'}, numbers: {rate: 12, err: null}},
  {words: ['stock'], fields: {name: 'stock', zone: ['eu-1b'], status: ['up', 'down']},
   meta: {owner: 'data team'}, numbers: {rate: 0, err: 7.5}},
];
return value.map(text => {
  const {terms, bad} = q.parse(text, grammar);
  return [things.filter(one => q.passes(terms, one)).map(one => one.words[0]).join(' '),
          bad.map(term => text.slice(term.at, term.to)).join(' ')];
});"""


@pytest.mark.parametrize(
    ("text", "matches", "ignored"),
    [
        ("", "orders stock", ""),
        ("ORD", "orders", ""),
        ("zone:eu-1b", "orders stock", ""),
        ("zone:eu-1b -status:down", "orders", ""),
        ("rate>10", "orders", ""),
        ("rate<=0", "stock", ""),
        ("err>=5", "stock", ""),
        ("err<5", "", ""),
        ("rate=12", "orders", ""),
        ("owner=web", "orders", ""),
        ("meta.owner:team", "orders stock", ""),
        ('owner:"data team"', "stock", ""),
        ('"data team"', "stock", ""),
        ("git.commit:abc", "orders", ""),
        ("10.0.0.1:8080", "orders", ""),
        ("-ord", "stock", ""),
        ("rate>", "orders stock", "rate>"),
        ("rate>x ord", "orders", "rate>x"),
        ("age>5", "orders stock", "age>5"),
        ("zone:", "orders stock", "zone:"),
        ("- ord", "orders", "-"),
        ('"', "orders stock", ""),
        ("(((*[", "", ""),
        ("constructor:x", "", ""),
        ("__proto__:x", "", ""),
    ],
)
async def test_the_filter_takes_what_people_write(run, text, matches, ignored):
    assert await run(FILTER, [text]) == [[matches, ignored]]


async def test_a_field_can_be_set_in_the_filter_without_touching_the_rest(run):
    found = await run(
        """const q = await load('query.js');
        return [q.withField('ord zone:a rate>1', 'zone', 'b'), q.withField('ord zone:a', 'zone', ''),
                q.withField('', 'owner', 'web team'), q.fieldOf('x zone:eu-1b', 'zone'), q.fieldOf('-zone:b', 'zone')];"""
    )
    assert found == ["ord rate>1 zone:b", "ord", 'owner:"web team"', "eu-1b", ""]


async def test_paths_lead_to_pages_and_back(run):
    found = await run(
        """const q = await load('query.js');
        const id = 'orders/payments-gateway:authorise v2/%?#';
        return [q.route(''), q.route('services/a%2Fb'), q.route(q.circuitPath(id)), q.route('circuits'), q.route('nodes/'),
                q.route('%E0%A4%A'), q.circuitPath('orders/stock:get')];"""
    )
    assert found == [
        {"page": "services", "params": {}},
        {"page": "service", "params": {"name": "a/b"}},
        {"page": "circuit", "params": {"id": "orders/payments-gateway:authorise v2/%?#"}},
        {"page": "circuits", "params": {}},
        {"page": "nodes", "params": {}},
        {"page": "nowhere", "params": {"path": "%E0%A4%A"}},
        "circuits/orders/stock:get",
    ]


async def test_the_stream_is_cut_into_events_wherever_it_breaks(run):
    text = 'retry: 2000\n\nid: k-1\nevent: tick\ndata: {"a":\ndata: 1}\n\n: nothing\n\nevent: x\r\ndata: é\r\n\r\nrest'
    found = await run(
        """const {split} = await load('stream.js');
        const [whole, rest] = split(value);
        const results = new Set();
        for (let cut = 0; cut <= value.length; cut++) {
          // A lone \\r at the end of a piece may be half of a line's end: the reader only cuts between letters.
          if (value[cut - 1] === '\\r') continue;
          const [first, left] = split(value.slice(0, cut)), [second] = split(left + value.slice(cut));
          results.add(JSON.stringify([...first, ...second]));
        }
        return {whole, rest, ways: results.size};""",
        text,
    )
    assert [(one["name"], one["data"], one["id"]) for one in found["whole"]] == [
        ("tick", '{"a":\n1}', "k-1"),
        ("x", "é", None),
    ]
    assert found["rest"] == "rest"
    assert found["ways"] == 1


STORE = """const {Store, POINTS} = await load('store.js');
const store = new Store();
const row = (n, up) => ({n, up, total: up, zones: {}, ver: {}});
const circuit = k => ({k, id: `a/b:${k}`, from: 'a', to: 'b', cmd: String(k)});
const tick = (s, c) => store.apply('tick', {now: 1000, s, c});
const circ = (k, rate, counts = [10, 2, 5, 1, 1, 3]) => [k, 'C', 1, rate, 1, counts, null, 0];
"""


async def test_the_store_keeps_rows_and_applies_differences(run):
    found = await run(
        STORE
        + """store.apply('services', {full: true, rows: [row('a', 1), row('b', 2)], gone: []});
        tick([[5, 10], [6, 20]]);
        store.apply('services', {full: false, rows: [row('b', 3)], gone: ['a']});
        tick([null, [7, 21]]);
        store.apply('unknown', {}); store.apply('tick', null); store.apply('state', {k: 99, to: 'O'});
        const b = store.services.get('b');
        const before = [...store.services.keys()].join();
        store.apply('services', {full: true, rows: [row('c', 1)], gone: []});
        return [before, b.up, b.oldest, b.rate, [...store.services.keys()].join(), store.rates.has('b')];"""
    )
    assert found == ["b", 3, 7, 21, "c", False]


async def test_a_circuits_series_is_a_ring_of_two_minutes(run):
    found = await run(
        STORE
        + """store.apply('circuits', {full: true, rows: [circuit(1), circuit(2)], gone: []});
        for (let i = 0; i < POINTS + 5; i++) tick([], i === POINTS + 2 ? [circ(1, i)] : [circ(1, i), circ(2, i)]);
        const one = [...store.ordered(store.series.get(1).rate)], two = [...store.ordered(store.series.get(2).rate)];
        const {fail, refused} = store.series.get(1);
        return [one[0], one.at(-1), one.length, two.findIndex(Number.isNaN), fail[store.head], refused[store.head]];"""
    )
    assert found[:4] == [5, 124, 120, 117]
    # Failures, timeouts and rejections fail; refused calls stand for themselves; both per second of the window.
    assert found[4:] == [pytest.approx(0.4), pytest.approx(0.5)]


async def test_history_from_before_fills_only_what_is_unknown(run):
    found = await run(
        STORE
        + """store.apply('circuits', {full: true, rows: [circuit(1)], gone: []});
        tick([], [circ(1, 100)]); tick([], [circ(1, 101)]);
        store.fill(1, {rate: [7, 8, 9, 10], fail: [1, 1, 1, 1]});
        return [...store.ordered(store.series.get(1).rate)].slice(-5);"""
    )
    assert found[1:] == [7, 8, 100, 101]


async def test_paused_means_nothing_changes_and_nothing_is_lost(run):
    found = await run(
        STORE
        + """store.apply('services', {full: true, rows: [row('a', 1)], gone: []});
        tick([[1, 1]]);
        store.pause();
        const at = store.now();
        for (let i = 0; i < POINTS + 40; i++) tick([[i, i]]);
        store.apply('services', {full: false, rows: [row('a', 9)], gone: []});
        for (const id of ['e-1', 'e-2', 'e-1']) store.apply('change', {id, at: 1, kind: 'x', sub: 'a', text: ''});
        const during = [store.services.get('a').up, store.changes.length, store.waiting.value, store.now() === at];
        store.resume();
        return [during, store.services.get('a').up, store.services.get('a').rate, store.changes.length, store.waiting.value];"""
    )
    assert found == [[1, 0, 3, True], 9, 159, 2, 0]


async def test_changes_are_kept_once_newest_first_and_not_without_end(run):
    found = await run(
        STORE
        + """const change = i => ({id: `e-${i}`, at: i, kind: 'x', sub: 'a', text: ''});
        store.feed([change(5), change(3)]); store.feed([change(4), change(5)]);
        const order = store.changes.map(one => one.id).join(' ');
        store.feed(Array.from({length: 5000}, (_, i) => change(10 + i)));
        return [order, store.changes.length, store.changes[0].id];"""
    )
    assert found == ["e-5 e-4 e-3", 1000, "e-5009"]


async def test_the_order_does_not_jump_under_the_hand(run):
    found = await run(
        """const {Order, PATIENCE} = await load('order.js');
        let now = 0, held = false;
        const order = new Order(one => one.k), sort = all => [...all].sort((a, b) => b.n - a.n);
        const of = (numbers, question = '') => order.of(Object.entries(numbers).map(([k, n]) => ({k, n})), sort, {question, now, busy: held}).map(one => one.k).join('');
        const seen = [of({a: 1, b: 2})];
        now = 1000; seen.push(of({a: 3, b: 2}));
        now = PATIENCE + 1; held = true; seen.push(of({a: 3, b: 2, c: 9}), order.held);
        held = false; seen.push(of({a: 3, b: 2, c: 9}), order.held);
        now += 10; seen.push(of({a: 1, b: 2}, 'another question'));
        return seen;"""
    )
    assert found == ["ba", "ba", "bac", True, "cab", False, "ba"]


async def test_equal_events_close_together_are_one_line(run):
    found = await run(
        """const r = await load('pages/changes_rules.js');
        const change = (id, at, sub, kind = 'registered', n = 1) => ({id, at, sub, kind, text: '', by: 'instance', node: '', n});
        const all = [change('e', 21000, 'b/9'), change('d', 20000, 'a/4'), change('c', 19000, 'a/3', 'registered', 3), change('x', 18500, 'a/2', 'expired'), change('b', 16000, 'a/2'), change('a', 9000, 'a/1')];
        return [r.fold(all).map(one => [one.id, one.n]), r.density(all, 21000, 12000, 4), r.lines(all).trim().split('\\n').map(one => JSON.parse(one).id).join('')];"""
    )
    assert found[0] == [["e", 1], ["d", 5], ["x", 1], ["a", 1]]
    assert found[1] == [1, 0, 1, 6]
    assert found[2] == "edcxba"


async def test_what_needs_attention_comes_first(run):
    found = await run(
        """const r = await load('pages/services_rules.js');
        const row = (n, more) => ({n, up: 10, late: 0, down: 0, oos: 0, start: 0, unk: 0, total: 10, circ: {open: 0, half: 0, forced: 0, closed: 3}, ...more});
        const rows = [row('fine'), row('starting', {start: 1}), row('out', {oos: 1}), row('circuit', {circ: {open: 1, half: 0, forced: 0, closed: 0}}), row('late', {late: 1}), row('down', {down: 1}), row('worse', {down: 5}), row('also-fine')];
        return [rows.sort(r.compare('attention')).map(one => one.n).join(' '), r.TABS[1][2](row('x', {start: 1})), r.TABS[1][2](row('x')),
                r.short(['eu-1a', 'eu-1b']), r.short(['a', 'b']), r.short(['eu-1a', 'us-1a']), r.versions({ver: {'1.0': 1, '2.0': 3}})];"""
    )
    assert found[0] == "worse down late circuit out starting also-fine fine"
    assert found[1:3] == [True, False]
    assert found[3:6] == [["1a", "1b"], ["a", "b"], ["eu-1a", "us-1a"]]
    assert (found[6]["main"], found[6]["share"]) == ("2.0", 75)


async def test_the_consequence_of_taking_instances_out_is_counted(run):
    found = await run(
        """const r = await load('pages/service_rules.js');
        const one = (id, zone, kind = 'up') => ({id, zone, kind});
        const rows = [one('1', 'a'), one('2', 'a'), one('3', 'b', 'late'), one('4', 'b', 'down'), one('5', 'c')];
        return [r.consequence(rows, new Set(['1', '4'])), r.consequence(rows, new Set(['1', '2', '3', '5'])), r.emptied(rows, new Set(['1', '5']))];"""
    )
    assert found[0] == {
        "total": 5,
        "up": 4,
        "left": 3,
        "taken": 1,
        "fewest": ["a", 1],
        "more": 33,
        "last": False,
    }
    assert found[1]["last"] is True
    assert found[1]["more"] is None
    assert found[2] == ["c"]


async def test_the_api_description_is_read_with_its_references(run):
    spec = {
        "components": {
            "schemas": {
                "Leaf": {
                    "type": "object",
                    "required": ["n"],
                    "properties": {"n": {"type": "integer", "minimum": 3}},
                },
                "Ring": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Ring"}}},
            }
        },
        "paths": {"/resilient/v1/leaves/{id}": {"get": {"summary": "One", "responses": {"200": {}}}}},
    }
    found = await run(
        """const r = await load('pages/api_rules.js'), leaf = {$ref: '#/components/schemas/Leaf'};
        r.example(value, {$ref: '#/components/schemas/Ring'});
        return [r.typeOf(value, {type: 'array', items: leaf}), r.typeOf(value, {type: ['string', 'null']}), r.example(value, {type: 'array', items: leaf}),
                r.operations(value).map(([group, ops]) => [group, ops[0].id])];""",
        spec,
    )
    assert found == ["list of Leaf", "text or null", [{"n": 3}], [["Leaves", "get-resilient-v1-leaves-id"]]]
