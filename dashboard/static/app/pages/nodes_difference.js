// In which entries a peer's list differs from this node's.
import { html, nothing } from '../../vendor/lit-html/lit-html.js';
import { glyph, STATUS, word } from '../ui/glyph.js';
import { servicePath } from '../query.js';
import { skeletonRows } from '../ui/empty.js';
import * as fmt from '../fmt.js';

const KINDS = { here: ['joined', 'only here'], there: ['left', 'only there'], status: ['changed', 'other status'] };

export const total = ({ counts = {} }) => Object.values(counts).reduce((sum, n) => sum + n, 0);

/** One sentence that says what the list is, and how far it is to be trusted. */
export function sentence(found, name, now) {
  const { asked, since, complete, counts = {}, problem } = found, n = total(found);
  const parts = Object.entries(KINDS).filter(([kind]) => counts[kind]).map(([kind, [, text]]) => `${fmt.int(counts[kind])} ${kind === 'status' ? 'with another status' : text}`);
  if (asked) return n ? `${name} and this node differ in ${fmt.count(n, 'entry', 'entries')}: ${fmt.list(parts)}.` : `${name} lists the same instances as this node, with the same status.`;
  const why = problem ? `${problem.replace(/^./, first => first.toUpperCase())}. ` : '';
  if (since === null || since === undefined) return `${why}${name} has taken nothing from this node yet, so its list is not known.`;
  const from = `${name} can\u2019t be asked. It has taken nothing from this node since ${fmt.time(since)}, ${fmt.ago(since, now)}`;
  const more = complete ? '' : ' More changed than this node remembers.';
  return n ? `${why}${from}; since then ${fmt.count(n, 'entry has', 'entries have')} changed here: ${fmt.list(parts)}.${more}` : `${why}${from}; nothing has changed here since.${more}`;
}

const shown = status => (status ? html`<span class="with-g">${glyph(STATUS[status] ?? 'unknown', { size: 12, named: false })}${word(STATUS[status] ?? 'unknown')}</span>` : html`<span class="dim">not listed</span>`);

/** `found`: the server's answer, or nothing while it is asked for. */
export function difference(found, peer, name, now, ctx) {
  if (!found) return html`<div class="differ">${skeletonRows(2)}</div>`;
  if (found.trouble) return html`<div class="differ"><p class="mid">What differs could not be read: ${found.trouble}</p></div>`;
  const rows = found.rows ?? [], n = total(found);
  return html`<div class="differ"><p class="mid">${sentence(found, name, now)}</p>
    ${rows.length ? html`<table class="tbl"><thead><tr><th scope="col">Differs</th><th scope="col">Instance</th><th scope="col">This node</th><th scope="col">${found.asked ? name : `${name}, as far as known`}</th></tr></thead>
      <tbody>${rows.map(one => {
        const [mark, text] = KINDS[one.what] ?? ['changed', one.what];
        return html`<tr><td><span class="with-g">${glyph(mark, { size: 12, named: false })}${text}</span></td><td class="mono"><a href=${ctx.href(one.here ? `${servicePath(one.service)}?open=${encodeURIComponent(one.instance)}` : servicePath(one.service))}>${one.service}/${one.instance}</a></td><td>${shown(one.here)}</td><td>${shown(one.there)}</td></tr>`;
      })}</tbody></table>` : nothing}
    ${n > rows.length ? html`<p class="dim">The first ${fmt.int(rows.length)} of ${fmt.int(n)}.</p>` : nothing}</div>`;
}
