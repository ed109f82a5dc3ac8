// One clock for everything that moves: at most one frame per tick, first all reads, then all writes, and nothing
// at all while nobody sees it.

const jobs = new Set();
let asked = false, whole = false, generation = 1, colours = new Map();

const frame = () => {
  const all = whole;
  asked = whole = false;
  if (document.hidden) return;
  for (const job of jobs) job.read?.();
  for (const job of jobs) {
    try {
      job.write(all);
    } catch (error) {
      // One broken picture must not stop the others.
      console.error(error);
    }
  }
};

/** Ask for a frame. Many requests make one frame. */
export function request() {
  whole = true;
  glide();
}

/** Ask for a frame in which only other things are in sight: what is drawn already is right as it is. */
export function glide() {
  if (asked || document.hidden) return;
  asked = true;
  requestAnimationFrame(frame);
}

/** Do `write(all)` on every frame; `read` before any write of that frame. Returns how to stop. */
export function onPaint(write, read) {
  const job = { write, read };
  jobs.add(job);
  request();
  return () => jobs.delete(job);
}

/** Colours and sizes are looked up again: the theme, the density or the window changed. */
export function forget() {
  generation += 1;
  colours = new Map();
  request();
}

addEventListener('resize', forget);
document.addEventListener('visibilitychange', request);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', forget);

const probe = document.createElement('i');
probe.hidden = true;
// The pictures keep their own colours: with forced ones every part of them would look the same.
probe.style.forcedColorAdjust = 'none';
document.body.append(probe);

/** The value of a colour token, as a canvas wants it. */
export function colour(name) {
  if (!colours.has(name)) {
    probe.style.color = `var(${name})`;
    colours.set(name, getComputedStyle(probe).color);
  }
  return colours.get(name);
}

const sizes = new WeakMap();

/** A cleared context in CSS pixels with its width and height, or null while the canvas is not laid out. */
export function fit(canvas) {
  let size = sizes.get(canvas);
  if (!size || size.generation !== generation || !size.w) {
    size = { generation, w: canvas.clientWidth, h: canvas.clientHeight };
    sizes.set(canvas, size);
  }
  const { w, h } = size, d = Math.min(2, devicePixelRatio || 1);
  if (!w || !h) return null;
  if (canvas.width !== Math.round(w * d) || canvas.height !== Math.round(h * d)) {
    canvas.width = Math.round(w * d);
    canvas.height = Math.round(h * d);
  }
  const x = canvas.getContext('2d');
  x.setTransform(d, 0, 0, d, 0, 0);
  x.clearRect(0, 0, w, h);
  return [x, w, h];
}

/** Write only what is different: a text node's text. */
export function text(node, value) {
  if (node && node.textContent !== value) node.textContent = value;
}
