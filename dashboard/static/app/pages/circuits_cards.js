// The cards on the page: the worst of them, made once, moved only when their order changes, painted only on screen.
import * as fmt from '../fmt.js';
import { request } from '../paint.js';
import { Card } from './circuits_card.js';

const MARGIN = '120px';

export class Cards {
  /** `most()` cards are made; for the rest `more()` leads to the table. */
  constructor({ href, store, history, pinned, pin, most, more, narrow }) {
    Object.assign(this, { href, store, history, pinned, pin, most, narrow });
    const make = (tag, kind) => Object.assign(document.createElement(tag), { className: kind });
    this.root = make('div', 'card-list');
    this.first = make('div', 'cards pinned');
    this.rest = make('div', 'cards');
    this.note = make('p', 'more-cards dim');
    this.noteText = new Text('');
    this.button = make('button', 'btn');
    this.button.type = 'button';
    this.button.textContent = 'All in a table';
    this.button.addEventListener('click', more);
    this.note.append(this.noteText, this.button);
    this.root.append(this.first, this.rest, this.note);
    this.cards = new Map();
    this.seen = new Set();
    this.watch = new IntersectionObserver(entries => {
      for (const { target, isIntersecting } of entries) {
        const card = this.cards.get(Number(target.dataset.k));
        if (card && isIntersecting) this.seen.add(card);
        else if (card) this.seen.delete(card);
      }
      this.history.want([...this.seen].map(card => card.key));
      request();
    }, { rootMargin: MARGIN });
  }

  set(order) {
    const active = document.activeElement, shown = order.slice(0, this.most()), wanted = new Set(shown.map(row => row.k));
    for (const [key, card] of this.cards) if (!wanted.has(key)) this.#drop(key, card);
    this.#fill(this.first, shown.filter(row => this.pinned.has(row.id)));
    this.#fill(this.rest, shown.filter(row => !this.pinned.has(row.id)));
    this.first.hidden = !this.first.firstChild;
    this.note.hidden = order.length <= shown.length;
    this.noteText.data = `The first ${shown.length} of ${fmt.int(order.length)}. `;
    this.button.hidden = this.narrow.matches;
    // What is moved loses the focus; it is the same card still.
    if (active !== document.activeElement && active?.isConnected && this.root.contains(active)) active.focus({ preventScroll: true });
  }

  #fill(grid, rows) {
    rows.forEach((row, i) => {
      let card = this.cards.get(row.k);
      if (!card) {
        card = new Card(row, { href: this.href(row), pinned: String(this.pinned.has(row.id)), onPin: () => this.pin(row) });
        this.cards.set(row.k, card);
        card.paint(row, this.store);
        this.watch.observe(card.root);
      }
      card.pin(this.pinned.has(row.id));
      if (grid.children[i] !== card.root) grid.insertBefore(card.root, grid.children[i] ?? null);
    });
  }

  #drop(key, card) {
    this.watch.unobserve(card.root);
    this.seen.delete(card);
    this.cards.delete(key);
    card.root.remove();
  }

  write() {
    for (const card of this.seen) {
      const circuit = this.store.circuits.get(card.key);
      if (circuit) card.paint(circuit, this.store);
    }
  }

  leave() { this.watch.disconnect(); }
}
