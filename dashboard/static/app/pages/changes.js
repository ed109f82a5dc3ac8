// What happened, newest first.
import { arrange, h } from '../dom.js';
import { DASH, count, time } from '../format.js';
import { glyph } from '../icons.js';
import { store } from '../store.js';

const MARKS = { ADDED: 'joined', DELETED: 'left', MODIFIED: 'changed' };
const STATUS = { UP: 'up', DOWN: 'down', STARTING: 'starting', OUT_OF_SERVICE: 'out', UNKNOWN: 'unknown' };
const WORDS = { UP: 'up', DOWN: 'down', STARTING: 'starting', OUT_OF_SERVICE: 'out of service', UNKNOWN: 'unknown' };

function mark(one) {
  const action = String(one.action || '').toUpperCase();
  return action === 'MODIFIED' && STATUS[one.status] ? STATUS[one.status] : MARKS[action] || 'changed';
}

function sentence(one) {
  if (one.text) return String(one.text);
  const action = String(one.action || '').toUpperCase();
  if (action === 'ADDED') return one.status && one.status !== 'UP' ? `joined, ${WORDS[one.status] || one.status}` : 'joined';
  if (action === 'DELETED') return 'left';
  return one.status ? `is now ${WORDS[one.status] || one.status}` : 'changed';
}

function row(one) {
  return h('li', {},
    h('time', { title: one.at ? new Date(one.at * 1000).toISOString() : '' }, one.at ? time(one.at) : DASH),
    glyph(mark(one), '', false),
    h('span', { class: 'what' }, h('b', { class: 'strong' }, String(one.service || '')), ' ',
      h('span', { class: 'mono mid' }, String(one.instance || '')), ' ', sentence(one)),
    h('span', { class: 'dim where' }, String(one.zone || '')));
}

export function changes() {
  const list = h('ol', { class: 'feed', 'aria-label': 'Changes, newest first' });
  const none = h('section', { class: 'panel empty' }, h('h2', {}, 'Nothing has changed yet'),
    h('p', {}, 'Services that join, leave or change their status show up here.'));
  const panel = h('section', { class: 'panel', 'aria-label': 'Changes' }, list);
  const box = h('div', { class: 'stack' });
  const rows = new Map();
  let shown = null;
  return {
    title: 'Changes', nodes: [box],
    sub: () => store.changes.length ? `the last ${count(store.changes.length, 'change')}` : 'none yet',
    paint() {
      if (!store.ready) return;
      if (shown === store.changes) return;
      shown = store.changes;
      const keys = new Map(), seen = new Map();
      for (const one of shown) {
        const text = JSON.stringify(one), n = seen.get(text) || 0;
        seen.set(text, n + 1);
        keys.set(`${text} ${n}`, one);
      }
      for (const key of rows.keys()) if (!keys.has(key)) rows.delete(key);
      for (const [key, one] of keys) if (!rows.has(key)) rows.set(key, row(one));
      arrange(list, [...keys.keys()].map(key => rows.get(key)));
      arrange(box, [shown.length ? panel : none]);
    },
  };
}
