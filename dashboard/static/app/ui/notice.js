// Conditions that deserve a banner, in one calm sentence each, with the numbers and what to do.
import { html, nothing } from '../../vendor/lit-html/lit-html.js';
import { glyph } from './glyph.js';
import { open } from './dialog.js';
import * as fmt from '../fmt.js';

const bare = url => String(url ?? '').replace(/^https?:\/\//, '').replace(/(\/eureka)?(\/v2)?\/?$/, '');

const STEPS = [
  'See whether one zone or one network is affected: the list below shows which instances are silent.',
  'Ask one of them directly. If it answers, the way between it and this registry is broken, not the instance.',
  'Once heartbeats are back above the limit, removal starts again by itself. Nothing has to be switched.',
];
const steps = () => open(close => html`<header><h2 id="dialog-title">While removal is paused</h2></header>
  <div class="body"><ol class="steps">${STEPS.map(step => html`<li>${step}</li>`)}</ol></div>
  <footer><button class="btn" data-first @click=${() => close()}>Close</button></footer>`);

function protection({ beats, want, limit, kept, zones = [] }) {
  const share = want ? beats / want * 100 : null;
  const where = zones.length === 1 ? ` All ${fmt.int(kept)} are in zone ${zones[0]}.` : zones.length ? ` They are in ${fmt.list(zones)}.` : '';
  return ['Removal of silent instances is paused to be safe.',
    `Only ${fmt.percent(share)}% of the expected heartbeats arrived in the last minute (${fmt.int(beats)} of ${fmt.int(want)}; the limit is ${Math.round(limit * 100)}%). `
    + `That looks more like a network fault than ${fmt.count(kept, 'crash', 'crashes')}, so the registry keeps those instances listed. Some addresses handed out now may not answer.${where}`];
}

/** Heading, sentence, mark and actions of a notice. Ones this page does not know show what they bring. */
export function words({ id, data = {}, level }, ctx) {
  const [kind, of = data.peer] = id.split(/:(.*)/s);
  switch (kind) {
    case 'protection': {
      const [title, text] = protection(data);
      return { title, text, mark: 'shield', actions: [{ label: `Show the ${fmt.int(data.kept)}`, path: '?show=late' }, { label: 'What to do', act: steps, quiet: true }] };
    }
    case 'protection_off':
      return { title: 'Silent instances are removed even if most of them go silent at once.', text: 'Self-preservation is switched off in this registry’s settings. A network fault would empty the list of services.', mark: 'late' };
    case 'recovering':
      return { title: 'Heartbeats are back above the limit.', text: `Removal starts again in ${fmt.duration(data.inS)}.`, mark: 'shield' };
    case 'not_ready':
      return { title: 'This registry is starting and does not hand out addresses yet.', text: `It waits for a peer to copy from${data.opensInS ? `, for at most ${fmt.duration(data.opensInS)}` : ''}. Callers keep using the addresses they know.`, mark: 'starting' };
    case 'peer':
      return { title: `${bare(of)} does not answer this registry.`, text: `${data.problem ? `${data.problem.replace(/^./, first => first.toUpperCase()).replace(/\.$/, '')}.` : 'It may be down, or the way to it is broken.'} Changes for it are kept and sent when it is back.`, mark: 'down', actions: [{ label: 'Registry nodes', path: 'nodes' }] };
    case 'clock':
      return { title: `The clock of ${bare(of)} differs by ${fmt.duration(Math.abs(data.skewS))}.`, text: 'Ages and end times may look wrong until the clocks agree.', mark: 'late' };
    case 'snapshot':
      return { title: 'The list of services can’t be written to disk.', text: `${data.problem} After a restart this registry would have to learn it again.`, mark: 'late' };
    case 'source':
      return { title: 'This server can’t read its own state.', text: String(data.problem ?? ''), mark: 'down' };
    default:
      return { title: String(data.title ?? id), text: String(data.text ?? data.problem ?? ''), mark: level === 'bad' ? 'down' : 'late' };
  }
}

export const banner = ({ title, text, mark, actions = [], level }, ctx) => html`<div class="notice s-${level === 'bad' ? 'bad' : 'warn'}" role="status">
  ${glyph(mark, { size: 16, named: false })}<div><p class="strong">${title}</p>${text ? html`<p>${text}</p>` : nothing}</div>
  ${actions.length ? html`<div class="acts">${actions.map(one => (one.path === undefined
    ? html`<button class="btn ${one.quiet ? 'quiet' : ''}" @click=${one.act}>${one.label}</button>`
    : html`<a class="btn" href=${ctx.href(one.path)}>${one.label}</a>`))}</div>` : nothing}</div>`;

/** The notices of the store, and the one about the line to the server. */
export function banners(store, ctx, stream) {
  const all = [...store.notices.values()].map(notice => ({ ...words(notice, ctx), level: notice.level }));
  const { state, age, wait, problem } = store.connection.value;
  if (state === 'lost') {
    const node = store.hello?.node ?? 'The registry';
    const why = problem === 401 || problem === 403 ? 'It asks for a token. Reload the page to give it.' : `${node} stopped answering. Callers keep using the addresses they already know.`;
    all.unshift({
      level: 'bad', mark: 'down',
      title: age ? `The registry can’t be reached. You are looking at data from ${fmt.duration(age)} ago.` : 'The registry can’t be reached.',
      text: `${why} ${wait >= 1 ? `Next try in ${Math.ceil(wait)} s.` : 'Trying now.'}`,
      actions: [{ label: 'Try now', act: () => stream.tryNow() }],
    });
  }
  return all.map(one => banner(one, ctx));
}
