// Five numbers that say whether anything is wrong.
import { h, say, swap } from '../dom.js';
import { comings } from '../draw.js';
import { duration, int } from '../format.js';
import { glyph, word } from '../icons.js';
import { CONCERNS, census, store, tallies } from '../store.js';

const FILL = [['up', 'up'], ['starting', 'info'], ['unknown', 'off'], ['out', 'off'], ['late', 'warn'], ['down', 'bad']];
const MINUTES = 15, STEPS = 30;

/** A bar of shares in a fixed order, from good to bad. */
export function shares(parts, total, label) {
  return parts.filter(([n]) => n > 0).map(([n, fill]) => h('i', { class: `f-${fill}`, '--n': String(Math.max(n, total / 140)) }))
    .concat(label ? [h('span', { class: 'sr' }, label)] : []);
}

export const instanceShares = sums => FILL.map(([name, fill]) => [sums[name], fill]);

/** Marks with numbers, for the conditions that occur. */
export const troubles = (sums, always = false) => CONCERNS
  .filter(name => sums[name] || (always && name !== 'unknown'))
  .map(name => h('span', { class: 'with-g', title: `${int(sums[name])} ${word(name).toLowerCase()}` }, glyph(name, 'g-12'), int(sums[name])));

function cell(tag, label, attributes = {}) {
  const value = h('div', { class: 'v' }), view = h('div', { class: 'viz' });
  return [h(tag, { class: 'cell', ...attributes }, h('div', { class: 'k' }, label), value, view), value, view];
}

const small = text => h('small', {}, text);

export class Strip {
  constructor() {
    const one = this.up = cell('div', 'Instances up', { 'data-cell': 'up' });
    const two = this.beats = cell('div', 'Heartbeats per minute', { 'data-cell': 'beats' });
    const three = this.moves = cell('div', `Changes, ${MINUTES} min`, { 'data-cell': 'changes' });
    const four = this.self = cell('div', 'This registry', { 'data-cell': 'registry' });
    const five = this.circuits = cell('a', 'Circuits open', { href: 'circuits', 'data-view': 'circuits', 'data-cell': 'circuits' });
    this.bar = h('div', { class: 'share' });
    this.counts = h('div', { class: 'counts' });
    one[2].append(this.bar, this.counts);
    this.onTime = h('div', { class: 'share' });
    this.beatNote = h('div', {});
    two[2].append(this.onTime, this.beatNote);
    this.canvas = h('canvas', { role: 'img' });
    three[2].append(this.canvas);
    this.selfNote = h('div', {});
    four[2].append(this.selfNote);
    this.circuitCounts = h('div', { class: 'counts' });
    five[2].append(this.circuitCounts);
    this.node = h('section', { class: 'panel strip', 'aria-label': 'Summary' }, one[0], two[0], three[0], four[0], five[0]);
  }

  paint(services) {
    const sums = census(services.flatMap(one => one.instances)), key = JSON.stringify(sums);
    swap(this.up[1], key, () => [int(sums.up), small(`of ${int(sums.total)}`)]);
    swap(this.bar, key, () => shares(instanceShares(sums), sums.total,
      FILL.map(([name]) => `${sums[name]} ${word(name).toLowerCase()}`).join(', ')));
    swap(this.counts, key, () => troubles(sums, true));

    say(this.beats[1], int(store.node.heartbeats_per_minute));
    swap(this.onTime, key, () => shares([[sums.total - sums.late, 'up'], [sums.late, 'warn']], sums.total));
    swap(this.beatNote, key, () => sums.late ? h('span', { class: 'with-g t-warn' }, glyph('late', 'g-12', false), `${int(sums.late)} late`) : 'all on time');

    const joined = new Array(STEPS).fill(0), left = new Array(STEPS).fill(0);
    let ups = 0, downs = 0;
    for (const one of store.changes) {
      const place = STEPS - 1 - Math.floor((store.wall - one.at) / (MINUTES * 60 / STEPS));
      if (!(place >= 0)) continue;
      const series = one.action === 'ADDED' ? joined : one.action === 'DELETED' ? left : null;
      if (series === null) continue;
      series[Math.min(place, STEPS - 1)]++;
      if (series === joined) ups++; else downs++;
    }
    swap(this.moves[1], `${ups} ${downs}`, () => [`+${int(ups)}`, small('joined'), `\u2212${int(downs)}`, small('left')]);
    this.canvas.setAttribute('aria-label', `${ups} joined and ${downs} left in the last ${MINUTES} minutes`);
    comings(this.canvas, joined, left);

    const { started_at: started, version, mode } = store.node;
    const up = duration(started === undefined || started === null ? null : store.now() - started);
    swap(this.self[1], up, () => [up, small('up')]);
    swap(this.selfNote, `${version} ${mode}`, () => [h('span', { class: 'mid' }, modeWord(mode)), h('br'), h('span', { class: 'dim' }, version ? `version ${version}` : '')]);

    const t = tallies(store.circuits.values());
    swap(this.circuits[1], `${t.open} ${t.total}`, () => [int(t.open), small(`of ${int(t.total)}`)]);
    swap(this.circuitCounts, JSON.stringify(t), () => [['open', t.open], ['half-open', t['half-open']], ['forced-open', t.forced], ['closed', t.closed]]
      .map(([state, n]) => h('span', { class: 'with-g', title: state === 'forced-open' ? 'Forced' : word(state) }, glyph(state, 'g-12'), int(n))));
  }
}

function modeWord(mode) {
  const text = String(mode || '');
  if (/preserv|protect|pause/i.test(text)) return 'removal paused';
  if (/start/i.test(text)) return 'starting';
  return 'removes silent instances';
}
