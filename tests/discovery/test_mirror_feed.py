"""The mirror and a feed (R-35): whatever is late, missing or doubled, no list is served that never was."""

from random import Random
from typing import Any

import pytest
from scripted import listing, one

from resilient.clock import ManualClock
from resilient.discovery import feed
from resilient.discovery.feed import Change, Position
from resilient.discovery.mirror import Fetch, Mirror
from resilient.eureka.fingerprint import apps_hash, count
from resilient.eureka.json import Page, read_applications
from resilient.model import Action, Instance

HERE, THERE = "http://a/eureka/", "http://b/eureka/"


def at(number: int, epoch: str = "e") -> Position:
    return Position(epoch, number)


def change(number: int, instance: Instance, after: list[Instance] | None, *, gone: bool = False) -> Change:
    fingerprint = None if after is None else apps_hash(count(after))
    return Change(at(number), Action.DELETED if gone else Action.MODIFIED, instance, fingerprint)


def followed(*instances: Instance, number: int = 5, **more: Any) -> tuple[Mirror, ManualClock]:
    clock = ManualClock()
    it = Mirror(clock=clock, rng=Random(1), **more)
    full(it, *instances, number=number)
    it.follow()
    return it, clock


def full(it: Mirror, *instances: Instance, number: int, epoch: str = "e", source: str = HERE) -> bool:
    page = read_applications(listing([(Action.ADDED, one) for one in instances]))
    return it.heard(it.next()._replace(full=True), source, page, f"{epoch}-{number}")


def ids(it: Mirror) -> list[str]:
    return sorted(one.id for members in it.directory.services.values() for one in members)


A, B, C = one("a"), one("b"), one("c", "billing")


def test_changes_are_served_at_once() -> None:
    it, clock = followed(A, B)
    assert it.live
    assert it.position == "e-5"
    assert it.changed([change(6, C, [A, B, C]), change(7, A, [B, C], gone=True)]) == {"orders", "billing"}
    assert ids(it) == ["b", "c"]
    assert it.position == "e-7"
    clock.advance(300)
    it.confirmed()
    assert it.age == 0
    assert not it.next().full


def test_what_the_list_held_already_and_what_comes_twice_changes_nothing() -> None:
    it, _ = followed(A)
    late = [change(4, B, [A, B]), change(5, B, [A], gone=True)]
    assert it.changed(late) == set()
    news = [change(6, B, [A, B])]
    assert it.changed(news) == {"orders"}
    assert it.changed(news) == set()
    assert it.live


def test_a_fingerprint_that_disagrees_is_followed_by_a_full_read_and_nothing_is_served_before() -> None:
    it, clock = followed(A)
    served = it.directory
    assert it.changed([change(6, B, [A, B, C])]) == set()
    assert it.directory is served
    assert not it.live
    assert it.position == ""
    assert it.next().full
    clock.advance(1)
    it.confirmed()
    assert it.age == 1
    assert full(it, A, B, C, number=6)
    assert it.live
    assert ids(it) == ["a", "b", "c"]


def test_a_list_newer_than_its_position_heals_without_another_one() -> None:
    it, _ = followed(A, B, number=5)  # in truth of 6: it holds b already
    assert it.changed([change(6, C, [A, C])]) == set()
    assert it.next().full
    assert it.changed([change(7, B, [A, B, C])]) == {"billing"}
    assert it.live
    assert not it.next().full


def test_a_full_answer_that_was_on_its_way_does_not_take_back_what_was_told_meanwhile() -> None:
    it, _ = followed(A, B)
    it.changed([change(6, B, [A], gone=True), change(7, C, [A, C])])
    full(it, A, B, number=5)
    assert ids(it) == ["a", "c"]
    assert it.position == "e-7"
    assert it.live


def test_a_delta_that_was_on_its_way_is_left_alone() -> None:
    it, _ = followed(A, B)
    fetch = it.next()
    it.changed([change(6, B, [A], gone=True)])
    page = read_applications(listing([(Action.ADDED, A), (Action.ADDED, B)], "9"))
    assert not it.heard(fetch, HERE, page, "e-5")
    assert ids(it) == ["a"]
    assert it.live


def test_a_delta_of_another_life_of_the_registry_is_followed_by_a_full_read() -> None:
    it, _ = followed(A)
    page = read_applications(listing([], "9", apps_hash(count([A]))))
    assert not it.heard(it.next(), HERE, page, "f-5")
    assert it.next().full


