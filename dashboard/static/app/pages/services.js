// What is registered, and what needs somebody.
import { arrange, h, say, swap } from '../dom.js';
import { count, int } from '../format.js';
import { passes, parse } from '../filter.js';
import { icon } from '../icons.js';
import { Order } from '../order.js';
import { census, store } from '../store.js';
import { empty, nothing, skeleton } from './empty.js';
import { ServiceRow, header } from './service_row.js';
import { Strip } from './strip.js';

/** Everything the page knows of one service, worked out once per paint. */
function digest(name, members, circuits) {
  const instances = [...members.values()], sums = census(instances);
  const zones = new Map(), versions = new Map();
  let oldest = null;
  for (const one of instances) {
    const zone = one.zone || 'default', version = one.metadata?.version;
    zones.set(zone, (zones.get(zone) || 0) + (one.status === 'UP' && !one.late ? 1 : 0));
    if (version) versions.set(version, (versions.get(version) || 0) + 1);
    if (one.at !== null && (oldest === null || one.at < oldest.at)) oldest = one;
  }
  const towards = circuits.get(name) || [];
  return { name, instances, sums, zones, versions, oldest, towards };
}

/** Down share, then late, then open circuits, then out of service, then starting, then name. */
function concern(a, b) {
  const of = one => [one.sums.down / one.sums.total, one.sums.late, one.towards.filter(c => c.state === 'open').length,
    one.sums.out, one.sums.starting + one.sums.unknown];
  const x = of(a), y = of(b);
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return y[i] - x[i];
  return a.name < b.name ? -1 : 1;
}

const TABS = [
  ['', 'All', () => true],
  ['attention', 'Needs attention', one => one.sums.up < one.sums.total || one.towards.some(c => c.state === 'open')],
  ['down', 'Down', one => one.sums.down > 0],
  ['late', 'Late', one => one.sums.late > 0],
  ['out', 'Out of service', one => one.sums.out > 0],
];

function matches(terms, one) {
  const instances = one.instances;
  const fields = { name: [one.name], zone: [...one.zones.keys()], version: [...one.versions.keys()], v: [...one.versions.keys()],
    status: instances.flatMap(i => [i.status, i.late ? 'late' : '']) };
  for (const { key } of terms) {
    if (key?.startsWith('meta.')) fields[key] = instances.flatMap(i => Object.entries(i.metadata || {}).filter(([k]) => k.toLowerCase() === key.slice(5)).map(([, v]) => v));
  }
  const words = [one.name, ...instances.flatMap(i => [i.id, i.url])];
  return passes(terms, words, fields, { up: one.sums.up, total: one.sums.total, down: one.sums.down, late: one.sums.late });
}

export function services(app) {
  const strip = new Strip();
  const input = h('input', { id: 'filter', type: 'text', placeholder: 'Filter: name, zone:eu-1', autocomplete: 'off', spellcheck: 'false', value: app.query('q') });
  const tabs = TABS.map(([id, label]) => h('button', { 'aria-pressed': 'false', onclick: () => { show = id; app.setQuery('show', id); app.paint(); } }, label, ' ', h('span', { class: 'n' })));
  const shown = h('span', { class: 'dim wide-only' });
  const body = h('tbody', {});
  const table = h('table', { class: 'tbl svc' });
  const scroll = h('div', {}, table);
  const list = h('section', { class: 'panel', 'aria-label': 'Service list' },
    h('div', { class: 'bar' },
      h('label', { class: 'field' }, icon('search'), h('span', { class: 'sr' }, 'Filter services'), input, h('kbd', { 'aria-hidden': 'true' }, '/')),
      h('div', { class: 'seg', role: 'group', 'aria-label': 'Show' }, tabs),
      h('span', { class: 'grow wide-only' }), shown,
      h('button', { class: 'btn quiet icon wide-only', 'aria-label': 'Dense rows', title: 'Density (d)', onclick: () => app.density() }, icon('rows'))),
    scroll);
  const box = h('div', { class: 'stack' }, skeleton());
  const order = new Order(body), rows = new Map(), open = new Set(app.query('open') ? [app.query('open')] : []);
  let show = app.query('show'), zones = [], columns = '';
  input.addEventListener('input', () => { app.setQuery('q', input.value.trim()); app.paint(); });

  const toggle = name => {
    if (!open.delete(name)) open.add(name);
    app.setQuery('open', [...open].at(-1) || '');
    app.paint();
  };

  return {
    title: 'Services', nodes: [box],
    sub() {
      const total = [...store.instances.values()].reduce((sum, members) => sum + members.size, 0);
      if (!total) return 'no services yet';
      const parts = [count(store.instances.size, 'service'), count(total, 'instance')];
      if (zones.length > 1) parts.push(count(zones.length, 'zone'));
      return parts.join(', ');
    },
    paint() {
      if (!store.ready) return;
      if (!store.instances.size) { rows.clear(); swap(box, 'empty', () => empty()); return; }
      const towards = new Map();
      for (const circuit of store.circuits.values()) {
        if (!circuit.target) continue;
        if (!towards.has(circuit.target)) towards.set(circuit.target, []);
        towards.get(circuit.target).push(circuit);
      }
      const all = [...store.instances].map(([name, members]) => digest(name, members, towards));
      zones = [...new Set(all.flatMap(one => [...one.zones.keys()]))].sort();
      swap(box, 'list', () => [strip.node, list]);
      strip.paint(all);
      TABS.forEach(([id, , pass], i) => {
        say(tabs[i].lastChild, int(all.filter(pass).length));
        tabs[i].setAttribute('aria-pressed', String(id === show));
      });
      const terms = parse(input.value), tab = TABS.find(([id]) => id === show) || TABS[0];
      const hits = all.filter(one => tab[2](one) && matches(terms, one));
      say(shown, `${int(hits.length)} of ${int(all.length)}`);
      const kind = JSON.stringify(zones);
      if (kind !== columns) {
        // The zones are columns, so a new zone is a new table.
        columns = kind;
        rows.clear();
        table.replaceChildren(...header(zones), body);
        body.replaceChildren();
      }
      swap(scroll, hits.length ? 'table' : `none ${input.value} ${show}`, () => hits.length ? table
        : nothing('No service matches', input.value, () => { input.value = ''; show = ''; app.setQuery('q', ''); app.setQuery('show', ''); app.paint(); }));
      const wanted = new Set(hits.map(one => one.name));
      for (const name of rows.keys()) if (!wanted.has(name)) rows.delete(name);
      const nodes = order.of(hits, one => one.name, concern, `${show} ${input.value}`).flatMap(one => {
        if (!rows.has(one.name)) rows.set(one.name, new ServiceRow(one.name, zones, toggle));
        return rows.get(one.name).paint(one, open.has(one.name));
      });
      arrange(body, nodes);
      for (const row of rows.values()) row.draw();
    },
  };
}

