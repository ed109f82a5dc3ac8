// Share of the calling hosts in each state over time: one bar per step.

/**
 * Bars of `states` (`{t0, step, open, half, forced}`, shares from 0 to 1; null where nobody was heard) over the last
 * `range` seconds until `now` (ms): `[[left, width, open, half, forced]]`, left and width as shares of the whole.
 */
export function bars({ t0, step, open = [], half = [], forced = [] }, now, range) {
  const found = [], start = now - range * 1000, n = Math.max(open.length, half.length, forced.length);
  for (let i = 0; i < n; i++) {
    const from = Math.max(start, t0 + i * step * 1000), until = Math.min(now, t0 + (i + 1) * step * 1000);
    const shares = [open[i] || 0, half[i] || 0, forced[i] || 0];
    if (until <= from || !(shares[0] + shares[1] + shares[2])) continue;
    found.push([(from - start) / (range * 1000), (until - from) / (range * 1000), ...shares]);
  }
  return found;
}

/** Draw into `x`; `fills` are the three colours or patterns, `ground` what stands for closed. */
export function ribbon(x, w, h, all, fills, ground) {
  x.clearRect(0, 0, w, h);
  x.fillStyle = ground;
  x.beginPath();
  x.roundRect(0, 0, w, h, 4);
  x.fill();
  for (const [left, width, ...shares] of all) {
    const bar = Math.max(1.5, width * w - (width * w > 3 ? .5 : 0));
    let foot = h;
    shares.forEach((share, i) => {
      const tall = Math.min(foot, share * h);
      if (tall <= 0) return;
      x.fillStyle = fills[i];
      x.fillRect(left * w, foot - tall, bar, tall);
      foot -= tall;
    });
  }
}

/** A tile of diagonal stripes, so that a fill is told from others without its colour. */
export function stripes(x, colour, gap) {
  const tile = document.createElement('canvas');
  tile.width = tile.height = 12;
  const t = tile.getContext('2d');
  t.scale(2, 2);
  t.fillStyle = colour;
  t.fillRect(0, 0, 6, 6);
  t.strokeStyle = gap;
  t.globalAlpha = .5;
  t.lineWidth = 1.1;
  t.beginPath();
  for (const o of [-6, 0, 6]) { t.moveTo(o - 1, 7); t.lineTo(o + 7, -1); }
  t.stroke();
  const pattern = x.createPattern(tile, 'repeat');
  pattern.setTransform(new DOMMatrix([.5, 0, 0, .5, 0, 0]));
  return pattern;
}
