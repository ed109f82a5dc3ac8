"""A pool at one moment, for showing, here or elsewhere.

A **row** says what one process's balancer thinks of one instance, in plain values that JSON knows:

- ``id``, ``url``, ``zone``: who it is, as registered
- ``status``: what the registry says, ``UP`` and so on
- ``state``: ``healthy``; ``ejected``, left alone for a while; ``probation``, one try decides; ``draining``,
  taken out by hand or not up; ``warming``, back or new and getting more from second to second
- ``until``: Unix time in seconds at which the state ends by itself; ``None`` if it does not
- ``why``: the reason in words, ``""`` for healthy
- ``score``: the latency in multiples of the usual, times the tries under way plus one: of two the one with
  less is chosen; ``None`` if never measured
- ``latency_ms``: that latency in milliseconds, ``None`` if never measured
- ``in_flight``: tries under way
- ``picks``: tries that ended with a verdict, since this process knows the instance
- ``share``: its part of the service's tries of the last 30 s, 0 to 1
- ``success``: the part of its tries of the last 30 s that went well, 0 to 1; ``None`` without tries
- ``row``: failures in a row; 0 after a try that went well
- ``weight``: as it counts at this moment, slow start included; 0 gets nothing

A **report** holds several services: ``{"services": {NAME: {...}}, "more": N}``. Each has ``instances``, its
rows, ``more`` (how many were left out), ``usable``, ``panic``, ``retries``, ``budget`` (retries that would be
granted now) and ``exhausted`` (retries denied so far). It is what a process answers for
``/admin/instances``, and what travels; so it is bounded. Those in trouble are never left out for others.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import Any

from .node import Node, NodeView, PoolView, State
from .pool import Pool
from .roster import RAMP

Row = dict[str, Any]

SERVICES, INSTANCES = 20, 50  # how many of them a report holds


def view_nodes(pool: Pool, now: float) -> list[NodeView]:
    """All listed instances of a service, in the directory's order."""
    with pool.lock:
        listed = _listed(pool)
        counts = [node.lately(now) for node in listed]
        total = sum(map(sum, counts))
        usual = _usual(pool)
        return [_view(node, now, count, total, usual) for node, count in zip(listed, counts, strict=True)]


def _listed(pool: Pool) -> list[Node]:
    nodes = {node.instance.id: node for node in pool.nodes.values() if node.gone_at is None}
    return [nodes[one.id] for one in pool.snapshot if one.id in nodes]


def _usual(pool: Pool) -> float:
    """What a try usually takes, in seconds: of the command most often measured."""
    return max(pool.means.values(), key=lambda mean: mean.count).value


def _view(node: Node, now: float, counts: tuple[int, int, int], total: int, usual: float) -> NodeView:
    tries = sum(counts)
    left = max(0.0, node.until - now) if node.state is State.EJECTED else 0.0
    state = node.state.name.lower()
    if node.state is State.EJECTED and not left:
        state = "waiting"
    reason = node.why.value if node.why is not None else ""
    if node.away:
        state, reason = "away", node.instance.status.value
    elif node.drained:
        state = "drained"
    elif node.state is State.HEALTHY and node.quiet_until > now:
        state, reason = "overloaded", "asked to be left alone"
    relative = node.load_at(now) / (1 + node.in_flight)
    return NodeView(
        id=node.instance.id,
        instance=node.instance,
        state=state,
        latency=relative * usual if node.latency >= 0.0 and usual else None,
        in_flight=node.in_flight,
        ejected_until=left,
        share=tries / total if total else 0.0,
        success=counts[0] / tries if tries else None,
        failures=node.row,
        reason=reason,
    )


def view_pool(pool: Pool, now: float) -> PoolView:
    """The sums of a service."""
    with pool.lock:
        return PoolView(
            instances=len(pool.up),
            usable=len(pool.usable),
            ejected=sum(node.state is not State.HEALTHY for node in pool.up),
            panic=pool.panic,
            panics=pool.panics,
            retries=pool.retries,
            budget_exhausted=pool.exhausted,
            budget=pool.budget.balance(now),
        )


