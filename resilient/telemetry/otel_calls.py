"""Spans around protected calls, whatever kind of function makes them: see :mod:`.otel`."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, Generator, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from ..circuits.attempt import BOTTOM, CURRENT
from ..errors import CallTimeout, CircuitFull, CircuitOpen
from ..events import CallEnded, CircuitChanged, Event, FallbackUsed, RetryDenied
from . import otel_seams as seams
from .logs import safe

#: Span events of one call, at most.
MOST_EVENTS = 32

#: The traced call that the present code belongs to.
PRESENT: ContextVar[Call | None] = ContextVar("resilient_traced_call", default=None)


def kind_of(error: BaseException) -> str:
    """Its type, with the module unless it is Python's own."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class Call:
    """One protected call, from before it is admitted until its caller has an answer."""

    def __init__(self, tracing: Any, guard: Any) -> None:
        self._tracing = tracing
        circuit = guard.find()
        self.name: str = circuit.name
        self.tries = 0
        self._outcome = ""
        self._fallback = ""
        self._events = 0
        self._items = False
        self.span = tracing.tracer.start_span(
            self.name,
            kind=tracing.internal,
            attributes={"resilient.circuit": self.name, "resilient.circuit.state": circuit.state},
        )

    def __enter__(self) -> Call:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.leave()
        self.finish(error)

    def enter(self) -> None:
        """What runs here from now on belongs to this call."""
        self._context = self._tracing.attach(self._tracing.inside(self.span))
        self._before = PRESENT.set(self)
        # With something below it, no door takes the way of a call that nobody looks at.
        self._bottom = CURRENT.set(BOTTOM) if CURRENT.get() is None else None

    def leave(self) -> None:
        """It does no longer."""
        try:
            PRESENT.reset(self._before)
        except ValueError:
            return  # closed in another context, where nothing of this call is
        if self._bottom is not None:
            CURRENT.reset(self._bottom)
        self._tracing.detach(self._context)

    def finish(self, error: BaseException | None) -> None:
        """It has ended: with ``error``, as its caller sees it, or with an answer."""
        span = self.span
        outcome = self._outcome
        if isinstance(error, CircuitOpen):
            outcome = outcome or "short_circuited"
        elif isinstance(error, CircuitFull):
            outcome = outcome or "rejected"
        elif isinstance(error, CallTimeout):
            self.tell("timeout", {})
        if not outcome and error is None:  # refused, and answered by a default without more ado
            outcome, self._fallback = "short_circuited", "success"
        span.set_attribute("resilient.outcome", outcome or "void")
        span.set_attribute("resilient.tries", self.tries)
        if self._fallback:
            span.set_attribute("resilient.fallback", self._fallback)
        if isinstance(error, Exception):
            self._tracing.fail(span, kind_of(error), error)
        elif error is None and self._fallback == "success":
            span.set_status(self._tracing.ok)
        span.end()

    def heard(self, event: Event) -> None:
        if isinstance(event, CallEnded):
            self._outcome = event.outcome
        elif isinstance(event, FallbackUsed):
            self._fallback = "success" if event.worked else "failure"
            refused = {"CircuitOpen": "short_circuited", "CircuitFull": "rejected"}
            self._outcome = self._outcome or refused.get(event.cause, "")
        elif isinstance(event, RetryDenied):
            self.tell("budget.exhausted", {"error.type": event.error})
        elif isinstance(event, CircuitChanged):
            word = {"open": "opened", "closed": "closed"}.get(event.new, "half_opened")
            self.tell(f"circuit.{word}", {"reason": str(safe(event.reason))} if event.reason else {})

    def first(self) -> None:
        """An item has come; the first one decides the call."""
        if not self._items:
            self._items = True
            self.tell("first_item", {})

    def tell(self, name: str, attributes: Mapping[str, Any]) -> None:
        """An event on the call's span."""
        self._events += 1
        if self._events <= MOST_EVENTS:
            self.span.add_event(name, attributes)


# --- the kinds of functions


