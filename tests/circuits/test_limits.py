"""How many calls at a time, and that no permit is ever lost."""

from __future__ import annotations

import asyncio
import random
import sys
import threading

import pytest
from circuit_kit import Boom, Held, join

from resilient import CircuitFull, CircuitOpen, Runtime, circuit
from resilient.clock import SYSTEM


async def test_case_63_the_third_of_two_is_refused_at_once():
    held = Held(max_concurrent=2)
    first, second = await held.begin(), await held.begin()
    with pytest.raises(CircuitFull, match="max_concurrent=2") as error:
        await held.f()
    assert error.value.__suppress_context__  # our empty stack is nobody's business
    first[1].set_result(1)
    await first[0]
    third = await held.begin()
    with pytest.raises(CircuitFull):
        await held.f()
    for task, end in (second, third):
        end.set_result(1)
        await task
    assert held.f.snapshot().in_flight == 0
    assert held.f.snapshot().counts["rejected"] == 2


async def test_permits_of_earlier_generations_count():
    held = Held(max_concurrent=3)
    old = [await held.begin() for _ in range(2)]
    held.f.open()
    held.f.close()
    new = await held.begin()
    assert held.f.snapshot().in_flight == 3
    with pytest.raises(CircuitFull):
        await held.f()
    old[0][1].set_result(1)
    await old[0][0]
    another = await held.begin()
    for task, end in (old[1], new, another):
        end.set_result(1)
        await task
    assert held.f.snapshot().in_flight == 0


async def test_case_65_ten_thousand_random_ends_leave_nothing_behind():
    rng = random.Random(65)

    @circuit("mix", timeout=60, max_concurrent=50, min_calls=1_000_000, count_rejections=False)
    async def mix(way: int) -> int:
        for _ in range(rng.randrange(3)):
            await asyncio.sleep(0)
        if way == 1:
            raise Boom
        return way

    ends: dict[str, int] = {}

    async def one(way: int) -> None:
        task = asyncio.ensure_future(mix(way))
        if way in (2, 3):
            await asyncio.sleep(0)
        if way == 2:
            task.cancel()
        elif way == 3:
            queue = mix.circuit.queue
            for attempt in list(getattr(queue, "live", ()))[-1:]:
                del queue.live[attempt]
                attempt.expire()
        try:
            await task
            word = "success"
        except (Exception, asyncio.CancelledError) as error:
            word = type(error).__name__
        ends[word] = ends.get(word, 0) + 1

    for _ in range(100):
        await asyncio.gather(*(one(rng.randrange(5)) for _ in range(100)))
    counts = mix.snapshot().counts
    assert sum(ends.values()) == 10_000
    assert counts["success"] == ends["success"] > 1000
    assert counts["failure"] == ends["Boom"] > 500
    assert counts["timeout"] == ends["CallTimeout"] > 100
    assert counts["rejected"] == ends["CircuitFull"] > 100
    assert mix.snapshot().in_flight == 0
    assert not mix.circuit.queue.live
    held = [asyncio.ensure_future(mix(0)) for _ in range(50)]
    assert await asyncio.gather(*held) == [0] * 50


@pytest.mark.parametrize("limit", [3, 8])
def test_hammered_by_threads_while_it_turns(limit):
    """Never more than the limit inside, no permit lost or doubled, and every call is counted once."""
    runtime = Runtime(clock=SYSTEM)
    inside = 0
    most = 0
    gauge = threading.Lock()
    ended = {"good": 0, "bad": 0, "open": 0, "full": 0}

    with runtime.active():

        @circuit(
            "hammer",
            max_concurrent=limit,
            reset_timeout=0.0001,
            count_rejections=False,
            min_calls=5,
            window=600,
        )
        def work(bad: bool) -> None:
            nonlocal inside, most
            with gauge:
                inside += 1
                most = max(most, inside)
            for _ in range(20):
                pass
            with gauge:
                inside -= 1
            if bad:
                raise Boom

        work.snapshot()

    def hammer(seed: int) -> None:
        rng = random.Random(seed)
        mine = dict.fromkeys(ended, 0)
        with runtime.active():
            for n in range(600):
                if n % 50 == seed:
                    rng.choice(
                        (work.open, work.close, work.circuit.breaker.open, work.circuit.breaker.close)
                    )()
                try:
                    work(rng.random() < 0.1)
                    mine["good"] += 1
                except Boom:
                    mine["bad"] += 1
                except CircuitFull:
                    mine["full"] += 1
                except CircuitOpen:
                    mine["open"] += 1
        with gauge:
            for word, n in mine.items():
                ended[word] += n

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(12)]
        for thread in threads:
            thread.start()
        join(threads)
    finally:
        sys.setswitchinterval(before)
    with runtime.active():
        snapshot = work.snapshot()
        counts = snapshot.counts
        assert most <= limit
        assert snapshot.in_flight == 0
        assert counts["success"] == ended["good"]
        assert counts["failure"] == ended["bad"]
        assert counts["short_circuited"] == ended["open"]
        assert counts["rejected"] == ended["full"]
        assert sum(ended.values()) == 12 * 600
        # All permits are back: the limit can be reached again, and not more.
        work.close()
        held = [work.circuit.admit(len) for _ in range(limit)]
        with pytest.raises(CircuitFull):
            work.circuit.admit(len)
        for attempt in held:
            work.circuit.ended(attempt, 1)
        assert work.snapshot().in_flight == 0


def test_a_permit_looked_for_before_a_turn_is_not_one_after_it():
    """Between reading the switch and taking a permit a thread may sleep through a turn."""

    @circuit("asleep", max_concurrent=2)
    def call() -> None:
        pass

    held = [call.circuit.admit(call) for _ in range(2)]
    for attempt in held:
        call.circuit.ended(attempt, None)
    asleep = call.circuit.take
    call.close()
    new = [call.circuit.admit(call) for _ in range(2)]
    with pytest.raises(IndexError):  # which sends it the long way
        asleep.pop()
    with pytest.raises(CircuitFull):
        call.circuit.admit(call)
    for attempt in new:
        call.circuit.ended(attempt, None)
    assert call.snapshot().in_flight == 0


def test_turning_by_hand_and_by_calls_at_once_is_no_deadlock():
    """pybreaker has a lock of its own: whoever takes both must take them in one order."""
    runtime = Runtime(clock=SYSTEM)

    with runtime.active():

        @circuit("locks", fail_max=1, reset_timeout=1e-6)
        def fail() -> None:
            raise Boom

    def by_calls() -> None:
        with runtime.active():
            for _ in range(400):
                with pytest.raises((Boom, CircuitOpen)):
                    fail()

    def by_hand() -> None:
        with runtime.active():
            breaker = fail.circuit.breaker
            for _ in range(400):
                breaker.open()
                breaker.close()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [
            threading.Thread(target=one, daemon=True) for one in (by_calls, by_hand, by_calls, by_hand)
        ]
        for thread in threads:
            thread.start()
        join(threads)
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("options", [{}, {"timeout": None}], ids=["timed", "untimed"])
async def test_a_permit_of_the_long_way_goes_back_to_its_own_crew(options):
    """The circuit turns after a call has read the switch, and before it takes a permit."""
    held = Held(max_concurrent=2, **options)
    first = await held.begin()  # brings the loop's queue
    first[1].set_result(1)
    await first[0]

    class Turning(list):
        def pop(self):
            held.f.close()
            raise IndexError

    held.f.circuit.take = Turning()
    for _ in range(3):
        task, end = await held.begin()
        end.set_result(1)
        await task
    assert held.f.snapshot().in_flight == 0
