"""Pages that other rooms make the content of. **This is the place to mount one**: add a line to `VIEWS`.

A view gets the desk and the question and answers with a `Page`, or with a `Reply`; a stream is a `Reply` with
``stream=``, an async iterator of pieces. It is closed when the reader has left or takes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

from ..background import off_loop
from . import inside, lint
from .asked import Ask, Page, Refused, Reply
from .desk import Desk

_log = logging.getLogger("resilient.admin")

#: Seconds between two looks of the lint for the metrics, and circuits it looks at before others have a turn.
LINT_EVERY = 300.0
_AT_ONCE = 20

View = Callable[[Desk, Ask], Page | Reply | Awaitable[Page | Reply]]


class _Measured:
    """A runtime as its metrics see it, where it does not show who reads its directory."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self.circuits = runtime.circuits
        self.balancer = runtime.balancer
        self.clock = runtime.clock

    @property
    def directory(self) -> Any:
        return self._runtime.directory

    @property
    def discovery(self) -> Any:
        return self._runtime._discovery


def _metrics_of(desk: Desk) -> Any:
    # Loads prometheus_client, which takes longer than a loop should wait.
    from ..telemetry.metrics.own import Metrics, metrics_of

    runtime: Any = desk.runtime
    if hasattr(runtime, "discovery"):
        return desk.kept("metrics", lambda: metrics_of(runtime))
    return desk.kept("metrics", lambda: Metrics(_Measured(runtime)))


async def metrics(desk: Desk, ask: Ask) -> Reply:
    """What Prometheus reads."""
    found = desk.kept("metrics", lambda: None) or await off_loop(_metrics_of, desk)
    for watch in desk.loops:
        found.loops.setdefault(watch.name, watch.stalls)
    if "hystrix" not in found.streams:
        found.streams["hystrix"] = await off_loop(_places_of, desk)
    beside = any(watch.thread == threading.get_ident() for watch in desk.loops)
    # On a thread of our own, the application's loop must not wait for the interpreter's lock.
    pause = 0.0 if beside else 0.001
    await _look(desk, found, pause)
    body, headers = await found.answer(ask.headers, pause)
    return Reply(200, body, headers)


async def _look(desk: Desk, found: Any, pause: float) -> None:
    """Let the metrics have what the lint finds, which looks at every circuit: seldom, and in slices."""
    now = desk.clock.monotonic()
    looked = desk.kept("linted", lambda: [-inf])
    if now - looked[0] < LINT_EVERY:
        return
    looked[0] = now
    seen: list[lint.Seen] = []
    for number, one in enumerate(list(desk.runtime.circuits)):
        seen.append(lint.Seen(one.snapshot(), one.policy))
        if number % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(pause)
    try:
        found.findings = lint.count(inside.scene(desk, seen))
    except Exception:  # the numbers matter more
        _log.exception("the lint failed")


def _places_of(desk: Desk) -> Any:
    from ..telemetry.hystrix_stream import Places

    return desk.kept("hystrix", Places)


def hystrix(desk: Desk, ask: Ask) -> Reply:
    """What Hystrix's dashboards read."""
    from ..telemetry.hystrix_stream import HEADERS, Full, delay_of, stream_of

    if ask.method == "HEAD":
        return Reply(200, b"", dict(HEADERS))
    places = _places_of(desk)
    if places not in desk.closes:
        desk.closes.append(places)
    streams: Any = desk.kept("hystrix-streams", weakref.WeakKeyDictionary)
    loop = asyncio.get_running_loop()
    if loop not in streams:
        streams[loop] = stream_of(desk.runtime.circuits, places=places)
    try:
        reader = streams[loop].open(delay_of(ask.query.get("delay")))
    except Full as full:
        raise Refused(503, "too-many-readers", str(full), {"Retry-After": "5"}) from None
    return Reply(200, b"", dict(HEADERS), stream=reader)


#: (path, view, what it is); all of them are for readers.
VIEWS: tuple[tuple[str, View, str], ...] = (
    ("/metrics", metrics, "for Prometheus"),
    ("/hystrix.stream", hystrix, "for Hystrix's dashboards, as it happens"),
)
