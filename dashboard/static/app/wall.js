// Every circuit as one mark in one picture: size is call rate, outline and colour are state.

const HOT = 2;

/** The grid that fills `width` by `height` with `n` marks, in columns: `{rows, columns, cell: [w, h], left, above}`. */
export function grid(n, width, height, most = 30) {
  if (n === 0 || width <= 0 || height <= 0) return { rows: 0, columns: 0, cell: [0, 0], left: 0, above: 0 };
  // Square fields as large as fit: more rows make them smaller, fewer make the picture too wide.
  let rows = Math.max(1, Math.floor(height / most));
  while (rows < height / 3 && Math.ceil(n / rows) * Math.min(most, height / rows) > width * 1.02) rows++;
  const columns = Math.ceil(n / rows), tall = Math.min(most, height / rows);
  return { rows, columns, cell: [Math.min(width / columns, tall * 1.55), tall], left: 0, above: (height - rows * tall) / 2 };
}

/** The number of the mark at a point, or -1. */
export function at({ rows, columns, cell, left, above }, n, x, y) {
  const column = Math.floor((x - left) / cell[0]), row = Math.floor((y - above) / cell[1]);
  if (column < 0 || column >= columns || row < 0 || row >= rows) return -1;
  const i = column * rows + row;
  return i < n ? i : -1;
}

/** The middle of a mark. */
export function middle({ rows, cell, left, above }, i) {
  return [left + (Math.floor(i / rows) + .5) * cell[0], above + (i % rows + .5) * cell[1]];
}

/** The mark an arrow key leads to. */
export function next({ rows }, n, i, key) {
  const by = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -rows, ArrowRight: rows }[key];
  if (by !== undefined) return Math.min(n - 1, Math.max(0, i + by));
  return key === 'Home' ? 0 : key === 'End' ? n - 1 : i;
}

/** By target, then caller: neighbours on the wall belong together, and nobody changes place. */
export const neighbours = (a, b) => (a.to < b.to ? -1 : a.to > b.to ? 1 : a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/** Radius of a closed circuit's dot in quarter pixels: small changes of the rate draw nothing anew. */
const radius = (rate, busiest, room) => Math.max(4, Math.round(Math.log(1 + rate) / busiest * Math.min(room * .82, 9) * 4)) / 4;

/** What decides how a mark looks, as one number or text; equal means there is nothing to draw. */
export function look(circuit, busiest, room) {
  const { state } = circuit;
  if ('OHFLD'.includes(state)) return state;
  return `${state}${circuit.err >= HOT ? '!' : ''}${radius(circuit.rate, busiest, room)}`;
}

export const loudest = circuits => {
  let most = 1;
  for (const one of circuits) if (one.rate > most) most = one.rate;
  // In whole doublings, or one busy circuit would change the size of all the others each second.
  return Math.log(1 + 2 ** Math.ceil(Math.log2(most)));
};

/** Draw one mark around `cx`, `cy`; `colour` resolves a token. */
export function mark(x, circuit, cx, cy, room, busiest, colour) {
  const { state } = circuit;
  const size = Math.min(Math.max(4.4, room * .84), 8.5);
  if (state === 'C' || state === 'M') {
    const r = radius(circuit.rate, busiest, room);
    x.fillStyle = x.strokeStyle = colour(circuit.err >= HOT ? '--warn-f' : '--o-success');
    x.beginPath();
    x.arc(cx, cy, r, 0, 7);
    if (state === 'M') { x.lineWidth = 1.2; x.stroke(); } else x.fill();
    return;
  }
  if (state === 'D') {
    x.strokeStyle = colour('--off-f');
    x.lineWidth = 1.3;
    x.setLineDash([2, 2]);
    x.beginPath();
    x.arc(cx, cy, size * .8, 0, 7);
    x.stroke();
    x.setLineDash([]);
    return;
  }
  x.fillStyle = x.strokeStyle = colour(state === 'O' ? '--bad-f' : state === 'H' ? '--warn-f' : '--held-f');
  x.beginPath();
  if (state === 'H') {
    x.lineWidth = 1.6;
    x.arc(cx, cy, size - .8, 0, 7);
    x.stroke();
    x.beginPath();
    x.arc(cx, cy, size - .4, Math.PI / 2, Math.PI * 1.5);
    x.fill();
    return;
  }
  if (state === 'L') x.arc(cx, cy, size, 0, 7);
  else x.roundRect(cx - size, cy - size, size * 2, size * 2, 1.6);
  x.fill();
  x.strokeStyle = colour('--surface');
  x.lineWidth = 1.6;
  x.beginPath();
  const d = size * .42;
  if (state === 'O') { x.moveTo(cx - d, cy - d); x.lineTo(cx + d, cy + d); x.moveTo(cx + d, cy - d); x.lineTo(cx - d, cy + d); }
  else { x.moveTo(cx, cy - d); x.lineTo(cx, cy + d); }
  x.stroke();
}
