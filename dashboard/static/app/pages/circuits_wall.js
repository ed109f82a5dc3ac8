// The wall on the page: the picture, and over it one link that stands where the pointer or the keyboard is.
import { colour, fit, request } from '../paint.js';
import { at, grid, look, loudest, mark, middle, neighbours, next } from '../wall.js';
import { sentence } from './circuits_words.js';

/** Marks in cells smaller than this overlap a little, so that one alone cannot be drawn anew. */
const ROOMY = 9.5;

export class Wall {
  /** `href(circuit)` is where a mark leads; `hint` is where the words of the mark under the hand go. */
  constructor(root, { href, hint }) {
    Object.assign(this, { href, hint, circuits: [], looks: [], here: -1, grid: grid(0, 0, 0), all: null });
    const make = (tag, kind) => Object.assign(document.createElement(tag), { className: kind });
    this.canvas = make('canvas', 'wall-canvas');
    this.canvas.setAttribute('role', 'img');
    // Two links in turn: moving the focus is what makes a screen reader speak.
    this.links = [make('a', 'wall-mark'), make('a', 'wall-mark')];
    for (const link of this.links) {
      link.hidden = true;
      link.addEventListener('keydown', event => this.#key(event));
      link.addEventListener('blur', event => { if (!this.links.includes(event.relatedTarget)) this.#hide(); });
      link.addEventListener('focus', () => this.#focused(link));
    }
    this.box = make('div', 'wall-box');
    this.box.append(this.canvas, ...this.links);
    this.box.addEventListener('pointermove', event => this.#point(event));
    this.box.addEventListener('pointerleave', () => { if (!this.links.includes(document.activeElement)) this.#hide(); });
    root.append(this.box);
    this.turn = 0;
    // Told, not asked: asking for a size in every frame would make the browser lay out the page again.
    this.watch = new ResizeObserver(([{ contentRect }]) => {
      this.wide = contentRect.width;
      this.tall = contentRect.height;
      request();
    });
    this.watch.observe(this.canvas);
  }

  /** These circuits, in their own order; called when some come or go. */
  set(circuits) {
    const sorted = [...circuits].sort(neighbours);
    if (sorted.length === this.circuits.length && sorted.every((one, i) => one === this.circuits[i])) return;
    this.circuits = sorted;
    this.looks = [];
    if (this.here >= this.circuits.length) this.#hide();
    if (this.here < 0) this.#entry();
    request();
  }

  write() {
    const { circuits, wide, tall } = this, n = circuits.length;
    if (!wide || !tall) return;
    const busiest = loudest(circuits), ground = colour('--surface') + wide + busiest;
    const anew = this.looks.length !== n || this.ground !== ground;
    if (anew) this.grid = grid(n, wide, tall);
    const room = Math.min(...this.grid.cell) / 2, changed = [];
    for (let i = 0; i < n; i++) {
      const now = look(circuits[i], busiest, room);
      if (now !== this.looks[i]) { this.looks[i] = now; changed.push(i); }
    }
    if (!anew && !changed.length) return;
    const whole = anew || room * 2 < ROOMY || changed.length > n / 4;
    const x = whole ? fit(this.canvas)?.[0] : this.canvas.getContext('2d');
    if (!x) return;
    this.ground = ground;
    for (const i of whole ? circuits.keys() : changed) {
      const [cx, cy] = middle(this.grid, i);
      if (!whole) x.clearRect(cx - this.grid.cell[0] / 2, cy - this.grid.cell[1] / 2, ...this.grid.cell);
      mark(x, circuits[i], cx, cy, room, busiest, colour);
    }
    if (anew && this.here < 0) this.#entry();
  }

  leave() { this.watch.disconnect(); }

  label(text) { if (this.canvas.getAttribute('aria-label') !== text) this.canvas.setAttribute('aria-label', text); }

  /** The words of the mark under the hand follow its numbers. */
  speak() {
    const circuit = this.circuits[this.here];
    this.hint(circuit);
  }

  /** Come in by the Tab key: the first mark, or the one the pointer was at. */
  #focused(link) {
    if (this.here < 0) this.here = 0;
    if (this.circuits[this.here]) link.setAttribute('aria-label', sentence(this.circuits[this.here]));
    link.classList.add('on');
    this.speak();
  }

  /** Somewhere for the Tab key to get in. */
  #entry() {
    if (!this.circuits.length || this.links.includes(document.activeElement)) return;
    this.#stand(this.links[0], 0, false);
    this.links[1].hidden = true;
  }

  #stand(link, i, shown = true) {
    const circuit = this.circuits[i], [cx, cy] = middle(this.grid, i);
    link.hidden = false;
    link.href = this.href(circuit);
    link.setAttribute('aria-label', sentence(circuit));
    link.style.transform = `translate(${Math.round(cx)}px, ${Math.round(cy)}px)`;
    link.classList.toggle('on', shown);
  }

  #point(event) {
    const box = this.box.getBoundingClientRect();
    const i = at(this.grid, this.circuits.length, event.clientX - box.left, event.clientY - box.top);
    if (i < 0) { if (!this.links.includes(document.activeElement)) this.#hide(); return; }
    if (i === this.here) return;
    this.here = i;
    this.#stand(this.links[this.turn], i);
    this.speak();
  }

  #hide() {
    this.here = -1;
    for (const link of this.links) link.classList.remove('on');
    this.links[1 - this.turn].hidden = true;
    this.speak();
  }

  #key(event) {
    const n = this.circuits.length, from = this.here < 0 ? 0 : this.here;
    const to = next(this.grid, n, from, event.key);
    if (!/^(Arrow|Home|End)/.test(event.key)) return;
    event.preventDefault();
    this.here = to;
    this.turn = 1 - this.turn;
    const link = this.links[this.turn];
    this.#stand(link, to);
    link.focus({ preventScroll: true });
    this.links[1 - this.turn].hidden = true;
    this.speak();
  }
}
