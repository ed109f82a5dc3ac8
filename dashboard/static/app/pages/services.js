// Services: what is registered, and what needs me?
import { html, render, nothing } from '../../vendor/lit-html/lit-html.js';
import { effect } from '../../vendor/signals-core/signals-core.js';
import { onPaint, text as write } from '../paint.js';
import { VList } from '../vlist.js';
import { Order } from '../order.js';
import { parse, passes, servicePath, withField, fieldOf } from '../query.js';
import { kept, toggleDensity } from '../theme.js';
import { counted, glyph, icon } from '../ui/glyph.js';
import { columnHead, filterField, lease, segments, share, shareOf, shareWords, showLease, trouble } from '../ui/parts.js';
import { openMenu, pick } from '../ui/menu.js';
import { rateLine } from '../ui/plots.js';
import { empty, sample, skeletonRows } from '../ui/empty.js';
import { history } from '../history.js';
import { strip } from './services_strip.js';
import { GRAMMAR, SORTS, TABS, compare, item, metadata, questions, short, versions, worst } from './services_rules.js';
import * as fmt from '../fmt.js';

export const title = 'Services';
export const topics = [];

const COLUMNS = [['zones', 'Zones'], ['version', 'Version'], ['age', 'Oldest heartbeat'], ['rate', 'Calls per second'], ['circuits', 'Circuits']];
const MOST_ZONES = 4, ASK_AGAIN = 5000;
const narrow = matchMedia('(max-width: 640px)');

const nothingYet = ctx => html`<section class="panel">${empty({
  title: 'Nothing has registered yet', text: 'This registry is running and reachable. The first service to register shows up here within a second. To see a whole shop with its circuits, type:',
  more: html`${sample('resilient demo')}<p>A service of your own takes one line and this address:</p>
    ${sample('from resilient.aiohttp import run_app\n\nrun_app(app, "orders")')}
    ${sample(`RESILIENT_REGISTRY=${new URL('../eureka/', ctx.base).href} python service.py`)}
    <p class="dim">Services are running already? Check that they use this address and that no other registry answers on it.</p>`,
})}</section>`;

function circuits(row) {
  const { open = 0, half = 0, forced = 0, closed = 0 } = row.circ ?? {};
  if (!open && !half && !forced) return html`<span class="dim">${closed || fmt.DASH}</span>`;
  return html`<span class="counts">${[['open', open], ['half', half], ['forced-open', forced]].filter(([, n]) => n).map(([state, n]) => counted(state, n))}</span>`;
}

