"""A runtime's metrics: everything this process knows, as one page or for a registry of one's own."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Iterator
from typing import Protocol

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ...balancing.balancer import Balancer
from ...circuits.book import CircuitBook
from ...clock import Clock
from ...model import Directory
from ..stalls import Stalls
from . import balancers, circuits, process
from . import directory as known
from .page import Page, content_type
from .rows import Fold, Row, as_metrics

#: How often the meter of an event loop looks, in seconds.
LOOK = 0.1


class Source(Protocol):
    """What is measured; a :class:`resilient.runtime.Runtime` is one."""

    circuits: CircuitBook
    balancer: Balancer
    clock: Clock

    @property
    def directory(self) -> Directory: ...

    @property
    def discovery(self) -> known.Discovery | None: ...


class Metrics(Collector):
    """The metrics of one runtime. It is also a collector for prometheus_client's registries, without
    ``process_*``: programs that have one export those already.

    ``peers`` adds series for each copy of a called service, at most 200 of them.
    """

    def __init__(self, source: Source, *, peers: bool = False) -> None:
        self._source = source
        self.peers = peers
        self._page = Page()
        self._circuits = Fold(circuits.MOST_CIRCUITS)
        self._services = Fold(balancers.MOST_SERVICES)
        self._counts = known.Counts()
        #: The meters of event loops, by name.
        self.loops: dict[str, Stalls] = {}

    def watch_loop(self, name: str = "main") -> None:
        """Measure the running event loop from now on. Harmless when called again."""
        if name not in self.loops:
            stalls = self.loops[name] = Stalls(period=LOOK)
            stalls.start()

    def unwatch_loop(self, name: str = "main") -> None:
        """Measure it no more; what was measured stays."""
        if (stalls := self.loops.get(name)) is not None:
            stalls.stop()

    def rows(self) -> Iterator[Row]:
        """Everything but the process itself."""
        source = self._source
        now = source.clock.monotonic()
        yield from process.info_rows()
        yield from circuits.rows(source.circuits, self._circuits, self._services)
        yield from balancers.rows(source.balancer, self._services, now)
        if self.peers:
            yield from balancers.peer_rows(source.balancer, self._services, now)
        yield from known.rows(source.discovery, source.directory, self._counts)
        yield from process.loop_rows(self.loops)
        yield Row(process.FOLDS, (), ((int(self._circuits.active), int(self._services.active)),))

    def _all(self) -> Iterator[Row]:
        yield from self.rows()
        yield from process.process_rows()

    def page(self, accept: str = "", pause: float | None = None) -> tuple[bytes, str]:
        """The page and its content type, for an ``Accept`` header.

        From a thread beside a busy event loop: with ``pause`` (0.001 is good) it sleeps so many seconds after
        each millisecond of work, so that the loop does not have to wait for the interpreter's lock.
        """
        return written(self._page, self._all(), accept, pause)

    async def serve(self, accept: str = "", pause: float = 0.0) -> tuple[bytes, str]:
        """As :meth:`page`, on an event loop: others have a turn after each millisecond of work.

        ``pause`` is for a loop in a thread beside the one to be spared, as in :meth:`page`.
        """
        return await served(self._page, self._all(), accept, pause)

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client: ``REGISTRY.register(metrics)``."""
        yield from as_metrics(self.rows())

    def describe(self) -> list[Metric]:
        """The names, so that a registry need not ask for everything to know them."""
        families = (*circuits.FAMILIES, *balancers.FAMILIES, *known.FAMILIES, process.INFO)
        return [family.metric() for family in families]


def written(page: Page, rows: Iterator[Row], accept: str, pause: float | None) -> tuple[bytes, str]:
    """Rows as a page, written in one go, or with pauses."""
    kind = content_type(accept)
    steps = page.write(rows, kind)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, kind
        if pause is not None:
            time.sleep(pause)


async def served(page: Page, rows: Iterator[Row], accept: str, pause: float = 0.0) -> tuple[bytes, str]:
    """Rows as a page, written between the other work of this loop."""
    kind = content_type(accept)
    steps = page.write(rows, kind)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, kind
        await asyncio.sleep(pause)


_known: weakref.WeakKeyDictionary[Source, Metrics] = weakref.WeakKeyDictionary()


def metrics_of(source: Source) -> Metrics:
    """The metrics of a runtime; the same object each time, since it remembers what was folded."""
    found = _known.get(source)
    if found is None:
        found = _known.setdefault(source, Metrics(source))
    return found


__all__ = ["Metrics", "Source", "metrics_of", "served", "written"]
