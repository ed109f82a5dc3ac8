// Brings everything together: what the server put into the page, the stream, the router, the shell.
import { signal, untracked } from '../vendor/signals-core/signals-core.js';
import { Store } from './store.js';
import { Stream } from './stream.js';
import { request } from './paint.js';
import { toggleTheme, toggleDensity } from './theme.js';
import { route, changed } from './query.js';
import { act, headers, locked, unlock } from './act.js';
import { confirm } from './ui/dialog.js';
import { find } from './ui/palette.js';
import { toast, say } from './ui/toast.js';
import { failed, gone } from './ui/empty.js';
import { shell } from './shell.js';
import * as keys from './keys.js';

// This file is at <mount>/@<version>/app/main.js: where the mount is, whatever a proxy puts before it.
const base = new URL('../../', import.meta.url);
const version = new URL('..', import.meta.url).pathname.split('/').at(-2).slice(1);
const boot = (() => {
  try { return JSON.parse(document.getElementById('boot').textContent) ?? {}; } catch { return {}; }
})();

const store = new Store();
const stream = new Stream(store, { url: topics => new URL(`stream?topics=${encodeURIComponent(topics)}&window=${store.window}`, base), headers });
const root = document.getElementById('page'), main = document.getElementById('main');

const ctx = {
  store, stream, boot, base, toast, say, confirm,
  keys: keys.bind,
  peers: boot.peers ?? {},
  page: signal('services'),
  newer: signal(false),
  query: signal(new URLSearchParams(location.search)),
  params: {},
  finds: () => [],
  head: () => {},

  /** The address of a path below the mount, or of this page with another query ("?q=…"). */
  href: path => (path.startsWith('?') ? `${location.pathname}${path}` : new URL(path, base).href),

  /** Go to a path, or to this page with another query. */
  navigate(path, { replace = false } = {}) {
    const url = new URL(path.startsWith('?') ? ctx.href(path) : path, path.startsWith('?') ? location.href : base);
    if (url.origin !== location.origin || !url.pathname.startsWith(base.pathname)) {
      location.assign(url);
      return;
    }
    history[replace ? 'replaceState' : 'pushState'](null, '', url);
    show();
  },

  /** Change some keys of the query: typing replaces, choosing (`push`) adds to the history. */
  ask(values, { push = false } = {}) {
    const next = changed(ctx.query.peek(), values);
    const text = next.toString();
    if (text === ctx.query.peek().toString()) return;
    history[push ? 'pushState' : 'replaceState'](null, '', `${location.pathname}${text ? `?${text}` : ''}`);
    ctx.query.value = next;
  },

  /** JSON from below `data/`. Throws an Error with `status` if the answer is none. */
  async data(path, options = {}) {
    const answer = await fetch(new URL(`data/${path}`, base), { headers: { Accept: 'application/json', ...headers() }, ...options });
    if (!answer.ok) {
      const said = await answer.json().catch(() => ({}));
      throw Object.assign(new Error(said.error?.message ?? `The registry answered ${answer.status}.`), { status: answer.status });
    }
    return answer.json();
  },

  act: (kind, body, options) => act(store, base, kind, body, options),
  locked: () => locked(store),
  unlock: () => unlock(store, stream),
  find: () => find(ctx),
  pause() {
    if (store.paused.value) store.resume();
    else store.pause();
    say(store.paused.value ? 'Paused.' : 'Live again.');
  },
};

const MODULES = {
  services: () => import('./pages/services.js'),
  service: () => import('./pages/service.js'),
  nodes: () => import('./pages/nodes.js'),
  changes: () => import('./pages/changes.js'),
  circuits: () => import('./pages/circuits.js'),
  circuit: () => import('./pages/circuit.js'),
  topology: () => import('./pages/topology.js'),
  api: () => import('./pages/api.js'),
};

let leave = () => {}, shown = '', turn = 0;

async function show(scroll = true) {
  const path = location.pathname.slice(base.pathname.length);
  const { page, params } = route(path);
  const same = `${page} ${JSON.stringify(params)}`;
  ctx.query.value = new URLSearchParams(location.search);
  if (same === shown) return;
  const first = shown === '', mine = ++turn;
  shown = same;
  let module;
  try {
    module = page in MODULES ? await MODULES[page]() : { title: 'Nothing here', mount: where => gone(where, ctx) };
  } catch (error) {
    console.error(error);
    module = { title: 'Not loaded', mount: where => failed(where, { message: 'This page could not be loaded.', retry: () => location.reload() }) };
  }
  if (mine !== turn) return;
  leave();
  // A fresh element for each page; the server's skeleton stays until the first one has something to show.
  const stage = document.createElement('div');
  stage.className = 'page';
  root.replaceChildren(stage);
  ctx.page.value = page;
  ctx.params = params;
  ctx.finds = () => [];
  ctx.head({ title: typeof module.title === 'function' ? module.title(params) : module.title });
  stream.want(typeof module.topics === 'function' ? module.topics(params) : module.topics ?? []);
  // A page reads what is there now; its own effects follow what changes.
  leave = untracked(() => module.mount(stage, ctx)) ?? (() => {});
  request();
  if (!first) {
    if (scroll) scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

document.addEventListener('click', event => {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.target && link.target !== '_self' || link.hasAttribute('download')) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(base.pathname) || url.hash) return;
  event.preventDefault();
  ctx.navigate(url.href);
});
addEventListener('popstate', () => show(false));
store.events.addEventListener('hello', ({ detail }) => {
  if (detail.ui && !['dev', version].includes(detail.ui) || detail.v > 1) ctx.newer.value = true;
});

/** The first picture, from what came with the page. */
function start() {
  if (boot.hello) store.apply('hello', boot.hello);
  for (const notice of boot.notices ?? []) store.apply('notice', notice);
  if (boot.services) store.apply('services', boot.services);
  if (boot.circuits) store.apply('circuits', boot.circuits);
  store.beats = boot.beats ?? null;
  const tick = boot.tick ?? { s: boot.services?.s, c: boot.c, beats: boot.beats, nodes: boot.nodes, now: boot.hello?.now };
  if (boot.services || boot.circuits) store.apply('tick', tick);
}

start();
// Browsers ask for it again from where we went, by the address it has from there.
for (const icon of document.querySelectorAll('link[rel=icon]')) icon.href = icon.href;
shell(ctx);
keys.start({ go: ctx.navigate, find: ctx.find, theme: toggleTheme, density: toggleDensity, pause: ctx.pause });
store.tick.subscribe(request);
document.addEventListener('visibilitychange', () => { if (!document.hidden) store.seen(); });
await show();
stream.start();
request();
