// What the list of services asks of a row: what needs attention, what fits the filter, what comes first.

export const GRAMMAR = {
  fields: ['name', 'zone', 'status', 'version', 'v', 'state'],
  numbers: ['up', 'down', 'late', 'out', 'starting', 'total', 'age', 'rate', 'open'],
};

export const worst = row => {
  if (row.down) return 'down';
  if (row.late) return 'late';
  if (row.oos) return 'out';
  if (row.start) return 'starting';
  return row.unk ? 'unknown' : 'up';
};

/** Open and forced circuits towards a service. */
export const notClosed = row => (row.circ ? row.circ.open + row.circ.forced + row.circ.half : 0);

/** How much a service needs somebody: down share, then late, open circuits, out of service, starting. */
export function attention(row) {
  const total = row.total || 1;
  return [(row.down ?? 0) / total, (row.late ?? 0) / total, row.circ?.open ?? 0, (row.oos ?? 0) / total, ((row.start ?? 0) + (row.unk ?? 0)) / total];
}

const byAttention = (a, b) => {
  const x = attention(a), y = attention(b);
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return y[i] - x[i];
  return a.n.localeCompare(b.n);
};

const byName = (a, b) => a.n.localeCompare(b.n);
const by = value => (a, b) => value(b) - value(a) || byName(a, b);

// Steps of 10%, so that two services of nearly the same rate do not change places.
const step = rate => (rate > 0 ? Math.round(Math.log(rate) / Math.log(1.1)) : -100);

/** key: [label, compare, first direction] */
export const SORTS = {
  attention: ['Needs attention first', byAttention, 'desc'],
  name: ['Name', (a, b) => byName(b, a), 'asc'],
  up: ['Share that is up', by(row => row.up / (row.total || 1)), 'asc'],
  total: ['Most instances', by(row => row.total), 'desc'],
  age: ['Oldest heartbeat', by(row => Math.round((row.oldest ?? 0) / 5)), 'desc'],
  rate: ['Calls per second', by(row => step(row.rate)), 'desc'],
  circuits: ['Circuits not closed', by(notClosed), 'desc'],
};

export function compare(key, dir) {
  const [, order, first] = SORTS[key] ?? SORTS.attention;
  return key === 'attention' || !key ? order : (a, b) => (dir || first) === 'desc' ? order(a, b) : order(b, a);
}

/** Tabs: value, label, whether a row belongs there. */
export const TABS = [
  ['', 'All', () => true],
  ['attention', 'Needs attention', row => worst(row) !== 'up' || row.circ?.open > 0],
  ['down', 'Down', row => row.down > 0],
  ['late', 'Late', row => row.late > 0],
  ['out', 'Out of service', row => row.oos > 0],
];

const STATES = [['up', 'up'], ['down', 'down'], ['late', 'late'], ['oos', 'out'], ['start', 'starting'], ['unk', 'unknown']];

/** What of a filter concerns metadata, as the server is asked: "owner:payments". The list itself has none. */
export const questions = terms => [...new Set(terms.filter(term => term.sign === ':' && term.key && (term.loose || term.key.startsWith('meta.'))).map(term => `${term.key.replace(/^meta\./, '')}:${term.value}`))];

/** A service's metadata as far as it was asked for: `answers` are names by question. */
export function metadata(name, answers) {
  const found = {};
  for (const [question, names] of answers) {
    if (!names.has(name)) continue;
    const [key, ...value] = question.split(':');
    found[key] = `${found[key] ?? ''}\n${value.join(':')}`;
  }
  return found;
}

/** A row as the filter sees it. */
export function item(row, meta = {}) {
  const versions = Object.keys(row.ver ?? {});
  const states = STATES.filter(([key]) => row[key]).map(([, name]) => name);
  return {
    words: [row.n, ...versions],
    meta,
    fields: { name: row.n, zone: Object.keys(row.zones ?? {}), status: states, state: states, version: versions, v: versions },
    numbers: { up: row.up, down: row.down, late: row.late, out: row.oos, starting: row.start, total: row.total, age: row.oldest, rate: row.rate, open: row.circ?.open ?? 0 },
  };
}

/** The version most instances run, its share in percent, and all of them. */
export function versions(row) {
  const all = Object.entries(row.ver ?? {}).sort((a, b) => b[1] - a[1]);
  const total = all.reduce((sum, [, n]) => sum + n, 0);
  return { main: all[0]?.[0] ?? '', share: total ? Math.round(all[0][1] / total * 100) : 0, all };
}

/** Zone names without what they share: eu-1a, eu-1b become 1a, 1b. */
export function short(zones) {
  if (zones.length < 2) return zones;
  const cut = zones[0].search(/[^-_.]*$/);
  const head = zones[0].slice(0, cut);
  return head && zones.every(zone => zone.startsWith(head)) ? zones.map(zone => zone.slice(cut)) : zones;
}

/** Joined and left over the last `minutes`, in `steps` equal parts. */
export function flow(changes, now, minutes = 15, steps = 60) {
  const joined = new Array(steps).fill(0), left = new Array(steps).fill(0), span = minutes * 60_000;
  let plus = 0, minus = 0;
  for (const change of changes) {
    const age = now - change.at;
    if (age > span) break;
    const i = Math.min(steps - 1, Math.max(0, Math.floor((1 - age / span) * steps))), n = change.n ?? 1;
    if (change.kind === 'registered') { joined[i] += n; plus += n; }
    else if (['removed', 'expired', 'deregister', 'deregistered', 'cancelled'].includes(change.kind)) { left[i] += n; minus += n; }
  }
  return { joined, left, plus, minus };
}
