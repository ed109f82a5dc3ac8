"""Repeating a call: which errors, how often, how late, and what makes it stop."""

from __future__ import annotations

import asyncio
import inspect
import math
import random
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from retry_kit import Again, Status

from resilient import (
    CallTimeout,
    CircuitFull,
    CircuitOpen,
    ConfigError,
    NoInstance,
    balanced,
    circuit,
)
from resilient.cached import cached_per_request
from resilient.clock import ManualClock
from resilient.collapsed import collapsed
from resilient.retry import MOST_TOLD, retry

# ---------------------------------------------------------------- how often, how late


def test_a_failed_call_is_repeated(kind: str) -> None:
    again = Again(kind, OSError(), ConnectionError(), on=OSError)
    assert again() == "fine"
    assert again.calls == 3


def test_the_last_error_arrives_as_it_is(kind: str) -> None:
    errors = [ConnectionError(n) for n in range(4)]
    again = Again(kind, *errors, attempts=3)
    with pytest.raises(ConnectionError) as seen:
        again()
    assert seen.value is errors[2]
    assert seen.value.__context__ is None
    assert seen.value.__cause__ is None
    assert again.calls == 3


def test_pauses_double_up_to_the_cap_and_are_random(kind: str) -> None:
    again = Again(kind, *[TimeoutError()] * 9, attempts=9)
    with pytest.raises(TimeoutError):
        again()
    assert again.naps == [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    jittered = Again(kind, *[TimeoutError()] * 9, attempts=9, rng=random.Random(7), base=0.1, cap=0.5)
    with pytest.raises(TimeoutError):
        jittered()
    assert all(0 <= nap <= min(0.5, 0.1 * 2**n) for n, nap in enumerate(jittered.naps))
    assert len(set(jittered.naps)) == 8


def test_one_attempt_is_no_retry(kind: str) -> None:
    again = Again(kind, TimeoutError(), attempts=1)
    with pytest.raises(TimeoutError):
        again()
    assert (again.calls, again.naps) == (1, [])


def test_endless_attempts_do_not_overflow(kind: str) -> None:
    again = Again(kind, *[TimeoutError()] * 3000, attempts=2000)
    again.clock.advance(0)
    with pytest.raises(TimeoutError):
        again()
    assert max(again.naps) == 1.0


# ---------------------------------------------------------------- which errors


@pytest.mark.parametrize(
    ("error", "repeated"),
    [
        (ConnectionRefusedError(), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (CallTimeout("inner", 1), True),
        (Status(408), True),
        (Status(425), True),
        (Status(502), True),
        (Status(503), True),
        (Status(504), True),
        (Status(429, Retry_After="1"), True),
        (Status(429), False),
        (Status(500), False),
        (Status(501), False),
        (Status(400), False),
        (Status(404), False),
        (ValueError(), False),
        (TypeError(), False),
        (OSError(), False),  # a full disk, a missing file
        (CircuitOpen("inner", 1.0), False),
        (CircuitFull("inner", 1), False),
        (NoInstance("orders"), False),
    ],
    ids=repr,
)
def test_what_is_repeated_unless_told_otherwise(kind: str, error: Exception, repeated: bool) -> None:
    again = Again(kind, error)
    if repeated:
        assert again() == "fine"
    else:
        with pytest.raises(type(error)):
            again()
    assert again.calls == 1 + repeated


def test_on_names_errors_and_predicates(kind: str) -> None:
    on = (KeyError, lambda error: "please" in str(error))
    assert Again(kind, KeyError(), ValueError("please"), on=on)() == "fine"
    for error in (ValueError("no"), ConnectionError()):  # what is named replaces what is usual
        with pytest.raises(type(error)):
            Again(kind, error, on=on)()


def test_a_refusal_is_repeated_only_if_it_is_named(kind: str) -> None:
    with pytest.raises(CircuitFull):
        Again(kind, CircuitFull("inner", 1), on=Exception)()
    assert Again(kind, CircuitFull("inner", 1), on=CircuitFull)() == "fine"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError()])
def test_what_is_no_exception_is_never_repeated(error: BaseException) -> None:
    again = Again("sync", error, on=BaseException)
    with pytest.raises(type(error)):
        again()
    assert again.calls == 1


def test_errors_of_the_libraries_with_a_door(kind: str) -> None:
    import aiohttp
    import httpx
    import requests

    wire = httpx.Request("GET", "http://x")
    for error in (
        httpx.ConnectError("no"),
        httpx.ReadTimeout("late"),
        httpx.HTTPStatusError("503", request=wire, response=httpx.Response(503, request=wire)),
        requests.ConnectionError(),
        aiohttp.ServerDisconnectedError(),
    ):
        assert Again(kind, error)() == "fine", error
    answer = httpx.Response(503, headers={"Retry-After": "600"}, request=wire)
    with pytest.raises(httpx.HTTPStatusError):
        Again(kind, httpx.HTTPStatusError("503", request=wire, response=answer))()


# ---------------------------------------------------------------- Retry-After


