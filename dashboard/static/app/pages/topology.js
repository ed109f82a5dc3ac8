// Who feels it? Services in columns, the calls between them, and what fails on the way.
import { html, nothing, render, svg } from '../../vendor/lit-html/lit-html.js';
import { repeat } from '../../vendor/lit-html/directives/repeat.js';
import { effect } from '../../vendor/signals-core/signals-core.js';
import * as fmt from '../fmt.js';
import { around, BOX, layout, marks, path, step } from '../graph.js';
import { changed } from '../query.js';
import { empty, skeletonRows } from '../ui/empty.js';
import { icon, shape, tone, word } from '../ui/glyph.js';
import { pick } from '../ui/menu.js';
import { Lens } from './topology_lens.js';
import { edges as edgesOf, kind, node as nodeOf, width, worstOf } from './topology_data.js';
import { blast, ego, overview, side, table } from './topology_side.js';
import { state } from './circuits_words.js';

export const title = 'Topology';
export const topics = ['circuits'];

const MODES = [['', 'Everything'], ['bad', 'Problems only'], ['near', 'Around selection']];
const COLOURS = [['', 'Circuit state'], ['errors', 'Error percent'], ['latency', 'Latency']];
const KEYS = {
  '': [['closed', 'closed'], ['half', 'half-open'], ['open', 'open'], ['forced', 'forced']],
  errors: [['closed', 'under 2%'], ['warm', '2% and more'], ['hot', '50% and more']],
  latency: [['closed', '99th under half of its timeout'], ['warm', 'half'], ['hot', '90% and more']],
};
const MANY = 150, SHORT = 19;
const heads = n => (n === 0 ? 'Entry' : n === 1 ? '1 step on' : `${n} steps on`);
const cut = name => (name.length > SHORT ? `${name.slice(0, SHORT - 1)}\u2026` : name);

