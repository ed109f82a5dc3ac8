"""What a process's balancer knows of the services it calls, as rows; and, if wanted, of each copy."""

from __future__ import annotations

from collections.abc import Iterator

from ...balancing.balancer import Balancer
from ...balancing.dialect import TROUBLES
from ...balancing.node import Node, State, Why
from ...balancing.pool import Pool
from .rows import Family, Fold, Group, Number, Row

#: So many services have series of their own, and so many copies, if copies have series at all.
MOST_SERVICES = 500
MOST_PEERS = 200
_SERVICE = ("service",)
_PEER = ("service", "peer")
STATES = ("healthy", "overloaded", "ejected", "waiting", "probing", "drained", "away")
_RESULTS = ("success", "failure", "other")
REASONS = {
    Why.REFUSED.value: "refused",
    Why.CONNECT.value: "connect",
    Why.ROW.value: "consecutive",
    Why.SILENT.value: "silent",
    Why.SHARE.value: "ratio",
    Why.MANUAL.value: "manual",
}

TRIES = Family(
    "resilient_tries",
    "counter",
    "Tries that ended, by result; other: they say nothing, or the copy was busy.",
    _SERVICE,
    "result",
    _RESULTS,
)
TROUBLE = Family(
    "resilient_try_troubles",
    "counter",
    "Tries that were no success, by why; body: the answer broke off after it had begun as a success.",
    _SERVICE,
    "reason",
    TROUBLES,
)
DURATION = Family(
    "resilient_try_duration_seconds",
    "summary",
    "How long tries took, from choosing the copy to the head of its answer.",
    _SERVICE,
)
PICKS = Family(
    "resilient_balancer_picks",
    "counter",
    "Tries by the zone of the copy that was chosen; none: this process has no zone.",
    _SERVICE,
    "zone",
    ("local", "remote", "none"),
)
IN_FLIGHT = Family("resilient_tries_in_flight", "gauge", "Tries under way.", _SERVICE)
RETRIES = Family("resilient_retries", "counter", "Tries beyond the first one of their call.", _SERVICE)
BALANCE = Family(
    "resilient_retry_budget_balance", "gauge", "Retries that would be granted at this moment.", _SERVICE
)
EXHAUSTED = Family(
    "resilient_retry_budget_exhausted", "counter", "Retries denied, for the budget was used up.", _SERVICE
)
INSTANCES = Family(
    "resilient_balancer_instances",
    "gauge",
    "Copies by how the balancer thinks of them; away: listed, but not up.",
    _SERVICE,
    "state",
    STATES,
)
PANIC = Family(
    "resilient_balancer_panic", "gauge", "1 while too few copies are well, so health is ignored.", _SERVICE
)
PANICS = Family("resilient_balancer_panics", "counter", "How often panic began.", _SERVICE)
EJECTIONS = Family(
    "resilient_balancer_ejections",
    "counter",
    "Copies that were left alone for a while, by why.",
    _SERVICE,
    "reason",
    tuple(REASONS.values()),
)
RETURNS = Family(
    "resilient_balancer_restorations", "counter", "Ejected copies that are chosen again.", _SERVICE
)
NOBODY = Family(
    "resilient_balancer_no_instance",
    "counter",
    "Picks that found nobody to call; service is empty for names that nobody has.",
    _SERVICE,
)
PEER_TRIES = Family(
    "resilient_peer_tries", "counter", "Tries of one copy that ended, by result.", _PEER, "result", _RESULTS
)
PEER_IN_FLIGHT = Family("resilient_peer_in_flight", "gauge", "Tries of one copy under way.", _PEER)
PEER_LATENCY = Family(
    "resilient_peer_latency_ratio", "gauge", "Its latency in multiples of the usual one.", _PEER
)
PEER_SUCCESS = Family("resilient_peer_success_ratio", "gauge", "Share of good tries, of 30 seconds.", _PEER)
PEER_WEIGHT = Family("resilient_peer_effective_weight", "gauge", "Its weight, slow start included.", _PEER)
PEER_EJECTED = Family("resilient_peer_ejected", "gauge", "1 while it is left alone.", _PEER)
_SERVICES = Group(
    TRIES, TROUBLE, DURATION, PICKS, IN_FLIGHT, RETRIES, BALANCE, EXHAUSTED, INSTANCES, PANICS, EJECTIONS,
    RETURNS, NOBODY, PANIC,
)  # fmt: skip
_REST = Group(*_SERVICES.families[:-1])  # a panic cannot be added up
_NOBODY = Group(NOBODY)
_PEERS = Group(PEER_TRIES, PEER_IN_FLIGHT, PEER_WEIGHT, PEER_EJECTED)
_HEARD = Group(*_PEERS.families, PEER_LATENCY)
_TRIED = Group(*_HEARD.families, PEER_SUCCESS)
FAMILIES = _SERVICES.families


