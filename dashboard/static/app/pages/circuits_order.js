// An order that does not jump: whole steps with slack, made anew every five seconds at most, never under the hand.
import { state } from './circuits_words.js';

const PATIENCE = 5000;
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

export class Order {
  #errors = new Map();
  #rates = new Map();
  #keys = [];
  #place = new Map();
  #at = -Infinity;
  #question = null;
  /** Whether a newer order waits for the hand to leave. */
  held = false;

  /** Whether `of` would order anew. */
  due({ sort = 'errors', descending = true, question = '', now = 0, busy = false, pinned = new Set() } = {}) {
    const asked = said(sort, descending, question, pinned);
    return asked !== this.#question || (now - this.#at >= PATIENCE && !busy);
  }

  /**
   * The items in their order, pins first. `question` is what decides which are shown: a new one orders at once.
   * `now` is in milliseconds; `busy` says that pointer or focus is in the list.
   */
  of(items, { sort = 'errors', descending = true, question = '', now = 0, busy = false, pinned = new Set() } = {}) {
    const asked = said(sort, descending, question, pinned);
    const due = now - this.#at >= PATIENCE;
    this.held = due && busy && asked === this.#question;
    if (asked !== this.#question || this.#keys.length === 0 || (due && !busy)) {
      this.#question = asked;
      this.#at = now;
      const values = new Map(items.map(item => [item, this.#values(item, sort, now, pinned)]));
      const sorted = [...items].sort((a, b) => compare(values.get(a), values.get(b), descending ? 1 : -1));
      this.#keys = sorted.map(item => item.k);
      this.#place = new Map(this.#keys.map((key, i) => [key, i]));
      this.#forget(items);
      return sorted;
    }
    // Those that were there keep their place; new ones wait at the end for the next time.
    const place = this.#place;
    const fresh = items.filter(item => !place.has(item.k));
    for (const item of fresh) { place.set(item.k, this.#keys.length); this.#keys.push(item.k); }
    return [...items].sort((a, b) => place.get(a.k) - place.get(b.k));
  }

  #values(item, sort, now, pinned) {
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

const said = (sort, descending, question, pinned) => `${sort}\n${descending}\n${question}\n${[...pinned].sort()}`;

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
