// Small pictures on canvas. Colours come from the style sheet and are looked up once per theme.

const probe = document.createElement('i');
probe.hidden = true;
document.body.append(probe);
let colours = new Map();

export const forget = () => { colours = new Map(); };

export function colour(name) {
  if (!colours.has(name)) {
    probe.style.color = `var(${name})`;
    colours.set(name, getComputedStyle(probe).color);
  }
  return colours.get(name);
}

/** A cleared context in CSS pixels with its size, or null while the canvas is not laid out. */
export function fit(canvas) {
  const w = canvas.clientWidth, hgt = canvas.clientHeight, d = Math.min(3, devicePixelRatio || 1);
  if (!w || !hgt) return null;
  if (canvas.width !== Math.round(w * d) || canvas.height !== Math.round(hgt * d)) {
    canvas.width = Math.round(w * d);
    canvas.height = Math.round(hgt * d);
  }
  const x = canvas.getContext('2d');
  x.setTransform(d, 0, 0, d, 0, 0);
  x.clearRect(0, 0, w, hgt);
  return [x, w, hgt];
}

/** Calls per second as a quiet area; failing and refused calls are stacked at its foot. Gaps stay gaps. */
export function spark(canvas, { rate, failing, refused }, points = 60) {
  const fitted = fit(canvas);
  if (!fitted) return;
  const [x, w, hgt] = fitted, n = rate.length, W = w - 3;
  const top = Math.max(...rate.map(v => v ?? 0), .001) * 1.12;
  const X = i => (points - n + i) / (points - 1) * W, Y = v => hgt - .75 - Math.min(v, top) / top * (hgt - 4);
  const runs = [];
  for (let i = 0; i < n; i++) {
    if (rate[i] === null) continue;
    if (i === 0 || rate[i - 1] === null) runs.push([]);
    runs.at(-1).push(i);
  }
  x.lineJoin = 'round';
  for (const run of runs) {
    const area = (value, fill) => {
      x.beginPath();
      x.moveTo(X(run[0]), hgt);
      for (const i of run) x.lineTo(X(i), Y(value(i)));
      x.lineTo(X(run.at(-1)), hgt);
      x.closePath();
      x.fillStyle = colour(fill);
      x.fill();
    };
    area(i => rate[i], '--plot-fill');
    if (failing && run.some(i => refused[i] > 0)) area(i => Math.min(rate[i], failing[i] + refused[i]), '--plot-refused');
    if (failing && run.some(i => failing[i] > 0)) area(i => Math.min(rate[i], failing[i]), '--bad-f');
    x.beginPath();
    for (const i of run) x.lineTo(X(i), Y(rate[i]));
    x.strokeStyle = colour('--plot-line');
    x.lineWidth = 1.25;
    x.stroke();
  }
  if (n && rate[n - 1] !== null) {
    x.beginPath();
    x.arc(W, Y(rate[n - 1]), 2, 0, 7);
    x.fillStyle = colour('--ink');
    x.fill();
  }
}

/** Joined above the line, left below it, one bar per step. */
export function comings(canvas, joined, left) {
  const fitted = fit(canvas);
  if (!fitted) return;
  const [x, w, hgt] = fitted, n = joined.length, width = w / n, middle = Math.round(hgt * .56);
  const most = Math.max(4, ...joined, ...left);
  x.fillStyle = colour('--line-2');
  x.fillRect(0, middle, w, 1);
  for (let i = 0; i < n; i++) {
    const up = joined[i] / most * middle, down = left[i] / most * (hgt - middle - 2);
    x.fillStyle = colour('--plot-line');
    if (up) x.fillRect(i * width, middle - 1 - up, width - 1, up);
    x.fillStyle = colour('--up-bar');
    if (down) x.fillRect(i * width, middle + 2, width - 1, down);
  }
}
