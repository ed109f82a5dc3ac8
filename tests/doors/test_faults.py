"""The same trouble gets the same verdict, whichever library meets it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from door_kit import Door, counts, nodes
from flaky import Flaky

from resilient import Runtime

Estate = Callable[..., tuple[Runtime, list[Flaky]]]

WELL, FAILED = ("healthy", 0), ("healthy", 1)
GONE, BUSY = ("ejected", 1), ("overloaded", 0)


class Story(NamedTuple):
    """What one call to two instances led to."""

    got: str
    reached: tuple[int, int]
    counted: str
    first: tuple[str, int]
    second: tuple[str, int]


#: (script of the first instance, of the second, method): what every door makes of it.
STORIES = {
    ("ok", "ok", "GET"): Story("200", (1, 0), "success", WELL, WELL),
    ("ok", "ok", "POST"): Story("200", (1, 0), "success", WELL, WELL),
    ("refuse", "ok", "GET"): Story("200", (0, 1), "success", GONE, WELL),
    ("refuse", "ok", "POST"): Story("200", (0, 1), "success", GONE, WELL),
    ("refuse", "refuse", "GET"): Story("refused", (0, 0), "failure", GONE, GONE),
    ("refuse", "refuse", "POST"): Story("refused", (0, 0), "failure", GONE, GONE),
    ("reset", "ok", "GET"): Story("200", (1, 1), "success", FAILED, WELL),
    ("reset", "ok", "POST"): Story("broken", (1, 0), "failure", FAILED, WELL),
    ("reset", "reset", "GET"): Story("broken", (1, 1), "failure", FAILED, FAILED),
    ("disconnect", "ok", "GET"): Story("200", (1, 1), "success", FAILED, WELL),
    ("disconnect", "ok", "POST"): Story("broken", (1, 0), "failure", FAILED, WELL),
    ("disconnect", "disconnect", "GET"): Story("broken", (1, 1), "failure", FAILED, FAILED),
    ("reset after headers", "ok", "GET"): Story("broken", (1, 0), "failure", FAILED, WELL),
    ("reset after headers", "ok", "POST"): Story("broken", (1, 0), "failure", FAILED, WELL),
    ("garbage", "ok", "GET"): Story("200", (1, 1), "success", FAILED, WELL),
    ("garbage", "ok", "POST"): Story("broken", (1, 0), "failure", FAILED, WELL),
    ("garbage", "garbage", "GET"): Story("broken", (1, 1), "failure", FAILED, FAILED),
    ("404", "ok", "GET"): Story("404", (1, 0), "excluded", WELL, WELL),
    ("404", "ok", "POST"): Story("404", (1, 0), "excluded", WELL, WELL),
    ("500", "ok", "GET"): Story("500", (1, 0), "failure", FAILED, WELL),
    ("500", "ok", "POST"): Story("500", (1, 0), "failure", FAILED, WELL),
    ("503", "ok", "GET"): Story("200", (1, 1), "success", FAILED, WELL),
    ("503", "ok", "POST"): Story("503", (1, 0), "failure", FAILED, WELL),
    ("503", "503", "GET"): Story("503", (1, 1), "failure", FAILED, FAILED),
    ("503 wait 0", "ok", "GET"): Story("200", (1, 1), "success", WELL, WELL),
    ("503 wait 0", "ok", "POST"): Story("503", (1, 0), "failure", WELL, WELL),
    ("503 wait 30", "ok", "GET"): Story("503", (1, 0), "failure", BUSY, WELL),
    ("503 wait 30", "ok", "POST"): Story("503", (1, 0), "failure", BUSY, WELL),
    ("hang", "ok", "GET"): Story("200", (1, 1), "success", FAILED, WELL),
    ("hang", "ok", "POST"): Story("timeout", (1, 0), "timeout", FAILED, WELL),
    ("hang", "hang", "GET"): Story("timeout", (1, 1), "timeout", FAILED, FAILED),
    ("drip", "ok", "GET"): Story("200", (1, 0), "success", WELL, WELL),
    ("drip", "ok", "POST"): Story("200", (1, 0), "success", WELL, WELL),
}

#: A balanced function reads the body itself: its trouble comes in time for another try. And a plain one
#: chooses its own socket timeout: all that is left, so that nothing is left for a second try.
FUNCTIONS = {
    ("balanced-async", "reset after headers", "ok", "GET"): Story("200", (1, 1), "success", FAILED, WELL),
    ("balanced-sync", "reset after headers", "ok", "GET"): Story("200", (1, 1), "success", FAILED, WELL),
    ("balanced-sync", "hang", "ok", "GET"): Story("timeout", (1, 0), "timeout", FAILED, WELL),
    ("balanced-sync", "hang", "hang", "GET"): Story("timeout", (1, 0), "timeout", FAILED, WELL),
}


@pytest.mark.parametrize(("first", "second", "method"), STORIES, ids=map("|".join, STORIES))
def test_one_verdict_for_all(door: Door, estate: Estate, first: str, second: str, method: str) -> None:
    """Cases 86 and 89 of the circuits' list are among them: who is asked again, and what each side learns."""
    runtime, (a, b) = estate(first, second)
    options: dict[str, Any] = {"data": b"x"} if method == "POST" else {}
    timeout = 0.2 if "hang" in (first, second) else 2.0
    with door.opened():
        began = time.monotonic()
        got = door.call(method, timeout=timeout, **options)
        assert time.monotonic() - began < 10  # who hangs would do so for a minute
    (state_a, row_a, busy_a), (state_b, row_b, busy_b) = nodes(runtime)
    told = Story(got, (a.reached, b.reached), "+".join(counts(runtime)), (state_a, row_a), (state_b, row_b))
    expected = FUNCTIONS.get((door.name, first, second, method), STORIES[first, second, method])
    assert told == expected
    assert sum(counts(runtime).values()) == 1
    assert (busy_a, busy_b) == (0, 0)
    assert runtime.circuits.get("calls").target == "orders"


