"""Picks an instance for each try, learns how it went, and leaves alone those that fail."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from math import inf
from random import Random

from ..clock import SYSTEM, Clock
from ..errors import NoInstance
from ..events import Event, InstanceEjected, InstanceRestored, Publish, discard
from ..model import Instance
from .dialect import Dialect
from .node import Node, NodeView, PoolView
from .picks import PROBE, Pick, Tries, Try
from .pool import NOWHERE, Pool
from .rules import Rule, Zoned, rule_maker
from .views import INSTANCES, SERVICES, Row, report_of, rows_of, view_nodes, view_pool

Lookup = Callable[[str], Sequence[Instance]]

_KNOWN = 1000  # names that an error carries, at most

_here: weakref.WeakSet[Balancer] = weakref.WeakSet()


def _no_limit() -> float | None:
    return None


def _never() -> bool:
    return False


class Balancer:
    """Chooses among the instances that ``lookup`` answers for a service.

    ``lookup`` takes a service name in lower case. It should answer with the same object until
    something changes, and never edit it: its identity is how a pick knows that nothing has.
    ``rule`` is a name from ``rules.RULES`` or a function; ``zone`` is our own, preferred as far as
    its share allows. ``known`` lists the service names, for better errors.

    Safe to use from several threads and event loops; a forked child begins with empty memory.
    """

    def __init__(
        self,
        lookup: Lookup,
        rule: str | Rule | Zoned = "two_choices",
        *,
        zone: str | None = None,
        publish: Publish = discard,
        clock: Clock = SYSTEM,
        rng: Random | None = None,
        known: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._lookup = lookup
        self._make_rule = rule_maker(rule, zone)
        self._zone = zone
        self._only = zone if isinstance(rule, Zoned) and rule.mode == "strict" else None
        self._publish = publish
        self._clock = clock
        self._now = clock.monotonic
        self._rng = rng if rng is not None else Random()
        self._known = known
        self._pools: dict[str, Pool] = {}
        self._hints: dict[str, tuple[float, str]] = {}
        #: Since the start: ejections by service and reason, returns by service, and calls that found nobody
        #: by service ("": one that is not known).
        self.ejections: dict[tuple[str, str], int] = {}
        self.returns: dict[str, int] = {}
        self.nobody: dict[str, int] = {}
        _here.add(self)

    def pick(
        self,
        service: str,
        *,
        avoid: Container[str] = (),
        key: str | None = None,
        harmless: bool = False,
        command: str = "",
        where: Mapping[str, str] | None = None,
    ) -> Pick:
        """Choose an instance for one try. Raises ``NoInstance``.

        ``avoid`` holds instance ids that are chosen only if nobody else is left. With a ``key``, the
        same key finds the same instance. ``where`` selects by metadata: ``{"version": "2"}``.
        ``harmless`` says that a failure would do no harm, so the try may serve as a probe of an ejected
        instance. Tries of one ``command`` are compared with each other only.
        """
        try:
            pool = self._pools[service]
        except KeyError:
            pool = self._open(service)
        instances = self._lookup(pool.service)
        if (
            instances is pool.snapshot
            and (pool.calm == inf or self._now() < pool.calm)
            and not avoid
            and key is None
            and not where
        ):
            node = pool.rule(pool.usable, self._rng)
            return Pick(pool, node, pool.usual(command) if command else pool.mean)
        node, probe = self._choose(pool, instances, avoid, key, harmless, None, where or NOWHERE)
        return Pick(pool, node, pool.usual(command), PROBE if probe else 0)

    def tries(
        self,
        service: str,
        *,
        harmless: bool,
        dialect: Dialect,
        retries: int = 1,
        remaining: Callable[[], float | None] = _no_limit,
        stop: Callable[[], bool] = _never,
        key: str | None = None,
        command: str = "",
        where: Mapping[str, str] | None = None,
    ) -> Tries:
        """The tries of one call: at most ``1 + retries``, each on another instance.

        ``key``, ``command`` and ``where`` are as for `pick`. ``harmless`` says that repeating the request
        changes nothing. ``remaining`` answers with the call's seconds left, ``None`` for no limit; ``stop``
        with whether there is no point in going on.
        """
        return Tries(
            self,
            service,
            harmless=harmless,
            dialect=dialect,
            retries=retries,
            remaining=remaining,
            stop=stop,
            key=key,
            command=command,
            rng=self._rng,
            where=where or NOWHERE,
        )

    def quick(self, service: str) -> tuple[Pool, Node, float] | None:
        """Whom a call's first try goes to, and the monotonic now; ``None`` if that takes a second thought.

        For doors in a hurry: nearly all calls need one try, so it is begun with nothing but this, and only
        if it ends badly are there `tries`, which `adopt <Tries.adopt>` it.
        """
        pool = self._pools.get(service)
        if pool is None or self._lookup(service) is not pool.snapshot:
            return None
        now = self._now()
        if now >= pool.calm:
            return None
        pool.budget.deposit(now)
        return pool, pool.rule(pool.usable, self._rng), now

    def pick_for(self, tries: Tries, avoid: list[str]) -> Try:
        """The next pick of a call; asked by its tries."""
        service, command = tries.service, tries.command
        pool = self._pools.get(service)
        if pool is None:
            pool = self._open(service)
        instances = self._lookup(pool.service)
        mean = pool.usual(command) if command else pool.mean
        if tries.number == 1:
            now = self._now()
            if instances:
                pool.budget.deposit(now)
            if instances is pool.snapshot and now < pool.calm and tries.key is None and not tries.where:
                return Try(pool, pool.rule(pool.usable, self._rng), mean, tries)
        harmless = tries.harmless and tries.retries > 0
        node, probe = self._choose(pool, instances, avoid, tries.key, harmless, tries, tries.where)
        return Try(pool, node, mean, tries, PROBE if probe else 0)

    def _choose(
        self,
        pool: Pool,
        instances: Sequence[Instance],
        avoid: Container[str],
        key: str | None,
        harmless: bool,
        tries: Tries | None,
        where: Mapping[str, str] = NOWHERE,
    ) -> tuple[Node, bool]:
        node, probe = pool.choose(
            instances,
            self._now(),
            avoid=avoid,
            key=key,
            harmless=harmless,
            can_retry=tries is not None and tries.retries > 0,
            again=tries is not None and tries.number > 1,
            where=where,
        )
        if node is None:
            if where and any(not known.drained for known in pool.up):
                asked = ", ".join(f"{name}={value}" for name, value in islice(where.items(), 5))
                raise NoInstance(service=pool.service, reason=f"selector: none of them has {asked[:200]}")
            raise self._nobody(pool.service, len(instances))
        return node, probe

    # -- looking, and doing by hand --

    def nodes(self, service: str) -> list[NodeView]:
        """What is known of each instance of a service; empty if nobody called it yet."""
        pool = self._pools.get(service.lower())
        return view_nodes(pool, self._now()) if pool is not None else []

    def totals(self, service: str) -> PoolView | None:
        """The sums of a service: usable, ejected, retries; ``None`` if nobody called it yet."""
        pool = self._pools.get(service.lower())
        return view_pool(pool, self._now()) if pool is not None else None

    def view(self, service: str) -> list[Row]:
        """As :meth:`nodes`, in plain rows for JSON: `.views` describes them."""
        pool = self._pools.get(service.lower())
        return rows_of(pool, self._now(), self._clock.time()) if pool is not None else []

    def report(self, services: int = SERVICES, instances: int = INSTANCES) -> Row:
        """What is known of all services that were called, bounded, for others to read: see `.views`."""
        pools = list(self._pools.values())
        return report_of(pools, self._now(), self._clock.time(), services, instances)

    @property
    def pools(self) -> list[Pool]:
        """What is known of each service that was called; for looking at."""
        return list(self._pools.values())

    @property
    def services(self) -> list[str]:
        """The services that were called."""
        return sorted(self._pools)

    def drain(self, service: str, id: str, *, on: bool = True) -> None:
        """Stop choosing an instance until further notice, whatever happens. KeyError if unknown."""
        self._known_pool(service).set_by_hand(id, drained=on)

    def eject(self, service: str, id: str, seconds: float) -> None:
        """Stop choosing an instance for a while; it comes back through a probe. KeyError if unknown."""
        self._known_pool(service).set_by_hand(id, eject=seconds)

    def restore(self, service: str, id: str) -> None:
        """Choose an ejected or drained instance again. KeyError if unknown."""
        self._known_pool(service).set_by_hand(id, drained=False, eject=0.0)

    def forget(self, service: str) -> None:
        """Drop all that was learnt of a service."""
        self._pools.pop(service.lower(), None)

    # -- inside --

    def _known_pool(self, service: str) -> Pool:
        pool = self._pools[service.lower()]
        with pool.lock:  # the directory may have moved on since the last pick
            pool.choose(self._lookup(pool.service), self._now(), again=True)
        return pool

    def _open(self, service: str) -> Pool:
        service = service.lower()
        pool = self._pools.get(service)
        if pool is None:
            if not self._lookup(service):  # no memory for names that nobody has
                raise self._nobody(service, 0)
            made = Pool(
                service,
                self._make_rule(),
                publish=self._said,
                clock=self._clock,
                rng=self._rng,
                only=self._only,
                home=self._zone,
            )
            pool = self._pools.setdefault(service, made)
        return pool

    def _said(self, event: Event) -> None:
        if isinstance(event, InstanceEjected):
            why = (event.service, event.reason)
            self.ejections[why] = self.ejections.get(why, 0) + 1
        elif isinstance(event, InstanceRestored):
            self.returns[event.service] = self.returns.get(event.service, 0) + 1
        self._publish(event)

    def _nobody(self, service: str, listed: int) -> NoInstance:
        met = service if service in self._pools else ""  # no memory for names that nobody has
        self.nobody[met] = self.nobody.get(met, 0) + 1
        if listed:
            return NoInstance(service, (service,), f"{listed} in the directory, but none that may be called")
        known = tuple(islice(self._known(), _KNOWN))
        if service in known:
            return NoInstance(service, known, "it has no instances at the moment")
        return NoInstance(service, known, "the directory does not know it", self._hint(service, known))

    def _hint(self, service: str, known: tuple[str, ...]) -> str:
        # Comparing is slow and a wrong name is asked for again and again: remember for a moment.
        now = self._now()
        kept = self._hints.get(service)
        if kept is None or now >= kept[0]:
            alike = [name for name in known if abs(len(name) - len(service)) <= 3]
            close = get_close_matches(service, alike[:200], n=1) if len(service) <= 100 else []
            kept = (now + 5.0, close[0] if close else "")
            if len(self._hints) >= 256:
                self._hints.clear()
            self._hints[service] = kept
        return kept[1]

    def _after_fork(self) -> None:
        for pool in self._pools.values():
            pool.after_fork()
        self._pools = {}  # calls under way in the parent never end here
        self._rng.seed()


def _after_fork() -> None:
    for balancer in list(_here):
        balancer._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