def rows(balancer: Balancer, services: Fold, now: float) -> Iterator[Row]:
    """The services that were called; ``now`` is monotonic."""
    rest: tuple[tuple[Number, ...], ...] | None = None
    for pool in balancer.pools:
        name = services(pool.service)
        numbers = _pool(balancer, pool, now)
        if name != Fold.OTHER:
            yield Row(_SERVICES, (name,), numbers)
        elif rest is None:
            rest = numbers[:-1]
        else:
            rest = tuple(
                tuple(n + m for n, m in zip(a, b, strict=True))
                for a, b in zip(rest, numbers[:-1], strict=True)
            )
    if rest is not None:
        yield Row(_REST, (Fold.OTHER,), rest)
    yield Row(_NOBODY, ("",), ((balancer.nobody.get("", 0),),))


def _pool(balancer: Balancer, pool: Pool, now: float) -> tuple[tuple[Number, ...], ...]:
    service = pool.service
    # Without the pool's lock: each number is read at once, and a pick must not wait for a scrape.
    nodes = list(pool.nodes.values())
    near = pool.left[True].plus([node for node in nodes if node.near])
    far = pool.left[False].plus([node for node in nodes if not node.near])
    busy = 0
    states = dict.fromkeys(STATES, 0)
    for node in nodes:
        busy += node.in_flight
        if node.gone_at is None:
            states[_state(node, now)] += 1
    ejections = balancer.ejections
    local, remote = near.tries, far.tries
    return (
        (
            near.answers + far.answers,
            near.failures + far.failures,
            near.others + near.voids + far.others + far.voids,
        ),
        tuple(pool.troubles.values()),
        (near.seconds + far.seconds, local + remote),
        (local, remote, 0) if pool.home is not None else (0, 0, remote),
        (busy,),
        (pool.retries,),
        (pool.budget.balance(now),),
        (pool.exhausted,),
        tuple(states.values()),
        (pool.panics,),
        tuple([ejections.get((service, reason), 0) for reason in REASONS]),
        (balancer.returns.get(service, 0),),
        (balancer.nobody.get(service, 0),),
        (int(pool.panic),),
    )


def _state(node: Node, now: float) -> str:
    if node.away:
        return "away"
    if node.drained:
        return "drained"
    if node.state is State.EJECTED:
        return "ejected" if node.until > now else "waiting"
    if node.state is State.HEALTHY:
        return "overloaded" if node.quiet_until > now else "healthy"
    return "probing" if node.state is State.PROBING else "waiting"


def peer_rows(balancer: Balancer, services: Fold, now: float) -> Iterator[Row]:
    """Each copy that is listed now, and at most :data:`MOST_PEERS` of them. Those that left are not there."""
    left = MOST_PEERS
    for pool in balancer.pools:
        name = services(pool.service)
        if name == Fold.OTHER:
            continue
        seen = set()
        for node in list(pool.nodes.values()):
            if node.gone_at is not None or node.instance.id in seen:
                continue
            if not left:
                return
            left -= 1
            seen.add(node.instance.id)
            yield _peer((name, node.instance.id), node, now)


def _peer(who: tuple[str, str], node: Node, now: float) -> Row:
    good, bad, other = node.lately(now)
    numbers: tuple[tuple[Number, ...], ...] = (
        (node.answers, node.failures, node.others),
        (node.in_flight,),
        (node.weight,),
        (int(node.state is not State.HEALTHY),),
    )
    if node.latency < 0.0:
        return Row(_PEERS, who, numbers)
    numbers = (*numbers, (node.load_at(now) / (1 + node.in_flight),))
    if not good + bad + other:
        return Row(_HEARD, who, numbers)
    return Row(_TRIED, who, (*numbers, (good / (good + bad + other),)))
