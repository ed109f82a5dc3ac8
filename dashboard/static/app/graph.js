// Where services stand and how the lines between them run. Nothing here touches the page.

/** Sizes in the drawing's own units (pixels at zoom 1). */
export const BOX = { width: 140, height: 36, gap: 10, lane: 13, top: 34, bottom: 46, side: 14 };
const WIDTH = 900, WIDEST_COLUMN = 236, SWEEPS = 24, RELAXATIONS = 40;

/**
 * Columns such that every call runs from left to right, or stays within a column if services call each other in a
 * ring. `nodes` are names, `edges` are `[from, to]`. Returns name -> column, from 0.
 */
export function columns(nodes, edges) {
  const known = new Set(nodes), out = new Map(nodes.map(name => [name, []]));
  for (const [from, to] of edges) if (from !== to && known.has(from) && known.has(to)) out.get(from).push(to);
  const ring = rings(nodes, out), column = new Array(ring.count).fill(0);
  // Rings are numbered callees first, so from the highest number down every caller comes before its callees.
  const members = Array.from({ length: ring.count }, () => []);
  for (const name of nodes) members[ring.of.get(name)].push(name);
  for (let i = ring.count - 1; i >= 0; i--) {
    for (const name of members[i]) {
      for (const to of out.get(name)) {
        const there = ring.of.get(to);
        if (there !== i) column[there] = Math.max(column[there], column[i] + 1);
      }
    }
  }
  return new Map(nodes.map(name => [name, column[ring.of.get(name)]]));
}

/** Groups of services that call each other in a ring (Tarjan's way, without recursion). */
function rings(nodes, out) {
  const at = new Map(), low = new Map(), of = new Map(), stack = [];
  let clock = 0, count = 0;
  for (const start of nodes) {
    if (at.has(start)) continue;
    const work = [[start, 0]];
    while (work.length) {
      const top = work.at(-1), [name, i] = top;
      if (i === 0) { at.set(name, clock); low.set(name, clock++); stack.push(name); }
      const next = out.get(name)[i];
      if (next !== undefined) {
        top[1]++;
        if (!at.has(next)) work.push([next, 0]);
        else if (!of.has(next)) low.set(name, Math.min(low.get(name), at.get(next)));
        continue;
      }
      work.pop();
      const caller = work.at(-1)?.[0];
      if (caller !== undefined) low.set(caller, Math.min(low.get(caller), low.get(name)));
      if (low.get(name) === at.get(name)) {
        let one;
        do of.set(one = stack.pop(), count); while (one !== name);
        count++;
      }
    }
  }
  return { of, count };
}

/**
 * Where everything stands: `{width, height, columns, nodes: name -> {x, y, column}, routes: "from\nto" -> [segment]}`.
 * A segment is a cubic curve `[x0, y0, x1, y1, x2, y2, x3, y3]`. Same input, same output.
 *
 * With `before` (an earlier answer) services that were there keep their places; new ones get a free one. Only a
 * service that has to stand left of all others, or too many new ones, make it anew.
 */
export function layout(names, edges, before = null) {
  const nodes = [...new Set(names)].sort();
  const column = columns(nodes, edges);
  const kept = before && keep(nodes, edges, column, before);
  if (kept) return kept;
  const most = Math.max(0, ...column.values());
  const layers = Array.from({ length: most + 1 }, () => []), items = new Map();
  for (const name of nodes) {
    const item = { name, column: column.get(name), height: BOX.height + BOX.gap, left: [], right: [], y: 0, p: 0 };
    items.set(name, item);
    layers[item.column].push(item);
  }
  const paths = weave(edges, items, layers);
  untangle(layers);
  const height = Math.max(...layers.map(layer => layer.reduce((sum, item) => sum + item.height, 0)), 470) * 1.18 + BOX.top + BOX.bottom;
  place(layers, height);
  const width = Math.max(WIDTH, (most + 1) * (BOX.width + 36) + 2 * BOX.side);
  const x = spread(most + 1, width), found = new Map();
  for (const item of items.values()) found.set(item.name, { x: x(item.column), y: Math.round(item.y), column: item.column });
  const lanes = new Map([...paths].map(([key, path]) => [key, path.map(item => [item.column, item.y, Boolean(item.name)])]));
  return { width, height: Math.round(height), columns: most + 1, nodes: found, lanes, routes: routes(edges, found, lanes, x) };
}

/** The left edge of a column; few columns stand in the middle instead of far apart. */
function spread(count, width) {
  const pitch = count > 1 ? Math.min(WIDEST_COLUMN, (width - 2 * BOX.side - BOX.width) / (count - 1)) : 0;
  const left = (width - pitch * (count - 1) - BOX.width) / 2;
  return column => Math.round(left + column * pitch);
}

