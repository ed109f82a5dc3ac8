// All that is known, as the stream tells it. Signals only for what concerns a whole page; the hot numbers are
// written in place, and one `tick` says that they were.
import { signal } from '../vendor/signals-core/signals-core.js';

/** Seconds kept of every series. */
export const POINTS = 120;
const MOST_CHANGES = 1000, MOST_WAITING = 3000;
/** Told even while paused: they concern the connection or what the reader did. */
const AT_ONCE = new Set(['hello', 'action', 'gap', 'bye']);

/** What can be shown of a list: a row without its name would break every list it stands in. */
const sound = (rows, good) => (Array.isArray(rows) ? rows.filter(row => row && good(row)) : []);

/** A circuit's last two minutes. A ring: the newest value is at `store.head`; NaN where nothing was known. */
class Series {
  constructor() {
    this.rate = new Float32Array(POINTS).fill(NaN);
    this.fail = new Float32Array(POINTS).fill(NaN);
    this.refused = new Float32Array(POINTS).fill(NaN);
  }
}

export class Store {
  constructor() {
    this.hello = null;
    this.services = new Map();    // name: the stream's row, with oldest (s) and rate (calls/s)
    this.order = [];              // names in the order of the tick's "s"
    this.circuits = new Map();    // k: the stream's row, with state, inState, rate, err, counts, lat, inflight
    this.series = new Map();      // k: Series
    this.rates = new Map();       // service name: ring of calls per second
    this.changes = [];            // newest first
    this.notices = new Map();
    this.nodes = new Map();       // name: {name, state, lag, backlog}
    this.beats = null;            // {min, want, limit}
    this.head = POINTS - 1;
    this.window = 10;

    this.tick = signal(0);
    this.listed = signal(0);      // services or circuits came, went or changed
    this.noted = signal(0);       // notices changed
    this.fed = signal(0);         // changes came
    this.connection = signal({ state: 'connecting', age: 0 });
    this.paused = signal(false);
    this.waiting = signal(0);
    this.roles = signal(new Set());
    this.features = signal(new Set(['registry', 'circuits']));
    this.events = new EventTarget();   // state, action, hello, beats, edges, changes

    this._ids = new Set();
    this._queue = [];
    this._pausedAt = 0;
    this._unseen = false;
    this._offset = null;          // server's clock minus ours
  }

  /** The server's clock, in milliseconds since the epoch. It stands still while paused. */
  now() {
    if (this._offset === null) return Date.now();
    return (this.paused.peek() ? this._pausedAt : performance.now()) + this._offset;
  }

  /** One event of the stream. Unknown ones are ignored. */
  apply(event, data) {
    if (data === null || typeof data !== 'object') return;
    if (event.startsWith('beats:')) {
      this.apply('beats', { name: event.slice(6), ...data });
      return;
    }
    if (this.paused.peek() && !AT_ONCE.has(event)) {
      this._wait(event, data);
      return;
    }
    this[`_on_${event}`]?.(data);
    if (['state', 'action', 'hello', 'beats', 'edges', 'change'].includes(event)) {
      this.events.dispatchEvent(new CustomEvent(event, { detail: data }));
    }
  }

  pause() {
    this._pausedAt = performance.now();
    this.paused.value = true;
  }

  resume() {
    this.paused.value = false;
    const queue = this._queue;
    this._queue = [];
    this.waiting.value = 0;
    for (const [event, data] of queue) this.apply(event, data);
  }

  _wait(event, data) {
    // Of ticks only two minutes matter, and they all are alike; the rest must not be lost.
    if (event === 'tick' && this._queue.filter(([name]) => name === 'tick').length >= POINTS) {
      this._queue.splice(this._queue.findIndex(([name]) => name === 'tick'), 1);
    }
    this._queue.push([event, data]);
    if (this._queue.length > MOST_WAITING) this.resume();
    else if (event === 'change' || event === 'state') this.waiting.value += 1;
  }

  _on_hello(hello) {
    if (this.hello && hello.epoch !== this.hello.epoch) {
      // Another server, or the same one after a restart: it counts its changes anew, and tells what it knows of.
      this.changes = [];
      this._ids.clear();
      this.fed.value += 1;
    }
    this.hello = hello;
    this.roles.value = new Set(hello.roles ?? []);
    if (hello.features) this.features.value = new Set(hello.features);
    this._clock(hello.now);
  }

  _on_services({ full, rows: given, gone = [] }) {
    const rows = sound(given, row => typeof row.n === 'string');
    if (full) {
      const names = new Set(rows.map(row => row.n));
      for (const name of this.services.keys()) if (!names.has(name)) this._drop(name);
      this.order = rows.map(row => row.n);
    }
    for (const row of rows) {
      const known = this.services.get(row.n);
      if (known) Object.assign(known, row);
      else {
        this.services.set(row.n, { oldest: null, rate: null, ...row });
        if (!full) this.order.push(row.n);
      }
    }
    for (const name of gone) this._drop(name);
    this.listed.value += 1;
  }

  _drop(name) {
    this.services.delete(name);
    this.rates.delete(name);
  }

