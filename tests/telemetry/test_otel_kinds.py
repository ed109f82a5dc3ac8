"""Traces of what is no plain function: blocks, generators, context managers."""

from __future__ import annotations

import asyncio
import contextlib
import inspect

import pytest

from resilient import CallTimeout, CircuitOpen, Runtime, circuit
from resilient.circuits.block import Block
from resilient.telemetry import otel, otel_seams

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    otel.enable(tracer_provider=provider)
    with Runtime(instances={}).active():
        yield exporter
    otel.disable()


def only(spans):
    (span,) = spans.get_finished_spans()
    return span


def here() -> int:
    """The id of the present span; 0 for none."""
    return trace.get_current_span().get_span_context().span_id


# --- blocks


async def go(block, body=lambda: None, *, asynchronous: bool):
    """Enter a block, and do something inside."""
    if asynchronous:
        async with block:
            return body()
    with block:
        return body()


BOTH = pytest.mark.parametrize("asynchronous", [False, True])


@BOTH
async def test_a_block_has_a_span_that_is_the_present_one_inside(spans, asynchronous) -> None:
    block = circuit("shop").attempt()
    for _ in range(2):  # one after the other, in the same one
        inside = await go(block, here, asynchronous=asynchronous)
        span = spans.get_finished_spans()[-1]
        assert (span.name, span.context.span_id) == ("shop", inside)
        assert span.attributes["resilient.outcome"] == "success"
        assert span.attributes["resilient.circuit.state"] == "closed"
        assert here() == 0
    assert len(spans.get_finished_spans()) == 2


@BOTH
async def test_a_block_that_fails_and_one_that_is_refused(spans, asynchronous) -> None:
    shop = circuit("shop", min_calls=1)

    def fails() -> None:
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        await go(shop.attempt(), fails, asynchronous=asynchronous)
    with pytest.raises(CircuitOpen):
        await go(shop.attempt(), asynchronous=asynchronous)
    failed, refused = spans.get_finished_spans()
    assert [one.name for one in failed.events] == ["circuit.opened", "exception"]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes["resilient.outcome"] == "failure"
    assert refused.attributes["resilient.outcome"] == "short_circuited"
    assert refused.attributes["resilient.circuit.state"] == "open"
    assert here() == 0


async def test_a_block_that_is_too_late(spans) -> None:
    with pytest.raises(CallTimeout):
        async with circuit("shop", timeout=0.01).attempt():
            await asyncio.sleep(30)
    span = only(spans)
    assert [one.name for one in span.events] == ["timeout", "exception"]
    assert span.attributes["resilient.outcome"] == "timeout"
    assert span.attributes["error.type"] == "resilient.errors.CallTimeout"


def test_a_call_inside_a_block_stands_below_it(spans) -> None:
    with circuit("outer").attempt() as attempt:
        circuit("inner")(lambda: 1)()
        assert attempt.remaining() is not None
    inner, outer = spans.get_finished_spans()
    assert (inner.name, inner.parent.span_id) == ("inner", outer.context.span_id)


def test_nobody_pays_for_a_block_that_is_not_traced(spans) -> None:
    otel.disable()
    assert type(circuit("shop").attempt()) is Block
    with circuit("shop").attempt():
        assert here() == 0
    assert spans.get_finished_spans() == ()
    assert otel_seams.hold is None


def test_circuits_that_are_switched_off_have_no_spans(spans, monkeypatch) -> None:
    monkeypatch.setenv("RESILIENT_ENABLED", "0")
    with circuit("shop").attempt():
        pass
    circuit("more")(lambda: 1)()
    assert spans.get_finished_spans() == ()


# --- generators


def numbers(*, fails_at: int = -1):
    for n in range(3):
        if n == fails_at:
            raise OSError("down")
        seen.append(here())
        got = yield n
        if got:
            answers.append(got)
    return "end"


async def async_numbers(*, fails_at: int = -1):
    for n in range(3):
        if n == fails_at:
            raise OSError("down")
        seen.append(here())
        got = yield n
        if got:
            answers.append(got)


seen: list[int] = []
answers: list[object] = []


@pytest.fixture(autouse=True)
def nothing_seen():
    seen.clear()
    answers.clear()


async def items(function, most: int = 9, **options):
    """What it yields, at most so many, and where its caller is between two of them."""
    found, between = [], []
    if inspect.isasyncgenfunction(function):
        async with contextlib.aclosing(function(**options)) as source:
            async for item in source:
                found.append(item)
                between.append(here())
                if len(found) == most:
                    break
    else:
        with contextlib.closing(function(**options)) as source:
            for item in source:
                found.append(item)
                between.append(here())
                if len(found) == most:
                    break
    assert set(between) <= {0}, "what the caller does is no part of the call"
    return found


KINDS = pytest.mark.parametrize("function", [numbers, async_numbers])


@KINDS
async def test_a_stream_has_a_span_until_its_end(spans, function) -> None:
    protected = circuit("stream")(function)
    assert await items(protected) == [0, 1, 2]
    span = only(spans)
    assert span.name == "stream"
    assert set(seen) == {span.context.span_id}
    assert [one.name for one in span.events] == ["first_item"]
    assert span.attributes["resilient.outcome"] == "success"
    assert span.status.status_code is StatusCode.UNSET
    assert inspect.isasyncgenfunction(protected) == inspect.isasyncgenfunction(function)
    assert inspect.isgeneratorfunction(protected) == inspect.isgeneratorfunction(function)


