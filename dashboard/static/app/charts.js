// Charts of a quarter of an hour. uPlot is loaded here, by the first page that shows one, and nowhere else.
import { colour } from './paint.js';
import { stripes } from './ribbon.js';

let library = null;

/** uPlot and its style sheet, once. */
export function load() {
  library ??= new Promise((resolve, reject) => {
    const sheet = document.createElement('link');
    sheet.rel = 'stylesheet';
    sheet.href = new URL('../vendor/uplot/uPlot.css', import.meta.url).href;
    sheet.onload = resolve;
    sheet.onerror = () => reject(new Error('the style sheet of the charts did not load'));
    document.head.append(sheet);
  }).then(() => import('../vendor/uplot/uPlot.js')).then(module => module.default);
  library.catch(() => { library = null; });
  return library;
}

/**
 * Each series on top of the ones before it: the last is the sum of all. Where every one is unknown (null), so is the
 * sum; where only some are, they count nothing.
 */
export function stack(all) {
  const n = all[0]?.length ?? 0, sums = [], base = new Float64Array(n);
  const known = Array.from({ length: n }, (_, i) => all.some(one => one[i] !== null && one[i] !== undefined));
  for (const one of all) {
    for (let i = 0; i < n; i++) base[i] += one[i] ?? 0;
    sums.push(Array.from(base, (value, i) => (known[i] ? value : null)));
  }
  return sums;
}

const STEPS = [10, 30, 60, 120, 300, 600, 900, 1800];

/** Moments (s) worth a line between `min` and `max`: whole steps back from `now`, at most `most` of them. */
export function moments(min, max, now, most = 4) {
  const step = STEPS.find(one => (max - min) / one <= most) ?? 3600;
  const found = [];
  for (let k = Math.floor((now - min) / step + 1e-6); k >= 0 && now - k * step <= max + 1e-6; k--) found.push(now - k * step);
  return found;
}

/** "now", "30 s ago", "5 min ago". */
export function back(at, now) {
  const s = Math.round(now - at);
  return s < 1 ? 'now' : s < 60 || s % 60 ? `${s} s ago` : `${s / 60} min ago`;
}

const DECADES = [.01, .03, .1, .3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000];

/** The ends of a logarithmic axis in ms that holds these values with some room: always a third of a decade or more. */
export function decades(low, high) {
  if (!(high > 0)) return [10, 1000];
  const from = DECADES.findLast(one => one <= (low > 0 ? low : high) * .95) ?? .01;
  const to = DECADES.find(one => one >= high * 1.05) ?? 100000;
  return [Math.min(from, to / 10), to];
}
export const within = (min, max) => DECADES.filter(one => one >= min * .999 && one <= max * 1.001);
export const shortMs = ms => (ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`);

/** Least and greatest of all known values. */
export function extent(all) {
  let low = Infinity, high = -Infinity;
  for (const one of all) for (const value of one) if (value > 0) { if (value < low) low = value; if (value > high) high = value; }
  return [low, high];
}

/** Averages of `n` equal parts of a series, for the table beside a chart; null where nothing is known. */
export function thin(values, n) {
  const size = Math.max(1, Math.floor(values.length / n)), found = [];
  for (let end = values.length; end > 0 && found.length < n; end -= size) {
    const part = values.slice(Math.max(0, end - size), end).filter(value => value !== null && value !== undefined);
    found.unshift(part.length ? part.reduce((sum, one) => sum + one, 0) / part.length : null);
  }
  return found;
}

const axes = (now, y) => {
  const quiet = { stroke: colour('--ink-3'), font: `11px ${getComputedStyle(document.body).fontFamily}`, ticks: { show: false } };
  return [
    {
      ...quiet, grid: { show: false }, size: 26, gap: 6,
      splits: (u, _, min, max) => moments(min, max, now(), u.width < 380 ? 3 : 5),
      values: (u, all) => all.map(at => back(at, now())),
    },
    { ...quiet, grid: { stroke: colour('--grid'), width: 1 }, size: 50, gap: 7, ...y },
  ];
};

/** A chart in `root`. `describe` gives uPlot's series, y scale and y axis, with the colours of the theme. */
export class Chart {
  constructor(root, { describe, now, onCursor = () => {} }) {
    Object.assign(this, { root, describe, now, onCursor, plot: null, data: null });
    this.watch = new ResizeObserver(() => this.#size());
    this.watch.observe(root);
    this.#make();
  }

  async #make() {
    const U = await load();
    if (this.gone) return;
    this.plot?.destroy();
    this.plot = null;
    if (!this.data || !this.root.clientWidth) return;
    const { series, scale, axis } = this.describe(this.data, U);
    this.plot = new U({
      width: this.root.clientWidth, height: this.root.clientHeight,
      legend: { show: false },
      padding: [6, 14, 0, 0],
      cursor: { sync: { key: 'circuit', setSeries: false }, points: { show: false }, y: false, drag: { x: true, y: false } },
      scales: { x: { time: false }, y: scale },
      axes: axes(this.now, axis),
      series: [{}, ...series],
      hooks: {
        setCursor: [u => this.onCursor(u.cursor.left >= 0 ? u.cursor.idx : null)],
        setScale: [(u, key) => { if (key === 'x') this.zoomed = u.scales.x.max - u.scales.x.min < this.#span() * .98; }],
      },
    }, this.data, this.root);
  }

  #span() { return this.data[0].at(-1) - this.data[0][0]; }

  #size() {
    if (!this.root.clientWidth) return;
    if (this.plot) this.plot.setSize({ width: this.root.clientWidth, height: this.root.clientHeight });
    else if (this.data) this.#make();
  }

  /** `[moments, ...series]`, as uPlot takes them. A zoomed part stays where it is. */
  set(data) {
    const same = this.data?.length === data.length;
    this.data = data;
    if (this.plot && same) this.plot.setData(data, !this.zoomed);
    else this.#make();
  }

  /** All of it again. */
  reset() {
    if (!this.plot || !this.data) return;
    this.zoomed = false;
    this.plot.setData(this.data, true);
  }

  /** The theme changed: colours are not live in a canvas. */
  repaint() { this.#make(); }

  destroy() {
    this.gone = true;
    this.watch.disconnect();
    this.plot?.destroy();
  }
}

/** A fill for uPlot: a colour, or stripes where the colour must not be the only difference. */
export const filled = (token, striped, share = 100) => u => (striped ? stripes(u.ctx, colour(token), colour('--surface'))
  : share < 100 ? `color-mix(in srgb, ${colour(token)} ${share}%, transparent)` : colour(token));