export function mount(root, ctx) {
  const { store } = ctx, narrow = matchMedia('(max-width: 640px)');
  let all = new Map(), places = null, drawn = '', pinnedTo = undefined, focus = null;
  const choose = name => ctx.href(`?${changed(ctx.query.peek(), { name })}`);
  const own = { ...ctx, choose };
  render(html`<div class="tools-line"></div><div class="topo-place"></div>`, root);
  const line = root.querySelector('.tools-line'), stage = root.querySelector('.topo-place');
  const lens = new Lens(() => draw());

  /** The chosen service: the address says which; else the one most in need, found once. */
  const chosen = () => {
    const asked = ctx.query.value.get('name');
    if (asked) return asked;
    if (pinnedTo === undefined && all.size) pinnedTo = worstOf(all) ?? [...all.values()].sort((a, b) => b.rate - a.rate)[0]?.to ?? null;
    return pinnedTo ?? null;
  };
  const mode = () => ctx.query.value.get('show') ?? (places?.nodes.size > MANY ? 'near' : '');
  const hops = () => Math.min(3, Math.max(1, Number(ctx.query.value.get('hops')) || 1));
  const pairs = () => [...all.values()].map(edge => [edge.from, edge.to]);

  function arrange() {
    all = edgesOf(store.circuits.values());
    const names = new Set([...all.values()].flatMap(edge => [edge.from, edge.to]));
    const mine = [...names].sort().join('\n'), ways = [...all.keys()].sort().join('\n');
    if (`${mine}\n\n${ways}` === drawn) return;
    // Positions change only with the set of services: a new line alone moves nobody.
    places = layout([...names], pairs(), places);
    drawn = `${mine}\n\n${ways}`;
  }

  const select = name => ctx.ask({ name: name === ctx.query.peek().get('name') ? null : name }, { push: true });
  function clicked(event) {
    const link = event.target.closest('a[data-n]');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    select(link.dataset.n);
  }
  function keyed(event) {
    const link = event.target.closest('a[data-n]');
    if (!link) return;
    if (event.key === ' ') {
      event.preventDefault();
      select(link.dataset.n);
      return;
    }
    if (!event.key.startsWith('Arrow')) return;
    event.preventDefault();
    const to = step(places.nodes, pairs(), link.dataset.n, event.key);
    if (!to) return;
    focus = to;
    draw();
    const there = stage.querySelector(`a[data-n="${CSS.escape(to)}"]`);
    lens.show(places, to);
    there?.focus({ preventScroll: true });
  }

  function drawGraph(name) {
    const by = ctx.query.value.get('colour') ?? '', now = mode(), near = new Set(name ? around(pairs(), name) : []);
    const feels = name ? blast(name, all).callers : new Set();
    const trouble = new Set([...all.values()].filter(edge => edge.troubled).flatMap(edge => [edge.from, edge.to]));
    const kept = now === 'near' && name ? around(pairs(), name, hops()) : null;
    const nodeShown = one => !kept || kept.has(one);
    const close = edge => (now === 'bad' ? edge.troubled > 0 : !name || edge.from === name || edge.to === name);
    const here = one => (now === 'bad' ? trouble.has(one) : !name || near.has(one));
    const shown = [...all.values()].filter(edge => places.routes.has(edge.key) && nodeShown(edge.from) && nodeShown(edge.to));
    const high = edge => (close(edge) ? 2 : 0) + (edge.troubled ? 1 : 0);
    shown.sort((a, b) => high(a) - high(b) || (a.key < b.key ? -1 : 1));
    const signed = shown.filter(edge => edge.troubled).sort((a, b) => (a.key < b.key ? -1 : 1)), at = marks(signed.map(edge => places.routes.get(edge.key)));
    const names = [...places.nodes.keys()].filter(nodeShown), entry = focus && names.includes(focus) ? focus : names.includes(name) ? name : names[0];
    return svg`<defs>${['closed', 'half', 'open', 'forced', 'warm', 'hot'].map(one => svg`<marker id="tip-${one}" class="tip ${one}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 .6L7.6 4 0 7.4z"></path></marker>`)}</defs>
      ${Array.from({ length: places.columns }, (_, i) => svg`<text class="colh" x=${columnX(places, i) + 2} y="18">${heads(i)}</text>`)}
      <g>${repeat(shown, edge => edge.key, edge => {
    const one = kind(edge, by), is = close(edge);
    return svg`<path class="edge ${one} ${is ? 'near' : 'far'}" d=${path(places.routes.get(edge.key))} stroke-width=${width(edge).toFixed(1)} marker-end=${is ? `url(#tip-${one})` : nothing}><title>${edge.from} to ${edge.to}: ${fmt.rate(edge.rate)} calls/s, ${edge.troubled ? `${edge.worst} of ${fmt.count(edge.circuits, 'circuit')} ${state(edge.letter).word.toLowerCase()}` : 'all circuits closed'}</title></path>`;
  })}</g>
      <g>${repeat(names, one => one, one => drawNode(one, { chosen: one === name, far: !here(one), feels: feels.has(one), entry: one === entry }))}</g>
      <g>${repeat(signed, edge => edge.key, (edge, i) => {
    const one = state(edge.letter);
    return svg`<g class="mark ${close(edge) ? '' : 'far'}" transform="translate(${at[i][0].toFixed(1)} ${at[i][1].toFixed(1)})" aria-hidden="true"><circle r="9"></circle><svg x="-6.5" y="-6.5" width="13" height="13" class="t-${one.tone}"><use href="#g-${shape(one.glyph)}"></use></svg></g>`;
  })}</g>`;
  }

  function drawNode(name, { chosen: is, far, feels, entry }) {
    const place = places.nodes.get(name), one = nodeOf(name, store.services.get(name), all);
    return svg`<a class="node ${is ? 'sel' : ''} ${far ? feels ? 'far feels' : 'far' : ''}" data-n=${name} href=${choose(name)} tabindex=${entry ? '0' : '-1'} aria-current=${is ? 'true' : nothing}
      aria-label="${name}: ${word(one.mark).toLowerCase()}, ${one.up}, ${fmt.rate(one.rate)} calls per second" transform="translate(${place.x} ${place.y - BOX.height / 2})" @focus=${() => { focus = name; }}>
      <rect width=${BOX.width} height=${BOX.height} rx="7"></rect><svg x="9" y="11.5" width="13" height="13" class="t-${tone(one.mark)}"><use href="#g-${shape(one.mark)}"></use></svg>
      <text x="28" y="15.5">${cut(name)}<title>${name}</title></text><text class="meta" x="28" y="28">${one.up}, ${fmt.rate(one.rate)}/s</text></a>`;
  }

  function draw() {
    const name = chosen(), query = ctx.query.value, rows = query.get('view') === 'table';
    if (!all.size) {
      const waits = !store.hello;
      render(waits ? html`<section class="panel">${skeletonRows(8)}</section>` : html`<section class="panel">${empty({ title: 'No calls seen yet.', text: 'A line appears here when one service calls another through a circuit. Services that call nobody are on the Services page.', action: { label: 'Services', act: () => ctx.navigate('') } })}</section>`, stage);
      return;
    }
    if (rows) {
      render(table(all, own), stage);
      return;
    }
    const known = name && (places.nodes.has(name) || store.services.has(name));
    if (narrow.matches) {
      render(html`<div class="ego">${known ? ego(name, all, store, own) : table(all, own)}</div>`, stage);
      return;
    }
    const by = query.get('colour') ?? '', trouble = [...all.values()].filter(edge => edge.troubled).length;
    render(html`<section class="panel topo" aria-label="Call graph"><div class="view">
      <svg class="graph" viewBox=${lens.box(places)} preserveAspectRatio="xMidYMid meet" role="group" aria-label="Services and the calls between them. Arrow keys follow the calls. The table view has the same in rows."
        @click=${clicked} @keydown=${keyed} @wheel=${lens.wheel} @pointerdown=${lens.grab} @pointermove=${lens.move} @pointerup=${lens.drop} @pointercancel=${lens.drop}>${drawGraph(known ? name : null)}</svg>
      <div class="zoom"><button type="button" class="btn icon" aria-label="Zoom in" @click=${() => lens.by(1.25)}>${icon('plus')}</button><button type="button" class="btn icon" aria-label="Zoom out" @click=${() => lens.by(.8)}>${icon('minus')}</button><button type="button" class="btn icon" aria-label="Show all" @click=${() => lens.reset()}>${icon('fit')}</button></div>
      <div class="key">${KEYS[by in KEYS ? by : ''].map(([one, text]) => html`<span><svg width="22" height="8" aria-hidden="true"><path class="edge near ${one}" d="M0 4H22" stroke-width=${one === 'closed' ? 1.4 : 2.2}></path></svg>${text}</span>`)}${known ? html`<span><i class="box"></i>feels it</span>` : nothing}<span class="dim">thicker: more calls</span></div></div>
      <aside class="topo-side" aria-label="Chosen service">${known ? side(name, all, store, own) : overview(all, trouble)}</aside></section>`, stage);
  }

  function drawLine() {
    const query = ctx.query.value, now = mode(), rows = query.get('view') === 'table';
    const go = event => {
      const text = event.target.value.trim();
      if (places?.nodes.has(text) || store.services.has(text)) { event.target.value = ''; ctx.ask({ name: text }, { push: true }); }
    };
    render(html`<div class="bar" ?hidden=${all.size === 0}>
      <label class="field">${icon('search')}<span class="sr">Focus on a service</span><input data-filter list="topology-names" placeholder="Focus on a service" autocomplete="off" spellcheck="false" @change=${go} @input=${event => { if (!event.inputType || event.inputType === 'insertReplacementText') go(event); }}><kbd aria-hidden="true">/</kbd></label>
      <datalist id="topology-names">${[...places?.nodes.keys() ?? []].sort().map(name => html`<option value=${name}></option>`)}</datalist>
      ${narrow.matches ? nothing : html`<div class="seg" role="group" aria-label="Show">${MODES.map(([key, text]) => html`<button type="button" aria-pressed=${String(now === key)} @click=${() => ctx.ask({ show: key }, { push: true })}>${text}</button>`)}</div>
      ${now === 'near' ? pick('Steps', [['1', '1'], ['2', '2'], ['3', '3']], String(hops()), value => ctx.ask({ hops: value === '1' ? null : value })) : nothing}
      ${rows ? nothing : pick('Colour', COLOURS, query.get('colour') ?? '', value => ctx.ask({ colour: value }))}`}
      <span class="grow wide-only"></span>
      <div class="seg" role="group" aria-label="View">${[['', 'topology', 'Graph'], ['table', 'rows', 'Table']].map(([key, mark, text]) => html`<button type="button" aria-pressed=${String(rows === (key === 'table'))} @click=${() => ctx.ask({ view: key }, { push: true })}>${icon(mark)}${text}</button>`)}</div></div>`, line);
  }

  let said = '';
  const stops = [
    effect(() => {
      store.tick.value;
      store.listed.value;
      store.connection.value;
      ctx.query.value;
      arrange();
      drawLine();
      draw();
      const text = all.size ? `${fmt.count(places.nodes.size, 'service')}, ${fmt.count(all.size, 'call path')}` : '';
      if (text !== said || !text) ctx.head({ title, sub: said = text });
    }),
    ctx.keys({ v: () => ctx.ask({ view: ctx.query.peek().get('view') === 'table' ? null : 'table' }, { push: true }), 0: () => lens.reset() }),
  ];
  const resized = () => { drawLine(); draw(); };
  narrow.addEventListener('change', resized);
  return () => {
    for (const stop of stops) stop();
    narrow.removeEventListener('change', resized);
  };
}

const columnX = (places, i) => [...places.nodes.values()].find(one => one.column === i)?.x ?? 0;
