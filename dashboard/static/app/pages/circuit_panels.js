// What stands below the charts: where the calls go, who calls, settings, failures, and what happened.
import { html, nothing } from '../../vendor/lit-html/lit-html.js';
import * as fmt from '../fmt.js';
import { glyph } from '../ui/glyph.js';
import { kind, LETTER } from './circuit_box.js';
import { errorTone, state } from './circuits_words.js';

// What a balancer thinks of an instance: mark, tone, words.
const BALANCED = {
  healthy: ['up', 'mid', 'in rotation'],
  in: ['up', 'mid', 'in rotation'],
  warming: ['starting', 't-info', 'warming up'],
  probation: ['half', 't-warn', 'trial after ejection'],
  ejected: ['ejected', 't-held', 'ejected'],
  draining: ['out', 't-off', 'out of service'],
};
const MOST = 50;

/** A bar with its number. Its length is written by `measure`. */
const bar = (value, share, tone = '') => html`<span class="ebar wide"><i class=${tone ? `e-${tone}` : ''} style-w=${Math.max(0, Math.min(100, share || 0))}></i><span class="num ${tone === 'bad' ? 't-bad strong' : ''}">${value}</span></span>`;

function words(one, now) {
  const [mark, tone, text] = BALANCED[one.bal] ?? BALANCED.healthy, where = one.of > 1 && one.on < one.of ? ` in ${one.on} of ${one.of} callers` : '';
  const back = one.backAt && one.backAt > now ? `, back in ${fmt.duration((one.backAt - now) / 1000)}` : '';
  return { mark, tone, text: text + where + back };
}

const okTone = ok => (ok === null ? '' : ok < 60 ? 'bad' : ok < 95 ? 'warn' : '');
const share = n => (n ? `${n >= 10 ? n.toFixed(1) : n.toFixed(1)}%` : '0');

/** The target's instances, as the balancers of the callers see them. */
export function instances(all, target, now, narrow) {
  if (!all) return html`<p class="panel-note">Asking the callers.</p>`;
  if (!all.length) return html`<p class="panel-note">${target ? `No caller has told how it balances calls to ${target}. Calls that do not go by name are not balanced.` : 'These calls do not go to a registered service by name.'}</p>`;
  const rows = all.slice(0, MOST), most = Math.max(1, ...all.map(one => one.ewma ?? 0)), shares = Math.max(1, ...all.map(one => one.share));
  const known = { ok: all.some(one => one.ok !== null), run: all.some(one => one.run !== null), zone: new Set(all.map(one => one.zone)).size > 1 };
  if (narrow) {
    return html`<ul>${rows.map(one => {
      const { mark, tone, text } = words(one, now);
      return html`<li class="rowcard">${glyph(mark)}<span class="mono strong clip">${one.id}</span><span class=${okTone(one.ok) ? `strong t-${okTone(one.ok)}` : ''}>${one.ok === null ? share(one.share) : `${fmt.percent(one.ok)}% ok`}</span>
        <span class="wide"><span class=${tone}>${text}</span><span>${fmt.latency(one.ewma)}</span><span class="dim">${one.zone}</span></span></li>`;
    })}</ul>`;
  }
  return html`<table class="tbl"><thead><tr><th class="i-mark"><span class="sr">State</span></th><th class="i-id ${known.ok ? '' : 'roomy'}" scope="col">Instance</th>${known.zone ? html`<th class="i-zone" scope="col">Zone</th>` : nothing}<th scope="col">In the balancer</th>
    ${known.ok ? html`<th class="i-ok" scope="col">Success</th>` : nothing}<th class="i-ewma" scope="col" title="Moving average in which what was learnt fades to 37% in 10 s">Latency, average</th><th class="num i-fly" scope="col">In flight</th>
    ${known.run ? html`<th class="num i-run" scope="col">Failed in a row</th>` : nothing}<th class="i-share" scope="col" title="Of the calls of the last 30 s">Share of calls</th></tr></thead>
    <tbody>${rows.map(one => {
    const { mark, tone, text } = words(one, now), slow = one.ewma > most * .5 && one.ewma > 200;
    return html`<tr><td>${glyph(mark)}</td><td class="mono strong" title=${one.id}>${one.id}</td>${known.zone ? html`<td class="mid">${one.zone}</td>` : nothing}<td class="i-bal ${tone}" title=${[text, one.why].filter(Boolean).join('; ')}>${text}${one.why && one.bal !== 'healthy' ? html` <span class="dim clip">${one.why}</span>` : nothing}</td>
      ${known.ok ? html`<td>${bar(one.ok === null ? fmt.DASH : `${fmt.percent(one.ok)}%`, one.ok, okTone(one.ok))}</td>` : nothing}
      <td>${bar(fmt.latency(one.ewma), (one.ewma ?? 0) / most * 100, slow ? 'warn' : '')}</td><td class="num ${one.fly ? '' : 'z'}">${fmt.int(one.fly)}</td>
      ${known.run ? html`<td class="num ${one.run ? '' : 'z'}">${fmt.int(one.run)}</td>` : nothing}<td>${bar(share(one.share), one.share / shares * 100)}</td></tr>`;
  })}</tbody></table>${all.length > MOST ? html`<p class="panel-note">${fmt.int(all.length - MOST)} more, all calmer than these.</p>` : nothing}`;
}

