"""What the feed says, and when it is opened again."""

from random import Random
from statistics import mean

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import one

from resilient.clock import ManualClock
from resilient.discovery import feed
from resilient.discovery.feed import Change, Command, End, FeedPlan, Gone, Hello, Position, Reset, Watched
from resilient.discovery.sse_reader import Frame
from resilient.errors import WireError
from resilient.eureka.fields import Standing, tree
from resilient.model import Action


def said(name: str, data: object, id: str | None = None) -> feed.Word | None:
    return feed.read(Frame(name, orjson.dumps(data), id))


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("ab12-7", ("ab12", 7)),
        ("ab12-0", ("ab12", 0)),
        *[(text, None) for text in ("", "7", "-7", "a-", "a-x", "a--7", "a-" + "9" * 19, "a" * 65 + "-1", 7)],
    ],
)
def test_positions(text: object, position: tuple[str, int] | None) -> None:
    found = Position.parse(text)
    assert found == position
    assert found is None or str(found) == text


def test_words() -> None:
    assert said("hello", {"heartbeat": 2.5, "watched": True}) == Hello(2.5, True)
    assert said("hello", {"heartbeat": "soon"}) == Hello(5.0, False)
    assert said("hello", {"heartbeat": 1e300}) == Hello(5.0, False)
    assert said("reset", {}, "e-7") == Reset(Position("e", 7))
    assert said("watched", {"circuits": True}) == Watched(True)
    assert said("command", {"id": "x"}) == Command({"id": "x"})
    assert said("gone", {"retry_in": 1e9}) == Gone(2.0)
    assert said("gone", {"retry_in": 1000}) == Gone(300.0)
    assert said("service", {"service": "orders", "instances": []}) is None
    assert said("novelty", 7) is None


@pytest.mark.parametrize("action", [Action.ADDED, Action.MODIFIED])
def test_a_change(action: Action) -> None:
    instance = one("a", metadata={"version": "2"})
    data = {
        "action": action.value,
        "service": "orders",
        "id": "a",
        "hash": "UP_1_",
        "instance": tree(instance, Standing(action=action)),
    }
    word = said("change", data, "e-7")
    assert isinstance(word, Change)
    assert (word.at, word.action, word.fingerprint) == (Position("e", 7), Action.MODIFIED, "UP_1_")
    assert word.instance is not None
    assert (word.instance.url, word.instance.metadata) == (instance.url, instance.metadata)


def test_a_removal_needs_nothing_but_names_and_an_empty_registry_has_a_hash_too() -> None:
    word = said("change", {"action": "DELETED", "service": "ORDERS", "id": "a", "hash": ""}, "e-8")
    assert isinstance(word, Change)
    assert word.action is Action.DELETED
    assert word.fingerprint == ""
    assert word.instance is not None
    assert (word.instance.service, word.instance.id) == ("orders", "a")


@pytest.mark.parametrize("tree", [None, 7, {}, {"app": "ORDERS"}])
def test_an_instance_that_makes_no_sense_is_one_nobody_can_call(tree: object) -> None:
    data = {"action": "ADDED", "service": "orders", "id": "a", "hash": "UP_1_", "instance": tree}
    word = said("change", data, "e-8")
    assert isinstance(word, Change)
    assert word.instance is None


@pytest.mark.parametrize(
    ("name", "data", "id"),
    [
        ("change", {"action": "DELETED", "service": "o", "id": "a"}, None),
        ("change", {"action": "DELETED", "service": "o", "id": "a"}, "here"),
        ("change", {"action": "DELETED", "service": 7, "id": "a"}, "e-1"),
        ("change", [], "e-1"),
        ("reset", {}, ""),
        ("hello", "hello", None),
    ],
)
def test_nonsense(name: str, data: object, id: str | None) -> None:
    with pytest.raises(WireError):
        said(name, data, id)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(["change", "hello", "reset", "watched", "command", "gone", "x"])
