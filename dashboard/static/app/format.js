// Numbers and times as people read them. A value that does not exist is a dash, never 0.

const grouped = new Intl.NumberFormat('en-GB');
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
export const DASH = '\u2013';

const missing = n => n === null || n === undefined || Number.isNaN(n);

export const int = n => missing(n) ? DASH : grouped.format(Math.round(n));

/** Calls per second. */
export function rate(n) {
  if (missing(n)) return DASH;
  if (n >= 1000) return int(n);
  if (n >= 100) return n.toFixed(0);
  if (n >= 10) return n.toFixed(1);
  return n === 0 ? '0' : n.toFixed(2);
}

/** A share of 0 to 100, without the sign. */
export function percent(n) {
  if (missing(n)) return DASH;
  if (n >= 99.95) return '100';
  return n >= .05 ? n.toFixed(1) : '0';
}

/** Milliseconds, with their unit. */
export function latency(n) {
  if (missing(n)) return DASH;
  if (n >= 10000) return `${(n / 1000).toFixed(1)} s`;
  if (n >= 1000) return `${(n / 1000).toFixed(2)} s`;
  if (n >= 10) return `${Math.round(n)} ms`;
  return n === 0 ? '0 ms' : `${n.toFixed(n >= 1 ? 1 : 2)} ms`;
}

/** A duration in seconds, in its largest fitting unit. */
export function duration(n) {
  if (missing(n)) return DASH;
  if (n < 90) return `${Math.max(0, Math.round(n))} s`;
  if (n < 5400) return `${Math.round(n / 60)} min`;
  if (n < 172800) return `${Math.round(n / 3600)} h`;
  return `${Math.round(n / 86400)} d`;
}

export const time = wall => missing(wall) ? DASH : clock.format(new Date(wall * 1000));
export const count = (n, one, many = `${one}s`) => `${int(n)} ${n === 1 ? one : many}`;
