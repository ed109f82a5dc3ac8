// What the server tells of one circuit, as the page needs it. Whatever is missing is left out.

const num = value => (typeof value === 'number' && Number.isFinite(value) ? value : null);
const array = value => (Array.isArray(value) ? value : []);

/** Each value `times` times: a slow series in the steps of a fast one. */
const stretch = (values, times, n) => {
  const found = values.flatMap(value => new Array(times).fill(value));
  return found.length >= n ? found.slice(found.length - n) : [...new Array(n - found.length).fill(null), ...found];
};

/**
 * The series for the charts: `t` in seconds since the epoch, the outcomes in calls per second from good to bad, and
 * three quantiles in ms; null where nobody was heard. Null if there is no history.
 */
export function series({ series: found, now }, range) {
  if (!found || !array(found.rate).length) return null;
  const step = found.step || 1, n = Math.max(2, Math.round(range / step)), end = Math.round(now / 1000 / step) * step;
  const fast = name => stretch(array(found[name]).map(num), 1, n);
  const rate = fast('rate'), fail = fast('fail'), refused = fast('refused'), timeout = fast('timeout');
  const less = (a, ...others) => a.map((value, i) => (value === null ? null : Math.max(0, others.reduce((sum, one) => sum - (one[i] ?? 0), value))));
  const slow = name => stretch(array(found[name]).map(num), Math.max(1, Math.round((found.slowStep || step) / step)), n);
  return {
    t: Array.from({ length: n }, (_, i) => end - (n - 1 - i) * step), step,
    answered: less(rate, fail, refused), refused, timeout, failed: less(fail, timeout),
    p50: slow('p50'), p90: slow('p90'), p99: slow('p99'),
  };
}

/** Shares of the hosts in each state over time, as the ribbon takes them; null if there is no history. */
export function states({ series: found, now }) {
  const rows = array(found?.states);
  if (!rows.length) return null;
  const step = found.slowStep || 5, share = at => rows.map(row => {
    const sum = row.reduce((all, one) => all + one, 0);
    return sum ? row[at] / sum : null;
  });
  return { t0: now - rows.length * step * 1000, step, half: share(1), open: share(2), forced: share(3) };
}

const BAD = ['ejected', 'probation', 'draining', 'warming', 'healthy'];

/**
 * The target's instances, one row each, worst first: what the balancers of all calling processes make of it together.
 * Numbers in flight are summed, shares and latencies are means, in how many processes it is in that state is kept.
 */
export function pooled(rows) {
  const found = new Map(), callers = new Set(array(rows).map(row => row.by ?? ''));
  for (const row of array(rows)) {
    let one = found.get(row.id);
    if (!one) {
      one = { id: row.id, zone: row.zone || '', bal: 'healthy', on: 0, of: 0, backAt: null, why: '', fly: 0, share: 0, ewma: null, ok: null, run: null, sums: [0, 0, 0, 0] };
      found.set(row.id, one);
    }
    const rank = place(row.bal), best = place(one.bal);
    if (one.of === 0 || rank < best) Object.assign(one, { bal: row.bal, on: 0, backAt: null, why: '' });
    one.of += 1;
    if (row.bal === one.bal) {
      one.on += 1;
      one.backAt = row.backAt && (!one.backAt || row.backAt < one.backAt) ? row.backAt : one.backAt;
      one.why ||= row.why || '';
    }
    one.fly += row.fly || 0;
    one.share += row.share || 0;
    const { sums } = one;
    if (num(row.ewma) !== null) { sums[0] += row.ewma; sums[1] += 1; }
    if (num(row.ok) !== null) { sums[2] += row.ok; sums[3] += 1; }
    if (num(row.run) !== null) one.run = Math.max(one.run ?? 0, row.run);
  }
  for (const one of found.values()) {
    const [latency, heard, ok, judged] = one.sums;
    one.ewma = heard ? latency / heard : null;
    one.ok = judged ? ok / judged : null;
    one.share = one.share / Math.max(1, callers.size) * 100;
  }
  return [...found.values()].sort((a, b) => place(a.bal) - place(b.bal) || (a.ok ?? 101) - (b.ok ?? 101) || b.share - a.share || (a.id < b.id ? -1 : 1));
}
const place = word => { const i = BAD.indexOf(word); return i < 0 ? BAD.length - 1 : i; };

const share = text => { const n = Number(text); return Number.isFinite(n) ? `${Math.round(n * 1000) / 10}%` : text; };
const seconds = text => {
  const n = Number(text);
  if (!Number.isFinite(n)) return text;
  return n < 1 ? `${Math.round(n * 1000)} ms` : `${text} s`;
};
const same = text => text;

// Setting: words for people, and how its value is written. In the order of a reader's questions.
const SETTINGS = {
  error_rate: ['Opens at errors of', share],
  min_calls: ['Calls needed to judge', same],
  window: ['Window', seconds],
  fail_max: ['Opens after failures in a row', same],
  reset_timeout: ['Stays open for', seconds],
  trials: ['Trials at once', same],
  success_threshold: ['Good trials to close', same],
  timeout: ['Timeout', seconds],
  max_concurrent: ['Most calls at once', same],
  slow_duration: ['A call is slow from', seconds],
  slow_rate: ['Opens at slow calls of', share],
  failed: ['Counts as failure', same],
  exclude: ['Answered, no failure', same],
  ignore: ['Not counted at all', same],
  observe: ['Only measures', same],
  isolation: ['Runs in', same],
  reset_multiplier: ['Next time open longer by', text => `${text} times`],
  reset_max: ['Open at most', seconds],
};
const SHOWN = ['error_rate', 'min_calls', 'window', 'reset_timeout', 'success_threshold', 'trials', 'timeout', 'max_concurrent'];

/** Settings in words: those that matter to everybody or that somebody set, and the others. */
export function settings(rows) {
  const known = Object.keys(SETTINGS), rank = name => { const i = known.indexOf(name); return i < 0 ? known.length : i; };
  const all = array(rows).filter(row => row?.name).map(row => {
    const [label, write] = SETTINGS[row.name] ?? [row.name.replaceAll('_', ' '), same], text = String(row.text ?? row.value ?? '');
    const source = row.source || 'default';
    return { name: row.name, label, value: text === 'none' || text === '' ? '\u2013' : write(text), source, live: /^(run time|changed|live)/.test(source) };
  }).sort((a, b) => rank(a.name) - rank(b.name));
  const first = row => SHOWN.includes(row.name) || row.source !== 'default';
  return { first: all.filter(first), rest: all.filter(row => !first(row)) };
}

/** The value of a setting as it was sent, or null. */
export const setting = (answer, name) => array(answer?.settings).find(row => row.name === name)?.value ?? null;
