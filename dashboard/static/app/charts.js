// What the charts of a quarter of an hour are made of.
import { colour } from './paint.js';
import { stripes } from './ribbon.js';

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

/** `[[moment, text]]` for below a chart of `from` to `to` (s) that is `width` pixels wide. */
export const times = (from, to, now, width) => moments(from, to, now, width < 380 ? 3 : 5).map(at => [at, back(at, now)]);

/** A fill for the context `x`: a colour, or stripes where the colour must not be the only difference. */
export const filled = (x, token, striped, share = 100) => (striped ? stripes(x, colour(token), colour('--surface'))
  : share < 100 ? `color-mix(in srgb, ${colour(token)} ${share}%, transparent)` : colour(token));
