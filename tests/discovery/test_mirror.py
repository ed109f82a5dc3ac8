from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from scripted import listing, one

from resilient.clock import ManualClock
from resilient.discovery.mirror import Fetch, Mirror
from resilient.eureka.fingerprint import apps_hash, count
from resilient.eureka.json import read_applications
from resilient.model import Action, Instance, Status

HERE, THERE = "http://a/eureka/", "http://b/eureka/"


def mirror(registries: int = 1, **more: bool) -> tuple[Mirror, ManualClock]:
    clock = ManualClock()
    return Mirror(registries=registries, clock=clock, rng=Random(1), **more), clock


def full(it: Mirror, *instances: Instance, source: str = HERE, fingerprint: str | None = None) -> bool:
    page = read_applications(listing([(Action.ADDED, one) for one in instances], "1", fingerprint))
    return it.heard(it.next()._replace(full=True), source, page)


def delta(
    it: Mirror,
    *changes: tuple[Action, Instance],
    after: list[Instance],
    version: int = 2,
    source: str = HERE,
) -> bool:
    page = read_applications(listing(list(changes), str(version), apps_hash(count(after))))
    return it.heard(it.next()._replace(full=False), source, page)


def ids(it: Mirror) -> list[str]:
    return sorted(one.id for members in it.directory.services.values() for one in members)


A, B, C = one("a"), one("b"), one("c", "billing")


def test_all_is_read_once_then_changes() -> None:
    it, _ = mirror()
    assert it.next().full
    assert not it.ready
    assert it.age is None
    assert full(it, A, B)
    assert it.ready
    assert not it.next().full
    assert delta(it, (Action.ADDED, C), (Action.DELETED, A), after=[B, C])
    assert ids(it) == ["b", "c"]
    assert not it.next().full


def test_the_same_delta_twice_and_a_removal_of_somebody_unknown_change_nothing() -> None:
    it, _ = mirror()
    full(it, A)
    changes = [(Action.ADDED, B), (Action.DELETED, C)]
    assert delta(it, *changes, after=[A, B])
    served = it.directory
    assert not delta(it, *changes, after=[A, B])
    assert it.directory is served
    assert not it.next().full


def test_instances_in_every_status_are_served_and_counted() -> None:
    it, _ = mirror()
    full(it, A, B.become(Status.OUT_OF_SERVICE))
    assert delta(
        it,
        (Action.MODIFIED, A.become(Status.DOWN)),
        after=[A.become(Status.DOWN), B.become(Status.OUT_OF_SERVICE)],
    )
    assert {one.id: one.status for one in it.directory.instances("orders")} == {
        "a": "DOWN",
        "b": "OUT_OF_SERVICE",
    }


def test_a_delta_that_leads_elsewhere_is_thrown_away_and_all_is_read() -> None:
    it, _ = mirror()
    full(it, A)
    assert not delta(it, (Action.ADDED, B), after=[A, B, C])  # the registry has one more than we would
    assert ids(it) == ["a"]
    assert it.next().full
    assert full(it, A, B, C)
    assert not it.next().full


def test_a_delta_that_failed_is_followed_by_a_full_read() -> None:
    it, _ = mirror()
    full(it, A)
    it.failed(it.next())
    assert it.next().full
    assert ids(it) == ["a"]


@pytest.mark.parametrize(("version", "source"), [(5, HERE), (12, THERE)])
def test_a_restart_of_the_registry_or_another_one_is_followed_by_a_full_read(
    version: int, source: str
) -> None:
    it, _ = mirror()
    full(it, A)
    delta(it, after=[A], version=10)
    assert not delta(it, after=[A], version=version, source=source)
    assert it.next().full


def test_after_a_long_silence_changes_are_not_relied_upon_and_the_list_is_kept() -> None:
    it, clock = mirror()
    full(it, A)
    clock.advance(119)
    assert not it.next().full
    clock.advance(2)
    assert it.next().full
    clock.advance(3479)
    assert ids(it) == ["a"]
    assert it.age == 3600
    clock.step_wall(-7200)
    assert it.age == 3600


