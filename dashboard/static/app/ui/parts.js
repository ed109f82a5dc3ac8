// Pieces that several pages use.
import { html, nothing } from '../../vendor/lit-html/lit-html.js';
import { live } from '../../vendor/lit-html/directives/live.js';
import { counted, icon, word } from './glyph.js';
import { parse } from '../query.js';
import * as fmt from '../fmt.js';

// Always from good to bad: [state, key of a service's row, class].
export const PARTS = [['up', 'up', 'f-up'], ['starting', 'start', 'f-info'], ['unknown', 'unk', 'f-rest'], ['out', 'oos', 'f-off'], ['late', 'late', 'f-warn'], ['down', 'down', 'f-bad']];

/** A bar of shares: [[number, class]]; `label` says it in words. */
export const share = (parts, { thin = false, label = null } = {}) => html`<span class="share ${thin ? 'thin' : ''}" role=${label ? 'img' : nothing} aria-label=${label ?? nothing} aria-hidden=${label ? nothing : 'true'}>
  ${parts.filter(([n]) => n > 0).map(([n, cls]) => html`<i class=${cls} .style=${`--n:${n}`}></i>`)}</span>`;

export const shareOf = row => PARTS.map(([, key, cls]) => [row[key] ?? 0, cls]);
export const shareWords = row => PARTS.filter(([, key]) => row[key]).map(([state, key]) => `${row[key]} ${word(state).toLowerCase()}`).join(', ');

/** What needs attention, worst first: marks with numbers. `words` adds the word. */
export const trouble = (row, words = false) => [...PARTS].reverse().filter(([state, key]) => state !== 'up' && row[key])
  .map(([state, key]) => counted(state, fmt.int(row[key]), words ? { down: 'down', late: 'late', out: 'out', starting: 'starting', unknown: 'unknown' }[state] : null));

/** Age of a heartbeat against the time the lease lasts: '', late or gone. */
export function leaseState(age, renew = 30, ttl = 90) {
  if (age > ttl) return 'gone';
  return age > renew * 1.5 ? 'late' : '';
}

/** The clock of a lease; `showLease` moves it. */
export const lease = () => html`<span class="lease"><span class="t" aria-hidden="true"><i></i></span><b></b></span>`;

export function showLease(node, age, renew = 30, ttl = 90) {
  if (!node) return;
  const state = leaseState(age, renew, ttl), text = fmt.duration(age);
  if (node.dataset.l !== state) node.dataset.l = state;
  const number = node.lastElementChild;
  if (number.textContent === text) return;
  number.textContent = text;
  node.style.setProperty('--w', `${Math.min(100, (age ?? 0) / ttl * 100).toFixed(1)}%`);
  node.style.setProperty('--tick', `${Math.min(100, renew / ttl * 100).toFixed(1)}%`);
}

/** Filter line: what it takes stands in its title, terms that make no sense are underlined below it. */
export function filterField({ text, label, placeholder, grammar, change }) {
  const { bad } = parse(text, grammar);
  const wrong = bad.length ? html`Left out: ${bad.map((term, i) => html`${i ? ', ' : ''}<u>${text.slice(term.at, term.to)}</u>`)}` : nothing;
  const typed = event => change(event.target.value);
  return html`<label class="field"><span class="sr">${label}</span>${icon('search')}<input data-filter .value=${live(text)} placeholder=${placeholder} autocomplete="off" spellcheck="false" maxlength="200"
    title=${`Words match anywhere. Fields: ${(grammar?.fields ?? []).map(one => `${one}:`).join(' ')} Numbers: ${(grammar?.numbers ?? []).map(one => `${one}>`).join(' ')} A leading - negates, "quotes" keep spaces.`}
    aria-invalid=${bad.length ? 'true' : nothing} aria-describedby=${bad.length ? 'filter-hint' : nothing} @input=${typed}>
    ${text ? html`<button type="button" class="clear" aria-label="Clear filter" @click=${event => { event.preventDefault(); change(''); }}>${icon('close')}</button>` : html`<kbd aria-hidden="true">/</kbd>`}
    <span class="hint" id="filter-hint" role="status">${wrong}</span></label>`;
}