@KINDS
async def test_a_stream_that_nobody_wants_to_the_end_is_no_error(spans, function) -> None:
    assert await items(circuit("stream")(function), most=1) == [0]
    span = only(spans)
    assert span.attributes["resilient.outcome"] == "success"
    assert span.status.status_code is StatusCode.UNSET
    assert here() == 0


@KINDS
@pytest.mark.parametrize("fails_at", [0, 2])
async def test_a_stream_that_breaks(spans, function, fails_at) -> None:
    with pytest.raises(OSError, match="down"):
        await items(circuit("stream")(function), fails_at=fails_at)
    span = only(spans)
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["resilient.outcome"] == ("failure" if fails_at == 0 else "success")
    assert [one.name for one in span.events] == ["first_item", "exception"][fails_at == 0 :]
    assert here() == 0


@KINDS
async def test_a_stream_that_is_refused_and_one_with_another_answer(spans, function) -> None:
    protected = circuit("stream")(function)
    protected.open()
    with pytest.raises(CircuitOpen):
        await items(protected)
    assert await items(circuit("other", default=[7])(function), fails_at=0) == [7]
    refused, answered = spans.get_finished_spans()
    assert refused.attributes["resilient.outcome"] == "short_circuited"
    assert answered.attributes["resilient.fallback"] == "success"
    assert answered.status.status_code is StatusCode.OK


@KINDS
async def test_a_stream_that_never_began_is_no_call(spans, function) -> None:
    source = circuit("stream")(function)()
    await source.aclose() if inspect.isasyncgen(source) else source.close()
    assert spans.get_finished_spans() == ()


def test_what_is_sent_thrown_and_returned_goes_through(spans) -> None:
    def all_of_it():
        return (yield from circuit("stream")(numbers)())

    source = all_of_it()
    assert next(source) == 0
    assert source.send("hello") == 1
    with pytest.raises(KeyError):
        source.throw(KeyError("thrown"))
    source = all_of_it()
    assert next(source) == 0
    assert [source.send(None), source.send(None)] == [1, 2]
    with pytest.raises(StopIteration) as end:
        next(source)
    assert end.value.value == "end"
    assert answers == ["hello"]
    thrown, well = spans.get_finished_spans()
    assert thrown.attributes["error.type"] == "KeyError"
    assert well.status.status_code is StatusCode.UNSET


async def test_async_what_is_sent_and_thrown_goes_through(spans) -> None:
    source = circuit("stream")(async_numbers)()
    assert await anext(source) == 0
    assert await source.asend("hello") == 1
    with pytest.raises(KeyError):
        await source.athrow(KeyError("thrown"))
    assert answers == ["hello"]
    assert only(spans).attributes["error.type"] == "KeyError"


# --- context managers


@contextlib.contextmanager
def opened():
    seen.append(here())
    yield "handle"
    seen.append(here())


@contextlib.asynccontextmanager
async def async_opened():
    seen.append(here())
    yield "handle"
    seen.append(here())


async def body_of(manager, fails: bool = False):
    def body(found) -> None:
        assert found == "handle"
        seen.append(here())
        circuit("inner")(lambda: 1)()
        if fails:
            raise OSError("down")

    if hasattr(manager, "__aenter__"):
        async with manager as found:
            body(found)
    else:
        with manager as found:
            body(found)


MANAGERS = pytest.mark.parametrize("function", [opened, async_opened])


@MANAGERS
async def test_a_context_manager_has_a_span_over_all_of_its_block(spans, function) -> None:
    await body_of(circuit("open")(function)())
    inner, span = spans.get_finished_spans()
    assert span.name == "open"
    assert seen == [span.context.span_id] * 3
    assert inner.parent.span_id == span.context.span_id
    assert span.attributes["resilient.outcome"] == "success"
    assert span.events == ()
    assert here() == 0


@MANAGERS
async def test_a_context_manager_whose_block_fails(spans, function) -> None:
    with pytest.raises(OSError, match="down"):
        await body_of(circuit("open")(function)(), fails=True)
    _, span = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert here() == 0


async def test_one_that_is_left_in_another_context_harms_nobody(spans, caplog) -> None:
    manager = circuit("open")(async_opened)()
    await asyncio.create_task(manager.__aenter__())  # as fixtures of some test libraries do
    assert here() == 0
    await asyncio.create_task(manager.__aexit__(None, None, None))
    assert here() == 0
    assert only(spans).attributes["resilient.outcome"] == "success"
    assert not caplog.records


def test_functions_of_all_kinds_are_given_back(spans) -> None:
    made = [circuit(f"c{n}")(f) for n, f in enumerate((numbers, async_numbers, opened, async_opened))]
    traced = [one.func for one in made]
    assert all(hasattr(one, "bare") for one in traced)
    otel.disable()
    assert [one.func for one in made] == [one.bare for one in traced]
    with made[2]() as handle:
        assert handle == "handle"
    assert list(made[0]()) == [0, 1, 2]
    assert spans.get_finished_spans() == ()