def test_a_small_retry_after_is_waited_for(kind: str) -> None:
    again = Again(kind, Status(503, Retry_After="2"))
    assert again() == "fine"
    assert again.naps == [2.025]
    clock = ManualClock()
    moment = datetime.fromtimestamp(math.ceil(clock.time()) + 3, UTC)
    dated = Again(kind, Status(503, Retry_After=format_datetime(moment, usegmt=True)), clock=clock)
    assert dated() == "fine"
    assert dated.naps == [pytest.approx(3.025, abs=1)]
    own = CircuitOpen("inner", 0.5)
    named = Again(kind, own, on=CircuitOpen)
    assert named() == "fine"
    assert named.naps == [0.525]


def test_a_long_retry_after_means_not_now(kind: str) -> None:
    for told in (str(int(MOST_TOLD) + 1), "3600", "99999999999"):
        again = Again(kind, Status(503, Retry_After=told))
        with pytest.raises(Status):
            again()
        assert (again.calls, again.naps) == (1, [])


def test_a_retry_after_that_makes_no_sense_is_none(kind: str) -> None:
    for told in ("soon", "-1", "", "1" * 100):
        assert Again(kind, Status(503, Retry_After=told))() == "fine"
    odd = ConnectionError()
    for value in (math.nan, True, "1", None, -1):
        odd.retry_after = value  # type: ignore[attr-defined]
        again = Again(kind, odd)
        assert again() == "fine"
        assert again.naps == [0.025]


# ---------------------------------------------------------------- the budget


def test_retries_are_paid_for_by_calls(kind: str) -> None:
    again = Again(kind, *[TimeoutError()] * 1000, attempts=2, base=0)
    for _ in range(100):
        with pytest.raises(TimeoutError):
            again()
    # 30 at once, and a fifth of the calls.
    assert again.calls == 100 + 30 + 20
    assert len(again.naps) == 50
    again.clock.advance(20)
    with pytest.raises(TimeoutError):
        again()
    assert again.calls == 152


def test_functions_of_one_name_share_a_budget(kind: str) -> None:
    clock = ManualClock()
    mine = Again(kind, *[TimeoutError()] * 100, attempts=2, base=0, name="shared", clock=clock)
    yours = Again(kind, *[TimeoutError()] * 100, attempts=2, base=0, name="shared", clock=clock)
    other = Again(kind, *[TimeoutError()] * 100, attempts=2, base=0, name="other", clock=clock)
    for again in (mine, yours):
        for _ in range(40):
            with pytest.raises(TimeoutError):
                again()
    assert mine.calls + yours.calls == 80 + 30 + 16
    with pytest.raises(TimeoutError):
        other()
    assert other.calls == 2


def test_a_name_is_forgotten_with_its_last_function() -> None:
    import gc

    from resilient.retry import _accounts

    keep = Again("sync", name="short-lived")
    assert any(name == "short-lived" for name, _ in _accounts)
    del keep
    gc.collect()
    assert not any(name == "short-lived" for name, _ in _accounts)


# ---------------------------------------------------------------- order, looks, mistakes


async def fine(x: int = 1) -> int:
    return x


@pytest.mark.parametrize(
    "below",
    [
        lambda: circuit(fine),
        lambda: circuit("named")(fine),
        lambda: cached_per_request(circuit(fine)),
        lambda: collapsed(circuit(_many)),
    ],
)
def test_above_a_circuit_it_is_refused_with_the_cure(below: Any) -> None:
    for decorate in (retry, retry(attempts=2)):
        with pytest.raises(ConfigError, match="put @circuit above @retry"):
            decorate(below())


async def _many(keys: list[int]) -> list[int]:
    return keys


def test_methods_of_circuits_are_recognised_too() -> None:
    class Client:
        @circuit
        async def get(self) -> None: ...

    with pytest.raises(ConfigError, match="put @circuit above @retry"):
        retry(Client().get)


def test_above_balanced_and_below_the_others_it_is_fine() -> None:
    @circuit
    @retry
    @balanced("orders")
    async def get(base: str, id: int) -> int:
        return id

    @cached_per_request
    @circuit
    @retry
    def get_now(id: int) -> int:
        return id

    assert get_now(7) == 7
    assert list(inspect.signature(get).parameters) == ["id"]


def test_mistakes_are_told_at_import() -> None:
    def generator() -> Any:
        yield 1

    decorate: Any = retry
    for wrong in (generator, staticmethod(fine), classmethod(fine), int, 7, retry(fine)):
        with pytest.raises(ConfigError):
            decorate(wrong)
    for options in (
        {"attempts": 0},
        {"attempts": True},
        {"attempts": 2.0},
        {"base": -1},
        {"cap": math.inf},
        {"base": "1"},
        {"on": 7},
        {"on": (OSError, "x")},
    ):
        with pytest.raises(ConfigError):
            decorate(**options)


def test_it_still_looks_like_the_function() -> None:
    class Client:
        @retry("client")
        async def get(self, id: int) -> int:
            """Said."""
            return id

        @classmethod
        @retry
        def make(cls) -> str:
            return cls.__name__

    assert inspect.iscoroutinefunction(Client.get)
    assert Client.get.__doc__ == "Said."
    assert list(inspect.signature(Client().get).parameters) == ["id"]
    assert asyncio.run(Client().get(7)) == 7
    assert Client.make() == "Client"


def test_switched_off_it_is_not_there(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("RESILIENT_ENABLED", "0")
    again = Again(kind, TimeoutError())
    with pytest.raises(TimeoutError):
        again()
    assert again.calls == 1
