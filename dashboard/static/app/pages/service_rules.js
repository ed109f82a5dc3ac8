// What the list of a service's instances asks of a row.

export const GRAMMAR = {
  fields: ['id', 'name', 'host', 'zone', 'status', 'own', 'version', 'v'],
  numbers: ['age', 'up'],
};

const RANK = { down: 0, late: 1, starting: 2, out: 3, unknown: 4, up: 5 };

const natural = new Intl.Collator('en', { numeric: true });
// Not localeCompare: two thousand rows are sorted at every letter typed into the filter.
const text = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

export const SORTS = {
  status: ['Status', (a, b) => RANK[a.kind] - RANK[b.kind] || text(a.id, b.id), 'asc'],
  id: ['Instance', (a, b) => text(a.id, b.id), 'asc'],
  zone: ['Zone', (a, b) => text(a.zone, b.zone) || text(a.id, b.id), 'asc'],
  version: ['Version', (a, b) => natural.compare(a.version, b.version) || text(a.id, b.id), 'asc'],
  // Oldest first when it goes down; in steps, or rows would change places each second.
  age: ['Last heartbeat', (a, b) => Math.round(a.age / 5) - Math.round(b.age / 5) || text(a.id, b.id), 'desc'],
  up: ['Up for', (a, b) => (b.since ?? 0) - (a.since ?? 0) || text(a.id, b.id), 'desc'],
};

export const compare = (key, dir) => (a, b) => {
  const order = (SORTS[key] ?? SORTS.status)[1](a, b);
  return dir === 'desc' ? -order : order;
};

export const TABS = [
  ['', 'All', () => true],
  ['notup', 'Not up', row => row.kind !== 'up'],
  ['overridden', 'Overridden', row => Boolean(row.over)],
];

/** Host and port of an instance's address. */
export const host = row => (row.url ?? '').replace(/^[a-z]+:\/\//, '').replace(/\/$/, '');

/** An instance as the filter sees it. */
export const item = (row, now) => ({
  words: [row.id, row.url ?? '', row.zone, row.version],
  fields: { id: row.id, name: row.id, host: host(row), zone: row.zone, status: [row.kind, row.status], own: row.own ?? '', version: row.version, v: row.version },
  meta: row.meta ?? {},
  numbers: { age: row.age, up: row.since ? (now - row.since) / 1000 : null },
});

/** What would be left of a service without `chosen` instances, in numbers. */
export function consequence(rows, chosen) {
  const up = rows.filter(row => row.kind === 'up' || row.kind === 'late');
  const left = up.filter(row => !chosen.has(row.id));
  const zones = new Map(up.map(row => [row.zone, 0]));
  for (const row of left) zones.set(row.zone, zones.get(row.zone) + 1);
  const fewest = [...zones].sort((a, b) => a[1] - b[1])[0] ?? null;
  const taken = up.length - left.length;
  return { total: rows.length, up: up.length, left: left.length, taken, fewest, more: left.length ? Math.round(taken / left.length * 100) : null, last: taken > 0 && left.length === 0 };
}

/** The zones of which nothing would be left. */
export function emptied(rows, chosen) {
  const before = new Set(rows.filter(row => row.kind === 'up').map(row => row.zone));
  for (const row of rows) if (row.kind === 'up' && !chosen.has(row.id)) before.delete(row.zone);
  return [...before].filter(Boolean);
}
