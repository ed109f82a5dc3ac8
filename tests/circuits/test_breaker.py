"""pybreaker's own parts around our circuits: listeners, storages, exclusions, the breaker itself."""

from __future__ import annotations

import abc
import contextlib
import time
from unittest import mock

import pybreaker
import pytest
from circuit_kit import Asked, Boom, Service

from resilient import CircuitOpen, circuit
from resilient.circuits.storage import CachedStorage
from resilient.clock import ManualClock


class Ear(pybreaker.CircuitBreakerListener):
    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def before_call(self, cb, func, *args, **kwargs):
        self.heard.append(("before", cb, func.__name__, args, kwargs))

    def success(self, cb):
        self.heard.append(("success", cb))

    def failure(self, cb, exc):
        self.heard.append(("failure", cb, exc))

    def state_change(self, cb, old_state, new_state):
        self.heard.append(("state", cb, old_state.name, new_state.name))


class TurnEar(pybreaker.CircuitBreakerListener):
    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def state_change(self, cb, old_state, new_state):
        self.heard.append((old_state.name, new_state.name))


def test_a_listener_hears_everything_from_the_real_breaker(serve, clock):
    ear = Ear()
    service = serve(listeners=[ear], fail_max=2, exclude=Asked)
    cb = service.f.circuit.breaker
    assert isinstance(cb, pybreaker.CircuitBreaker)
    service.good()
    assert ear.heard == [("before", cb, "function", (1,), {}), ("success", cb)]
    ear.heard.clear()
    boom = Boom()
    service.bad(1, boom)
    assert ear.heard == [("before", cb, "function", (boom,), {}), ("failure", cb, boom)]
    ear.heard.clear()
    service.bad(1, Asked())  # the service answered
    assert ear.heard[1:] == [("success", cb)]
    ear.heard.clear()
    service.bad(2, boom)
    assert [one[0] for one in ear.heard] == ["before", "failure", "before", "failure", "state"]
    assert ear.heard[-1] == ("state", cb, "closed", "open")
    ear.heard.clear()
    service.refused()
    assert ear.heard == []
    clock.advance(5)
    service.good()
    assert [one[2:] for one in ear.heard if one[0] == "state"] == [
        ("open", "half-open"),
        ("half-open", "closed"),
    ]


def test_a_listener_that_only_hears_turns_costs_the_short_way_nothing(serve):
    ear = TurnEar()
    service = serve(listeners=[ear])
    assert service.f.circuit.take is not None
    service.bad(20)
    assert ear.heard == [("closed", "open")]
    service.f.close()
    assert service.f.circuit.take is not None


def test_listeners_come_and_go(serve):
    service = serve()
    breaker = service.f.circuit.breaker
    service.good()
    ear = Ear()
    breaker.add_listener(ear)
    assert service.f.circuit.take is None
    service.good()
    assert [one[0] for one in ear.heard] == ["before", "success"]
    breaker.remove_listener(ear)
    assert service.f.circuit.take is not None
    service.good()
    assert len(ear.heard) == 2
    with pytest.raises(ValueError):
        breaker.remove_listener(ear)
    breaker.add_listeners(ear, TurnEar())
    assert len(breaker.listeners) == 2
    assert service.counts["success"] == 3


def test_a_mock_is_a_listener_too(serve):
    for ear in (mock.Mock(), mock.Mock(spec=pybreaker.CircuitBreakerListener)):
        service = serve(name=repr(ear), listeners=[ear])
        service.good()
        ear.before_call.assert_called_once()
        ear.success.assert_called_once_with(service.f.circuit.breaker)


def test_case_106_a_listener_that_raises_disturbs_nobody(serve, caplog):
    class Broken(pybreaker.CircuitBreakerListener):
        def before_call(self, cb, func, *args, **kwargs):
            raise RuntimeError("before")

        def failure(self, cb, exc):
            raise RuntimeError("failure")

        def state_change(self, cb, old_state, new_state):
            raise RuntimeError("state")

    after = Ear()
    service = serve(listeners=[Broken(), after])
    service.good()
    service.bad(19)
    assert service.state == "open"
    assert ("state", service.f.circuit.breaker, "closed", "open") in after.heard
    service.refused()
    assert [str(one.exc_info[1]) for one in caplog.records if one.exc_info].count("state") == 1


