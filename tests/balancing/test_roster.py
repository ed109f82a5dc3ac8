"""A new directory is taken in by what is new in it: the same as if everybody were looked at."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from resilient.balancing.node import Node
from resilient.balancing.roster import KEEP, Roster
from resilient.clock import ManualClock
from resilient.model import Instance, Status


class OneByOne(Roster):
    """Takes nothing for granted."""

    __slots__ = ()

    def _patched(self, instances: Sequence[Instance], now: float) -> list[Node] | None:
        return None


def one(id: int, stamp: int = 0, status: Status = Status.UP) -> Instance:
    return Instance(
        service="orders",
        id=f"i{id}",
        host="h",
        port=80,
        status=status,
        zone=f"z{id % 3}",
        dirty_at=stamp,
        metadata={"weight": str(stamp % 4)},
    )


def said(roster: Roster) -> object:
    return (
        [node.instance for node in roster.up],
        {
            key: (node.instance, node.gone_at, node.away, node.ramp_from, node.given)
            for key, node in roster.nodes.items()
        },
        roster.zones,
        roster.left,
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["change", "remove", "add", "twice", "swap", "clear", "same", "restart"]),
        st.integers(0, 11),
        st.sampled_from([Status.UP, Status.UP, Status.DOWN]),
        st.sampled_from([1.0, 200.0, KEEP]),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(STEPS)
def test_a_few_changes_or_all_of_it_lead_to_the_same(steps: list[tuple[str, int, Status, float]]) -> None:
    clock = ManualClock()
    quick, slow = Roster(clock.monotonic, home="z1"), OneByOne(clock.monotonic, home="z1")
    now = [one(id) for id in range(6)]
    for number, (what, which, status, seconds) in enumerate(steps, 1):
        place = which % len(now) if now else 0
        match what:
            case "change" if now:
                now[place] = one(int(now[place].id[1:]), number, status)
            case "remove" if now:
                del now[place]
            case "add":
                now.insert(place, one(which, number, status))
            case "twice" if now:
                now.append(now[place])
            case "swap" if now:
                now[place], now[-1] = now[-1], now[place]
            case "clear":
                now = []
            case "restart":
                now = [one(id, number) for id in range(which)]
        clock.advance(seconds)
        for roster in (quick, slow):
            roster.adopt(tuple(now), clock.monotonic())
        assert said(quick) == said(slow)
        assert len({id(node) for node in quick.up}) == len(quick.up)


def test_who_has_not_changed_is_not_looked_at() -> None:
    clock = ManualClock()
    taken: list[str] = []

    class Watched(Roster):
        __slots__ = ()

        def _take(self, key: tuple[str, str, int], instance: Instance, now: float) -> Node:
            taken.append(instance.id)
            return super()._take(key, instance, now)

    roster = Watched(clock.monotonic)
    everybody = [one(id) for id in range(1000)]
    roster.adopt(tuple(everybody), 0.0)
    taken.clear()
    del everybody[500]
    everybody[700] = one(701, 1)
    everybody.append(one(1000))
    roster.adopt(tuple(everybody), 1.0)
    assert taken == ["i701", "i1000"]
    assert [node.instance for node in roster.up] == everybody
    assert [node.gone_at for node in roster.nodes.values() if node.gone_at is not None] == [1.0]
