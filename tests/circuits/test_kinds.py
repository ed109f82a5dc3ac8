"""Failures by the name of their kind: few of them, of the last minutes, and only failures."""

from __future__ import annotations

import asyncio
import sys

import pytest
from circuit_kit import Asked, Boom, Held, Reply
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient import CallTimeout, CircuitFull, Runtime, circuit
from resilient.circuits.kinds import NO_KINDS, Kinds
from resilient.clock import SYSTEM


def learnt(*names: str) -> Kinds:
    kinds = Kinds(until=300.0)
    for name in names:
        kinds.learn(type(name, (Exception,), {}))
    return kinds


def test_errors_are_counted_by_their_class(serve):
    service = serve(min_calls=1000, exclude=Asked)
    assert service.f.snapshot().kinds == {}
    service.bad(3)
    service.bad(5, ValueError("secret"))
    service.bad(1, Boom("again"))
    service.bad(7, Asked())  # the service answered
    service.good(9)
    assert list(service.f.snapshot().kinds.items()) == [("ValueError", 5), ("Boom", 4)]
    assert service.f.snapshot().as_dict()["kinds"] == {"ValueError": 5, "Boom": 4}


def test_a_result_that_failed_is_its_status(serve):
    service = serve(min_calls=1000, failed=lambda result: result != 1)
    for result in (Reply(503), Reply(503), Reply(500), None):
        service(lambda result=result: result)
    assert service.f.snapshot().kinds == {"status 503": 2, "status 500": 1, "bad result (NoneType)": 1}


def test_what_an_open_circuit_refuses_is_no_failure(serve, clock):
    service = serve(min_calls=2)
    service.bad(2)
    for _ in range(5):
        service.refused()
    clock.advance(5)
    service.bad()  # the trial
    assert service.f.snapshot().kinds == {"Boom": 3}


async def test_a_limit_has_a_word_of_its_own():
    held = Held(max_concurrent=1, count_rejections=False)
    task, end = await held.begin()
    with pytest.raises(CircuitFull):
        await held.f()
    end.set_result(1)
    await task
    assert held.f.snapshot().kinds == {"rejected": 1}


def test_our_own_deadline_has_a_word_of_its_own():
    @circuit("slow", timeout=0.01)
    async def slow() -> None:
        await asyncio.Event().wait()

    with Runtime(clock=SYSTEM).active():
        with pytest.raises(CallTimeout):
            asyncio.run(slow())
        assert slow.snapshot().kinds == {"timeout": 1}


def test_a_socket_that_gave_up_when_the_time_was_up_was_late_too(serve, clock):
    service = serve(timeout=1.0)

    def gives_up() -> None:
        clock.advance(1.0)
        raise OSError("timed out")

    with pytest.raises((OSError, CallTimeout)):
        service(gives_up)
    assert service.counts["timeout"] == 1
    assert service.f.snapshot().kinds == {"timeout": 1}


def test_a_full_pool_of_threads_is_a_limit():
    @circuit("report", isolation="thread", pool_size=1, timeout=30)
    def report(work):
        return work()

    def inside() -> None:
        with pytest.raises(CircuitFull):
            report(lambda: 1)

    report(inside)
    assert report.snapshot().kinds == {"rejected": 1}


def test_a_stream_that_breaks_later_has_failed():
    @circuit("numbers")
    def numbers():
        yield 1
        raise Boom

    with pytest.raises(Boom):
        list(numbers())
    assert numbers.snapshot().kinds == {"Boom": 1}


def test_they_leave_after_five_to_ten_minutes(serve, clock):
    service = serve(min_calls=1000)
    service.bad(2)
    clock.advance(299.9)
    service.bad(1, ValueError())
    clock.advance(1)
    assert service.f.snapshot().kinds == {"Boom": 2, "ValueError": 1}
    service.bad(4, KeyError())
    clock.advance(299.0)
    assert service.f.snapshot().kinds == {"KeyError": 4, "Boom": 2, "ValueError": 1}
    clock.advance(1)
    assert service.f.snapshot().kinds == {"KeyError": 4}
    clock.advance(300)
    assert service.f.snapshot().kinds == {}


def test_long_after_nothing_is_left_at_once(serve, clock):
    service = serve(min_calls=1000)
    service.bad(2)
    clock.advance(601)
    assert service.f.snapshot().kinds == {}
    service.bad(1)
    clock.advance(299)
    assert service.f.snapshot().kinds == {"Boom": 1}


def test_slices_longer_than_that_keep_none_back(serve, clock):
    service = serve(min_calls=1000, window=7200, slices=1)
    service.bad(2)
    clock.advance(601)
    assert service.f.snapshot().kinds == {}


def test_eight_are_told_apart_and_the_rest_is_one(serve):
    service = serve(min_calls=10_000)
    for n in range(100):
        service.bad(1, type(f"E{n:02}", (Exception,), {})())
    service.bad(2, ValueError())
    found = service.f.snapshot().kinds
    assert list(found) == [f"E{n:02}" for n in range(8)] + ["other"]
    assert found["other"] == 94
    assert len(service.f.circuit.kinds.counts) == 9


def test_of_two_generations_the_most_frequent_are_told():
    kinds = learnt("A", "B", "C", "D", "E", "F", "G", "H", "I")
    kinds.turn(300.0)
    for name in ("P", "Q", "Q", "R", "R", "R", "A"):
        kinds.learn(type(name, (Exception,), {}))
    told = kinds.told()
    assert told[:3] == [("R", 3), ("A", 2), ("Q", 2)]
    assert len(told) == 9
    assert told[-1] == ("other", 4)  # I was other already, and three more have no place
    assert sum(n for _, n in told) == 16


def test_types_made_anew_with_one_name_are_one_kind():
    kinds = learnt(*["ClientError"] * 20, "Other")
    assert kinds.told() == [("ClientError", 20), ("Other", 1)]
    assert len(kinds.counts) == 2


def test_names_are_cut():
    assert learnt("E" * 200, "E" * 300).told() == [("E" * 80, 2)]
    kinds = Kinds(until=1.0)
    kinds.learn("bad result (" + "x" * 500 + ")")
    assert len(kinds.told()[0][0]) == 80


def test_whoever_never_failed_shares_one_that_stays_empty(serve, clock):
    first, second = serve(name="first", min_calls=1000), serve(name="second")
    first.good()
    second.good()
    assert first.f.circuit.kinds is second.f.circuit.kinds is NO_KINDS
    first.bad()
    assert second.f.circuit.kinds is NO_KINDS
    NO_KINDS.turn(sys.float_info.max)
    assert not NO_KINDS.counts


def test_a_child_of_a_fork_begins_anew(serve):
    service = serve(min_calls=1000)
    service.bad(2)
    service.f.circuit.after_fork()
    service.bad(1)
    assert service.f.snapshot().kinds == {"Boom": 1}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 200)), max_size=60))
def test_nothing_of_the_last_five_minutes_is_lost_and_it_stays_small(steps):
    types = [type(f"E{n}", (Exception,), {}) for n in range(21)]
    kinds, now, seen = Kinds(until=300.0), 0.0, []
    for n, seconds in steps:
        now += seconds
        kinds.turn(now)
        kinds.learn(types[n])
        seen.append(now)
        told = sum(count for _, count in kinds.told())
        assert sum(now - at < 300 for at in seen) <= told <= sum(now - at <= 600 for at in seen)
        assert len(kinds.told()) <= 9
        assert len(kinds.counts) <= 9
