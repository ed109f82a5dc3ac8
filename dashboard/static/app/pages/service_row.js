// One service in the table, and its instances when it is open.
import { arrange, h, link, mark, say, swap } from '../dom.js';
import { spark } from '../draw.js';
import { DASH, count, duration, int, rate } from '../format.js';
import { glyph, icon, word } from '../icons.js';
import { CONCERNS, condition, store } from '../store.js';
import { instanceShares, shares, troubles } from './strip.js';

const MOST_ZONES = 4, MOST_INSTANCES = 100, POINTS = 60;
const zoneColumns = zones => zones.length > 1 && zones.length <= MOST_ZONES;

export function header(zones) {
  const cols = ['c-state', '', 'c-up', 'c-need'], heads = [h('th', { scope: 'col', class: 'c-state' }, h('span', { class: 'sr' }, 'State')),
    h('th', { scope: 'col' }, 'Service'), h('th', { scope: 'col', class: 'c-up' }, 'Up'),
    h('th', { scope: 'col', class: 'c-need', 'aria-sort': 'descending' }, 'Needs attention', icon('down'))];
  if (zoneColumns(zones)) {
    for (const zone of zones) {
      cols.push('c-zone');
      heads.push(h('th', { scope: 'col', class: 'c-zone num', title: `Up in ${zone}` }, brief(zone, zones)));
    }
  } else if (zones.length > 1) {
    cols.push('c-zones');
    heads.push(h('th', { scope: 'col', class: 'c-zones' }, 'Up per zone'));
  }
  for (const [name, label] of [['c-version', 'Version'], ['c-beat', 'Oldest heartbeat'], ['c-rate', 'Calls per second'], ['c-circuits', 'Circuits']]) {
    cols.push(name);
    heads.push(h('th', { scope: 'col', class: name }, label));
  }
  return [h('colgroup', {}, cols.map(name => h('col', { class: name }))), h('thead', {}, h('tr', {}, heads))];
}

/** The end of a zone's name that tells it from the others. */
function brief(zone, zones) {
  let same = 0;
  while (same < zone.length && zones.every(other => other[same] === zone[same])) same++;
  while (same > 0 && /[a-z0-9]/i.test(zone[same - 1])) same--;
  return zone.slice(same) || zone;
}

/** The age of a heartbeat as a bar against the lease. */
export class Lease {
  constructor() {
    this.fill = h('i', {});
    this.text = h('b', {});
    this.node = h('span', { class: 'lease' }, h('span', { class: 't', 'aria-hidden': 'true' }, this.fill), this.text);
  }

  paint(one) {
    if (!one || one.at === null) { say(this.text, DASH); return; }
    const age = Math.max(0, store.now() - one.at), lease = one.lease || 90;
    this.fill.style.setProperty('--w', `${Math.min(100, age / lease * 100).toFixed(1)}%`);
    mark(this.node, 'data-l', age > lease ? 'gone' : one.late ? 'late' : '');
    mark(this.node, 'title', `${duration(age)} since the last heartbeat, the lease lasts ${duration(lease)}`);
    say(this.text, duration(age));
  }
}

export class ServiceRow {
  constructor(name, zones, toggle) {
    const td = (css, ...children) => h('td', { class: css }, ...children);
    this.state = td('c-state');
    this.button = h('button', { class: 'clip', 'data-stop': true, 'aria-expanded': 'false' }, name);
    this.bar = h('div', { class: 'share thin', 'aria-hidden': 'true' });
    this.up = h('span', { class: 'num' });
    this.need = td('c-need', h('span', { class: 'counts' }));
    this.zones = zoneColumns(zones) ? zones.map(zone => [zone, td('c-zone num mid')]) : [];
    this.spread = !this.zones.length && zones.length > 1 ? td('c-zones mid') : null;
    this.version = td('c-version');
    this.lease = new Lease();
    this.canvas = h('canvas', { 'aria-hidden': 'true' });
    this.rate = h('span', { class: 'num' });
    this.circuits = td('c-circuits', h('span', { class: 'counts' }));
    this.factLine = td('c-facts');
    this.row = h('tr', { class: 'row', 'data-service': name, onclick: event => { if (!event.target.closest('a')) toggle(name); } },
      this.state, td('name', this.button), td('c-up', h('span', { class: 'upcell' }, this.bar, this.up)), this.need,
      this.zones.map(([, cell]) => cell), this.spread, this.version, td('c-beat', this.lease.node),
      td('c-rate', h('span', { class: 'ratecell' }, this.canvas, this.rate)), this.circuits, this.factLine);
    this.list = h('ul', { class: 'inst', 'aria-label': `Instances of ${name}` });
    this.rest = h('p', { class: 'inst-more', hidden: true });
    this.more = h('tr', { class: 'more' }, h('td', {}, this.list, this.rest));
    this.members = new Map();
    this.series = null;
  }

