// Pieces of a service's page: the strip, what lies beside the list, what an open row shows.
import { html, nothing } from '../../vendor/lit-html/lit-html.js';
import { glyph, icon, tone, word, LETTERS } from '../ui/glyph.js';
import { change, leaseState, share, shareOf, shareWords, trouble, when } from '../ui/parts.js';
import { servicePath } from '../query.js';
import { skeletonStrip } from '../ui/empty.js';
import { versions } from './services_rules.js';
import * as fmt from '../fmt.js';

const MOST = 6;

export function strip(row, rows, store, name) {
  if (!row) return skeletonStrip();
  const zones = new Map();
  for (const one of rows) {
    const zone = zones.get(one.zone) ?? zones.set(one.zone, [0, 0]).get(one.zone);
    zone[0] += one.kind === 'up';
    zone[1] += 1;
  }
  const most = Math.max(1, ...[...zones.values()].map(([, all]) => all));
  const { main, share: part, all } = versions(row), bad = trouble(row, true);
  const state = leaseState(row.oldest, row.renewS ?? 30, row.ttlS ?? 90);
  return html`
    <div class="cell wide"><div class="k">In service</div><div class="v">${fmt.int(row.up)} <small>of ${fmt.int(row.total)}</small></div>
      <div class="viz">${share(shareOf(row), { label: shareWords(row) })}<div class="counts">${bad.length ? bad : html`<span class="dim">all are up</span>`}</div></div></div>
    <div class="cell"><div class="k">Zones</div><div class="viz zones">${zones.size ? [...zones].sort().slice(0, 4).map(([zone, [up, total]]) => html`<div><span class="dim clip">${zone || 'none'}</span>${share([[up, 'f-up'], [total - up, 'f-track'], [most - total, 'f-none']], { thin: true })}<span class="num">${up}</span></div>`) : html`<span class="dim">${fmt.DASH}</span>`}${zones.size > 4 ? html`<span class="dim">and ${zones.size - 4} more</span>` : nothing}</div></div>
    <div class="cell"><div class="k">Versions</div>${main ? html`<div class="v"><span class="mono">${main}</span> <small>${part}%</small></div>
      <div class="viz">${share(all.map(([, n], i) => [n, i ? 'f-rest' : 'f-up']))}<div class="counts">${all.slice(0, 3).map(([version, n]) => html`<span class="clip"><span class="mono dim">${version}</span> ${n}</span>`)}</div></div>` : html`<div class="viz"><span class="dim" title="Metadata version is not set">none given</span></div>`}</div>
    <div class="cell"><div class="k"><span>Calls per second</span><span>2 min</span></div><div class="v" data-live="rate"></div><div class="viz"><canvas aria-hidden="true"></canvas></div></div>
    <div class="cell"><div class="k">Lease</div><div class="viz"><dl class="facts-list"><div><dt>Renews every</dt><dd>${fmt.duration(row.renewS)}</dd></div><div><dt>Expires after</dt><dd>${fmt.duration(row.ttlS)}</dd></div>
      <div><dt>Oldest heartbeat</dt><dd class=${state === 'gone' ? 't-bad strong' : state ? 't-warn strong' : ''} data-live="oldest"></dd></div></dl></div></div>`;
}

const RANK = 'OFHLMDC';

/** [caller, target, calls/s, worst state, circuits, of them in that state]; counted from the circuits we know. */
function counted(edge, store) {
  const rows = [...store.circuits.values()].filter(row => row.from === edge[0] && row.to === edge[1]);
  if (!rows.length) return [...edge.slice(0, 4), 0, 0];
  const worst = rows.map(row => row.state).sort((a, b) => RANK.indexOf(a) - RANK.indexOf(b))[0];
  return [edge[0], edge[1], rows.reduce((sum, row) => sum + row.rate, 0), worst, rows.length, rows.filter(row => row.state === worst).length];
}

function edges(given, side, ctx) {
  const list = given.map(edge => counted(edge, ctx.store));
  const sorted = [...list].sort((a, b) => RANK.indexOf(a[3]) - RANK.indexOf(b[3]) || b[2] - a[2]);
  return html`${sorted.slice(0, MOST).map(edge => {
    const state = LETTERS[edge[3]] ?? 'closed', other = edge[side], [, , rate, , n, bad] = edge;
    return html`<li>${glyph(state, { size: 12 })}<a class="grow clip" href=${ctx.href(servicePath(other))}>${other}</a>
      <span class="nowrap ${state === 'closed' ? 'dim' : `t-${tone(state)}`}">${state === 'closed' ? (n ? fmt.count(n, 'circuit') : '') : `${bad} of ${n} ${word(state).toLowerCase()}`}</span><span class="num nowrap">${fmt.rate(rate)}/s</span></li>`;
  })}${sorted.length > MOST ? html`<li class="dim">and ${sorted.length - MOST} more</li>` : nothing}`;
}

/** Why it happened: who did it and why, if it was somebody, else what was told. */
const said = ({ text, by, reason }) => (reason ? `by ${by}: ${reason}` : text);