  _on_circuits({ full, rows: given, gone = [] }) {
    const rows = sound(given, row => typeof row.k === 'number' && typeof row.id === 'string');
    if (full) {
      const keys = new Set(rows.map(row => row.k));
      for (const key of this.circuits.keys()) if (!keys.has(key)) gone.push(key);
    }
    for (const row of rows) {
      const known = this.circuits.get(row.k);
      if (known) Object.assign(known, row);
      else {
        const unknown = { state: 'C', inState: 0, rate: 0, err: null, counts: [0, 0, 0, 0, 0, 0], lat: null, inflight: 0 };
        this.circuits.set(row.k, { ...unknown, ...row });
        if (!this.series.has(row.k)) this.series.set(row.k, new Series());
      }
    }
    for (const key of gone) {
      this.circuits.delete(key);
      this.series.delete(key);
    }
    this.listed.value += 1;
  }

  _clock(now) {
    if (typeof now === 'number') this._offset = now - performance.now();
  }

  _on_tick({ now, beats, s = [], c = [], nodes }) {
    this._clock(now);
    if (beats) this.beats = beats;
    this.head = (this.head + 1) % POINTS;
    for (const series of this.series.values()) series.rate[this.head] = series.fail[this.head] = series.refused[this.head] = NaN;
    for (const ring of this.rates.values()) ring[this.head] = NaN;
    for (let i = 0; i < s.length && i < this.order.length; i++) this._serviceTick(this.order[i], s[i]);
    for (const row of c) this._circuitTick(row);
    if (nodes) {
      this.nodes = new Map(nodes.map(([name, state, lag, backlog]) => [name, { name, state, lag, backlog }]));
    }
    // In a hidden tab the numbers are kept, and nothing is made of them.
    if (document.hidden) this._unseen = true;
    else this.tick.value += 1;
  }

  /** Somebody looks again. */
  seen() {
    if (!this._unseen) return;
    this._unseen = false;
    this.tick.value += 1;
  }

  _serviceTick(name, values) {
    const row = this.services.get(name);
    if (!row || !values) return;
    [row.oldest, row.rate] = values;
    let ring = this.rates.get(name);
    if (!ring) this.rates.set(name, ring = new Float32Array(POINTS).fill(NaN));
    ring[this.head] = row.rate ?? NaN;
  }

  _circuitTick([k, state, inState, rate, err, counts, lat, inflight]) {
    const row = this.circuits.get(k), series = this.series.get(k);
    if (!row || !series) return;
    row.state = state;
    row.inState = inState;
    row.rate = rate;
    row.err = err;
    row.counts = counts ?? [];
    row.lat = lat;
    row.inflight = inflight;
    const [, failure = 0, refused = 0, timeout = 0, rejected = 0] = row.counts;
    series.rate[this.head] = rate;
    series.fail[this.head] = (failure + timeout + rejected) / this.window;
    series.refused[this.head] = refused / this.window;
  }

  _on_state({ k, at, to, hosts, why }) {
    const row = this.circuits.get(k);
    if (!row) return;
    if (to) row.state = to;
    Object.assign(row, { since: at, hostsBy: hosts, why });
    this.listed.value += 1;
  }

  _on_change(change) {
    this.feed([change]);
  }

  /** Changes that were asked for, or that came; each is kept once, newest first. */
  feed(changes) {
    const fresh = changes.filter(change => change?.id && !this._ids.has(change.id));
    if (!fresh.length) return;
    for (const change of fresh) this._ids.add(change.id);
    const latest = this.changes[0];
    this.changes = [...fresh, ...this.changes];
    if (fresh.length > 1 || fresh[0].at < latest?.at) this.changes.sort((a, b) => b.at - a.at);
    for (const old of this.changes.splice(MOST_CHANGES)) this._ids.delete(old.id);
    this.fed.value += 1;
  }

  _on_notice(notice) {
    if (notice.on) this.notices.set(notice.id, notice);
    else this.notices.delete(notice.id);
    this.noted.value += 1;
  }

  /** Two minutes from before this page was opened; what is known already stays. */
  fill(k, { rate = [], fail = [], refused = [] }) {
    const series = this.series.get(k);
    if (!series) return;
    for (const [name, values] of [['rate', rate], ['fail', fail], ['refused', refused]]) {
      for (let back = 0; back < Math.min(POINTS, values.length); back++) {
        const i = (this.head - back + POINTS) % POINTS;
        if (Number.isNaN(series[name][i])) series[name][i] = values.at(-1 - back) ?? NaN;
      }
    }
  }

  /** Calls per second of a service from before, oldest first. */
  fillRate(name, values) {
    let ring = this.rates.get(name);
    if (!ring) this.rates.set(name, ring = new Float32Array(POINTS).fill(NaN));
    for (let back = 0; back < Math.min(POINTS, values.length); back++) {
      const i = (this.head - back + POINTS) % POINTS;
      if (Number.isNaN(ring[i])) ring[i] = values.at(-1 - back) ?? NaN;
    }
  }

  /** A ring's values from oldest to newest, into `out`. */
  ordered(ring, out = new Float32Array(POINTS)) {
    const first = (this.head + 1) % POINTS;
    out.set(ring.subarray(first), 0);
    out.set(ring.subarray(0, first), POINTS - first);
    return out;
  }

  /** How many circuits are in each state, by letter. */
  tally() {
    const tally = { O: 0, H: 0, F: 0, L: 0, C: 0, D: 0, M: 0 };
    for (const row of this.circuits.values()) tally[row.state] = (tally[row.state] ?? 0) + 1;
    return tally;
  }

  get operator() {
    return this.roles.value.has('operator') || this.roles.value.has('admin');
  }
}
