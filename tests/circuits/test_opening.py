"""When a closed circuit opens. Numbers are those of the list of cases it was specified with."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from circuit_kit import Asked, Boom, Held, Reply, join, together

from resilient import CallTimeout, CircuitFull, CircuitOpen, Runtime, circuit
from resilient.clock import SYSTEM


def test_case_01_nineteen_failures_are_too_few(serve):
    service = serve()
    service.bad(19)
    assert service.state == "closed"
    assert service.invoked == 19


def test_case_02_the_twentieth_failure_opens(serve, turns):
    service = serve()
    service.bad(20)
    assert turns == [("closed", "open")]
    error = service.refused()
    assert isinstance(error, CircuitOpen)
    assert error.retry_after == pytest.approx(5.0)
    assert "Boom: no" in str(error)
    assert service.invoked == 20
    assert service.counts["short_circuited"] == 1


@pytest.mark.parametrize("first", ["good", "bad"])
def test_case_03_alternating_opens_exactly_at_the_twentieth(serve, first):
    service = serve()
    acts = [service.good, service.bad] if first == "good" else [service.bad, service.good]
    for n in range(20):
        assert service.state == "closed", f"open after {n} calls"
        acts[n % 2]()
    assert service.state == "open"
    assert service.counts["success"] == service.counts["failure"] == 10
    service.refused()


def test_case_04_forty_five_percent_is_not_enough(serve):
    service = serve()
    service.bad(9)
    service.good(11)
    assert service.state == "closed"
    service.bad()
    assert service.state == "closed"  # 10 of 21
    service.bad()
    assert service.state == "open"  # 11 of 22


def test_case_05_a_success_may_reach_the_volume(serve):
    service = serve()
    service.bad(10)
    service.good(9)
    assert service.state == "closed"
    service.good()
    assert service.state == "open"


def test_case_06_what_left_the_window_does_not_count(serve, clock):
    service = serve()
    service.bad(19)
    clock.advance(10.0)  # starts on the edge of a slice: the first slice has left
    service.bad()
    assert service.state == "closed"
    assert service.f.snapshot().calls == 1


def test_case_07_what_is_still_in_the_window_does(serve, clock):
    service = serve()
    service.bad(19)
    clock.advance(9.999)
    service.bad()
    assert service.state == "open"


def test_successes_that_leave_the_window_may_open_it_at_the_next_success(serve, clock):
    service = serve()
    service.good(30)
    clock.advance(5.0)
    service.bad(25)
    service.good()  # ends the row of failures, after which every good call would be looked at
    assert service.state == "closed"  # 25 of 56
    clock.advance(5.0)  # the thirty have left
    service.good()
    assert service.state == "open"


def test_case_08_wrong_questions_are_not_failures(serve):
    service = serve(exclude=Asked)
    service.bad(100, Asked())
    service.bad(19)
    assert service.state == "closed"
    assert service.f.snapshot().calls == 19
    assert service.counts["excluded"] == 100


def test_case_09_cancelled_calls_are_not_failures(serve):
    service = serve()
    if service.kind == "async":
        service.bad(100, asyncio.CancelledError())
    else:
        service.bad(100, GeneratorExit())
    service.bad(19)
    assert service.state == "closed"
    assert service.counts["void"] == 100
    assert service.in_flight == 0


@pytest.mark.parametrize(("counted", "state"), [(True, "open"), (False, "closed")])
async def test_case_10_a_full_circuit_opens_unless_told_otherwise(counted, state):
    held = Held(max_concurrent=1, count_rejections=counted)
    task, end = await held.begin()
    for _ in range(20):
        with pytest.raises(CircuitFull) as full:
            await held.f()
        assert full.value.limit == 1
    assert held.f.state == state
    assert held.f.snapshot().counts["rejected"] == 20
    end.set_result(1)
    assert await task == 1
    assert held.f.snapshot().in_flight == 0


async def test_case_11_timeouts_open_and_are_no_failures():
    with Runtime(clock=SYSTEM).active():
        held = Held(timeout=0.01)
        answers = await asyncio.gather(*(held.f() for _ in range(20)), return_exceptions=True)
        assert all(isinstance(answer, CallTimeout) for answer in answers)
        assert held.f.state == "open"
        counts = held.f.snapshot().counts
        assert (counts["timeout"], counts["failure"]) == (20, 0)
        assert "timed out" in held.f.snapshot().last_error


def test_case_12_a_404_that_was_returned_is_an_answer(serve):
    service = serve()
    reply = Reply(404)
    for _ in range(20):
        assert service(reply) is reply
    assert service.state == "closed"
    assert service.counts["excluded"] == 20


@pytest.mark.parametrize("status", [500, 503, 408, 425, 429])
def test_case_13_a_500_that_was_returned_opens(serve, status):
    service = serve()
    reply = Reply(status)
    for _ in range(20):
        assert service(reply) is reply
    assert service.state == "open"
    assert f"status {status}" in str(service.refused())


def test_case_14_a_fallback_does_not_repair_the_rate(serve):
    service = serve(fallback=lambda act: 7)
    assert [service(Boom()) for _ in range(20)] == [7] * 20
    assert service.state == "open"
    assert service.counts["fallback_success"] == 20


def test_case_15_refused_calls_change_no_rate(serve):
    service = serve()
    service.bad(20)
    before = service.f.snapshot()
    for _ in range(300):
        service.refused()
    after = service.f.snapshot()
    assert (after.calls, after.error_rate) == (before.calls, before.error_rate) == (20, 1.0)
    assert after.counts["short_circuited"] == 300


def test_case_16_a_hundred_percent_means_all(serve):
    service = serve(error_rate=1.0)
    service.bad(19)
    service.good()
    assert service.state == "closed"
    service = serve(name="other", error_rate=1.0)
    service.bad(20)
    assert service.state == "open"


def test_case_17_a_row_of_failures_opens_without_volume(serve):
    service = serve(name="row", fail_max=3)
    service.bad(3)
    assert service.state == "open"
    service = serve(name="broken row", fail_max=3)
    service.bad(2)
    service.good()
    service.bad(2)
    assert service.state == "closed"
    service.bad()
    assert service.state == "open"


def test_case_19_two_threads_open_it_once(turns):
    @circuit("threads")
    def fail() -> None:
        raise Boom

    def ten() -> None:
        for _ in range(10):
            with pytest.raises(Boom):
                fail()

    assert together(2, ten) == [None, None]
    assert fail.state == "open"
    assert turns == [("closed", "open")]


def test_sixteen_threads_run_side_by_side():
    inside = most = 0
    lock = threading.Lock()
    everybody = threading.Barrier(16, timeout=5)

    @circuit("slow")
    def slow() -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        everybody.wait()  # passes only if all sixteen are inside at once
        time.sleep(0.5)
        with lock:
            inside -= 1
        return 1

    started = time.perf_counter()
    assert together(16, slow) == [1] * 16
    assert time.perf_counter() - started < 6  # one after another would be 8
    assert most == 16
    counts = slow.snapshot().counts
    assert (counts["success"], sum(counts.values())) == (16, 16)
    slow.open()
    answers = together(16, slow)
    assert all(isinstance(answer, CircuitOpen) for answer in answers)
    assert slow.snapshot().counts["success"] == 16
    assert slow.snapshot().counts["short_circuited"] == 16


async def test_sixteen_tasks_run_side_by_side():
    held = Held()
    calls = [await held.begin() for _ in range(16)]
    assert held.f.snapshot().in_flight == 16
    for _, end in calls:
        end.set_result(1)
    assert await asyncio.gather(*(task for task, _ in calls)) == [1] * 16
    counts = held.f.snapshot().counts
    assert (counts["success"], sum(counts.values())) == (16, 16)
    held.f.open()
    answers = await asyncio.gather(*(held.f() for _ in range(16)), return_exceptions=True)
    assert all(isinstance(answer, CircuitOpen) for answer in answers)
    assert len(held.waiting) == 16


def test_case_104_two_loops_and_three_threads_on_one_circuit(runtime):
    """One count, and no complaint about whose loop it is."""

    @circuit("shared")
    async def call(n: int) -> int:
        await asyncio.sleep(0)
        if n % 10 == 9:
            raise Boom
        return n

    @circuit("shared")
    def plain(n: int) -> int:
        return n

    errors: list[object] = []

    def loop() -> None:
        async def all_of_it() -> None:
            for n in range(300):
                try:
                    await call(n)
                except Boom:
                    pass

        with runtime.active():
            try:
                asyncio.run(all_of_it())
            except BaseException as error:
                errors.append(error)

    def thread() -> None:
        with runtime.active():
            for n in range(300):
                plain(n)

    threads = [threading.Thread(target=target) for target in (loop, loop, thread, thread, thread)]
    for one in threads:
        one.start()
    join(threads)
    assert errors == []
    assert call.circuit is plain.circuit
    counts = call.snapshot().counts
    assert (counts["success"], counts["failure"]) == (2 * 270 + 3 * 300, 60)
    assert call.snapshot().in_flight == 0


def test_refused_calls_count_in_the_slice_they_came_in(serve, clock):
    service = serve(window=10, slices=10, reset_timeout=60)
    service.f.open()
    for _ in range(20):
        service.refused()
        clock.advance(1)
    assert service.counts["short_circuited"] in (9, 10)


def test_refused_exactly_until_it_may_try_again(serve, clock):
    service = serve(window=3600, slices=1, reset_timeout=2.5)
    service.f.open()
    for _ in range(4):
        service.refused()
        clock.advance(0.625)
    service.good()
    assert service.state == "closed"
