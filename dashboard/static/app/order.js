// An order that does not jump: made anew every five seconds at most, and never under the reader's hand.

const PATIENCE = 5000;

export class Order {
  constructor(list) {
    this.list = list;        // the element whose rows are ordered
    this.keys = [];
    this.at = -Infinity;
    this.asked = '';
  }

  /** The items in their order. `question` is what decides which are shown: a new one orders at once. */
  of(items, key, compare, question = '') {
    const now = performance.now(), held = this.list.matches(':hover') || this.list.contains(document.activeElement);
    const byKey = new Map(items.map(item => [key(item), item]));
    const due = question !== this.asked || (now - this.at > PATIENCE && !held);
    if (due || this.keys.length === 0) {
      this.keys = [...items].sort(compare).map(key);
      this.at = now;
      this.asked = question;
    } else {
      const known = new Set(this.keys);
      const fresh = items.filter(item => !known.has(key(item))).sort(compare).map(key);
      this.keys = [...this.keys.filter(one => byKey.has(one)), ...fresh];
    }
    return this.keys.map(one => byKey.get(one));
  }
}
