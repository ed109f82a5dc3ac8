// Bundles the modules of the web UI and packs all that is in <out>: node bundle_ui.mjs <static> <out>, where
// node_modules has rolldown and zopfli (gzip that takes its time, for some percent less).
//
// One file for each page, and one (kit.js) for what the first picture of every page or more than one page
// needs. Says on its standard output which files each page needs before it shows anything.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const installed = createRequire(`${process.cwd()}/`);
const [root, out] = process.argv.slice(2).map(one => resolve(one));
const { rolldown } = await import(pathToFileURL(installed.resolve('rolldown')));
const { gzipAsync } = installed('@gfx/zopfli');

const AT_ONCE = /(?:^|;)import\b[^'"(;]*['"](\.[^'"]+)['"]/gm, LATER = /\bimport\(['"](\.[^'"]+)['"]\)/g;
const named = (id, pattern) => [...readFileSync(id, 'utf8').matchAll(pattern)].map(found => resolve(dirname(id), found[1]));

/** A module and all that it imports at once. */
function reach(id, seen = new Set()) {
  if (seen.has(id)) return seen;
  seen.add(id);
  for (const one of named(id, AT_ONCE)) reach(one, seen);
  return seen;
}

const main = resolve(root, 'app/main.js');
const first = reach(main), pages = named(main, LATER).map(id => reach(id));
// Not main.js itself: it waits for the first page, and a page that waited for it would wait for ever.
const shared = id => id !== main && (first.has(id) || pages.filter(one => one.has(id)).length > 1);

const bundle = await rolldown({ input: main, preserveEntrySignatures: false, onLog(level, log) { if (level === 'warn') throw new Error(log.message); } });
const { output } = await bundle.write({
  dir: out,
  format: 'es',
  minify: true,
  comments: { annotation: false, jsdoc: false, legal: false },
  entryFileNames: 'app/[name].js',
  chunkFileNames: 'app/[name].js',
  codeSplitting: { includeDependenciesRecursively: false, groups: [{ name: 'kit', test: shared }] },
});

const imports = new Map(output.map(one => [one.fileName, one.imports ?? []]));
function needs(file, seen = new Set()) {
  if (!seen.has(file)) {
    seen.add(file);
    for (const one of imports.get(file)) needs(one, seen);
  }
  return seen;
}
const start = needs('app/main.js');
const drawn = output.filter(one => one.isDynamicEntry && dirname(one.facadeModuleId) === resolve(root, 'app/pages'));
const views = Object.fromEntries(drawn.map(one => [basename(one.facadeModuleId, '.js'), [...new Set([...start, ...needs(one.fileName)])].sort()]));

for (const name of readdirSync(out, { recursive: true }).filter(one => /\.(js|css|svg|txt)$/.test(one))) {
  writeFileSync(join(out, `${name}.gz`), await gzipAsync(readFileSync(join(out, name)), { numiterations: 15 }));
}
process.stdout.write(JSON.stringify({ '': [...start].sort(), ...views }));
