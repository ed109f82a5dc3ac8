// Changes: what happened, in what order?
import { html, render, nothing } from '../../vendor/lit-html/lit-html.js';
import { effect } from '../../vendor/signals-core/signals-core.js';
import { onPaint } from '../paint.js';
import { VList } from '../vlist.js';
import { circuitPath, parse, passes, servicePath } from '../query.js';
import { glyph, icon } from '../ui/glyph.js';
import { change as said, filterField, segments, when } from '../ui/parts.js';
import { empty, skeletonRows } from '../ui/empty.js';
import { bars } from '../ui/plots.js';
import { GRAMMAR, KINDS, belongs, cause, density, fold, item, lines, times } from './changes_rules.js';
import * as fmt from '../fmt.js';

export const title = 'Changes';
export const topics = [];

const SPAN = 15 * 60_000, STEPS = 60;
const narrow = matchMedia('(max-width: 640px)');

export function mount(root, ctx) {
  const { store } = ctx;
  let list = null, loaded = false, error = null, more = true, loading = false, left = false;
  // What the reader has seen: newer ones wait while the list is scrolled.
  let upTo = Infinity, seen = new Set(), brush = null;

  const query = key => ctx.query.value.get(key) ?? '';

  async function load(before = '') {
    if (loading) return;
    loading = true;
    try {
      const page = await ctx.data(`changes${before ? `?before=${encodeURIComponent(before)}` : ''}`);
      more = page.more;
      error = null;
      loaded = true;
      loading = false;
      store.feed(page.rows);
    } catch (problem) {
      error = problem;
    }
    loading = false;
    draw();
  }

  const path = change => {
    if (change.sub.includes(':') && change.kind.startsWith('circuit')) return circuitPath(change.sub);
    const [service, id] = change.sub.split('/');
    if (/^https?:/.test(change.sub) || change.kind.startsWith('node') || !service) return null;
    return id && store.services.has(service) ? `${servicePath(service)}?open=${encodeURIComponent(id)}` : servicePath(service);
  };

  const sentence = line => `${said(line.change).text}${times(line)}`;
  const many = line => line.n > 1 && !times(line).endsWith('times');
  const subject = line => (many(line) ? line.service : line.change.sub);

  function drawRow(line) {
    const { change } = line, { mark } = said(change), now = store.now(), to = many(line) ? servicePath(line.service) : path(change);
    const why = cause(change);
    const where = html`${to ? html`<a href=${ctx.href(to)}>${subject(line)}</a>` : subject(line)}`;
    return html`<span role="cell" class="c-at">${when(line.at, now)}</span><span role="cell" class="c-mark">${glyph(mark, { named: false })}</span>
      <span role="cell" class="c-what" title=${many(line) ? line.all.map(one => one.sub.split('/')[1]).filter(Boolean).slice(0, 30).join(', ') : nothing}>${sentence(line)}</span>
      <span role="cell" class="c-sub mono">${where}</span><span role="cell" class="c-why mid" title=${why || nothing}>${why}</span><span role="cell" class="c-by dim">${change.by}</span><span role="cell" class="c-node dim" title=${change.node || nothing}>${change.node}</span>
      <span role="cell" class="c-facts"><span class="mono clip">${where}</span><span class="clip">${why}</span></span>`;
  }

  function save(changes) {
    const url = URL.createObjectURL(new Blob([lines(changes)], { type: 'application/x-ndjson' }));
    const link = document.createElement('a');
    link.href = url;
    link.download = 'changes.jsonl';
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  let chosen = [];
  function draw() {
    if (left) return;
    const text = query('q'), kind = query('kind'), now = store.now();
    const fits = belongs(kind);
    const { terms } = parse(text, GRAMMAR);
    chosen = store.changes.filter(change => fits(change) && passes(terms, item(change, now)));
    const inBrush = brush ? chosen.filter(change => change.at >= brush[0] && change.at <= brush[1]) : chosen;
    const isFresh = change => change.at >= upTo && !seen.has(change.id), fresh = inBrush.filter(isFresh).length;
    const shown = fold(fresh ? inBrush.filter(change => !isFresh(change)) : inBrush);
    const latest = store.changes[0];
    ctx.head({ title: 'Changes', sub: !loaded ? 'loading' : latest ? `the last one ${fmt.ago(latest.at, now)}` : 'none yet' });
    render(html`<section class="panel density" aria-label="When"><canvas role="img" aria-label="${fmt.count(chosen.filter(one => now - one.at < SPAN).length, 'change')} in the last 15 minutes"></canvas>
        <div class="ends"><span>15 min ago</span><span>${brush ? html`${fmt.time(brush[0])} to ${fmt.time(brush[1])}` : 'bars of 15 s; drag to look at a part'}</span><span>now</span></div></section>
      <section class="panel" aria-label="What happened"><div class="bar scroll">
        ${filterField({ text, label: 'Filter changes', placeholder: 'Filter: name, by:operator', grammar: GRAMMAR, change: value => ctx.ask({ q: value }) })}
        ${segments('Kind', KINDS.map(([value, label]) => [value, label]), kind, value => ctx.ask({ kind: value }, { push: true }))}
        ${brush ? html`<button class="btn" @click=${() => { brush = null; draw(); }}>${icon('close')}Whole time</button>` : nothing}
        <span class="grow"></span><span class="dim nowrap wide-only">${fmt.int(inBrush.length)} shown${more && loaded ? ', older on request' : ''}</span>
        <button class="btn quiet" @click=${() => save(inBrush)} ?disabled=${!inBrush.length}>${icon('download')}<span>Export</span></button></div>
      ${fresh ? html`<div class="fresh"><button class="btn solid" @click=${() => { upTo = Infinity; scrollTo(0, 0); draw(); }}>${icon('up')}${fmt.int(fresh)} new</button></div>` : nothing}
      <div class="grid-table" role="table" aria-label="Changes, newest first" data-alone=${store.nodes.size ? nothing : ''} aria-rowcount=${shown.length + 1}>
        <div class="lhead feed" role="row" aria-rowindex="1"><span role="columnheader">When</span><span role="columnheader" class="c-mark"><span class="sr">Kind</span></span><span role="columnheader">What</span><span role="columnheader">Who</span><span role="columnheader">Why</span><span role="columnheader">By</span><span role="columnheader" class="c-node">Seen by</span></div>
        <div role="rowgroup" class="rows"></div></div>
      ${loaded || error ? nothing : skeletonRows()}
      ${error ? empty({ title: 'Older changes could not be read', text: error.message, action: { label: 'Try again', act: () => load() } }) : nothing}
      ${loaded && !shown.length ? (text || kind || brush ? empty({ title: 'No change matches', text: html`Nothing fits <b>${text || 'this kind'}</b>${brush ? ' in this time' : ''}.`, action: { label: 'Clear filter', act: () => { brush = null; ctx.ask({ q: '', kind: '' }, { push: true }); draw(); } } }) : empty({ title: 'Nothing has happened yet', text: 'Registrations, status changes, circuits that open and what people do stand here, newest first.' })) : nothing}
      ${more && loaded && shown.length ? html`<div class="more-button"><button class="btn" ?disabled=${loading} @click=${() => load(store.changes.at(-1)?.id)}>Older changes</button></div>` : nothing}</section>`, root);
    list ??= new VList(root.querySelector('.rows'), { key: line => line.id, cls: 'feed', row: drawRow, height: () => (narrow.matches ? 64 : document.documentElement.dataset.density ? 28 : 36) });
    list.set(shown);
  }

  const scrolled = () => {
    if (scrollY > 40 && upTo === Infinity && store.changes.length) {
      upTo = store.changes[0].at;
      seen = new Set(store.changes.map(one => one.id));
    } else if (scrollY <= 40 && upTo !== Infinity) {
      upTo = Infinity;
      draw();
    }
  };
  addEventListener('scroll', scrolled, { passive: true });

  // Dragging over the bars chooses a part of the time.
  let from = null;
  const at = event => {
    const box = root.querySelector('.density canvas').getBoundingClientRect();
    return store.now() - SPAN + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * SPAN;
  };
  const down = event => { if (event.target.matches('.density canvas')) from = at(event); };
  const up = event => {
    if (from === null) return;
    const to = at(event);
    brush = Math.abs(to - from) < 5000 ? null : [Math.min(from, to), Math.max(from, to)];
    from = null;
    draw();
  };
  root.addEventListener('pointerdown', down);
  addEventListener('pointerup', up);

  const stop = [
    effect(() => {
      ctx.query.value;
      store.fed.value;
      draw();
    }),
    // Ages, and what is within a quarter of an hour, are another each second.
    store.tick.subscribe(() => { if (list) draw(); }),
    onPaint(() => {
      const canvas = root.querySelector('.density canvas');
      if (!canvas) return;
      const now = store.now(), step = STEPS / SPAN;
      const range = brush ? brush.map(one => (one - now + SPAN) * step) : [0, STEPS];
      bars(canvas, density(chosen, now, SPAN, STEPS), Math.floor(range[0]), Math.ceil(range[1]));
    }),
    ctx.keys({
      j: () => list?.step(1), k: () => list?.step(-1),
      0: () => { brush = null; draw(); },
      Enter: event => {
        if (event.target.closest('a, button')) return false;
        const node = event.target.closest('.lrow')?.querySelector('a');
        if (!node) return false;
        node.click();
        return true;
      },
    }),
  ];
  narrow.addEventListener('change', draw);
  load();
  return () => {
    left = true;
    for (const one of stop) one();
    list?.destroy();
    narrow.removeEventListener('change', draw);
    removeEventListener('scroll', scrolled);
    removeEventListener('pointerup', up);
    root.removeEventListener('pointerdown', down);
  };
}
