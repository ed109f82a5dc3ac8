"""``GET /turbine.stream?cluster=``: the circuits that processes push, added up for Hystrix's own tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol
from weakref import WeakValueDictionary

from aiohttp import web

from resilient.clock import Clock
from resilient.telemetry.hystrix import Facts, Frame, command
from resilient.telemetry.hystrix_http import handle
from resilient.telemetry.hystrix_stream import Places, Stream
from resilient.telemetry.turbine import Sum, gone
from resilient.web.problems import problem

from .board_latency import Merged
from .board_periods import PERIOD_KEPT
from .board_wire import COUNTS, Said

#: The cluster of everybody; the others are named as the services whose circuits they show.
DEFAULT = "default"
#: Readers at once, and seconds between two moments: processes tell of theirs once a second at most.
READERS = 50
DELAY = 1.0
#: Seconds for which readers are told that a circuit is no more.
_FAREWELL = 10.0


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Watched(Protocol):
    """Told who looks: then processes push once a second."""

    def enter(self) -> None: ...

    def leave(self) -> None: ...


class Process(Protocol):
    """What a process told last: ``interval`` seconds until its next word, ``heard_at`` on our clock."""

    @property
    def service(self) -> str: ...
    @property
    def interval(self) -> float: ...
    @property
    def heard_at(self) -> float: ...
    @property
    def circuits(self) -> Mapping[str, Said]: ...


class Turbine:
    """The handler. A cluster is the circuits of one calling service; ``default`` is those of all of them.

    ``processes`` gives what the board knows of each process, the last word only.
    """

    def __init__(
        self,
        processes: Callable[[], Iterable[Process]],
        clock: Clock,
        *,
        watch: Watched | None = None,
        readers: int = READERS,
    ) -> None:
        self._processes = processes
        self._clock = clock
        self._watch = watch
        self._places = Places(readers)
        self._streams: WeakValueDictionary[str, Stream] = WeakValueDictionary()

    def install(self, app: web.Application, guarded: Callable[[Handler], Handler] = lambda one: one) -> None:
        """The route, for those whom ``guarded`` lets in; and the end of all streams with ``app``."""
        app.router.add_get("/turbine.stream", guarded(self.handle))

        async def close(_: web.Application) -> None:
            self._places.closed = True

        app.on_shutdown.append(close)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The stream. 404 for a service that has no circuits here, 503 when there are too many readers."""
        cluster = request.query.get("cluster", DEFAULT).lower() or DEFAULT
        if cluster != DEFAULT and cluster not in self.clusters():
            raise problem(404, "no-such-cluster", "no process of that service has told of a circuit")
        stream = self._streams.get(cluster)
        if stream is None:
            stream = self._streams[cluster] = Stream(
                _source(self, cluster), places=self._places, clock=self._clock
            )
        if self._watch is not None:
            self._watch.enter()
        try:
            return await handle(request, stream, delay=DELAY)
        finally:
            if self._watch is not None:
                self._watch.leave()

    def clusters(self) -> set[str]:
        """The services whose processes have told of circuits."""
        return {process.service for process in self._processes()}

    def frames(self, cluster: str = DEFAULT, made: dict[str, _Made] | None = None) -> Iterator[Frame | None]:
        """One event for each circuit of a cluster; ``None`` after each piece of work in between.

        ``made`` keeps them for the next time: a circuit of which nothing new was told is not added up again.
        """
        made = {} if made is None else made
        now = self._clock.monotonic()
        wall = self._clock.time()
        heard: dict[str, list[tuple[Said, float]]] = {}
        for process in list(self._processes()):
            age = now - process.heard_at
            if cluster in (DEFAULT, process.service) and age <= 2 * process.interval + 2:
                for name, said in process.circuits.items():
                    heard.setdefault(name, []).append((said, age))
                yield None
        for name in [one for one in made if one not in heard]:
            del made[name]
        for name in list(heard):
            found = heard.pop(name)
            one = made.get(name)
            if one is None or not one.holds(found, now):
                whole = Sum()
                for said, age in found:
                    whole.add(command(_facts(said, now, wall - age)))
                    yield None
                one = made[name] = _Made(found, whole.result(), now)
            yield one.at(found, now, wall)


