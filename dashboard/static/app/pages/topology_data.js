// Who calls whom, made from the circuits and the services that the stream tells of.
import { state, WORST } from './circuits_words.js';

/**
 * Edges by "from\nto": `{from, to, rate, letter, circuits, troubled, worst, err, load}`. `letter` is the worst state, `worst`
 * how many circuits are in it, `troubled` how many are not closed, `err` the
 * errors in percent over all its circuits, `load` the worst 99th percentile as a share of its timeout (1: as long).
 */
export function edges(circuits) {
  const found = new Map();
  for (const row of circuits) {
    if (!row.to || !row.from || row.to === row.from) continue;
    const key = `${row.from}\n${row.to}`;
    let edge = found.get(key);
    if (!edge) found.set(key, edge = { key, from: row.from, to: row.to, rate: 0, letter: 'C', circuits: 0, troubled: 0, worst: 0, err: null, load: null, tried: 0, failed: 0 });
    edge.rate += row.rate || 0;
    edge.circuits += 1;
    if (!'CMD'.includes(row.state)) edge.troubled += 1;
    if (WORST.indexOf(row.state) >= 0 && WORST.indexOf(row.state) < WORST.indexOf(edge.letter)) Object.assign(edge, { letter: row.state, worst: 0 });
    if (row.state === edge.letter) edge.worst += 1;
    const [success = 0, failure = 0, , timeout = 0, rejected = 0] = row.counts;
    edge.tried += success + failure + timeout + rejected;
    edge.failed += failure + timeout + rejected;
    if (row.lat && row.timeoutMs) edge.load = Math.max(edge.load ?? 0, (row.lat[2] ?? 0) / row.timeoutMs);
  }
  for (const edge of found.values()) edge.err = edge.tried ? edge.failed / edge.tried * 100 : null;
  return found;
}

/** What a service looks like: mark, words and numbers; one nobody registered is unknown. */
export function node(name, row, all) {
  let incoming = 0, outgoing = 0, called = false;
  for (const edge of all.values()) {
    if (edge.to === name) { incoming += edge.rate; called = true; }
    if (edge.from === name) outgoing += edge.rate;
  }
  const rate = row?.rate > 0 ? row.rate : called ? incoming : outgoing;
  const mark = !row || !row.total ? 'unknown' : row.down ? 'down' : row.late ? 'late' : row.oos ? 'out' : row.start ? 'starting' : row.up ? 'up' : 'unknown';
  return { name, row, mark, rate, up: row?.total ? (row.up === row.total ? `${row.up} up` : `${row.up}/${row.total} up`) : 'not registered' };
}

/** Most in need of attention first, then the busiest. */
export const byNeed = (a, b) => WORST.indexOf(a.letter) - WORST.indexOf(b.letter) || b.rate - a.rate || (a.key < b.key ? -1 : 1);

/** The service that most circuits in trouble lead to; null if all is calm. */
export function worstOf(all) {
  const sums = new Map();
  for (const edge of all.values()) if (edge.troubled) sums.set(edge.to, (sums.get(edge.to) ?? 0) + edge.troubled * (edge.letter === 'O' ? 1000 : 1) + edge.rate / 1e6);
  return [...sums].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}

/** How a line is drawn: `closed`, `half`, `open` or `forced` in the colours of states; else `calm`, `warm` or `hot`. */
export function kind(edge, by) {
  if (by === 'errors') return edge.err === null ? 'closed' : edge.err >= 50 ? 'hot' : edge.err >= 2 ? 'warm' : 'closed';
  if (by === 'latency') return edge.load === null ? 'closed' : edge.load >= .9 ? 'hot' : edge.load >= .5 ? 'warm' : 'closed';
  return state(edge.letter).group;
}

export const width = edge => .7 + Math.log10(1 + edge.rate) * .62 + (edge.troubled ? .5 : 0);
