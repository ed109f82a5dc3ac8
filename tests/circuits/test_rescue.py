"""Defaults and fallbacks: when they answer, what they get, and what the caller sees if they fail too."""

from __future__ import annotations

import asyncio

import pytest
from circuit_kit import Asked, Boom, Held, Reply

from resilient import CircuitFull, CircuitOpen, ConfigError, circuit
from resilient.events import FallbackUsed


def test_case_66_the_caller_sees_the_primary_error(serve):
    second = Asked("fallback")

    def fallback(act):
        raise second

    service = serve(fallback=fallback)
    primary = Boom("primary")
    with pytest.raises(Boom) as error:
        service(primary)
    assert error.value is primary
    assert primary.fallback_error is second
    assert second.__context__ is primary
    assert service.counts["fallback_failure"] == 1
    assert service.f.snapshot().calls == 1


def test_case_67_an_ignored_or_excluded_error_gets_no_fallback(serve):
    for name, options in (("ignore", {"ignore": Asked}), ("exclude", {"exclude": Asked})):
        service = serve(name=name, default=7, **options)
        error = Asked("mine")
        with pytest.raises(Asked) as seen:
            service(error)
        assert seen.value is error
        assert service.counts["fallback_success"] == 0
        assert service(Boom()) == 7


def test_case_69_without_a_fallback_the_error_arrives_as_it_is(serve):
    service = serve()
    error = Boom("as it is")
    with pytest.raises(Boom) as seen:
        service(error)
    assert seen.value is error
    assert seen.value.__cause__ is None
    assert seen.value.__context__ is None
    assert seen.traceback[-1].name == "_act"


def test_case_70_a_fallback_is_told_the_error_if_it_asks(serve):
    seen: list[BaseException] = []

    def fallback(act=1, *, error):
        seen.append(error)
        return 7

    service = serve(fallback=fallback)
    boom = Boom()
    assert service(boom) == 7
    service.f.open()
    assert service() == 7
    assert seen[0] is boom
    assert isinstance(seen[1], CircuitOpen)
    assert seen[1].retry_after == pytest.approx(5)


def test_a_fallback_with_any_keywords_is_not_told():
    @circuit("any", fallback=lambda *args, **kwargs: kwargs)
    def call(**kwargs):
        raise Boom

    assert call(a=1) == {"a": 1}


def test_case_71_a_chain_is_tried_in_order(serve):
    def first(act):
        raise Asked

    service = serve(fallback=[first, lambda act: 7])
    assert service(Boom()) == 7
    counts = service.counts
    assert (counts["fallback_success"], counts["fallback_failure"], counts["failure"]) == (1, 1, 1)
    service = serve(name="then", fallback=first, default=8)
    assert service(Boom()) == 8


async def test_case_72_cancelled_during_a_fallback_is_cancelled():
    asked: list[str] = []
    started = asyncio.Event()

    async def slow() -> int:
        asked.append("slow")
        started.set()
        await asyncio.sleep(60)
        return 1

    async def never() -> int:
        asked.append("never")
        return 2

    @circuit("cancelled", fallback=[slow, never])
    async def call() -> int:
        raise Boom

    task = asyncio.create_task(call())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asked == ["slow"]
    assert call.snapshot().in_flight == 0


def test_case_101_an_open_circuit_asks_nobody(serve):
    service = serve(default=None)
    service.f.open()
    for _ in range(300):
        assert service() is None
    assert service.invoked == 0
    counts = service.counts
    assert counts["short_circuited"] == counts["fallback_success"] == 300


def test_a_returned_500_goes_to_the_fallback_if_there_is_one(serve):
    service = serve(fallback=lambda act: "saved")
    assert service(Reply(500)) == "saved"
    assert service(Reply(404)).status == 404
    assert service.counts["failure"] == 1


async def test_a_full_circuit_goes_to_the_fallback():
    seen: list[BaseException] = []

    async def later(*, error):
        seen.append(error)
        return "later"

    held = Held(max_concurrent=1, fallback=later)
    task, end = await held.begin()
    assert await held.f() == "later"
    assert isinstance(seen[0], CircuitFull)
    end.set_result("now")
    assert await task == "now"


