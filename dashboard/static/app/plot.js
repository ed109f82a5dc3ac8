// A large chart: lines or areas over time. All of a page share one cursor; a drag looks closer, a double click shows
// all of it again.
import { colour, onPaint, request } from './paint.js';

const TOP = 6, RIGHT = 14, BOTTOM = 26, LEFT = 50, GAP = 7;

/** Round values between `low` and `high`, at most about `most` of them. */
export function rounds(low, high, most) {
  const least = (high - low) / Math.max(1, most), unit = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 2.5, 5, 10].find(one => one * unit >= least * .999) * unit, found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-9); k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

/** Index of the first of these ascending values that is not below `value`. */
export function firstFrom(all, value) {
  let low = 0, high = all.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (all[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The index of what is nearest to `value`. */
export function nearest(all, value) {
  const i = Math.min(all.length - 1, firstFrom(all, value));
  return i > 0 && value - all[i - 1] < all[i] - value ? i - 1 : i;
}

const made = (name, root) => {
  const element = document.createElement(name === 'canvas' ? name : 'i');
  element.className = `plot-${name}`;
  root.append(element);
  return element;
};

export class Plot {
  /**
   * A chart in `root`. `look(data)` gives `{series: [{stroke, width, dash, fill}], range: (low, high) => [low, high],
   * log, ticks: (low, high) => [...], text: value => "…"}`; `times(from, to, width)` gives `[[moment, text]]`.
   * Charts of one `group` share their cursor and what part they show. `onCursor(index or null)`.
   */
  constructor(root, { look, times, label, group = new Set(), onCursor = () => {} }) {
    Object.assign(this, { root, look, times, group, onCursor, data: null, part: null, share: null, at: null });
    this.canvas = made('canvas', root);
    this.canvas.setAttribute('role', 'img');
    this.canvas.setAttribute('aria-label', label);
    [this.line, this.pick] = [made('line', root), made('pick', root)];
    this.line.hidden = this.pick.hidden = true;
    group.add(this);
    this.watch = new ResizeObserver(() => this.repaint());
    this.watch.observe(root);
    this.stop = onPaint(() => this.#paint(), () => { [this.w, this.h] = [root.clientWidth, root.clientHeight]; });
    for (const [event, handler] of Object.entries({
      pointermove: e => this.#move(e), pointerleave: () => this.#point(null), pointerdown: e => this.#down(e),
      pointerup: e => this.#up(e), pointercancel: () => this.#drop(), dblclick: () => this.show(null),
    })) root.addEventListener(event, handler, { signal: (this.ends ??= new AbortController()).signal });
  }

  /** `[moments (s, ascending), ...series]`; null where nothing is known. */
  set(data) {
    this.data = data;
    // What is looked at closer stays, until it is older than all that is known.
    if (this.part && this.part[1] <= data[0][0]) this.part = null;
    this.repaint();
  }

  /** Show this part of the time in all charts of the group, or all of it (null). */
  show(part) {
    for (const one of this.group) {
      one.part = part;
      one.repaint();
    }
  }

  repaint() {
    this.dirty = true;
    request();
  }

  #ends() {
    const t = this.data[0];
    return this.part ?? [t[0], Math.max(t.at(-1), t[0] + 1)];
  }

  // --- the pointer

  /** Where the pointer is, as a share of the shown time. */
  #at(event) {
    const box = this.root.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left - LEFT) / Math.max(1, box.width - LEFT - RIGHT)));
  }

  #point(share) {
    for (const one of this.group) {
      one.share = share;
      one.#cursor();
    }
  }

  #cursor() {
    if (!this.data || !this.w) return;
    const [from, to] = this.#ends(), at = this.share === null ? null : nearest(this.data[0], from + this.share * (to - from));
    this.line.hidden = at === null;
    if (at !== null) this.line.style.transform = `translateX(${LEFT + this.share * (this.w - LEFT - RIGHT)}px)`;
    if (at === this.at) return;
    this.at = at;
    this.onCursor(at);
  }

  #move(event) {
    const share = this.#at(event);
    if (this.from !== undefined) {
      const [low, high] = [Math.min(this.from, share), Math.max(this.from, share)], width = this.w - LEFT - RIGHT;
      this.pick.hidden = false;
      this.pick.style.transform = `translateX(${LEFT + low * width}px)`;
      this.pick.style.width = `${(high - low) * width}px`;
    }
    this.#point(share);
  }

  #down(event) {
    // A finger scrolls the page.
    if (event.button || event.pointerType === 'touch' || !this.data) return;
    this.from = this.#at(event);
    this.root.setPointerCapture(event.pointerId);
  }

  #up(event) {
    const start = this.from, end = this.#at(event);
    this.#drop();
    if (start === undefined || Math.abs(end - start) * this.w < 6) return;
    const [from, to] = this.#ends();
    this.show([start, end].sort((a, b) => a - b).map(share => from + share * (to - from)));
  }

  #drop() {
    this.from = undefined;
    this.pick.hidden = true;
  }

  // --- the picture

  #paint() {
    if (!this.dirty || !this.data || !this.w || !this.h) return;
    this.dirty = false;
    const d = Math.min(3, devicePixelRatio || 1), { canvas, w, h } = this;
    canvas.width = Math.round(w * d);
    canvas.height = Math.round(h * d);
    const x = canvas.getContext('2d');
    x.setTransform(d, 0, 0, d, 0, 0);
    this.#draw(x, w - LEFT - RIGHT, h - TOP - BOTTOM);
    this.#cursor();
  }

  #draw(x, w, h) {
    const [t, ...all] = this.data, [from, to] = this.#ends(), { series, range, log, ticks, text } = this.look(this.data, x);
    // One more at each side, so that lines go on to the edge.
    const first = Math.max(0, firstFrom(t, from) - 1), last = Math.min(t.length - 1, firstFrom(t, to) + 1);
    let least = Infinity, most = -Infinity;
    for (const one of all) for (let i = first; i <= last; i++) if (one[i] !== null) { least = Math.min(least, one[i]); most = Math.max(most, one[i]); }
    const [low, high] = range(...(least <= most ? [least, most] : [0, 0])), scale = log ? Math.log : one => one;
    const across = at => LEFT + (at - from) / (to - from) * w;
    const up = value => TOP + h - (scale(value) - scale(low)) / (scale(high) - scale(low)) * h;
    x.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    x.fillStyle = colour('--ink-3');
    x.strokeStyle = colour('--grid');
    [x.lineWidth, x.textAlign, x.textBaseline] = [1, 'right', 'middle'];
    x.beginPath();
    for (const value of ticks ? ticks(low, high) : rounds(low, high, h / 44)) {
      const y = Math.round(up(value)) + .5;
      x.moveTo(LEFT, y);
      x.lineTo(LEFT + w, y);
      x.fillText(text(value), LEFT - GAP, y);
    }
    x.stroke();
    [x.textAlign, x.textBaseline] = ['center', 'top'];
    for (const [at, word] of this.times(from, to, this.w)) {
      const room = x.measureText(word).width / 2;
      x.fillText(word, Math.min(across(at), this.w - room), TOP + h + GAP);
    }
    x.beginPath();
    x.rect(LEFT, 0, w, TOP + h + 1);
    x.clip();
    series.forEach((one, i) => this.#series(x, one, all[i], first, last, n => across(t[n]), up, TOP + h));
  }

  #series(x, { stroke, width, dash = [], fill }, values, first, last, across, up, ground) {
    const line = new Path2D(), area = new Path2D();
    let began = null;
    for (let i = first; i <= last + 1; i++) {
      // Less than nothing there is none of: on a logarithmic axis nothing itself has no place.
      const y = i <= last && values[i] !== null ? up(values[i]) : NaN, known = Number.isFinite(y);
      if (known) {
        line[began === null ? 'moveTo' : 'lineTo'](across(i), y);
        if (began === null) area.moveTo(across(i), ground);
        area.lineTo(across(i), y);
        began ??= i;
      } else if (began !== null) {
        area.lineTo(across(i - 1), ground);
        // What stands alone is a dot, not nothing.
        if (began === i - 1) line.lineTo(across(began) + .01, up(values[began]));
        began = null;
      }
    }
    if (fill) { x.fillStyle = fill; x.fill(area); }
    if (!width || !stroke) return;
    x.strokeStyle = stroke;
    x.lineWidth = width;
    [x.lineJoin, x.lineCap] = ['round', dash.length ? 'butt' : 'round'];
    x.setLineDash(dash);
    x.stroke(line);
    x.setLineDash([]);
  }

  destroy() {
    this.group.delete(this);
    this.watch.disconnect();
    this.ends.abort();
    this.stop();
    for (const one of [this.canvas, this.line, this.pick]) one.remove();
  }
}
