// The feed: equal events close together are one line; bars say when much happened.

const CLOSE = 5000;

/** Equal events within five seconds as one line with their number; newest first, as they come. */
export function fold(changes) {
  const lines = [];
  const open = new Map();
  for (const change of changes) {
    // A node is named by its address, which is no service and its instance.
    const service = /^https?:/.test(change.sub) ? change.sub : change.sub.split('/')[0];
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

const BY_PEOPLE = ['override_set', 'override_removed', 'deregister', 'deregistered', 'circuit_command'];
/** Whether a person did it: only people give reasons, and what ends by itself is the registry's. */
const byPeople = change => BY_PEOPLE.includes(change.kind) || Boolean(change.reason) && change.by !== 'registry';
const of = (...kinds) => change => kinds.includes(change.kind);
const circuits = change => change.kind.startsWith('circuit') || ['ejected', 'returned'].includes(change.kind);

/** Tabs: value in the URL, label, what belongs there. */
export const KINDS = [
  ['', 'All', () => true],
  ['registered', 'Joined, left', of('registered', 'registered_again', 'renewed', 'removed', 'expired', 'deregistered', 'deregister', 'cancelled')],
  ['instance_down', 'Status', change => change.kind.startsWith('instance_') || of('status', 'status_changed', 'metadata')(change)],
  ['override_set', 'By people', byPeople],
  ['circuit_opened', 'Circuits', circuits],
  ['protection_on', 'Registry', change => change.kind.startsWith('protection_') || change.kind.startsWith('node_')],
];

/** What belongs to the value in the URL: a tab's, or one kind of event. */
export const belongs = value => KINDS.find(([one]) => one === value)?.[2] ?? of(...value.split(','));

/** How often it happened, in words: ", 12 instances", or ", 3 times" if it was always the same one. */
export function times({ n, change, all }) {
  if (n < 2) return '';
  if (all.length > 1 && all.every(one => one.sub === change.sub)) return `, ${n} times`;
  return `, ${n} ${change.kind.startsWith('circuit') ? 'circuits' : change.kind.startsWith('node_') ? 'times' : 'instances'}`;
}

/** The cause: what happened in words, and the reason somebody gave, once. */
export const cause = ({ text, reason }) => [text, reason && !text?.includes(reason) ? reason : ''].filter(Boolean).join('; ');

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
