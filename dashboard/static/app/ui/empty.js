// What stands where there is nothing to show: why, and what to do.
import { html, render, nothing } from '../../vendor/lit-html/lit-html.js';
import { icon } from './glyph.js';
import { say } from './toast.js';

/** A sentence, more of it, and perhaps a button: {title, text, action: {label, act}}. */
export const empty = ({ title, text = '', action = null, more = nothing }) => html`<div class="empty"><h2>${title}</h2>${text ? html`<p>${text}</p>` : nothing}${more}
  ${action ? html`<button class="btn" @click=${action.act}>${action.label}</button>` : nothing}</div>`;

async function copy(event, text) {
  const button = event.currentTarget;
  try {
    await navigator.clipboard.writeText(text);
    button.lastChild.textContent = 'Copied';
    say('Copied.');
  } catch {
    const range = document.createRange();
    range.selectNodeContents(button.previousElementSibling);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }
}

/** An example to copy. */
export const sample = (text, label = 'Example') => html`<div class="sample"><pre tabindex="0" aria-label=${label}>${text}</pre><button class="btn" @click=${event => copy(event, text)}>${icon('copy')}<span>Copy</span></button></div>`;

/** A page that could not be had. */
export function failed(root, { message, retry }) {
  render(html`<section class="panel">${empty({ title: 'This did not work', text: message, action: retry ? { label: 'Try again', act: retry } : null })}</section>`, root);
}

export function gone(root, ctx) {
  render(html`<section class="panel">${empty({ title: 'There is no such page', text: 'The address may be from another version.', action: { label: 'Go to Services', act: () => ctx.navigate('') } })}</section>`, root);
}

const WIDTHS = [140, 90, 170, 110, 90, 140, 110, 130];
/** A strip's cells before their numbers are there, of about the same height: what lies below must not jump. */
export const skeletonStrip = (n = 5) => Array.from({ length: n }, () => html`<div class="cell" aria-hidden="true"><i class="sk w-90"></i><i class="sk tall w-110"></i><i class="sk thin"></i></div>`);

export const skeletonRows = (n = 8) => html`<div class="skeleton lines" aria-busy="true">${Array.from({ length: n }, (_, i) => html`<i class="sk w-${WIDTHS[i % 8]}"></i>`)}</div>`;