const RANK = { F: 0, L: 0, O: 1, H: 2 };

/** The same by calling host; `act(host)` offers what can be done on one alone. */
export function hosts(all, now, act, locked) {
  if (!all?.length) return html`<p class="panel-note">No caller has been heard lately.</p>`;
  const rows = [...all].sort((a, b) => (RANK[a.state] ?? 3) - (RANK[b.state] ?? 3) || (b.errorPercent ?? -1) - (a.errorPercent ?? -1) || (a.process < b.process ? -1 : 1)).slice(0, MOST);
  return html`<table class="tbl hosts"><thead><tr><th class="i-mark"><span class="sr">State</span></th><th scope="col">Calling host</th><th class="i-ok" scope="col">State</th><th class="i-ok" scope="col">Errors</th><th class="num i-fly" scope="col">Calls/s</th><th class="num i-fly" scope="col">Refused</th><th class="num i-fly" scope="col">In flight</th><th class="i-fly"><span class="sr">Actions</span></th></tr></thead>
    <tbody>${rows.map(one => {
    const mark = state(one.state), tone = errorTone(one.errorPercent);
    return html`<tr><td>${glyph(one.silent ? 'unknown' : mark.glyph)}</td><td class="mono strong" title=${one.lastError || one.process}>${one.process}</td><td class=${one.state === 'C' ? 'mid' : `t-${mark.tone}`}>${one.silent ? 'silent' : `${mark.word.toLowerCase()} ${fmt.duration(one.sinceS)}`}</td>
      <td>${bar(one.errorPercent === null ? fmt.DASH : `${fmt.percent(one.errorPercent)}%`, one.errorPercent, tone)}</td><td class="num">${fmt.rate(one.rate)}</td><td class="num ${one.refused ? '' : 'z'}">${fmt.int(one.refused)}</td><td class="num ${one.inFlight ? '' : 'z'}">${fmt.int(one.inFlight)}</td>
      <td><button type="button" class="btn small quiet" aria-label="Act on ${one.process} only" title=${locked || `Act on ${one.process} only`} aria-disabled=${locked ? 'true' : nothing} aria-haspopup="menu" @click=${event => act(event, one)}>Act</button></td></tr>`;
  })}</tbody></table>${all.length > MOST ? html`<p class="panel-note">${fmt.int(all.length - MOST)} more.</p>` : nothing}`;
}

const row = one => html`<tr title=${one.name}><td class="mid">${one.label}</td><td><span class="strong">${one.value}</span><span class="src ${one.live ? 'tuned' : ''}">${one.source}</span></td></tr>`;
export function settings({ first, rest }, differ) {
  if (!first.length && !rest.length) return html`<p class="panel-note">This caller has not told its settings.</p>`;
  return html`${differ ? html`<p class="panel-note t-warn">Hosts differ in their settings; these are those of one of them.</p>` : nothing}<table class="tbl set"><tbody>${first.map(row)}</tbody></table>
    ${rest.length ? html`<details class="as-table"><summary>${fmt.count(rest.length, 'more setting')}, all by default</summary><table class="tbl set"><tbody>${rest.map(row)}</tbody></table></details>` : nothing}`;
}

/** What failed lately, by kind. The texts are others': shown as text, cut by the server. */
export function failures(found, now) {
  if (!found?.length) return html`<p class="panel-note">None lately.</p>`;
  return html`<ul class="events">${found.map(one => html`<li>${glyph('left', { named: false })}<span><b class="strong">${kind(one.kind)}</b><span class="text">${one.last}</span></span>
    ${one.n ? html`<b class="num" title="In the last five to ten minutes">${fmt.int(one.n)}</b>` : one.at ? html`<time datetime=${fmt.iso(one.at)} title=${fmt.stamp(one.at)}>${fmt.ago(one.at, now)}</time>` : nothing}</li>`)}</ul>`;
}

export const letter = word => LETTER[word] ?? (state(word).glyph && word.length === 1 ? word : 'C');

/** Why it turned, in a few words. */
function cause(why) {
  switch (why?.rule) {
    case 'error_rate': return `${fmt.percent(why.value)}% of ${fmt.count(why.calls, 'call')} failed`;
    case 'slow_rate': return `${fmt.percent(why.value)}% of ${fmt.count(why.calls, 'call')} were slow`;
    case 'fail_max': return `${fmt.int(why.value)} calls in a row failed`;
    case 'trial': return 'a trial failed';
    case 'hand': return why.reason || 'by hand';
    default: return '';
  }
}

export function turns(all, now) {
  if (!all?.length) return html`<p class="panel-note">No change since it was first seen.</p>`;
  return html`<ul class="events">${all.slice(0, 12).map(one => {
    const to = state(letter(one.to)), text = one.reason || cause(one.why);
    return html`<li>${glyph(to.glyph, { named: false })}<span><b class="strong">${to.word}</b>${one.by ? ` by ${one.by}` : ''}<span class="text">${text}</span></span><time datetime=${fmt.iso(one.at)} title=${fmt.stamp(one.at)}>${fmt.ago(one.at, now)}</time></li>`;
  })}</ul>`;
}

export function measure(root) {
  for (const node of root.querySelectorAll('[style-w]')) {
    const wide = `${node.getAttribute('style-w')}%`;
    if (node.wide !== wide) node.style.setProperty('--w', node.wide = wide);
  }
}
