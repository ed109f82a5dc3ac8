"""Case 107: a forked child has windows of its own, and no lock is held by a thread that it does not have."""

from __future__ import annotations

import contextvars
import json
import os
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from circuit_kit import Boom

from resilient import Runtime, circuit

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def in_child(work: Callable[[], Any]) -> Any:
    """Run it in a forked child; answers what it returned."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = {"value": work()}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        os.write(into, json.dumps(answer).encode())
        os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as stream:
        answer = json.loads(stream.read() or b'{"error": "nothing was said"}')
    os.waitpid(pid, 0)
    assert "error" not in answer, answer["error"]
    return answer["value"]


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    thread.start()
    return thread


def test_case_107_fresh_windows_and_no_held_lock(runtime):
    @circuit("forked", max_concurrent=2)
    def call(act: Callable[[], int] = lambda: 1) -> int:
        return act()

    gate, inside, locked = threading.Event(), threading.Event(), threading.Event()

    def fail() -> int:
        raise Boom

    for _ in range(19):
        with pytest.raises(Boom):
            call(fail)
    call()
    call.close()
    call()

    def busy() -> None:
        call(lambda: inside.set() or gate.wait(10))

    def hold_all_locks() -> None:
        with call.circuit.section, runtime.circuits._lock, call.circuit.section._telling:
            locked.set()
            gate.wait(10)

    threads = [in_thread(busy), in_thread(hold_all_locks)]
    assert inside.wait(10)
    assert locked.wait(10)

    def child() -> dict[str, Any]:
        before = call.snapshot()
        call()
        other = circuit("another")(lambda: 2)
        assert other() == 2
        held = [call.circuit.admit(len) for _ in range(2)]  # the parent's caller is not here
        for attempt in held:
            call.circuit.ended(attempt, 1)
        call.open()
        after = call.snapshot()
        return {
            "counts": sum(before.counts.values()),
            "latency": len(before.latency),
            "in_flight": before.in_flight,
            "after": after.counts["success"],
            "state": after.state,
        }

    try:
        told = in_child(child)
    finally:
        gate.set()
    for thread in threads:
        thread.join(10)
    assert told == {"counts": 0, "latency": 0, "in_flight": 0, "after": 3, "state": "open"}
    snapshot = call.snapshot()  # the parent goes on as before
    assert (snapshot.state, snapshot.counts["failure"], snapshot.counts["success"]) == ("closed", 19, 3)


def test_an_open_circuit_is_open_in_the_child(runtime, clock):
    @circuit("open")
    def call() -> int:
        return 1

    call.open()

    def child() -> list[str]:
        states = [call.state]
        clock.advance(5)
        call()
        return [*states, call.state]

    assert in_child(child) == ["open", "closed"]
    assert call.state == "open"


def test_a_call_that_forks_is_over_in_both(runtime):
    @circuit("forking")
    def call() -> int:
        return in_child(lambda: call.snapshot().in_flight)

    assert call() == 0
    assert call.snapshot().in_flight == 0

    @circuit("returning in the child")
    def twice() -> int:
        return os.fork()

    pid = twice()
    if pid == 0:
        good = twice.snapshot().in_flight == 0 and twice.snapshot().counts["success"] == 1
        os._exit(0 if good else 7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_threads_of_a_pool_are_made_anew(runtime):
    gate, inside = threading.Event(), threading.Event()

    @circuit("pooled", isolation="thread", pool_size=1)
    def call(act: Callable[[], int]) -> int:
        return act()

    assert call(lambda: 1) == 1
    thread = in_thread(lambda: call(lambda: inside.set() or gate.wait(10)))
    assert inside.wait(10)
    try:
        assert in_child(lambda: call(lambda: 2)) == 2
    finally:
        gate.set()
    thread.join(10)


def test_children_do_not_try_in_step():
    with Runtime().active() as runtime:
        circuit("seeded")(lambda: 1)()
        assert in_child(runtime.circuits.rng.random) != in_child(runtime.circuits.rng.random)


def test_a_trial_of_the_parent_is_not_waited_for(runtime, clock):
    @circuit("tried")
    def call() -> int:
        return 1

    call.open()
    clock.advance(5)
    trial = call.circuit.admit(len)
    assert call.state == "half-open"

    def child() -> str:
        call()
        return call.state

    assert in_child(child) == "closed"
    call.circuit.ended(trial, 1)
    assert call.state == "closed"
