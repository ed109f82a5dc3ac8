"""A pool at one moment, for showing."""

from __future__ import annotations

from .node import Node, NodeView, PoolView, State
from .pool import Pool


def view_nodes(pool: Pool, now: float) -> list[NodeView]:
    """All listed instances of a service, in the directory's order."""
    with pool.lock:
        nodes = {node.instance.id: node for node in pool.nodes.values() if node.gone_at is None}
        listed = [nodes[one.id] for one in pool.snapshot if one.id in nodes]
        counts = [node.lately(now) for node in listed]
        total = sum(map(sum, counts))
        usual = max(pool.means.values(), key=lambda mean: mean.count).value
        return [_view(node, now, count, total, usual) for node, count in zip(listed, counts, strict=True)]


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
