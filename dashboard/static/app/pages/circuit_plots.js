// The three pictures of the last quarter of an hour: states, calls by outcome, latency. One cursor for both charts.
import { html, nothing, render } from '../../vendor/lit-html/lit-html.js';
import { back, decades, extent, filled, shortMs, stack, thin, times, within } from '../charts.js';
import * as fmt from '../fmt.js';
import { colour, fit, onPaint, request } from '../paint.js';
import { Plot } from '../plot.js';
import { bars, ribbon, stripes } from '../ribbon.js';
import { series, states } from './circuit_data.js';
import { unmerged } from './circuits_words.js';

// From the bottom of the stack to its top: name, key, token of its colour, class of its swatch, striped.
const OUTCOMES = [
  ['Failed', 'failed', '--o-failure', 'bad', false], ['Timeout', 'timeout', '--o-timeout', 'warn', true],
  ['Refused', 'refused', '--o-short', 'info', false], ['Answered', 'answered', '--o-success', 'success', false],
];
const QUANTILES = [['median', 'p50', 1.9, []], ['90th', 'p90', 1.3, []], ['99th', 'p99', 1.3, [5, 3]]];
const RANGES = [[120, '2 min'], [900, '15 min']];

export class Plots {
  /** `root` gets the panels; `range()` in seconds, `setRange(n)`; `timeout()` in ms or null. */
  constructor(root, { now, timeout, hosts, range, setRange }) {
    Object.assign(this, { now, timeout, hosts, range, setRange, answer: null, found: null, bars: [], at: null });
    this.places = ['ribbon-panel', 'outcome-panel', 'latency-panel'].map(name => root.querySelector(`.${name}`));
    this.#draw();
    const [, outcomes, latency] = this.places, shared = {
      group: new Set(), onCursor: at => { this.at = at; this.#legends(); }, times: (from, to, width) => times(from, to, this.end(), width),
    };
    this.charts = [
      new Plot(outcomes.querySelector('.plot'), { ...shared, label: 'Calls per second by outcome', look: (data, x) => this.#outcomes(x) }),
      new Plot(latency.querySelector('.plot'), { ...shared, label: 'Latency', look: data => this.#latency(data) }),
    ];
    this.stop = onPaint(() => this.#ribbon());
  }

  /** The moment of the newest point: what the charts call now. */
  end() { return this.found?.t.at(-1) ?? (this.answer?.now ?? this.now()) / 1000; }

  set(answer) {
    this.answer = answer;
    const range = this.range();
    this.found = series(answer, range);
    const shares = states(answer);
    this.bars = shares ? bars(shares, answer.now, 900) : [];
    this.shares = shares;
    if (this.found) {
      const { t } = this.found;
      this.charts[0].set([t, ...stack(OUTCOMES.map(([, key]) => this.found[key])).reverse()]);
      const limit = this.timeout();
      this.charts[1].set([t, ...QUANTILES.map(([, key]) => this.found[key]), ...(limit ? [t.map(() => limit)] : [])]);
    }
    this.#draw();
    request();
  }

  #outcomes(x) {
    return {
      // The highest is drawn first, the lower ones over it.
      series: [...OUTCOMES].reverse().map(([, , token, , striped]) => ({ fill: filled(x, token, striped, token === '--o-success' ? 55 : 100) })),
      range: (low, high) => [0, Math.max(1, high * 1.1)],
      text: value => (value >= 1000 ? `${value / 1000}k` : String(value)),
    };
  }

  #latency(data) {
    return {
      series: [
        ...QUANTILES.map(([, key, width, dash]) => ({ width, dash, stroke: colour(key === 'p50' ? '--ink' : '--plot-line') })),
        ...(data.length > 4 ? [{ width: 1.2, stroke: colour('--bad-f') }] : []),
      ],
      log: true, range: () => decades(...extent(data.slice(1))), ticks: within, text: shortMs,
    };
  }

  #ribbon() {
    const canvas = this.places[0].querySelector('canvas'), fitted = canvas && fit(canvas);
    if (!fitted) return;
    const [x, w, h] = fitted;
    ribbon(x, w, h, this.bars, [colour('--bad-f'), stripes(x, colour('--warn-f'), colour('--surface')), colour('--held-f')], colour('--plot-fill'));
  }

  #draw() {
    const [ribbonPanel, outcomes, latency] = this.places, none = this.answer && !this.found;
    const shut = this.bars.length === 0, worst = this.bars.reduce((most, one) => Math.max(most, one[2]), 0);
    render(html`<div class="panel-h"><h2>State over the last 15 minutes</h2><span class="note">share of the ${this.hosts()} calling ${this.hosts() === 1 ? 'host' : 'hosts'}</span><span class="grow"></span>
      <span class="legend"><span><i class="sw shut"></i>Closed</span><span><i class="sw f-warn"></i>Half-open</span><span><i class="sw f-bad"></i>Open</span><span><i class="sw f-held"></i>Forced</span></span></div>
      <div class="ribbon"><canvas role="img" aria-label=${shut ? 'Closed on all hosts for the last 15 minutes' : `Open on up to ${Math.round(worst * 100)}% of the hosts in the last 15 minutes`}></canvas>
      <div class="scale" aria-hidden="true"><span>15 min ago</span><span>10 min ago</span><span>5 min ago</span><span>now</span></div></div>`, ribbonPanel);
    const range = this.range();
    render(html`<div class="panel-h"><h2>Calls per second by outcome</h2><span class="grow"></span><div class="seg small" role="group" aria-label="Range">${RANGES.map(([value, text]) => html`<button type="button" aria-pressed=${String(range === value)} @click=${() => this.setRange(value)}>${text}</button>`)}</div></div>
      <div class="legend"></div><div class="plot">${none ? html`<p class="plot-note">No history yet.</p>` : nothing}</div>${this.#table('Calls per second', OUTCOMES.map(([word, key]) => [word, key, fmt.rate]))}`, outcomes);
    render(html`<div class="panel-h"><h2>Latency</h2><span class="grow"></span><span class="note">${this.answer ? unmerged(this.answer) || (this.answer.hosts > 1 ? 'merged over all hosts' : 'of its only host') : ''}</span></div>
      <div class="legend"></div><div class="plot">${none ? html`<p class="plot-note">No history yet.</p>` : nothing}</div>${this.#table('Latency', QUANTILES.map(([word, key]) => [word, key, fmt.latency]))}`, latency);
    this.#legends();
  }

  #value(key) {
    const values = this.found?.[key];
    if (!values) return null;
    if (this.at !== null) return values[this.at] ?? null;
    for (let i = values.length - 1; i >= Math.max(0, values.length - 10); i--) if (values[i] !== null) return values[i];
    return null;
  }

  #legends() {
    if (!this.charts && !this.places) return;
    const [, outcomes, latency] = this.places, when = this.at === null || !this.found ? nothing : html`<span class="dim">${back(this.found.t[this.at], this.end())}</span>`;
    const limit = this.timeout();
    render(html`${[...OUTCOMES].reverse().map(([word, key, , kind]) => html`<span><i class="sw f-${kind}"></i>${word} <b>${fmt.rate(this.#value(key))}</b></span>`)}${when}`, outcomes.querySelector('.legend'));
    render(html`${QUANTILES.map(([word, key], i) => html`<span><i class="line l-${i}"></i>${word} <b>${fmt.latency(this.#value(key))}</b></span>`)}${limit ? html`<span class="t-bad"><i class="line l-limit"></i>timeout ${fmt.latency(limit)}</span>` : nothing}`, latency.querySelector('.legend'));
  }

  #table(caption, columns) {
    if (!this.found) return nothing;
    const n = 15, { t, step } = this.found, size = Math.max(1, Math.floor(t.length / n));
    const rows = columns.map(([, key]) => thin(this.found[key], n));
    return html`<details class="as-table"><summary>As a table</summary><div class="scroll" tabindex="0" role="region" aria-label=${caption}><table><thead><tr><th scope="col">Until</th>${columns.map(([word]) => html`<th scope="col">${word}</th>`)}</tr></thead>
      <tbody>${rows[0].map((_, i) => html`<tr><th scope="row">${back(t.at(-1) - (n - 1 - i) * size * step, t.at(-1))}</th>${columns.map(([, , write], j) => html`<td>${write(rows[j][i])}</td>`)}</tr>`).reverse()}</tbody></table></div></details>`;
  }

  reset() { for (const chart of this.charts) chart.show(null); }
  repaint() { for (const chart of this.charts) chart.repaint(); request(); }
  leave() { this.stop(); for (const chart of this.charts) chart.destroy(); }
}
