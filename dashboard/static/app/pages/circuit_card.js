// One circuit: how it is, what its calls did in the window, how long they took.
import { h, mark, s, say, swap } from '../dom.js';
import { spark } from '../draw.js';
import { DASH, count, duration, int, latency, percent, rate } from '../format.js';
import { glyph, tone, word } from '../icons.js';
import { outcome, store } from '../store.js';
import { shares } from './strip.js';

// Left those that are no failure, right those that are.
const OUTCOMES = [['success', 'Success', outcome.SUCCESS, 'success'], ['ignored', 'Ignored', outcome.IGNORED, 'ignored'],
  ['refused', 'Refused', outcome.REFUSED, 'info'], ['failure', 'Failure', outcome.FAILURE, 'bad'],
  ['timeout', 'Timeout', outcome.TIMEOUT, 'warn'], ['rejected', 'Rejected', outcome.REJECTED, 'held']];
const BAR = ['success', 'ignored', 'refused', 'rejected', 'timeout', 'failure'];
const LATENCIES = ['median', '90th', '99th', 'slowest'];
const DECADES = 4;  // 1 ms to 10 s

/** What is called, in two parts: the service, and the rest of the circuit's name. */
export function names(one) {
  if (!one.target || one.target === one.name) return [one.name, ''];
  const rest = one.name.startsWith(`${one.target}.`) ? one.name.slice(one.target.length + 1) : one.name;
  return [one.target, rest];
}

const errorTone = errors => errors >= 50 ? 't-bad' : errors >= 5 ? 't-warn' : '';
const place = ms => Math.max(0, Math.min(100, Math.log10(Math.max(1, ms)) / DECADES * 100)).toFixed(1);

