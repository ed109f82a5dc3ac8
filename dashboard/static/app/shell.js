// Around every page: the rail, the tab bar of phones, the header and the notices.
import { html, render, nothing } from '../vendor/lit-html/lit-html.js';
import { effect } from '../vendor/signals-core/signals-core.js';
import { glyph, icon, logo } from './ui/glyph.js';
import { banners } from './ui/notice.js';
import { openMenu } from './ui/menu.js';
import { toast } from './ui/toast.js';
import { showKeys } from './keys.js';
import { toggleTheme, toggleDensity } from './theme.js';
import * as fmt from './fmt.js';

export const PRODUCT = 'Resilient';

/** Lacks what the style sheets are written in. */
const OLD = !CSS.supports('color', 'light-dark(#000, #fff)');

const GROUPS = [
  ['', 'registry', [['services', '', 'Services'], ['nodes', 'nodes', 'Registry nodes'], ['changes', 'changes', 'Changes']]],
  ['Resilience', 'circuits', [['circuits', 'circuits', 'Circuits'], ['topology', 'topology', 'Topology']]],
  ['Reference', null, [['api', 'api', 'API']]],
];
const WITHIN = { service: 'services', circuit: 'circuits' };

export function connectionWords(connection, hello) {
  const node = hello?.node ?? 'the registry';
  const { state, age } = connection;
  if (state === 'live') return ['Live', `${node}, each\u00a0second`];
  if (state === 'stale') return ['No update', `for ${fmt.duration(age)}`];
  if (state === 'lost') return ['Not connected', age ? `data from ${fmt.duration(age)} ago` : 'no answer yet'];
  return ['Connecting', `asking ${hello?.node ?? location.host}`];
}

