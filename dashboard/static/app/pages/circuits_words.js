// What a circuit is called, and in which words, shapes and colours its state is told.
import { percent, rate } from '../fmt.js';
import { tone, word } from '../ui/glyph.js';

/** Letter on the wire -> glyph, group (what the tallies count) and how much it needs attention. */
export const STATES = {
  O: { glyph: 'open', group: 'open', rank: 5 },
  H: { glyph: 'half', group: 'half', rank: 4 },
  F: { glyph: 'forced-open', group: 'forced', rank: 3 },
  L: { glyph: 'forced-closed', group: 'forced', rank: 2 },
  M: { glyph: 'measuring', group: 'closed', rank: 0 },
  D: { glyph: 'disabled', group: 'closed', rank: 0 },
  C: { glyph: 'closed', group: 'closed', rank: 0 },
};
for (const one of Object.values(STATES)) Object.assign(one, { word: word(one.glyph), tone: tone(one.glyph) });
export const state = letter => STATES[letter] || STATES.C;

/** Letters from the one that matters most to the one that matters least, for edges and lists. */
export const WORST = 'OFHLMDC';
export const worst = letters => [...WORST].find(one => letters.includes(one)) || 'C';

/** Places in the counters of a tick. */
export const SUCCESS = 0, FAILURE = 1, REFUSED = 2, TIMEOUT = 3, REJECTED = 4, IGNORED = 5;
/** Name, class and place of each outcome: first those that are no failure. */
export const OUTCOMES = [
  ['Success', 'success', SUCCESS], ['Ignored', 'ignored', IGNORED], ['Refused', 'info', REFUSED],
  ['Failure', 'bad', FAILURE], ['Timeout', 'warn', TIMEOUT], ['Rejected', 'held', REJECTED],
];
/** The same from good to bad, as share bars stack them. */
export const GOOD_TO_BAD = [
  ['success', SUCCESS], ['ignored', IGNORED], ['info', REFUSED], ['held', REJECTED], ['warn', TIMEOUT], ['bad', FAILURE],
];

/** From this many percent on a closed circuit is worth a colour. */
export const NOTICEABLE = 2;

/** Two words for a person: the target and the command without the target's name before it. */
export function name(circuit) {
  const { to, from, cmd } = circuit;
  if (!to) return [cmd || from, ''];
  const short = cmd === to ? '' : cmd.startsWith(`${to}.`) ? cmd.slice(to.length + 1) : cmd;
  return [to, short];
}

/** One line that says which circuit it is. */
export const title = circuit => name(circuit).filter(Boolean).join(' ');

/** Hosts in the state, in words: "on 51 of 72", "on all 72"; nothing if there is one host only. */
export function spread(circuit) {
  const { hosts, inState } = circuit;
  if (!(hosts > 1) || !inState) return '';
  return inState >= hosts ? `on all ${hosts}` : `on ${inState} of ${hosts}`;
}

/** What to know of its percentiles, if they are not those of all hosts together. */
export const unmerged = ({ merged, hosts, foreign }) => (merged === false && (hosts > 1 || foreign) ? 'per host, not merged' : '');

/** Tone of an error percentage; none while it is unremarkable or unknown. */
export const errorTone = err => (err === null || err === undefined ? '' : err >= 50 ? 'bad' : err >= 5 ? 'warn' : '');

/** How a circuit is read aloud in one sentence. */
export function sentence(circuit) {
  const one = state(circuit.state), where = spread(circuit);
  const errors = circuit.err === null ? 'nothing attempted' : `${percent(circuit.err)}% errors`;
  return `${circuit.from} to ${title(circuit)}: ${one.word.toLowerCase()}${where ? ` ${where}` : ''}, ${errors}, ${rate(circuit.rate)} calls per second`;
}
