// Every circuit as one mark in one picture: size is call rate, outline and colour are state.
import { colour, fit } from './draw.js';
import { kind } from './store.js';

/** Draws `circuits` and returns the grid, which tells what lies under a point. */
export function wall(canvas, circuits) {
  const fitted = fit(canvas), n = circuits.length;
  if (!fitted || !n) return () => undefined;
  const [x, w, hgt] = fitted;
  // Square fields that fill the height; few circuits get large fields, but never huge ones.
  let rows = 1;
  while (rows < 40 && Math.ceil(n / rows) * Math.min(30, hgt / rows) > w) rows++;
  const columns = Math.ceil(n / rows), size = Math.min(30, hgt / rows), width = Math.min(w / columns, size * 1.7);
  const above = (hgt - rows * size) / 2;
  const busiest = Math.log(1 + Math.max(...circuits.map(one => one.rate), 1));
  circuits.forEach((one, i) => {
    const cx = (Math.floor(i / rows) + .5) * width, cy = above + (i % rows + .5) * size;
    const room = Math.min(width, size) * .5;
    if (one.state === 'closed') {
      x.fillStyle = colour(one.errors >= 2 ? '--warn-f' : '--success');
      x.beginPath();
      x.arc(cx, cy, Math.max(1, Math.log(1 + one.rate) / busiest * Math.min(room * .8, 9)), 0, 7);
      x.fill();
    } else mark(x, cx, cy, Math.min(Math.max(4.6, room * .82), 8.5), one.state);
  });
  return (px, py) => {
    const row = Math.floor((py - above) / size);
    return row >= 0 && row < rows && px >= 0 ? circuits[Math.floor(px / width) * rows + row] : undefined;
  };
}

const COLOURS = { open: '--bad-f', 'half-open': '--warn-f', forced: '--held-f' };

function mark(x, cx, cy, r, state) {
  x.fillStyle = x.strokeStyle = colour(COLOURS[kind({ state })]);
  x.beginPath();
  if (state === 'half-open') {
    x.lineWidth = 1.6;
    x.arc(cx, cy, r - .8, 0, 7);
    x.stroke();
    x.beginPath();
    x.arc(cx, cy, r - .4, Math.PI / 2, Math.PI * 1.5);
    x.fill();
    return;
  }
  if (state === 'forced-closed') x.arc(cx, cy, r, 0, 7);
  else x.roundRect(cx - r, cy - r, r * 2, r * 2, 1.6);
  x.fill();
  x.strokeStyle = colour('--surface');
  x.lineWidth = 1.6;
  x.beginPath();
  const d = r * .42;
  if (state === 'open') { x.moveTo(cx - d, cy - d); x.lineTo(cx + d, cy + d); x.moveTo(cx + d, cy - d); x.lineTo(cx - d, cy + d); }
  else { x.moveTo(cx, cy - d); x.lineTo(cx, cy + d); }
  x.stroke();
}