def around(tracing: Any, guard: Any, shell: seams.Shell) -> seams.Shell:
    """``shell`` with a span around each call, as the kind of function it is."""
    if inspect.iscoroutinefunction(shell):

        async def traced_async(*args: Any, **kwargs: Any) -> Any:
            with Call(tracing, guard):
                return await shell(*args, **kwargs)

        return dressed(traced_async, shell)
    if inspect.isasyncgenfunction(shell):
        return dressed(_async_stream(tracing, guard, shell), shell)
    if inspect.isgeneratorfunction(shell):
        return dressed(_stream(tracing, guard, shell), shell)
    code = getattr(shell, "__code__", None)
    if code is None:
        return shell
    if code.co_filename == contextlib.contextmanager.__code__.co_filename:
        body: Any = getattr(shell, "__wrapped__", None)
        if inspect.isasyncgenfunction(body):
            manager: Any = contextlib.asynccontextmanager(_async_stream(tracing, guard, body, single=True))
            return dressed(manager, shell)
        if inspect.isgeneratorfunction(body):
            manager = contextlib.contextmanager(_stream(tracing, guard, body, single=True))
            return dressed(manager, shell)
        return shell

    def traced(*args: Any, **kwargs: Any) -> Any:
        with Call(tracing, guard):
            return shell(*args, **kwargs)

    return dressed(traced, shell)


def dressed(traced: seams.Shell, shell: seams.Shell) -> seams.Shell:
    traced.__name__, traced.__qualname__ = shell.__name__, shell.__qualname__
    traced.bare = shell  # type: ignore[attr-defined]
    return traced


def _stream(tracing: Any, guard: Any, shell: seams.Shell, *, single: bool = False) -> seams.Shell:
    """A generator function whose span lasts until the generator is closed.

    What its caller does between two items is not part of the call. What is done inside ``with`` is: with
    ``single`` it is the body of a context manager.
    """

    def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = Call(tracing, guard)
        source = shell(*args, **kwargs)
        step, given = source.send, None
        here = False
        try:
            while True:
                if not here:
                    call.enter()
                here = True
                item = step(given)
                if not single:
                    call.leave()
                    here = False
                    call.first()
                try:
                    given = yield item
                    step = source.send
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    step, given = source.throw, thrown
        except StopIteration as end:
            _over(call, here, None)
            return end.value
        except GeneratorExit:
            if not here:
                call.enter()
            try:
                source.close()
            except BaseException as error:
                _over(call, True, error)
                raise
            _over(call, True, None)
            raise
        except BaseException as error:
            _over(call, here, error)
            raise
        finally:
            given = None

    return traced


def _async_stream(tracing: Any, guard: Any, shell: seams.Shell, *, single: bool = False) -> seams.Shell:
    """As :func:`_stream`, for async generator functions."""

    async def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = Call(tracing, guard)
        source = shell(*args, **kwargs)
        step, given = source.asend, None
        here = False
        try:
            while True:
                if not here:
                    call.enter()
                here = True
                item = await step(given)
                if not single:
                    call.leave()
                    here = False
                    call.first()
                try:
                    given = yield item
                    step = source.asend
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    step, given = source.athrow, thrown
        except StopAsyncIteration:
            _over(call, here, None)
            return
        except GeneratorExit:
            if not here:
                call.enter()
            try:
                await source.aclose()
            except BaseException as error:
                _over(call, True, error)
                raise
            _over(call, True, None)
            raise
        except BaseException as error:
            _over(call, here, error)
            raise
        finally:
            given = None

    return traced


def _over(call: Call, here: bool, error: BaseException | None) -> None:
    if here:
        call.leave()
    call.finish(error)


class TracedBlock:
    """Stands for a block of code behind a circuit; its span is the present one inside."""

    __slots__ = ("_block", "_call", "_guard", "_tracing")

    def __init__(self, tracing: Any, guard: Any, block: Any) -> None:
        self._tracing = tracing
        self._guard = guard
        self._block = block
        self._call: Call | None = None

    def __enter__(self) -> Any:
        with self._begun():
            return self._block.__enter__()

    async def __aenter__(self) -> Any:
        with self._begun():
            return await self._block.__aenter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        with self._ended(error):
            self._block.__exit__(kind, error, tb)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        with self._ended(error):
            await self._block.__aexit__(kind, error, tb)

    @contextlib.contextmanager
    def _begun(self) -> Generator[None, None, None]:
        call = self._call = Call(self._tracing, self._guard)
        call.enter()
        try:
            yield
        except BaseException as error:  # refused
            self._call = None
            _over(call, True, error)
            raise

    @contextlib.contextmanager
    def _ended(self, error: BaseException | None) -> Generator[None, None, None]:
        call, self._call = self._call, None
        try:
            yield
        except BaseException as raised:  # too late: what the caller sees is another error
            error = raised
            raise
        finally:
            if call is not None:
                _over(call, True, error)

    def __repr__(self) -> str:
        return repr(self._block)
