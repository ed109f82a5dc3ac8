// The API, from the server's own description: what there is, what it takes, what it answers.
import { html, render, nothing } from '../../vendor/lit-html/lit-html.js';
import { headers } from '../act.js';
import { empty, sample, skeletonRows } from '../ui/empty.js';
import { example, operations, resolve, typeOf } from './api_rules.js';
import * as fmt from '../fmt.js';

export const title = 'API';
export const topics = [];

/** `code` in running text, and nothing else. */
const prose = text => String(text ?? '').split('`').map((part, i) => (i % 2 ? html`<code>${part}</code>` : part));

const json = value => JSON.stringify(value, null, 2);

function parameters(spec, op) {
  if (!op.parameters.length) return nothing;
  return html`<div><h3>Parameters</h3><div class="wide-table"><table class="tbl"><thead><tr><th scope="col">Name</th><th scope="col">In</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead>
    <tbody>${op.parameters.map(one => html`<tr><td><span class="mono">${one.name}</span>${one.required ? html` <span class="tag">required</span>` : nothing}</td><td>${one.in}</td><td class="mono">${typeOf(spec, one.schema)}</td><td>${prose(one.description)}</td></tr>`)}</tbody></table></div></div>`;
}

function fields(spec, schema) {
  const whole = resolve(spec, schema);
  const of = whole?.type === 'array' ? resolve(spec, whole.items) : whole;
  const all = Object.entries(of?.properties ?? {});
  if (!all.length) return nothing;
  return html`<div class="wide-table"><table class="tbl"><thead><tr><th scope="col">Field</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead><tbody>${all.map(([name, one]) => html`<tr><td><span class="mono">${name}</span>${of.required?.includes(name) ? html` <span class="tag">required</span>` : nothing}</td>
    <td class="mono">${typeOf(spec, one)}</td><td>${prose(resolve(spec, one)?.description ?? '')}</td></tr>`)}</tbody></table></div>`;
}

function answers(spec, op) {
  return html`<div><h3>Answers</h3><div class="wide-table"><table class="tbl"><tbody>${op.responses.map(([status, one]) => html`<tr><td class="mono">${status}</td><td>${prose(one.description)}</td><td class="mono">${Object.entries(one.content ?? {}).map(([type, { schema }]) => `${typeOf(spec, schema)}${type.includes('json') ? '' : ` (${type})`}`).join(', ')}</td></tr>`)}</tbody></table></div></div>`;
}

function operation(spec, op, origin, open) {
  const body = op.body?.content?.['application/json']?.schema, good = op.responses.find(([status]) => status.startsWith('2'))?.[1]?.content?.['application/json']?.schema;
  const address = `${origin}${op.path}`.replace(/\{(\w+)\}/g, (_, name) => `<${name}>`);
  const curl = `curl ${op.method === 'get' ? '' : `-X ${op.method.toUpperCase()} `}${body ? "-H 'Content-Type: application/json' " : ''}'${address}'${body ? ` \\\n  -d '${JSON.stringify(example(spec, body))}'` : ''}`;
  return html`<details class="panel op" id=${op.id} ?open=${open}><summary><span class="verb ${op.method}">${op.method.toUpperCase()}</span><span class="mono">${op.path}</span><span class="dim">${op.summary}</span></summary>
    <div class="in">${op.description ? html`<p>${prose(op.description)}</p>` : nothing}${parameters(spec, op)}${body ? html`<div><h3>Body</h3>${fields(spec, body)}</div>` : nothing}
      <div><h3>Request</h3>${sample(curl, 'Request')}</div>${answers(spec, op)}
      ${good ? html`<div><h3>Example answer</h3>${sample(json(example(spec, good)), 'Example answer')}${fields(spec, good)}</div>` : nothing}</div></details>`;
}

export function mount(root, ctx) {
  let left = false;
  // Beside the mount: the API of the same server.
  const address = new URL('../resilient/v1/openapi.json', ctx.base);

  async function load() {
    render(html`<section class="panel">${skeletonRows(8)}</section>`, root);
    let spec;
    try {
      const answer = await fetch(address, { headers: { Accept: 'application/json', ...headers() } });
      if (!answer.ok) throw new Error(`The registry answered ${answer.status}.`);
      spec = await answer.json();
    } catch (error) {
      if (!left) render(html`<section class="panel">${empty({ title: 'The description could not be read', text: error.message, action: { label: 'Try again', act: load } })}</section>`, root);
      return;
    }
    if (left) return;
    const groups = operations(spec), all = groups.flatMap(([, ops]) => ops), origin = address.href.replace(/\/resilient\/v1\/openapi\.json$/, '');
    const wanted = decodeURIComponent(location.hash.slice(1));
    ctx.head({ title: 'API', sub: `${fmt.count(all.length, 'operation')}, version ${spec.info?.version ?? fmt.DASH}`, actions: html`<a class="btn" href=${address.href} target="_blank">openapi.json</a>` });
    render(html`<div class="api"><nav aria-label="Operations">${groups.map(([name, ops]) => html`${groups.length * 2 < all.length ? html`<div class="nav-h">${name}</div>` : nothing}${ops.map(op => html`<a href="#${op.id}" title="${op.method.toUpperCase()} ${op.path}" @click=${() => { root.ownerDocument.getElementById(op.id).open = true; }}>${op.summary || op.path}</a>`)}`)}</nav>
      <div class="ops"><section class="panel"><div class="pad prose"><p>${prose(spec.info?.description || 'Everything the pages show can also be had as JSON.')}</p>
        <p>Every page of this site answers with JSON at its own address when asked with <code>Accept: application/json</code>. The stream behind these pages is <code>${new URL('stream', ctx.base).pathname}</code>. Eureka clients find their paths below <code>/eureka</code>.</p></div></section>
        ${groups.map(([name, ops]) => html`<h2 class="sr">${name}</h2>${ops.map(op => operation(spec, op, origin, op.id === wanted))}`)}
        ${all.length ? nothing : html`<section class="panel">${empty({ title: 'No operations are described', text: 'This server serves the pages only.' })}</section>`}</div></div>`, root);
    if (wanted) root.ownerDocument.getElementById(wanted)?.scrollIntoView();
  }
  load();
  return () => { left = true; };
}
