// The filter line: words match anywhere, `key:value` a field, `key>5` a number, a leading - negates.

const TERM = /(-?)(?:([\w.]+)(:|>=|<=|>|<))?("[^"]*"?|\S+)/g;

/** A list of terms; all of them have to match. */
export function parse(text) {
  const terms = [];
  for (const [, minus, key, sign, raw] of text.matchAll(TERM)) {
    const value = raw.replaceAll('"', '').toLowerCase();
    if (value) terms.push({ not: minus === '-', key: key?.toLowerCase(), sign, value });
  }
  return terms;
}

/**
 * Whether a thing passes. `words` are its texts, `fields` its texts by key, `numbers` its numbers by key.
 * A key nobody knows is taken as a plain word, never as an error.
 */
export function passes(terms, words, fields, numbers = {}) {
  return terms.every(({ not, key, sign, value }) => {
    let found;
    if (key && sign !== ':' && key in numbers && !Number.isNaN(Number(value))) {
      const n = numbers[key], m = Number(value);
      found = n !== null && (sign === '>' ? n > m : sign === '<' ? n < m : sign === '>=' ? n >= m : n <= m);
    } else if (key && sign === ':' && key in fields) {
      found = fields[key].some(text => String(text).toLowerCase().includes(value));
    } else {
      const whole = key ? `${key}${sign}${value}` : value;
      found = words.some(text => String(text).toLowerCase().includes(whole));
    }
    return found !== not;
  });
}