export class CircuitCard {
  constructor(circuit) {
    this.circuit = circuit;
    this.seen = true;
    this.mark = h('span', {});
    this.title = h('h2', { class: 'clip' });
    this.from = h('span', { class: 'clip' });
    this.state = h('span', { class: 'st' });
    this.errors = h('div', { class: 'pct' });
    this.rate = h('span', { 'data-f': 'rate' });
    this.canvas = h('canvas', { class: 'spark', role: 'img', 'aria-label': 'Calls per second with failing and refused share, last two minutes' });
    this.bar = h('div', { class: 'share', 'aria-hidden': 'true' });
    this.counts = OUTCOMES.map(([id, label, , fill]) => {
      const value = h('dd', { 'data-o': id });
      return [h('div', {}, h('dt', {}, h('i', { class: `sw f-${fill}` }), label), value), value];
    });
    this.times = LATENCIES.map(label => h('dd', { 'data-l': label }));
    this.strip = s('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': 'Latency from 1 ms to 10 s, logarithmic' });
    this.why = h('p', { class: 'why' });
    this.hosts = h('span', {});
    this.flight = h('span', {});
    this.node = h('article', { class: 'card', tabindex: -1, 'data-stop': true },
      h('header', {}, this.mark, this.title, h('span', { class: 'by' }, this.from, this.state)),
      h('div', { class: 'hero' }, h('div', {}, this.errors, h('div', { class: 'rate' }, this.rate, ' calls/s')), this.canvas),
      this.bar,
      h('dl', { class: 'out' }, this.counts.map(([row]) => row)),
      h('div', { class: 'lat' }, h('dl', {}, LATENCIES.map((label, i) => h('div', {}, h('dt', {}, label), this.times[i]))), this.strip),
      this.why,
      h('footer', {}, this.hosts, this.flight));
    this.node.card = this;
    this.was = circuit.state;
  }

  paint() {
    const one = this.circuit, now = store.now(), [called, rest] = names(one);
    const closed = one.state === 'closed', total = one.counts.reduce((a, b) => a + b, 0);
    mark(this.node, 'data-s', one.state);
    mark(this.node, 'data-circuit', `${one.service}/${one.name}`);
    mark(this.node, 'aria-label', `${one.service} to ${called} ${rest}: ${word(one.state)}`);
    if (one.state !== this.was) {
      this.was = one.state;
      this.node.classList.remove('turned');
      requestAnimationFrame(() => this.node.classList.add('turned'));
    }
    swap(this.mark, one.state, () => glyph(one.state));
    swap(this.title, `${called}\u0000${rest}`, () => rest ? [called, ' ', h('span', {}, rest)] : called);
    mark(this.title, 'title', one.name);
    say(this.from, `from ${one.service}`);
    this.#paintState(one, now, closed);
    swap(this.errors, one.errors === null ? `none ${total}` : percent(one.errors), () => one.errors === null
      ? [DASH, h('small', { class: 'none' }, total ? 'none tried' : 'no calls')]
      : [h('span', { 'data-f': 'errors' }, percent(one.errors)), h('small', {}, '%')]);
    mark(this.errors, 'class', `pct ${errorTone(one.errors)}`);
    mark(this.errors, 'title', `Failed, timed out or rejected, of all that were tried in the last ${duration(one.window)}`);
    say(this.rate, rate(one.rate));
    swap(this.bar, one.counts.join(), () => shares(BAR.map(id => {
      const [, , index, fill] = OUTCOMES.find(o => o[0] === id);
      return [one.counts[index], fill];
    }), total));
    OUTCOMES.forEach(([, , index], i) => {
      const [row, value] = this.counts[i];
      row.classList.toggle('z', !one.counts[index]);
      say(value, int(one.counts[index]));
    });
    this.times.forEach((cell, i) => say(cell, latency(one.latency[i])));
    this.#paintStrip(one);
    this.#paintFoot(one, closed);
    spark(this.canvas, one.series);
  }

  #paintState(one, now, closed) {
    const share = one.of > 1 ? one.on === one.of ? ` on all ${one.of}` : ` on ${one.on} of ${one.of}` : '';
    const since = one.since_at === null ? '' : duration(now - one.since_at);
    const trial = one.retry_at === null || one.state !== 'open' ? '' : `, next trial in ${duration(Math.max(0, one.retry_at - now))}`;
    mark(this.state, 'class', `st t-${tone(one.state)}`);
    mark(this.state, 'title', closed ? null : `${word(one.state)}${share} for ${since}${trial}`);
    swap(this.state, closed ? '' : `${one.state}${share}${since}`, () => closed ? h('span', { class: 'sr' }, 'Closed')
      : [`${word(one.state)}${share}, `, h('span', {}, since)]);
  }

  #paintStrip(one) {
    const [p50, p90, p99, most] = one.latency, timeout = one.timeout;
    swap(this.strip, `${one.latency.join()} ${timeout}`, () => {
      const line = (css, d) => s('path', { class: css, d });
      const parts = [line('tick', 'M25 3.5V6.5M50 3.5V6.5M75 3.5V6.5'), line('axis', 'M0 5H100')];
      if (p50 !== null) {
        parts.push(line('range', `M${place(p50)} 5H${place(most ?? p99 ?? p50)}`),
          line('range', [p90, p99, most].filter(v => v !== null).map(v => `M${place(v)} 2.4V7.6`).join('')),
          line('median', `M${place(p50)} 1V9`));
      }
      if (timeout) parts.push(line('limit', `M${place(timeout * 1000)} 0V10`));
      return parts;
    });
  }

  #paintFoot(one, closed) {
    const trouble = one.last_error && (!closed || one.errors >= 5);
    this.why.hidden = !trouble;
    swap(this.why, one.last_error, () => [h('b', {}, 'Last error '), one.last_error]);
    mark(this.why, 'title', one.last_error);
    const { heard } = one, quiet = one.silent.length;
    swap(this.hosts, `${heard} ${quiet} ${rate(one.rate)}`, () => quiet
      ? h('span', { class: 't-warn', title: `Silent: ${one.silent.join(', ')}` }, `${int(heard)} of ${count(heard + quiet, 'process', 'processes')} heard`)
      : heard === 1 ? [h('b', {}, '1'), ' process']
        : [h('b', {}, int(heard)), ' processes, ', h('b', {}, rate(one.rate / heard)), '/s each']);
    swap(this.flight, `${one.in_flight} ${one.limit}`, () => ['in flight ', h('b', {}, int(one.in_flight)), one.limit === null ? '' : ` of ${int(one.limit)}`]);
  }
}
