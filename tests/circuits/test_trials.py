"""From open to half-open and back. Numbers are those of the list of cases."""

from __future__ import annotations

import asyncio

import pytest
from circuit_kit import Asked, Boom, Held, Reply, together

from resilient import CallTimeout, CircuitFull, CircuitOpen, Runtime, circuit
from resilient.clock import SYSTEM


def opened(service):
    service.bad(20)
    assert service.state == "open"
    return service


def test_case_20_the_trial_is_due_to_the_millisecond(serve, clock):
    service = opened(serve())
    clock.advance(4.999)
    assert service.refused().retry_after == pytest.approx(0.001)
    clock.advance(0.001)
    service.good()
    assert service.invoked == 21


def test_case_21_without_traffic_it_stays_open(serve, clock, turns):
    service = opened(serve())
    clock.advance(3600)
    assert service.state == "open"
    assert turns == [("closed", "open")]
    snapshot = service.f.snapshot()
    assert snapshot.retry_in is None  # a trial is due
    service.good()
    assert turns[1:] == [("open", "half-open"), ("half-open", "closed")]


@pytest.mark.parametrize("trials", [1, 3])
async def test_case_22_of_a_hundred_tasks_only_the_trials_get_through(clock, trials):
    held = Held(trials=trials, success_threshold=trials)
    held.f.open()
    clock.advance(5)
    tasks = [asyncio.create_task(held.f()) for _ in range(100)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(held.waiting) == trials
    for end in held.waiting:
        end.set_result(1)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(answer, CircuitOpen) for answer in answers) == 100 - trials
    assert answers.count(1) == trials
    assert held.f.snapshot().counts["short_circuited"] == 100 - trials
    assert held.f.state == "closed"


@pytest.mark.parametrize("trials", [1, 4])
def test_case_23_of_a_hundred_threads_only_the_trials_get_through(clock, trials):
    import threading

    release = threading.Event()
    invoked: list[int] = []

    @circuit("trial", trials=trials, success_threshold=trials)
    def trial() -> int:
        invoked.append(1)
        assert release.wait(10)
        return 1

    refused = threading.Semaphore(0)

    def call() -> int:
        try:
            return trial()
        except CircuitOpen:
            refused.release()
            raise

    for _ in range(8):
        trial.open()
        clock.advance(5)
        invoked.clear()
        release.clear()

        def watch() -> None:
            for _ in range(100 - trials):
                assert refused.acquire(timeout=10)
            release.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        answers = together(100, call)
        watcher.join()
        assert len(invoked) == trials
        assert answers.count(1) == trials
        assert trial.state == "closed"


def test_case_23_many_rounds_of_a_few_threads(clock):
    invoked: list[int] = []

    @circuit("trial", timeout=None)
    def trial() -> int:
        invoked.append(1)
        raise Boom

    for _ in range(100):
        trial.open()
        clock.advance(5)
        invoked.clear()
        together(4, trial)
        assert len(invoked) == 1
        assert trial.state == "open"


def test_case_24_a_good_trial_closes_with_a_clean_window(serve, clock):
    service = opened(serve())
    clock.advance(5)
    service.good()
    assert service.state == "closed"
    assert service.f.snapshot().calls == 0
    service.bad(19)
    assert service.state == "closed"
    service.bad()
    assert service.state == "open"


def test_case_25_a_bad_trial_starts_the_time_anew(serve, clock):
    service = opened(serve())
    clock.advance(7)
    service.bad()
    assert service.state == "open"
    clock.advance(4.999)
    service.refused()
    clock.advance(0.001)
    service.good()
    assert service.state == "closed"


async def test_case_26_a_trial_that_times_out_opens():
    with Runtime(clock=SYSTEM).active():
        held = Held(timeout=0.01, reset_timeout=0.01)
        held.f.open()
        await asyncio.sleep(0.011)
        with pytest.raises(CallTimeout):
            await held.f()
        assert held.f.state == "open"
        assert held.f.snapshot().counts["timeout"] == 1


def test_case_27_an_ignored_error_gives_the_trial_back(serve, clock):
    service = opened(serve(ignore=Asked))
    clock.advance(5)
    service.bad(1, Asked())
    assert service.state == "half-open"
    service.good()
    assert service.state == "closed"


def test_an_excluded_error_is_an_answer_and_closes(serve, clock):
    service = opened(serve(exclude=Asked))
    clock.advance(5)
    service.bad(1, Asked())
    assert service.state == "closed"


def test_case_28_a_404_closes(serve, clock):
    service = opened(serve())
    clock.advance(5)
    service(Reply(404))
    assert service.state == "closed"


async def test_case_29_a_cancelled_trial_gives_the_permit_back(clock):
    held = Held()
    held.f.open()
    clock.advance(5)
    task, _ = await held.begin()
    assert held.f.state == "half-open"
    with pytest.raises(CircuitOpen):
        await held.f()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert held.f.state == "half-open"
    assert held.f.snapshot().in_flight == 0
    task, end = await held.begin()
    end.set_result(1)
    assert await task == 1
    assert held.f.state == "closed"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_case_30_ctrl_c_gives_the_trial_back(clock, error):
    @circuit
    def call(act: BaseException | None = None) -> int:
        if act is not None:
            raise act
        return 1

    call.open()
    clock.advance(5)
    with pytest.raises(error):
        call(error())
    assert call.state == "half-open"
    assert call.snapshot().in_flight == 0
    assert call() == 1
    assert call.state == "closed"


