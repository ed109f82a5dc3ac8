"""Which circuit a function stands behind: names, sharing, options, runtimes and the environment."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest

from resilient import (
    CircuitFull,
    CircuitOpen,
    CircuitPolicy,
    ConfigError,
    Runtime,
    circuit,
)
from resilient.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(autouse=True)
def runtime(clock: ManualClock) -> Iterator[Runtime]:
    with Runtime(clock=clock).active() as runtime:
        yield runtime


@circuit
async def order(id: int) -> dict[str, int]:
    return {"id": id}


@circuit(timeout=1)
def stock(sku: str) -> int:
    return len(sku)


# ---------------------------------------------------------------- names, sharing, options


def test_names() -> None:
    def local() -> None: ...

    assert circuit(local).guard.name == f"{__name__}.test_names.local"
    assert circuit("pay")(local).guard.name == "pay"
    script = types.FunctionType(local.__code__, {"__name__": "__main__"}, "main")
    script.__module__ = "__main__"
    assert circuit(script).guard.name.endswith("local") or circuit(script).guard.name.endswith("main")


def test_several_functions_behind_one_circuit() -> None:
    payments = circuit("payments", CircuitPolicy(min_calls=2))

    @payments
    def charge() -> None:
        raise OSError

    @payments
    async def refund() -> None:
        raise OSError

    with pytest.raises(OSError):
        charge()
    with pytest.raises(OSError):
        asyncio.run(refund())
    assert payments.state == charge.state == refund.state == "open"
    with pytest.raises(CircuitOpen):
        charge()


def test_case_102_one_name_and_one_policy_is_one_circuit() -> None:
    first, second = circuit("same", min_calls=3), circuit("same", CircuitPolicy(min_calls=3))
    assert first.circuit is second.circuit
    assert circuit("same").circuit is first.circuit  # who says nothing takes what is there


def test_case_102_one_name_and_two_policies_is_a_mistake() -> None:
    assert circuit("two", min_calls=3).state == "closed"
    other = circuit("two", min_calls=4)
    for _ in range(2):
        with pytest.raises(ConfigError, match="two different policies for circuit 'two'"):
            _ = other.state


def test_case_102_imported_again_the_new_one_replaces_the_old() -> None:
    def make(minimum: int) -> Any:
        @circuit(min_calls=minimum)
        def reloaded() -> None:
            raise OSError

        return reloaded

    old, new = make(1), make(2)
    assert old.circuit.policy.min_calls == 1
    assert new.circuit.policy.min_calls == 2
    assert new.circuit is not old.circuit or old.circuit.policy.min_calls == 2
    same = make(2)
    assert same.circuit is new.circuit


def test_options_for_one_way_of_calling() -> None:
    @circuit(default="decorated", max_concurrent=5)
    def call(fail: bool) -> str:
        """Said."""
        if fail:
            raise OSError
        return "called"

    assert call.options(default="option")(True) == "option"
    assert call.options(fallback=lambda fail: "function")(True) == "function"
    assert call.options(timeout=1)(True) == "decorated"
    assert call.options(timeout=1)(False) == "called"
    assert call.options(timeout=1).__doc__ == "Said."
    assert call.snapshot().counts["failure"] == 3
    with pytest.raises(ConfigError):
        call.options(timeout=0)
    call.open()
    assert call.options(timeout=1)(False) == "decorated"
    assert call.options(default=3)(False) == 3


def test_per_call_limits_show_in_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    from resilient.circuits import attempt

    monkeypatch.setattr(attempt, "watched", True)

    @circuit(timeout=5)
    def left() -> float | None:
        found = attempt.current_attempt()
        assert found is not None
        return found.remaining()

    assert left.options(timeout=2)() == 2
    assert left.options(timeout=None)() is None
    assert left() == 5


# ---------------------------------------------------------------- runtimes and the environment


def test_each_runtime_has_its_own_circuit(clock: ManualClock) -> None:
    stock.open()
    with Runtime(clock=clock).active():
        assert stock.state == "closed"
        assert stock("ab") == 2
    assert stock.state == "open"


def test_without_any_runtime_the_circuit_is_bound_once() -> None:
    script = """
import resilient, threading
@resilient.circuit
def f(): return 1
assert f.guard.circuit is None
assert f() == 1
assert f.guard.circuit is f.circuit
with resilient.Runtime().active():
    assert f.guard.circuit is None
    here = f.circuit
    assert f() == 1 and f.guard.circuit is None
assert f() == 1
assert f.guard.circuit is f.circuit is not here
assert f.snapshot().counts['success'] == 2
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("word", ["0", "false", "No", " off "])
def test_switched_off_it_is_not_there(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("RESILIENT_ENABLED", word)

    @circuit(default=7, fail_max=1)
    def call(x: int) -> int:
        raise OSError(x)

    for _ in range(3):
        with pytest.raises(OSError):
            call(1)
    with pytest.raises(OSError):
        call.options(timeout=1, default=3)(1)
    assert call.state == "closed"
    monkeypatch.setenv("RESILIENT_ENABLED", "1")

    @circuit(default=7)
    def again(x: int) -> int:
        raise OSError(x)

    assert again(1) == 7


def test_the_environment_sets_one_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESILIENT_CIRCUIT_PAY_MAX_CONCURRENT", "1")
    monkeypatch.setenv("RESILIENT_CIRCUIT_PAY_TIMEOUT", "2.5")
    with Runtime().active():

        @circuit("pay", timeout=None)
        def pay(more: bool = True) -> None:
            if more:
                pay(False)

        with pytest.raises(CircuitFull, match="max_concurrent=1"):
            pay()
        assert pay.snapshot().timeout == 2.5


async def test_a_deadline_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESILIENT_CIRCUIT_PATIENT_TIMEOUT", "0.01")
    with Runtime().active():

        @circuit("patient", timeout=None)
        async def patient() -> None:
            await asyncio.sleep(5)

        with pytest.raises(TimeoutError):
            await patient()
        assert patient.snapshot().counts["timeout"] == 1


def test_first_use_by_many_threads_makes_one_circuit(runtime: Runtime) -> None:
    @circuit("first use")
    def call() -> None: ...

    found = []
    barrier = threading.Barrier(8)

    def use() -> None:
        with runtime.active():
            barrier.wait()
            found.append(call.circuit)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_the_book_of_circuits(runtime: Runtime) -> None:
    stock("a")
    assert [one.name for one in runtime.circuits] == [f"{__name__}.stock"]
    assert runtime.circuits.get(f"{__name__}.stock") is stock.circuit
    assert len(runtime.circuits) == 1
    with pytest.raises(KeyError, match=r"known: .*stock"):
        runtime.circuits.get("nothing")


async def test_watching_every_call_and_leaving_again(runtime: Runtime) -> None:
    from resilient.events import CallEnded

    seen: list[CallEnded] = []
    await order(1)
    await order(1)
    assert order.circuit.take is not None
    leave = runtime.events.subscribe(seen.append, CallEnded)
    assert order.circuit.take is None
    await order(2)
    leave()
    assert order.circuit.take is not None
    await order(3)
    assert [(one.circuit, one.outcome) for one in seen] == [(f"{__name__}.order", "success")]
    assert order.snapshot().counts["success"] == 4
