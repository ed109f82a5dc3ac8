// Registry nodes: are they in step?
import { html, render, nothing } from '../../vendor/lit-html/lit-html.js';
import { effect } from '../../vendor/signals-core/signals-core.js';
import { onPaint } from '../paint.js';
import { glyph, icon, tag } from '../ui/glyph.js';
import { when } from '../ui/parts.js';
import { difference, total } from './nodes_difference.js';
import { empty, skeletonRows } from '../ui/empty.js';
import { rateLine } from '../ui/plots.js';
import * as fmt from '../fmt.js';

export const title = 'Registry nodes';
export const topics = [];

// Quiet while all is well: no wash, only the mark.
const calm = text => html`<span class="with-g">${glyph('up', { named: false })}<span class="mid">${text}</span></span>`;

/** A quarter of an hour in the server's steps of 5 s, and how often the server is asked. */
const POINTS = 180, EVERY = 5000;

/** A node's address without what all of them have. */
export const bare = url => String(url ?? '').replace(/^https?:\/\//, '').replace(/(\/eureka)?(\/v2)?\/?$/, '');

/** Tenths matter while it is little. */
const seconds = n => ((n ?? 0) < 100 ? `${(n ?? 0).toFixed(1)} s` : fmt.duration(n));

/** What a peer's state is called. */
export function state(peer) {
  if (!peer.well) return ['down', 'No answer'];
  if ((peer.lag ?? 0) > 5) return ['late', 'Behind'];
  return ['up', 'In step'];
}

export function mount(root, ctx) {
  const { store } = ctx;
  let data = null, error = null, left = false, timer = null, early = 3;
  // What differs, by peer: asked for while it is open. A silent peer's is open until somebody closes it.
  const differ = new Map(), shut = new Set();

  async function load() {
    clearTimeout(timer);
    try {
      data = await ctx.data('nodes');
      error = null;
    } catch (problem) {
      error = problem;
    }
    if (left) return;
    draw();
    compare();
    // The peers are only asked how they are while somebody looks: their first words come a moment later.
    const soon = data?.peers.some(peer => peer.well && peer.version === undefined);
    if (!store.paused.peek()) timer = setTimeout(load, document.hidden ? EVERY * 4 : soon && early-- > 0 ? EVERY / 3 : EVERY);
  }

  function peers() {
    return data.peers.map(peer => {
      const live = store.nodes.get(peer.url);
      return live ? { ...peer, well: live.state === 'ok', lag: live.lag, queue: live.backlog } : peer;
    });
  }

  const opened = peer => ctx.query.value.get('open') === peer.url || (!peer.well && !shut.has(peer.url));
  function toggle(peer) {
    const now = opened(peer);
    if (now && !peer.well) shut.add(peer.url);
    else shut.delete(peer.url);
    ctx.ask({ open: now || !peer.well ? '' : peer.url }, { push: true });
    draw();
    compare();
  }

  /** Ask for the lists that are shown. */
  function compare() {
    for (const peer of data ? peers().filter(opened) : []) {
      ctx.data(`nodes/difference?peer=${encodeURIComponent(peer.url)}`).then(
        found => differ.set(peer.url, found),
        problem => differ.set(peer.url, { trouble: problem.message }),
      ).then(draw);
    }
  }

  const protection = self => {
    if (self.protection?.enabled === false) return ['warn', 'Off'];
    return self.mode === 'preserving' ? ['warn', 'Removal paused'] : ['', 'Ready'];
  };

  function strip(self, all) {
    const well = all.filter(peer => peer.well).length, lag = Math.max(0, ...all.map(peer => peer.lag ?? 0));
    const slowest = all.find(peer => (peer.lag ?? 0) === lag), beats = store.beats ?? data.beats ?? {};
    const [tone, text] = protection(self), limit = self.beats_limit ?? beats.limit;
    return html`<div class="cell"><div class="k">Nodes answering</div><div class="v">${well + 1} <small>of ${all.length + 1}</small></div><div class="viz"><span class="dim">${all.length ? (well === all.length ? 'this one and all peers' : `${fmt.count(all.length - well, 'peer')} silent`) : 'this one, no peers'}</span></div></div>
      <div class="cell"><div class="k">Largest lag</div><div class="v">${all.length ? html`${lag < 100 ? lag.toFixed(1) : fmt.int(lag)} <small>s</small>` : fmt.DASH}</div><div class="viz"><span class="dim clip">${all.length && lag ? bare(slowest.url) : 'nobody is behind'}</span></div></div>
      <div class="cell"><div class="k">Leases held</div><div class="v">${fmt.int(self.counts?.instances)}</div><div class="viz"><span class="dim">${fmt.count(self.counts?.services ?? 0, 'service')}, ${fmt.int(self.counts?.late ?? 0)} late</span></div></div>
      <div class="cell"><div class="k">Renewals per minute</div><div class="v">${fmt.int(beats.min)} <small>${beats.want ? `of ${fmt.int(beats.want)}` : ''}</small></div><div class="viz"><span class="dim">limit ${limit === undefined ? fmt.DASH : `${Math.round(limit * 100)}%`}</span></div></div>
      <div class="cell"><div class="k">Self-preservation</div><div class="v ${tone ? `t-${tone}` : ''}">${text}</div><div class="viz"><span class="dim clip" title=${self.reason || nothing}>${self.mode === 'preserving' ? `for ${fmt.duration(self.preserving_for)}` : 'removal stops if many go silent'}</span></div></div>`;
  }

  const dash = html`<span class="dim">${fmt.DASH}</span>`;
  const told = (value, write) => (value === undefined || value === null ? dash : write(value));

  /** What keeps a peer from being told, and what that has cost so far. */
  function trouble(peer) {
    return [
      peer.problem, peer.refused && `${fmt.count(peer.refused, 'entry', 'entries')} refused by it`,
      peer.lost && `${fmt.count(peer.lost, 'change')} grew too old to be told`, peer.ready === false && 'it is starting and not read yet',
    ].filter(Boolean).join('; ');
  }

  function row(peer) {
    const [mark, text] = state(peer), own = peer.self, is = !own && opened(peer), found = differ.get(peer.url), said = own ? '' : trouble(peer);
    const n = found && !found.trouble ? total(found) : null;
    return html`<tr><th scope="row"><span class="mono">${bare(peer.url)}</span>${peer.zone ? html` <span class="dim">${peer.zone}</span>` : nothing}</th><td>${own ? 'this one' : 'peer'}</td><td>${own ? (peer.ready === false ? tag('starting', 'Starting') : calm('Serving')) : mark === 'up' ? calm(text) : tag(mark, text)}</td>
      <td class="num">${own ? dash : seconds(peer.lag)}</td><td class="num">${own ? dash : fmt.int(peer.queue)}</td>
      <td>${own ? dash : html`<canvas data-peer=${peer.url} role="img" aria-label="Lag over the last 15 minutes, now ${seconds(peer.lag)}"></canvas>`}</td>
      <td>${peer.last_batch_at ? when(peer.last_batch_at * 1000, store.now()) : dash}</td><td class="num">${told(own ? peer.counts?.instances : peer.instances, fmt.int)}</td>
      <td>${own ? dash : html`<button type="button" class="btn small" aria-expanded=${String(is)} aria-label="Differing entries of ${bare(peer.url)}" @click=${() => toggle(peer)}>${is && n !== null ? (n ? fmt.count(n, 'entry', 'entries') : 'none') : 'Compare'}${icon(is ? 'down' : 'right')}</button>`}</td>
      <td class="mono">${told(peer.version || null, text => text)}</td><td class="num">${told(peer.uptime_seconds, fmt.duration)}</td><td class="num ${Math.abs(peer.skew ?? 0) > 2 ? 't-warn strong' : ''}">${told(peer.skew, skew => `${skew < 0 ? '\u2212' : ''}${seconds(Math.abs(skew))}`)}</td></tr>
      ${said ? html`<tr class="under"><td colspan="12" class="t-warn">${bare(peer.url)}: ${said}</td></tr>` : nothing}
      ${is ? html`<tr class="under"><td colspan="12">${difference(found, peer, bare(peer.url), store.now(), ctx)}</td></tr>` : nothing}`;
  }

  const pair = (name, text) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`;

  function draw() {
    if (left) return;
    if (!data) {
      render(error ? html`<section class="panel">${empty({ title: 'The nodes could not be read', text: error.message, action: { label: 'Try again', act: load } })}</section>` : html`<section class="panel">${skeletonRows(6)}</section>`, root);
      return;
    }
    const { self } = data, all = peers(), bad = all.filter(peer => !peer.well).length;
    ctx.head({ title: 'Registry nodes', sub: all.length ? `${fmt.count(all.length + 1, 'node')}${bad ? `, ${bad} silent` : ', in step'}` : 'one node', doc: bad ? `Registry nodes, ${bad} silent` : 'Registry nodes' });
    const shot = self.snapshot;
    render(html`<section class="panel strip" aria-label="Summary">${strip(self, all)}</section>
      <section class="panel wide-table" tabindex="0" aria-label="Nodes"><table class="tbl"><thead><tr><th scope="col">Node</th><th scope="col">Role</th><th scope="col">State</th><th scope="col" class="num" title="Age of the oldest change it has not received">Lag</th><th scope="col" class="num" title="Changes that wait to be sent to it">Backlog</th><th scope="col">Lag, 15 min</th><th scope="col" title="When it last took changes from this node">Last exchange</th><th scope="col" class="num">Instances</th><th scope="col" title="Entries in which its list differs from this node's">Differs</th><th scope="col">Version</th><th scope="col" class="num">Up for</th><th scope="col" class="num" title="Its clock minus this node's">Clock offset</th></tr></thead>
        <tbody>${row({ ...self, url: data.node ?? self.name, self: true, well: true })}${all.map(row)}</tbody></table></section>
      ${all.length ? nothing : html`<section class="panel">${empty({ title: 'This registry stands alone', text: 'A second one keeps services findable while this one restarts. Start it with the address of this one as its peer.' })}</section>`}
      <div class="halves"><section class="panel"><div class="panel-h"><h2>This node</h2></div><div class="pad"><dl class="facts-list">
        ${pair('Version', html`<span class="mono">${self.version ?? fmt.DASH}</span>`)}${pair('Up for', fmt.duration(self.uptime_seconds))}${pair('Zone', self.zone || fmt.DASH)}${pair('Position', html`<span class="mono">${String(self.position?.number ?? self.position ?? fmt.DASH)}</span>`)}
        ${pair('Start-up', self.ready === false ? `waiting for a peer to copy from${self.opens_in ? `, at most ${fmt.duration(self.opens_in)}` : ''}` : 'done')}
        ${pair('Restored from disk', self.restored ? `${fmt.count(self.restored, 'instance')}, ${fmt.int(self.unconfirmed ?? 0)} not heard from since` : 'nothing')}</dl></div></section>
      <section class="panel"><div class="panel-h"><h2>Safety</h2></div><div class="pad"><dl class="facts-list">
        ${pair('Removal of silent instances', self.mode === 'preserving' ? 'paused to be safe' : 'runs')}${pair('Self-preservation', self.protection?.enabled === false ? 'switched off' : 'on')}${pair('Limit of missing heartbeats', self.beats_limit === undefined ? fmt.DASH : `${Math.round((1 - self.beats_limit) * 100)}%`)}
        ${pair('Snapshot on disk', !shot ? 'none is kept' : shot.problem ? html`<span class="t-bad">${shot.problem}</span>` : shot.written_at ? when(shot.written_at * 1000, store.now()) : 'not yet')}</dl>
        ${(self.warnings ?? []).map(text => html`<p class="t-warn">${text}</p>`)}</div></section></div>`, root);
  }

  const values = new Float32Array(POINTS);
  const stop = [
    store.tick.subscribe(() => { if (data) draw(); }),
    onPaint(() => {
      for (const canvas of root.querySelectorAll('canvas[data-peer]')) {
        const past = (data?.peers.find(peer => peer.url === canvas.dataset.peer)?.lags ?? []).slice(-POINTS);
        values.fill(NaN);
        values.set(past, POINTS - past.length);
        values[POINTS - 1] = store.nodes.get(canvas.dataset.peer)?.lag ?? values[POINTS - 1];
        rateLine(canvas, values);
      }
    }),
    effect(() => { if (!store.paused.value && data) load(); }),
  ];
  draw();
  load();
  return () => {
    left = true;
    clearTimeout(timer);
    for (const one of stop) one();
  };
}
