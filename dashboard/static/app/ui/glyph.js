// Marks for states (told apart by their outline, colour only repeats it) and thin icons for controls. The shapes
// are in the sprite of index.html.
import { html, nothing } from '../../vendor/lit-html/lit-html.js';

// state: [tone, word, shape if it has another's]
export const STATES = {
  up: ['ok', 'Up'],
  late: ['warn', 'Late'],
  starting: ['info', 'Starting'],
  out: ['off', 'Out of service'],
  down: ['bad', 'Down'],
  unknown: ['off', 'Unknown'],
  pinned: ['held', 'Override'],
  closed: ['ok', 'Closed', 'up'],
  half: ['warn', 'Half-open'],
  open: ['bad', 'Open', 'down'],
  'forced-open': ['held', 'Forced open'],
  'forced-closed': ['held', 'Forced closed'],
  disabled: ['off', 'Disabled'],
  measuring: ['off', 'Measuring only'],
  ejected: ['held', 'Ejected'],
  shield: ['warn', 'Removal paused'],
  joined: ['ok', 'Joined'],
  left: ['off', 'Left'],
  changed: ['info', 'Changed'],
};

/** A circuit's state by the letter of the stream. */
export const LETTERS = { C: 'closed', H: 'half', O: 'open', F: 'forced-open', L: 'forced-closed', D: 'disabled', M: 'measuring' };
/** An instance's state by the registry's word. */
export const STATUS = { UP: 'up', DOWN: 'down', STARTING: 'starting', OUT_OF_SERVICE: 'out', UNKNOWN: 'unknown' };

const of = state => STATES[state] ?? STATES.unknown;
export const tone = state => of(state)[0];
export const word = state => of(state)[1];
export const shape = state => of(state)[2] ?? (STATES[state] ? state : 'unknown');

/** The mark of a state. `named: false` hides it from assistive technology, where the word stands beside it. */
export function glyph(state, { size = '', named = true, label = null } = {}) {
  return html`<svg class="g t-${tone(state)} ${size ? `g-${size}` : ''}" role=${named ? 'img' : nothing}
    aria-label=${named ? label ?? word(state) : nothing} aria-hidden=${named ? nothing : 'true'}><use href="#g-${shape(state)}"></use></svg>`;
}

export const icon = (name, extra = '') => html`<svg class="i ${extra}" aria-hidden="true"><use href="#i-${name}"></use></svg>`;

const SVG = 'http://www.w3.org/2000/svg';

/** The same as a node, for rows that are written in place. `show(state)` changes it. */
export function glyphNode(size = '') {
  const node = document.createElementNS(SVG, 'svg'), use = document.createElementNS(SVG, 'use');
  node.setAttribute('role', 'img');
  node.append(use);
  let shown = null;
  return {
    node,
    show(state) {
      if (state === shown) return;
      shown = state;
      node.setAttribute('class', `g t-${tone(state)} ${size ? `g-${size}` : ''}`);
      node.setAttribute('aria-label', word(state));
      use.setAttribute('href', `#g-${shape(state)}`);
    },
  };
}

/** A state as wash, mark and word. */
export const tag = (state, text = word(state)) => html`<span class="tag s-${tone(state)}">${glyph(state, { size: 12, named: false })}${text}</span>`;

/** "4 down" as mark and number; the word is in its name. */
export const counted = (state, n, text = null) => html`<span class="with-g" title="${n} ${word(state).toLowerCase()}${state === 'late' ? ', still handed out to callers' : ''}">${glyph(state, { size: 12 })}${n}${text ? html`<em>${text}</em>` : nothing}</span>`;

export const logo = () => html`<svg class="logo" viewBox="0 0 20 20" aria-hidden="true" fill="none"><rect class="plate" x=".75" y=".75" width="18.5" height="18.5" rx="5"/><path class="wire" d="M3.8 10h3M13.2 10h3M6.9 10l5.3-3.7"/><circle class="pole" cx="13" cy="10" r="1.5"/></svg>`;