def rows_of(pool: Pool, now: float, wall: float, most: int | None = None) -> list[Row]:
    """A row for each listed instance; ``wall`` is the Unix time of ``now``.

    In the directory's order, or, if there are more than ``most``: those in trouble, then the busiest.
    """
    with pool.lock:
        listed = _listed(pool)
        counts = {node: node.lately(now) for node in listed}
        tries = {node: sum(count) for node, count in counts.items()}
        total, usual = sum(tries.values()), _usual(pool)
        ramping = {node for node in pool.usable if _ramps(node, now)}
        if 2 * len(ramping) > len(pool.usable):
            ramping = set()  # as for the weights: all new together are simply there
        if most is not None and len(listed) > most:
            listed = nsmallest(
                most, listed, key=lambda node: (_well(node, now) and node not in ramping, -tries[node])
            )
        return [
            {
                **_row(node, now, wall, tries[node] / total if total else 0.0, usual, node in ramping),
                "success": round(counts[node][0] / tries[node], 4) if tries[node] else None,
                "row": node.row,
            }
            for node in listed
        ]


def _well(node: Node, now: float) -> bool:
    return not (node.state or node.drained or node.away or node.quiet_until > now)


def _ramps(node: Node, now: float) -> bool:
    return node.ramp_from is not None and now - node.ramp_from < RAMP


def _row(node: Node, now: float, wall: float, share: float, usual: float, ramps: bool) -> Row:
    state, until, why = _state(node, now, ramps)
    heard = node.latency >= 0.0
    score = node.load_at(now)
    return {
        "id": node.instance.id,
        "url": node.url,
        "zone": node.instance.zone,
        "status": node.instance.status.value,
        "state": state,
        "until": round(wall + until - now, 3) if until is not None else None,
        "why": why,
        "score": round(score, 3) if heard else None,
        "latency_ms": round(1000.0 * usual * score / (1 + node.in_flight), 3) if heard and usual else None,
        "in_flight": node.in_flight,
        "picks": node.answers + node.failures + node.others,
        "share": round(share, 4),
        "weight": round(node.weight, 3),
    }


def _state(node: Node, now: float, ramps: bool) -> tuple[str, float | None, str]:
    """The state, when it ends by itself, and why."""
    why = node.why.value if node.why is not None else ""
    if node.away:
        return "draining", None, f"the registry says {node.instance.status.value}"
    if node.drained:
        return "draining", None, "by hand"
    if node.state is State.EJECTED and node.until > now:
        return "ejected", node.until, why
    if node.state is not State.HEALTHY:
        return "probation", None, why
    if node.quiet_until > now:
        return "ejected", node.quiet_until, "asked to be left alone"
    if ramps and node.ramp_from is not None:
        return "warming", node.ramp_from + RAMP, "was ejected" if node.back_at == node.ramp_from else "new"
    return "healthy", None, ""


def report_of(pools: list[Pool], now: float, wall: float, services: int, instances: int) -> Row:
    """A report of at most so many services, with at most so many rows each."""
    more = max(0, len(pools) - services)
    if more:
        pools = nsmallest(services, pools, key=lambda pool: (not _troubled(pool, now), -_busy(pool)))
    shown: Row = {}
    for pool in sorted(pools, key=lambda pool: pool.service):
        totals = view_pool(pool, now)
        shown[pool.service] = {
            "instances": rows_of(pool, now, wall, instances),
            "more": max(0, len(pool.snapshot) - instances),
            "usable": totals.usable,
            "panic": totals.panic,
            "retries": totals.retries,
            "budget": totals.budget,
            "exhausted": totals.budget_exhausted,
        }
    return {"services": shown, "more": more}


def _troubled(pool: Pool, now: float) -> bool:
    with pool.lock:
        return not all(_well(node, now) for node in pool.up)


def _busy(pool: Pool) -> int:
    return sum(node.answers + node.failures + node.others for node in list(pool.nodes.values()))