class _Made:
    """An event, and what it was made of: the same words make the same event, but for moments in it."""

    __slots__ = ("_abouts", "_frame", "_until", "_words")

    def __init__(self, found: Sequence[tuple[Said, float]], frame: Frame, now: float) -> None:
        self._words = [said.word for said, _ in found]
        self._abouts = [said.about for said, _ in found]
        self._frame = frame
        # Until the oldest latencies in it are too old.
        ends = (one.at + PERIOD_KEPT for said, _ in found for one in said.periods)
        self._until = min((end for end in ends if end > now), default=float("inf"))

    def holds(self, found: Sequence[tuple[Said, float]], now: float) -> bool:
        """Whether nothing new was told."""
        return (
            now < self._until
            and len(found) == len(self._words)
            and all(
                said.word is word and said.about is about
                for (said, _), word, about in zip(found, self._words, self._abouts, strict=True)
            )
        )

    def at(self, found: Sequence[tuple[Said, float]], now: float, wall: float) -> Frame:
        """The event of this moment."""
        frame = self._frame
        frame["currentTime"] = int((wall - min([age for _, age in found])) * 1000)
        probes = [said.probe_at - now for said, _ in found if said.probe_at is not None]
        frame["x_openForMs"] = int(max(0.0, *probes) * 1000 + 1e-6) if probes else 0
        return frame


def _source(turbine: Turbine, cluster: str) -> Callable[[], Iterator[Frame | None]]:
    """The events of a cluster, moment for moment; what was there and is no more is told for a while."""
    left: dict[str, tuple[Frame, float]] = {}
    made: dict[str, _Made] = {}

    def source() -> Iterator[Frame | None]:
        now = turbine._clock.monotonic()
        here = set[str]()
        for frame in turbine.frames(cluster, made):
            if frame is not None:
                here.add(frame["name"])
                left[frame["name"]] = (gone(frame), now + _FAREWELL)
            yield frame
        for name in [one for one in left if one not in here]:
            farewell, until = left[name]
            if now >= until:
                del left[name]
            yield farewell

    return source


class _Latency:
    """How long calls took: added up from what a process told, or as it told it."""

    def __init__(self, said: Said, now: float) -> None:
        self._merged = Merged(said.fresh(now))
        self._told = said.latency

    @property
    def mean(self) -> float:
        n = len(self._merged)
        return self._merged.total / n if n else self._told.get("mean", 0.0)

    @property
    def longest(self) -> float:
        return self._merged.longest or self._told.get("max", 0.0)

    def quantiles(self, shares: Iterable[float], /) -> list[float]:
        if len(self._merged):
            return self._merged.quantiles(list(shares))
        return [self._told.get(f"p{share * 100:g}".replace(".", ""), 0.0) for share in shares]


def _facts(said: Said, now: float, at: float) -> Facts:
    """A pushed circuit. What a push does not tell has the value that circuits have by themselves."""
    about, hold = said.about, said.hold
    counts = dict(zip(COUNTS, said.counts, strict=True))
    forced = said.state.startswith("forced-")
    state = said.state.removeprefix("forced-")
    return Facts(
        name=said.name,
        group=about.group or about.target or "",
        at=at,
        state=state,
        counts=counts,
        calls=said.calls,
        # Not everybody's push says how many were bad; but which calls count, and which went well.
        errors=said.bad or max(0, said.calls - counts.get("success", 0)),
        in_flight=said.in_flight,
        most_in_flight=said.in_flight,
        latency=_Latency(said, now),
        mode=state if forced else hold.mode,
        observe=about.observe,
        retry_in=None if said.probe_at is None else max(0.0, said.probe_at - now),
        window=about.window,
        min_calls=about.min_calls,
        error_rate=about.error_threshold,
        timeout=about.timeout,
        max_concurrent=about.limit,
    )
