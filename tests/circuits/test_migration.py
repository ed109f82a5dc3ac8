"""What docs/circuits.md tells those who come from pybreaker, side by side with pybreaker itself."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pybreaker
import pytest

from resilient import CircuitOpen, CircuitPolicy, Runtime, circuit

PAGE = (Path(__file__).parents[2] / "docs" / "circuits.md").read_text()
SECTION = PAGE.split("## Coming from pybreaker")[1]


class Declined(Exception):
    pass


class Heard(pybreaker.CircuitBreakerListener):
    def __init__(self) -> None:
        self.turns: list[tuple[str, str]] = []

    def state_change(self, cb, old_state, new_state):
        self.turns.append((old_state.name, new_state.name))


def charge(card: str) -> str:
    if card == "declined":
        raise Declined
    if card == "down":
        raise ConnectionError
    return "charged"


CARDS = ["down"] * 4 + ["good"] + ["down"] * 4 + ["declined"] * 3 + ["down"] * 5 + ["good"] * 2


@pytest.fixture(autouse=True)
def runtime():
    with Runtime().active() as runtime:  # the real clock: pybreaker stamps its storage itself
        yield runtime


def outcome(call, *args):
    try:
        return call(*args)
    except Exception as error:
        return error


def test_the_same_calls_have_the_same_ends():
    theirs_heard, ours_heard = Heard(), Heard()
    theirs = pybreaker.CircuitBreaker(
        fail_max=5,
        reset_timeout=60,
        exclude=[Declined],
        listeners=[theirs_heard],
        throw_new_error_on_trip=False,
    )
    pay = circuit(
        "pay",
        CircuitPolicy.pybreaker(fail_max=5, reset_timeout=60, exclude=[Declined]),
        listeners=[ours_heard],
        storage=pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED),
    )
    old, new = theirs(charge), pay(charge)
    for card in CARDS:
        one, other = outcome(old, card), outcome(new, card)
        assert isinstance(other, type(one)) if isinstance(one, Exception) else one == other, card
        assert (theirs.current_state, theirs.fail_counter) == (pay.state, pay.circuit.breaker.fail_counter)
    assert pay.state == "open"
    assert theirs_heard.turns == ours_heard.turns == [("closed", "open")]
    assert isinstance(outcome(new, "good"), CircuitOpen)
    assert isinstance(outcome(new, "good"), pybreaker.CircuitBreakerError)


def test_the_call_that_trips_raises_its_own_error():
    theirs = pybreaker.CircuitBreaker(fail_max=1)
    assert isinstance(outcome(theirs(charge), "down"), pybreaker.CircuitBreakerError)
    pay = circuit("pay", CircuitPolicy.pybreaker(fail_max=1))
    assert isinstance(outcome(pay(charge), "down"), ConnectionError)
    assert pay.state == "open"


async def test_the_ways_to_call():
    pay = circuit("pay", CircuitPolicy.pybreaker(success_threshold=2))
    assert pay(charge)("good") == "charged"

    async def later(card: str) -> str:
        await asyncio.sleep(0)
        return charge(card)

    assert await pay(later)("good") == "charged"
    with pay.attempt():
        pass
    async with pay.attempt():
        pass
    with pytest.raises(ConnectionError), pay.attempt():
        charge("down")
    assert pay.circuit.breaker.fail_counter == 1
    assert pay.circuit.breaker.success_threshold == 2
    pay.open()
    assert pay.state == "open"
    pay.close()
    assert pay.state == "closed"


def test_what_the_table_names_is_there():
    pay = circuit("pay", CircuitPolicy.pybreaker(fail_max=5, reset_timeout=60))
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", SECTION, re.MULTILINE)[2:]
    assert len(rows) >= 8
    theirs = {name for cell, _ in rows for name in re.findall(r"breaker\.(\w+)", cell)}
    assert theirs == {"call", "calling", "open", "current_state"}
    assert all(hasattr(pybreaker.CircuitBreaker, name) for name in theirs)
    ours = {name for _, cell in rows for name in re.findall(r"pay\.(\w+)", cell)}
    assert ours == {"attempt", "open", "close", "state", "circuit"}
    assert all(hasattr(pay, name) for name in ours)
