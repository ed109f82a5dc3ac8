// What can be done to a circuit by hand: said first what it does, then done, then told when it is true.
import * as fmt from '../fmt.js';
import { title } from './circuits_words.js';

/** Action on the wire, words on the button, words when it is done. */
export const ACTIONS = {
  open: ['Force open', 'Forced open'],
  close: ['Force closed', 'Forced closed'],
  auto: ['Let it decide', 'It decides by itself again'],
  reset: ['Reset', 'Reset'],
};

/** What it means, and the numbers of now. `host` is one calling process, or null for all. */
export function consequence(action, row, host) {
  const hosts = row.hosts || 1, all = host ? `Only ${host.process}` : hosts === 1 ? `The only ${row.from} host` : `All ${fmt.int(hosts)} ${row.from} hosts`;
  const one = host || hosts === 1, calls = host ? host.rate : row.rate, name = title(row);
  const facts = [['Calls affected', `about ${fmt.rate(calls)} per second`], ['In flight now', `${fmt.int(host ? host.inFlight : row.inflight)}, they are not stopped`]];
  switch (action) {
    case 'open':
      return [`${all} ${one ? 'refuses' : 'refuse'} every ${name} call at once and ${one ? 'uses' : 'use'} the fallback, if there is one. It stays so until somebody lets it decide again or the time below runs out.`, facts];
    case 'close':
      return [`${all} ${one ? 'lets' : 'let'} every ${name} call through, whatever fails. Callers wait for their timeouts while the target is ill.`, facts];
    case 'auto':
      return [`${all} ${one ? 'opens and closes' : 'open and close'} it by the numbers again.`, []];
    default:
      return [`${all} ${one ? 'forgets' : 'forget'} what was counted and ${one ? 'begins' : 'begin'} closed.`, []];
  }
}

/** Ask, then do. `host` limits it to one calling process; `begun` is told when the server is asked. */
export async function perform(ctx, row, action, host = null, begun = () => {}) {
  const locked = ctx.locked();
  if (locked) {
    if (locked.startsWith('Needs') && !await ctx.unlock()) return null;
    if (ctx.locked()) return null;
  }
  const [verb, done] = ACTIONS[action], [text, facts] = consequence(action, row, host);
  let given = { reason: '', for: null };
  if (action !== 'reset') {
    const timed = action === 'open' || action === 'close';
    given = await ctx.confirm({
      title: timed ? `${verb} this circuit${host ? ` on ${host.process}` : ''}?` : 'Let this circuit decide by itself?',
      text, facts, verb, reason: true, ends: timed, danger: action === 'open', typed: action === 'open' ? confirmation(row) : null, who: 'Recorded as operator',
    });
    if (!given) return null;
  }
  const body = { subjects: [row.id], action, reason: given.reason };
  if (given.for) body.for = given.for;
  if (host) Object.assign(body, { host: host.instance ?? host.process, worker: host.worker || undefined });
  const undo = action === 'open' || action === 'close' ? () => ctx.act('circuit', { subjects: [row.id], action: 'auto', reason: `undo: ${given.reason}`, ...(host ? { host: body.host, worker: body.worker } : {}) }, { done: ACTIONS.auto[1] }) : null;
  begun();
  return ctx.act('circuit', body, { done, undo });
}

/** What has to be typed: the command, or the target if there is none. */
export function confirmation(row) {
  const words = title(row).split(' ');
  return words.at(-1);
}
