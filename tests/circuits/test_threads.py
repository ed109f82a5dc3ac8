"""Plain functions in threads of their own: the caller leaves in time, the thread keeps its place."""

from __future__ import annotations

import contextvars
import gc
import threading
import time
import weakref

import pytest
from circuit_kit import Boom, Reply, Still, together

from resilient import CallTimeout, CircuitFull, CircuitOpen, CircuitPolicy, ConfigError, Runtime, circuit
from resilient.circuits import pool as pools
from resilient.circuits.attempt import current_attempt, watch
from resilient.clock import SYSTEM


@pytest.fixture
def real():
    with Runtime(clock=SYSTEM, rng=Still()).active() as runtime:
        yield runtime


def until(told, seconds: float = 5.0) -> None:
    """Wait for another thread's last step; there is no event for it."""
    end = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_case_62_the_caller_leaves_at_the_deadline_the_slot_stays_taken(real):
    gate = threading.Event()
    replies: list[Reply] = []

    @circuit("apart", isolation="thread", timeout=0.05, pool_size=1)
    def call() -> Reply:
        assert gate.wait(10)
        replies.append(Reply(200))
        return replies[-1]

    started = time.monotonic()
    with pytest.raises(CallTimeout, match=r"0\.05s"):
        call()
    assert 0.04 < time.monotonic() - started < 2
    snapshot = call.snapshot()
    assert (snapshot.abandoned, snapshot.in_flight, snapshot.counts["timeout"]) == (1, 1, 1)
    with pytest.raises(CircuitFull) as full:
        call()
    assert full.value.limit == 1
    gate.set()
    until(lambda: call.snapshot().abandoned == 0)
    snapshot = call.snapshot()
    assert (snapshot.in_flight, snapshot.isolation) == (0, "thread")
    assert (snapshot.counts["timeout"], snapshot.counts["success"], snapshot.counts["rejected"]) == (1, 0, 1)
    assert replies[0].closed  # nobody waits for it
    until(lambda: call.circuit.pool.snapshot().active == 0)
    assert call().status == 200


def test_case_26_the_late_result_of_a_trial_changes_nothing(real):
    gate = threading.Event()

    @circuit("trial", isolation="thread", timeout=0.01, reset_timeout=0.001)
    def call() -> int:
        return gate.wait(10) and 1

    call.open()
    time.sleep(0.002)
    with pytest.raises(CallTimeout):
        call()
    assert call.state == "open"
    call.open(60)
    gate.set()
    until(lambda: call.snapshot().in_flight == 0)
    assert call.state == "open"


def test_it_runs_in_another_thread_that_is_used_again_with_the_callers_context(real):
    watch()
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")

    @circuit("context", isolation="thread", timeout=5)
    def call() -> tuple[str, threading.Thread, float]:
        seen = var.get()
        var.set("changed")
        return seen, threading.current_thread(), current_attempt().remaining()

    var.set("mine")
    seen, thread, left = call()
    assert (seen, var.get()) == ("mine", "mine")
    assert 4 < left <= 5
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert thread.name.startswith("context-")
    until(lambda: call.circuit.pool.snapshot().active == 0)
    assert call()[1] is thread


def test_errors_results_and_fallbacks_are_as_without_threads(real):
    boom = Boom("as it is")

    @circuit("plain", isolation="thread")
    def call(act):
        if isinstance(act, BaseException):
            raise act
        return act

    @circuit("plain with", isolation="thread", fallback=lambda act: "saved", timeout=0.01)
    def rescued(act):
        if act == "slow":
            time.sleep(0.05)
        return call(act)

    with pytest.raises(Boom) as error:
        call(boom)
    assert error.value is boom
    assert error.traceback[-1].name == "call"
    assert call(7) == 7
    with pytest.raises(KeyboardInterrupt):
        call(KeyboardInterrupt())
    assert call.snapshot().counts["void"] == 1
    assert rescued(boom) == "saved"
    assert rescued("slow") == "saved"
    assert rescued(Reply(500)) == "saved"
    assert rescued(8) == 8
    rescued.open()
    assert rescued(8) == "saved"
    call.open()
    with pytest.raises(CircuitOpen):
        call(8)
    assert call.options(timeout=2, default=3)(1) == 3
    assert call.snapshot().in_flight == 0
    until(lambda: rescued.snapshot().in_flight == 0)


def test_a_nested_call_has_no_more_time_than_the_outer_one(real):
    @circuit("outer", timeout=0.2)
    def outer() -> float:
        return inner()

    @circuit("inner", timeout=60, isolation="thread")
    def inner() -> float:
        return current_attempt().remaining()

    watch()
    assert outer() <= 0.2


