// Marks for states (filled, told apart by outline) and icons for controls (thin lines).
import { s } from './dom.js';

const square = () => s('rect', { class: 'fill', x: 1.5, y: 1.5, width: 13, height: 13, rx: 2.2 });
const line = (d, width, kind = 'cut') => s('path', { class: kind, d, 'stroke-width': width });
const disc = (r, kind = 'fill') => s('circle', { class: kind, cx: 8, cy: 8, r });
const hole = (cy, r) => s('circle', { class: 'hole', cx: 8, cy, r });
const bar = x => s('rect', { class: 'fill', x, y: 2, width: 3.6, height: 12, rx: 1.1 });
const ring = (r, width) => s('circle', { class: 'draw', cx: 8, cy: 8, r, 'stroke-width': width });
const cross = () => line('M5.3 5.3l5.4 5.4M10.7 5.3l-5.4 5.4', 1.9);

// state: tone, word, drawing
const MARKS = {
  up: ['ok', 'Up', () => [disc(4.5)]],
  closed: ['ok', 'Closed', () => [disc(4.5)]],
  open: ['bad', 'Open', () => [square(), cross()]],
  down: ['bad', 'Down', () => [square(), cross()]],
  'half-open': ['warn', 'Half-open', () => [ring(6, 1.8), s('path', { class: 'fill', d: 'M8 2a6 6 0 0 0 0 12z' })]],
  late: ['warn', 'Late', () => [
    s('path', { class: 'fill', d: 'M7.1 1.9a1.05 1.05 0 0 1 1.8 0l6.2 10.6a1.05 1.05 0 0 1-.9 1.6H1.8a1.05 1.05 0 0 1-.9-1.6z' }),
    line('M8 5.8v3.8M8 11.8v.1', 1.7),
  ]],
  starting: ['info', 'Starting', () => [
    s('path', { class: 'draw', d: 'M8 2a6 6 0 1 1-5.2 3', 'stroke-width': 2, 'stroke-linecap': 'round' }), disc(2),
  ]],
  out: ['off', 'Out of service', () => [bar(3), bar(9.4)]],
  unknown: ['off', 'Unknown', () => [line('M8 1.7L14.3 8 8 14.3 1.7 8z', 1.5, 'draw'), line('M8 5.4v3M8 10.6v.1', 1.6, 'draw')]],
  'forced-open': ['held', 'Forced open', () => [square(), hole(6.8, 2), line('M8 8v3.4', 1.8)]],
  'forced-closed': ['held', 'Forced closed', () => [disc(6.5), hole(6.9, 1.8), line('M8 8v2.9', 1.7)]],
  shield: ['warn', 'Removal paused', () => [
    s('path', { class: 'fill', d: 'M8 1.4l5.6 2v4.2c0 3.4-2.3 5.8-5.6 7-3.3-1.2-5.6-3.6-5.6-7V3.4z' }),
    line('M6.2 5.4v5M9.8 5.4v5', 1.7),
  ]],
  joined: ['ok', 'Joined', () => [line('M8 2.5v11M2.5 8h11', 2, 'draw')]],
  left: ['off', 'Left', () => [line('M2.5 8h11', 2, 'draw')]],
  changed: ['info', 'Changed', () => [ring(4.6, 2)]],
};

const of = state => MARKS[state] || MARKS.unknown;
export const tone = state => of(state)[0];
export const word = state => of(state)[1];

/** The mark of a state. `named` false hides it from assistive technology, where the word stands beside it. */
export function glyph(state, size = '', named = true) {
  const [colour, label, draw] = of(state);
  const names = named ? { role: 'img', 'aria-label': label } : { 'aria-hidden': 'true' };
  const shape = s('svg', { class: `g t-${colour} ${size}`, viewBox: '0 0 16 16', ...names }, draw());
  return shape;
}

const LINES = {
  services: 'M2.5 3.5h11v3h-11zM2.5 9.5h11v3h-11zM5 5h.01M5 11h.01',
  circuits: 'M1.8 8h3.1M11.1 8h3.1M5 8l5.2-3.6M5 8h.01M11 8h.01',
  changes: 'M2.5 8h2.2l1.8-4.6 3 9.2L11.3 8h2.2',
  search: 'M2.6 7a4.4 4.4 0 1 0 8.8 0a4.4 4.4 0 1 0-8.8 0M10.4 10.4l3.2 3.2',
  sun: 'M5.2 8a2.8 2.8 0 1 0 5.6 0a2.8 2.8 0 1 0-5.6 0M8 1.6v1.6M8 12.8v1.6M1.6 8h1.6M12.8 8h1.6M3.5 3.5l1.1 1.1M11.4 11.4l1.1 1.1M3.5 12.5l1.1-1.1M11.4 4.6l1.1-1.1',
  keys: 'M3.2 4h9.6a1.4 1.4 0 0 1 1.4 1.4v5.2a1.4 1.4 0 0 1-1.4 1.4H3.2a1.4 1.4 0 0 1-1.4-1.4V5.4A1.4 1.4 0 0 1 3.2 4zM4.4 6.6h.01M7 6.6h.01M9.6 6.6h.01M11.8 6.6h.01M4.6 9.6h6.8',
  down: 'M4 6l4 4 4-4',
  right: 'M6 4l4 4-4 4',
  pause: 'M5.6 3.4v9.2M10.4 3.4v9.2',
  play: 'M5 3.4l7 4.6-7 4.6z',
  rows: 'M2.2 4h11.6M2.2 8h11.6M2.2 12h11.6',
};

export const icon = name => s('svg', { class: 'i', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, s('path', { d: LINES[name] }));

export const logo = () => s('svg', { viewBox: '0 0 20 20', 'aria-hidden': 'true', fill: 'none' },
  s('rect', { class: 'plate', x: .75, y: .75, width: 18.5, height: 18.5, rx: 5 }),
  s('path', { class: 'wire', d: 'M3.8 10h3M13.2 10h3M6.9 10l5.3-3.7' }),
  s('circle', { class: 'pole', cx: 13, cy: 10, r: 1.5 }));
