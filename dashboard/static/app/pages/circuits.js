// What is failing now? All circuits at a glance, then the worst first.
import { html, nothing, render } from '../../vendor/lit-html/lit-html.js';
import { effect } from '../../vendor/signals-core/signals-core.js';
import * as fmt from '../fmt.js';
import { onPaint, request } from '../paint.js';
import { circuitPath, parse, passes } from '../query.js';
import { kept } from '../theme.js';
import { empty, sample, skeletonRows } from '../ui/empty.js';
import { glyph, icon } from '../ui/glyph.js';
import { pick } from '../ui/menu.js';
import { Cards } from './circuits_cards.js';
import { History } from './circuits_history.js';
import { Order, SORTS } from './circuits_order.js';
import { Table } from './circuits_table.js';
import { Wall } from './circuits_wall.js';
import { name, NOTICEABLE, state, title as called } from './circuits_words.js';

export const title = 'Circuits';
export const topics = ['circuits'];

const FIELDS = ['name', 'from', 'to', 'state', 'cmd'];
const NUMBERS = ['rate', 'err', 'p50', 'p90', 'p99', 'hosts', 'flight', 'refused', 'age'];
const TABS = [
  ['open', 'Open', 'open', 'refusing calls'], ['half', 'Half-open', 'half', 'probing'],
  ['forced', 'Forced', 'forced-open', 'set by hand'], ['closed', 'Closed', 'closed', ''],
];
const EXAMPLE = `from resilient import circuit

@circuit(default=None, timeout=1)
async def order(id: int) -> dict | None:
    ...`;

/** What the filter line may ask of a circuit. */
export const asked = (row, now) => ({
  words: [row.id, ...name(row), row.from, state(row.state).word],
  fields: { name: [row.id, row.cmd], from: row.from, to: row.to, cmd: row.cmd, state: state(row.state).word },
  numbers: {
    rate: row.rate, err: row.err, p50: row.lat?.[0], p90: row.lat?.[1], p99: row.lat?.[2], hosts: row.hosts, flight: row.inflight,
    refused: row.counts[2], age: row.since ? (now - row.since) / 1000 : null,
  },
});

const pins = {
  all: () => { try { return new Set(JSON.parse(kept.get('pins') ?? '[]')); } catch { return new Set(); } },
  keep: set => kept.set('pins', set.size ? JSON.stringify([...set].slice(0, 200)) : ''),
};

