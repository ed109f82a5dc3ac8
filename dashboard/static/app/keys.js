// Single keys, never inside a field and never with a dialog open; they can be switched off.
import { html } from '../vendor/lit-html/lit-html.js';
import { open } from './ui/dialog.js';
import { kept } from './theme.js';

const LIST = [
  ['Filter this page', '/'], ['Find anything', 'Ctrl K'], ['Services', 'g s'], ['Registry nodes', 'g n'], ['Changes', 'g e'],
  ['Circuits', 'g c'], ['Topology', 'g t'], ['Next, previous', 'j k'], ['Open', 'Enter'], ['Open or close the row', 'Space'],
  ['Select, extend', 'x Shift\u202fx'], ['Cards or table', 'v'], ['Pin', 'b'], ['Pause updates', 'p'], ['Reset zoom', '0'],
  ['Theme', 't'], ['Density', 'd'], ['Close, clear, leave', 'Esc'], ['This list', '?'],
];
const GO = { s: '', n: 'nodes', e: 'changes', c: 'circuits', t: 'topology', a: 'api' };

let single = kept.get('keys') !== 'off';
const pages = [];

/** Keys of a page: {v: fn, 'Shift+x': fn}. A handler that returns false lets the key go on. Returns how to stop. */
export function bind(map) {
  pages.unshift(map);
  return () => pages.splice(pages.indexOf(map), 1);
}

export const showKeys = () => open(close => html`<header><h2 id="dialog-title">Keyboard shortcuts</h2></header>
  <div class="body"><div class="keys">${LIST.map(([what, keys]) => html`<div><span>${what}</span><span>${keys.split(' ').map(key => html` <kbd>${key}</kbd>`)}</span></div>`)}</div>
  <label class="line"><input type="checkbox" class="check" .checked=${single} @change=${event => { single = event.target.checked; kept.set('keys', single ? '' : 'off'); }}>
  <span>Single keys work outside of fields</span></label></div>
  <footer><button class="btn" data-first @click=${() => close()}>Close</button></footer>`, { wide: true });

/** `app`: go(path), find(), theme(), density(), pause(). */
export function start(app) {
  let g = -Infinity;
  document.addEventListener('keydown', event => {
    const busy = document.querySelector('dialog[open], .menu');
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      if (!busy) app.find();
      return;
    }
    const field = event.target.closest?.('input:not([type=checkbox]), select, textarea');
    if (field) {
      if (event.key === 'Escape' && !busy) leave(field);
      return;
    }
    if (busy || event.altKey || event.metaKey) return;
    const name = `${event.ctrlKey ? 'Ctrl+' : ''}${event.shiftKey && event.key.length > 1 || /^[A-Z]$/.test(event.key) ? 'Shift+' : ''}${event.key.length === 1 ? event.key.toLowerCase() : event.key}`;
    if (!single && name.length === 1) return;
    if (performance.now() - g < 1000) {
      g = -Infinity;
      if (name in GO) app.go(GO[name]);
      return;
    }
    for (const map of pages) {
      if (map[name] && map[name](event) !== false) {
        event.preventDefault();
        return;
      }
    }
    const act = {
      g: () => { g = performance.now(); },
      '/': () => document.querySelector('[data-filter]')?.focus(),
      '?': showKeys,
      'Shift+?': showKeys,
      t: app.theme,
      d: app.density,
      p: app.pause,
      j: () => step(1),
      k: () => step(-1),
    }[name];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function leave(field) {
  if (field.value) {
    field.value = '';
    field.dispatchEvent(new Event('input', { bubbles: true }));
  } else {
    field.blur();
  }
}

/** The next or previous thing that can be stepped to (`data-stop`). */
export function step(by) {
  const stops = [...document.querySelectorAll('[data-stop]')].filter(node => node.offsetParent !== null);
  if (!stops.length) return;
  const here = stops.findIndex(node => node === document.activeElement || node.contains(document.activeElement));
  const next = stops[here < 0 ? 0 : Math.min(Math.max(here + by, 0), stops.length - 1)];
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: 'nearest' });
}
