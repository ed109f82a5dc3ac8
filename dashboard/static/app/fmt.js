// Numbers, times and words as people read them. A value that does not exist is a dash, never 0.

const grouped = new Intl.NumberFormat('en-GB');
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

export const DASH = '\u2013';
const missing = n => n === null || n === undefined || Number.isNaN(n);

export const int = n => (missing(n) ? DASH : grouped.format(Math.round(n)));

/** Calls per second. */
export function rate(n) {
  if (missing(n)) return DASH;
  if (n >= 100) return int(n);
  if (n >= 10) return n.toFixed(1);
  return n === 0 ? '0' : n.toFixed(2);
}

/** A share of 0 to 100, without its sign. Nearly all is not all, and nearly nothing is not nothing. */
export function percent(n) {
  if (missing(n)) return DASH;
  if (n >= 100) return '100';
  if (n <= 0) return '0';
  if (n > 99.9) return '99.9';
  return n < .1 ? '<0.1' : n.toFixed(1);
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
  if (n < 119.5) return `${Math.max(0, Math.round(n))} s`;
  if (n < 5400) return `${Math.round(n / 60)} min`;
  if (n < 172800) return `${Math.round(n / 3600)} h`;
  return `${Math.round(n / 86400)} d`;
}

/** How long ago something was: relative for two days, then its date. Both are milliseconds since the epoch. */
export function ago(at, now) {
  if (missing(at)) return DASH;
  const age = (now - at) / 1000;
  if (age < 1) return 'just now';
  return age < 172800 ? `${duration(age)} ago` : day.format(new Date(at));
}

export const time = at => (missing(at) ? DASH : clock.format(new Date(at)));
export const stamp = at => (missing(at) ? DASH : `${day.format(new Date(at))}, ${clock.format(new Date(at))}`);
export const iso = at => (missing(at) ? '' : new Date(at).toISOString());
export const count = (n, one, many = `${one}s`) => `${int(n)} ${n === 1 ? one : many}`;

/** "a, b and c" */
export const list = words => (words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`);

/** An address that may become a link: only http and https, or null. */
export function link(text) {
  try {
    const url = new URL(text);
    return ['http:', 'https:'].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
