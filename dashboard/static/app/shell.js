// What surrounds every page: rail, bar for narrow screens, connection box, notices.
import { h, mark, say, swap } from './dom.js';
import { duration, int } from './format.js';
import { glyph, icon, logo } from './icons.js';
import { census, store, tallies } from './store.js';
import { shortcuts } from './keyboard.js';

const LINKS = [['', 'services', 'Services'], ['changes', 'changes', 'Changes'], ['circuits', 'circuits', 'Circuits']];
const STATES = { connecting: 'Connecting', live: 'Live', late: 'Late', lost: 'Not connected' };

export class Shell {
  constructor(rail, tabbar, app) {
    const link = ([view, picture, label]) => h('a', { href: view || './', 'data-view': view, title: label },
      icon(picture), h('span', {}, label), h('span', { class: 'tally', hidden: true }));
    this.live = h('div', { class: 'live' }, h('i', { 'aria-hidden': 'true' }), h('b', {}), h('span', {}));
    rail.append(
      h('a', { class: 'brand', href: './', 'data-view': '' }, logo(), h('span', {}, 'Resilient')),
      h('div', { class: 'nav' }, LINKS.slice(0, 2).map(link)),
      h('div', { class: 'nav-h' }, 'Resilience'),
      h('div', { class: 'nav' }, link(LINKS[2])),
      h('div', { class: 'rail-foot' }, this.live,
        h('div', { class: 'rail-tools' },
          h('button', { class: 'btn quiet icon', title: 'Theme (t)', 'aria-label': 'Switch theme', onclick: () => app.theme() }, icon('sun')),
          h('button', { class: 'btn quiet icon', title: 'Shortcuts (?)', 'aria-label': 'Keyboard shortcuts', onclick: shortcuts }, icon('keys')))));
    tabbar.append(link(LINKS[0]), link(LINKS[2]), link(LINKS[1]),
      h('button', { 'aria-label': 'Switch theme', onclick: () => app.theme() }, icon('sun'), h('span', {}, 'Theme')));
    this.links = [...rail.querySelectorAll('.nav a'), ...tabbar.querySelectorAll('a')];
  }

  paint(current, stream) {
    const open = tallies(store.circuits.values()).open;
    for (const anchor of this.links) {
      const view = anchor.dataset.view;
      mark(anchor, 'aria-current', view === current ? 'page' : null);
      if (view !== 'circuits') continue;
      const tally = anchor.lastChild;
      mark(tally, 'hidden', open ? null : '');
      swap(tally, String(open), () => [glyph('open', 'g-12', false), String(open), h('span', { class: 'sr' }, ' open')]);
      tally.classList.toggle('t-bad', Boolean(anchor.closest('.rail')));
    }
    const [, word, detail] = this.live.children;
    mark(this.live, 'data-s', stream.state);
    mark(this.live, 'title', `${STATES[stream.state]}, ${age(stream)}`);
    say(word, STATES[stream.state]);
    say(detail, age(stream));
  }
}

function age(stream) {
  const seconds = stream.age / 1000;
  if (stream.state === 'connecting') return 'asking the registry';
  if (stream.state === 'late') return `No update for ${duration(seconds)}`;
  if (stream.state === 'lost') return store.ready ? `data from ${duration(seconds)} ago` : 'no data yet';
  return 'updated every second';
}

function notice(id, tone, mark_, title, text, ...actions) {
  return { id, build: () => h('div', { class: `notice s-${tone}`, role: 'status', 'data-notice': id },
    glyph(mark_, 'g-16', false),
    h('div', {}, h('p', { class: 'strong' }, title), text ? h('p', {}, text) : null),
    actions.length ? h('div', { class: 'acts' }, actions) : null) };
}

const PROTECTED = /preserv|protect|pause/i;

/** Everything that deserves a banner now, calmly said. */
function current(stream) {
  const list = [];
  if (stream.state === 'lost') {
    const wait = Math.ceil(stream.wait / 1000), next = stream.retryAt ? `Next try in ${wait} s.` : 'Trying now.';
    const old = store.ready ? ` You are looking at data from ${duration(stream.age / 1000)} ago.` : '';
    list.push(notice('lost', 'bad', 'down', `The registry can\u2019t be reached.${old}`,
      `Callers keep using the addresses they already know. ${next}`,
      h('button', { class: 'btn', onclick: () => stream.retry() }, 'Try now')));
  }
  if (!store.ready) return list;
  if (store.trouble) list.push(notice('trouble', 'bad', 'down', store.trouble, ''));
  const mode = String(store.node.mode || ''), reason = String(store.node.reason || '');
  if (PROTECTED.test(mode)) {
    const all = census(everyInstance()), late = all.late;
    list.push(notice('protection', 'warn', 'shield', 'Removal of silent instances is paused to be safe.',
      `${reason ? sentence(reason) : `${int(late)} of ${int(all.total)} instances missed their heartbeats at once.`} `
      + 'That looks more like a network fault than that many crashes, so the registry keeps them listed. '
      + 'Some addresses handed out now may not answer.'));
  } else if (/start/i.test(mode)) {
    list.push(notice('starting', 'info', 'starting', 'This registry is starting.',
      `${reason ? `${sentence(reason)} ` : ''}It learns who is there before it answers.`));
  }
  // What else the registry itself finds worth saying; protection has its own words above.
  for (const text of Array.isArray(store.node.warnings) ? store.node.warnings.slice(0, 10).map(String) : []) {
    if (text && !(PROTECTED.test(mode) && text.startsWith('Emergency'))) {
      list.push(notice(`warning ${text.slice(0, 60)}`, 'warn', 'shield', sentence(text), ''));
    }
  }
  const own = new URL(import.meta.url).pathname.match(/@([0-9a-f]+)\//)?.[1];
  if (own && store.ui && own !== store.ui) {
    list.push(notice('version', 'info', 'changed', 'A newer version of this page is available.', '',
      h('button', { class: 'btn', onclick: () => location.reload() }, 'Reload')));
  }
  return list;
}

export function* everyInstance() {
  for (const members of store.instances.values()) yield* members.values();
}

function sentence(text) {
  const trimmed = text.trim();
  return trimmed[0].toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? '' : '.');
}

export function notices(place, stream) {
  const wanted = current(stream);
  const known = new Map([...place.children].map(node => [node.dataset.notice, node]));
  const nodes = wanted.map(one => {
    const fresh = one.build(), old = known.get(one.id);
    // A notice that stays keeps its button, or it could not be pressed while the seconds count down.
    if (!old || old.className !== fresh.className) return fresh;
    const from = fresh.querySelectorAll('p'), to = old.querySelectorAll('p');
    if (from.length !== to.length) return fresh;
    from.forEach((p, i) => say(to[i], p.textContent));
    return old;
  });
  if (nodes.length !== place.children.length || nodes.some((node, i) => node !== place.children[i])) place.replaceChildren(...nodes);
}
