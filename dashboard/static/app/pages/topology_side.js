// The chosen service in words: facts, who feels it, who calls it, what it calls, what is not closed.
import { html, nothing } from '../../vendor/lit-html/lit-html.js';
import * as fmt from '../fmt.js';
import { reach } from '../graph.js';
import { circuitPath, servicePath } from '../query.js';
import { glyph, icon } from '../ui/glyph.js';
import { byNeed, node } from './topology_data.js';
import { name as words, state } from './circuits_words.js';

const LONG = 40;

/** The sentence on who feels it if this service fails. */
export function blast(name, all) {
  const pairs = [...all.values()].map(edge => [edge.from, edge.to]), callers = reach(pairs, name), called = new Set(pairs.map(pair => pair[1]));
  const first = [...callers].filter(one => !called.has(one)).sort();
  if (!callers.size) return { n: 0, callers, text: 'Nobody calls it through a circuit.' };
  const among = first.length ? `, among them ${first.length > 3 ? `${first.slice(0, 3).join(', ')} and ${fmt.count(first.length - 3, 'more entry', 'more entries')}` : fmt.list(first)}` : '';
  return { n: callers.size, callers, text: among };
}

const line = (edge, other, ctx) => {
  const one = state(edge.letter);
  return html`<li>${glyph(one.glyph, { size: 12 })}<a class="clip grow strong-link" href=${ctx.choose(other)}>${other}</a>${edge.troubled ? html`<span class="t-${one.tone}">${edge.worst} ${one.word.toLowerCase()}</span>` : nothing}<span class="num rate">${fmt.rate(edge.rate)}/s</span></li>`;
};
const list = (edges, other, none, ctx) => html`<ul class="list">${edges.length ? edges.slice(0, LONG).map(edge => line(edge, edge[other], ctx)) : html`<li class="dim">${none}</li>`}${edges.length > LONG ? html`<li class="dim">${edges.length - LONG} more</li>` : nothing}</ul>`;

export function parts(name, all, store) {
  const edges = [...all.values()].sort(byNeed);
  return { callers: edges.filter(edge => edge.to === name), calls: edges.filter(edge => edge.from === name), one: node(name, store.services.get(name), all), blast: blast(name, all) };
}

const head = (name, one, ctx) => html`<div class="side-h">${glyph(one.mark)}<h2 class="clip">${name}</h2>${one.row ? html`<a class="btn quiet icon" href=${ctx.href(servicePath(name))} aria-label="Open the page of ${name}" title="Open its page">${icon('external')}</a>` : nothing}</div>`;

function facts(one) {
  const versions = Object.entries(one.row?.ver ?? {}).sort((a, b) => b[1] - a[1]);
  return html`<dl class="side-facts"><div><dt>Up</dt><dd>${one.row?.total ? `${one.row.up} of ${one.row.total}` : fmt.DASH}</dd></div><div><dt>Calls/s</dt><dd>${fmt.rate(one.rate)}</dd></div>
    <div><dt>Version</dt><dd class="mono clip" title=${versions.map(([version, n]) => `${version}: ${n}`).join(', ') || nothing}>${versions[0]?.[0] || fmt.DASH}</dd></div></dl>`;
}

const felt = found => html`<p class="felt">${found.n ? html`If it fails, <b>${fmt.count(found.n, 'service')}</b> can feel it${found.text}.` : found.text}</p>`;

function troubled(name, store, ctx) {
  const rows = [...store.circuits.values()].filter(row => row.to === name && !'CMD'.includes(row.state)).sort((a, b) => state(b.state).rank - state(a.state).rank || (b.err ?? -1) - (a.err ?? -1));
  if (!rows.length) return html`<ul class="list"><li class="dim">None</li></ul>`;
  return html`<ul class="list">${rows.slice(0, LONG).map(row => html`<li>${glyph(state(row.state).glyph, { size: 12 })}<a class="grow clip" href=${ctx.href(circuitPath(row.id))}><span class="strong-link">${words(row)[1] || row.cmd}</span> <span class="dim">from ${row.from}</span></a><span class="num">${fmt.percent(row.err)}${row.err === null ? '' : '%'}</span></li>`)}</ul>`;
}

export function side(name, all, store, ctx) {
  const { callers, calls, one, blast: found } = parts(name, all, store);
  return html`<div class="side-top">${head(name, one, ctx)}${facts(one)}${felt(found)}</div>
    <h3>Called by</h3>${list(callers, 'from', 'No caller seen', ctx)}
    <h3>Calls</h3>${list(calls, 'to', 'Calls no other service', ctx)}
    <h3>Circuits not closed</h3>${troubled(name, store, ctx)}`;
}

/** For narrow screens: callers above, the service, callees below. */
export function ego(name, all, store, ctx) {
  const { callers, calls, one, blast: found } = parts(name, all, store);
  return html`<div class="hop"><h3>Called by ${callers.length}</h3><div class="panel">${list(callers, 'from', 'No caller seen', ctx)}</div></div>
    <div class="panel focus">${head(name, one, ctx)}${facts(one)}${felt(found)}</div>
    <div class="hop"><h3>Calls ${calls.length}</h3><div class="panel">${list(calls, 'to', 'Calls no other service', ctx)}</div></div>`;
}

/** Nothing chosen. */
export const overview = (all, n) => html`<div class="side-top"><h2>${n ? `${fmt.count(n, 'path')} in trouble` : 'All circuits are closed'}</h2>
  <p class="felt">Choose a service to see who calls it, what it calls, and who feels it if it fails. Arrow keys follow the lines.</p></div>`;

/** The same edges in rows. */
export function table(all, ctx) {
  const rows = [...all.values()].sort(byNeed);
  return html`<section class="panel"><div class="scroll-x"><table class="tbl paths"><thead><tr><th class="i-mark"><span class="sr">State</span></th><th scope="col">Caller</th><th scope="col">Calls</th><th scope="col">Worst circuit</th><th class="num" scope="col">Circuits</th><th class="num" scope="col">Calls/s</th><th class="num" scope="col">Errors</th></tr></thead>
    <tbody>${rows.slice(0, 600).map(edge => {
    const one = state(edge.letter), calm = !edge.troubled;
    return html`<tr><td>${glyph(one.glyph)}</td><td><a href=${ctx.choose(edge.from)}>${edge.from}</a></td><td><a class="strong-link" href=${ctx.choose(edge.to)}>${edge.to}</a></td>
      <td class=${calm ? 'dim' : `strong t-${one.tone}`}>${calm ? 'closed' : `${edge.worst} of ${edge.circuits} ${one.word.toLowerCase()}`}</td><td class="num">${edge.circuits}</td><td class="num">${fmt.rate(edge.rate)}</td><td class="num ${edge.err >= 5 ? 't-warn' : edge.err > 0 ? '' : 'z'}">${fmt.percent(edge.err)}${edge.err === null ? '' : '%'}</td></tr>`;
  })}</tbody></table></div></section>`;
}