/** Long lines get a lane in each column they pass, so that they run between the boxes. */
function weave(edges, items, layers) {
  const paths = new Map();
  for (const [from, to] of sorted(edges)) {
    const a = items.get(from), b = items.get(to), key = `${from}\n${to}`;
    if (!a || !b || a === b || paths.has(key)) continue;
    const path = [a];
    for (let i = a.column + 1; i < b.column; i++) {
      const lane = { column: i, height: BOX.lane, left: [], right: [], y: 0, p: 0 };
      layers[i].push(lane);
      path.push(lane);
    }
    path.push(b);
    for (let i = 1; i < path.length; i++) {
      if (path[i].column === path[i - 1].column) continue;
      path[i].left.push(path[i - 1]);
      path[i - 1].right.push(path[i]);
    }
    paths.set(key, path);
  }
  return paths;
}

const sorted = edges => [...edges].sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] < b[1] ? -1 : 1));
const mean = (all, of) => all.reduce((sum, one) => sum + one[of], 0) / all.length;

/** Order within the columns: by the middle of the neighbours, to and fro; the order with fewest crossings wins. */
function untangle(layers) {
  const number = layer => layer.forEach((item, i) => { item.p = (i + .5) / layer.length; });
  layers.forEach(number);
  let best = crossings(layers), order = layers.map(layer => [...layer]);
  for (let k = 0; k < SWEEPS && best > 0; k++) {
    const side = k % 2 ? 'right' : 'left';
    for (let i = 0; i < layers.length; i++) {
      const layer = layers[k % 2 ? layers.length - 1 - i : i];
      const wish = new Map(layer.map(item => [item, item[side].length ? mean(item[side], 'p') : item.p]));
      layer.sort((a, b) => wish.get(a) - wish.get(b));
      number(layer);
    }
    const now = crossings(layers);
    if (now < best) { best = now; order = layers.map(layer => [...layer]); }
  }
  order.forEach((layer, i) => { layers[i].splice(0, layer.length, ...layer); number(layers[i]); });
}

function crossings(layers) {
  let sum = 0;
  for (const layer of layers) {
    const ends = [];
    layer.forEach((item, i) => { for (const to of item.right) ends.push([i, to.p]); });
    for (let i = 0; i < ends.length; i++) {
      for (let j = i + 1; j < ends.length; j++) if ((ends[i][0] - ends[j][0]) * (ends[i][1] - ends[j][1]) < 0) sum++;
    }
  }
  return sum;
}

/** Heights: each column centred, then drawn towards its neighbours without touching. */
function place(layers, height) {
  const room = height - BOX.top - BOX.bottom, ends = height - BOX.bottom;
  for (const layer of layers) {
    const sum = layer.reduce((all, item) => all + item.height, 0), stretch = Math.min(room / sum, 1.35);
    let y = BOX.top + (room - sum * stretch) / 2;
    for (const item of layer) { item.y = y + item.height * stretch / 2; y += item.height * stretch; }
  }
  for (let k = 0; k < RELAXATIONS; k++) {
    for (const layer of layers) {
      for (const item of layer) {
        const all = [...item.left, ...item.right];
        if (all.length) item.y += (mean(all, 'y') - item.y) * (item.name ? .15 : .5);
      }
      apart(layer, ends);
    }
  }
}

/**
 * Move the items of a column apart, each as little as can be (pool adjacent violators): without a side that is
 * preferred, or everything would drift to one end.
 */
function apart(layer, ends) {
  const blocks = [];
  let offset = 0;
  for (const item of layer) {
    // Where the first item of the column would have to be if only this one mattered.
    let block = { sum: item.y - offset - item.height / 2, n: 1 };
    offset += item.height;
    while (blocks.length && blocks.at(-1).sum / blocks.at(-1).n > block.sum / block.n) {
      const before = blocks.pop();
      block = { sum: before.sum + block.sum, n: before.n + block.n };
    }
    blocks.push(block);
  }
  const last = Math.max(BOX.top, ends - offset);
  let i = 0, y = 0;
  for (const { sum, n } of blocks) {
    const first = Math.min(last, Math.max(BOX.top, sum / n));
    for (let k = 0; k < n; k++, i++) { layer[i].y = first + y + layer[i].height / 2; y += layer[i].height; }
  }
}

function routes(edges, nodes, lanes, x) {
  const found = new Map();
  for (const [from, to] of edges) {
    const a = nodes.get(from), b = nodes.get(to), key = `${from}\n${to}`;
    if (a && b && a !== b && !found.has(key)) found.set(key, curve(a, b, lanes.get(key), x));
  }
  return found;
}

function curve(a, b, lanes, x) {
  const start = a.x + BOX.width;
  if (b.column <= a.column) {
    // Within a column, or back: out to the right and in again on the right.
    const bow = 22 + Math.abs(a.y - b.y) * .06, end = b.x + BOX.width, far = Math.max(start, end) + bow;
    return [[start, a.y + 5, far, a.y + 5, far, b.y - 5, end + 3, b.y - 5]];
  }
  const segments = [];
  let px = start, py = a.y;
  const to = (qx, qy) => { const m = (qx - px) / 2; segments.push([px, py, px + m, py, qx - m, qy, qx, qy]); px = qx; py = qy; };
  const flat = qx => { segments.push([px, py, px, py, qx, py, qx, py]); px = qx; };
  for (const [column, y, box] of lanes || []) {
    if (box) continue;
    to(x(column), y);
    flat(x(column) + BOX.width);
  }
  to(b.x, b.y);
  return segments;
}

