"""What the balancing tests share: copies, a directory, a balancer on a manual clock."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from resilient.balancing.balancer import Balancer
from resilient.balancing.dialect import Dialect
from resilient.balancing.node import Node
from resilient.balancing.picks import Pick, Try
from resilient.balancing.pool import Pool
from resilient.clock import ManualClock
from resilient.events import Event
from resilient.model import Instance, Status


class NotSent(Exception):
    pass


class Broken(Exception):
    pass


class Late(Exception):
    pass


class PoolFull(Exception):
    pass


DIALECT = Dialect(
    never_sent=(NotSent, ConnectionRefusedError), broken=(Broken,), timeouts=(Late,), busy=(PoolFull,)
)


def copy(name: str, **fields: Any) -> Instance:
    return Instance(
        service="orders", id=name, host=fields.pop("host", "10.0.0.1"), port=fields.pop("port", 80), **fields
    )


def copies(names: str | Sequence[str], **fields: Any) -> tuple[Instance, ...]:
    return tuple(copy(name, host=f"host-{name}", **fields) for name in names)


class Bench:
    """A balancer over a directory that the test changes."""

    def __init__(
        self, names: str | Sequence[str] = "abc", rule: Any = "two_choices", seed: int = 7, **options: Any
    ) -> None:
        self.clock = ManualClock()
        self.directory: dict[str, Sequence[Instance]] = {"orders": copies(names)}
        self.events: list[Event] = []
        self.balancer = Balancer(
            lambda name: self.directory.get(name, ()),
            rule,
            clock=self.clock,
            rng=Random(seed),
            publish=self.events.append,
            known=lambda: self.directory,
            **options,
        )

    @property
    def pool(self) -> Pool:
        return self.balancer._pools["orders"]

    def set(self, instances: Sequence[Instance]) -> None:
        self.directory["orders"] = tuple(instances)

    def pick(self, **options: Any) -> Pick:
        return self.balancer.pick("orders", **options)

    def node(self, id: str) -> Node:
        return self.pool.find(id)

    def on(self, id: str) -> Pick:
        """A try on this very instance, whatever the rule says."""
        if "orders" not in self.balancer._pools:
            self.pick()
        return Pick(self.pool, self.node(id), self.pool.mean)

    def on_try(self, id: str) -> Pick:
        """The same, as the one try of a call that speaks our dialect."""
        if "orders" not in self.balancer._pools:
            self.pick()
        return Try(self.pool, self.node(id), self.pool.mean, self.tries(retries=0))

    def good(self, id: str, seconds: float = 0.01) -> None:
        with self.on(id):
            self.clock.advance(seconds)

    def bad(self, id: str, status: int = 500, retry_after: float | None = None) -> None:
        with self.on(id) as pick:
            pick.answered(status, retry_after)

    def refuse(self, id: str) -> None:
        try:
            with self.on(id):
                raise ConnectionRefusedError(111, "refused")
        except ConnectionRefusedError:
            pass

    def state(self, id: str) -> str:
        return next(view.state for view in self.balancer.nodes("orders") if view.id == id)

    def shares(self, picks: int, **options: Any) -> dict[str, int]:
        counts = {one.id: 0 for one in self.directory["orders"]}
        for _ in range(picks):
            counts[self.pick(**options).instance.id] += 1
        return counts

    def tries(self, *, harmless: bool = True, retries: int = 1, **options: Any) -> Any:
        return self.balancer.tries("orders", harmless=harmless, retries=retries, dialect=DIALECT, **options)


DOWN, UP = Status.DOWN, Status.UP