DATA = st.dictionaries(
    st.sampled_from(["action", "service", "id", "hash", "instance", "heartbeat", "retry_in", "circuits"]),
    json,
)


@settings(max_examples=50)
@given(NAMES, DATA, st.none() | st.just("e-1"))
def test_whatever_is_said_is_understood_or_refused(
    name: str, data: dict[str, object], id: str | None
) -> None:
    try:
        frame = Frame(name, orjson.dumps(data), id)
    except TypeError:
        return  # numbers that JSON here does not carry
    try:
        feed.read(frame)
    except WireError:
        pass


# -- when it is opened ----------------------------------------------------------------------------

HERE, INFINITY = "http://a/eureka/", float("inf")


def plans(n: int = 400) -> tuple[list[FeedPlan], ManualClock]:
    clock = ManualClock()
    return [FeedPlan(clock=clock, rng=Random(seed)) for seed in range(n)], clock


def waits(some: list[FeedPlan]) -> list[float]:
    return [plan.wait(HERE) for plan in some]


def test_a_feed_is_opened_at_once_and_after_an_orderly_end_within_a_second() -> None:
    some, clock = plans()
    assert set(waits(some)) == {0.0}
    for plan in some:
        plan.opened()
        assert plan.open
    clock.advance(60)
    for plan in some:
        plan.ended(End.CLOSED)
        assert not plan.open
    drawn = waits(some)
    assert 0 <= min(drawn) < 0.1
    assert 0.9 < max(drawn) <= 1
    assert mean(drawn) == pytest.approx(0.5, abs=0.1)


def test_streams_that_end_soon_are_opened_ever_later_and_a_steady_one_makes_up_for_it() -> None:
    some, clock = plans()
    waits(some)
    means = []
    for _ in range(8):
        for plan in some:
            plan.opened()
            plan.ended(End.CLOSED)
        means.append(mean(waits(some)))
        clock.advance(31)
    assert means == pytest.approx([0.5, 1, 2, 4, 8, 15, 15, 15], rel=0.15)
    for plan in some:
        plan.opened()
    clock.advance(feed.STEADY)
    for plan in some:
        plan.ended(End.CLOSED)
    assert max(waits(some)) <= 1


def test_after_a_break_the_registry_must_have_answered_a_poll() -> None:
    (plan,), clock = plans(1)
    plan.wait(HERE)
    plan.opened()
    plan.ended(End.BROKEN)
    clock.advance(100)
    assert plan.wait(HERE) == INFINITY
    plan.polled()
    assert plan.wait(HERE) == 0


def test_after_another_life_has_begun_not_all_come_at_once() -> None:
    some, _ = plans()
    waits(some)
    for plan in some:
        plan.opened()
        plan.ended(End.BROKEN)
        plan.polled(10)
        plan.polled(10)  # what was drawn stays
    assert mean(waits(some)) == pytest.approx(5, abs=0.6)
    assert max(waits(some)) <= 10


def test_what_the_registry_asks_for_is_kept_with_jitter() -> None:
    some, _ = plans()
    waits(some)
    for plan in some:
        plan.ended(End.GONE, 10)
        plan.polled()
    drawn = waits(some)
    assert 5 <= min(drawn) < 5.5
    assert 14.5 < max(drawn) <= 15
    some, _ = plans()
    waits(some)
    for plan in some:
        plan.ended(End.BUSY, 10)
        plan.polled()
    assert min(waits(some)) >= 5
    assert max(waits(some)) <= 16


def test_a_registry_without_a_feed_is_left_alone_for_five_minutes_but_another_one_is_asked() -> None:
    some, _ = plans()
    waits(some)
    for plan in some:
        plan.ended(End.ABSENT)
        plan.polled()
    assert min(waits(some)) >= 270
    assert max(waits(some)) <= 330
    assert some[0].wait("http://b/eureka/") == 0