def test_after_a_reset_nothing_is_built_upon_until_all_was_read() -> None:
    it, _ = followed(A)
    it.restarted(at(90))
    assert not it.live
    assert it.changed([change(91, C, [B, C])]) == set()
    assert ids(it) == ["a"]
    full(it, B, number=90)
    assert ids(it) == ["b", "c"]
    assert it.position == "e-91"
    assert it.live


@pytest.mark.parametrize(("number", "epoch", "source"), [(89, "e", HERE), (90, "f", HERE), (90, "e", THERE)])
def test_a_list_that_does_not_reach_up_to_the_feed_ends_it(number: int, epoch: str, source: str) -> None:
    it, _ = followed(A, accept_empty=True)
    it.restarted(at(90))
    full(it, B, number=number, epoch=epoch, source=source)
    assert ids(it) == ["b"]
    assert not it.following
    assert it.position == f"{epoch}-{number}"  # from where it is to be opened again


def test_a_registry_that_counts_otherwise_is_believed_in_the_end() -> None:
    it, _ = followed(A)
    it.restarted(at(6))
    it.changed([change(7, B, [A, B, C])])
    for _ in range(3):
        assert ids(it) == ["a"]
        full(it, A, number=6)
    assert ids(it) == ["a", "b"]
    assert it.live


def test_an_instance_nobody_could_call_is_left_out_and_fingerprints_are_not_compared() -> None:
    it, _ = followed(A)
    nonsense = Change(at(6), Action.MODIFIED, None, "UP_2_")
    assert it.changed([nonsense]) == set()
    assert it.live
    assert it.changed([change(7, C, [A, B, C])]) == {"billing"}


def test_a_removal_counts_at_once_even_of_what_is_in_doubt() -> None:
    it, _ = followed(A, B, registries=2)
    full(it, number=6)
    assert ids(it) == ["a", "b"]
    assert it.in_doubt == 2
    assert not it.live
    assert it.changed([change(7, A, [], gone=True)]) == {"orders"}
    assert ids(it) == ["b"]
    it.changed([change(8, B, [B])])
    assert it.in_doubt == 0
    assert ids(it) == ["b"]
    assert it.live


def test_what_a_registry_that_has_just_begun_does_not_list_yet_is_kept_for_a_lease() -> None:
    it, clock = followed(A, B)
    it.unfollow()
    full(it, number=0, epoch="f")
    assert ids(it) == ["a", "b"]
    assert it.in_grace == 2
    it.follow()
    assert it.live
    back = one("a", port=81)
    assert it.changed([Change(at(1, "f"), Action.MODIFIED, back, apps_hash(count([back])))]) == {"orders"}
    assert {one.id: one.port for one in it.directory.instances("orders")} == {"a": 81, "b": 80}
    assert it.in_grace == 1
    clock.advance(89)
    full(it, back, number=1, epoch="f")
    assert ids(it) == ["a", "b"]
    clock.advance(1)
    full(it, back, number=1, epoch="f")
    assert ids(it) == ["a"]
    assert it.in_grace == 0


def test_grace_ends_with_the_registrys_own_word_and_is_not_begun_twice() -> None:
    it, clock = followed(A, B)
    full(it, number=0, epoch="f")
    it.follow()
    assert it.changed([Change(at(1, "f"), Action.DELETED, A, "")]) == {"orders"}
    assert ids(it) == ["b"]
    clock.advance(60)
    full(it, number=0, epoch="g")
    assert ids(it) == ["b"]
    clock.advance(60)
    full(it, number=0, epoch="g")
    assert ids(it) == []


@pytest.mark.parametrize("epoch", ["e", "f"])
def test_no_grace_in_the_same_life_or_where_emptied_lists_are_accepted(epoch: str) -> None:
    it, _ = followed(A, B, accept_empty=epoch == "f")
    full(it, number=6, epoch=epoch)
    assert ids(it) == []


def test_without_a_feed_changes_have_no_say() -> None:
    it, _ = followed(A)
    it.unfollow()
    assert it.changed([change(6, B, [A, B])]) == set()
    it.restarted(at(9))
    assert not it.next().full
    assert it.position == "e-5"


def test_more_changes_than_are_remembered_end_in_a_new_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "REMEMBERED", 3)
    it, _ = followed(A)
    for number in range(6, 12):
        it.changed([change(number, one("b", port=number), [A, B])])
    full(it, A, number=7)
    assert not it.following
    assert it.position == "e-7"


