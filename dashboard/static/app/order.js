// An order that does not jump: made anew every five seconds at most, and never under the reader's hand.

export const PATIENCE = 5000;

export class Order {
  /** `held()` tells whether the reader is busy with the list. */
  constructor(held, clock = () => performance.now()) {
    Object.assign(this, { held, clock, keys: [], at: -Infinity, asked: null, waits: false });
  }

  /** The items in their order. `question` is what decides what is shown and how: a new one orders at once. */
  of(items, key, compare, question = '') {
    const now = this.clock(), due = question !== this.asked || now - this.at > PATIENCE;
    const held = question === this.asked && this.keys.length > 0 && this.held();
    const byKey = new Map(items.map(item => [key(item), item]));
    if (due && !held || !this.keys.length) {
      this.keys = [...items].sort(compare).map(key);
      this.at = now;
      this.asked = question;
      this.waits = false;
    } else {
      const known = new Set(this.keys);
      const fresh = items.filter(item => !known.has(key(item))).sort(compare).map(key);
      this.keys = [...this.keys.filter(one => byKey.has(one)), ...fresh];
      this.waits = held && due;
    }
    return this.keys.map(one => byKey.get(one));
  }
}
