// Why is it open, and what would close it? One circuit, from all its callers.
import { html, nothing, render } from '../../vendor/lit-html/lit-html.js';
import { effect, signal } from '../../vendor/signals-core/signals-core.js';
import * as fmt from '../fmt.js';
import { servicePath } from '../query.js';
import { theme } from '../theme.js';
import { empty, skeletonRows } from '../ui/empty.js';
import { glyph, icon } from '../ui/glyph.js';
import { openMenu } from '../ui/menu.js';
import { ACTIONS, perform } from './circuit_actions.js';
import { box, held, measure as measureBox } from './circuit_box.js';
import { pooled, settings as inWords } from './circuit_data.js';
import * as panels from './circuit_panels.js';
import { Plots } from './circuit_plots.js';
import { name, state, title as called } from './circuits_words.js';

export const title = () => 'Circuit';
export const topics = ['circuits'];

const AGAIN = 5000;
const MARKS = { open: 'forced-open', close: 'forced-closed', auto: 'closed', reset: 'changed' };

export function mount(root, ctx) {
  const { store } = ctx, { id } = ctx.params, narrow = matchMedia('(max-width: 640px)');
  const answer = signal(null), asked = signal(null), trouble = signal(null), busy = signal('');
  const path = `circuits/${encodeURIComponent(id)}`;
  let plots = null, timer = 0, left = false, last = null;

  const range = () => (Number(ctx.query.peek().get('range')) === 120 ? 120 : 900);
  const find = () => [...store.circuits.values()].find(row => row.id === id) ?? null;
  /** The stream's numbers where it has them, else those that were asked for. */
  const current = () => {
    const row = find(), said = answer.value;
    if (row) return last = { ...pick(said), ...row, lastError: row.lastError ?? said?.lastError };
    if (!said) return last;
    return last = { ...pick(said), inflight: said.inFlight ?? 0, err: said.errorPercent ?? null, lat: said.latencyMs ?? null, counts: said.counts ?? [0, 0, 0, 0, 0, 0] };
  };

  async function ask() {
    clearTimeout(timer);
    if (!document.hidden && !store.paused.peek()) {
      try {
        const [one, instances] = await Promise.all([ctx.data(`${path}?range=900`), ctx.data(`${path}/instances`).catch(() => [])]);
        if (left) return;
        answer.value = one;
        asked.value = pooled(instances);
        trouble.value = null;
        plots?.set(one);
      } catch (error) {
        if (left) return;
        if (error.status === 404) trouble.value = 'gone';
        else if (!answer.value) trouble.value = error.message;
      }
    }
    if (!left) timer = setTimeout(ask, AGAIN);
  }

  const act = (action, host = null) => async () => {
    const row = current();
    if (!row || busy.value) return;
    try {
      // Nothing is shown as done before the server says so.
      if (await perform(ctx, row, action, host, () => { busy.value = action; })) await ask();
    } finally {
      busy.value = '';
    }
  };
  const items = host => Object.entries(ACTIONS).map(([action, [verb]]) => ({ label: verb, mark: glyph(MARKS[action], { size: 12, named: false }), locked: ctx.locked() || undefined, act: act(action, host) }));

  function actions() {
    const locked = ctx.locked(), row = current(), hand = row && 'FL'.includes(row.state);
    if (narrow.matches) return html`<button class="btn icon" aria-label="Circuit actions" aria-haspopup="menu" aria-expanded="false" @click=${event => openMenu(event.currentTarget, items(null))}>${icon('more')}</button>`;
    const shown = hand ? ['auto', 'open', 'close', 'reset'].filter(one => !(row.state === 'F' && one === 'open') && !(row.state === 'L' && one === 'close')) : ['open', 'close', 'reset'];
    return shown.map(action => html`<button class="btn" aria-disabled=${locked === 'Not connected' || busy.value ? 'true' : nothing} title=${locked || nothing} @click=${locked === 'Not connected' ? nothing : act(action)}>
      ${['open', 'close'].includes(action) ? glyph(MARKS[action], { size: 12, named: false }) : nothing}${busy.value === action ? 'Applying' : ACTIONS[action][0]}</button>`);
  }

  render(html`<div class="stage"></div>`, root);
  const stage = root.querySelector('.stage');

  function frame() {
    render(html`<div class="stack"><div class="held-place"></div><section class="panel statebox" aria-label="Current state"></section>
      <section class="panel ribbon-panel" aria-label="State history"></section>
      <div class="charts"><section class="panel outcome-panel" aria-label="Calls by outcome"></section><section class="panel latency-panel" aria-label="Latency"></section></div>
      <div class="two"><div class="col"><section class="panel where" aria-label="Where the calls go"></section><section class="panel turns" aria-label="Changes of state"></section></div>
        <div class="col"><section class="panel settings" aria-label="Settings in force"></section><section class="panel failures" aria-label="Recent failures"></section></div></div></div>`, stage);
    plots = new Plots(stage, {
      now: () => store.now(), timeout: () => current()?.timeoutMs ?? null, hosts: () => current()?.hosts ?? 1,
      range, setRange: value => { ctx.ask({ range: value === 900 ? null : value }); if (answer.peek()) plots.set(answer.peek()); },
    });
    if (answer.peek()) plots.set(answer.peek());
  }

  function head(row) {
    const one = row && state(row.state), [target, command] = row ? name(row) : [id, ''];
    ctx.head({
      crumb: ['circuits', 'Circuits'], title: html`${row?.to ? html`<a href=${ctx.href(servicePath(row.to))}>${target}</a>` : target}${command ? html` <span class="circuit-name">${command}</span>` : nothing}`,
      sub: row ? `called from ${row.from}` : '', actions: row ? actions() : nothing, doc: row ? `${one.word}: ${called(row)}` : 'Circuit',
    });
  }

  function nothingYet() {
    const why = trouble.value;
    if (!why) return html`<section class="panel">${skeletonRows(8)}</section>`;
    return html`<section class="panel">${why === 'gone'
      ? empty({ title: 'This circuit is not here.', text: 'No caller with it has been heard for a minute, or the address is from another version.', action: { label: 'All circuits', act: () => ctx.navigate('circuits') } })
      : empty({ title: 'This circuit could not be asked for.', text: why, action: { label: 'Try again', act: () => { trouble.value = null; ask(); } } })}</section>`;
  }

  const stops = [
    effect(() => {
      store.tick.value;
      store.listed.value;
      store.connection.value;
      store.roles.value;
      ctx.query.value;
      busy.value;
      const row = current(), said = answer.value, now = store.now();
      head(row);
      if (!row) {
        plots?.leave();
        plots = null;
        render(nothingYet(), stage);
        return;
      }
      if (!plots) frame();
      const at = selector => stage.querySelector(selector);
      render(held(row, now), at('.held-place'));
      render(box(row, said, now), at('.statebox'));
      measureBox(at('.statebox'));
      const by = ctx.query.value.get('by') === 'hosts', n = asked.value?.length ?? 0;
      const note = by ? fmt.count(said?.hostsBy?.length ?? 0, 'calling host') : n ? `${fmt.count(n, 'instance')}, worst first` : '';
      render(html`<div class="panel-h"><h2>Where the calls go</h2><span class="note">${note}</span><span class="grow"></span><div class="seg small" role="group" aria-label="Show">
        ${[['', 'Instances'], ['hosts', 'Calling hosts']].map(([key, word]) => html`<button type="button" aria-pressed=${String(by === (key === 'hosts'))} @click=${() => ctx.ask({ by: key })}>${word}</button>`)}</div></div>
        <div class="scroll-x" tabindex="0" role="region" aria-label=${by ? 'Calling hosts' : 'Instances'}>${by ? panels.hosts(said?.hostsBy, now, (event, host) => openMenu(event.currentTarget, items(host)), ctx.locked()) : panels.instances(asked.value, row.to, now, narrow.matches)}</div>`, at('.where'));
      render(html`<div class="panel-h"><h2>Changes of state</h2></div>${panels.turns(said?.turns, now)}`, at('.turns'));
      render(html`<div class="panel-h"><h2>Settings in force</h2></div>${panels.settings(inWords(said?.settings), said?.settingsDiffer)}`, at('.settings'));
      render(html`<div class="panel-h"><h2>Recent failures</h2><span class="note">${said?.failures?.some(one => one.n) ? 'by kind, last 5 to 10 min' : 'by kind'}</span></div>${panels.failures(said?.failures, now)}`, at('.failures'));
      panels.measure(stage);
    }),
    effect(() => { theme.value; plots?.repaint(); }),
    ctx.keys({ 0: () => plots?.reset() }),
  ];
  const again = ({ detail }) => { if (detail.k === find()?.k) ask(); };
  store.events.addEventListener('state', again);
  ask();
  return () => {
    left = true;
    clearTimeout(timer);
    for (const stop of stops) stop();
    store.events.removeEventListener('state', again);
    plots?.leave();
  };
}

/** Of an answer what a row of the stream has, too. */
function pick(said) {
  if (!said) return {};
  const { k, id, from, to, cmd, hosts, limit, timeoutMs, windowMs, threshold, minCalls, since, probeAt, forced, silent, states, lastError, state: now, inState, rate } = said;
  return { k, id, from, to, cmd, hosts, limit, timeoutMs, windowMs, threshold, minCalls, since, probeAt, forced, silent, states, lastError, state: now, inState, rate };
}
