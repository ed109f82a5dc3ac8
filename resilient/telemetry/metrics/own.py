"""A runtime's metrics: everything this process knows, as one page or for a registry of one's own."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ...balancing.balancer import Balancer
from ...circuits.book import CircuitBook
from ...clock import Clock
from ...model import Directory
from ..stalls import Stalls
from . import balancers, circuits, process, threads
from . import directory as known
from .page import Exposed
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


class Metrics(Exposed, Collector):
    """The metrics of one runtime. It is also a collector for prometheus_client's registries, without
    ``process_*``: programs that have one export those already.

    ``peers`` adds series for each copy of a called service, at most 200 of them.
    """

    def __init__(self, source: Source, *, peers: bool = False) -> None:
        super().__init__()
        self._source = source
        self.peers = peers
        self._circuits = Fold(circuits.MOST_CIRCUITS)
        self._services = Fold(balancers.MOST_SERVICES)
        self._pools = Fold(threads.MOST_POOLS)
        self._counts = known.Counts()
        #: The meters of event loops, by name.
        self.loops: dict[str, Stalls] = {}
        #: The readers of streams, by the stream's name.
        self.streams: dict[str, process.Places] = {}
        #: How much looks wrong, by severity; ``None`` where nobody looks.
        self.findings: Mapping[str, int] | None = None

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
        yield from threads.rows(source.circuits.pools.snapshots(), source.circuits, self._pools)
        yield from balancers.rows(source.balancer, self._services, now)
        if self.peers:
            yield from balancers.peer_rows(source.balancer, self._services, now)
        yield from known.rows(source.discovery, source.directory, self._counts)
        yield from process.loop_rows(self.loops)
        yield from process.stream_rows(self.streams)
        if self.findings is not None:
            yield from process.lint_rows(self.findings)
        folds = (self._circuits, self._services, self._pools)
        yield Row(process.FOLDS, (), (tuple([int(fold.active) for fold in folds]),))

    def exposed(self) -> Iterator[Row]:
        """Everything."""
        yield from self.rows()
        yield from process.process_rows()

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client: ``REGISTRY.register(metrics)``."""
        yield from as_metrics(self.rows())

    def describe(self) -> list[Metric]:
        """The names, so that a registry need not ask for everything to know them."""
        families = (
            *circuits.FAMILIES, *threads.FAMILIES, *balancers.FAMILIES, *known.FAMILIES, *process.FAMILIES,
        )  # fmt: skip
        return [family.metric() for family in families]


_known: weakref.WeakKeyDictionary[Source, Metrics] = weakref.WeakKeyDictionary()


def metrics_of(source: Source) -> Metrics:
    """The metrics of a runtime; the same object each time, since it remembers what was folded."""
    found = _known.get(source)
    if found is None:
        found = _known.setdefault(source, Metrics(source))
    return found


__all__ = ["Metrics", "Source", "metrics_of"]
