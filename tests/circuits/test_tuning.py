"""Settings shown with their sources, and changed at run time."""

from __future__ import annotations

import asyncio
import dataclasses
from unittest import mock

import pytest
from circuit_kit import Asked, Boom, Held, Reply, Still, together

from resilient import CallTimeout, CircuitFull, CircuitPolicy, ConfigError, Runtime, circuit
from resilient.circuits.circuit import Circuit
from resilient.clock import SYSTEM
from resilient.events import ConfigChanged
from resilient.settings import Settings


def test_case_48_a_higher_threshold_holds_from_the_next_outcome(serve):
    service = serve()
    service.good(7)
    service.bad(12)  # 63 % of 19
    service.f.configure(error_rate=0.9)
    service.bad(10)
    assert service.state == "closed"
    service.f.configure(error_rate=0.5)
    assert service.state == "closed"
    service.good()
    assert service.state == "open"


def test_a_smaller_volume_is_judged_at_the_next_good_call_too(serve):
    service = serve()
    service.bad(3)
    service.good(2)
    service.f.configure(min_calls=5)
    service.good()
    assert service.state == "open"


async def test_case_49_a_new_window_is_empty_and_the_state_stays(clock):
    held = Held(timeout=60)
    task, end = await held.begin()
    with pytest.raises(Boom):
        failing, fail = await held.begin()
        fail.set_exception(Boom())
        await failing
    held.f.configure(window=20, slices=5)
    snapshot = held.f.snapshot()
    assert (snapshot.window, snapshot.calls, snapshot.state, snapshot.in_flight) == (20, 0, "closed", 1)
    end.set_result(7)
    assert await task == 7
    assert held.f.snapshot().calls == 1
    clock.advance(16)
    assert held.f.snapshot().calls == 1
    clock.advance(4)
    assert held.f.snapshot().calls == 0
    held.f.open()
    held.f.configure(window=30)
    assert held.f.state == "open"


@pytest.mark.parametrize(
    "wrong", [{"slices": 0}, {"window": -1}, {"nothing": 1}, {"timeout": True}, {"isolation": "thread"}]
)
def test_case_50_a_wrong_value_changes_nothing(serve, runtime, wrong):
    heard: list[ConfigChanged] = []
    runtime.events.subscribe(heard.append, ConfigChanged)
    service = serve()
    before = service.f.circuit.policy
    rows = service.f.settings()
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        service.f.configure(min_calls=3, **wrong)
    assert service.f.circuit.policy is before
    assert service.f.settings() == rows
    assert heard == []
    service.bad(19)
    assert service.state == "closed"


async def test_case_51_a_limit_lowered_below_its_use(clock):
    held = Held(max_concurrent=10)
    calls = [await held.begin() for _ in range(8)]
    held.f.configure(max_concurrent=2)
    assert held.f.snapshot().in_flight == 8
    for n, (task, end) in enumerate(calls[:6]):
        with pytest.raises(CircuitFull):
            await held.f()
        assert held.f.snapshot().in_flight == 8 - n
        end.set_result(n)
        assert await task == n
    with pytest.raises(CircuitFull):  # two are still out
        await held.f()
    calls[6][1].set_result(1)
    await calls[6][0]
    another = await held.begin()
    with pytest.raises(CircuitFull):
        await held.f()
    for task, end in (calls[7], another):
        end.set_result(1)
        await task
    two = [await held.begin() for _ in range(2)]
    with pytest.raises(CircuitFull) as full:
        await held.f()
    assert full.value.limit == 2
    held.f.configure(max_concurrent=None)
    more = [await held.begin() for _ in range(20)]
    for task, end in (*two, *more):
        end.set_result(1)
        await task
    assert held.f.snapshot().in_flight == 0
    assert held.f.snapshot().counts["success"] == 31


def test_a_limit_raised_and_lowered_while_threads_call(runtime):
    @circuit("swinging", max_concurrent=50)
    def call() -> int:
        return 1

    def work() -> int:
        return sum(call() for _ in range(2000))

    def swing() -> int:
        for n in range(200):
            call.configure(max_concurrent=20 + n % 30, observe=n % 7 == 0)
        return 0

    jobs = iter([work] * 5 + [swing])
    answers = together(6, lambda: next(jobs)())
    assert sorted(answers) == [0] + [2000] * 5
    assert call.snapshot().in_flight == 0
    assert call.circuit.crew.made <= 20 + 30