export function mount(root, ctx) {
  const { store } = ctx, narrow = matchMedia('(max-width: 640px)'), order = new Order();
  const pinned = pins.all(), href = circuit => ctx.href(circuitPath(circuit.id));
  let shown = [], dirty = true, view = null;
  render(html`
    <section class="panel wall" aria-label="All circuits at a glance">
      <div class="tallies"></div>
      <div class="dots"><div class="k"><span>Every circuit: size is call rate, shape and colour are state</span><span class="hov"></span></div></div>
    </section>
    <div class="tools-line"></div>
    <div class="no-circuits"></div>
    <div class="circuit-list"></div>`, root);
  const at = selector => root.querySelector(selector);
  const tallies = at('.tallies'), line = at('.tools-line'), list = at('.circuit-list'), hov = at('.hov'), panel = at('.wall'), none = at('.no-circuits');
  list.setAttribute('role', 'region');
  list.setAttribute('aria-label', 'Circuits, worst first');

  const wall = new Wall(at('.dots'), {
    href,
    hint: circuit => {
      const text = circuit ? `${circuit.from} \u2192 ${called(circuit)}  ${fmt.rate(circuit.rate)}/s, ${fmt.percent(circuit.err)}${circuit.err === null ? '' : '%'}` : '';
      if (hov.textContent !== text) hov.textContent = text;
    },
  });
  const pin = circuit => {
    if (!pinned.delete(circuit.id)) pinned.add(circuit.id);
    pins.keep(pinned);
    arrange();
  };
  const sorted = key => {
    const query = ctx.query.peek(), now = query.get('sort') || 'errors';
    ctx.ask({ sort: key === 'errors' ? null : key, dir: now === key && query.get('dir') !== 'asc' ? 'asc' : null }, { push: true });
  };
  const history = new History(ctx);
  const views = {
    cards: new Cards({ href, store, history, pinned, pin, most: () => (narrow.matches ? 24 : 60), more: () => ctx.ask({ view: 'table' }, { push: true }), narrow }),
    table: new Table({ href, store, history, sorted }),
  };

  const busy = () => list.matches(':hover') && !matchMedia('(hover: none)').matches || list.contains(document.activeElement);
  const question = () => {
    const query = ctx.query.peek();
    return { sort: query.get('sort') || 'errors', descending: query.get('dir') !== 'asc', question: `${query.get('q') ?? ''}\n${query.get('show') ?? ''}\n${store.circuits.size > 0}`, pinned };
  };

  /** Which, and in what order: only every few seconds, unless another question is asked. */
  function arrange() {
    const ask = { ...question(), now: performance.now(), busy: busy() };
    if (order.due(ask)) {
      const query = ctx.query.peek(), tab = query.get('show'), now = store.now();
      const { terms } = parse(query.get('q'), { fields: FIELDS, numbers: NUMBERS });
      shown = order.of([...store.circuits.values()].filter(row => (!tab || state(row.state).group === tab) && passes(terms, asked(row, now))), ask);
      dirty = true;
    } else {
      const before = shown.length;
      shown = shown.filter(row => store.circuits.has(row.k));
      order.of(shown, ask);
      dirty ||= shown.length !== before;
    }
    if (dirty) place();
  }

  function place() {
    dirty = false;
    const query = ctx.query.peek(), wanted = query.get('view') === 'table' && !narrow.matches ? views.table : views.cards;
    none.hidden = shown.length > 0;
    if (!shown.length) {
      view = null;
      list.replaceChildren();
      render(nothingToShow(), none);
      request();
      return;
    }
    if (view !== wanted) {
      view = wanted;
      list.replaceChildren(view.root);
    }
    const { sort, descending } = question();
    view.set(shown, sort, descending);
    request();
  }

  function nothingToShow() {
    const query = ctx.query.peek(), text = query.get('q') ?? '', tab = query.get('show');
    if (!store.circuits.size) {
      if (!store.hello) return html`<section class="panel">${skeletonRows(8)}</section>`;
      return html`<section class="panel">${empty({
        title: 'No circuit has reported yet.', text: 'A circuit appears here with its first call, from any service that knows this registry. Nothing else has to be set up.',
        more: sample(EXAMPLE, 'A function behind a circuit'),
      })}</section>`;
    }
    const where = tab ? ` among those that are ${TABS.find(([key]) => key === tab)?.[1].toLowerCase() ?? tab}` : '';
    return html`<section class="panel">${empty({
      title: text ? `No circuit matches \u201c${text}\u201d${where}.` : `No circuit is ${TABS.find(([key]) => key === tab)?.[1].toLowerCase() ?? tab} now.`,
      text: text ? 'Try a service name, from:caller or rate>5.' : '',
      action: { label: text ? 'Clear the filter' : 'Show all', act: () => ctx.ask({ q: null, show: null }, { push: true }) },
    })}</section>`;
  }

  function drawTallies() {
    const count = { open: 0, half: 0, forced: 0, closed: 0 };
    let hot = 0;
    for (const row of store.circuits.values()) {
      const { group } = state(row.state);
      count[group] += 1;
      if (group === 'closed' && row.err >= NOTICEABLE) hot += 1;
    }
    const tab = ctx.query.value.get('show'), n = store.circuits.size;
    panel.hidden = n === 0;
    render(TABS.map(([key, word, mark, text]) => html`<button type="button" aria-pressed=${String(tab === key)} @click=${() => ctx.ask({ show: tab === key ? null : key }, { push: true })}>
      <span class="k">${glyph(mark, { size: 12, named: false })}${word}</span><span class="v">${fmt.int(count[key])}</span>
      <span class="n">${key === 'closed' ? html`<i class="sw round"></i>${fmt.int(hot)} above ${NOTICEABLE}%` : text}</span></button>`), tallies);
    wall.label(`${fmt.count(n, 'circuit')}: ${count.open} open, ${count.half} half-open, ${count.forced} forced, ${count.closed} closed. The same data is in the list below.`);
  }

  function drawLine() {
    const query = ctx.query.value, text = query.get('q') ?? '', isTable = query.get('view') === 'table', sort = query.get('sort') || 'errors';
    const { bad } = parse(text, { fields: FIELDS, numbers: NUMBERS }), paused = store.paused.value, waiting = store.waiting.value;
    const all = store.circuits.size, note = order.held ? 'order held' : shown.length < all ? `${fmt.int(shown.length)} of ${fmt.int(all)}` : '';
    render(html`<div class="bar" ?hidden=${all === 0}>
      <label class="field">${icon('search')}<span class="sr">Filter circuits</span><input data-filter placeholder="Filter: from:orders, rate>10" autocomplete="off" spellcheck="false"
        .value=${text} aria-invalid=${bad.length ? 'true' : nothing} aria-describedby="filter-hint" @input=${event => ctx.ask({ q: event.target.value })}><kbd aria-hidden="true">/</kbd>
        <span class="hint" id="filter-hint">${bad.length ? html`Ignored: ${bad.map(term => html`<u>${text.slice(term.at, term.to)}</u> `)}` : nothing}</span></label>
      <div class="seg wide-only" role="group" aria-label="View">${[['', 'cards', 'Cards'], ['table', 'rows', 'Table']].map(([key, mark, word]) => html`<button type="button" aria-pressed=${String(isTable === (key === 'table'))} @click=${() => ctx.ask({ view: key }, { push: true })}>${icon(mark)}${word}</button>`)}</div>
      ${pick('Sort', Object.entries(SORTS), sort, key => ctx.ask({ sort: key === 'errors' ? null : key, dir: null }, { push: true }))}
      <span class="dim wide-only">last ${store.window} s</span><span class="grow"></span>
      <span class=${paused ? 't-warn' : 'dim'}>${paused ? `Paused${waiting ? `, ${fmt.count(waiting, 'change')} waiting` : ''}` : note}</span>
      <button class="btn" type="button" aria-pressed=${String(paused)} @click=${ctx.pause}>${icon(paused ? 'play' : 'pause')}<span>${paused ? 'Resume' : 'Pause'}</span></button></div>`, line);
  }

  const callers = () => new Set([...store.circuits.values()].map(row => row.from)).size;
  let wasBefore = '';
  const stops = [
    effect(() => {
      store.listed.value;
      const n = store.circuits.size, text = n ? `${fmt.count(n, 'circuit')} in ${fmt.count(callers(), 'caller')}` : '';
      if (text !== wasBefore || !text) ctx.head({ title, sub: wasBefore = text });
      wall.set(store.circuits.values());
    }),
    effect(() => { ctx.query.value; dirty = true; arrange(); }),
    effect(() => {
      store.tick.value;
      store.listed.value;
      store.connection.value;
      arrange();
      drawTallies();
      drawLine();
      wall.speak();
    }),
    onPaint(all => { if (all) wall.write(); view?.write(all); }),
    ctx.keys({
      v: () => ctx.ask({ view: ctx.query.peek().get('view') === 'table' ? null : 'table' }, { push: true }),
      b: () => {
        const row = store.circuits.get(Number(document.activeElement?.closest('[data-k]')?.dataset.k));
        return row ? pin(row) : false;
      },
    }),
  ];
  const turned = ({ detail }) => {
    const row = store.circuits.get(detail.k);
    if (row && pinned.has(row.id)) ctx.say(`${called(row)} from ${row.from}: ${state(row.state).word.toLowerCase()}.`);
  };
  store.events.addEventListener('state', turned);
  const resized = () => { dirty = true; place(); };
  narrow.addEventListener('change', resized);
  ctx.finds = () => [];
  return () => {
    for (const stop of stops) stop();
    store.events.removeEventListener('state', turned);
    narrow.removeEventListener('change', resized);
    for (const one of [wall, views.cards, views.table]) one.leave();
  };
}
