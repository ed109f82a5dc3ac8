// The stream of events. Read with fetch, not EventSource: a token can be sent, a refusal can be told from a
// broken line, and the pauses between tries are ours.
import { batch } from '../vendor/signals-core/signals-core.js';

const WAITS = [2, 4, 8, 15];
const LATE = 4000, HIDDEN = 60_000, SILENT = 12_000;

/** The events in the text so far, and what is left over. Lines end with \n, \r\n or \r. */
export function split(text) {
  const events = [];
  const parts = text.replace(/\r\n?/g, '\n').split('\n\n');
  const rest = parts.pop();
  for (const part of parts) {
    const event = { name: 'message', data: [], id: null, retry: null };
    for (const line of part.split('\n')) {
      if (!line || line.startsWith(':')) continue;
      const colon = line.indexOf(':');
      const key = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (key === 'event') event.name = value;
      else if (key === 'data') event.data.push(value);
      else if (key === 'id') event.id = value;
    }
    if (event.data.length) events.push({ ...event, data: event.data.join('\n') });
  }
  return [events, rest];
}

export class Stream {
  /** `url(topics)` gives the address, `headers()` what to send. */
  constructor(store, { url, headers = () => ({}), warn = console.error }) {
    Object.assign(this, { store, url, headers, warn });
    this.topics = new Set(['services', 'circuits', 'changes', 'nodes']);
    this.last = '';           // id of the last event: the server resumes after it
    this.tries = 0;
    this.heard = 0;           // performance.now() of the last tick
    this.nextAt = 0;
    this.lostAt = 0;
    this.problem = null;
    this.stopped = true;
    // A browser opens six connections to a server and lets everything else wait: a tab that nobody looks at
    // makes room for one that opens its stream.
    this.tabs = new BroadcastChannel('resilient.stream');
    this.tabs.onmessage = () => { if (document.hidden) this._close(); };
    setInterval(() => this._look(), 500);
    addEventListener('online', () => this.tryNow());
    addEventListener('pagehide', () => this._close());
    document.addEventListener('visibilitychange', () => this._visibility());
  }

  start() {
    this.stopped = false;
    this._open();
  }

  /** The topics a page needs besides the usual. */
  want(more) {
    const next = new Set(['services', 'circuits', 'changes', 'nodes', ...more]);
    const same = next.size === this.topics.size && [...next].every(topic => this.topics.has(topic));
    this.topics = next;
    if (!same && !this.stopped) this._open();
  }

  tryNow() {
    if (!this.stopped && this.store.connection.peek().state !== 'live') this._open();
  }

  /** From the beginning, for example with another token. */
  again() {
    this.last = '';
    if (!this.stopped) this._open();
  }

  /** Seconds until the next try, or 0. */
  get wait() {
    return Math.max(0, (this.nextAt - performance.now()) / 1000);
  }

  _close() {
    clearTimeout(this._timer);
    this._abort?.abort();
    this._abort = null;
  }

  async _open() {
    this._close();
    const abort = this._abort = new AbortController();
    this.nextAt = 0;
    this._opened = performance.now();
    this.tabs.postMessage('');
    try {
      const headers = { Accept: 'text/event-stream', ...this.headers() };
      if (this.last) headers['Last-Event-ID'] = this.last;
      const answer = await fetch(this.url([...this.topics].join(',')), { headers, signal: abort.signal, cache: 'no-store' });
      if (!answer.ok) {
        this.problem = answer.status;
        throw new Error(`the stream answered ${answer.status}`);
      }
      this.problem = null;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const [events, rest] = split(text + value);
        text = rest;
        this._take(events);
      }
    } catch (error) {
      if (abort.signal.aborted) return;
    }
    if (this._abort === abort) this._lost();
  }

  /** What came together is drawn once. */
  _take(events) {
    try {
      batch(() => { for (const event of events) this._event(event); });
    } catch (error) {
      // A page that could not draw it; the line is well.
      this.warn(error);
    }
  }

  _event({ name, data, id }) {
    let body;
    try {
      body = JSON.parse(data);
    } catch (error) {
      this.warn(error);
      return;
    }
    if (id) this.last = id;
    if (name === 'gap') {
      this.again();
      return;
    }
    if (name === 'bye') {
      this._lost(body?.retryMs);
      return;
    }
    if (name === 'tick' || name === 'hello') this._live();
    try {
      this.store.apply(name, body);
    } catch (error) {
      this.warn(error);
    }
  }

  _live() {
    this.heard = performance.now();
    this.tries = 0;
    const { state, since } = this.store.connection.peek();
    if (state !== 'live') this.store.connection.value = { state: 'live', age: 0, was: state, gap: since ? this.heard - since : 0 };
  }

  _lost(after) {
    this._close();
    const seconds = after ? after / 1000 : WAITS[Math.min(this.tries, WAITS.length - 1)] * (.8 + Math.random() * .4);
    this.tries += 1;
    this.nextAt = performance.now() + seconds * 1000;
    this._timer = setTimeout(() => this._open(), seconds * 1000);
    this._look();
  }

  /** How old is what we show? */
  _look() {
    const now = performance.now(), before = this.store.connection.peek();
    if (this.stopped || document.hidden && !this._abort) return;
    // A line that is open and silent is as good as cut.
    if (this._abort && now - Math.max(this.heard, this._opened) > SILENT) {
      this._lost();
      return;
    }
    const age = this.heard ? (now - this.heard) / 1000 : 0;
    const cut = !this._abort || this.tries > 0;
    let state = 'live';
    if (!this.heard) state = this.tries ? 'lost' : 'connecting';
    else if (now - this.heard > LATE) state = cut ? 'lost' : 'stale';
    else if (before.state !== 'live') state = before.state;
    if (state === 'live' && before.state === 'live') return;
    this.store.connection.value = { state, age, wait: this.wait, problem: this.problem, since: before.since ?? this.heard };
  }

  _visibility() {
    clearTimeout(this._hiding);
    if (document.hidden) {
      this._hiding = setTimeout(() => this._close(), HIDDEN);
    } else if (!this._abort && !this.stopped) {
      this._open();
    }
  }
}
