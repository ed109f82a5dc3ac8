// Single keys, never inside a field, and the list that explains them.
import { h } from './dom.js';

const KEYS = [['Filter this page', '/'], ['Services', 'g s'], ['Circuits', 'g c'], ['Changes', 'g e'],
  ['Next, previous', 'j k'], ['Open row', 'Enter'], ['Pause updates', 'p'], ['Density', 'd'], ['Theme', 't'], ['This list', '?']];

export function shortcuts() {
  const box = h('dialog', { 'aria-labelledby': 'keys-title' },
    h('header', {}, h('h2', { id: 'keys-title' }, 'Keyboard shortcuts')),
    h('div', { class: 'body' }, h('div', { class: 'keys' }, KEYS.map(([what, keys]) =>
      h('div', {}, h('span', {}, what), h('span', {}, keys.split(' ').flatMap((key, i) => i ? [' ', h('kbd', {}, key)] : [h('kbd', {}, key)])))))),
    h('footer', {}, h('button', { class: 'btn', autofocus: true, onclick: () => box.close() }, 'Close')));
  box.addEventListener('close', () => box.remove());
  box.addEventListener('click', event => { if (event.target === box) box.close(); });
  document.body.append(box);
  box.showModal();
}

export function keyboard(app) {
  let g = -Infinity;  // when g was pressed: the next key may belong to it
  document.addEventListener('keydown', event => {
    const field = event.target.closest?.('input, select, textarea');
    if (field) { if (event.key === 'Escape') { if (field.value) { field.value = ''; field.dispatchEvent(new Event('input')); } else field.blur(); } return; }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (performance.now() - g < 900) {
      g = -Infinity;
      const view = { s: '', c: 'circuits', e: 'changes' }[event.key];
      if (view !== undefined) app.go(view);
      return;
    }
    switch (event.key) {
      case 'g': g = performance.now(); break;
      case '/': event.preventDefault(); document.querySelector('.field input')?.focus(); break;
      case '?': shortcuts(); break;
      case 't': app.theme(); break;
      case 'd': app.density(); break;
      case 'p': app.pause(); break;
      case 'j': case 'k': step(event.key === 'j' ? 1 : -1); break;
      default:
    }
  });
}

function step(by) {
  const stops = [...document.querySelectorAll('[data-stop]')].filter(node => node.offsetParent !== null);
  if (!stops.length) return;
  const here = stops.findIndex(node => node.contains(document.activeElement) || node === document.activeElement);
  const next = stops[here < 0 ? 0 : Math.min(Math.max(here + by, 0), stops.length - 1)];
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: 'nearest' });
}