export function aside(data, store, ctx, name) {
  if (!data) return nothing;
  const now = store.now();
  const changes = [...new Map([...store.changes.filter(one => one.sub === name || one.sub.startsWith(`${name}/`) || one.sub.includes(`/${name}:`)), ...(data.changes ?? [])].map(one => [one.id, one])).values()].sort((a, b) => b.at - a.at).slice(0, 5);
  const here = ({ sub, kind }) => (sub.startsWith(`${name}/`) && !kind.startsWith('circuit') ? sub.slice(name.length + 1) : sub.replace(`/${name}:`, ' \u2192 here, ').replace(`${name}/`, 'here \u2192 '));
  const circuits = store.features.value.has('circuits');
  return html`${circuits ? html`<section class="panel"><div class="panel-h"><h2>Called by</h2><span class="grow"></span><a href=${ctx.href(`topology?q=${encodeURIComponent(name)}`)}>Graph</a></div>
      <ul class="list">${data.callers?.length ? edges(data.callers, 0, ctx) : html`<li class="dim">No caller heard of</li>`}</ul></section>
    <section class="panel"><div class="panel-h"><h2>Calls</h2></div><ul class="list">${data.calls?.length ? edges(data.calls, 1, ctx) : html`<li class="dim">Calls no other service</li>`}</ul></section>` : nothing}
    <section class="panel"><div class="panel-h"><h2>Recent changes</h2><span class="grow"></span><a href=${ctx.href(`changes?q=${encodeURIComponent(name)}`)}>All</a></div>
      <ul class="list happened">${changes.length ? changes.map(one => {
        const { mark, text } = change(one);
        return html`<li>${glyph(mark, { size: 12, named: false })}<div class="grow"><b>${text}</b> <span class="dim">${when(one.at, now)}</span><p class="mono">${here(one)}</p>${said(one) ? html`<p>${said(one)}</p>` : nothing}</div></li>`;
      }) : html`<li class="dim">Nothing lately</li>`}</ul></section>`;
}

/** A text; a link if it is the address of a page. What every link begins with is left out. */
const value = (text, base = '') => {
  const address = fmt.link(text);
  return address ? html`<a href=${address} title=${text} target="_blank" rel="noopener noreferrer">${base && text.startsWith(base) ? text.slice(base.length) || '/' : text}</a>` : text;
};

/** What an open row shows. `acts`: back, out, override, deregister. */
export function details(row, ctx, store, acts) {
  const now = store.now(), locked = ctx.locked(), told = row.override;
  const button = (label, act, mark) => html`<button class="btn" aria-disabled=${locked ? 'true' : nothing} title=${locked || nothing} @click=${() => (locked ? ctx.toast(`${locked}.`) : act())}>${locked ? icon('lock') : mark}${label}</button>`;
  const { version, ...meta } = row.meta ?? {};
  const facts = [
    ['Own status', row.own], ['Override', row.over ?? 'none'], ['Registered', row.since ? when(row.since, now) : fmt.DASH], ['Zone', row.zone || fmt.DASH], ['Version', row.version || version || fmt.DASH],
    ['Renews, expires', `${fmt.duration(row.renewS)}, ${fmt.duration(row.ttlS)}`],
    ...Object.entries(row.links ?? {}).map(([name, url]) => [{ home: 'Home page', health: 'Health check', status: 'Status page' }[name] ?? name, value(url, (row.url ?? '').replace(/\/$/, ''))]),
  ];
  const changes = store.changes.filter(one => one.sub.endsWith(`/${row.id}`)).slice(0, 10);
  // After a restart, or of another node's, only the status is known: its end is kept by whoever was asked for it.
  const ends = told?.until ? ` It ends by itself in ${fmt.duration((told.until - now) / 1000)}.` : told ? ' It stays until somebody puts it back.'
    : ' Who set it and until when is not known here: it came by Eureka\u2019s own API, from another node, or from before a restart of this registry.';
  return html`<div class="inst-more">
    ${row.over ? html`<div class="said"><p><span class="strong">Set to ${row.over.toLowerCase().replaceAll('_', ' ')}${told ? ` by ${told.by || 'an operator'}, ${fmt.ago(told.at, now)}` : ''}.</span> <span class="mid">${told?.reason ? `Reason given: ${told.reason}. ` : ''}The instance itself reports ${(row.own ?? 'unknown').toLowerCase().replaceAll('_', ' ')}${row.late ? '' : ' and keeps renewing'}.${ends}</span></p>${button('Put back in service', acts.back, glyph('up', { size: 12, named: false }))}</div>`
      : html`<div class="acts">${button('Take out of service', acts.out, glyph('out', { size: 12, named: false }))}${button('Set another status', acts.override, icon('pin'))}${button('Deregister', acts.deregister, icon('close'))}</div>`}
    ${row.confirmed === false ? html`<p class="mid">It was read from the snapshot and has not been heard from since.</p>` : nothing}
    <dl class="kv">${facts.map(([name, text]) => html`<div><dt>${name}</dt><dd class="mono">${text}</dd></div>`)}
      ${Object.entries(meta).sort().map(([name, text]) => html`<div><dt title=${name}>${name}</dt><dd class="mono">${value(String(text))}</dd></div>`)}</dl>
    ${changes.length ? html`<div><h3>Last changes</h3><ul class="happened">${changes.map(one => {
      const { mark, text } = change(one);
      return html`<li>${glyph(mark, { size: 12, named: false })}<span><b>${text}</b> <span class="dim">${when(one.at, now)}</span> ${said(one)}</span></li>`;
    })}</ul></div>` : nothing}</div>`;
}
