// One circuit as a card. Its structure is made once; afterwards only texts and lengths that differ are written.
import { html, nothing, render } from '../../vendor/lit-html/lit-html.js';
import * as fmt from '../fmt.js';
import { colour, fit } from '../paint.js';
import { spark } from '../spark.js';
import { POINTS } from '../store.js';
import { glyphNode, icon } from '../ui/glyph.js';
import { errorTone, GOOD_TO_BAD, name, OUTCOMES, spread, state, title, unmerged } from './circuits_words.js';

const QUANTILES = ['median', '90th', '99th', '99.5th'];
/** Place on the strip of 1 ms to 5 s, in percent; the scale is logarithmic. */
export const place = ms => Math.max(0, Math.min(100, Math.log10(Math.max(1, ms)) / Math.log10(5000) * 100));

const line = (d, kind) => html`<svg class="track" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><path class=${kind} d=${d}></path></svg>`;
const SCALE = `M0 5H100M${place(10)} 3.5V6.5M${place(100)} 3.5V6.5M${place(1000)} 3.5V6.5`;

const card = (circuit, mark, { href, pinned, onPin }) => {
  const [target, command] = name(circuit);
  return html`
    <header>${mark.node}
      <a class="nm clip" data-stop href=${href} title=${circuit.id}>${target}${command ? html` <span class="mid">${command}</span>` : nothing}</a>
      <button class="pin" type="button" aria-pressed=${pinned} aria-label="Pin ${title(circuit)} from ${circuit.from}" @click=${onPin}>${icon('pin')}</button>
      <span class="by"><span class="clip">from ${circuit.from}</span><span class="st"> </span></span></header>
    <div class="hero"><div><div class="pct"><span data-f="err"> </span><small> </small></div><div class="rate"><span data-f="rate"> </span> calls/s</div></div>
      <canvas class="spark" aria-hidden="true"></canvas></div>
    <div class="share" aria-hidden="true">${GOOD_TO_BAD.map(([kind]) => html`<i class="f-${kind}" hidden></i>`)}</div>
    <dl class="out">${OUTCOMES.map(([word, kind]) => html`<div><dt><i class="sw f-${kind}"></i>${word}</dt><dd> </dd></div>`)}</dl>
    <div class="lat"><dl class="nums">${QUANTILES.map(word => html`<div><dt>${word}</dt><dd> </dd></div>`)}</dl>
      <div class="strip-lat">${line(SCALE, 'l-scale')}${line('', 'l-range')}${line('', 'l-high')}${line('', 'l-median')}${line('', 'l-timeout')}</div></div>
    <footer><span><b data-f="hosts"> </b></span><span data-f="fly"> </span></footer>`;
};

const put = (node, value) => { if (node.data !== value) node.data = value; };
const attr = (node, key, value) => { if (node.getAttribute(key) !== value) node.setAttribute(key, value); };
const scratch = { rate: new Float32Array(POINTS), fail: new Float32Array(POINTS), refused: new Float32Array(POINTS) };

export class Card {
  constructor(circuit, options) {
    const root = this.root = document.createElement('article');
    root.className = 'card';
    this.mark = glyphNode();
    this.show(circuit, options);
    const all = selector => [...root.querySelectorAll(selector)];
    const texts = selector => all(selector).map(node => node.firstChild ?? node.appendChild(new Text('')));
    [this.err, this.rate, this.hosts, this.fly] = texts('[data-f]');
    [this.unit] = texts('.pct small');
    [this.where] = texts('.st');
    this.percent = root.querySelector('.pct');
    this.counters = texts('.out dd');
    this.rows = all('.out > div');
    this.parts = all('.share i');
    this.quantiles = texts('.nums dd');
    this.lat = root.querySelector('.lat');
    [, this.range, this.high, this.median, this.timeout] = all('.strip-lat path');
    this.canvas = root.querySelector('canvas');
    this.pinButton = root.querySelector('.pin');
  }

