// A service: which instances, and is it the instances or the callers?
import { html, render, nothing } from '../../vendor/lit-html/lit-html.js';
import { effect } from '../../vendor/signals-core/signals-core.js';
import { onPaint, text as write } from '../paint.js';
import { VList } from '../vlist.js';
import { parse, passes, servicePath } from '../query.js';
import { glyph, icon, tag, word } from '../ui/glyph.js';
import { columnHead, filterField, lease, segments, showLease } from '../ui/parts.js';
import { menu, openMenu } from '../ui/menu.js';
import { empty, skeletonRows } from '../ui/empty.js';
import { GRAMMAR, SORTS, TABS, compare, host, item } from './service_rules.js';
import { aside, strip, details } from './service_parts.js';
import { acts } from './service_acts.js';
import { history } from '../history.js';
import { rateLine } from '../ui/plots.js';
import * as fmt from '../fmt.js';

export const title = params => params.name;
export const topics = params => [`beats:${params.name}`];

const narrow = matchMedia('(max-width: 640px)');
const copyJson = async data => navigator.clipboard.writeText(JSON.stringify(data, null, 1));

export function mount(root, ctx) {
  const { store, params } = ctx, { name } = params;
  const selected = new Set();
  let data = null, rows = [], byId = new Map(), list = null, error = null, last = null, asked = 0, again = null, left = false, shown = [], past = false, rates = {};

  const act = acts(ctx, () => ({ name, rows, renewS: data?.row?.renewS ?? 30 }));
  const query = key => ctx.query.value.get(key) ?? '';
  const now = () => store.now();

  async function load() {
    const mine = ++asked;
    try {
      const got = await ctx.data(`services/${encodeURIComponent(name)}`);
      if (mine !== asked || left) return;
      data = got;
      error = null;
      const at = got.now ?? now();
      rates = got.rates ?? {};
      rows = got.instances.map(row => ({ ...row, age: row.ageS, beatAt: row.beatAt ?? at - row.ageS * 1000 }));
      byId = new Map(rows.map(row => [row.id, row]));
      for (const id of selected) if (!byId.has(id)) selected.delete(id);
    } catch (problem) {
      if (mine !== asked || left) return;
      error = problem;
    }
    draw();
  }
  // Many changes at once are one request.
  const soon = () => {
    clearTimeout(again);
    again = setTimeout(load, 250);
  };

  /** How often each is called, again. */
  async function recount() {
    try {
      rates = (await ctx.data(`services/${encodeURIComponent(name)}/beats`)).rates ?? {};
    } catch { /* the next one may come through */ }
  }

  const chosen = () => rows.filter(row => selected.has(row.id));
  const ageOf = row => Math.max(0, (now() - row.beatAt) / 1000);

  function select(id, extend = false) {
    if (extend && last !== null) {
      const ids = shown.map(row => row.id), a = ids.indexOf(last), b = ids.indexOf(id);
      if (a >= 0 && b >= 0) for (const one of ids.slice(Math.min(a, b), Math.max(a, b) + 1)) selected.add(one);
    } else if (!selected.delete(id)) selected.add(id);
    last = id;
    draw();
  }

  function toggle(id) {
    ctx.ask({ open: query('open') === id ? '' : id }, { push: true });
  }

  function drawRow(row) {
    const over = row.over ? html`<span class="t-held" title="Override, set by ${row.override?.by || 'an operator'}">${icon('pin', 'g')}<span class="sr">override</span></span>` : nothing;
    const openNow = query('open') === row.id;
    return html`<span role="cell" class="c-pick"><input type="checkbox" class="check" .checked=${selected.has(row.id)} aria-label="Select ${row.id}" @click=${event => { event.preventDefault(); const shift = event.shiftKey; queueMicrotask(() => select(row.id, shift)); }}></span>
      <span role="cell" class="c-status">${glyph(row.kind, { named: narrow.matches })}<span class=${row.kind === 'up' ? 'up' : `strong t-${{ down: 'bad', late: 'warn', starting: 'info' }[row.kind] ?? 'off'}`}>${word(row.kind)}</span>${over}</span>
      <span role="cell" class="c-id"><b class="mono">${row.id}</b> <span class="mono dim">${host(row)}</span></span>
      <span role="cell" class="c-zone mid clip">${row.zone || fmt.DASH}</span>
      <span role="cell" class="c-ver mono mid clip">${row.version || fmt.DASH}</span>
      <span role="cell" class="c-beat">${lease()}</span>
      <span role="cell" class="c-for num mid">${row.since ? fmt.duration((now() - row.since) / 1000) : fmt.DASH}</span>
      <span role="cell" class="c-calls num"></span>
      <span role="cell" class="c-open num"><button class="btn quiet icon small" aria-label="Details of ${row.id}" aria-expanded=${String(openNow)} @click=${() => toggle(row.id)}>${icon(openNow ? 'down' : 'right')}</button></span>
      <span role="cell" class="c-facts"><span class="mono">${host(row)}</span><span>${row.zone}</span><span class="mono">${row.version}</span>${row.over ? html`<span class="tag s-held">override</span>` : nothing}</span>`;
  }

  function paintRow(row, node) {
    row.age = ageOf(row);
    showLease(node.querySelector('.lease'), row.age, row.renewS ?? 30, row.ttlS ?? 90);
    write(node.querySelector('.c-calls'), fmt.rate(rates[row.id]));
  }

  const sorting = () => {
    const key = query('sort') in SORTS ? query('sort') : 'status';
    return { key, dir: query('dir') || SORTS[key][2] };
  };
  function sortBy(key) {
    const was = sorting(), dir = was.key === key ? (was.dir === 'asc' ? 'desc' : 'asc') : SORTS[key][2];
    ctx.ask({ sort: key === 'status' ? '' : key, dir: dir === SORTS[key][2] ? '' : dir }, { push: true });
  }

  function more(event, given) {
    const locked = ctx.locked() || null;
    openMenu(event.currentTarget, [
      { label: 'Put back in service', locked: locked ?? (given.some(row => row.over) ? null : 'No override to remove'), act: () => act.back(given.filter(row => row.over)) },
      { label: 'Set another status', locked, act: () => act.override(given) },
      { label: 'Deregister', locked, act: () => act.deregister(given) },
      null,
      { label: 'Copy as JSON', act: () => copyJson(given).then(() => ctx.toast('Copied.')) },
    ]);
  }

  function serviceActions() {
    const locked = ctx.locked() || null, zones = [...new Set(rows.map(row => row.zone))].filter(Boolean).sort();
    return [
      ...zones.map(zone => ({ label: `Take ${zone} out of service`, locked, act: () => act.out(rows.filter(row => row.zone === zone && !row.over)) })),
      { label: 'Put all back in service', locked: locked ?? (rows.some(row => row.over) ? null : 'No override to remove'), act: () => act.back(rows.filter(row => row.over)) },
      null,
      { label: 'Copy as JSON', act: () => copyJson(data).then(() => ctx.toast('Copied.')) },
    ];
  }

  function header(sort) {
    const head = (key, label, options) => columnHead(key, label, sort, sortBy, options);
    const all = shown.length > 0 && shown.every(row => selected.has(row.id)), some = shown.some(row => selected.has(row.id));
    const everything = () => {
      for (const row of shown) if (all) selected.delete(row.id); else selected.add(row.id);
      draw();
    };
    return html`<div class="lhead inst" role="row" aria-rowindex="1"><span role="columnheader" class="c-pick"><input type="checkbox" class="check" aria-label="Select all that are shown" .checked=${all} .indeterminate=${some && !all} @change=${everything}></span>
      ${head('status', 'Status')}${head('id', 'Instance')}${head('zone', 'Zone', { cls: 'c-zone' })}${head('version', 'Version', { cls: 'c-ver' })}${head('age', 'Last heartbeat')}${head('up', 'Up for', { num: true, cls: 'c-for' })}<span role="columnheader" class="c-calls num" title="By the share that the callers' balancers give it">Calls/s</span><span role="columnheader"><span class="sr">Details</span></span></div>`;
  }

  function toolbar(text, tab) {
    const given = chosen(), locked = ctx.locked();
    return html`<div class="bar scroll">
      ${filterField({ text, label: 'Filter instances', placeholder: 'Filter: id, address, key:value', grammar: GRAMMAR, change: value => ctx.ask({ q: value }) })}
      ${segments('Show', TABS.map(([value, label, belongs]) => [value, label, rows.filter(belongs).length]), tab[0], value => ctx.ask({ show: value }, { push: true }))}
      <span class="grow"></span>
      ${given.length ? html`<span class="dim nowrap">${given.length} selected</span>
        <button class="btn" aria-disabled=${locked ? 'true' : nothing} title=${locked || nothing} @click=${() => (locked ? ctx.toast(`${locked}.`) : act.out(given))}>${icon(locked ? 'lock' : 'pause')}Take out of service</button>
        <button class="btn quiet icon" aria-haspopup="menu" aria-expanded="false" aria-label="More for the selected" @click=${event => more(event, given)}>${icon('more')}</button>` : nothing}</div>`;
  }

  const gone = () => {
    const change = store.changes.find(one => one.sub.startsWith(`${name}/`) && ['removed', 'expired', 'deregister', 'deregistered'].includes(one.kind));
    return empty({
      title: `${name} is not registered`, action: { label: 'All services', act: () => ctx.navigate('') },
      text: change ? `Its last instance, ${change.sub.slice(name.length + 1)}, was removed ${fmt.ago(change.at, now())} (${change.text || change.kind}).` : 'Either it never was, or all of its instances are gone.',
    });
  };

  function draw() {
    if (left) return;
    const row = store.services.get(name) ?? data?.row;
    const bad = row && ([['down', row.down], ['late', row.late], ['out', row.oos], ['starting', row.start]].find(([, n]) => n));
    const state = !row ? nothing : !bad ? tag('up', row.up === 1 ? 'Up' : 'All up') : tag(bad[0], `${bad[1]} ${word(bad[0]).toLowerCase()}`);
    ctx.head({
      title: name, crumb: ['', 'Services'], state, doc: bad ? `${name}, ${bad[1]} ${word(bad[0]).toLowerCase()}` : name,
      actions: rows.length ? menu(html`<span>Service actions</span>${icon('down')}`, serviceActions, { cls: 'btn fold', label: 'Service actions' }) : null,
    });
    if (error && (error.status === 404 || !data)) {
      list?.destroy();
      list = null;
      render(html`<section class="panel">${error.status === 404 ? gone() : empty({ title: 'The instances could not be read', text: error.message, action: { label: 'Try again', act: load } })}</section>`, root);
      return;
    }
    const text = query('q'), tab = TABS.find(([value]) => value === query('show')) ?? TABS[0], sort = sorting();
    const { terms } = parse(text, GRAMMAR), at = now();
    for (const one of rows) one.age = ageOf(one);
    shown = rows.filter(one => tab[2](one) && passes(terms, item(one, at))).sort(compare(sort.key, sort.dir));
    render(html`<section class="panel strip ${row ? '' : 'skeleton'}" .style=${row ? '' : 'min-height: 123px'} aria-label="Summary">${strip(row, rows, store, name)}</section>
      <div class="two"><section class="panel" aria-label="Instances">${toolbar(text, tab)}
        <div class="grid-table ${Object.keys(rates).length ? '' : 'unrated'}" role="table" aria-label="Instances" aria-rowcount=${shown.length + 1}>${header(sort)}<div role="rowgroup" class="rows"></div></div>
        ${data ? nothing : skeletonRows()}
        ${data && !shown.length ? empty({ title: 'No instance matches', text: html`Nothing fits <b>${text || tab[1]}</b>. Ids, addresses, metadata, <span class="mono">zone:</span> and <span class="mono">status:</span> are searched.`, action: { label: 'Clear filter', act: () => ctx.ask({ q: '', show: '' }, { push: true }) } }) : nothing}</section>
      <aside class="side">${aside(data, store, ctx, name)}</aside></div>`, root);
    list ??= new VList(root.querySelector('.rows'), {
      key: one => one.id, cls: 'inst', row: drawRow, paint: paintRow,
      more: one => details(one, ctx, store, { back: () => act.back([one]), out: () => act.out([one]), override: () => act.override([one]), deregister: () => act.deregister([one]) }),
      height: () => (narrow.matches ? 64 : document.documentElement.dataset.density ? 28 : 36),
    });
    list.open = byId.has(query('open')) ? query('open') : null;
    list.set(shown);
    for (const node of root.querySelectorAll('.lrow')) node.setAttribute('aria-selected', String(selected.has(node.dataset.key)));
  }

  const ordered = new Float32Array(120);
  const beats = ({ detail }) => {
    if (detail.name !== name) return;
    const at = now();
    let known = detail.i.length === rows.length;
    for (const [id, age] of detail.i) {
      const row = byId.get(id);
      if (row) row.beatAt = at - age * 1000;
      else known = false;
    }
    // Somebody came or went, or is late now.
    if (!known && data) soon();
  };
  const changed = ({ detail }) => { if (detail.sub === name || detail.sub?.startsWith(`${name}/`)) soon(); };
  const opened = event => {
    const node = event.target.closest('.lrow');
    if (!node || event.target.closest('a, button, input') || getSelection().toString()) return;
    toggle(node.dataset.key);
  };
  root.addEventListener('click', opened);
  store.events.addEventListener('beats', beats);
  store.events.addEventListener('change', changed);
  store.events.addEventListener('action', soon);
  let seen = '';
  const stop = [
    effect(() => {
      store.listed.value;
      const text = JSON.stringify(store.services.get(name) ?? null);
      if (text !== seen && seen) soon();
      seen = text;
    }),
    effect(() => {
      ctx.query.value;
      store.roles.value;
      store.fed.value;
      store.connection.value;
      if (data || error) draw();
    }),
    store.tick.subscribe(n => {
      if (n % 5 === 0 && Object.keys(rates).length && !document.hidden) recount();
      if (past || !store.circuits.size) return;
      past = true;
      history(ctx, name);
    }),
    effect(() => { if (store.connection.value.state === 'live' && data) soon(); }),
    onPaint(() => {
      const row = store.services.get(name);
      write(root.querySelector('[data-live="rate"]'), fmt.rate(row?.rate));
      const oldest = root.querySelector('[data-live="oldest"]');
      write(oldest, fmt.duration(row?.oldest));
      const canvas = root.querySelector('.strip canvas'), ring = store.rates.get(name);
      if (canvas && ring) rateLine(canvas, store.ordered(ring, ordered));
    }),
    ctx.keys({
      j: () => list?.step(1), k: () => list?.step(-1),
      ' ': () => { const id = list?.focused(); if (!id) return false; toggle(id); return true; },
      Enter: event => { const id = list?.focused(); if (!id || event.target.closest('button, a, input')) return false; toggle(id); return true; },
      x: () => { const id = list?.focused(); if (id) select(id); },
      'Shift+x': () => { const id = list?.focused(); if (id) select(id, true); },
      'Ctrl+a': () => { for (const row of shown) selected.add(row.id); draw(); },
      Escape: () => { if (!selected.size) return false; selected.clear(); draw(); return true; },
    }),
  ];
  narrow.addEventListener('change', draw);
  ctx.finds = () => rows.map(row => ({ kind: 'instance', text: row.id, sub: host(row), state: row.kind, path: `${servicePath(name)}?open=${encodeURIComponent(row.id)}` }));
  draw();
  load();
  return () => {
    left = true;
    clearTimeout(again);
    for (const one of stop) one();
    list?.destroy();
    narrow.removeEventListener('change', draw);
    root.removeEventListener('click', opened);
    store.events.removeEventListener('beats', beats);
    store.events.removeEventListener('change', changed);
    store.events.removeEventListener('action', soon);
  };
}