/** The earlier places, if everybody who stays can stay; null if it has to be made anew. */
function keep(nodes, edges, column, before) {
  const fresh = nodes.filter(name => !before.nodes.has(name)), old = nodes.length - fresh.length;
  const gone = before.nodes.size - old;
  if (old === 0 || fresh.length > Math.max(2, old / 4) || gone > Math.max(2, before.nodes.size / 4)) return null;
  if (fresh.some(name => column.get(name) >= before.columns)) return null;
  // Someone who calls an entry would have to stand left of it; there is no column there.
  const calls = name => edges.filter(edge => edge[0] === name).map(edge => before.nodes.get(edge[1])?.column ?? Infinity);
  if (fresh.some(name => Math.min(...calls(name), Infinity) === 0)) return null;
  const x = spread(before.columns, before.width), pitch = BOX.height + BOX.gap, found = new Map();
  for (const name of nodes) if (before.nodes.has(name)) found.set(name, before.nodes.get(name));
  let height = before.height;
  for (const name of fresh) {
    const here = Math.min(column.get(name), Math.min(...calls(name), before.columns) - 1);
    const taken = [...found.values()].filter(one => one.column === here).map(one => one.y).sort((a, b) => a - b);
    let y = BOX.top + pitch / 2;
    for (const one of taken) { if (one - y >= pitch) break; y = Math.max(y, one + pitch); }
    height = Math.max(height, y + pitch / 2 + BOX.bottom);
    found.set(name, { x: x(here), y: Math.round(y), column: here });
  }
  return { ...before, height, nodes: found, routes: routes(edges, found, before.lanes, x) };
}

/** A route as the `d` of a path. */
export function path(segments) {
  const n = value => Math.round(value * 10) / 10;
  let d = `M${n(segments[0][0])} ${n(segments[0][1])}`;
  for (const [, , a, b, c, e, x, y] of segments) d += `C${n(a)} ${n(b)} ${n(c)} ${n(e)} ${n(x)} ${n(y)}`;
  return d;
}

/** Points along a route, about `step` apart, from its end to its middle. */
function tail(segments, step = 12) {
  const points = [];
  for (const [x0, y0, x1, y1, x2, y2, x3, y3] of segments) {
    const n = Math.max(2, Math.ceil(Math.hypot(x3 - x0, y3 - y0) / step));
    for (let i = 0; i < n; i++) {
      const t = i / n, u = 1 - t, a = u * u * u, b = 3 * u * u * t, c = 3 * u * t * t, d = t * t * t;
      points.push([a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3]);
    }
  }
  return points.reverse().slice(0, Math.max(2, Math.ceil(points.length * .6)));
}

/** A place for a mark on each route: near its end, as far from the other marks as can be. */
export function marks(all) {
  const placed = [];
  return all.map(segments => {
    let best = null, most = -1;
    for (const [x, y] of tail(segments).slice(1, 10)) {
      const room = Math.min(24, ...placed.map(one => Math.hypot(one[0] - x, one[1] - y)));
      if (room > most + .5) { most = room; best = [x, y]; }
    }
    best ??= segments[0].slice(0, 2);
    placed.push(best);
    return best;
  });
}

/** Everybody who calls `name`, directly or through others. */
export function reach(edges, name) {
  const callers = new Map();
  for (const [from, to] of edges) (callers.get(to) || callers.set(to, []).get(to)).push(from);
  const seen = new Set(), work = [name];
  while (work.length) for (const one of callers.get(work.pop()) || []) if (!seen.has(one)) { seen.add(one); work.push(one); }
  seen.delete(name);
  return seen;
}

/** Everybody at most `hops` calls away from `name`, both ways. */
export function around(edges, name, hops = 1) {
  let seen = new Set([name]);
  for (let i = 0; i < hops; i++) {
    const more = new Set(seen);
    for (const [from, to] of edges) { if (seen.has(from)) more.add(to); if (seen.has(to)) more.add(from); }
    seen = more;
  }
  return seen;
}

/** Where an arrow key leads: left to a caller, right to a callee, up and down within a column. The nearest wins. */
export function step(places, edges, name, key) {
  const here = places.get(name);
  if (!here) return null;
  const names = key === 'ArrowLeft' ? edges.filter(edge => edge[1] === name).map(edge => edge[0])
    : key === 'ArrowRight' ? edges.filter(edge => edge[0] === name).map(edge => edge[1])
      : [...places].filter(([, one]) => one.column === here.column && (key === 'ArrowUp' ? one.y < here.y : one.y > here.y)).map(([one]) => one);
  const far = one => Math.abs(places.get(one).y - here.y);
  return names.filter(one => one !== name && places.has(one)).sort((a, b) => far(a) - far(b) || (a < b ? -1 : 1))[0] ?? null;
}
