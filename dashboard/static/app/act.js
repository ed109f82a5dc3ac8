// What people do: ask the server, then wait for the stream to say what came of it.
import { signal } from '../vendor/signals-core/signals-core.js';
import { askToken } from './ui/dialog.js';
import { toast } from './ui/toast.js';

const DONE = { 'out-of-service': 'Taken out of service', back: 'Put back in service', override: 'Override set', deregister: 'Removed', circuit: 'Circuit changed' };

/** The token of this tab, if one was given. */
export const token = signal((() => { try { return sessionStorage.getItem('resilient.token') ?? ''; } catch { return ''; } })());

export function keepToken(value) {
  token.value = value;
  try { sessionStorage.setItem('resilient.token', value); } catch { /* private window */ }
}

export const headers = () => (token.value ? { Authorization: `Bearer ${token.value}` } : {});

/** Why the reader may not act now, or '' if they may. */
export function locked(store) {
  if (['lost', 'stale'].includes(store.connection.value.state)) return 'Not connected';
  return store.operator ? '' : 'Needs the operator role';
}

/** Ask for the token and try it; the next `hello` says whether it was right. */
export async function unlock(store, stream) {
  let wrong = false;
  for (;;) {
    const given = await askToken(wrong);
    if (!given) return false;
    keepToken(given);
    const heard = new Promise(resolve => {
      store.events.addEventListener('hello', () => resolve(), { once: true });
      setTimeout(resolve, 4000);
    });
    stream.again();
    await heard;
    if (store.operator) {
      toast('Actions are unlocked until this tab is closed.', { state: 'up' });
      return true;
    }
    keepToken('');
    wrong = true;
  }
}

/**
 * `kind`: out-of-service, back, override, deregister, circuit; `body`: {subjects, reason, for, …}. Resolves to the
 * `action` event, or null if it was refused. Says by a toast what came of it; `undo` is offered there.
 */
export async function act(store, base, kind, body, { done = DONE[kind] ?? 'Done', undo = null } = {}) {
  const early = new Map();
  let wanted = null, settle;
  const outcome = new Promise(resolve => { settle = resolve; });
  const listen = ({ detail }) => {
    if (detail.id === wanted) settle(detail);
    else early.set(detail.id, detail);
  };
  store.events.addEventListener('action', listen);
  try {
    const answer = await fetch(new URL(`act/${kind}`, base), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Resilient-Action': '1', ...headers() },
      body: JSON.stringify({ for: null, ...body, reason: body.reason || done.toLowerCase() }),
    });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      toast(`Not done: ${said.error?.message ?? `the registry answered ${answer.status}`}`, { state: 'down' });
      return null;
    }
    wanted = said.id;
    if (early.has(wanted)) settle(early.get(wanted));
    const slow = setTimeout(() => toast('Still applying; the registry has not confirmed it yet.', { state: 'late' }), 5000);
    const gone = setTimeout(() => settle(null), 60_000);
    const result = await outcome;
    clearTimeout(slow);
    clearTimeout(gone);
    if (!result) return null;
    const missing = result.waiting?.length ? ` Waiting for ${result.waiting.join(', ')}.` : '';
    if (result.ok === false) toast(`Not done: ${result.text ?? result.error ?? 'the registry could not do it'}`, { state: 'down' });
    else toast(`${done}.${missing}`, { state: 'up', action: undo ? { label: 'Undo', act: undo } : null });
    return result;
  } catch {
    toast('Not done: the registry can’t be reached.', { state: 'down' });
    return null;
  } finally {
    store.events.removeEventListener('action', listen);
  }
}
