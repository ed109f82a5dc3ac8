// What is failing now: a wall of all circuits, then one card for each, worst first.
import { arrange, h, mark, say, swap } from '../dom.js';
import { count, int, percent, rate } from '../format.js';
import { parse, passes } from '../filter.js';
import { glyph, icon } from '../icons.js';
import { Order } from '../order.js';
import { kind, store, tallies } from '../store.js';
import { wall } from '../wall.js';
import { CircuitCard, names } from './circuit_card.js';
import { noCircuits, nothing, skeleton } from './empty.js';

const FIRST = 60;
const RANK = { open: 5, 'half-open': 4, 'forced-open': 3, 'forced-closed': 2, closed: 0 };
// Whole steps, so that small differences never reorder the page: 2 points of errors, about 10 % of volume.
const errorStep = one => Math.floor((one.errors ?? 0) / 2);
const volumeStep = one => Math.round(Math.log(1 + one.rate) / Math.log(1.1));
const identity = one => `${one.service}\u0000${one.name}`;

const worst = (a, b) => RANK[b.state] - RANK[a.state] || errorStep(b) - errorStep(a) || volumeStep(b) - volumeStep(a)
  || (identity(a) < identity(b) ? -1 : 1);
const byTarget = (a, b) => (a.target || '').localeCompare(b.target || '') || (identity(a) < identity(b) ? -1 : 1);

const GROUPS = [['open', 'open', 'Open', 'refusing calls'], ['half-open', 'half-open', 'Half-open', 'probing'],
  ['forced', 'forced-open', 'Forced', 'set by hand'], ['closed', 'closed', 'Closed', '']];

function matches(terms, one) {
  return passes(terms, [one.name, one.service, one.target || ''],
    { name: [one.name], from: [one.service], to: [one.target || ''], state: [one.state] },
    { rate: one.rate, err: one.errors, p50: one.latency[0], p90: one.latency[1], p99: one.latency[2] });
}