def test_all_is_read_now_and_then_although_changes_work() -> None:
    it, clock = mirror()
    full(it, A)
    for _ in range(130):
        clock.advance(5)
        if it.next().full:
            break
        delta(it, after=[A])
    else:
        pytest.fail("650 seconds without a full read")


def test_a_late_answer_to_an_earlier_question_has_no_say() -> None:
    it, _ = mirror()
    late = it.next()
    full(it, A, B)
    assert not it.heard(late, HERE, read_applications(listing([])))
    assert ids(it) == ["a", "b"]
    it.failed(late)
    assert not it.next().full


def test_an_answer_speaks_of_the_moment_it_was_asked_for() -> None:
    it, clock = mirror()
    asked = it.next()
    clock.advance(30)
    it.heard(asked, HERE, read_applications(listing([(Action.ADDED, A)])))
    assert it.age == 30


def test_a_full_answer_that_contradicts_itself_is_refused_unless_it_insists() -> None:
    it, _ = mirror()
    full(it, A, B)
    for _ in range(2):
        assert not full(it, A, fingerprint="UP_7_")
        assert ids(it) == ["a", "b"]
    assert full(it, A, fingerprint="UP_7_")  # it seems to count in another way
    assert delta(it, (Action.ADDED, C), after=[], version=3)  # and so we no longer compare
    assert ids(it) == ["a", "c"]


def test_one_registrys_word_is_enough_where_only_one_is_known() -> None:
    it, _ = mirror(registries=1)
    full(it, A, B)
    assert full(it)
    assert ids(it) == []


def test_an_empty_answer_needs_three_in_a_row_from_two_registries() -> None:
    it, clock = mirror(registries=2)
    full(it, A, B)
    for _ in range(5):
        assert not full(it)
        assert it.next() == Fetch(True, it.generation, clock.monotonic(), HERE)  # a second opinion is wanted
        clock.advance(5)
    assert ids(it) == ["a", "b"]
    assert it.in_doubt == 2
    assert full(it, source=THERE)
    assert ids(it) == []
    assert it.in_doubt == 0


def test_answers_that_follow_too_fast_count_as_one() -> None:
    it, clock = mirror(registries=2)
    full(it, A)
    for source in (HERE, THERE, HERE, THERE, HERE):
        clock.advance(0.5)
        full(it, source=source)
    assert ids(it) == ["a"]
    clock.advance(2)
    full(it, source=HERE)
    assert ids(it) == []


def test_news_in_a_doubted_answer_is_taken_at_once() -> None:
    it, _ = mirror(registries=2)
    full(it, A, B, C)
    assert full(it, one("d"), A.become(Status.DOWN))  # `billing` has vanished as a whole
    assert ids(it) == ["a", "b", "c", "d"]
    assert {one.id: one.status.value for one in it.directory.instances("orders")}["a"] == "DOWN"


def test_a_registry_that_fills_again_ends_the_doubt() -> None:
    it, _ = mirror(registries=2)
    full(it, A, B, C)
    full(it)
    assert it.in_doubt == 3
    full(it, A)
    assert it.in_doubt == 2
    full(it, A, B, C)
    assert it.in_doubt == 0
    assert ids(it) == ["a", "b", "c"]
    assert not it.next().full


def test_a_few_that_went_are_believed_and_so_is_a_named_removal() -> None:
    it, _ = mirror(registries=2)
    full(it, A, B, one("e"), one("f"))
    assert full(it, A, B, one("e"))
    assert ids(it) == ["a", "b", "e"]
    assert delta(it, *((Action.DELETED, one) for one in (A, B, one("e"))), after=[])
    assert ids(it) == []


def test_empty_answers_are_believed_where_the_user_says_so() -> None:
    it, _ = mirror(registries=2, accept_empty=True)
    full(it, A)
    full(it)
    assert ids(it) == []


