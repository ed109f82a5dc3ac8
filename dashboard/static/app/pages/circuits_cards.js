// The cards on the page: the worst of them, made once, moved only when their order changes, painted only on screen.
// One whose circuit is no more among them becomes a newcomer's: to make one costs more than all else here.
import * as fmt from '../fmt.js';
import { glide } from '../paint.js';
import { reorder } from '../reorder.js';
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
    this.fresh = new Set();   // come into sight since the last picture
    this.free = [];
    this.watch = new IntersectionObserver(entries => {
      for (const { target, isIntersecting } of entries) {
        const card = this.cards.get(Number(target.dataset.k));
        if (!card) continue;
        if (isIntersecting) this.fresh.add(card);
        this.seen[isIntersecting ? 'add' : 'delete'](card);
      }
      this.#remember();
      glide();
    }, { rootMargin: MARGIN });
  }

  set(order) {
    const active = document.activeElement, shown = order.slice(0, this.most()), wanted = new Set(shown.map(row => row.k));
    for (const [key, card] of this.cards) {
      if (wanted.has(key)) continue;
      this.cards.delete(key);
      // With the focus in it, it would lead the reader to another circuit unasked.
      if (card.root.contains(active)) this.#drop(card);
      else this.free.push(card);
    }
    this.#fill(this.first, shown.filter(row => this.pinned.has(row.id)));
    this.#fill(this.rest, shown.filter(row => !this.pinned.has(row.id)));
    for (const card of this.free.splice(0)) this.#drop(card);
    this.#remember();
    this.first.hidden = !this.first.firstChild;
    this.note.hidden = order.length <= shown.length;
    this.noteText.data = `The first ${shown.length} of ${fmt.int(order.length)}. `;
    this.button.hidden = this.narrow.matches;
    // What is moved loses the focus; it is the same card still.
    if (active !== document.activeElement && active?.isConnected && this.root.contains(active)) active.focus({ preventScroll: true });
  }

  #fill(grid, rows) {
    reorder(grid, rows.map(row => {
      const pinned = this.pinned.has(row.id);
      let card = this.cards.get(row.k);
      if (!card) {
        const options = { href: this.href(row), pinned: String(pinned), onPin: () => this.pin(row) };
        card = this.free.shift();
        if (card) card.show(row, options);
        else this.watch.observe((card = new Card(row, options)).root);
        this.cards.set(row.k, card);
        card.paint(row, this.store, this.seen.has(card));
      }
      card.pin(pinned);
      return card.root;
    }));
  }

  #drop(card) {
    this.watch.unobserve(card.root);
    this.seen.delete(card);
    this.fresh.delete(card);
    card.root.remove();
  }

  /** What was before is asked for those in sight. */
  #remember() { this.history.want([...this.seen].map(card => card.key)); }

  /** `all`: every card in sight; else only those that have just come there. */
  write(all) {
    for (const card of all ? this.seen : this.fresh) {
      const circuit = this.store.circuits.get(card.key);
      if (circuit) card.paint(circuit, this.store);
    }
    this.fresh.clear();
  }

  leave() { this.watch.disconnect(); }
}
