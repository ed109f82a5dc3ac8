// The only way this page makes elements. Everything that came from a service is text, never markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name.startsWith('--')) node.style.setProperty(name, value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return node;
}

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Set a text only if it is another one: untouched text costs no layout. */
export function say(node, text) {
  const value = String(text);
  if (node.firstChild === null) node.append(value);
  else if (node.firstChild.nodeType === 3 && node.childNodes.length === 1) {
    if (node.firstChild.data !== value) node.firstChild.data = value;
  } else node.replaceChildren(value);
}

/** Set or, with null, remove an attribute, only if it differs. */
export function mark(node, name, value) {
  if (value === null || value === undefined) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

const signatures = new WeakMap();

/** Rebuild a node's children only when `signature` is another one than last time. */
export function swap(node, signature, build) {
  if (signatures.get(node) === signature) return;
  signatures.set(node, signature);
  node.replaceChildren(...[build()].flat());
}

/** Bring the children of `parent` into the order of `nodes`, moving as few as possible. */
export function arrange(parent, nodes) {
  let place = parent.firstChild;
  for (const node of nodes) {
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
  while (place !== null) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

/** A link only for addresses that a browser may safely follow; others stay text. */
export function link(address, text) {
  let safe = false;
  try { safe = ['http:', 'https:'].includes(new URL(address).protocol); } catch { /* not an address */ }
  return safe ? h('a', { href: address, rel: 'noreferrer noopener', target: '_blank' }, text) : h('span', {}, text);
}
