// What the server said, kept as it was said. Pages read it; only the stream writes it.

const POINTS = 60, CHANGES = 500;
const SUCCESS = 0, REFUSED = 2, FAILURE = 3, TIMEOUT = 4, REJECTED = 5;

class Store {
  constructor() {
    this.instances = new Map();  // service -> id -> instance
    this.circuits = new Map();   // key -> circuit
    this.node = {};
    this.changes = [];
    this.ready = false;
    this.trouble = '';
    this.ui = '';
    this.serverNow = 0;          // the server's steady clock, seconds
    this.wall = 0;               // the server's wall clock, seconds since the epoch
    this.heardAt = 0;            // our own clock when that was, milliseconds
  }

  /** The server's time now; it stands still when the server is silent, so ages never lie. */
  now() {
    return this.serverNow + Math.min(1.5, (performance.now() - this.heardAt) / 1000);
  }

  /** Apply one message: `all` replaces everything, `tick` is the difference. */
  apply(kind, data) {
    this.serverNow = data.now;
    this.wall = data.wall;
    this.ui = data.ui;
    this.heardAt = performance.now();
    this.trouble = data.trouble || '';
    if (kind === 'all') {
      this.instances.clear();
      this.circuits.clear();
      this.node = {};
      this.changes = [];
      this.ready = true;
    }
    if (!this.ready) return;
    for (const one of data.instances || []) {
      if (!this.instances.has(one.service)) this.instances.set(one.service, new Map());
      this.instances.get(one.service).set(one.id, one);
    }
    for (const [service, id, at] of data.beats || []) {
      const one = this.instances.get(service)?.get(id);
      if (one) one.at = at;
    }
    for (const [service, id] of data.left || []) {
      const members = this.instances.get(service);
      members?.delete(id);
      if (members?.size === 0) this.instances.delete(service);
    }
    for (const row of data.circuits || []) {
      const known = this.circuits.get(row.k);
      if (known) Object.assign(known, row);
      else this.circuits.set(row.k, { ...row, series: series(row.history) });
    }
    for (const key of data.ended || []) this.circuits.delete(key);
    if (data.node) this.node = data.node;
    if (data.changes) this.changes = data.changes;
    if (data.happened) this.changes = [...data.happened, ...this.changes].slice(0, CHANGES);
    for (const circuit of this.circuits.values()) this.#record(circuit);
  }

  #record(circuit) {
    const own = circuit.series, slot = Math.floor(this.serverNow / own.step);
    if (own.slot === undefined) own.slot = slot - 1;
    const missing = Math.min(slot - own.slot, POINTS);
    if (missing <= 0) return;
    own.slot = slot;
    const c = circuit.counts, window = circuit.window || 10;
    for (let i = 0; i < missing; i++) {
      own.rate.push(circuit.rate);
      own.failing.push((c[FAILURE] + c[TIMEOUT] + c[REJECTED]) / window);
      own.refused.push(c[REFUSED] / window);
    }
    for (const name of ['rate', 'failing', 'refused']) own[name].splice(0, own[name].length - POINTS);
  }
}

function series(history) {
  const { step = 2, rate = [], failing = [], refused = [] } = history || {};
  return { step, rate: [...rate], failing: [...failing], refused: [...refused], slot: undefined };
}

/** The one word for an instance that decides its mark; late goes before what it says of itself, but not down. */
export function condition(instance) {
  const status = instance.status;
  if (status === 'DOWN') return 'down';
  if (status === 'OUT_OF_SERVICE') return 'out';
  if (instance.late) return 'late';
  if (status === 'UP') return 'up';
  return status === 'STARTING' ? 'starting' : 'unknown';
}

/** Conditions in the order of concern, worst first. */
export const CONCERNS = ['down', 'late', 'out', 'starting', 'unknown'];

/** Number of instances in each condition. */
export function census(instances) {
  const sums = { up: 0, down: 0, late: 0, out: 0, starting: 0, unknown: 0, total: 0 };
  for (const one of instances) { sums[condition(one)]++; sums.total++; }
  return sums;
}

/** What a circuit's tally is filed under. */
export const kind = circuit => circuit.state.startsWith('forced') ? 'forced' : circuit.state;

export function tallies(circuits) {
  const sums = { open: 0, 'half-open': 0, forced: 0, closed: 0, hot: 0, total: 0 };
  for (const one of circuits) {
    sums[kind(one)]++;
    sums.total++;
    if (one.state === 'closed' && one.errors >= 2) sums.hot++;
  }
  return sums;
}

export const store = new Store();
export const outcome = { SUCCESS, IGNORED: 1, REFUSED, FAILURE, TIMEOUT, REJECTED };
