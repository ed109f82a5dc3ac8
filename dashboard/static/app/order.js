// An order that does not jump: made anew every five seconds at most, and never under the reader's hand.

export const PATIENCE = 5000;

export class Order {
  #keys = [];
  #place = new Map();
  #at = -Infinity;
  #question = null;
  /** Whether a newer order waits for the hand to leave. */
  held = false;

  /** `key(item)` is what an item is known by. */
  constructor(key) { this.key = key; }

  /** Whether `of` would order anew. */
  due({ question = '', now = 0, busy = false } = {}) {
    return question !== this.#question || !this.#keys.length || (now - this.#at >= PATIENCE && !busy);
  }

  /**
   * The items in the order of `sort(items)`, which is asked for only when it is due. `question` is what decides what
   * is shown and how: a new one orders at once. `now` is in milliseconds; `busy` says that pointer or focus is in the list.
   */
  of(items, sort, { question = '', now = 0, busy = false } = {}) {
    const due = this.due({ question, now, busy });
    this.held = !due && busy && now - this.#at >= PATIENCE;
    if (due) {
      this.#question = question;
      this.#at = now;
      const sorted = sort(items);
      this.#keys = sorted.map(this.key);
      this.#place = new Map(this.#keys.map((key, i) => [key, i]));
      return sorted;
    }
    // Those that were there keep their place; new ones wait at the end for the next time.
    const place = this.#place, fresh = items.filter(item => !place.has(this.key(item)));
    for (const item of fresh.length > 1 ? sort(fresh) : fresh) {
      const key = this.key(item);
      place.set(key, this.#keys.length);
      this.#keys.push(key);
    }
    return [...items].sort((a, b) => place.get(this.key(a)) - place.get(this.key(b)));
  }
}