async def test_case_31_a_trial_refused_by_a_full_circuit_decides_nothing(clock):
    held = Held(max_concurrent=2)
    old = [await held.begin() for _ in range(2)]
    held.f.open()
    clock.advance(5)
    with pytest.raises(CircuitFull):
        await held.f()
    assert held.f.state == "half-open"
    assert len(held.waiting) == 2
    old[0][1].set_result(1)
    await old[0][0]
    assert held.f.state == "half-open"
    task, end = await held.begin()
    end.set_result(1)
    await task
    assert held.f.state == "closed"
    old[1][1].set_result(1)
    await old[1][0]
    assert held.f.snapshot().in_flight == 0


async def test_case_32_a_trial_that_never_ends_has_failed(clock):
    held = Held(timeout=None)
    held.f.open()
    clock.advance(5)
    first, first_end = await held.begin()
    clock.advance(59)
    with pytest.raises(CircuitOpen):
        await held.f()
    assert held.f.state == "half-open"
    clock.advance(1)
    with pytest.raises(CircuitOpen) as error:
        await held.f()
    assert held.f.state == "open"
    assert error.value.retry_after == pytest.approx(5.0)
    clock.advance(5)
    second, second_end = await held.begin()
    first_end.set_result(1)
    await first
    assert held.f.state == "half-open"
    second_end.set_result(1)
    await second
    assert held.f.state == "closed"
    assert held.f.snapshot().in_flight == 0


def test_case_32_how_long_a_trial_may_take_follows_from_the_timeout():
    from resilient import CircuitPolicy

    assert CircuitPolicy(timeout=2).longest_trial == 4
    assert CircuitPolicy(timeout=None).longest_trial == 60
    assert CircuitPolicy(trial_timeout=7).longest_trial == 7


@pytest.mark.parametrize("late", ["good", "bad"])
async def test_case_33_34_late_outcomes_do_not_decide_the_trial(clock, late):
    held = Held()
    old = [await held.begin() for _ in range(10)]
    held.f.open()
    clock.advance(5)
    trial, end = await held.begin()
    for task, future in old:
        future.set_result(1) if late == "good" else future.set_exception(Boom())
        await asyncio.wait([task])
        assert (task.exception() is None) is (late == "good")
        assert held.f.state == "half-open"
    end.set_result(1)
    await trial
    assert held.f.state == "closed"


async def test_case_35_late_failures_after_closing_again_are_seen_but_not_judged(clock):
    held = Held(timeout=60)
    old = [await held.begin() for _ in range(40)]
    held.f.open()
    clock.advance(5)
    trial, end = await held.begin()
    end.set_result(1)
    await trial
    for task, future in old:
        future.set_exception(Boom())
        await asyncio.wait([task])
        task.exception()
    assert held.f.state == "closed"
    snapshot = held.f.snapshot()
    assert snapshot.calls == 0
    assert snapshot.counts["failure"] == 40
    assert snapshot.in_flight == 0


async def test_case_36_refused_calls_do_not_disturb_the_trial(clock):
    held = Held()
    held.f.open()
    clock.advance(5)
    trial, end = await held.begin()
    for _ in range(50):
        with pytest.raises(CircuitOpen) as error:
            await held.f()
        assert error.value.retry_after is None
    end.set_result(1)
    await trial
    assert held.f.state == "closed"


def test_case_37_three_good_trials_in_a_row(serve, clock):
    service = serve(name="good", success_threshold=3)
    service.f.open()
    clock.advance(5)
    for _ in range(2):
        service.good()
        assert service.state == "half-open"
    service.good()
    assert service.state == "closed"
    service = serve(name="bad", success_threshold=3)
    service.f.open()
    clock.advance(5)
    service.good(2)
    service.bad()
    assert service.state == "open"
    clock.advance(5)
    service.good(2)
    assert service.state == "half-open"  # counted from the start again


async def test_case_38_the_first_failure_of_several_trials_opens(clock):
    held = Held(trials=5, success_threshold=5)
    held.f.open()
    clock.advance(5)
    tasks = [asyncio.create_task(held.f()) for _ in range(20)]
    await asyncio.sleep(0)
    assert len(held.waiting) == 5
    held.waiting[0].set_exception(Boom())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert held.f.state == "open"
    for end in held.waiting[1:]:
        end.set_result(1)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert held.f.state == "open"
    clock.advance(4.999)
    with pytest.raises(CircuitOpen):
        await held.f()


async def test_case_39_no_more_trials_than_are_still_wanted(clock):
    held = Held(trials=5, success_threshold=3)
    held.f.open()
    clock.advance(5)
    for _ in range(2):
        task, end = await held.begin()
        end.set_result(1)
        await task
    assert held.f.state == "half-open"
    task, end = await held.begin()
    with pytest.raises(CircuitOpen):
        await held.f()
    end.set_result(1)
    await task
    assert held.f.state == "closed"


async def test_case_47_closing_by_hand_ends_a_trial(clock):
    held = Held()
    held.f.open()
    clock.advance(5)
    task, end = await held.begin()
    held.f.close()
    assert held.f.state == "closed"
    end.set_exception(Boom())
    with pytest.raises(Boom):
        await task
    assert held.f.state == "closed"
    assert held.f.snapshot().calls == 0
