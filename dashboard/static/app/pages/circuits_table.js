// The same circuits in rows: what a card shows in 30 pixels.
import * as fmt from '../fmt.js';
import { colour, fit, glide, request } from '../paint.js';
import { reorder } from '../reorder.js';
import { spark } from '../spark.js';
import { POINTS } from '../store.js';
import { glyphNode } from '../ui/glyph.js';
import { errorTone, FAILURE, name, REFUSED, REJECTED, state, SUCCESS, TIMEOUT, unmerged } from './circuits_words.js';

/** Heading, sort key if it can be sorted by, and whether it is a number. */
export const COLUMNS = [
  ['', null, false], ['Circuit', 'name', false], ['Caller', null, false], ['State', 'since', false], ['Errors', 'errors', false],
  ['Calls/s', 'volume', true], ['2 min', null, false], ['Success', null, true], ['Refused', null, true], ['Timeout', null, true],
  ['Rejected', null, true], ['Failure', null, true], ['p50', null, true], ['p90', null, true], ['p99', 'p99', true],
  ['p99.5', null, true], ['In flight', 'flight', true], ['Hosts', null, true],
];
const COUNTED = [SUCCESS, REFUSED, TIMEOUT, REJECTED, FAILURE];
const make = (tag, kind = '') => { const node = document.createElement(tag); if (kind) node.className = kind; return node; };
const put = (node, value) => { if (node.data !== value) node.data = value; };
const cls = (node, value) => { if (node.className !== value) node.className = value; };
const scratch = { rate: new Float32Array(POINTS), fail: new Float32Array(POINTS), refused: new Float32Array(POINTS) };

/** A row that shows one circuit after the other. */
export class Row {
  constructor(href) {
    this.href = href;
    const root = this.root = make('div', 'vgrid vrow');
    root.setAttribute('role', 'row');
    const cells = COLUMNS.map(([, , number]) => {
      const cell = make('span', number ? 'num' : '');
      cell.setAttribute('role', 'cell');
      return cell;
    });
    root.append(...cells);
    const text = node => { const own = new Text(''); node.append(own); return own; };
    this.mark = glyphNode();
    cells[0].append(this.mark.node);
    this.link = make('a', 'clip');
    this.link.dataset.stop = '';
    const strong = make('b');
    this.target = text(strong);
    const light = make('span', 'mid');
    this.command = text(light);
    this.link.append(strong, ' ', light);
    cells[1].append(this.link);
    cells[2].classList.add('mid', 'clip');
    this.caller = text(cells[2]);
    this.where = make('span');
    this.whereText = text(this.where);
    const age = make('span', 'dim');
    this.age = text(age);
    cells[3].append(this.where, ' ', age);
    const bar = make('span', 'ebar');
    this.bar = make('i');
    this.errors = make('span', 'num');
    this.errorText = text(this.errors);
    bar.append(this.bar, this.errors);
    cells[4].append(bar);
    this.rate = text(cells[5]);
    this.canvas = make('canvas', 'mini');
    this.canvas.setAttribute('aria-hidden', 'true');
    cells[6].append(this.canvas);
    this.counters = COUNTED.map((_, i) => [cells[7 + i], text(cells[7 + i])]);
    this.latencies = cells.slice(12, 16);
    this.quantiles = this.latencies.map(text);
    this.flight = text(cells[16]);
    this.hosts = text(cells[17]);
    this.key = null;
  }

  /** Show this circuit from now on. */
  show(circuit, index) {
    if (this.index !== index) this.root.setAttribute('aria-rowindex', String((this.index = index) + 2));
    if (this.key !== circuit.k) {
      this.key = circuit.k;
      const [target, command] = name(circuit);
      put(this.target, target);
      put(this.command, command);
      put(this.caller, circuit.from);
      this.link.href = this.href(circuit);
      this.link.title = circuit.id;
      this.merged = undefined;
      this.root.dataset.k = circuit.k;
    }
  }

  paint(circuit, store) {
    const one = state(circuit.state), quiet = 'CMD'.includes(circuit.state);
    this.mark.show(one.glyph);
    cls(this.where, quiet ? 'dim' : `strong t-${one.tone}`);
    put(this.whereText, quiet ? one.word.toLowerCase() : circuit.hosts > 1 ? `${circuit.inState} of ${circuit.hosts}` : one.word.toLowerCase());
    put(this.age, quiet || !circuit.since ? '' : fmt.duration((store.now() - circuit.since) / 1000));
    this.#errors(circuit);
    put(this.rate, fmt.rate(circuit.rate));
    COUNTED.forEach((at, i) => {
      const [cell, node] = this.counters[i], n = circuit.counts[at] || 0;
      put(node, fmt.int(n));
      cls(cell, n ? 'num' : 'num z');
    });
    for (let i = 0; i < 4; i++) put(this.quantiles[i], short(circuit.lat?.[i]));
    const apart = unmerged(circuit);
    if (apart !== this.merged) for (const cell of this.latencies) cell.title = this.merged = apart;
    put(this.flight, circuit.limit ? `${circuit.inflight} / ${circuit.limit}` : String(circuit.inflight ?? 0));
    put(this.hosts, fmt.int(circuit.hosts || 1));
    this.draw(store);
  }

