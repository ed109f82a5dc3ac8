// The state in large, why it opened, and the state machine with this circuit's own numbers.
import { html, nothing, svg } from '../../vendor/lit-html/lit-html.js';
import * as fmt from '../fmt.js';
import { glyph, icon } from '../ui/glyph.js';
import { setting } from './circuit_data.js';
import { state } from './circuits_words.js';

const SHARES = [['O', 'bad'], ['H', 'warn'], ['F', 'held'], ['L', 'held'], ['D', 'off'], ['M', 'off'], ['C', 'up']];
const part = (n, kind) => (n ? html`<i class="f-${kind}" style-n=${n}></i>` : nothing);
const pct = n => `${fmt.percent(n)}%`;

/** Hosts by state, from whatever is known: letters with numbers. */
export function hostsBy(row, answer) {
  const said = row.hostsBy ?? answer?.states ?? row.states;
  const found = said && !Array.isArray(said) ? { ...said } : { [row.state]: row.inState || row.hosts || 1 };
  return SHARES.filter(([letter]) => found[letter] > 0).map(([letter, kind]) => [letter, kind, found[letter]]);
}

/** The rules that open a circuit come first; the order of the others stays. */
const FIRST = ['min_calls', 'slow_rate', 'error_rate'];
const why = { error_rate: 'of attempted calls failed; it opens at', slow_rate: 'of calls were slow; it opens at' };

function rule(one, row, answer) {
  const { rule: name, value, limit, met } = one, open = 'OH'.includes(row.state);
  const mark = met && open ? glyph('open', { named: false }) : met ? icon('check', 't-ok') : icon('minus', 't-off');
  if (why[name]) {
    if (limit >= 100 && name === 'slow_rate') return html`<li>${icon('minus', 't-off')}<span>Slow calls are measured but can\u2019t open it.</span></li>`;
    return html`<li>${mark}<span><b>${value === null || value === undefined ? 'Nothing' : pct(value)}</b> ${value === null || value === undefined ? 'was attempted lately; it opens at' : why[name]} ${fmt.percent(limit).replace('.0', '')}%
      <span class="bullet" style-limit=${limit} data-v=${value ?? 0}><span class="share"><i class=${met ? 'f-bad' : 'f-up'}></i></span></span></span></li>`;
  }
  if (name === 'min_calls' || name === 'calls') {
    const per = fmt.duration((row.windowMs ?? answer?.windowMs ?? 10_000) / 1000);
    return html`<li>${met ? icon('check', 't-ok') : icon('minus', 't-off')}<span><b>${fmt.int(value)}</b> calls in ${per}; at least ${fmt.int(limit)} are needed to judge</span></li>`;
  }
  if (name === 'max_concurrent') {
    return html`<li>${met ? icon('clock', 't-warn') : icon('minus', 't-off')}<span><b>${fmt.int(value)}</b> in flight of ${fmt.int(limit)}${met ? '; some were turned away' : ''}</span></li>`;
  }
  return html`<li>${icon('minus', 't-off')}<span>${name.replaceAll('_', ' ')}: <b>${fmt.int(value)}</b>, limit ${fmt.int(limit)}</span></li>`;
}

/** The kinds of failures in the window, most first, in percent of all of them. */
function failures(row, answer) {
  const found = answer?.failures;
  const counts = found?.counts ?? { failure: row.counts[1], timeout: row.counts[3], rejected: row.counts[4] };
  const rows = [['timeout', counts.timeout], ['failure', counts.failure], ['turned away', counts.rejected]].filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  const sum = rows.reduce((all, [, n]) => all + n, 0);
  if (!sum) return nothing;
  return html`<li>${icon('clock', 't-off')}<span>Failures: ${rows.map(([word, n], i) => html`${i ? ', ' : ''}${i ? `${word} ${Math.round(n / sum * 100)}%` : html`<b>${word} ${Math.round(n / sum * 100)}%</b>`}`)}</span></li>`;
}

function opened(row, answer) {
  const last = row.why ?? answer?.why;
  if (!last || !'OH'.includes(row.state)) return nothing;
  const limit = last.limit === null || last.limit === undefined ? '' : `; the limit is ${fmt.percent(last.limit).replace('.0', '')}%`;
  const text = {
    error_rate: `${pct(last.value)} of ${fmt.count(last.calls, 'call')} had failed when it opened${limit}.`,
    slow_rate: `${pct(last.value)} of ${fmt.count(last.calls, 'call')} were slow when it opened${limit}.`,
    fail_max: `${fmt.int(last.value)} calls in a row failed; the limit is ${fmt.int(last.limit)}.`,
    trial: 'A trial failed, so it opened again.',
  }[last.rule] ?? last.text ?? '';
  return text ? html`<li>${glyph('open', { named: false })}<span>${text}</span></li>` : nothing;
}

/** Headline of the middle: the question that the state raises. */
const question = letter => ({ O: 'Why it opened', H: 'Why it opened', F: 'What it measures while held open', L: 'What it measures while held closed', D: 'What it measures' }[letter] ?? 'What would open it');

