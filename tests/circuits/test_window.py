"""The window against a plain list of everything that ever happened."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient.circuits.policy import Outcome
from resilient.circuits.window import BAD, COLUMNS, FALLBACK_SUCCESS, GOOD, Window

STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.7, 3.0, 12.0, 1e6]),
        st.sampled_from([*Outcome, "fresh", "shut", "shut answered", "forgive"]),
        st.integers(1, 3),
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([(10.0, 10), (10.0, 4), (1.0, 10), (3.0, 1), (0.7, 7)]), st.floats(0, 1e5))
@settings(max_examples=150, deadline=None)
def test_against_a_naive_list(steps, shape, start):
    length, slices = shape
    now = start
    window = Window(length, slices, now)
    step = window.step
    naive: list[tuple[int, int, int]] = []  # (slice, column, n)
    for seconds, what, n in steps:
        now += seconds
        window.fold()
        window.roll(now)
        here = math.floor(now / step)
        if what == "fresh":
            window.fresh.extend([0.1] * n)
            naive += [(here, Outcome.SUCCESS, n), (here, GOOD, n)]
        elif what == "forgive":
            window.forgive()
            naive = [one for one in naive if one[1] not in (GOOD, BAD)]
        elif isinstance(what, str):
            for _ in range(n):
                next(window.answered if what == "shut answered" else window.shut)
            naive.append((here, Outcome.SHORT_CIRCUITED, n))
            if what == "shut answered":
                naive.append((here, FALLBACK_SUCCESS, n))
        else:
            window.add(what, n)
            naive.append((here, what, n))
            window.judge(what)
            if what in (Outcome.SUCCESS, Outcome.FAILURE, Outcome.TIMEOUT):
                naive.append((here, GOOD if what is Outcome.SUCCESS else BAD, 1))
    window.fold()
    now_slice = math.floor(now / step)
    expected = [
        sum(n for at, column, n in naive if column == wanted and at > now_slice - slices)
        for wanted in range(COLUMNS)
    ]
    assert window.sums == expected
    assert window.total == expected[GOOD] + expected[BAD]
    assert window.end == pytest.approx((now_slice + 1) * step)


def test_what_was_only_appended_belongs_to_the_slice_it_was_appended_in(clock):
    from resilient.circuits.circuit import Circuit

    circuit = Circuit("late fold", clock=clock)
    circuit.window.fresh.extend([0.1] * 5)
    clock.advance(9)
    assert circuit.snapshot().calls == 5
    clock.advance(1)
    assert circuit.snapshot().calls == 0
    circuit.window.fresh.extend([0.1] * 5)
    clock.advance(3600)
    snapshot = circuit.snapshot()
    assert snapshot.calls == 0
    assert len(snapshot.latency) == 0  # an hour ago is not within the last minute


def test_folding_leaves_what_comes_meanwhile():
    window = Window(10, 10, 0)

    class Busy(list):
        def __getitem__(self, item):
            found = super().__getitem__(item)
            self.append(9.0)  # another thread, between looking and taking
            return found

    window.fresh = Busy([0.1, 0.2])
    assert window.fold() == [0.1, 0.2]
    assert list(window.fresh) == [9.0]
    assert window.sums[Outcome.SUCCESS] == 2


def test_a_clock_that_steps_back_changes_nothing():
    window = Window(10, 10, 100)
    window.add(Outcome.FAILURE)
    window.roll(50)
    assert window.sums[Outcome.FAILURE] == 1
    window.add(Outcome.FAILURE)
    window.roll(109.9)
    assert window.sums[Outcome.FAILURE] == 2
    window.roll(110)
    assert window.sums[Outcome.FAILURE] == 0


def test_failures_that_are_judged_leave_with_their_slice():
    window = Window(10.0, 10, 0.0)
    window.fail(Outcome.FAILURE)
    window.roll(5.0)
    window.fail(Outcome.TIMEOUT)
    assert (window.sums[Outcome.FAILURE], window.sums[Outcome.TIMEOUT], window.total) == (1, 1, 2)
    window.roll(10.0)
    assert (window.sums[Outcome.FAILURE], window.sums[Outcome.TIMEOUT], window.total) == (0, 1, 1)
    window.roll(15.0)
    assert window.total == 0
