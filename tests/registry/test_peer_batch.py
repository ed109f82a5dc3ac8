"""What is still to be told to a peer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from registry_server.peers.batch import BATCH, Backlog, Task, merged
from resilient.clock import ManualClock
from resilient.eureka.replication import Item, Kind

REGISTER, BEAT, CANCEL = Kind.REGISTER, Kind.HEARTBEAT, Kind.CANCEL
STATUS, REMOVED = Kind.STATUS, Kind.STATUS_REMOVED


class Desk:
    """A backlog, and short words for it."""

    def __init__(self, most: int = 10_000) -> None:
        self.clock = ManualClock()
        self.backlog = Backlog(self.clock, most=most)

    def tell(self, kind: Kind, id: str = "i", keep: float = 30, stamp: int = 0) -> None:
        self.backlog.tell(Item(kind=kind, app="A", id=id, dirty_at=stamp), keep)

    def take(self, most: int = BATCH) -> list[tuple[Kind, str]]:
        return [(task.item.kind, task.item.id) for task in self.backlog.take(most)]


def test_a_newer_task_replaces_the_older_one_of_its_kind() -> None:
    desk = Desk()
    for stamp in (1, 2, 3):
        desk.tell(REGISTER, stamp=stamp)
        desk.tell(BEAT, "j", stamp=stamp)
    taken = [(task.item.kind, task.item.dirty_at) for task in desk.backlog.take()]
    assert taken == [(REGISTER, 3), (BEAT, 3)]
    assert len(desk.backlog) == 0
    assert desk.backlog.take() == []


def test_what_happened_to_one_instance_is_told_in_its_order() -> None:
    desk = Desk()
    desk.tell(REGISTER)
    desk.tell(CANCEL)
    desk.tell(REGISTER, stamp=2)
    assert desk.take() == [(CANCEL, "i"), (REGISTER, "i")]
    desk.tell(STATUS)
    desk.tell(REGISTER)
    desk.tell(REMOVED)
    assert desk.take() == [(REGISTER, "i"), (REMOVED, "i")]
    desk.tell(STATUS)
    desk.tell(REGISTER)
    desk.tell(CANCEL)
    assert desk.take() == [(CANCEL, "i")]


def test_a_heartbeat_is_needless_where_words_are_pending() -> None:
    desk = Desk()
    desk.tell(BEAT)
    desk.tell(STATUS)
    desk.tell(BEAT)
    assert desk.take() == [(STATUS, "i")]


def test_a_batch_is_due_half_a_second_after_its_first_item_or_when_it_is_full() -> None:
    desk = Desk()
    assert desk.backlog.due is None
    desk.tell(BEAT)
    desk.clock.advance(0.4)
    desk.tell(BEAT)  # an eager client does not put it off
    due = desk.backlog.due
    assert due is not None
    assert 0.09 < due < 0.11
    desk.clock.advance(0.2)
    assert desk.backlog.due == 0
    desk.take()
    for n in range(BATCH):
        assert desk.backlog.due != 0
        desk.tell(BEAT, f"i{n}")
    assert desk.backlog.due == 0


def test_one_eager_client_delays_nobody() -> None:
    desk = Desk()
    desk.tell(BEAT, "eager")
    for n in range(300):
        desk.tell(BEAT, f"i{n}")
        desk.tell(BEAT, "eager")
    first = desk.take()
    assert len(first) == BATCH
    assert first[0] == (BEAT, "eager")
    for _ in range(5):
        desk.tell(REGISTER, "eager")
        desk.tell(BEAT, "eager")
    assert len(desk.take()) == 52


def test_a_batch_holds_at_most_250_and_changes_go_first() -> None:
    desk = Desk()
    for n in range(400):
        desk.tell(BEAT, f"b{n}")
    for n in range(200):
        desk.tell(CANCEL, f"r{n}")
        desk.tell(REGISTER, f"r{n}")
    batches = [desk.take(), desk.take(), desk.take(), desk.take()]
    assert [len(one) for one in batches] == [250, 250, 250, 50]
    assert all(id[0] == "r" for _, id in batches[0])
    assert desk.take() == []


def test_case_93_what_is_too_old_is_dropped_and_counted() -> None:
    desk = Desk()
    desk.tell(REGISTER, "a", keep=10)
    desk.tell(CANCEL, "b", keep=30)
    desk.tell(BEAT, "c", keep=10)
    desk.clock.advance(11)
    assert desk.take() == [(CANCEL, "b")]
    assert (desk.backlog.lost, desk.backlog.skipped) == (1, 1)
    assert len(desk.backlog) == 0


def test_when_full_heartbeats_go_first_and_nothing_else_goes_unnoticed() -> None:
    desk = Desk(most=10)
    for n in range(12):
        desk.tell(BEAT, f"b{n}")
    assert (len(desk.backlog), desk.backlog.skipped) == (10, 2)
    for n in range(10):
        desk.tell(REGISTER, f"r{n}")
    assert (len(desk.backlog), desk.backlog.skipped, desk.backlog.lost) == (10, 12, 0)
    desk.tell(BEAT, "late")
    desk.tell(CANCEL, "new")
    assert (len(desk.backlog), desk.backlog.skipped, desk.backlog.lost) == (10, 13, 1)
    assert [id for _, id in desk.take()] == [*(f"r{n}" for n in range(1, 10)), "new"]


def test_a_batch_given_back_stands_in_front_and_below_what_came_since() -> None:
    desk = Desk()
    desk.tell(REGISTER, "a", stamp=1)
    desk.tell(REGISTER, "b")
    desk.tell(BEAT, "c", stamp=1)
    desk.tell(STATUS, "d")
    batch = desk.backlog.take()
    desk.clock.advance(1)
    desk.tell(REGISTER, "e")
    desk.tell(REGISTER, "a", stamp=2)
    desk.tell(CANCEL, "b")
    desk.tell(BEAT, "c", stamp=2)
    desk.tell(BEAT, "d")
    desk.backlog.give_back(batch)
    assert desk.backlog.oldest == desk.clock.monotonic() - 1
    again = desk.backlog.take()
    assert [(task.item.kind, task.item.id, task.item.dirty_at) for task in again] == [
        (REGISTER, "a", 2),
        (CANCEL, "b", 0),
        (STATUS, "d", 0),
        (REGISTER, "e", 0),
        (BEAT, "c", 2),
    ]


def test_a_batch_given_back_to_a_full_backlog_stays_within_its_bound() -> None:
    desk = Desk(most=5)
    for n in range(5):
        desk.tell(REGISTER, f"old{n}")
    batch = desk.backlog.take()
    for n in range(5):
        desk.tell(REGISTER, f"new{n}")
    desk.backlog.give_back(batch)
    assert len(desk.backlog) == 5
    assert {id for _, id in desk.take()} == {f"new{n}" for n in range(5)}
    assert desk.backlog.lost == 5


NEWS = st.lists(st.sampled_from([REGISTER, CANCEL, STATUS, REMOVED]), max_size=20)


def outcome(kinds: list[Kind]) -> tuple[bool | None, str]:
    """Where an instance's record and override end up on a peer that hears these items one by one."""
    there: bool | None = None
    override = "before"
    for kind in kinds:
        if kind is REGISTER:
            there = True
        elif kind is CANCEL:
            there, override = False, "none"
        elif there is not False:
            override = "set" if kind is STATUS else "none"
    return there, override