export function shell(ctx) {
  const { store, stream } = ctx;
  const rail = document.getElementById('rail'), bar = document.getElementById('tabbar');
  const notices = document.getElementById('notices'), top = document.getElementById('top');
  let head = {};
  top.replaceChildren();

  const groups = () => GROUPS.filter(([, feature]) => !feature || store.features.value.has(feature) || ctx.peers[feature]);
  const address = (feature, path) => (feature && !store.features.value.has(feature) ? new URL(path, ctx.peers[feature]).href : ctx.href(path));
  const current = page => ((WITHIN[ctx.page.value] ?? ctx.page.value) === page ? 'page' : nothing);
  const tally = (page, marked) => {
    const open = page === 'circuits' ? store.tally().O : 0;
    return open ? html`<span class="tally t-bad">${marked ? glyph('open', { size: 12, named: false }) : nothing}${open}<span class="sr"> open</span></span>` : nothing;
  };

  function more(event) {
    openMenu(event.currentTarget, [
      ...groups().flatMap(([, feature, pages]) => pages.map(([page, path, label]) => ({ page, feature, path, label })))
        .filter(({ page }) => ['nodes', 'api'].includes(page))
        .map(({ feature, path, label, page }) => ({ label, mark: icon(page), act: () => ctx.navigate(address(feature, path)) })),
      { label: 'Find', mark: icon('search'), act: ctx.find },
      null,
      { label: store.paused.value ? 'Resume updates' : 'Pause updates', mark: icon(store.paused.value ? 'play' : 'pause'), act: ctx.pause },
      { label: 'Switch theme', mark: icon('sun'), act: toggleTheme },
      { label: 'Dense rows', mark: icon('rows'), act: toggleDensity },
    ]);
  }

  let shown = '';
  effect(() => {
    store.listed.value;
    store.tick.value;
    const [title, detail] = connectionWords(store.connection.value, store.hello);
    const paused = store.paused.value;
    // Asked every second, made anew only if it would look different.
    const looks = JSON.stringify([title, detail, paused, store.waiting.value, store.connection.value.state, ctx.page.value, [...store.features.value], store.tally().O, store.hello?.env]);
    if (looks === shown) return;
    shown = looks;
    render(html`<a class="brand" href=${ctx.href('')} aria-label="${PRODUCT}, start">${logo()}<span>${PRODUCT}</span><small>${store.hello?.env ?? ''}</small></a>
      ${groups().map(([label, feature, pages]) => html`${label ? html`<div class="nav-h">${label}</div>` : nothing}<div class="nav">${pages.map(([page, path, text]) => html`
        <a href=${address(feature, path)} aria-current=${current(page)} title=${text}>${icon(page)}<span>${text}</span>${tally(page, true)}</a>`)}</div>`)}
      <div class="rail-foot"><div class="live" data-s=${paused ? 'paused' : store.connection.value.state} title="${title}: ${detail}"><i aria-hidden="true"></i><b>${paused ? 'Paused' : title}</b><span>${paused ? `${fmt.count(store.waiting.value, 'change')} waiting` : detail}</span></div>
      <div class="rail-tools"><button class="btn quiet icon" aria-label="Switch theme" title="Theme (t)" @click=${toggleTheme}>${icon('sun')}</button>
      <button class="btn quiet icon" aria-label=${paused ? 'Resume updates' : 'Pause updates'} aria-pressed=${String(paused)} title="Pause (p)" @click=${ctx.pause}>${icon(paused ? 'play' : 'pause')}</button>
      <button class="btn quiet icon" aria-label="Keyboard shortcuts" title="Shortcuts (?)" @click=${showKeys}>${icon('keys')}</button></div></div>`, rail);
    const tabs = groups().flatMap(([, feature, pages]) => pages.map(one => [feature, ...one])).filter(([, page]) => ['services', 'circuits', 'topology', 'changes'].includes(page));
    const order = ['services', 'circuits', 'topology', 'changes'];
    tabs.sort((a, b) => order.indexOf(a[1]) - order.indexOf(b[1]));
    render(html`${tabs.map(([feature, page, path, text]) => html`<a href=${address(feature, path)} aria-current=${current(page)}>${icon(page)}<span>${text}</span>${tally(page, false)}</a>`)}
      <button aria-haspopup="menu" aria-expanded="false" @click=${more}>${icon('more')}<span>More</span></button>`, bar);
    document.documentElement.toggleAttribute('data-stale', store.connection.value.state === 'lost');
  });

  effect(() => {
    store.noted.value;
    ctx.newer.value;
    const list = banners(store, ctx, stream);
    if (ctx.newer.value) {
      list.push(html`<div class="notice s-info" role="status">${glyph('changed', { size: 16, named: false })}<div><p class="strong">A newer version of this page is there.</p></div>
        <div class="acts"><button class="btn" @click=${() => location.reload()}>Reload</button></div></div>`);
    }
    if (OLD) {
      list.push(html`<div class="notice s-info">${glyph('changed', { size: 16, named: false })}<div><p class="strong">This browser is older than these pages were made for.</p><p>Colours and dialogs may be wrong.</p></div>
        <div class="acts"><a class="btn" href=${ctx.href('plain')} @click=${event => { event.preventDefault(); location.assign(ctx.href('plain')); }}>Plain tables</a></div></div>`);
    }
    render(list, notices);
  });

  let before = 'connecting', circuits = new Map();
  effect(() => {
    const { state, gap } = store.connection.value;
    if (state === 'live' && before === 'lost') {
      const turned = [...store.circuits.values()].filter(row => circuits.has(row.k) && circuits.get(row.k) !== row.state).length;
      toast(`Connected again${gap ? ` after ${fmt.duration(gap / 1000)}` : ''}.${turned ? ` ${fmt.count(turned, 'circuit')} changed.` : ''}`, { state: 'up' });
    }
    if (state === 'lost' && before !== 'lost') circuits = new Map([...store.circuits.values()].map(row => [row.k, row.state]));
    before = state;
  });

  function drawHead() {
    const { crumb, title, sub, state, actions } = head;
    const role = store.operator;
    render(html`<div class="title">${crumb ? html`<span class="crumb"><a href=${ctx.href(crumb[0])}>${crumb[1]}</a><span aria-hidden="true">/</span></span>` : nothing}<h1>${title}</h1>${state ?? nothing}${sub ? html`<span class="sub">${sub}</span>` : nothing}</div>
      <span class="grow"></span><div class="bar tools"><button class="btn find" aria-keyshortcuts="Control+K" title="Find a service, instance or circuit" @click=${ctx.find}>${icon('search')}<span>Find</span><kbd aria-hidden="true">Ctrl K</kbd></button>
      <button class="btn role" title=${role ? 'Actions are unlocked' : 'Looking only. Give the token to act'} @click=${() => (role ? toast('Actions are unlocked here. Each of them is written down in Changes.') : ctx.unlock())}>${icon(role ? 'unlock' : 'lock')}<span>${role ? 'Operator' : 'Unlock'}</span></button>${actions ?? nothing}</div>`, top);
  }
  effect(() => {
    store.roles.value;
    drawHead();
  });

  /** What stands above a page: {title, sub, crumb: [path, text], state (a tag), actions (a template), doc}. */
  ctx.head = given => {
    head = given;
    drawHead();
    document.title = `${given.doc ?? given.title} · ${PRODUCT}`;
  };
}
