// The small pictures of the registry's pages.
import { colour, fit } from '../paint.js';
import { spark } from '../spark.js';

const none = new Float32Array(120);

/** Calls per second over two minutes. `values` oldest first, NaN where unknown. */
export function rateLine(canvas, values) {
  const fitted = fit(canvas);
  // A moment is no history yet.
  if (fitted && !(Number.isNaN(values.at(-1)) || Number.isNaN(values.at(-3)))) spark(...fitted, { rate: values, fail: none, refused: none }, colour);
}

/** What joined (above the line) and what left (below) in equal steps of time. */
export function comings(canvas, joined, left) {
  const fitted = fit(canvas);
  if (!fitted) return;
  const [x, w, h] = fitted, width = w / joined.length, middle = Math.round(h * .56);
  const most = Math.max(4, ...joined, ...left);
  x.fillStyle = colour('--line-2');
  x.fillRect(0, middle, w, 1);
  joined.forEach((n, i) => {
    const up = n / most * middle, down = left[i] / most * (h - middle - 2);
    x.fillStyle = colour('--plot-line');
    if (up) x.fillRect(i * width, middle - 1 - up, Math.max(1, width - 1), up);
    x.fillStyle = colour('--up-bar');
    if (down) x.fillRect(i * width, middle + 2, Math.max(1, width - 1), down);
  });
}

/** Equal bars over a range; those of the chosen part are strong. */
export function bars(canvas, values, from = 0, to = values.length) {
  const fitted = fit(canvas);
  if (!fitted) return;
  const [x, w, h] = fitted, width = w / values.length, most = Math.max(3, ...values);
  x.fillStyle = colour('--line-2');
  x.fillRect(0, h - 1, w, 1);
  values.forEach((n, i) => {
    if (!n) return;
    x.fillStyle = colour(i >= from && i < to ? '--plot-line' : '--track');
    const tall = Math.max(2, n / most * (h - 3));
    x.fillRect(i * width, h - 2 - tall, Math.max(1, width - 1), tall);
  });
}
