// Nodes into their order with as few moves as there can be: each one moved is laid out again. The one with the
// focus is never moved, or it would lose it.

/** Places in `list` of a longest run of rising numbers; those below zero are left out. */
export function rising(list) {
  // ends[n]: where the run of n + 1 that ends lowest ends; before[i]: what comes before i in its run.
  const ends = [], before = [];
  list.forEach((value, i) => {
    if (value < 0) return;
    let low = 0, high = ends.length;
    while (low < high) {
      const middle = low + high >> 1;
      if (list[ends[middle]] < value) low = middle + 1;
      else high = middle;
    }
    before[i] = low ? ends[low - 1] : -1;
    ends[low] = i;
  });
  const found = new Set();
  for (let i = ends.at(-1) ?? -1; i >= 0; i = before[i]) found.add(i);
  return found;
}

/** `nodes` become children of `box`, in this order; other children may stand anywhere between them. */
export function reorder(box, nodes) {
  const now = new Map([...box.children].map((node, i) => [node, i]));
  const places = nodes.map(node => now.get(node) ?? -1);
  if (places.every((place, i) => place >= 0 && (i === 0 || place > places[i - 1]))) return;
  const active = document.activeElement;
  const still = box.contains(active) ? nodes.findIndex(node => node.contains(active)) : -1;
  const fixed = places[still];
  const stays = rising(places.map((place, i) => (i < still && place > fixed || still >= 0 && i > still && place < fixed ? -1 : place)));
  let next = null;
  for (let i = nodes.length - 1; i >= 0; i--) {
    if (!stays.has(i)) box.insertBefore(nodes[i], next);
    next = nodes[i];
  }
}
