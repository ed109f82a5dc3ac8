// What stands in the URL, and the line people filter with.
//
// Words match anywhere; `key:value` matches a field, a metadata key or `meta.key`; `rate>10` compares; a leading
// `-` negates; quotes keep spaces. All terms have to match. A term that makes no sense is ignored and reported.

const TERM = /(-?)(?:([A-Za-z][\w.-]*)(:|>=|<=|>|<|=))?("[^"]*"?|\S*)/g;
const SIGNS = {
  '>': (a, b) => a > b,
  '<': (a, b) => a < b,
  '>=': (a, b) => a >= b,
  '<=': (a, b) => a <= b,
  '=': (a, b) => a === b,
};

/** The terms of a filter line. `bad` are those to ignore; every term knows where it stands (`at`, `to`). */
export function parse(text, { fields = null, numbers = null } = {}) {
  const terms = [], bad = [];
  for (const found of String(text ?? '').matchAll(TERM)) {
    const [whole, minus, key, sign, raw] = found;
    if (!whole.trim()) continue;
    const value = raw.replaceAll('"', '').toLowerCase();
    const term = { not: minus === '-', key: key?.toLowerCase(), sign, value, at: found.index, to: found.index + whole.length };
    const comparing = sign && sign !== ':';
    // "key=value" is taken as "key:value" where the value is no number: people write both.
    if (sign === '=' && (Number.isNaN(Number(value)) || !numbers?.includes(term.key))) term.sign = ':';
    else if (comparing && (value === '' || Number.isNaN(Number(value)) || (numbers && !numbers.includes(term.key)))) {
      bad.push(term);
      continue;
    }
    if (value === '') {
      if (key || minus) bad.push(term);
      continue;
    }
    // "10.0.0.1:8080" is an address, not a field; a field nobody has might still be a metadata key.
    if (term.sign === ':' && fields && !fields.includes(term.key) && !term.key.startsWith('meta.')) term.loose = true;
    terms.push(term);
  }
  return { terms, bad };
}

const has = (text, value) => String(text ?? '').toLowerCase().includes(value);

/**
 * Whether a thing passes. It gives `words` (an array of texts), `fields` (texts or arrays of texts by name),
 * `meta` (metadata by key) and `numbers` (by name); each is optional.
 */
export function passes(terms, { words = [], fields = {}, meta = {}, numbers = {} }) {
  return terms.every(({ not, key, sign, value }) => {
    let hit;
    if (key && sign !== ':') {
      const n = numbers[key];
      hit = n !== null && n !== undefined && SIGNS[sign](n, Number(value));
    } else if (key && key in fields) {
      hit = [fields[key]].flat().some(text => has(text, value));
    } else if (key) {
      const wanted = key.startsWith('meta.') ? key.slice(5) : key;
      hit = Object.entries(meta).some(([name, text]) => name.toLowerCase() === wanted && has(text, value))
        || words.some(text => has(text, `${key}:${value}`));
    } else {
      hit = words.some(text => has(text, value)) || Object.values(meta).some(text => has(text, value));
    }
    return hit !== not;
  });
}

/** The same filter line with one field set, or taken out where `value` is empty. */
export function withField(text, key, value) {
  const kept = parse(text).terms.filter(term => term.key !== key).map(term => text.slice(term.at, term.to));
  if (value) kept.push(`${key}:${/\s/.test(value) ? `"${value}"` : value}`);
  return kept.join(' ');
}

/** What the filter line asks of one field, or ''. */
export const fieldOf = (text, key) => parse(text).terms.find(term => term.key === key && !term.not)?.value ?? '';

/** A query with some keys changed; empty ones are left out. */
export function changed(query, values) {
  const next = new URLSearchParams(query);
  for (const [key, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === '' || value === false) next.delete(key);
    else next.set(key, value);
  }
  return next;
}

/** Which page a path below the mount is: its module and what it is about. */
export function route(path) {
  const parts = path.replace(/\/+$/, '').split('/').filter(Boolean).map(part => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  const [first, ...rest] = parts;
  if (!first) return { page: 'services', params: {} };
  if (first === 'services' && rest.length) return { page: 'service', params: { name: rest.join('/') } };
  if (first === 'circuits' && rest.length) return { page: 'circuit', params: { id: rest.join('/') } };
  if (['services', 'nodes', 'changes', 'circuits', 'topology', 'api'].includes(first) && !rest.length) return { page: first, params: {} };
  return { page: 'nowhere', params: { path } };
}

/** The path of a circuit's page, below the mount. Caller and target stay readable. */
export const circuitPath = id => `circuits/${id.split('/').map(encodeURIComponent).join('/')}`.replaceAll('%3A', ':');
export const servicePath = name => `services/${encodeURIComponent(name)}`;
