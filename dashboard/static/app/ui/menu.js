// A button that opens a list of things to do, or of values to pick from.
import { html, render, nothing } from '../../vendor/lit-html/lit-html.js';
import { icon } from './glyph.js';

let shut = null;

/** Open a menu below `button`. `items`: {label, act, locked (a reason), on (picked), mark}, or null for a line. */
export function openMenu(button, items) {
  shut?.();
  const box = document.createElement('div');
  box.className = 'menu';
  box.setAttribute('role', 'menu');
  const close = (back = true) => {
    if (shut !== close) return;
    shut = null;
    box.remove();
    button.setAttribute('aria-expanded', 'false');
    removeEventListener('pointerdown', outside, true);
    removeEventListener('resize', close);
    if (back) button.focus();
  };
  const outside = event => { if (!box.contains(event.target) && !button.contains(event.target)) close(false); };
  const choose = item => () => {
    if (item.locked) return;
    close();
    item.act();
  };
  render(html`${items.map(item => (item === null ? html`<hr>` : html`<button role=${item.on === undefined ? 'menuitem' : 'menuitemradio'} tabindex="-1"
    aria-checked=${item.on === undefined ? nothing : String(item.on)} aria-disabled=${item.locked ? 'true' : nothing} title=${item.locked ?? nothing} @click=${choose(item)}>
    <span class="tick">${item.on ? icon('check') : item.mark ?? nothing}</span><span>${item.label}${item.locked ? html`<small>${item.locked}</small>` : nothing}</span></button>`))}`, box);
  const stops = () => [...box.querySelectorAll('button')];
  box.addEventListener('keydown', event => {
    const all = stops(), here = all.indexOf(document.activeElement);
    const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1 }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      all[(next + all.length) % all.length].focus();
    } else if (event.key === 'Escape' || event.key === 'Tab') {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else if (event.key.length === 1) {
      const from = [...all.slice(here + 1), ...all.slice(0, here + 1)];
      from.find(one => one.textContent.trim().toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
      event.stopPropagation();
    }
  });
  shut = close;
  document.body.append(box);
  const at = button.getBoundingClientRect(), w = box.offsetWidth, h = box.offsetHeight;
  const below = at.bottom + 4 + h < innerHeight || at.top < h;
  box.style.left = `${Math.max(8, Math.min(at.right - w, innerWidth - w - 8, Math.max(at.left, at.right - w)))}px`;
  box.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - h - 4)}px`;
  button.setAttribute('aria-expanded', 'true');
  addEventListener('pointerdown', outside, true);
  addEventListener('resize', close);
  (box.querySelector('[aria-checked="true"]') ?? stops()[0])?.focus();
}

/** A button with a menu. */
export const menu = (content, items, { cls = 'btn', label = null } = {}) => html`<button class=${cls} aria-haspopup="menu" aria-expanded="false" aria-label=${label ?? nothing} title=${label ?? nothing}
  @click=${event => openMenu(event.currentTarget, typeof items === 'function' ? items() : items)}>${content}</button>`;

/** One value out of some: "Zone Any". `options`: [[value, text]]. */
export function pick(name, options, value, chosen) {
  const shown = options.find(([one]) => one === value) ?? options[0];
  return menu(html`<span>${name}</span> <b>${shown?.[1]}</b>${icon('down')}`,
    () => options.map(([one, text]) => ({ label: text, on: one === (shown?.[0]), act: () => chosen(one) })), { cls: 'pick' });
}
