// Puts the pieces together: one stream, one store, one page at a time, one paint per message.
import { forget } from './draw.js';
import { say } from './dom.js';
import { circuits } from './pages/circuits.js';
import { changes } from './pages/changes.js';
import { services } from './pages/services.js';
import { keyboard } from './keyboard.js';
import { Shell, notices } from './shell.js';
import { store } from './store.js';
import { Stream } from './stream.js';
import { count, duration } from './format.js';

const $ = id => document.getElementById(id);
const root = document.documentElement;
const PAGES = { '': services, circuits, changes };

const app = {
  paused: false, waiting: 0, name: '', page: null,

  /** Show the view of an address without loading it; the address is all the state a view has. */
  go(name, push = true) {
    if (push) history.pushState(null, '', new URL(name || './', document.baseURI));
    this.name = PAGES[name] ? name : '';
    this.page?.leave?.();
    $('page').replaceChildren();
    this.page = PAGES[this.name](this);
    $('page').append(...this.page.nodes);
    say($('heading'), this.page.title);
    document.title = `${this.page.title} \u00b7 Resilient`;
    scrollTo(0, 0);
    this.paint();
  },

  /** A value of the address's query, and how to change it without a new history entry. */
  query: name => new URLSearchParams(location.search).get(name) || '',
  setQuery(name, value) {
    const url = new URL(location.href);
    if (value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
    history.replaceState(null, '', url);
  },

  pause(on = !this.paused) {
    this.paused = on;
    this.waiting = 0;
    this.paint();
  },

  paint() {
    shell.paint(this.name, stream);
    notices($('notices'), stream);
    say($('sub'), store.ready ? this.page.sub() : 'connecting');
    this.page.paint();
  },

  theme() {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    remember('theme', root.dataset.theme = dark ? 'light' : 'dark');
    forget();
    this.paint();
  },

  density() {
    remember('density', root.dataset.density = root.dataset.density === 'dense' ? 'normal' : 'dense');
  },
};

function remember(name, value) {
  try { localStorage.setItem(`resilient.${name}`, value); } catch { /* private window */ }
}
for (const name of ['theme', 'density']) {
  try { const value = localStorage.getItem(`resilient.${name}`); if (value) root.dataset[name] = value; } catch { /* private window */ }
}

const shell = new Shell($('rail'), $('tabbar'), app);
let frame = 0, said = '';
const soon = () => { frame ||= requestAnimationFrame(() => { frame = 0; repaint(); }); };

function repaint() {
  if (document.hidden) return;
  root.toggleAttribute('data-stale', stream.state === 'lost' && store.ready);
  if (!app.paused) app.paint();
  else { shell.paint(app.name, stream); notices($('notices'), stream); app.page.waiting?.(); }
}

/** One polite sentence at a time, and only for what a listener cannot see: the connection. */
function announce(text) {
  if (text !== said) say($('say'), said = text);
}

const stream = new Stream(new URL('stream', document.baseURI).href, (kind, data, away) => {
  store.apply(kind, data);
  if (app.paused) app.waiting += (data.instances?.length || 0) + (data.circuits?.length || 0) + (data.left?.length || 0);
  if (away) announce(`Connected again after ${duration(away / 1000)}. ${count(store.circuits.size, 'circuit')}.`);
}, () => {
  if (stream.state === 'lost') announce('The registry can\u2019t be reached.');
  soon();
});

addEventListener('popstate', () => app.go(view(), false));
addEventListener('resize', soon);
document.addEventListener('visibilitychange', soon);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { forget(); soon(); });
document.addEventListener('click', event => {
  const anchor = event.target.closest?.('a[data-view]');
  if (!anchor || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  app.go(anchor.dataset.view);
});
keyboard(app);

function view() { return location.pathname.split('/').at(-1); }
app.go(view(), false);
