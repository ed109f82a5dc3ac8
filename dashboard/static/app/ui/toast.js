// The outcome of an action: a line that stays eight seconds, longer under the pointer or with the focus in it.
import { html, render, nothing } from '../../vendor/lit-html/lit-html.js';
import { glyph, icon } from './glyph.js';

const MOST = 3, STAYS = 8000;
const said = [];
let speaking = null;

/** Say something to those who listen: at most one message in five seconds, folded. */
export function say(text) {
  const node = document.getElementById('say');
  said.push(text);
  if (speaking) return;
  const next = () => {
    if (!said.length) { speaking = null; return; }
    node.textContent = said.splice(0).join(' ');
    speaking = setTimeout(next, 5000);
  };
  next();
}

/** `action`: {label, act}. `state`: a mark before the text. */
export function toast(text, { action = null, state = null } = {}) {
  const stack = document.getElementById('toasts');
  const node = document.createElement('div');
  node.className = 'toast';
  let timer;
  const close = () => { clearTimeout(timer); node.remove(); };
  const wait = () => { clearTimeout(timer); timer = setTimeout(close, STAYS); };
  render(html`${state ? glyph(state, { size: 14, named: false }) : nothing}<span>${text}</span>
    ${action ? html`<button class="btn" @click=${() => { close(); action.act(); }}>${action.label}</button>` : nothing}
    <button class="btn quiet icon" aria-label="Close message" @click=${close}>${icon('close')}</button>`, node);
  node.addEventListener('pointerenter', () => clearTimeout(timer));
  node.addEventListener('pointerleave', wait);
  node.addEventListener('focusin', () => clearTimeout(timer));
  node.addEventListener('focusout', wait);
  node.addEventListener('keydown', event => { if (event.key === 'Escape') close(); });
  while (stack.children.length >= MOST) stack.firstChild.remove();
  stack.append(node);
  say(text);
  wait();
  return close;
}
