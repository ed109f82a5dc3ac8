// Which part of the drawing is shown. The page's own scrolling is never taken: zooming needs Ctrl.

const MOST = 4;

/** The part `k` times enlarged around the point `cx`, `cy` (0 to 1), kept inside the whole. */
export function zoomed({ x, y, k }, factor, cx, cy) {
  const next = Math.min(MOST, Math.max(1, k * factor));
  const clamp = value => Math.min(1 - 1 / next, Math.max(0, value));
  return { k: next, x: clamp(x + cx / k - cx / next), y: clamp(y + cy / k - cy / next) };
}

export class Lens {
  constructor(changed) {
    this.changed = changed;
    this.at = { x: 0, y: 0, k: 1 };
    this.held = null;
    this.wheel = { handleEvent: event => this.#wheel(event), passive: false };
    this.grab = event => {
      if (event.button || event.pointerType !== 'mouse' || this.at.k === 1 || event.target.closest('a')) return;
      this.held = { x: event.clientX, y: event.clientY, at: this.at };
      event.currentTarget.setPointerCapture(event.pointerId);
    };
    this.move = event => {
      if (!this.held) return;
      const { width, height } = event.currentTarget.getBoundingClientRect(), { at } = this.held, most = 1 - 1 / at.k;
      const clamp = value => Math.min(most, Math.max(0, value));
      this.at = { k: at.k, x: clamp(at.x - (event.clientX - this.held.x) / width / at.k), y: clamp(at.y - (event.clientY - this.held.y) / height / at.k) };
      this.changed();
    };
    this.drop = () => { this.held = null; };
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = event.currentTarget.getBoundingClientRect();
    this.by(event.deltaY < 0 ? 1.15 : 1 / 1.15, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  by(factor, cx = .5, cy = .5) {
    this.at = zoomed(this.at, factor, cx, cy);
    this.changed();
  }

  reset() {
    this.at = { x: 0, y: 0, k: 1 };
    this.changed();
  }

  /** Move so that a service can be seen. */
  show(places, name) {
    const { x, y, k } = this.at, place = places.nodes.get(name);
    if (k === 1 || !place) return;
    const px = (place.x + 70) / places.width, py = place.y / places.height, inside = (value, from) => value > from + .1 / k && value < from + .9 / k;
    if (inside(px, x) && inside(py, y)) return;
    const clamp = value => Math.min(1 - 1 / k, Math.max(0, value));
    this.at = { k, x: clamp(px - .5 / k), y: clamp(py - .5 / k) };
    this.changed();
  }

  box({ width, height }) {
    const { x, y, k } = this.at;
    return `${(x * width).toFixed(1)} ${(y * height).toFixed(1)} ${(width / k).toFixed(1)} ${(height / k).toFixed(1)}`;
  }
}