def test_a_pool_may_be_shared(real):
    gate = threading.Event()
    both = threading.Barrier(3, timeout=10)

    def work() -> int:
        both.wait()
        assert gate.wait(10)
        return 1

    first = circuit("first", isolation="thread", thread_pool="db", pool_size=2)(work)
    second = circuit("second", isolation="thread", thread_pool="db", pool_size=2)(work)
    callers = [
        threading.Thread(target=contextvars.copy_context().run, args=(one,)) for one in (first, second)
    ]
    for caller in callers:
        caller.start()
    both.wait()
    with pytest.raises(CircuitFull):
        first()
    with pytest.raises(CircuitFull):
        second()
    (shown,) = real.circuits.pools.snapshots()
    assert (shown.name, shown.size, shown.threads, shown.active, shown.rejected) == ("db", 2, 2, 2, 2)
    gate.set()
    for caller in callers:
        caller.join(10)
    until(lambda: real.circuits.pools.snapshots()[0].active == 0)
    assert real.circuits.pools.snapshots()[0].done == 2
    assert first.snapshot().in_flight == second.snapshot().in_flight == 0
    third = circuit("third", isolation="thread", thread_pool="db", pool_size=3)(work)
    with pytest.raises(ConfigError, match="two sizes for thread pool 'db'"):
        third()
    assert third.snapshot().in_flight == 0


def test_a_full_pool_in_a_trial_decides_nothing(real):
    gate = threading.Event()
    inside = threading.Event()

    @circuit("busy", isolation="thread", pool_size=1, timeout=0.01, reset_timeout=0.001, fail_max=1)
    def call() -> int:
        inside.set()
        return int(gate.wait(10))

    with pytest.raises(CallTimeout):
        call()
    time.sleep(0.002)
    with pytest.raises(CircuitFull):
        call()
    assert call.state == "half-open"
    gate.set()
    until(lambda: call.circuit.pool.snapshot().active == 0)
    assert call() == 1
    assert call.state == "closed"
    assert call.snapshot().in_flight == 0


def test_the_pool_grows_and_shrinks_at_run_time(real):
    gate = threading.Event()
    inside = threading.Semaphore(0)

    @circuit("elastic", isolation="thread", pool_size=1)
    def call() -> int:
        inside.release()
        return int(gate.wait(10))

    def begin() -> threading.Thread:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(call,))
        thread.start()
        assert inside.acquire(timeout=10)
        return thread

    threads = [begin()]
    call.configure(pool_size=3)
    threads += [begin(), begin()]
    with pytest.raises(CircuitFull):
        call()
    call.configure(pool_size=1)
    gate.set()
    for thread in threads:
        thread.join(10)
    until(lambda: call.circuit.pool.snapshot().threads == 1)
    assert call() == 1


def test_idle_threads_end(real, monkeypatch):
    monkeypatch.setattr(pools, "KEEP", 0.01)

    @circuit("tired", isolation="thread")
    def call() -> threading.Thread:
        return threading.current_thread()

    thread = call()
    thread.join(5)
    assert not thread.is_alive()
    assert call.circuit.pool.snapshot().threads == 0
    assert call() is not thread


def test_many_callers_few_threads_nothing_is_lost(real):
    @circuit("many", isolation="thread", pool_size=3, count_rejections=False, timeout=0.0005)
    def call(n: int) -> int:
        time.sleep(0.0004 if n % 3 else 0.001)
        return n

    def caller() -> dict[str, int]:
        ends: dict[str, int] = {"good": 0, "late": 0, "full": 0}
        for n in range(60):
            try:
                assert call(n) == n
                ends["good"] += 1
            except CallTimeout:
                ends["late"] += 1
            except CircuitFull:
                ends["full"] += 1
            except CircuitOpen:
                call.close()
                ends["open"] = ends.get("open", 0) + 1
        return ends

    answers = together(6, caller)
    assert all(sum(one.values()) == 60 for one in answers)
    until(lambda: call.snapshot().in_flight == 0)
    assert call.snapshot().abandoned == 0
    counts = call.snapshot().counts
    assert counts["timeout"] == sum(one["late"] for one in answers)
    assert counts["success"] == sum(one["good"] for one in answers)
    assert counts["rejected"] == sum(one["full"] for one in answers)


def test_nothing_is_kept_of_a_call_that_is_over(real):
    class Big:
        pass

    @circuit("clean", isolation="thread")
    def call(big: Big) -> None:
        raise Boom

    big = Big()
    gone = weakref.ref(big)
    gc.disable()
    try:
        with pytest.raises(Boom):
            call(big)
        until(lambda: call.circuit.pool.snapshot().active == 0)
        del big
        assert gone() is None
    finally:
        gc.enable()


def test_threads_are_for_plain_functions_only():
    async def coroutine() -> None:
        pass

    def generator():
        yield 1

    for function in (coroutine, generator):
        with pytest.raises(ConfigError, match="isolation='thread' is for plain functions"):
            circuit(isolation="thread")(function)
    with pytest.raises(ConfigError, match="isolation must be"):
        CircuitPolicy(isolation="process")