  #errors({ err }) {
    const tone = errorTone(err);
    put(this.errorText, err === null ? fmt.DASH : `${fmt.percent(err)}%`);
    cls(this.errors, `num${tone ? ` t-${tone}` : err >= .05 ? '' : ' z'}`);
    const wide = `${Math.round(err || 0)}%`;
    if (this.wide !== wide) this.bar.style.setProperty('--w', this.wide = wide);
    cls(this.bar, tone ? `e-${tone}` : '');
  }

  draw(store) {
    const series = store.series.get(this.key), fitted = series && fit(this.canvas);
    if (!fitted) return;
    for (const key of ['rate', 'fail', 'refused']) store.ordered(series[key], scratch[key]);
    spark(fitted[0], fitted[1], fitted[2], scratch, colour);
  }
}

/** Milliseconds without their unit: the column's tooltip has it. */
export const short = ms => (ms === null || ms === undefined ? fmt.DASH : ms >= 10 ? String(Math.round(ms)) : ms.toFixed(1));

const HEIGHT = 30, SPARE = 4;

/** The rows on screen, and a few more; the others are only height. */
export class Table {
  /** `sorted(key)` is asked for by a heading. */
  constructor({ href, store, history, sorted }) {
    Object.assign(this, { href, store, history });
    const root = this.root = make('div', 'vt');
    root.setAttribute('role', 'table');
    root.setAttribute('aria-label', 'Circuits');
    root.setAttribute('aria-colcount', String(COLUMNS.length));
    root.tabIndex = 0;
    const head = make('div', 'vgrid vhead');
    head.setAttribute('role', 'row');
    head.setAttribute('aria-rowindex', '1');
    this.heads = COLUMNS.map(([word, key, number]) => {
      const cell = make('span', number ? 'num' : '');
      cell.setAttribute('role', 'columnheader');
      if (key) {
        const button = make('button');
        button.type = 'button';
        button.textContent = word;
        button.addEventListener('click', () => sorted(key));
        cell.append(button);
      } else if (word) cell.append(word);
      else cell.append(Object.assign(make('span', 'sr'), { textContent: 'State' }));
      if (/^p\d/.test(word)) cell.title = 'Latency in milliseconds; merged over all hosts unless a value says otherwise';
      head.append(cell);
      return [cell, key];
    });
    this.body = make('div', 'vbody');
    this.body.setAttribute('role', 'rowgroup');
    root.append(head, this.body);
    root.addEventListener('scroll', () => { this.top = root.scrollTop; glide(); }, { passive: true });
    this.watch = new ResizeObserver(([{ contentRect }]) => { this.height = contentRect.height; request(); });
    this.watch.observe(root);
    this.rows = new Map();
    this.free = [];
    this.order = [];
    this.top = 0;
    this.height = 600;
  }

  /** Show these from now on. */
  set(order, sort, descending) {
    this.order = order;
    this.place = new Map(order.map((circuit, i) => [circuit.k, i]));
    this.root.setAttribute('aria-rowcount', String(order.length + 1));
    this.body.style.height = `${order.length * HEIGHT}px`;
    for (const [cell, key] of this.heads) {
      if (key === sort) cell.setAttribute('aria-sort', descending === (key !== 'name') ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
    }
  }

  leave() { this.watch.disconnect(); }

  /** `all`: every row; else only those that have just come into sight. */
  write(all) {
    const { order, rows } = this, fresh = new Set(), first = Math.max(0, Math.floor(this.top / HEIGHT) - SPARE);
    const last = Math.min(order.length, Math.ceil((this.top + this.height) / HEIGHT) + SPARE), wanted = new Set();
    for (let i = first; i < last; i++) wanted.add(order[i].k);
    if (first !== this.from || last !== this.until || order !== this.asked) this.history.want(wanted);
    Object.assign(this, { from: first, until: last, asked: order });
    const active = document.activeElement;
    for (const [key, row] of rows) {
      // The row in focus stays, wherever it is now: a recycled row would take the focus to another circuit.
      if (wanted.has(key) || (row.root.contains(active) && this.place.has(key))) continue;
      rows.delete(key);
      row.root.hidden = true;
      this.free.push(row);
    }
    for (let i = first; i < last; i++) if (!rows.has(order[i].k)) fresh.add(this.#row(order[i]));
    for (const [key, row] of rows) {
      const i = this.place.get(key), at = `translateY(${i * HEIGHT}px)`;
      row.show(order[i], i);
      if (row.at !== at) row.root.style.transform = row.at = at;
      if (all || fresh.has(row)) row.paint(order[i], this.store);
    }
    this.#inOrder();
  }

  /** What is read and stepped through follows what is seen. */
  #inOrder() {
    const wanted = [...this.rows.values()].sort((a, b) => this.place.get(a.key) - this.place.get(b.key)).map(row => row.root);
    reorder(this.body, wanted);
  }

  #row(circuit) {
    const row = this.free.shift() ?? new Row(this.href);
    row.root.hidden = false;
    if (!row.root.isConnected) this.body.append(row.root);
    this.rows.set(circuit.k, row);
    return row;
  }
}
