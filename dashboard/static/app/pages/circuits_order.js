// What circuits are sorted by: whole steps with slack, so that small changes move nobody.
import { Order as Calm } from '../order.js';
import { state } from './circuits_words.js';

/** A value leaves its step only when it is this far (in steps) from its middle: half a step and some slack. */
const SLACK = .75;

/** What may be sorted by: name for people, and the value of a circuit; more comes first, texts from a. */
export const SORTS = {
  errors: 'Errors, then volume',
  volume: 'Volume',
  p99: '99th percentile',
  name: 'Name',
  since: 'Longest in this state',
  flight: 'In flight share',
};

/** The step `value` is in, given the step it was in before. */
export function step(value, size, before) {
  const now = value / size;
  return before !== undefined && Math.abs(now - before) <= SLACK ? before : Math.round(now);
}

/** 10% per step; under one call in ten seconds all are equal. */
const loudness = rate => Math.log(Math.max(rate, .1)) / Math.log(1.1);

const NONE = new Set();
/** The whole question: a change of any of these orders at once. */
const whole = ({ sort = 'errors', descending = true, question = '', now = 0, busy = false, pinned = NONE } = {}) => (
  { question: `${sort}\n${descending}\n${question}\n${[...pinned].sort()}`, now, busy }
);

/** The circuits' order, pins first. Asked with {sort, descending, question, now, busy, pinned}. */
export class Order {
  #calm = new Calm(circuit => circuit.k);
  #errors = new Map();
  #rates = new Map();

  /** Whether a newer order waits for the hand to leave. */
  get held() { return this.#calm.held; }

  /** Whether `of` would order anew. */
  due(asked) { return this.#calm.due(whole(asked)); }

  of(items, asked = {}) {
    if (this.due(asked)) this.#forget(items);
    return this.#calm.of(items, some => this.#sorted(some, asked), whole(asked));
  }

  #sorted(items, { sort = 'errors', descending = true, pinned = NONE }) {
    const values = new Map(items.map(item => [item, this.#values(item, sort, pinned)]));
    return [...items].sort((a, b) => compare(values.get(a), values.get(b), descending ? 1 : -1));
  }

  #values(item, sort, pinned) {
    const pin = pinned.has(item.id) ? 0 : 1, text = `${item.to}\n${item.cmd}\n${item.from}`;
    const rate = remembered(this.#rates, item.k, loudness(item.rate || 0), 1);
    const own = () => {
      switch (sort) {
        case 'volume': return [rate];
        case 'p99': return [step(Math.log(Math.max(1, item.lat?.[2] || 0)) / Math.log(1.1), 1)];
        case 'since': return [-(item.since || 0)];
        case 'flight': return [item.limit ? item.inflight / item.limit : -1];
        case 'name': return [];
        default: return [state(item.state).rank, remembered(this.#errors, item.k, item.err ?? -4, 2), rate];
      }
    };
    return { pin, own: own(), text };
  }

  #forget(items) {
    if (this.#rates.size <= items.length * 2 + 100) return;
    const known = new Set(items.map(item => item.k));
    for (const map of [this.#rates, this.#errors]) for (const key of map.keys()) if (!known.has(key)) map.delete(key);
  }
}

function remembered(map, key, value, size) {
  const now = step(value, size, map.get(key));
  map.set(key, now);
  return now;
}

function compare(a, b, sign) {
  if (a.pin !== b.pin) return a.pin - b.pin;
  for (let i = 0; i < a.own.length; i++) if (a.own[i] !== b.own[i]) return sign * (b.own[i] - a.own[i]);
  const order = a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
  return a.own.length ? order : sign * order;
}
