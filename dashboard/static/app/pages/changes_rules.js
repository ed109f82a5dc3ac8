// The feed: equal events close together are one line; bars say when much happened.

const CLOSE = 5000;

/** Equal events within five seconds as one line with their number; newest first, as they come. */
export function fold(changes) {
  const lines = [];
  const open = new Map();
  for (const change of changes) {
    const service = change.sub.split('/')[0];
    const key = `${change.kind} ${service} ${change.text} ${change.by} ${change.node}`;
    const line = open.get(key);
    if (line && line.first - change.at <= CLOSE) {
      line.n += change.n ?? 1;
      line.first = change.at;
      line.all.push(change);
    } else {
      const fresh = { id: change.id, at: change.at, first: change.at, n: change.n ?? 1, change, service, all: [change] };
      open.set(key, fresh);
      lines.push(fresh);
    }
  }
  return lines;
}

export const KINDS = [
  ['', 'All'],
  ['registered,registered_again,removed,expired,deregistered,deregister', 'Joined, left'],
  ['instance_down,instance_up,instance_starting,instance_out,instance_unknown,status', 'Status'],
  ['override_set,override_removed,circuit_command', 'By people'],
  ['circuit_opened,circuit_half_opened,circuit_half_open,circuit_closed,circuit_forced,circuit_forced_open,circuit_forced_closed,circuit', 'Circuits'],
  ['protection_on,protection_off,node_lost,node_back,node_joined', 'Registry'],
];

export const GRAMMAR = { fields: ['name', 'sub', 'kind', 'by', 'node', 'reason'], numbers: ['age', 'n'] };

export const item = (change, now) => ({
  words: [change.sub, change.text, change.by, change.kind, change.kind.replaceAll('_', ' '), change.reason ?? ''],
  fields: { name: change.sub, sub: change.sub, kind: change.kind, by: change.by, node: change.node, reason: change.reason ?? '' },
  numbers: { age: (now - change.at) / 1000, n: change.n ?? 1 },
});

/** How many happened in each of `steps` equal parts of the last `span` ms. */
export function density(changes, now, span, steps) {
  const bars = new Array(steps).fill(0);
  for (const change of changes) {
    const i = Math.floor((1 - (now - change.at) / span) * steps);
    if (i >= 0) bars[Math.min(i, steps - 1)] += change.n ?? 1;
  }
  return bars;
}

/** One JSON object a line. */
export const lines = changes => changes.map(change => `${JSON.stringify(change)}\n`).join('');
