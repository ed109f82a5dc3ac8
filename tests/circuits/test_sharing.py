"""Several guards of one name: what the second one brings is honoured, or refused in words."""

from __future__ import annotations

import pybreaker
import pytest
from circuit_kit import Boom

from resilient import CircuitPolicy, ConfigError, circuit


class Ear(pybreaker.CircuitBreakerListener):
    def __init__(self) -> None:
        self.failures = 0

    def failure(self, cb, exc):
        self.failures += 1


def fails():
    raise Boom


def test_listeners_of_both_are_heard_and_each_once():
    first, second, both = Ear(), Ear(), Ear()
    one = circuit("pay", listeners=[first, both])(fails)
    two = circuit("pay", listeners=[second, both])(fails)
    for call in (one, two, two, one):
        with pytest.raises(Boom):
            call()
    assert (first.failures, second.failures, both.failures) == (4, 3, 4)  # from its first use on
    assert one.circuit is two.circuit


def test_a_second_storage_is_an_error_at_first_use():
    storage = pybreaker.CircuitMemoryStorage("closed")
    one = circuit("pay", storage=storage)(lambda: 1)
    same = circuit("pay", storage=storage)(lambda: 2)
    none = circuit("pay")(lambda: 3)
    assert (one(), same(), none()) == (1, 2, 3)
    other = circuit("pay", storage=pybreaker.CircuitMemoryStorage("closed"))(lambda: 4)
    for _ in range(2):
        with pytest.raises(ConfigError, match="'pay' is at work with another storage"):
            other()


def test_a_storage_that_comes_after_the_circuit_is_made_is_an_error():
    assert circuit("pay")(lambda: 1)() == 1
    with pytest.raises(ConfigError, match="another storage"):
        circuit("pay", storage=pybreaker.CircuitMemoryStorage("closed"))(lambda: 4)()


def test_a_policy_written_down_second_is_honoured_and_a_third_must_agree():
    one = circuit("pay")(lambda: 1)
    assert one() == 1
    two = circuit("pay", CircuitPolicy(min_calls=3, timeout=7), group="money")(lambda: 2)
    assert two() == 2
    assert (one.circuit.policy.min_calls, one.circuit.limit, one.circuit.group) == (3, 7, "money")
    assert {row.name: row.source for row in one.settings()}["min_calls"] == "code"
    assert circuit("pay", min_calls=3, timeout=7)(lambda: 3)() == 3
    with pytest.raises(ConfigError, match="two different policies"):
        circuit("pay", min_calls=4)(lambda: 4)()


def test_a_function_imported_again_brings_its_listeners():
    old, new = Ear(), Ear()

    def make(ear):
        @circuit(listeners=[ear])
        def again():
            raise Boom

        return again

    first = make(old)
    with pytest.raises(Boom):
        first()
    second = make(new)
    with pytest.raises(Boom):
        second()
    with pytest.raises(Boom):
        first()  # goes by the new one's circuit now
    assert (old.failures, new.failures) == (1, 2)