def test_entries_that_made_no_sense_do_not_lead_to_endless_full_reads() -> None:
    it, _ = mirror()
    page = read_applications(listing([(Action.ADDED, A)], fingerprint="UP_2_"))
    page = type(page)(page.version, page.fingerprint, page.entries, skipped=1)
    assert it.heard(it.next(), HERE, page)
    assert delta(it, (Action.ADDED, B), after=[A, B, C])
    assert ids(it) == ["a", "b"]
    assert not it.next().full


class Churn(RuleBasedStateMachine):
    """A registry that changes, forgets old changes, restarts; a mirror that polls it over a bad line."""

    names = st.tuples(st.sampled_from(["orders", "billing", "shop"]), st.integers(0, 4))

    def __init__(self) -> None:
        super().__init__()
        self.mirror, self.clock = mirror()
        self.there: dict[str, Instance] = {}
        self.recent: list[tuple[float, Action, Instance]] = []
        self.version = 2
        self.in_flight: tuple[Fetch, bytes, int] | None = None
        self.restarts = self.restarts_at_full = 0

    @rule(name=names, status=st.sampled_from(list(Status)))
    def put(self, name: tuple[str, int], status: Status) -> None:
        service, number = name
        instance = one(f"{service}-{number}", service, status=status.value)
        action = Action.MODIFIED if instance.id in self.there else Action.ADDED
        self.there[instance.id] = instance
        self._changed(action, instance)

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self._changed(Action.DELETED, self.there.pop(data.draw(st.sampled_from(sorted(self.there)))))

    @rule()
    def restart(self) -> None:
        self.there, self.recent, self.version = {}, [], 2
        self.restarts += 1

    @rule(seconds=st.floats(0, 300))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.recent = [change for change in self.recent if change[0] > self.clock.monotonic() - 180]

    @rule()
    def poll(self) -> None:
        fetch = self.mirror.next()
        self._hear(fetch, self._answer(fetch), self.restarts)

    @rule()
    def slow_poll_begins(self) -> None:
        fetch = self.mirror.next()
        self.in_flight = (fetch, self._answer(fetch), self.restarts)

    @precondition(lambda self: self.in_flight)
    @rule()
    def slow_poll_ends(self) -> None:
        assert self.in_flight is not None
        late, self.in_flight = self.in_flight, None
        self._hear(*late)

    @rule()
    def poll_fails(self) -> None:
        self.mirror.failed(self.mirror.next())

    @invariant()
    def a_second_poll_leads_to_the_registrys_list(self) -> None:
        """From any state a delta and, if it does not fit, one full read are enough."""
        probe = Mirror(clock=self.clock, rng=Random(1))
        for name, value in vars(self.mirror).items():
            setattr(probe, name, value)
        probe._copy = None  # the one thing in it that is edited
        for _ in range(2):
            fetch = probe.next()
            probe.heard(fetch, HERE, read_applications(self._answer(fetch)))
        held = {one.id: one.status for group in probe.directory.services.values() for one in group}
        mine = apps_hash(count(one for group in probe.directory.services.values() for one in group))
        assert mine == apps_hash(count(self.there.values()))
        if fetch.full or self.restarts == self.restarts_at_full:
            # After a restart two instances may be exchanged in a way that Eureka's fingerprint cannot see.
            assert held == {id: one.status for id, one in self.there.items()}

    def _hear(self, fetch: Fetch, body: bytes, restarts: int) -> None:
        generation = self.mirror.generation
        self.mirror.heard(fetch, HERE, read_applications(body))
        if fetch.full and self.mirror.generation != generation:
            self.restarts_at_full = restarts

    def _changed(self, action: Action, instance: Instance) -> None:
        self.recent.append((self.clock.monotonic(), action, instance))
        self.version += 1

    def _answer(self, fetch: Fetch) -> bytes:
        if fetch.full:
            return listing([(Action.ADDED, instance) for instance in self.there.values()])
        changes = [(action, instance) for _, action, instance in self.recent]
        return listing(changes, str(self.version), apps_hash(count(self.there.values())))


TestChurn = Churn.TestCase
TestChurn.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
