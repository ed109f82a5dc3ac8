from typing import Any

from helpers_balancing import DOWN, UP, Bench, copy
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from resilient.balancing.node import State
from resilient.errors import NoInstance


class Life(RuleBasedStateMachine):
    """Whatever happens: only those who are listed and up are picked, and the counts add up."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench("abcde")
        self.bench.pick()
        self.running: list[Any] = []

    @rule(mask=st.integers(1, 31), down=st.integers(0, 31), dirty=st.integers(0, 3))
    def new_directory(self, mask: int, down: int, dirty: int) -> None:
        self.bench.set(
            [
                copy(name, host=f"host-{name}", dirty_at=dirty, status=DOWN if down >> n & 1 else UP)
                for n, name in enumerate("abcde")
                if mask >> n & 1
            ]
        )

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.1, 6.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.bench.clock.advance(seconds)

    @rule(harmless=st.booleans(), avoid=st.sets(st.sampled_from("abcde")))
    def call(self, harmless: bool, avoid: set[str]) -> None:
        up = {one.id for one in self.bench.directory["orders"] if one.status is UP}
        drained = {node.instance.id for node in self.bench.pool.nodes.values() if node.drained}
        try:
            pick = self.bench.pick(harmless=harmless, avoid=avoid)
        except NoInstance:
            assert not up - drained
            return
        assert pick.instance.id in up - drained
        if up - drained - avoid:
            assert pick.instance.id not in avoid
        node = pick._node
        pool = self.bench.pool
        if not pool.panic and not avoid and node.state is State.EJECTED:
            assert not [one for one in pool.up if one.state is State.HEALTHY and not one.drained]
        self.running.append(pick.__enter__())

    @rule(
        which=st.integers(0), how=st.sampled_from([200, 404, 429, 500, 503, "refused", "cancelled", "plain"])
    )
    def end(self, which: int, how: Any) -> None:
        if not self.running:
            return
        pick = self.running.pop(which % len(self.running))
        if isinstance(how, int):
            pick.answered(how)
            pick.__exit__(None, None, None)
        elif how == "plain":
            pick.__exit__(None, None, None)
        else:
            error = ConnectionRefusedError() if how == "refused" else KeyboardInterrupt()
            assert pick.__exit__(type(error), error, None) is False

    @rule(name=st.sampled_from("abcde"), on=st.booleans())
    def drain(self, name: str, on: bool) -> None:
        try:
            self.bench.balancer.drain("orders", name, on=on)
        except KeyError:
            assert name not in {one.id for one in self.bench.directory["orders"]}

    @invariant()
    def counts_add_up(self) -> None:
        assert all(node.in_flight >= 0 for node in self.bench.pool.nodes.values())
        in_flight = sum(pick._node.in_flight for pick in {id(p._node): p for p in self.running}.values())
        assert in_flight == len(self.running)
        self.bench.balancer.nodes("orders")


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