class Registry:
    """A registry, its feed, and answers that come late.

    ``exact``: what a list holds is what its position says; else it may hold later changes too.
    """

    def __init__(self, seed: int, exact: bool) -> None:
        self.rng = Random(seed)
        self.exact = exact
        self.clock = ManualClock()
        self.mirror = Mirror(clock=self.clock, rng=Random(1), accept_empty=True)
        self.life = 0
        self.states: list[dict[str, Instance]] = [{}]
        self.events: list[Change] = []
        self.floor = 0
        self.told = 0
        self.sent: int | None = None  # the stream's place; None without a stream
        self.answer: tuple[Fetch, Page, str] | None = None
        self.were: list[dict[str, Instance]] = [{}]

    @property
    def head(self) -> int:
        return len(self.states) - 1

    def place(self, number: int) -> Position:
        return Position(f"life{self.life}", number)

    def something_changes(self) -> None:
        id, port, gone = self.rng.choice("abcd"), self.rng.randint(1, 3), self.rng.random() < 0.4
        state = dict(self.states[-1])
        if gone:
            state.pop(id, None)
        else:
            state[id] = one(id, "orders" if id < "c" else "billing", port=port)
        self.states.append(state)
        self.were.append(state)
        instance = one(id, "orders" if id < "c" else "billing", port=port)
        kind = Action.DELETED if gone else Action.MODIFIED
        self.events.append(Change(self.place(self.head), kind, instance, apps_hash(count(state.values()))))

    def the_registry_forgets_changes(self) -> None:
        self.floor = self.head

    def the_registry_starts_anew(self) -> None:
        self.life += 1
        self.states, self.events, self.floor = [{}], [], 0
        self.were.append({})
        self.the_stream_ends()

    def the_stream_ends(self) -> None:
        self.sent = None
        self.mirror.unfollow()

    def the_stream_is_opened(self) -> None:
        if self.sent is not None or not self.mirror.position:
            return
        last = Position.parse(self.mirror.position)
        assert last is not None
        self.mirror.follow()
        if last.epoch == f"life{self.life}" and self.floor <= last.number <= self.head:
            self.sent = last.number
        else:
            self.sent = self.head
            self.mirror.restarted(self.place(self.head))

    def the_stream_tells(self) -> None:
        if self.sent is None:
            return
        if self.sent < self.floor:
            self.sent = self.head
            self.mirror.restarted(self.place(self.head))
            return
        told = self.events[self.sent : self.sent + self.rng.randint(1, 5)]
        self.sent += len(told)
        if self.mirror.changed(told):
            self.told += 1
        if not self.mirror.following:
            self.sent = None

    def a_question_is_asked(self) -> None:
        fetch = self.mirror.next()
        state = list(self.states[-1].values())
        entries = [(Action.ADDED, x) for x in state]
        if not fetch.full:
            entries = [(x.action, x.instance) for x in self.events if x.instance]
        page = read_applications(listing(entries, str(self.head + 1), apps_hash(count(state))))
        number = self.head if self.exact else max(0, self.head - self.rng.randint(0, 2))
        self.answer = (fetch, page, str(self.place(number)))

    def it_is_answered(self, lost: bool = False) -> None:
        if self.answer is None:
            return
        fetch, page, position = self.answer
        self.answer = None
        if lost:  # the answer, on its way
            self.mirror.failed(fetch)
            return
        self.mirror.heard(fetch, HERE, page, position)
        if not self.mirror.following:
            self.sent = None

    def served(self) -> dict[str, Instance]:
        return {x.id: x for members in self.mirror.directory.services.values() for x in members}

    def run(self, steps: int) -> None:
        ways = {
            self.something_changes: 8,
            self.the_stream_tells: 6,
            self.a_question_is_asked: 3,
            self.it_is_answered: 3,
            lambda: self.it_is_answered(lost=True): 0.3,
            self.the_stream_is_opened: 3,
            self.the_stream_ends: 0.5,
            self.the_registry_forgets_changes: 0.5,
            self.the_registry_starts_anew: 0.2,
        }
        for way in self.rng.choices(list(ways), list(ways.values()), k=steps):
            way()
            if self.exact:
                assert self.served() in self.were
        self.exact = True
        for _ in range(8):
            self.the_stream_is_opened()
            while self.sent is not None and self.sent < self.head:
                self.the_stream_tells()
            if self.mirror.live:
                break
            self.a_question_is_asked()
            self.it_is_answered()
        assert self.mirror.live
        assert self.served() == self.states[-1]


@pytest.mark.parametrize("exact", [True, False])
def test_whatever_happens_no_list_is_served_that_never_was(exact: bool) -> None:
    lived = 0
    for seed in range(60):
        registry = Registry(seed, exact)
        registry.run(80)
        lived += registry.told
    assert lived > 200  # changes came in by the feed, and not just by reading all
