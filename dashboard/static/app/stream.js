// The one connection: opened, watched, opened again. Reports its state, hands messages to the store.

const STALE = 4000, DEAD = 12000, WAITS = [2, 4, 8, 15];

export class Stream {
  /** `onmessage(kind, data)` for every message, `onstate()` whenever there is something new to show. */
  constructor(address, onmessage, onstate) {
    this.address = address;
    this.onmessage = onmessage;
    this.onstate = onstate;
    this.state = 'connecting';   // connecting, live, late, lost
    this.heardAt = 0;
    this.lostAt = 0;
    this.retryAt = 0;
    this.failures = 0;
    this.source = null;
    setInterval(() => this.#look(), 500);
    addEventListener('online', () => this.retry());
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.#look(); });
    this.#open();
  }

  /** Milliseconds since the last message. */
  get age() { return performance.now() - this.heardAt; }

  /** Milliseconds to the next attempt. */
  get wait() { return Math.max(0, this.retryAt - performance.now()); }

  /** Try now instead of later. */
  retry() { if (this.state === 'lost') this.#open(); }

  #open() {
    this.#close();
    this.retryAt = 0;
    this.openedAt = performance.now();
    const source = this.source = new EventSource(this.address);
    for (const kind of ['all', 'tick']) source.addEventListener(kind, event => this.#heard(kind, event.data));
    // The browser's own retries stop for good at a status it does not like, so ours replace them.
    source.onerror = () => this.#lose();
  }

  #close() {
    if (this.source) { this.source.onerror = null; this.source.close(); this.source = null; }
  }

  #heard(kind, text) {
    let data;
    try { data = JSON.parse(text); } catch (error) { console.warn('unreadable message', error); return; }
    const away = this.state === 'lost' ? performance.now() - this.lostAt : 0;
    this.heardAt = performance.now();
    this.failures = 0;
    this.state = 'live';
    this.onmessage(kind, data, away);
    this.onstate();
  }

  #lose() {
    this.#close();
    if (this.state !== 'lost') this.lostAt = performance.now();
    const wait = WAITS[Math.min(this.failures++, WAITS.length - 1)];
    this.retryAt = performance.now() + wait * 1000 * (.9 + .2 * Math.random());
    this.state = 'lost';
    this.onstate();
  }

  #look() {
    const now = performance.now();
    if (this.state === 'lost') {
      if (this.retryAt && now >= this.retryAt) this.#open();
      else if (this.source && now - this.openedAt > DEAD) this.#lose();
    } else if (this.state === 'connecting') {
      if (now - this.openedAt > DEAD) this.#lose();
    } else if (this.age > DEAD) this.#lose();
    else this.state = this.age > STALE ? 'late' : 'live';
    this.onstate();
  }
}