def test_a_listener_may_turn_the_circuit_itself(serve):
    class Stubborn(pybreaker.CircuitBreakerListener):
        def state_change(self, cb, old_state, new_state):
            if new_state.name == "open":
                service.f.close()

    ear = TurnEar()
    service = serve(listeners=[Stubborn(), ear])
    service.bad(20)
    assert service.state == "closed"
    assert ear.heard == [("closed", "open"), ("open", "closed")]
    service.good()


def test_turned_by_the_breakers_own_methods(serve, clock, turns):
    service = serve()
    breaker = service.f.circuit.breaker
    breaker.open()
    assert service.refused().retry_after == 5
    clock.advance(5)
    service.good()
    breaker.open()
    breaker.close()
    service.good()
    breaker.open()
    breaker.half_open()
    assert service.state == "half-open"
    service.bad()
    assert service.state == "open"
    assert breaker.current_state == "open"
    assert turns[:2] == [("closed", "open"), ("open", "half-open")]


def test_counters_are_pybreakers(serve):
    service = serve(fail_max=5)
    breaker = service.f.circuit.breaker
    service.good()
    service.bad(3)
    assert breaker.fail_counter == 3
    service.good()
    assert breaker.fail_counter == 0
    assert (breaker.fail_max, breaker.reset_timeout, breaker.name) == (5, 5.0, "service")
    breaker.fail_max = 2
    service.bad(2)
    assert service.state == "open"


def test_the_error_is_pybreakers_too(serve):
    service = serve()
    service.f.open()
    with pytest.raises(pybreaker.CircuitBreakerError):
        service()


class Meta(abc.ABC, Exception):
    """An exception class with a metaclass of its own, which pybreaker's own check overlooks."""


class Kind(Meta):
    pass


@pytest.mark.parametrize(
    ("exclude", "error"),
    [
        (Asked, Asked()),
        ((ValueError, Asked), Asked()),
        (lambda error: isinstance(error, Asked), Asked()),
        (Meta, Kind()),
        ((Exception,), Boom()),
    ],
)
def test_exclusions_are_types_and_predicates(serve, exclude, error):
    service = serve(exclude=exclude)
    service.bad(30, error)
    assert service.state == "closed"
    assert service.counts["excluded"] == 30


def test_exclusions_added_to_the_breaker_later_count(serve):
    service = serve()
    service.f.circuit.breaker.add_excluded_exception(Asked)
    service.bad(30, Asked())
    assert service.state == "closed"
    service.f.circuit.breaker.remove_excluded_exception(Asked)
    service.bad(20, Asked())
    assert service.state == "open"


# ---------------------------------------------------------------- storages


class Remote(pybreaker.CircuitMemoryStorage):
    """A storage that counts what it is asked."""

    def __init__(self, state: str = "closed") -> None:
        super().__init__(state)
        self.operations: list[str] = []

    def __getattribute__(self, name: str):
        if name in (
            "state",
            "counter",
            "success_counter",
            "opened_at",
            "increment_counter",
            "reset_counter",
            "increment_success_counter",
            "reset_success_counter",
        ):
            object.__getattribute__(self, "operations").append(name)
        return super().__getattribute__(name)


@pytest.fixture
def clock():
    # pybreaker stamps foreign storages with the machine's own time.
    return ManualClock(wall=time.time())


def test_a_storage_of_ones_own(serve, clock):
    storage = Remote()
    service = serve(storage=storage, fail_max=3)
    assert service.f.circuit.breaker._state_storage is storage
    service.good(3)
    service.bad(3)
    assert storage.state == service.state == "open"
    assert storage.counter == 3
    assert service.refused().retry_after == pytest.approx(5, abs=0.5)
    clock.advance(5.5)
    service.good()
    assert storage.state == service.state == "closed"
    assert storage.counter == 0
    service.bad(2)
    service.good()
    service.bad(2)
    assert service.state == "closed"
    counts = service.counts
    assert (counts["success"], counts["failure"], counts["short_circuited"]) == (5, 7, 1)
    assert service.in_flight == 0