@given(NEWS)
def test_merging_changes_no_outcome(kinds: list[Kind]) -> None:
    pending: tuple[Task, ...] = ()
    for n, kind in enumerate(kinds):
        # An override needs somebody to be set on: without one the registry answers 404 and tells nobody.
        if kind in (STATUS, REMOVED) and outcome([t.item.kind for t in pending])[0] is False:
            continue
        pending = merged(pending, Task(Item(kind=kind, app="A", id="i"), n, n + 30))
    kept = [task.item.kind for task in pending]
    assert len(kept) <= 3
    told = []
    for kind in kinds:
        if kind in (STATUS, REMOVED) and outcome(told)[0] is False:
            continue
        told.append(kind)
    # A registration carries the override of its moment along, hence only the record is compared
    # where one comes after the override.
    if REGISTER in kept and kept[-1] is REGISTER:
        assert outcome(kept)[0] == outcome(told)[0]
    else:
        assert outcome(kept) == outcome(told)


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(list(Kind)), st.sampled_from("abcdefgh")),
            st.sampled_from(["take", "back", "wait"]),
        ),
        max_size=60,
    )
)
def test_the_count_is_always_right_and_bounded(steps: list[tuple[Kind, str] | str]) -> None:
    desk = Desk(most=6)
    batch: list[Task] = []
    for step in steps:
        if step == "take":
            batch = desk.backlog.take(4)
            assert len(batch) <= 4
        elif step == "back":
            desk.backlog.give_back(batch)
            batch = []
        elif step == "wait":
            desk.clock.advance(9)
        else:
            assert isinstance(step, tuple)
            desk.tell(*step)
        real = sum(map(len, desk.backlog._words.values())) + len(desk.backlog._beats)
        assert len(desk.backlog) == real <= 6
        assert not desk.backlog._words.keys() & desk.backlog._beats.keys()
        assert (desk.backlog.due is None) == (real == 0)
