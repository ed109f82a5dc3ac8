// Reading an OpenAPI description: references, types in short, an example of a schema.

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const DEEP = 6;

/** What a reference stands for; anything else is itself. */
export function resolve(spec, thing, depth = 0) {
  if (!thing?.$ref || depth > DEEP) return thing;
  const found = thing.$ref.replace(/^#\//, '').split('/').reduce((at, part) => at?.[part.replaceAll('~1', '/').replaceAll('~0', '~')], spec);
  return resolve(spec, found, depth + 1);
}

/** A type in a word or two: "text", "list of Instance". */
export function typeOf(spec, schema) {
  if (!schema) return '';
  if (schema.$ref) return schema.$ref.split('/').at(-1);
  if (schema.enum) return schema.enum.map(one => JSON.stringify(one)).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const many = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (many) return [...new Set(many.map(one => typeOf(spec, one)))].join(schema.allOf ? ' and ' : ' or ');
  const types = [schema.type ?? 'any'].flat();
  return types.map(type => (type === 'array' ? `list of ${typeOf(spec, schema.items) || 'anything'}` : type === 'string' ? schema.format ?? 'text' : type)).join(' or ');
}

/** Something that fits a schema, from its examples and defaults where it has some. */
export function example(spec, schema, depth = 0) {
  const one = resolve(spec, schema);
  if (!one || depth > DEEP) return null;
  if (one.example !== undefined) return one.example;
  if (one.examples?.length) return one.examples[0];
  if (one.default !== undefined) return one.default;
  if (one.const !== undefined) return one.const;
  if (one.enum) return one.enum[0];
  if (one.allOf) return Object.assign({}, ...one.allOf.map(part => example(spec, part, depth + 1)));
  const many = one.anyOf ?? one.oneOf;
  if (many) return example(spec, many.find(part => part.type !== 'null') ?? many[0], depth + 1);
  switch ([one.type ?? (one.properties ? 'object' : 'any')].flat().find(type => type !== 'null')) {
    case 'object': return Object.fromEntries(Object.entries(one.properties ?? {}).map(([name, part]) => [name, example(spec, part, depth + 1)]));
    case 'array': return one.items ? [example(spec, one.items, depth + 1)] : [];
    case 'integer': return one.minimum ?? 1;
    case 'number': return one.minimum ?? 1.5;
    case 'boolean': return true;
    case 'string': return one.format === 'date-time' ? '2026-01-01T00:00:00Z' : 'text';
    default: return null;
  }
}

/** [group, operations], in the order of the description. */
export function operations(spec) {
  const groups = new Map();
  for (const [path, item] of Object.entries(spec.paths ?? {})) {
    for (const method of METHODS) {
      const op = item[method];
      if (!op) continue;
      const group = op.tags?.[0] ?? (path.split('/').filter(part => part && !part.startsWith('{') && !/^(resilient|v\d+)$/.test(part))[0] ?? 'root').replace(/^./, first => first.toUpperCase());
      const parameters = [...(item.parameters ?? []), ...(op.parameters ?? [])].map(one => resolve(spec, one));
      const responses = Object.entries(op.responses ?? {}).map(([status, one]) => [status, resolve(spec, one)]);
      const entry = { id: `${method}-${path.replace(/[^a-z0-9]+/gi, '-').replace(/^-|-$/g, '')}`, path, method, summary: op.summary ?? '', description: op.description ?? '', parameters, responses, body: resolve(spec, op.requestBody) };
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(entry);
    }
  }
  return [...groups];
}