  paint(one, open) {
    const { sums } = one, key = JSON.stringify(sums);
    const worst = CONCERNS.find(name => sums[name]) || 'up';
    swap(this.state, worst, () => glyph(worst));
    swap(this.bar, key, () => shares(instanceShares(sums), sums.total));
    swap(this.up, key, () => [h('b', { class: 'strong' }, int(sums.up)), h('span', { class: 'dim' }, ` / ${int(sums.total)}`)]);
    swap(this.need.firstChild, key, () => { const list = troubles(sums); return list.length ? list : h('span', { class: 'dim' }, DASH); });
    for (const [zone, cell] of this.zones) say(cell, one.zones.has(zone) ? int(one.zones.get(zone)) : DASH);
    if (this.spread) {
      const each = [...one.zones.values()], low = Math.min(...each), high = Math.max(...each);
      say(this.spread, `${each.length} zones, ${low === high ? low : `${low}\u2013${high}`}`);
    }
    const versions = [...one.versions].sort((a, b) => b[1] - a[1]);
    swap(this.version, JSON.stringify(versions), () => {
      if (!versions.length) return h('span', { class: 'dim' }, DASH);
      const [first, n] = versions[0], title = versions.map(([name, m]) => `${name}: ${m}`).join(', ');
      const share = versions.length > 1 ? [' ', h('span', { class: 'tag', title }, `${Math.round(n / sums.total * 100)}%`)] : [];
      return [h('span', { class: 'mono' }, first), ...share];
    });
    this.lease.paint(one.oldest);
    this.#paintCircuits(one.towards);
    const calls = one.towards.length ? `${rate(this.now)}/s` : '';
    swap(this.factLine, `${versions[0]?.[0]} ${calls} ${key} ${Math.round(this.age(one))}`, () => [
      versions.length ? h('span', { class: 'mono' }, versions[0][0]) : null, calls ? h('span', {}, calls) : null,
      one.oldest ? h('span', { class: 'dim' }, `oldest ${duration(this.age(one))}`) : null, h('span', { class: 'counts' }, troubles(sums)),
    ].filter(Boolean));
    mark(this.button, 'aria-expanded', String(open));
    this.row.classList.toggle('open', open);
    if (!open) return [this.row];
    this.#paintInstances(one.instances);
    return [this.row, this.more];
  }

  age(one) { return one.oldest ? store.now() - one.oldest.at : 0; }

  #paintCircuits(towards) {
    const tally = new Map();
    for (const one of towards) tally.set(one.state, (tally.get(one.state) || 0) + 1);
    const loud = ['open', 'half-open', 'forced-open', 'forced-closed'].filter(state => tally.has(state));
    swap(this.circuits.firstChild, JSON.stringify([...tally]), () => loud.length
      ? loud.map(state => h('span', { class: 'with-g', title: `${tally.get(state)} ${word(state).toLowerCase()}` }, glyph(state, 'g-12'), String(tally.get(state))))
      : h('span', { class: 'dim' }, towards.length ? String(towards.length) : DASH));
    this.now = towards.reduce((sum, one) => sum + one.rate, 0);
    say(this.rate, towards.length ? rate(this.now) : DASH);
    this.series = towards.length ? summed(towards) : null;
  }

  #paintInstances(instances) {
    const rank = one => { const place = CONCERNS.indexOf(condition(one)); return place < 0 ? 99 : place; };
    const shown = [...instances].sort((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1)).slice(0, MOST_INSTANCES);
    const wanted = new Set(shown.map(one => one.id));
    for (const id of this.members.keys()) if (!wanted.has(id)) this.members.delete(id);
    arrange(this.list, shown.map(one => {
      if (!this.members.has(one.id)) this.members.set(one.id, new InstanceRow());
      return this.members.get(one.id).paint(one);
    }));
    this.rest.hidden = instances.length <= MOST_INSTANCES;
    say(this.rest, `and ${count(instances.length - MOST_INSTANCES, 'more instance')}; those that need attention are above`);
  }

  /** What can only be done in its place on the page. */
  draw() {
    if (this.more.isConnected) {
      // Spanning hidden columns would bring them back as empty ones.
      const columns = [...this.row.children].filter(cell => getComputedStyle(cell).display !== 'none').length;
      mark(this.more.firstChild, 'colspan', columns || 1);
    }
    if (this.series) spark(this.canvas, this.series);
  }
}

/** Calls per second of several circuits together. */
function summed(circuits) {
  const total = [];
  for (let back = 1; back <= POINTS; back++) {
    const values = circuits.map(one => one.series.rate.at(-back)).filter(v => v !== undefined && v !== null);
    if (!values.length && circuits.every(one => one.series.rate.length < back)) break;
    total.unshift(values.length ? values.reduce((a, b) => a + b, 0) : null);
  }
  return { rate: total };
}

class InstanceRow {
  constructor() {
    this.state = h('span', { class: 'with-g' });
    this.id = h('span', { class: 'mono clip x-id' });
    this.url = h('span', { class: 'mono clip mid x-url' });
    this.zone = h('span', { class: 'clip mid x-zone' });
    this.version = h('span', { class: 'mono clip mid x-version' });
    this.lease = new Lease();
    this.fold = h('button', { class: 'fold', 'aria-expanded': 'false', 'aria-label': 'Metadata', title: 'Metadata', onclick: () => this.turn() }, icon('right'));
    this.metadata = h('dl', { class: 'kv', hidden: true });
    this.node = h('li', {}, this.state, this.id, this.url, this.zone, this.version, this.lease.node, this.fold, this.metadata);
  }

  turn() {
    this.metadata.hidden = !this.metadata.hidden;
    mark(this.fold, 'aria-expanded', String(!this.metadata.hidden));
  }

  paint(one) {
    const now = condition(one);
    swap(this.state, `${now} ${one.overridden}`, () => [glyph(now, '', false), h('span', {}, word(now)),
      one.overridden ? h('span', { class: 'tag s-held', title: `Set by hand to ${one.overridden}` }, 'override') : null].filter(Boolean));
    say(this.id, one.id);
    mark(this.id, 'title', one.id);
    swap(this.url, one.url, () => link(one.url, one.url || DASH));
    say(this.zone, one.zone || DASH);
    say(this.version, one.metadata?.version || DASH);
    this.lease.paint(one);
    const pairs = Object.entries(one.metadata || {});
    this.fold.hidden = !pairs.length;
    swap(this.metadata, JSON.stringify(pairs), () => pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', { class: 'mono' }, value))));
    return this.node;
  }
}