@pytest.mark.parametrize("fault", ["reset", "503"])
def test_an_idempotency_key_makes_a_post_repeatable(door: Door, estate: Estate, fault: str) -> None:
    _, (a, b) = estate(fault, "ok")
    with door.opened():
        assert door.call("POST", data=b"x", headers={"Idempotency-Key": "7"}) == "200"
    assert (a.reached, b.reached) == (1, 1)
    assert b.seen[0].body == b"x"
    assert b.seen[0].headers["idempotency-key"] == "7"


def stream(door: Door) -> Any:
    async def parts() -> Any:
        yield b"one"
        yield b"two"

    return parts() if door.asynchronous else iter([b"one", b"two"])


@pytest.mark.parametrize("fault", ["reset", "503"])
def test_what_a_generator_gave_is_not_sent_again(session_door: Door, estate: Estate, fault: str) -> None:
    _, (a, b) = estate(fault, "ok")
    with session_door.opened():
        got = session_door.call("POST", data=stream(session_door), headers={"Idempotency-Key": "7"})
    assert got == {"reset": "broken", "503": "503"}[fault]
    assert (a.reached, b.reached) == (1, 0)
    assert a.seen[0].body == b"onetwo"


def test_a_generator_goes_elsewhere_while_nothing_was_sent(session_door: Door, estate: Estate) -> None:
    _, (_, b) = estate("refuse", "ok")
    with session_door.opened():
        assert session_door.call("POST", data=stream(session_door)) == "200"
    assert b.seen[0].body == b"onetwo"


def test_one_bad_instance_of_two_costs_no_get(door: Door, estate: Estate) -> None:
    runtime, (bad, _) = estate("disconnect", "ok", rule="round_robin")
    with door.opened():
        assert [door.call() for _ in range(40)] == ["200"] * 40
    assert counts(runtime) == {"success": 40}
    assert bad.reached == 5  # then it is left alone


def test_a_closed_pooled_connection_is_no_failure(door: Door, estate: Estate) -> None:
    runtime, (a, _) = estate("half-close", "ok")
    with door.opened():
        for _ in range(3):
            assert door.call("POST", data=b"x") == "200"
            time.sleep(0.03)
            door.settle()
    assert a.reached == 3
    assert nodes(runtime)[0] == ("healthy", 0, 0)


def test_a_sole_instance_is_not_asked_twice(door: Door, estate: Estate) -> None:
    if door.name == "aiohttp-middleware":
        pytest.skip("somebody else's session: aiohttp itself repeats the request once")
    runtime, (a,) = estate("reset")
    with door.opened():
        assert door.call() == "broken"
    assert a.reached == 1
    assert counts(runtime) == {"failure": 1}


def test_a_sole_instance_gets_all_of_the_time(door: Door, estate: Estate) -> None:
    """Half of it would be for another try, which there is not."""
    runtime, (a,) = estate("hang")
    with door.opened():
        began = time.monotonic()
        assert door.call(timeout=0.3) == "timeout"
        assert 0.29 <= time.monotonic() - began < 10
    assert a.reached == 1
    assert counts(runtime) == {"timeout": 1}