export function mount(root, ctx) {
  const { store } = ctx;
  const hidden = new Set((kept.get('services.hidden') ?? '').split(',').filter(Boolean));
  let list = null, zones = [], past = false;
  let asksFeed = !store.changes.length;
  // Who has which metadata: the server is asked, for the list has none. Names by question.
  let having = new Map(), asking = 0, askedAt = 0;

  const query = key => ctx.query.value.get(key) ?? '';
  const order = new Order(row => row.n), busy = () => list?.box.matches(':hover') || (list?.focused() ?? null) !== null;
  const filtering = value => ctx.ask({ q: value });

  /** Ask for what is not known yet, and for all of it again after a while; not at every letter. */
  function askMetadata(terms) {
    const wanted = questions(terms), old = performance.now() - askedAt > ASK_AGAIN;
    having = new Map([...having].filter(([question]) => wanted.includes(question)));
    if (!wanted.length || (wanted.every(one => having.has(one)) && !old)) return;
    clearTimeout(asking);
    asking = setTimeout(async () => {
      askedAt = performance.now();
      try {
        const { services } = await ctx.data(`having?${new URLSearchParams(wanted.map(one => ['meta', one]))}`);
        having = new Map(Object.entries(services).map(([question, names]) => [question, new Set(names)]));
      } catch {
        having = new Map(wanted.map(one => [one, having.get(one) ?? new Set()]));
      }
      draw();
    }, old && having.size ? 0 : 120);
  }

  function zoneCells(row) {
    if (hidden.has('zones') || !zones.length) return nothing;
    const counts = zones.map(zone => row.zones?.[zone] ?? 0);
    if (zones.length > MOST_ZONES) {
      const some = counts.filter(n => n);
      return html`<span role="cell" class="num mid c-zone">${some.length ? `${Math.min(...some)}\u2013${Math.max(...some)}` : fmt.DASH}</span>`;
    }
    return counts.map(n => html`<span role="cell" class="num c-zone ${n ? 'mid' : 'dim'}">${n}</span>`);
  }

  function drawRow(row) {
    const { main, share: part, all } = versions(row), bad = trouble(row), mark = worst(row);
    return html`<span role="cell" class="c-state">${glyph(mark)}</span>
      <span role="cell" class="c-name clip"><a href=${ctx.href(servicePath(row.n))}>${row.n}</a></span>
      <span role="cell" class="c-up">${share(shareOf(row), { thin: true, label: shareWords(row) })}<span class="num"><b>${fmt.int(row.up)}</b><span class="dim"> / ${fmt.int(row.total)}</span></span></span>
      <span role="cell" class="c-need counts">${bad.length ? bad : html`<span class="dim">${fmt.DASH}</span>`}</span>
      ${zoneCells(row)}
      ${hidden.has('version') ? nothing : html`<span role="cell" class="c-version clip" title=${all.map(([name, n]) => `${name}: ${n}`).join(', ') || nothing}>${main ? html`<span class="mono">${main}</span>` : html`<span class="dim">${fmt.DASH}</span>`}${all.length > 1 ? html` <span class="tag">${part}%</span>` : nothing}</span>`}
      ${hidden.has('age') ? nothing : html`<span role="cell" class="c-age">${lease()}</span>`}
      ${hidden.has('rate') ? nothing : html`<span role="cell" class="c-rate"><canvas aria-hidden="true"></canvas><span class="num rt"></span></span>`}
      ${hidden.has('circuits') ? nothing : html`<span role="cell" class="c-circ">${circuits(row)}</span>`}
      <span role="cell" class="c-facts">${main ? html`<span class="mono">${main}</span>` : nothing}<span class="rt2"></span><span class="dim old"></span>${bad}</span>`;
  }

  const unknown = new Float32Array(120).fill(NaN), ordered = new Float32Array(120);
  function paintRow(row, node) {
    if (narrow.matches) {
      write(node.querySelector('.rt2'), row.rate === null ? '' : `${fmt.rate(row.rate)}/s`);
      write(node.querySelector('.old'), row.oldest === null ? '' : `oldest ${fmt.duration(row.oldest)}`);
      return;
    }
    if (!hidden.has('age')) showLease(node.querySelector('.lease'), row.oldest, row.renewS, row.ttlS);
    if (hidden.has('rate')) return;
    const ring = store.rates.get(row.n);
    rateLine(node.querySelector('canvas'), ring ? store.ordered(ring, ordered) : unknown);
    write(node.querySelector('.rt'), fmt.rate(row.rate));
  }

  const sorting = () => {
    const key = query('sort') in SORTS ? query('sort') : 'attention';
    return { key, dir: query('dir') || SORTS[key][2] };
  };
  function sortBy(key) {
    const now = sorting();
    const dir = now.key === key ? (now.dir === 'asc' ? 'desc' : 'asc') : SORTS[key][2];
    ctx.ask({ sort: key === 'attention' ? '' : key, dir: key === 'attention' || dir === SORTS[key][2] ? '' : dir }, { push: true });
  }

  function columns(event) {
    openMenu(event.currentTarget, COLUMNS.map(([key, label]) => ({
      label, on: !hidden.has(key), act: () => {
        if (!hidden.delete(key)) hidden.add(key);
        kept.set('services.hidden', [...hidden].join(','));
        draw();
      },
    })));
  }

  function header(sort) {
    const names = zones.length > MOST_ZONES ? ['Zones'] : short(zones);
    const head = (key, label, options) => columnHead(key, label, sort, sortBy, options);
    return html`<div class="lhead svc" role="row" aria-rowindex="1"><span role="columnheader"><span class="sr">State</span></span>
      ${head('name', 'Service', { cls: 'c-name' })}${head('up', 'Up', { cls: 'c-up' })}${head('attention', 'Needs attention', { cls: 'c-need' })}
      ${hidden.has('zones') ? nothing : names.map((name, i) => columnHead('', name, sort, null, { num: true, title: zones.length > MOST_ZONES ? 'Fewest and most in a zone' : `In ${zones[i]}`, cls: 'c-zone' }))}
      ${hidden.has('version') ? nothing : columnHead('', 'Version', sort, null, { cls: 'c-version' })}
      ${hidden.has('age') ? nothing : head('age', 'Oldest heartbeat', { cls: 'c-age' })}
      ${hidden.has('rate') ? nothing : head('rate', 'Calls per second', { cls: 'c-rate', title: 'Now, and over two minutes' })}
      ${hidden.has('circuits') ? nothing : head('circuits', 'Circuits', { cls: 'c-circ', title: 'Circuits that protect calls to it' })}</div>`;
  }

  const drawStrip = () => {
    const section = root.querySelector('.strip');
    if (section) render(strip(store, ctx), section);
  };

  function draw() {
    const all = [...store.services.values()];
    const every = [...new Set(all.flatMap(row => Object.keys(row.zones ?? {})))].filter(Boolean).sort();
    // A single zone tells nothing.
    zones = every.length > 1 ? every : [];
    const instances = all.reduce((sum, row) => sum + row.total, 0);
    const known = store.hello !== null && store.listed.value > 0;
    ctx.head({
      title: 'Services', doc: 'Services',
      sub: !known ? 'loading' : all.length ? `${fmt.count(all.length, 'service')}, ${fmt.count(instances, 'instance')}${zones.length ? `, ${fmt.count(zones.length, 'zone')}` : ''}` : 'no services yet',
    });
    if (!all.length && known) {
      list?.destroy();
      list = null;
      render(nothingYet(ctx), root);
      return;
    }
    const text = query('q'), show = query('show'), sort = sorting();
    const tab = TABS.find(([value]) => value === show) ?? TABS[0];
    const { terms } = parse(text, GRAMMAR);
    askMetadata(terms);
    const waits = questions(terms).some(one => !having.has(one));
    const rows = all.filter(row => tab[2](row) && passes(terms, item(row, metadata(row.n, having))));
    const sorted = order.of(rows, some => [...some].sort(compare(sort.key, sort.dir)), { question: `${text}\n${show}\n${sort.key} ${sort.dir}\n${waits}`, now: performance.now(), busy: busy() });
    render(html`<section class="panel strip" aria-label="Summary"></section>
      <section class="panel" aria-label="Service list"><div class="bar scroll">
        ${filterField({ text, label: 'Filter services', placeholder: zones[0] ? `Filter: name, zone:${zones[0]}, v:4.1` : 'Filter: name, status:down', grammar: GRAMMAR, change: filtering })}
        ${segments('Show', TABS.map(([value, label, belongs]) => [value, label, all.filter(belongs).length]), tab[0], value => ctx.ask({ show: value }, { push: true }))}
        <span class="wide-only" ?hidden=${!zones.length}>${pick('Zone', [['', 'Any'], ...zones.map(zone => [zone, zone])], fieldOf(text, 'zone'), zone => ctx.ask({ q: withField(text, 'zone', zone) }, { push: true }))}</span>
        <span class="wide-only roomy">${pick('Sort', Object.entries(SORTS).map(([key, [label]]) => [key, label]), sort.key, key => ctx.ask({ sort: key === 'attention' ? '' : key, dir: '' }, { push: true }))}</span>
        <span class="grow"></span><span class="dim wide-only nowrap">${order.held ? 'order held, ' : ''}${rows.length} of ${all.length}</span>
        <button class="btn quiet icon wide-only" aria-haspopup="menu" aria-expanded="false" aria-label="Columns" title="Columns" @click=${columns}>${icon('columns')}</button>
        <button class="btn quiet icon wide-only" aria-label="Dense rows" title="Dense rows (d)" @click=${() => { toggleDensity(); list?.redraw(); }}>${icon('rows')}</button></div>
      <div class="grid-table" role="table" aria-label="Services" aria-rowcount=${sorted.length + 1}>${header(sort)}<div role="rowgroup" class="rows"></div></div>
      ${known ? nothing : skeletonRows()}
      ${known && !rows.length && waits ? skeletonRows(3) : nothing}
      ${known && !rows.length && !waits ? empty({ title: 'No service matches', text: html`Nothing fits <b>${text || tab[1]}</b>${text && tab[0] ? ` in “${tab[1]}”` : ''}. Names, versions, <span class="mono">zone:</span>, <span class="mono">status:</span> and metadata as in <span class="mono">owner:shop</span> are searched here; ids and addresses in Find.`, action: { label: 'Clear filter', act: () => ctx.ask({ q: '', show: '' }, { push: true }) } }) : nothing}</section>`, root);
    drawStrip();
    const box = root.querySelector('.rows'), table = root.querySelector('.grid-table');
    const shownZones = hidden.has('zones') ? 0 : zones.length > MOST_ZONES ? 1 : zones.length;
    // repeat(0, …) is no valid list of columns, and would undo all of them.
    if (shownZones) table.style.setProperty('--zones', `repeat(${shownZones}, var(--zone))`);
    else table.style.removeProperty('--zones');
    for (const [key] of COLUMNS) table.classList.toggle(`no-${key}`, hidden.has(key));
    list ??= new VList(box, {
      key: row => row.n, cls: 'svc', row: drawRow, paint: paintRow,
      height: () => (narrow.matches ? 76 : document.documentElement.dataset.density ? 28 : 36),
    });
    list.set(sorted);
  }

  const opened = event => {
    const row = event.target.closest('.lrow');
    if (!row || event.target.closest('a, button')) return;
    if (event.type === 'keydown' && event.key !== 'Enter') return;
    const path = servicePath(row.dataset.key);
    if (event.ctrlKey || event.metaKey) window.open(ctx.href(path), '_blank', 'noopener');
    else ctx.navigate(path);
  };
  root.addEventListener('click', opened);
  root.addEventListener('keydown', opened);

  const stop = [
    effect(() => {
      store.listed.value;
      ctx.query.value;
      store.fed.value;
      draw();
    }),
    // The order and the sums follow the numbers, but not each second.
    store.tick.subscribe(n => {
      if (asksFeed && store.connection.peek().state === 'live') {
        // Not before: the page stands without it.
        asksFeed = false;
        ctx.data('changes').then(({ rows }) => store.feed(rows), () => { /* the strip then counts from now on */ });
      }
      if (!store.services.size) return;
      if (store.circuits.size && !past) {
        past = true;
        history(ctx);
      }
      if (n % 5 === 0) draw();
      else drawStrip();
    }),
    onPaint(() => strip.paint(root, store)),
    ctx.keys({ j: () => list?.step(1), k: () => list?.step(-1), ArrowDown: () => (list?.focused() ?? null) !== null && list.step(1), ArrowUp: () => (list?.focused() ?? null) !== null && list.step(-1) }),
  ];
  narrow.addEventListener('change', draw);
  return () => {
    clearTimeout(asking);
    for (const one of stop) one();
    list?.destroy();
    narrow.removeEventListener('change', draw);
    root.removeEventListener('click', opened);
    root.removeEventListener('keydown', opened);
  };
}
