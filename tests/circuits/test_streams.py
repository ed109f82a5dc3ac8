"""Generators and context managers behind a circuit."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Iterator

import pytest
from circuit_kit import Asked, Boom, Reply

from resilient import CallTimeout, CircuitFull, CircuitOpen, ConfigError, Runtime, circuit
from resilient.circuits.attempt import current_attempt, watch
from resilient.clock import SYSTEM


class Source:
    """A stream behind a circuit, plain or async, that yields, raises or calls what it is given."""

    def __init__(self, kind: str, runner: asyncio.Runner, **options) -> None:
        self.kind = kind
        self.runner = runner
        self.begun = self.closed = 0

        def plain(*acts):
            self.begun += 1
            try:
                for act in acts:
                    yield _done(act)
            finally:
                self.closed += 1

        async def coroutine(*acts):
            self.begun += 1
            try:
                for act in acts:
                    yield _done(act)
            finally:
                self.closed += 1

        self.f = circuit("stream", **options)(plain if kind == "sync" else coroutine)

    def open(self, *acts) -> Items:
        return Items(self, self.f(*acts))

    def all(self, *acts) -> list:
        return list(self.open(*acts))

    @property
    def seen(self) -> dict[str, int]:
        snapshot = self.f.snapshot()
        return {**{word: n for word, n in snapshot.counts.items() if n}, "in_flight": snapshot.in_flight}


class Items:
    """One stream, read item by item whatever kind it is."""

    def __init__(self, source: Source, generator) -> None:
        self._source = source
        self.generator = generator

    def _run(self, made, end):
        if self._source.kind == "sync":
            return made()
        try:
            return self._source.runner.run(_await(made()))
        except StopAsyncIteration:
            raise end from None

    def __iter__(self):
        return self

    def __next__(self):
        name = "__next__" if self._source.kind == "sync" else "__anext__"
        return self._run(getattr(self.generator, name), StopIteration)

    def throw(self, error):
        name = "throw" if self._source.kind == "sync" else "athrow"
        return self._run(lambda: getattr(self.generator, name)(error), StopIteration)

    def send(self, value):
        name = "send" if self._source.kind == "sync" else "asend"
        return self._run(lambda: getattr(self.generator, name)(value), StopIteration)

    def close(self) -> None:
        name = "close" if self._source.kind == "sync" else "aclose"
        self._run(getattr(self.generator, name), StopIteration)


async def _await(awaitable):
    return await awaitable


def _done(act):
    if isinstance(act, BaseException):
        raise act
    return act() if callable(act) else act


@pytest.fixture(params=["sync", "async"])
def source(request, runtime):
    with asyncio.Runner() as runner:
        runner.get_loop()
        yield lambda **options: Source(request.param, runner, **options)


def test_case_77_an_error_after_the_first_item_counts_but_is_not_answered(source):
    asked = []
    stream = source(fallback=lambda *acts: asked.append(acts) or [7])
    items = stream.open(1, 2, 3, Boom("broken"))
    assert [next(items), next(items), next(items)] == [1, 2, 3]
    assert stream.seen == {"success": 1, "in_flight": 1}
    with pytest.raises(Boom, match="broken"):
        next(items)
    assert asked == []
    assert stream.seen == {"success": 1, "failure": 1, "in_flight": 0}
    assert stream.closed == 1
    assert stream.f.snapshot().last_error == "Boom: broken"
    assert stream.f.snapshot().calls == 2


def test_case_78_an_error_before_the_first_item_is_a_failure(source):
    stream = source()
    with pytest.raises(Boom):
        stream.all(Boom())
    assert stream.seen == {"failure": 1, "in_flight": 0}
    with pytest.raises(Asked):
        source(exclude=Asked).all(Asked())


def test_case_78_and_a_fallback_answers(source):
    stream = source(fallback=lambda *acts: iter([7, 8]))
    assert stream.all(Boom()) == [7, 8]
    stream.f.open()
    assert stream.all(1) == [7, 8]
    assert stream.seen == {"failure": 1, "short_circuited": 1, "fallback_success": 2, "in_flight": 0}
    assert stream.begun == 1


def test_a_default_is_what_it_yields(source):
    assert source(default=()).all(Boom()) == []
    with pytest.raises(ConfigError, match="iterate"):
        source(default=None)


def test_case_79_leaving_after_the_first_item_is_a_success(source):
    stream = source(max_concurrent=1)
    items = stream.open(1, 2)
    assert next(items) == 1
    with pytest.raises(CircuitFull):
        next(stream.open(1))
    items.close()
    assert (stream.seen["success"], stream.seen["in_flight"], stream.closed) == (1, 0, 1)
    assert stream.all(1, 2) == [1, 2]


def test_dropped_it_is_closed(source):
    stream = source()
    items = stream.open(1, 2)
    assert next(items) == 1
    del items
    gc.collect()
    if stream.kind == "async":
        stream.runner.run(asyncio.sleep(0.01))  # the loop closes what was dropped
    assert stream.seen == {"success": 1, "in_flight": 0}
    assert stream.closed == 1


def test_nothing_is_taken_before_the_first_item_is_wanted(source):
    stream = source(max_concurrent=1)
    unread = [stream.open(1) for _ in range(5)]
    assert stream.seen == {"in_flight": 0}
    assert [list(one) for one in unread] == [[1]] * 5


def test_an_empty_one_is_a_success(source):
    stream = source()
    assert stream.all() == []
    assert stream.seen == {"success": 1, "in_flight": 0}


def test_it_opens_and_refuses_and_is_tried(source, clock):
    stream = source()
    for _ in range(20):
        with pytest.raises(Boom):
            stream.all(Boom())
    assert stream.f.state == "open"
    with pytest.raises(CircuitOpen):
        stream.all(1)
    assert stream.begun == 20
    clock.advance(5)
    items = stream.open(1, 2, Boom())
    assert next(items) == 1
    assert stream.f.state == "closed"  # decided by the first item
    assert next(items) == 2
    with pytest.raises(Boom):
        next(items)
    assert stream.f.state == "closed"
    assert stream.seen["in_flight"] == 0


def test_streams_that_always_break_open_it_all_the_same(source):
    stream = source()
    for _ in range(10):
        with pytest.raises(Boom):
            stream.all(1, Boom())
    assert stream.f.state == "open"


def test_one_that_breaks_after_a_turn_decides_nothing(source):
    stream = source(min_calls=1, error_rate=0.1)
    items = stream.open(1, Boom())
    next(items)
    stream.f.open()
    stream.f.close()
    with pytest.raises(Boom):
        next(items)
    assert stream.f.state == "closed"
    assert stream.f.snapshot().calls == 0


def test_only_the_time_to_the_first_item_is_measured(source, clock):
    stream = source(slow_duration=1, window=100)
    assert stream.all(1, lambda: clock.advance(30), 3) == [1, None, 3]
    assert stream.seen == {"success": 1, "in_flight": 0}
    assert stream.all(lambda: clock.advance(2)) == [None]
    assert stream.seen["slow"] == 1


def test_wrong_arguments_lose_no_permit():
    @circuit("strict", max_concurrent=1)
    def plain(x):
        yield x

    @circuit("strict", max_concurrent=1)
    async def coroutine(x):
        yield x

    for _ in range(3):
        with pytest.raises(TypeError):
            next(plain())
        with pytest.raises(TypeError):
            asyncio.run(_await(anext(coroutine())))
    assert plain.snapshot().in_flight == 0


def test_values_and_errors_go_in_too(source):
    heard = []

    def plain():
        try:
            heard.append((yield 1))
        except Asked:
            heard.append("asked")
        yield 2

    async def coroutine():
        try:
            heard.append((yield 1))
        except Asked:
            heard.append("asked")
        yield 2

    stream = source()
    stream.f = circuit("talk")(plain if stream.kind == "sync" else coroutine)
    items = stream.open()
    assert next(items) == 1
    assert items.send("hello") == 2
    assert list(items) == []
    items = stream.open()
    next(items)
    assert items.throw(Asked()) == 2
    items.close()
    assert heard == ["hello", "asked"]
    assert stream.seen == {"success": 2, "in_flight": 0}


def test_a_plain_one_may_return_a_value():
    @circuit("returning")
    def inner() -> Iterator[int]:
        yield 1
        return 7

    def outer():
        value = yield from inner()
        yield value

    assert list(outer()) == [1, 7]


def test_still_the_kind_of_function_it_was():
    @circuit
    def plain(x: int) -> Iterator[int]:
        yield x

    @circuit
    async def coroutine(x: int) -> AsyncIterator[int]:
        yield x

    assert inspect.isgeneratorfunction(plain)
    assert inspect.isasyncgenfunction(coroutine)
    assert str(inspect.signature(plain)) == "(x: 'int') -> 'Iterator[int]'"

    class Client:
        @circuit
        def rows(self, n: int):
            yield from range(n)

    assert list(Client().rows(3)) == [0, 1, 2]
    assert list(Client().rows.options(timeout=1)(2)) == [0, 1]


def test_a_response_shown_on_the_way_is_the_verdict(source):
    watch()
    stream = source()

    def show():
        current_attempt().judge(Reply(503))
        return 1

    assert stream.all(show, 2) == [1, 2]
    assert stream.seen == {"failure": 1, "in_flight": 0}
    assert current_attempt() is None


async def test_a_stream_that_falls_silent_is_given_up():
    with Runtime(clock=SYSTEM).active():  # the loop waits by the real clock
        closed = []

        @circuit("silent", idle_timeout=0.02, timeout=5)
        async def items(pause: float) -> AsyncIterator[int]:
            try:
                await asyncio.sleep(0.03)  # longer than between two items: the first one has its own time
                yield 1
                yield 2
                await asyncio.sleep(pause)
                yield 3
            finally:
                closed.append(pause)

        assert [one async for one in items(0)] == [1, 2, 3]
        seen = []
        with pytest.raises(CallTimeout) as late:
            async for one in items(5):
                await asyncio.sleep(0.03)  # the reader may take all the time he likes
                seen.append(one)
        assert (seen, late.value.seconds, closed) == ([1, 2], 0.02, [0, 5])
        snapshot = items.snapshot()
        assert (snapshot.counts["success"], snapshot.counts["failure"], snapshot.in_flight) == (2, 1, 0)


async def test_a_timeout_of_the_stream_itself_arrives_as_it_is():
    @circuit("own", idle_timeout=5)
    async def items() -> AsyncIterator[int]:
        yield 1
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine") as own:
        [one async for one in items()]
    assert type(own.value) is TimeoutError