export function box(row, answer, now) {
  const one = state(row.state), hosts = row.hosts || 1, by = hostsBy(row, answer), rules = [...answer?.rules ?? []].sort((a, b) => FIRST.indexOf(b.rule) - FIRST.indexOf(a.rule));
  const age = row.since ? fmt.duration((now - row.since) / 1000) : null;
  const on = hosts > 1 ? html`on <b>${fmt.int(row.inState || hosts)} of ${fmt.int(hosts)}</b> hosts` : html`on <b>its only</b> host`;
  const probe = row.state === 'O' && row.probeAt ? (row.probeAt - now) / 1000 : null, fallback = answer?.fallbacks?.success;
  return html`<div><div class="bigstate">${glyph(one.glyph, { size: 28, named: false })}<b>${one.word}</b></div>
      <p class="on">${on}${age ? html` for <b>${age}</b>` : nothing}</p>
      <div class="share" aria-hidden="true">${by.map(([, kind, n]) => part(n, kind))}</div>
      <div class="counts">${by.map(([letter, , n]) => html`<span class="with-g" title="${n} ${state(letter).word.toLowerCase()}">${glyph(state(letter).glyph, { size: 12 })}${fmt.int(n)}</span>`)}</div>
      <p class="next">${probe !== null ? html`Next trial ${probe > 0.5 ? html`in <b>${fmt.duration(probe)}</b>` : html`<b>with the next call</b>`}. ` : nothing}${answer?.trials?.out && row.state === 'H' ? html`<b>${fmt.count(answer.trials.out, 'trial')}</b> under way. ` : nothing}${
  fallback ? html`<b>${fmt.int(fallback)}</b> calls got the fallback in this window.` : row.counts[2] ? html`<b>${fmt.int(row.counts[2])}</b> calls were refused in this window.` : nothing}${
  row.silent?.length ? html` ${fmt.count(row.silent.length, 'host')} silent, left out of the sums.` : nothing}</p></div>
    <div><h2>${question(row.state)}</h2><ul class="why">${opened(row, answer)}${rules.map(each => rule(each, row, answer))}${failures(row, answer)}
      ${row.lastError ? html`<li>${icon('minus', 't-off')}<span class="text">Last error: ${row.lastError}</span></li>` : nothing}</ul></div>
    <div class="machine-box">${machine(row, answer)}</div>`;
}

/** Lengths are written through the DOM: the page's policy forbids them in markup. */
export function measure(root) {
  for (const node of root.querySelectorAll('[style-n]')) node.style.setProperty('--n', node.getAttribute('style-n'));
  for (const node of root.querySelectorAll('[style-limit]')) {
    node.style.setProperty('--limit', `${node.getAttribute('style-limit')}%`);
    node.style.setProperty('--w', `${Math.min(100, node.dataset.v)}%`);
  }
}

const stand = (x, y, width, letter, now) => {
  const one = state(letter);
  return svg`<g class="box ${now ? `now s-${one.tone}` : ''}" transform="translate(${x} ${y})"><rect width=${width} height="34" rx="7"></rect>
    <svg x="9" y="10" width="14" height="14" class="t-${one.tone}"><use href="#g-${{ C: 'up', O: 'down', H: 'half' }[letter]}"></use></svg><text x="29" y="21.5">${one.word}</text></g>`;
};

function machine(row, answer) {
  const limit = row.threshold ?? answer?.rules?.find(one => one.rule === 'error_rate')?.limit ?? 50;
  const wait = Number(setting(answer, 'reset_timeout')), good = Number(setting(answer, 'success_threshold')) || 1;
  const after = Number.isFinite(wait) && wait > 0 ? `after ${fmt.duration(wait)}` : 'after a while';
  const enough = `${fmt.int(good)} good ${good === 1 ? 'trial' : 'trials'}`;
  const percent = `${fmt.percent(limit).replace('.0', '')}%`;
  return html`<svg class="machine" viewBox="0 0 320 152" role="img" aria-label="Closed opens at ${percent} errors. Open becomes half-open ${after}. Half-open closes with ${enough} and opens again if one fails. Now: ${state(row.state).word.toLowerCase()}.">
    <g class="way"><path d="M88 21H222"></path><path d="M268 42C268 86 236 112 212 119"></path><path d="M184 104C190 72 214 50 236 42"></path><path d="M108 121C70 115 46 88 44 44"></path></g>
    <g class="tip"><path d="M228 21l-8-3.6v7.2z"></path><path d="M206 121l7-5 1.6 6.8z"></path><path d="M243 38.5l-8.4.6 4 6z"></path><path d="M43.6 38.5l-3.4 7.6 7-.6z"></path></g>
    <text x="157" y="13" text-anchor="middle">errors \u2265 ${percent}</text><text x="264" y="104">${after}</text><text x="176" y="68" text-anchor="end">a trial fails</text><text x="64" y="88">${enough}</text>
    ${stand(4, 4, 84, 'C', row.state === 'C')}${stand(228, 4, 78, 'O', row.state === 'O')}${stand(108, 108, 98, 'H', row.state === 'H')}</svg>`;
}

/** Held by hand: by whom, why, and until when. */
export function held(row, now) {
  const by = row.forced;
  if (!by) return nothing;
  const one = state(row.state), until = by.until ? `It ends by itself in ${fmt.duration((by.until - now) / 1000)}.` : 'It stays so until somebody lets it decide again.';
  const reason = by.reason ?? by.why;
  return html`<section class="panel held">${glyph(one.glyph, { size: 16, named: false })}<p><b>${one.word}${by.by ? ` by ${by.by}` : ''}.</b> ${reason ? html`\u201c${reason}\u201d ` : nothing}${until}</p></section>`;
}
