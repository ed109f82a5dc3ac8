// The five cells above the list of services.
import { html, nothing } from '../../vendor/lit-html/lit-html.js';
import { text as write } from '../paint.js';
import { counted } from '../ui/glyph.js';
import { PARTS, share, shareOf, shareWords, trouble } from '../ui/parts.js';
import { comings } from '../ui/plots.js';
import { flow } from './services_rules.js';
import * as fmt from '../fmt.js';

function totals(store) {
  const sum = { total: 0 };
  for (const [, key] of PARTS) sum[key] = 0;
  for (const row of store.services.values()) {
    sum.total += row.total;
    for (const [, key] of PARTS) sum[key] += row[key] ?? 0;
  }
  return sum;
}

function nodes(store) {
  const all = [...store.nodes.values()], well = all.filter(node => node.state === 'ok').length;
  if (!all.length) {
    return html`<div class="v">1 <small>no peers</small></div><div class="viz"><span class="dim clip">${store.hello?.node ?? fmt.DASH}</span></div>`;
  }
  // The port only where it is what tells them apart.
  const bare = all.map(node => node.name.replace(/^https?:\/\//, '').replace(/\/.*$/, '')), hosts = bare.map(one => one.replace(/:\d+$/, ''));
  const unique = new Set([...hosts, store.hello?.node.replace(/:\d+$/, '')]).size > all.length;
  const name = node => (unique ? hosts : bare)[all.indexOf(node)];
  const own = unique ? store.hello?.node.replace(/:\d+$/, '') : store.hello?.node;
  return html`<div class="v">${well + 1} of ${all.length + 1} <small>${well === all.length ? 'in step' : 'answer'}</small></div>
    <div class="viz nodes"><div class="self"><div class="dim clip">${own ?? 'this one'}</div><div class="clip">this one</div></div>
    ${all.slice(0, 2).map(node => html`<div><div class="dim clip">${name(node)}</div><div class="clip ${node.state === 'ok' ? '' : 't-bad'}">${node.state === 'ok' ? `${node.lag.toFixed(1)} s behind` : 'no answer'}</div></div>`)}
    ${all.length > 2 ? html`<div><div class="dim">and ${all.length - 2}</div><div>more</div></div>` : nothing}</div>`;
}

function circuits(store, ctx) {
  const tally = store.tally(), total = store.circuits.size, forced = tally.F + tally.L;
  if (!total) return html`<div class="k">Circuits open</div><div class="v dim">${fmt.DASH}</div><div class="viz"><span class="dim">No circuits yet</span></div>`;
  return html`<div class="k">Circuits open</div><div class="v">${tally.O} <small>of ${fmt.int(total)}</small></div>
    <div class="viz"><div class="counts">${[['open', tally.O], ['half', tally.H], ['forced-open', forced]].filter(([, n]) => n).map(([state, n]) => counted(state, n))}<span class="wide-only">${counted('closed', fmt.int(tally.C))}</span></div></div>`;
}

export function strip(store, ctx) {
  const sum = totals(store), { plus, minus } = flow(store.changes, store.now());
  const bad = trouble(sum);
  return html`
    <div class="cell wide" data-cell="up"><div class="k">Instances up</div><div class="v">${fmt.int(sum.up)} <small>of ${fmt.int(sum.total)}</small></div>
      <div class="viz">${share(shareOf(sum), { label: shareWords(sum) })}<div class="counts">${bad.length ? bad : html`<span class="dim">all are up</span>`}</div></div></div>
    <div class="cell" data-cell="beats"><div class="k">Heartbeats per minute</div><div class="v"><span data-live="beats"></span> <small data-live="want"></small></div>
      <div class="viz"><div class="bullet" role="img"><span class="share"><i class="f-up"></i></span></div><div class="ends"><span data-live="share"></span><span class="dim" data-live="limit"></span></div></div></div>
    <div class="cell" data-cell="flow"><div class="k">Changes, 15 min</div><div class="v">+${fmt.int(plus)} <small>joined</small> \u2212${fmt.int(minus)} <small>left</small></div>
      <div class="viz"><canvas class="flow" role="img" aria-label="${plus} joined and ${minus} left in the last 15 minutes"></canvas></div></div>
    <div class="cell" data-cell="nodes"><div class="k">Registry nodes</div>${nodes(store)}</div>
    ${store.features.value.has('circuits') || ctx.peers.circuits ? html`<a class="cell" data-cell="circuits" href=${ctx.href('circuits')}>${circuits(store, ctx)}</a>` : nothing}`;
}

/** What moves each second. */
strip.paint = (root, store) => {
  const cell = root.querySelector('[data-cell="beats"]');
  if (!cell) return;
  const { min = null, want = 0, limit = .85 } = store.beats ?? {};
  const part = want ? min / want : null;
  const live = key => cell.querySelector(`[data-live="${key}"]`);
  write(live('beats'), fmt.int(min));
  write(live('want'), want ? `of ${fmt.int(want)}` : '');
  write(live('share'), part === null ? 'none due' : `${fmt.percent(Math.min(100, part * 100))}%`);
  write(live('limit'), `limit ${Math.round(limit * 100)}%`);
  const bullet = cell.querySelector('.bullet');
  bullet.style.setProperty('--w', `${Math.min(100, (part ?? 0) * 100).toFixed(1)}%`);
  bullet.style.setProperty('--limit', `${limit * 100}%`);
  // Amber only once the registry itself draws the conclusion: right after a start few heartbeats are normal.
  bullet.classList.toggle('low', part !== null && part < limit && (store.notices.has('protection') || store.notices.has('protection_off')));
  bullet.setAttribute('aria-label', part === null ? 'no heartbeats due' : `${fmt.percent(part * 100)} percent, limit ${Math.round(limit * 100)} percent`);
  const canvas = root.querySelector('canvas.flow');
  const { joined, left } = flow(store.changes, store.now());
  comings(canvas, joined, left);
};