@pytest.mark.parametrize("first", [None, 5.0])
async def test_a_deadline_comes_and_goes(first):
    with Runtime(clock=SYSTEM, rng=Still()).active():
        held = Held(timeout=first)
        task, end = await held.begin()
        held.f.configure(timeout=0.01)
        with pytest.raises(CallTimeout):
            await held.f()
        assert not task.done()  # it keeps the time it was given
        end.set_result(1)
        await task
        assert held.f.snapshot().timeout == 0.01
        held.f.configure(timeout=None)
        for _ in range(3):
            task, end = await held.begin()
            await asyncio.sleep(0.02)
            end.set_result(1)
            assert await task == 1
        assert held.f.snapshot().in_flight == 0
        held.f.configure(timeout=0.01)
        with pytest.raises(CallTimeout):
            await held.f()
        counts = held.f.snapshot().counts
        assert (counts["timeout"], counts["success"]) == (2, 4)


async def test_without_its_deadline_it_takes_the_short_way_again():
    with Runtime(clock=SYSTEM, rng=Still()).active():

        @circuit("short", timeout=5)
        async def call() -> int:
            return 1

        await call()
        call.configure(timeout=None)
        await call()  # finds this loop once
        with mock.patch.object(Circuit, "admit") as long_way:
            assert await call() == 1
        long_way.assert_not_called()


def test_trials_and_times_change_while_it_is_open(serve, clock):
    service = serve()
    service.f.open()
    service.f.configure(reset_timeout=2, success_threshold=2)
    assert service.refused().retry_after == 2
    clock.advance(2)
    service.good()
    assert service.state == "half-open"
    service.good()
    assert service.state == "closed"
    service.f.configure(fail_max=1)
    service.bad()
    assert service.state == "open"
    service.f.configure(fail_max=None, reset_timeout=1)
    clock.advance(1)
    service.good(2)
    service.bad(5)
    assert service.state == "closed"


def test_what_counts_as_what_changes_too(serve):
    service = serve(exclude=Asked)
    service.good()
    service.bad(1, Asked())
    service.f.configure(exclude=KeyError, failed=lambda result: result == 1)
    service.bad(1, Asked())
    service.bad(1, KeyError())
    service.good()  # it is returned as it is, but speaks against the service
    counts = service.counts
    assert (counts["excluded"], counts["failure"], counts["success"]) == (2, 2, 1)
    service.f.circuit.breaker.remove_excluded_exception(KeyError)
    service.f.configure(exclude=())
    assert service(Reply(404)).status == 404


def test_the_slow_rule_is_switched_on(serve, clock):
    service = serve(window=60)
    service.good(100)
    service.f.configure(slow_duration=1, slow_rate=0.5, min_calls=1)
    service.f.close()
    service(lambda: clock.advance(2) or 1)
    assert service.state == "open"


def test_whoever_listens_hears_what_was_changed_and_by_whom(serve, runtime):
    heard: list[ConfigChanged] = []
    runtime.events.subscribe(heard.append, ConfigChanged)
    service = serve()
    service.f.configure(timeout=2, min_calls=20, observe=True, by="ops")
    assert len(heard) == 1
    assert heard[0].circuit == "service"
    assert heard[0].changes == (("timeout", "5", "2"), ("observe", "off", "on"))
    assert heard[0].by == "ops"
    service.f.configure(timeout=2)
    assert len(heard) == 1  # nothing was changed


def test_every_setting_is_shown_with_its_source(clock):
    settings = Settings.load({"RESILIENT_CIRCUIT_SHOP_PRICE_MIN_CALLS": "7"})
    with Runtime(settings=settings, clock=clock).active():

        @circuit("shop.price", timeout=1)
        def price() -> int:
            return 1

        price.configure(observe=True, reset_timeout=5.0)
        rows = {row.name: row for row in price.settings()}
    assert list(rows) == [field.name for field in dataclasses.fields(CircuitPolicy)]
    variable = "RESILIENT_CIRCUIT_SHOP_PRICE_MIN_CALLS"
    assert rows["min_calls"][1:] == ("7", variable, variable)
    assert rows["timeout"][1:3] == ("1", "code")
    assert rows["observe"][1:3] == ("on", "run time")
    assert rows["reset_timeout"][1:3] == ("5", "run time")
    assert rows["window"][1:3] == ("10", "default")
    assert rows["fail_max"].value == "none"
    assert rows["exclude"].value == "callers_fault"
    assert rows["ignore"].value == "nothing"
    assert rows["failed"][1:] == ("server_error", "default", "")
