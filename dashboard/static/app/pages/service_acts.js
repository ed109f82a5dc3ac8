// What an operator can do to instances: each says what it will do, in numbers, before it is done.
import { consequence, emptied } from './service_rules.js';
import * as fmt from '../fmt.js';

const names = rows => (rows.length <= 3 ? rows.map(row => row.id).join(', ') : `${rows.slice(0, 2).map(row => row.id).join(', ')} and ${rows.length - 2} more`);
const these = rows => (rows.length === 1 ? rows[0].id : fmt.count(rows.length, 'instance'));

/** `state()` gives {name, rows, renewS}. */
export function acts(ctx, state) {
  const subjects = rows => rows.map(row => `${state().name}/${row.id}`);

  function facts(rows) {
    const left = consequence(state().rows, new Set(rows.map(row => row.id)));
    return [left, [
      [rows.length === 1 ? 'Instance' : 'Instances', names(rows), true],
      ['Left in service', `${fmt.int(left.left)} of ${fmt.int(left.total)}`],
      ['Load on the rest', left.more === null ? 'nothing is left to take it' : left.taken ? `about +${left.more}%` : 'unchanged'],
      ...(left.fewest ? [['Fewest in a zone', `${left.fewest[0] || 'no zone'}, ${left.fewest[1]}`]] : []),
    ]];
  }

  async function out(rows, status = 'OUT_OF_SERVICE') {
    const { name, renewS } = state();
    const [left, list] = facts(rows);
    const whole = emptied(state().rows, new Set(rows.map(row => row.id)));
    const wide = left.last || whole.length > 0 && rows.length > 1;
    const warn = left.last ? 'This takes the last instance out: callers will find nobody.' : whole.length && rows.length > 1 ? `Nothing is left in ${fmt.list(whole)}.` : null;
    const answer = await ctx.confirm({
      title: `Take ${these(rows)} out of service?`,
      text: [`Callers stop choosing ${rows.length === 1 ? 'it' : 'them'} for new calls, within ${renewS} s at the latest. Calls already running finish. ${rows.length === 1 ? 'The instance keeps' : 'The instances keep'} running and renewing.`, ...(warn ? [warn] : [])],
      facts: list, reason: true, ends: true, endsLabel: 'Put back by itself', verb: 'Take out of service', who: 'Written down as operator', typed: wide ? name : null, danger: wide,
    });
    if (!answer) return null;
    return ctx.act('out-of-service', { subjects: subjects(rows), status, ...answer }, {
      done: `${these(rows)} taken out of service`,
      undo: () => ctx.act('back', { subjects: subjects(rows), reason: 'undone' }, { done: `${these(rows)} put back` }),
    });
  }

  async function back(rows) {
    if (rows.length > 1) {
      const answer = await ctx.confirm({
        title: `Put ${these(rows)} back in service?`, text: 'The overrides are removed. Each instance then has the status it reports itself.',
        facts: [['Instances', names(rows), true], ['That report up', fmt.int(rows.filter(row => row.own === 'UP').length)]], verb: 'Put back',
      });
      if (!answer) return null;
    }
    return ctx.act('back', { subjects: subjects(rows), reason: 'put back in service' }, { done: `${these(rows)} put back in service` });
  }

  async function override(rows) {
    const answer = await ctx.confirm({
      title: `Set another status for ${these(rows)}?`, text: 'Callers see this status instead of the one the instance reports, until it is removed or ends.',
      facts: facts(rows)[1].slice(0, 1), choices: { label: 'Status', value: 'DOWN', options: [['DOWN', 'Down'], ['OUT_OF_SERVICE', 'Out of service'], ['STARTING', 'Starting'], ['UP', 'Up, whatever it reports']] },
      reason: true, ends: true, verb: 'Set status', who: 'Written down as operator',
    });
    return answer && ctx.act('override', { subjects: subjects(rows), reason: answer.reason, for: answer.for, status: answer.choice }, {
      done: `Status of ${these(rows)} set`, undo: () => ctx.act('back', { subjects: subjects(rows), reason: 'undone' }, { done: 'Override removed' }),
    });
  }

  async function deregister(rows) {
    const alive = rows.filter(row => row.kind === 'up' || row.kind === 'starting').length;
    const [left, list] = facts(rows);
    const answer = await ctx.confirm({
      title: `Deregister ${these(rows)}?`,
      text: alive ? `${rows.length === 1 ? 'It is' : `${alive} of them are`} alive and will register again within one renewal (${state().renewS} s). To keep callers away, take ${rows.length === 1 ? 'it' : 'them'} out of service instead.` : 'Entries of instances that are gone are removed now, not only when their leases run out. This can’t be undone here.',
      facts: list, reason: true, verb: 'Deregister', danger: true, typed: left.last ? state().name : null, who: 'Written down as operator',
    });
    return answer && ctx.act('deregister', { subjects: subjects(rows), reason: answer.reason }, { done: `${these(rows)} deregistered` });
  }

  return { out, back, override, deregister };
}
