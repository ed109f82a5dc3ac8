// Native dialogs: the browser keeps the focus inside, gives it back, and closes on Escape.
import { html, render, nothing } from '../../vendor/lit-html/lit-html.js';

/**
 * Show a dialog; resolves to what `close(value)` was given, null on Escape or a click outside. `content(close)`
 * is a template; it may call `redraw()`.
 */
export function open(content, { label = 'dialog-title', wide = false } = {}) {
  return new Promise(resolve => {
    const box = document.createElement('dialog');
    box.setAttribute('aria-labelledby', label);
    if (wide) box.classList.add('wide');
    let value = null;
    const close = given => { value = given ?? null; box.close(); };
    const redraw = () => render(content(close, redraw), box);
    box.addEventListener('close', () => { box.remove(); resolve(value); });
    // Pressed and let go outside: a text selection that ends out there must not throw away what was typed.
    let pressed = false;
    box.addEventListener('pointerdown', event => { pressed = event.target === box; });
    box.addEventListener('click', event => { if (event.target === box && pressed) close(); });
    document.body.append(box);
    redraw();
    box.showModal();
    box.querySelector('[data-first]')?.focus();
  });
}

export const ENDS = [['', 'Never'], ['900', 'After 15 minutes'], ['3600', 'After 1 hour'], ['28800', 'After 8 hours']];

/**
 * Ask before doing. `spec`: title, text (a string or strings), facts [[name, value]], reason and ends (whether to
 * ask for them; `endsLabel`), typed (what must be typed), verb, danger, who, choices {label, options, value}.
 * Resolves to {reason, for, choice} or null.
 */
export function confirm(spec) {
  const given = { reason: '', ends: spec.ends ? '3600' : '', typed: '', choice: spec.choices?.value };
  let error = '';
  return open((close, redraw) => {
    const submit = event => {
      event.preventDefault();
      const form = event.target;
      error = '';
      if (spec.reason && !given.reason.trim()) error = 'reason';
      else if (spec.typed && given.typed !== spec.typed) error = 'typed';
      if (error) {
        redraw();
        form.elements[error].focus();
        return;
      }
      close({ reason: given.reason.trim(), for: given.ends ? Number(given.ends) : null, choice: given.choice });
    };
    const put = key => event => { given[key] = event.target.value; };
    const first = spec.reason || spec.typed || spec.choices ? 'field' : 'cancel';
    const note = (key, text) => (error === key ? html`<span class="wrong" id="wrong-${key}">${text}</span>` : nothing);
    return html`<form method="dialog" novalidate @submit=${submit}>
      <header><h2 id="dialog-title">${spec.title}</h2></header>
      <div class="body">
        ${[spec.text ?? []].flat().map(text => html`<p>${text}</p>`)}
        ${spec.facts?.length ? html`<dl class="facts">${spec.facts.map(([name, value, mono]) => html`<div><dt>${name}</dt><dd class=${mono ? 'mono' : ''}>${value}</dd></div>`)}</dl>` : nothing}
        ${spec.choices ? html`<label>${spec.choices.label}<select name="choice" data-first @change=${put('choice')}>${spec.choices.options.map(([value, text]) => html`<option value=${value} ?selected=${value === given.choice}>${text}</option>`)}</select></label>` : nothing}
        ${spec.reason ? html`<label>Reason, shown to others<input name="reason" maxlength="200" autocomplete="off" placeholder="e.g. draining for a disk swap" ?data-first=${!spec.choices}
          aria-invalid=${error === 'reason' ? 'true' : nothing} aria-describedby=${error === 'reason' ? 'wrong-reason' : nothing} @input=${put('reason')}>${note('reason', 'Say why, so that others know.')}</label>` : nothing}
        ${spec.ends ? html`<label>${spec.endsLabel ?? 'Ends by itself'}<select name="ends" @change=${put('ends')}>${ENDS.map(([value, text]) => html`<option value=${value} ?selected=${value === given.ends}>${text}</option>`)}</select></label>` : nothing}
        ${spec.typed ? html`<label><span>Type <b class="mono">${spec.typed}</b> to go on</span><input name="typed" autocomplete="off" spellcheck="false" ?data-first=${!spec.reason && !spec.choices}
          aria-invalid=${error === 'typed' ? 'true' : nothing} aria-describedby=${error === 'typed' ? 'wrong-typed' : nothing} @input=${put('typed')}>${note('typed', 'It is not the same yet.')}</label>` : nothing}
      </div>
      <footer>${spec.who ? html`<span class="who">${spec.who}</span>` : nothing}
        <button type="button" class="btn" ?data-first=${first === 'cancel'} @click=${() => close()}>Cancel</button>
        <button class="btn ${spec.danger ? 'danger' : 'solid'}">${spec.verb}</button></footer>
    </form>`;
  });
}

/** Asks for the token that unlocks actions; resolves to it or null. */
export function askToken(wrong = false) {
  let token = '';
  return open(close => html`<form method="dialog" @submit=${event => { event.preventDefault(); close(token || null); }}>
    <header><h2 id="dialog-title">Unlock actions</h2></header>
    <div class="body"><p>Looking needs no token here. Taking instances out of service, overrides and circuit actions need the registry's token. It is kept until this tab is closed.</p>
      <label>Token<input type="password" name="token" autocomplete="off" data-first aria-invalid=${wrong ? 'true' : nothing} aria-describedby=${wrong ? 'wrong-token' : nothing} @input=${event => { token = event.target.value; }}>
      ${wrong ? html`<span class="wrong" id="wrong-token">The registry did not accept this token.</span>` : nothing}</label></div>
    <footer><button type="button" class="btn" @click=${() => close()}>Cancel</button><button class="btn solid">Unlock</button></footer></form>`);
}
