// Rows of one height, of which only those near the screen exist. The page scrolls, not the list. One row may be
// open: what it shows lies below it, as high as it needs.
import { html, render } from '../vendor/lit-html/lit-html.js';
import { onPaint } from './paint.js';
import { reorder } from './reorder.js';

const MARGIN = 6;

export class VList {
  /**
   * `box`: the element that holds the rows. `key(item)`, `height()` in px, `cls`: class of a row, `row(item, index)`:
   * its template, `paint(item, node)`: write what moves (each frame, visible rows only), `more(item)`: the template
   * below an open row.
   */
  constructor(box, { key, height, row, cls = '', paint = () => {}, more = null }) {
    Object.assign(this, { box, key, height, row, cls, paintRow: paint, more });
    this.items = [];
    this.open = null;        // key of the open row
    this.nodes = new Map();  // key: node
    this.panel = null;
    this.panelHeight = 0;
    box.classList.add('llist');
    this.scrolled = () => this.place();
    addEventListener('scroll', this.scrolled, { passive: true });
    addEventListener('resize', this.scrolled);
    this.grown = new ResizeObserver(() => {
      const height = this.panel?.offsetHeight ?? 0;
      if (height !== this.panelHeight) {
        this.panelHeight = height;
        this.place();
      }
    });
    this.stopPaint = onPaint(() => this.paint());
  }

  /** The items in order; rows that stay keep their node and the focus in it. */
  set(items) {
    this.items = items;
    this.index = new Map(items.map((item, i) => [this.key(item), i]));
    this.place(true);
  }

  /** Draw all shown rows again. */
  redraw() {
    this.place(true);
  }

  toggle(key) {
    this.open = this.open === key ? null : key;
    this.place(true);
  }

  /** Bring a row into sight and give it the focus. */
  focus(key) {
    const i = this.index?.get(key);
    if (i === undefined) return;
    const top = this.box.getBoundingClientRect().top + scrollY + this._top(i);
    if (top < scrollY + 60 || top > scrollY + innerHeight - 80) scrollTo(0, top - innerHeight / 3);
    this.place();
    this.nodes.get(key)?.focus({ preventScroll: true });
  }

  /** From the focused row (or the first) to the one `by` further. */
  step(by) {
    const here = this.focused();
    const i = here === null ? 0 : Math.min(Math.max(this.index.get(here) + by, 0), this.items.length - 1);
    if (this.items[i]) this.focus(this.key(this.items[i]));
  }

  /** The key of the row that has the focus, or null. */
  focused() {
    for (const [key, node] of this.nodes) if (node.contains(document.activeElement)) return key;
    return null;
  }

  _top(i) {
    const open = this.open === null ? undefined : this.index.get(this.open);
    return i * this.h + (open !== undefined && i > open ? this.panelHeight : 0);
  }

  place(redraw = false) {
    if (!this.box.isConnected) return;
    const h = this.h = this.height(), n = this.items.length;
    const open = this.open === null ? undefined : this.index?.get(this.open);
    if (open === undefined) this._shut();
    // First, because the rows below it lie as much lower as it is high.
    else this._show(this.items[open], open, redraw);
    const start = this.box.getBoundingClientRect().top;
    const extra = open === undefined ? 0 : this.panelHeight;
    const from = Math.max(0, Math.floor((-start - extra) / h) - MARGIN);
    const to = Math.min(n, Math.ceil((innerHeight - start) / h) + MARGIN);
    const shown = new Map();
    for (let i = from; i < to; i++) shown.set(this.key(this.items[i]), i);
    const busy = this.focused();
    // The row with the focus stays, even out of sight: it must not become another row under the reader's hand.
    if (busy !== null && this.index.has(busy)) shown.set(busy, this.index.get(busy));
    for (const [key, node] of this.nodes) {
      if (!shown.has(key)) {
        this.nodes.delete(key);
        node.hidden = true;
      }
    }
    // Those that are free, as they stand: then few have to be moved.
    const free = [...this.box.children].filter(node => node.hidden).reverse();
    for (const [key, i] of shown) {
      let node = this.nodes.get(key);
      const fresh = !node;
      if (fresh) {
        node = free.pop() ?? this._make();
        node.hidden = false;
        this.nodes.set(key, node);
      }
      if (fresh || redraw) {
        node.dataset.key = key;
        node.setAttribute('aria-rowindex', i + 2);
        render(this.row(this.items[i], i), node);
        node.classList.toggle('open', key === this.open);
        this.paintRow(this.items[i], node);
      }
      node.style.transform = `translateY(${this._top(i)}px)`;
    }
    this.box.style.height = `${n * h + (open === undefined ? 0 : this.panelHeight)}px`;
    this._sort([...shown].sort((a, b) => a[1] - b[1]).map(([key]) => this.nodes.get(key)), open);
  }

  paint() {
    for (const [key, node] of this.nodes) {
      const i = this.index.get(key);
      if (i !== undefined) this.paintRow(this.items[i], node);
    }
  }

  _make() {
    const node = document.createElement('div');
    node.className = `lrow ${this.cls}`;
    node.setAttribute('role', 'row');
    node.tabIndex = -1;
    node.dataset.stop = '';
    this.box.append(node);
    return node;
  }

  _show(item, i, redraw) {
    if (!this.panel) {
      this.panel = document.createElement('div');
      this.panel.className = 'lmore';
      this.panel.setAttribute('role', 'row');
      this.box.append(this.panel);
      this.grown.observe(this.panel);
      redraw = true;
    }
    if (redraw) {
      render(html`<div role="cell">${this.more(item)}</div>`, this.panel);
      this.panelHeight = this.panel.offsetHeight;
    }
    this.panel.style.transform = `translateY(${(i + 1) * this.h}px)`;
  }

  _shut() {
    if (!this.panel) return;
    this.grown.unobserve(this.panel);
    this.panel.remove();
    this.panel = null;
    this.panelHeight = 0;
  }

  /** The nodes in reading order. */
  _sort(nodes, open) {
    if (open !== undefined && this.panel) {
      const at = nodes.findIndex(node => node.dataset.key === this.open);
      nodes.splice(at < 0 ? nodes.length : at + 1, 0, this.panel);
    }
    reorder(this.box, nodes);
  }

  destroy() {
    removeEventListener('scroll', this.scrolled);
    removeEventListener('resize', this.scrolled);
    this.grown.disconnect();
    this.stopPaint();
  }
}
