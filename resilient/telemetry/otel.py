"""OpenTelemetry traces: a span for each protected call, and one below it for each try.

Wants the extra ``resilient-sidecar[otel]`` (the API only; the program brings the SDK). Nothing of it is
imported or asked before :func:`enable`. Names follow OpenTelemetry's conventions for HTTP clients;
what those have no word for begins with ``resilient.``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from ..balancing.picks import Pick, Tries
from ..errors import ConfigError
from ..events import CallEnded, CircuitChanged, Event, FallbackUsed, RetryDenied, everywhere
from . import otel_seams as seams
from .logs import add_context, safe
from .otel_calls import PRESENT, TracedBlock, around, kind_of

NAME = "resilient"

_lock = threading.Lock()
_leave: list[Callable[[], None]] = []


def enable(*, tracer_provider: Any = None, propagator: Any = None) -> None:
    """Trace every protected call of this process from now on. Harmless when called again: the last one holds.

    ``tracer_provider`` and ``propagator`` are OpenTelemetry's; by default its global ones. Raises ConfigError
    where OpenTelemetry is not installed. A traced call costs some tens of microseconds.
    """
    try:
        from opentelemetry import propagate, trace
    except ImportError:
        raise ConfigError("OpenTelemetry is not installed: pip install 'resilient-sidecar[otel]'") from None
    tracer = trace.get_tracer(NAME, tracer_provider=tracer_provider)
    tracing = _Tracing(tracer, (propagator or propagate).inject)
    disable()
    with _lock:
        _leave.append(everywhere(tracing.heard, CallEnded, FallbackUsed, RetryDenied, CircuitChanged))
        _leave.append(add_context(tracing.ids))
        seams.set_hooks(tracing.around, tracing.watch, tracing.block)


def disable() -> None:
    """Trace nothing any more. Calls under way end their spans."""
    with _lock:
        while _leave:
            _leave.pop()()
        seams.set_hooks(None, None, None)


class _Tracing:
    """One tracer, and the words it needs; made by :func:`enable`."""

    def __init__(self, tracer: Any, inject: Callable[..., None]) -> None:
        from opentelemetry import context, trace

        self.tracer = tracer
        self.inject = inject
        self.attach, self.detach = context.attach, context.detach
        self.inside = trace.set_span_in_context
        self.current = trace.get_current_span
        self.internal, self.client = trace.SpanKind.INTERNAL, trace.SpanKind.CLIENT
        self.ok, self.error = trace.StatusCode.OK, trace.StatusCode.ERROR

    def ids(self) -> Mapping[str, object]:
        """For log lines: the trace and the span they belong to."""
        found = self.current().get_span_context()
        if not found.is_valid:
            return {}
        return {"trace_id": f"{found.trace_id:032x}", "span_id": f"{found.span_id:016x}"}

    # --- calls

    def around(self, guard: Any, shell: seams.Shell) -> seams.Shell:
        """``shell`` with a span around each call, as the kind of function it is."""
        return around(self, guard, shell)

    def block(self, guard: Any, block: Any) -> Any:
        """A block with a span around it."""
        return TracedBlock(self, guard, block)

    def heard(self, event: Event) -> None:
        """Something happened where a call is traced: it may be that call's."""
        call = PRESENT.get()
        if call is not None and getattr(event, "circuit", None) == call.name:
            call.heard(event)

    # --- tries

    def watch(self, tries: Tries, method: str, headers: seams.Headers) -> Tries:
        """``tries``, each of them with a span of its own."""
        return _Tries(self, tries, method, headers)  # type: ignore[return-value]  # stands for one

    def fail(self, span: Any, kind: str, error: BaseException | None = None) -> None:
        """This span ended badly. No traceback: it may hold what nobody should read."""
        span.set_attribute("error.type", kind)
        if error is None:
            span.set_status(self.error)
            return
        words = str(safe(str(error)))
        span.add_event("exception", {"exception.type": kind, "exception.message": words})
        span.set_status(self.error, f"{type(error).__name__}: {words}")


class _Tries:
    """Stands for the tries of one request, and hands out picks that are looked at."""

    __slots__ = ("_bad", "_headers", "_method", "_pick", "_tracing", "_tries")

    def __init__(self, tracing: _Tracing, tries: Tries, method: str, headers: seams.Headers) -> None:
        put = object.__setattr__
        put(self, "_tracing", tracing)
        put(self, "_tries", tries)
        put(self, "_method", method.upper()[:32])
        put(self, "_headers", headers)
        put(self, "_pick", None)
        put(self, "_bad", "")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tries, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._tries, name, value)

    def __iter__(self) -> _Tries:
        return self

    def __next__(self) -> Any:
        pick = _Pick(self._tracing, self, next(self._tries))
        object.__setattr__(self, "_pick", pick)
        return pick

    def again(self, status: int, retry_after: float | None = None) -> bool:
        self._pick.seen(status)
        granted: bool = self._tries.again(status, retry_after)
        return granted

    def went_badly(self, why: str) -> None:
        object.__setattr__(self, "_bad", why)


class _Pick:
    """Stands for one try: its span begins when it is entered, after any pause, and ends with its block."""

    __slots__ = ("_context", "_pick", "_span", "_status", "_tracing", "_tries")

    def __init__(self, tracing: _Tracing, tries: _Tries, pick: Pick) -> None:
        self._tracing = tracing
        self._tries = tries
        self._pick = pick
        self._status = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pick, name)

    def seen(self, status: int) -> None:
        """The answer's status."""
        self._status = status

    def __enter__(self) -> _Pick:
        tracing, tries, number = self._tracing, self._tries, self._pick.number
        call = PRESENT.get()
        if call is not None:
            call.tries += 1
            call.span.set_attribute("resilient.service", tries.service)
            if number > 1:
                call.tell("retry", {"reason": tries._bad, "delay": float(tries.pause)})
        one = self._pick.instance
        attributes: dict[str, Any] = {
            "server.address": one.host,
            "server.port": one.port,
            "url.scheme": "https" if one.secure else "http",
            "resilient.service": one.service,
            "resilient.instance": one.id,
            "resilient.zone": one.zone,
        }
        if tries._method:
            attributes["http.request.method"] = tries._method
        if number > 1:
            attributes["http.request.resend_count"] = number - 1
        span = self._span = tracing.tracer.start_span(
            tries._method or "try", kind=tracing.client, attributes=attributes
        )
        inside = tracing.inside(span)
        tracing.inject(tries._headers, context=inside)
        self._context = tracing.attach(inside)
        self._pick.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> bool:
        try:
            return self._pick.__exit__(kind, error, tb)
        finally:
            self._tracing.detach(self._context)
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        span, status = self._span, self._status
        if status:
            span.set_attribute("http.response.status_code", status)
        if isinstance(error, Exception):
            self._tries.went_badly(kind_of(error))
            self._tracing.fail(span, kind_of(error), error)
        elif isinstance(error, asyncio.CancelledError):
            span.set_attribute("error.type", "cancelled")  # nobody waits for it any more
        elif status >= 400:
            self._tries.went_badly(str(status))
            self._tracing.fail(span, str(status))
        span.end()