def test_a_storage_that_is_open_when_we_come(serve, clock):
    storage = pybreaker.CircuitMemoryStorage("open")
    service = serve(storage=storage)
    assert service.state == "open"
    service.good()  # nobody knows since when, so it is tried
    assert service.state == "closed"


def test_two_circuits_share_one_storage(serve, clock, turns):
    storage = pybreaker.CircuitMemoryStorage("closed")
    here, there = serve(name="here", storage=storage), serve(name="there", storage=storage)
    ear = TurnEar()
    there.f.circuit.breaker.add_listener(ear)
    there.good()
    here.bad(20)
    there.refused()
    assert ear.heard == [("closed", "open")]
    assert turns == [("closed", "open")] * 2
    clock.advance(5.5)
    there.good()
    assert there.state == "closed"
    here.good()
    assert here.state == "closed"


def test_late_answers_after_another_process_turned_it_decide_nothing(clock):
    storage = pybreaker.CircuitMemoryStorage("closed")

    @circuit("shared", storage=storage, fail_max=1)
    def call(act):
        act()

    def another_process_opens_and_closes():
        other = pybreaker.CircuitBreaker(state_storage=storage)
        other.open()
        assert call.state == "open"
        other.close()
        assert call.state == "closed"
        raise Boom

    with pytest.raises(Boom):
        call(another_process_opens_and_closes)
    assert call.state == "closed"
    assert call.snapshot().calls == 0


def test_a_cached_storage_spares_the_remote_one(clock):
    remote = Remote()
    cached = CachedStorage(remote, fresh_for=0.25, clock=clock)
    service = Service("sync", None, storage=cached)
    service.good()
    remote.operations.clear()
    service.good(100)
    assert remote.operations == []
    clock.advance(0.25)
    service.good(100)
    assert len(remote.operations) <= 2  # the state and the counter, once
    remote.operations.clear()
    service.bad()
    assert remote.operations.count("increment_counter") == 1
    assert len(remote.operations) <= 2
    service.f.open()
    service.refused()
    remote.operations.clear()
    for _ in range(100):
        service.refused()
    assert remote.operations == []


def test_a_cached_storage_notices_another_process_in_time(clock):
    remote = pybreaker.CircuitMemoryStorage("closed")
    service = Service("sync", None, storage=CachedStorage(remote, fresh_for=0.25, clock=clock))
    service.good()
    pybreaker.CircuitBreaker(state_storage=remote).open()
    service.good()
    clock.advance(0.25)
    service.refused()


def test_a_cached_storage_turns_like_the_remote_one(clock):
    remote = pybreaker.CircuitMemoryStorage("closed")
    cached = CachedStorage(remote, clock=clock)
    service = Service("sync", None, storage=cached, fail_max=3, success_threshold=2)
    service.bad(2)
    service.good()
    service.bad(2)
    assert service.state == "closed"
    service.bad()
    assert remote.state == service.state == "open"
    clock.advance(5.5)
    service.good()
    assert remote.state == "half-open"
    assert (cached.success_counter, remote.success_counter) == (1, 1)
    service.good()
    assert remote.state == service.state == "closed"
    assert cached.name == "memory"
    assert cached.opened_at == remote.opened_at
    assert cached.counter == remote.counter == 0


def test_the_breaker_called_the_pybreaker_way_does_not_hang():
    @circuit("both", fail_max=2)
    def call():
        return 1

    breaker = call.circuit.breaker
    assert breaker.call(lambda: 2) == 2
    for _ in range(2):
        with contextlib.suppress(Boom, pybreaker.CircuitBreakerError):
            breaker.call(_boom)
    assert call.state == "open"
    with pytest.raises(CircuitOpen):
        call()


def _boom():
    raise Boom