async def test_an_async_function_may_have_a_plain_fallback_and_an_async_one():
    async def slowly(x):
        await asyncio.sleep(0)
        return x + 1

    for fallback in (slowly, lambda x: x + 1):

        @circuit(f"either {fallback}", fallback=fallback)
        async def call(x):
            raise Boom

        assert await call(1) == 2
        call.open()
        assert await call(1) == 2


def test_a_plain_function_cannot_have_an_async_fallback():
    async def slowly():
        pass

    with pytest.raises(ConfigError, match="cannot be async"):

        @circuit(fallback=slowly)
        def call():
            pass


def test_a_fallback_is_a_function():
    with pytest.raises(ConfigError, match="default="):

        @circuit(fallback=7)
        def call():
            pass


def test_a_list_given_as_default_is_everybodys_own(serve):
    service = serve(default=[])
    first = service(Boom())
    first.append(1)
    assert service(Boom()) == []
    service.f.open()
    assert service() == []


def test_fallbacks_are_told_to_whoever_subscribes(serve, runtime):
    seen: list[FallbackUsed] = []
    runtime.events.subscribe(seen.append, FallbackUsed)

    def fails(act):
        raise Asked

    service = serve(fallback=fails, default=1)
    service(Boom())
    assert [(one.cause, one.worked) for one in seen] == [("Boom", False), ("Boom", True)]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_case_74_exits_pass_through_and_say_nothing(error):
    @circuit("exit", default=7)
    def plain():
        raise error

    @circuit("exit", default=7)
    async def coroutine():
        raise error

    with pytest.raises(error):
        plain()
    with pytest.raises(error):
        coroutine().send(None)
    snapshot = plain.snapshot()
    assert snapshot.counts["void"] == 2
    assert snapshot.in_flight == 0
    assert plain.state == "closed"


def test_case_76_a_group_is_what_its_leaves_are(serve):
    service = serve(ignore=Asked, exclude=KeyError)
    service.bad(1, ExceptionGroup("all", [Asked(), ExceptionGroup("deep", [Asked()])]))
    assert service.counts["void"] == 1
    service.bad(1, ExceptionGroup("some", [Asked(), KeyError()]))
    assert service.counts["excluded"] == 1
    service.bad(1, ExceptionGroup("one", [Asked(), ExceptionGroup("deep", [KeyError(), Boom()])]))
    assert service.counts["failure"] == 1


def test_a_predicate_that_fails_excuses_nobody_and_loses_no_permit(serve, caplog):
    def broken(thing):
        raise RuntimeError("predicate")

    for name, options in (
        ("exclude", {"exclude": broken}),
        ("ignore", {"ignore": broken}),
        ("failed", {"failed": broken}),
    ):
        caplog.clear()
        service = serve(name=name, **options)
        for _ in range(3):
            if name == "failed":
                assert service() == 1
            else:
                service.bad()
        assert service.counts["failure"] == 3
        assert service.in_flight == 0
        assert len(caplog.records) == 1
        assert name in caplog.text


def test_a_result_whose_properties_raise_is_a_result(serve):
    class Shy:
        @property
        def status(self):
            raise RuntimeError

    service = serve()
    shy = Shy()
    assert service(shy) is shy
    assert service.counts["success"] == 1
    assert service.in_flight == 0


def test_an_error_that_cannot_be_printed_is_a_failure_all_the_same(serve):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    service = serve()
    service.bad(20, Mute())
    assert service.state == "open"
    assert "Mute" in str(service.refused())


def test_failed_sees_results(serve):
    service = serve(failed=lambda result: result is None)
    for _ in range(20):
        assert service(lambda: None) is None
    assert service.state == "open"
    service = serve(name="other", failed=lambda result: result is None)
    service.good(20)
    assert service.state == "closed"


def test_programs_that_make_types_do_not_fill_the_memory(serve):
    service = serve()
    for n in range(600):
        service(type(f"T{n}", (), {})())
        assert len(service.f.circuit.plain) <= 256
    assert service.counts["success"] == 600
    assert service.f.circuit.plain is not serve(name="own", failed=lambda result: False).f.circuit.plain
