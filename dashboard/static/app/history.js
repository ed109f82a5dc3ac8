// Two minutes of calls from before the page was opened: a service's are the sum over the circuits towards it.

const MOST = 100;
let asked = false;

/** Asks once; `only`: for this service. */
export async function history(ctx, only = null) {
  const { store } = ctx;
  if (!store.circuits.size || asked === true && !only) return;
  if (!only) asked = true;
  try {
    const found = await ctx.data('circuits/rates?n=120');
    for (const [name, values] of Object.entries(found)) if (!only || name === only) store.fillRate(name, values);
  } catch {
    await added(ctx, only);
  }
}

/** From a registry that does not add them up: only where one request is enough. */
async function added(ctx, only) {
  const { store } = ctx;
  const rows = [...store.circuits.values()].filter(row => !only || row.to === only);
  if (!rows.length || rows.length > MOST) return;
  let found;
  try {
    found = await ctx.data(`circuits/history?k=${rows.map(row => row.k).join(',')}&n=120`);
  } catch {
    return; // The pictures then begin now.
  }
  const sums = new Map();
  for (const row of rows) {
    const given = found[row.k];
    if (!given) continue;
    const sum = sums.get(row.to) ?? sums.set(row.to, new Array(given.rate.length).fill(null)).get(row.to);
    given.rate.forEach((n, i) => { if (n !== null && i < sum.length) sum[i] = (sum[i] ?? 0) + n; });
  }
  for (const [name, values] of sums) store.fillRate(name, values);
}
