// Pages without rows: nothing yet, nothing found, not loaded.
import { h } from '../dom.js';

function sample(text) {
  const copy = h('button', { class: 'btn', onclick: async () => {
    try { await navigator.clipboard.writeText(text); copy.textContent = 'Copied'; } catch { copy.textContent = 'Select it'; }
    setTimeout(() => { copy.textContent = 'Copy'; }, 2000);
  } }, 'Copy');
  return h('div', { class: 'sample' }, h('pre', { tabindex: 0, 'aria-label': 'Example' }, text), copy);
}

/** No services: how to get one. */
export function empty() {
  const registry = new URL('../eureka/', document.baseURI).href;
  return h('section', { class: 'panel empty' },
    h('h2', {}, 'No services yet'),
    h('p', {}, 'This registry is running and reachable. The first service to register shows up here within a second. To see a whole shop with its circuits, type:'),
    sample('resilient demo'),
    h('p', {}, 'A service of your own takes one line and this address:'),
    sample('from resilient.aiohttp import run_app\nrun_app(app, "orders")'),
    sample(`RESILIENT_REGISTRY=${registry} python service.py`),
    h('p', { class: 'dim' }, 'Services are running already? Check that they use this address.'));
}

export function noCircuits() {
  return h('section', { class: 'panel empty' },
    h('h2', {}, 'No circuits yet'),
    h('p', {}, 'A circuit shows up here after its first call. Put the decorator on the function that calls another service:'),
    sample('from resilient import circuit\n\n@circuit(default=None, timeout=1)\nasync def order(id): ...'));
}

/** The filter found nothing. */
export function nothing(title, filter, clear) {
  return h('div', { class: 'empty' }, h('h2', {}, title),
    h('p', {}, filter ? ['Nothing fits ', h('b', {}, filter), '. '] : 'Nothing is in this group. '),
    h('button', { class: 'btn', onclick: clear }, filter ? 'Clear filter' : 'Show all'));
}

/** The shape of a page before its first data. */
export function skeleton() {
  const bar = width => h('span', { class: 'sk', '--w': width, 'aria-hidden': 'true' });
  return h('section', { class: 'panel skeleton', 'aria-busy': 'true', 'aria-label': 'Loading' },
    ['60%', '82%', '48%', '74%', '66%', '88%', '54%'].map(bar));
}
