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
  if (open && ['error_rate', 'min_calls', 'calls'].includes(name)) return nothing;
  const mark = met ? icon('check', 't-ok') : icon('minus', 't-off');
  if (why[name]) {
    if (limit >= 100 && name === 'slow_rate') return html`<li>${icon('minus', 't-off')}<span>Slow calls are measured but can\u2019t open it.</span></li>`;
    return html`<li>${mark}<span><b>${value === null || value === undefined ? 'Nothing' : pct(value)}</b> ${value === null || value === undefined ? 'was attempted lately; it opens at' : why[name]} ${fmt.percent(limit).replace('.0', '')}%
      ${meter(one, met)}</span></li>`;
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

/** What failures are called that are no error's name. */
const KINDS = { rejected: 'turned away', other: 'others' };
export const kind = text => KINDS[text] ?? text;

/** The kinds of failures of the last minutes, most first, in percent of all of them; of the window if they are not told. */
function failures(row, answer) {
  const told = (answer?.failures ?? []).filter(one => one.n > 0).map(one => [kind(one.kind), one.n]);
  const counts = [['timeout', row.counts[3]], ['failure', row.counts[1]], ['turned away', row.counts[4]]].filter(([, n]) => n > 0);
  const rows = (told.length ? told : counts).sort((a, b) => b[1] - a[1]), sum = rows.reduce((all, [, n]) => all + n, 0);
  if (!sum) return nothing;
  const share = n => { const part = n / sum * 100; return part < 1 ? '<1' : Math.round(part); };
  return html`<li>${icon('clock', 't-off')}<span>Failures: ${rows.slice(0, 4).map(([word, n], i) => html`${i ? ', ' : ''}${i ? `${word} ${share(n)}%` : html`<b>${word} ${share(n)}%</b>`}`)}${rows.length > 4 ? `, ${rows.length - 4} more kinds` : ''}</span></li>`;
}

const ended = limit => (limit === null || limit === undefined ? '' : `; the limit is ${fmt.percent(limit).replace('.0', '')}%`);
const meter = ({ value, limit }, met) => html`<span class="bullet" style-limit=${limit} data-v=${value ?? 0}><span class="share"><i class=${met ? 'f-bad' : 'f-up'}></i></span></span>`;

/** The rule that opened it, with its value then. */
function opened(row, answer) {
  const last = row.why ?? answer?.why;
  if (!last) return html`<li>${glyph('open', { named: false })}<span>It was open already when this registry first heard of it.</span></li>`;
  const per = fmt.duration((row.windowMs ?? 10_000) / 1000), calls = fmt.count(last.calls, 'call');
  const enough = html`<li>${icon('check', 't-ok')}<span><b>${fmt.int(last.calls)}</b> calls in the ${per} before; at least ${fmt.int(row.minCalls ?? 0)} are needed to judge</span></li>`;
  const fired = text => html`<li>${glyph('open', { named: false })}<span>${text}</span></li>`;
  switch (last.rule) {
    case 'error_rate': return html`${fired(html`<b>${pct(last.value)}</b> of ${calls} had failed when it opened${ended(last.limit)}.${meter(last, true)}`)}${enough}`;
    case 'slow_rate': return html`${fired(html`<b>${pct(last.value)}</b> of ${calls} were slow when it opened${ended(last.limit)}.${meter(last, true)}`)}${enough}`;
    case 'fail_max': return fired(html`<b>${fmt.int(last.value)}</b> calls in a row failed; the limit is ${fmt.int(last.limit)}.`);
    case 'trial': {
      const first = answer?.turns?.find(one => one.why && one.why.rule !== 'trial'), before = first?.why;
      return html`${fired('A trial failed, so it opened again.')}${before?.rule === 'error_rate' ? html`<li>${icon('clock', 't-off')}<span>It first opened at ${fmt.time(first.at)}: ${pct(before.value)} of ${fmt.count(before.calls, 'call')} had failed${ended(before.limit)}.</span></li>` : nothing}`;
    }
    case 'hand': return fired(html`Opened by hand${last.by ? html` by <b>${last.by}</b>` : nothing}.${last.reason ? html` \u201c${last.reason}\u201d` : nothing}`);
    default: return fired(last.text || 'The rule that opened it was not told.');
  }
}

/** What is no call of its own, and in none of the sums. */
const BESIDES = [['retried', 'retry', 'retries'], ['retry_denied', 'retry refused by the budget', 'retries refused by the budget'], ['collapsed', 'call collapsed into another', 'calls collapsed into others'], ['response_from_cache', 'answer from the cache', 'answers from the cache']];

function besides(answer) {
  const parts = BESIDES.filter(([key]) => answer?.allCounts?.[key] > 0).map(([key, one, many]) => fmt.count(answer.allCounts[key], one, many));
  const late = answer?.allCounts?.late ?? 0, of = late ? `${fmt.count(late, 'good answer')} came late.` : '';
  return parts.length || late ? html`<li>${icon('minus', 't-off')}<span>${parts.length ? `Besides, and not in these sums: ${fmt.list(parts)}. ` : ''}${of}</span></li>` : nothing;
}

/** How it goes now that most calls are refused. */
function since(row) {
  const per = fmt.duration((row.windowMs ?? 10_000) / 1000), refused = row.counts[2] ?? 0;
  const tried = [0, 1, 3, 4].reduce((sum, at) => sum + (row.counts[at] ?? 0), 0);
  const also = refused ? html`; <b>${fmt.int(refused)}</b> ${refused === 1 ? 'was' : 'were'} refused` : nothing;
  const text = tried ? html`In the last ${per} <b>${fmt.count(tried, 'call')}</b> ${tried === 1 ? 'was' : 'were'} tried, ${pct(row.err)} failed${also}`
    : refused ? html`In the last ${per} nothing was tried${also}` : `No call came in the last ${per}`;
  return html`<li>${icon('clock', 't-off')}<span>${text}.</span></li>`;
}

export const LETTER = { closed: 'C', 'half-open': 'H', open: 'O', 'forced-open': 'F', 'forced-closed': 'L', disabled: 'D', measuring: 'M' };

/** Headline of the middle: the question that the state raises. */
const question = letter => ({ O: 'Why it opened', H: 'Why it opened', F: 'What it measures while held open', L: 'What it measures while held closed', D: 'What it measures' }[letter] ?? 'What would open it');

export function box(row, answer, now) {
  const one = state(row.state), hosts = row.hosts || 1, by = hostsBy(row, answer), rules = [...answer?.rules ?? []].sort((a, b) => FIRST.indexOf(b.rule) - FIRST.indexOf(a.rule));
  // Hosts turn one after the other: the last turn of the whole is when what is said here became true.
  const turn = answer?.turns?.[0], at = turn && LETTER[turn.to] === row.state ? Math.max(row.since ?? 0, turn.at) : row.since;
  const age = at ? fmt.duration((now - at) / 1000) : null;
  const on = hosts > 1 ? html`on <b>${fmt.int(row.inState || hosts)} of ${fmt.int(hosts)}</b> hosts` : html`on <b>its only</b> host`;
  const probe = row.state === 'O' && row.probeAt ? (row.probeAt - now) / 1000 : null, fallback = answer?.fallbacks?.success;
  return html`<div><div class="bigstate">${glyph(one.glyph, { size: 28, named: false })}<b>${one.word}</b></div>
      <p class="on">${on}${age ? html` for <b>${age}</b>` : nothing}</p>
      <div class="share" aria-hidden="true">${by.map(([, kind, n]) => part(n, kind))}</div>
      <div class="counts">${by.map(([letter, , n]) => html`<span class="with-g" title="${n} ${state(letter).word.toLowerCase()}">${glyph(state(letter).glyph, { size: 12 })}${fmt.int(n)}</span>`)}</div>
      <p class="next">${probe !== null ? html`Next trial ${probe > 0.5 ? html`in <b>${fmt.duration(probe)}</b>` : html`<b>with the next call</b>`}. ` : nothing}${answer?.trials?.out && row.state === 'H' ? html`<b>${fmt.count(answer.trials.out, 'trial')}</b> under way. ` : nothing}${
  fallback ? html`<b>${fmt.int(fallback)}</b> calls got the fallback in this window.` : row.counts[2] ? html`<b>${fmt.int(row.counts[2])}</b> calls were refused in this window.` : nothing}${
  row.silent?.length ? html` ${fmt.count(row.silent.length, 'host')} silent, left out of the sums.` : nothing}</p></div>
    <div><h2>${question(row.state)}</h2><ul class="why">${'OH'.includes(row.state) ? html`${opened(row, answer)}${since(row)}` : nothing}${rules.map(each => rule(each, row, answer))}${failures(row, answer)}${besides(answer)}
      ${row.lastError && row.lastError !== row.forced?.reason ? html`<li>${icon('minus', 't-off')}<span class="text">Last error: ${row.lastError}</span></li>` : nothing}</ul></div>
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
    <text x="157" y="13" text-anchor="middle">errors \u2265 ${percent}</text><text x="319" y="104" text-anchor="end">${after}</text><text x="176" y="68" text-anchor="end">a trial fails</text><text x="64" y="88">${enough}</text>
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
