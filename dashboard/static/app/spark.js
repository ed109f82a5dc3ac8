// Two minutes of calls in a small picture: a quiet area, and at its foot what failed and what was refused.

/** The highest of a series, at least 0; unknown points (NaN) count nothing. */
export function peak(values) {
  let most = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > most) most = values[i];
  return most;
}

/**
 * Draw into `x`, a context of `w` by `h`. `rate`, `fail` and `refused` are calls per second, oldest first, of equal
 * length; NaN where nobody was heard. `colour` resolves a token.
 */
export function spark(x, w, h, { rate, fail, refused }, colour) {
  const n = rate.length;
  if (n < 2 || w <= 0) return;
  const most = peak(rate) * 1.12 || 1, right = w - 3, wide = right / (n - 1), tall = (h - 4) / most, foot = h - .5;
  x.clearRect(0, 0, w, h);
  fill(x, n, wide, foot, h, i => rate[i] * tall, colour('--plot-fill'));
  fill(x, n, wide, foot, h, i => Math.min(rate[i], fail[i] + refused[i]) * tall, colour('--spark-short'));
  fill(x, n, wide, foot, h, i => Math.min(rate[i], fail[i]) * tall, colour('--bad-f'));
  x.beginPath();
  let drawing = false;
  for (let i = 0; i < n; i++) {
    const v = rate[i];
    if (v !== v) { drawing = false; continue; }
    if (drawing) x.lineTo(i * wide, foot - v * tall);
    else x.moveTo(i * wide, foot - v * tall);
    drawing = true;
  }
  x.strokeStyle = colour('--plot-line');
  x.lineWidth = 1.25;
  x.lineJoin = 'round';
  x.stroke();
  const last = rate[n - 1];
  if (last === last) {
    x.beginPath();
    x.arc(right, foot - last * tall, 2, 0, 7);
    x.fillStyle = colour('--ink');
    x.fill();
  }
}

function fill(x, n, wide, foot, h, height, colour) {
  let any = false;
  x.beginPath();
  x.moveTo(0, h);
  for (let i = 0; i < n; i++) {
    const v = height(i) || 0;
    if (v > 0) any = true;
    x.lineTo(i * wide, v > 0 ? foot - v : h);
  }
  if (!any) return;
  x.lineTo((n - 1) * wide, h);
  x.closePath();
  x.fillStyle = colour;
  x.fill();
}
