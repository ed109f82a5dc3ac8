// One box over services, instances, circuits, pages and actions; answers from what is known, and a moment later with
// the instances that the server finds.
import { html, nothing } from '../../vendor/lit-html/lit-html.js';
import { open } from './dialog.js';
import { glyph, icon, LETTERS, word } from './glyph.js';
import { circuitPath, servicePath } from '../query.js';

const MOST = 12;
const PAGES = [['services', 'Services', ''], ['nodes', 'Registry nodes', 'nodes'], ['changes', 'Changes', 'changes'], ['circuits', 'Circuits', 'circuits'], ['topology', 'Topology', 'topology'], ['api', 'API', 'api']];

export function worst(row) {
  return row.down ? 'down' : row.late ? 'late' : row.oos ? 'out' : row.start ? 'starting' : row.unk && !row.up ? 'unknown' : 'up';
}

/** How well `text` fits `words`: 0 not at all, higher is better. All words must be somewhere in it. */
export function score(text, words) {
  const lower = text.toLowerCase();
  let sum = 0;
  for (const one of words) {
    const at = lower.indexOf(one);
    if (at < 0) return 0;
    sum += at === 0 ? 4 : /[^a-z0-9]/.test(lower[at - 1]) ? 3 : 1;
  }
  return sum + 1 / (1 + lower.length);
}

/** What fits, best first. `extra`: more entries {kind, text, sub, path or act, state}. */
export function search(store, text, extra = []) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  const put = (entry, weight = 1) => {
    const fit = words.length ? score(`${entry.text} ${entry.sub ?? ''}`, words) * weight : weight;
    if (fit > 0) found.push({ ...entry, fit });
  };
  for (const [name, label, path] of PAGES) put({ kind: 'page', text: label, path, icon: name }, words.length ? 1 : 2);
  for (const entry of extra) put(entry, words.length ? 1.1 : 1.5);
  for (const row of store.services.values()) put({ kind: 'service', text: row.n, path: servicePath(row.n), state: worst(row) }, words.length ? 1.2 : worst(row) === 'up' ? .5 : 1);
  if (words.length) for (const row of store.circuits.values()) put({ kind: 'circuit', text: `${row.to}:${row.cmd}`, sub: row.from, path: circuitPath(row.id), state: LETTERS[row.state] });
  return found.sort((a, b) => b.fit - a.fit || a.text.localeCompare(b.text)).slice(0, MOST);
}

/** Instances of all services as entries, from the server's answer. */
const instances = ({ rows }) => rows.map(row => ({ kind: 'instance', text: row.id, sub: `${row.service} ${row.url.replace(/^https?:\/\//, '')}`, state: row.kind, path: `${servicePath(row.service)}?open=${encodeURIComponent(row.id)}` }));

/** `ctx`: store, href, navigate, data, finds (entries of the page). */
export function find(ctx) {
  let text = '', here = 0, asked = '', timer = 0, found = [];
  function ask(redraw) {
    const wanted = text.trim();
    if (wanted === asked) return;
    asked = wanted;
    clearTimeout(timer);
    if (wanted.length < 2) { found = []; return; }
    timer = setTimeout(() => ctx.data(`find?q=${encodeURIComponent(wanted)}`).then(answer => {
      if (asked !== wanted) return;
      found = instances(answer);
      redraw();
    }, () => { /* what is known here is found all the same */ }), 120);
  }
  return open((close, redraw) => {
    const own = ctx.finds(), known = new Set(own.map(entry => entry.path));
    const all = search(ctx.store, text, [...own, ...found.filter(entry => !known.has(entry.path))]);
    ask(redraw);
    here = Math.min(here, Math.max(0, all.length - 1));
    const go = (entry, aside) => {
      if (entry.act) { close(); entry.act(); }
      else if (aside) window.open(ctx.href(entry.path), '_blank', 'noopener');
      else { close(); ctx.navigate(entry.path); }
    };
    const key = event => {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        here = (here + (event.key === 'ArrowDown' ? 1 : -1) + all.length) % Math.max(1, all.length);
        redraw();
      } else if (event.key === 'Enter') {
        event.preventDefault();
        if (all[here]) go(all[here], event.ctrlKey || event.metaKey);
      }
    };
    return html`<div class="palette"><h2 class="sr" id="dialog-title">Find anything</h2>
      <label class="field"><span class="sr">Find a service, instance, circuit or page</span>${icon('search')}<input data-first role="combobox" aria-expanded="true" aria-controls="found" aria-activedescendant=${all.length ? `found-${here}` : nothing}
        autocomplete="off" spellcheck="false" placeholder="Service, instance, circuit or page" .value=${text} @keydown=${key} @input=${event => { text = event.target.value; here = 0; redraw(); }}></label>
      <div id="found" role="listbox" aria-label="Found">${all.map((entry, i) => html`<div role="option" id="found-${i}" class="hit" aria-selected=${String(i === here)} @click=${event => go(entry, event.ctrlKey || event.metaKey)}>
        ${entry.state ? glyph(entry.state, { named: false }) : icon(entry.icon ?? 'right')}<span class="clip">${entry.text}${entry.sub ? html` <span class="dim">${entry.sub}</span>` : nothing}</span>
        <span class="dim">${entry.state && entry.state !== 'up' && entry.state !== 'closed' ? `${word(entry.state)} ` : ''}${entry.kind}</span></div>`)}
        ${all.length ? nothing : html`<p class="dim none">Nothing fits “${text}”.</p>`}</div>
      <p class="hints dim"><kbd>↑</kbd> <kbd>↓</kbd> choose <kbd>Enter</kbd> open <kbd>Ctrl Enter</kbd> new tab</p></div>`;
  }, { wide: true });
}
