"""Permits that nobody needs are put away, and those that were lost are found."""

from __future__ import annotations

import random
import sys
import threading

import pybreaker
import pytest
from circuit_kit import Boom, Held, join

from resilient import CircuitFull, Runtime, circuit
from resilient.circuits.attempt import current_attempt, watch
from resilient.clock import SYSTEM


async def hold(held: Held, n: int) -> None:
    calls = [await held.begin() for _ in range(n)]
    for task, end in calls:
        end.set_result(1)
        await task


async def pass_time(held: Held, clock, seconds: float, n: int) -> None:
    """So many calls at a time, twice in a second."""
    for _ in range(int(seconds * 2)):
        calls = [await held.begin() for _ in range(n)]
        clock.advance(0.5)
        for task, end in calls:
            end.set_result(1)
            await task


async def test_after_a_peak_the_permits_go_within_two_windows(clock):
    held = Held(timeout=None)
    await hold(held, 80)
    assert held.f.circuit.crew.made == 80
    await pass_time(held, clock, 5, 3)
    assert held.f.circuit.crew.made == 80  # the peak is still in the window
    await pass_time(held, clock, 25, 3)
    assert held.f.circuit.crew.made <= 4
    assert held.f.snapshot().in_flight == 0
    await hold(held, 80)
    assert held.f.circuit.crew.made == 80


async def test_what_is_needed_stays(clock):
    """The peak is looked for once in a slice, so a few may go; they are made again for half a microsecond."""
    held = Held(timeout=None)
    for _ in range(10):
        calls = [await held.begin() for _ in range(30)]
        for task, end in calls:
            end.set_result(1)
            clock.advance(0.2)
            await task
        assert 20 <= held.f.circuit.crew.made <= 30


def lost_between_pop_and_began(call) -> None:
    assert call.circuit.take.pop() is not None


def lost_after_began(call) -> None:
    attempt = call.circuit.take.pop()
    attempt.began = call.circuit.now()


@pytest.mark.parametrize(
    ("lose", "seconds"), [(lost_between_pop_and_began, 25), (lost_after_began, 3600 + 25)]
)
def test_a_lost_permit_is_found(clock, lose, seconds):
    """Ctrl-C between taking a permit and the ``try`` that gives it back."""

    @circuit("lossy", max_concurrent=3)
    def call() -> int:
        return 1

    held = [call.circuit.admit(len) for _ in range(3)]
    for attempt in held:
        call.circuit.ended(attempt, 1)
    for _ in range(2):
        lose(call)
    assert call.snapshot().in_flight == 2
    for _ in range(int(seconds)):
        clock.advance(1)
        assert call() == 1
    assert call.snapshot().in_flight == 0
    again = [call.circuit.admit(len) for _ in range(3)]
    with pytest.raises(CircuitFull):
        call.circuit.admit(len)
    for attempt in again:
        call.circuit.ended(attempt, 1)


def test_between_taking_one_and_beginning_it_is_not_lost_at_once(clock):
    @circuit("asleep", max_concurrent=2)
    def call() -> int:
        return 1

    held = [call.circuit.admit(len) for _ in range(2)]
    for attempt in held:
        call.circuit.ended(attempt, 1)
    asleep = call.circuit.take.pop()
    clock.advance(11)
    call()  # sweeps
    assert call.snapshot().in_flight == 1
    asleep.began = call.circuit.now()
    clock.advance(11)
    call()
    assert call.snapshot().in_flight == 1
    call.circuit.ended(asleep, 1)
    assert call.snapshot().in_flight == 0


async def test_a_long_call_is_not_lost(clock):
    held = Held(timeout=None, max_concurrent=2)
    long, end = await held.begin()
    for _ in range(100):
        clock.advance(10)
        await hold(held, 1)
        assert held.f.snapshot().in_flight == 1
    clock.advance(36000)
    await hold(held, 1)
    assert held.f.snapshot().in_flight == 1  # it has no limit
    end.set_result(7)
    assert await long == 7
    assert held.f.snapshot().in_flight == 0


async def test_a_call_given_up_by_mistake_ends_as_any_other(clock):
    held = Held(timeout=60, max_concurrent=2)
    long, end = await held.begin()
    for _ in range(40):
        clock.advance(100)
        await hold(held, 1)
    assert held.f.snapshot().in_flight == 0
    end.set_exception(Boom())
    with pytest.raises(Boom):
        await long
    assert held.f.snapshot().in_flight == 0
    assert held.f.snapshot().counts["timeout"] == 1  # its time had long been over


def test_put_away_while_threads_call():
    """Windows of a millisecond: trimmed all the time, and never more inside than allowed."""
    runtime = Runtime(clock=SYSTEM)
    inside = most = 0
    gauge = threading.Lock()

    with runtime.active():

        @circuit("busy", window=0.001, slices=2, max_concurrent=6, count_rejections=False)
        def work() -> None:
            nonlocal inside, most
            with gauge:
                inside += 1
                most = max(most, inside)
            with gauge:
                inside -= 1

        work.snapshot()

    def hammer(seed: int) -> None:
        rng = random.Random(seed)
        with runtime.active():
            for _ in range(1500):
                try:
                    work()
                except CircuitFull:
                    pass
                if rng.random() < 0.01:
                    work.snapshot()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(10)]
        for thread in threads:
            thread.start()
        join(threads)
    finally:
        sys.setswitchinterval(before)
    with runtime.active():
        assert most <= 6
        assert work.snapshot().in_flight == 0
        assert work.circuit.crew.made == len(work.circuit.crew.all) <= 6


class Hears(pybreaker.CircuitBreakerListener):
    def success(self, cb):
        """Wants to hear of each call, so none takes the short way."""


def test_while_calls_are_watched_permits_are_used_again_and_afterwards_too(serve):
    listener = Hears()
    service = serve(listeners=[listener])
    service.bad(2)
    service.good(3)
    circuit = service.f.circuit
    (only,) = circuit.crew.all
    circuit.breaker.remove_listener(listener)
    waiting = len(circuit.window.fresh)
    service.good(2)
    assert circuit.crew.all == {only}
    assert len(circuit.window.fresh) == waiting + 2  # the short way, in and out
    assert service.in_flight == 0


def test_a_watched_call_that_was_asked_for_is_not_used_again(serve):
    service = serve(listeners=[Hears()])
    kept = []
    watch()

    def keep():
        kept.append(current_attempt())
        return 1

    service(keep)
    service(keep)
    assert kept[0] is not kept[1]
    assert not service.f.circuit.crew.all