/** Tabs: [[value, label, count]]. */
export const segments = (label, options, value, choose) => html`<div class="seg" role="group" aria-label=${label}>${options.map(([one, text, n]) => html`<button aria-pressed=${String(one === value)} @click=${() => choose(one)}>${text}${n === undefined ? nothing : html` <span class="n">${fmt.int(n)}</span>`}</button>`)}</div>`;

/** A header cell that sorts: `sort` is {key, dir}. */
export function columnHead(key, label, sort, choose, { num = false, title = null, cls = '' } = {}) {
  const on = sort.key === key;
  return html`<span role="columnheader" class="${cls} ${num ? 'num' : ''}" aria-sort=${on ? (sort.dir === 'asc' ? 'ascending' : 'descending') : nothing} title=${title ?? nothing}>
    ${choose ? html`<button @click=${() => choose(key)}>${label}${on ? icon(sort.dir === 'asc' ? 'up' : 'down') : nothing}</button>` : label}</span>`;
}

/** Relative time with the moment itself behind it. */
export const when = (at, now) => html`<time datetime=${fmt.iso(at)} title=${fmt.stamp(at)}>${fmt.ago(at, now)}</time>`;

/** What happened, in the words of the feed. kind: [mark, sentence]. */
const KINDS = {
  registered: ['joined', 'Registered'], renewed: ['up', 'Heartbeat is back'], expired: ['late', 'Expired'], removed: ['left', 'Left'], cancelled: ['left', 'Left'],
  status: ['changed', 'Status reported'], status_changed: ['changed', 'Status reported'], instance_down: ['down', 'Reported down'], instance_up: ['up', 'Reported up'],
  override_set: ['out', 'Taken out of service'], override_removed: ['up', 'Put back in service'], deregister: ['left', 'Removed by hand'], deregistered: ['left', 'Removed by hand'],
  registered_again: ['changed', 'Registered again'], metadata: ['changed', 'Metadata changed'], instance_starting: ['starting', 'Reported starting'], instance_out: ['out', 'Reported out of service'], instance_out_of_service: ['out', 'Reported out of service'], instance_unknown: ['unknown', 'Reported unknown'],
  circuit_opened: ['open', 'Circuit opened'], circuit_half_opened: ['half', 'Circuit half-open'], circuit_half_open: ['half', 'Circuit half-open'], circuit_command: ['forced-open', 'Circuit set by hand'], circuit_closed: ['closed', 'Circuit closed'], circuit_forced: ['forced-open', 'Circuit forced'],
  ejected: ['ejected', 'Ejected'], returned: ['up', 'Returned'], protection_on: ['shield', 'Removal paused'], protection_off: ['up', 'Removal runs again'],
  node_joined: ['joined', 'Node joined'], node_lost: ['down', 'Node lost'], node_back: ['up', 'Node is back'], setting_changed: ['changed', 'Setting changed'], settings: ['changed', 'Setting changed'],
};

/** What people ask of circuits; that it came to be so stands in a line of its own. */
const BY_HAND = { open: ['forced-open', 'Asked to hold it open'], close: ['forced-closed', 'Asked to hold it closed'], auto: ['closed', 'Asked to let it decide'], reset: ['changed', 'Asked to reset it'] };

export function change(row) {
  const [mark, text] = KINDS[row.kind] ?? ['changed', row.kind.replaceAll('_', ' ').replace(/^./, first => first.toUpperCase())];
  if (row.kind === 'circuit_command' && row.status in BY_HAND) return { mark: BY_HAND[row.status][0], text: BY_HAND[row.status][1] };
  if (row.kind === 'circuit_forced' && row.status === 'forced-closed') return { mark: 'forced-closed', text: 'Circuit forced closed' };
  if (row.kind === 'circuit_forced' && row.status === 'forced-open') return { mark: 'forced-open', text: 'Circuit forced open' };
  if (row.kind === 'override_set' && row.status && row.status !== 'OUT_OF_SERVICE') return { mark: 'pinned', text: `Override ${row.status}` };
  if (['status', 'status_changed'].includes(row.kind) && row.status) return { mark: { DOWN: 'down', UP: 'up', STARTING: 'starting', OUT_OF_SERVICE: 'out' }[row.status] ?? mark, text: `Reported ${word({ DOWN: 'down', UP: 'up', STARTING: 'starting', OUT_OF_SERVICE: 'out' }[row.status] ?? 'unknown').toLowerCase()}` };
  return { mark, text };
}