export function circuits(app) {
  let show = app.query('show'), limit = FIRST, at = () => undefined, ordered = [];
  const input = h('input', { id: 'filter', type: 'text', placeholder: 'Filter: name, from:orders', autocomplete: 'off', spellcheck: 'false', value: app.query('q') });
  const filters = GROUPS.map(([id, state, label]) => h('button', { 'aria-pressed': 'false', 'data-tally': id, onclick: () => { show = show === id ? '' : id; app.setQuery('show', show); app.paint(); } },
    h('span', { class: 'k' }, glyph(state, 'g-12', false), label), h('span', { class: 'v' }), h('span', { class: 'n' })));
  const canvas = h('canvas', { role: 'img' }), hover = h('span', { class: 'wide-only clip' });
  const top = h('section', { class: 'panel wall', 'aria-label': 'All circuits at a glance' },
    h('div', { class: 'tallies' }, filters),
    h('div', { class: 'dots' }, h('div', { class: 'k' }, h('span', { class: 'clip' }, 'Every circuit: size is call rate, shape and colour are state'), hover), canvas));
  const shown = h('span', { class: 'dim' }), hold = h('span', { class: 'dim t-warn' });
  const pause = h('button', { class: 'btn', 'aria-pressed': 'false', title: 'Pause (p)', onclick: () => app.pause() });
  const bar = h('div', { class: 'bar line' },
    h('label', { class: 'field' }, icon('search'), h('span', { class: 'sr' }, 'Filter circuits'), input, h('kbd', { 'aria-hidden': 'true' }, '/')),
    h('span', { class: 'dim wide-only' }, 'Worst first, over the last 10 s'), h('span', { class: 'grow wide-only' }), hold, shown, pause);
  const cards = h('div', { class: 'cards' }), foot = h('div', { class: 'more-cards' });
  const list = h('div', {});
  const box = h('div', { class: 'stack' }, skeleton());
  const order = new Order(cards), known = new Map();
  const seen = new IntersectionObserver(entries => {
    for (const entry of entries) {
      const card = entry.target.card;
      card.seen = entry.isIntersecting;
      if (card.seen) card.paint();
    }
  }, { rootMargin: '160px' });

  input.addEventListener('input', () => { limit = FIRST; app.setQuery('q', input.value.trim()); app.paint(); });
  const under = event => { const b = canvas.getBoundingClientRect(); return at(event.clientX - b.left, event.clientY - b.top); };
  canvas.addEventListener('mousemove', event => {
    const one = under(event);
    canvas.classList.toggle('hand', Boolean(one));
    say(hover, one ? `${one.service} \u2192 ${names(one).join(' ')}, ${rate(one.rate)}/s, ${percent(one.errors)}%` : '');
  });
  canvas.addEventListener('mouseleave', () => say(hover, ''));
  canvas.addEventListener('click', event => {
    const one = under(event);
    if (!one) return;
    if (!known.has(one.k)) { show = ''; input.value = one.name; app.setQuery('q', one.name); app.paint(); }
    const card = known.get(one.k)?.node;
    card?.scrollIntoView({ block: 'center' });
    card?.focus({ preventScroll: true });
  });

  function paintTop() {
    const t = tallies(store.circuits.values());
    GROUPS.forEach(([id, , , note], i) => {
      const button = filters[i];
      mark(button, 'aria-pressed', String(show === id));
      say(button.children[1], int(t[id]));
      swap(button.children[2], id === 'closed' ? `${t.hot}` : note, () => id === 'closed'
        ? t.hot ? [h('i', { class: 'sw round', 'aria-hidden': 'true' }), `${int(t.hot)} above 2%`] : 'below 2%' : note);
    });
    mark(canvas, 'aria-label', `${count(t.total, 'circuit')}: ${t.open} open, ${t['half-open']} half-open, ${t.forced} forced, ${t.closed} closed. The list below has the same data.`);
    at = wall(canvas, [...store.circuits.values()].sort(byTarget));
  }

  function paintPause() {
    mark(pause, 'aria-pressed', String(app.paused));
    swap(pause, String(app.paused), () => [icon(app.paused ? 'play' : 'pause'), app.paused ? 'Resume' : 'Pause']);
    say(hold, app.paused ? `Paused, ${count(app.waiting, 'change')} waiting` : '');
  }

  return {
    title: 'Circuits', nodes: [box],
    sub() {
      const callers = new Set([...store.circuits.values()].map(one => one.service)).size;
      return store.circuits.size ? `${count(store.circuits.size, 'circuit')} in ${count(callers, 'caller')}` : 'no circuits yet';
    },
    leave() { seen.disconnect(); },
    waiting: paintPause,
    paint() {
      if (!store.ready) return;
      if (!store.circuits.size) { swap(box, 'empty', noCircuits); return; }
      swap(box, 'list', () => [top, bar, list]);
      paintTop();
      paintPause();
      const terms = parse(input.value), all = [...store.circuits.values()];
      const hits = all.filter(one => (!show || kind(one) === show) && matches(terms, one));
      say(shown, hits.length === all.length ? '' : `${int(hits.length)} of ${int(all.length)}`);
      swap(list, hits.length ? 'cards' : `none ${show} ${input.value}`, () => hits.length ? [cards, foot]
        : h('section', { class: 'panel' }, nothing('No circuit matches', input.value, () => { input.value = ''; show = ''; app.setQuery('q', ''); app.setQuery('show', ''); app.paint(); })));
      ordered = order.of(hits, one => one.k, worst, `${show} ${input.value}`).slice(0, limit);
      const wanted = new Set(ordered.map(one => one.k));
      for (const [key, card] of known) if (!wanted.has(key)) { seen.unobserve(card.node); known.delete(key); }
      arrange(cards, ordered.map(one => {
        let card = known.get(one.k);
        // A reconnect makes new objects for the same circuits.
        if (!card) { card = new CircuitCard(one); known.set(one.k, card); seen.observe(card.node); } else card.circuit = one;
        if (card.seen) card.paint();
        return card.node;
      }));
      swap(foot, String(Math.max(0, hits.length - limit)), () => hits.length > limit
        ? h('button', { class: 'btn', onclick: () => { limit += FIRST; app.paint(); } }, `Show ${int(Math.min(FIRST, hits.length - limit))} more of ${int(hits.length)}`) : []);
    },
  };
}