  /** It is this circuit's card from now on. */
  show(circuit, options) {
    const { root } = this;
    this.key = circuit.k;
    this.letter = '';
    root.classList.remove('turned');
    root.dataset.k = circuit.k;
    root.setAttribute('aria-label', `${circuit.from} to ${title(circuit)}`);
    render(card(circuit, this.mark, options), root);
  }

  pin(on) { attr(this.pinButton, 'aria-pressed', String(on)); }

  /** Write what differs. `seen`: its picture, too. */
  paint(circuit, store, seen = true) {
    const now = store.now();
    this.#state(circuit, now);
    const none = circuit.err === null;
    put(this.err, fmt.percent(circuit.err));
    put(this.unit, none ? (circuit.rate ? 'none tried' : 'no calls') : '%');
    attr(this.percent, 'class', `pct ${none ? 'none' : errorTone(circuit.err) && `t-${errorTone(circuit.err)}`}`);
    put(this.rate, fmt.rate(circuit.rate));
    this.#counts(circuit.counts);
    this.#latency(circuit);
    const hosts = circuit.hosts || 1;
    put(this.hosts, `${fmt.count(hosts, 'host')}, ${fmt.rate(circuit.rate / hosts)}/s${hosts > 1 ? ' each' : ''}`);
    put(this.fly, circuit.limit ? `in flight ${fmt.int(circuit.inflight)} of ${fmt.int(circuit.limit)}` : `in flight ${fmt.int(circuit.inflight)}`);
    if (seen) this.draw(store);
  }

  draw(store) {
    const series = store.series.get(this.key), fitted = series && fit(this.canvas);
    if (!fitted) return;
    for (const key of ['rate', 'fail', 'refused']) store.ordered(series[key], scratch[key]);
    spark(fitted[0], fitted[1], fitted[2], scratch, colour);
  }

  #state(circuit, now) {
    const one = state(circuit.state);
    if (circuit.state !== this.letter) {
      this.mark.show(one.glyph);
      attr(this.root, 'data-s', one.group);
      attr(this.where.parentNode, 'class', `st t-${one.tone}`);
      // Not on the first picture: only what turns while one looks is worth a look.
      if (this.letter) {
        this.root.classList.remove('turned');
        requestAnimationFrame(() => this.root.classList.add('turned'));
      }
      this.letter = circuit.state;
    }
    const quiet = 'CM'.includes(circuit.state);
    const words = quiet ? (circuit.state === 'M' ? one.word : '') : [one.word, spread(circuit)].filter(Boolean).join(' ');
    const age = quiet || !circuit.since ? '' : `, ${fmt.duration((now - circuit.since) / 1000)}`;
    put(this.where, words + age);
  }

  #counts(counts) {
    OUTCOMES.forEach(([, , at], i) => {
      put(this.counters[i], fmt.int(counts[at] ?? 0));
      this.rows[i].classList.toggle('z', !counts[at]);
    });
    let total = 0;
    for (const n of counts) total += n;
    GOOD_TO_BAD.forEach(([, at], i) => {
      const n = counts[at] || 0, part = this.parts[i], grow = n ? String(Math.round(Math.max(n / total, .006) * 1000)) : '';
      if (part.dataset.n === grow) return;
      part.dataset.n = grow;
      part.hidden = !n;
      part.style.setProperty('--n', grow || '0');
    });
  }

  #latency(circuit) {
    const { lat, timeoutMs } = circuit;
    attr(this.lat, 'title', unmerged(circuit));
    for (let i = 0; i < 4; i++) put(this.quantiles[i], fmt.latency(lat?.[i]));
    const [p50, p90, p99, p995] = (lat ?? []).map(place), known = lat && lat[0] !== null;
    const most = p995 ?? p99 ?? p50;
    attr(this.range, 'd', known ? `M${p50} 5H${most}` : '');
    attr(this.high, 'd', known ? [p90, p99, p995].filter(x => x !== undefined).map(x => `M${x} 2.4V7.6`).join('') : '');
    attr(this.median, 'd', known ? `M${p50} 1V9` : '');
    attr(this.timeout, 'd', timeoutMs ? `M${place(timeoutMs)} 0V10` : '');
  }
}
