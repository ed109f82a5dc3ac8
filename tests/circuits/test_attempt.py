"""What the code inside a call may ask, the with-block, and that nothing is kept of a call that has ended."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref

import pytest
from circuit_kit import Asked, Boom, Held, Reply

from resilient import CallTimeout, CircuitFull, CircuitOpen, Runtime, circuit
from resilient.circuits import attempt as attempts
from resilient.circuits.attempt import current_attempt
from resilient.clock import SYSTEM


@pytest.fixture(autouse=True)
def watched(monkeypatch):
    monkeypatch.setattr(attempts, "watched", True)


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_outside_a_circuit_there_is_no_attempt():
    assert current_attempt() is None


def test_nobody_pays_for_what_nobody_asks(monkeypatch):
    monkeypatch.setattr(attempts, "watched", False)

    @circuit("quiet")
    def call():
        return attempts.CURRENT.get()

    assert call() is None
    attempts.watch()
    assert call() is not None


def test_inside_it_knows_name_and_time(serve, clock):
    def look():
        attempt = current_attempt()
        assert attempt is current_attempt()
        before = attempt.remaining()
        clock.advance(2)
        return attempt.name, before, attempt.remaining()

    service = serve()
    assert service(look) == ("service", 5.0, 3.0)
    assert service(lambda: (clock.advance(9), current_attempt().remaining())[1]) == 0.0
    assert current_attempt() is None


def test_without_a_deadline_nothing_remains(serve):
    assert serve(timeout=None)(lambda: current_attempt().remaining()) is None


@pytest.mark.parametrize(("outer", "inner", "least"), [(1, 5, 1), (5, 1, 1), (None, 2, 2), (2, None, 2)])
def test_nested_the_smallest_remains(outer, inner, least):
    @circuit(f"inner {inner}", timeout=inner)
    def within():
        return current_attempt().remaining()

    @circuit(f"outer {outer}", timeout=outer)
    def without():
        found = within()
        assert current_attempt().name == f"outer {outer}"
        return found

    assert without() == least


def test_the_response_that_was_shown_counts(serve):
    service = serve()
    reply = Reply(503)
    assert service(lambda: current_attempt().judge(reply) and 1) == 1
    assert service.counts["failure"] == 1
    service(lambda: (current_attempt().judge(Reply(503)), current_attempt().judge(Reply(200)))[1])
    assert service.counts["success"] == 1
    service(lambda: current_attempt().judge(Reply(404)) and 1)
    assert service.counts["excluded"] == 1


def test_a_404_turned_into_an_error_of_the_functions_own_is_still_an_answer(serve):
    def not_found():
        current_attempt().judge(Reply(404))
        raise LookupError

    service = serve()
    for _ in range(20):
        with pytest.raises(LookupError):
            service(not_found)
    assert service.state == "closed"
    assert service.counts["excluded"] == 20


def test_a_judge_that_cannot_read_the_response_counts_a_failure(serve):
    def failed(result):
        raise RuntimeError

    service = serve(failed=failed)
    assert service(lambda: current_attempt().judge(1)) == 1
    assert service.counts["failure"] == 1
    assert service.in_flight == 0


def test_the_first_service_named_is_the_target(serve):
    service = serve()
    service(lambda: [current_attempt().aims_at(name) for name in ("orders", "stock")])
    assert service.f.snapshot().target == "orders"


async def test_a_task_that_outlives_its_call_does_not_meet_the_next_one(clock):
    asked: list[object] = []

    @circuit("spawns")
    async def call(spawn: bool) -> asyncio.Task[None] | None:
        async def later() -> None:
            await go.wait()
            asked.append(current_attempt())

        if spawn:
            return asyncio.create_task(later())
        go.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asked, "the task has not asked yet"
        return None

    go = asyncio.Event()
    assert await call(True) is not None
    task = await call(True)
    clock.advance(0.001)
    await call(False)  # uses the attempt of the first one again, and is under way when the task asks
    await task
    assert asked == [None, None]


async def test_a_task_that_outlives_an_inner_call_finds_the_outer_one():
    go = asyncio.Event()
    names: list[str | None] = []

    async def later() -> None:
        await go.wait()
        attempt = current_attempt()
        names.append(attempt.name if attempt else None)

    @circuit("inner")
    async def inner() -> asyncio.Task[None]:
        return asyncio.create_task(later())

    @circuit("outer")
    async def outer() -> None:
        task = await inner()
        go.set()
        await task

    await outer()
    assert names == ["outer"]


def test_an_attempt_somebody_holds_is_not_used_again(serve):
    service = serve()
    held = [service(current_attempt) for _ in range(3)]
    assert len(set(held)) == 3
    assert service.in_flight == 0


# ---------------------------------------------------------------- nothing is kept


class Work:
    """Something to hold on to by accident."""


@pytest.mark.parametrize("way", ["good", "bad", "timeout", "cancelled", "default", "fallback"])
async def test_a_finished_task_is_gone_without_the_collector(no_collector, way):
    with Runtime(clock=SYSTEM).active():
        options = {"default": {"default": 7}, "fallback": {"fallback": lambda work: 7}}.get(way, {})

        @circuit("gone", timeout=0.01 if way == "timeout" else 5, **options)
        async def call(work: Work | None) -> int:
            if work is None:
                return 0
            if way in ("bad", "default", "fallback"):
                raise Boom
            await asyncio.sleep(5 if way in ("timeout", "cancelled") else 0)
            return 1

        assert [await call(None) for _ in range(2)] == [0, 0]  # from here on calls go the short way
        work = Work()
        task = asyncio.create_task(call(work))
        await asyncio.sleep(0)
        if way == "cancelled":
            task.cancel()
        await asyncio.wait([task])
        gone = weakref.ref(task), weakref.ref(work)
        if way in ("bad", "timeout"):
            assert isinstance(task.exception(), Boom if way == "bad" else CallTimeout)
        del task, work
        await asyncio.sleep(0)
        assert [ref() for ref in gone] == [None, None]


def worse(*_):
    raise Asked


@pytest.mark.parametrize("kind", ["sync", "timed", "untimed"])
@pytest.mark.parametrize("way", ["open", "full", "bad", "fallback", "timeout"])
async def test_an_error_is_gone_without_the_collector(no_collector, kind, way):
    if way == "timeout" and kind != "timed":
        pytest.skip("nothing ends these")
    with Runtime(clock=SYSTEM).active():
        handle = circuit(
            "gone",
            timeout=None if kind == "untimed" else 0.01 if way == "timeout" else 5,
            max_concurrent=1,
            **({"fallback": worse} if way == "fallback" else {}),
        )
        block = handle.attempt()
        if way == "open":
            handle.open()
        elif way == "full":
            block.__enter__()

        if kind == "sync":

            @handle
            def call(work: Work) -> None:
                raise Boom

        else:

            @handle
            async def call(work: Work) -> None:
                await asyncio.sleep(5 if way == "timeout" else 0)
                raise Boom

        work = Work()
        gone = [weakref.ref(work)]
        try:
            if kind == "sync":
                call(work)
            else:
                await call(work)
        except (Boom, CircuitOpen, CircuitFull, CallTimeout) as error:
            gone.append(weakref.ref(error))
            if way == "fallback":
                assert isinstance(error.fallback_error, Asked)
                del error.fallback_error  # the two know each other, as they should
        else:
            raise AssertionError("no error")
        del work
        if way == "timeout":
            del gone[0]  # asyncio's own: a sleep that was cancelled makes a ring with its future
        assert [ref() for ref in gone] == [None] * len(gone)
        if way == "full":
            block.__exit__(None, None, None)


# ---------------------------------------------------------------- blocks


def test_a_block_counts_like_a_call(clock):
    block = circuit("block")
    with block.attempt() as attempt:
        assert attempt.remaining() == 5
        assert current_attempt() is attempt
        assert block.snapshot().in_flight == 1
    assert current_attempt() is None
    for _ in range(18):
        with pytest.raises(Boom):
            with block.attempt():
                raise Boom
    assert block.state == "closed"
    with block.attempt() as attempt:
        attempt.judge(Reply(503))
    counts = block.snapshot().counts
    assert (counts["success"], counts["failure"]) == (1, 19)
    assert block.state == "open"
    with pytest.raises(CircuitOpen):
        with block.attempt():
            raise AssertionError("not to be entered")
    clock.advance(5)
    with block.attempt():
        assert block.state == "half-open"
    assert block.state == "closed"
    assert block.snapshot().in_flight == 0


async def test_an_async_block_has_a_deadline():
    with Runtime(clock=SYSTEM).active():
        block = circuit("block", timeout=0.01)
        with pytest.raises(CallTimeout):
            async with block.attempt():
                await asyncio.sleep(5)
        assert asyncio.current_task().cancelling() == 0
        async with block.attempt():
            await asyncio.sleep(0)
        counts = block.snapshot().counts
        assert (counts["timeout"], counts["success"]) == (1, 1)
        assert block.snapshot().in_flight == 0


def test_a_block_has_no_result_for_failed_to_judge():
    block = circuit("block", failed=lambda result: result != "fine")
    with block.attempt() as attempt:
        attempt.judge("fine")
    with block.attempt():
        pass
    assert block.snapshot().counts["success"] == 2
    with block.attempt() as attempt:
        attempt.judge("ill")
    assert block.snapshot().counts["failure"] == 1


def test_a_full_block(clock):
    block = circuit("block", max_concurrent=1)
    with block.attempt():
        with pytest.raises(CircuitFull):
            with block.attempt():
                raise AssertionError("not to be entered")
    with block.attempt():
        pass


def test_a_block_left_in_another_context_gives_its_permit_back():
    block = circuit("block")

    def generator():
        with block.attempt():
            yield

    abandoned = generator()
    contextvars.copy_context().run(next, abandoned)
    assert block.snapshot().in_flight == 1
    abandoned.close()
    assert block.snapshot().in_flight == 0


@pytest.mark.parametrize("timeout", [5, None])
def test_a_coroutine_closed_in_another_context_gives_its_permit_back(timeout):
    @circuit("closed", timeout=timeout)
    async def call():
        await asyncio.sleep(5)

    with asyncio.Runner() as runner:

        async def step():
            coroutine = call()
            contextvars.copy_context().run(coroutine.send, None)
            return coroutine

        coroutine = runner.run(step())
        assert call.snapshot().in_flight == 1
        coroutine.close()  # raises nothing
    assert call.snapshot().in_flight == 0
    assert call.snapshot().counts["void"] == 1


async def test_generators_of_a_held_call_are_closed_with_the_loop():
    held = Held()
    task, _ = await held.begin()
    task.cancel()
    await asyncio.wait([task])
    assert held.f.snapshot().in_flight == 0
