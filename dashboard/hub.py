"""One look at the source per second, told to every browser that watches; made once for all of them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from resilient.clock import Clock

from .circuits import Circuits
from .frames import VERSION, dump, frame, letter
from .journal import Journal
from .notices import Notices, notices
from .services import Services
from .source import Row, Source
from .viewer import Viewer

_log = logging.getLogger("resilient.dashboard")
_T = TypeVar("_T")

#: How long, how many and how many bytes of events are kept for browsers that come back.
LOG_SECONDS, LOG_EVENTS, LOG_BYTES = 60.0, 5_000, 4 * 1024 * 1024
#: Changes are told so soon after they happened, together with those that happen meanwhile (s).
GATHER = 0.2
#: Seconds between two pictures of who calls whom.
EDGES = 5.0
#: A look is broken off after so many seconds, for others to have their turn.
SLICE = 0.004
#: Browsers that are written to in one turn of the loop.
TOGETHER = 10
#: Seconds of calls from before a page was opened, for each service.
MOST_RATES = 120
LIMIT = 0.85


class Hub:
    """What the pages know. ``interval`` is the time between two ticks, in seconds.

    It looks at the source only while somebody watches, and for :data:`LOG_SECONDS` after.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        *,
        version: str,
        env: str = "",
        features: Iterable[str] = ("circuits",),
        interval: float = 1.0,
    ) -> None:
        self.source = source
        self.clock = clock
        self.interval = interval
        self.epoch = secrets.token_hex(4)
        self.services = Services()
        self.circuits = Circuits()
        self.notices = Notices()
        self.journal = Journal(lambda: source.name)
        self.journal.start(source.changes())
        self.node: Mapping[str, Any] = {}
        self.closed = False
        self._version = version
        self._env = env
        self._features = list(features)
        self._viewers: dict[Viewer, None] = {}
        self._seq = 0
        self._kept: deque[tuple[float, int, str, bytes]] = deque()
        self._bytes = 0
        self._looked = float("-inf")
        self._left = float("-inf")
        self._edges = float("-inf")
        self._ticks: dict[frozenset[str], bytes] = {}
        self._parts: dict[str, bytes] = {}
        self._joining, self._rating = asyncio.Lock(), asyncio.Lock()
        self._rates: tuple[float, int, Mapping[str, Sequence[float | None]]] = (float("-inf"), 0, {})
        self._task: asyncio.Task[None] | None = None
        self._flush: asyncio.TimerHandle | None = None
        self._leave = source.subscribe(self._heard)

    def __len__(self) -> int:
        return len(self._viewers)

    # --- browsers

    async def join(
        self, topics: frozenset[str], beats: frozenset[str], roles: list[str], last: str
    ) -> Viewer:
        """A place in the stream; what it missed since ``last``, or everything, waits in it. It must leave."""
        async with self._joining:
            # Many may come at once, as after a restart: each has its own turn of the loop.
            await self.refreshed()
            await asyncio.sleep(0)
            return self._joined(topics, beats, roles, last)

    def _joined(self, topics: frozenset[str], beats: frozenset[str], roles: list[str], last: str) -> Viewer:
        self.flush()
        viewer = Viewer(topics, beats, lambda one: self.snapshot(one, roles))
        missed = self.missed(last, topics)
        for piece in self.snapshot(viewer, roles) if missed is None else (self.hello(roles), *missed):
            viewer._pieces.append(piece)  # whatever its size: it is what the page is there for
        viewer.tick(self.tick_for(topics))
        self._viewers[viewer] = None
        if self._task is None and not self.closed:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="dashboard hub")
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Give the place back."""
        viewer.close()
        self._viewers.pop(viewer, None)
        self._left = self.clock.monotonic()

    def hello(self, roles: list[str]) -> bytes:
        """The first event of a stream."""
        return frame("hello", self.greeting(roles), self._position())

    def greeting(self, roles: list[str]) -> Row:
        """Who speaks, and what the one who listens may do."""
        return {
            "v": VERSION,
            "epoch": self.epoch,
            "seq": self._seq,
            "node": self.source.name,
            "env": self._env,
            "now": self.now(),
            "tickMs": round(self.interval * 1000),
            "ui": self._version,
            "roles": roles,
            "features": self._features,
            "protection": {"on": self.node.get("mode") == "preserving"},
            "version": self.node.get("version", ""),
            "zone": self.node.get("zone", ""),
        }

    def snapshot(self, viewer: Viewer, roles: list[str]) -> list[bytes]:
        """Everything a page with these topics needs, as events."""
        topics, at = viewer.topics, self._position()
        found = [self.hello(roles)]
        if "services" in topics:
            found.append(frame("services", self._part("services"), at))
        if "circuits" in topics:
            found.append(frame("circuits", self._part("circuits"), at))
        if "edges" in topics:
            found.append(frame("edges", self.edges(), at))
        if "changes" in topics:
            found += [frame("change", row, at) for row in reversed(self.journal.last())]
        return found + [frame("notice", row, at) for row in self.notices.all()]

    def missed(self, last: str, topics: frozenset[str]) -> list[bytes] | None:
        """What happened after the event ``last``; None if that is not known any more."""
        epoch, _, text = last.rpartition("-")
        if epoch != self.epoch or not (text.isascii() and text.isdigit() and len(text) < 16):
            return None
        number = int(text)
        self._trim()
        if self._task is None or number > self._seq:
            return None
        if number < self._seq and (not self._kept or self._kept[0][1] > number + 1):
            return None
        return [
            piece
            for _, seq, topic, piece in self._kept
            if seq > number and (topic in topics or topic == "always")
        ]

    # --- telling

    def now(self) -> int:
        """The server's clock, in ms."""
        return round(self.clock.time() * 1000)

    def _position(self) -> str:
        return f"{self.epoch}-{self._seq}"

    def tell(self, event: str, data: Any, topic: str = "always") -> None:
        """An event for everybody with that topic, kept for those who come back."""
        if self._task is None:
            return
        self._seq += 1
        piece = frame(event, data, self._position())
        self._kept.append((self.clock.monotonic(), self._seq, topic, piece))
        self._bytes += len(piece)
        self._trim()
        for viewer in tuple(self._viewers):
            if topic in viewer.topics or topic == "always":
                viewer.put(piece)

    def _trim(self) -> None:
        kept, oldest = self._kept, self.clock.monotonic() - LOG_SECONDS
        while kept and (kept[0][0] < oldest or len(kept) > LOG_EVENTS or self._bytes > LOG_BYTES):
            self._bytes -= len(kept.popleft()[3])

    def _heard(self, what: str, data: Mapping[str, Any]) -> None:
        if what == "change":
            self.journal.note(data)
            if self._flush is None and not self.closed:
                try:
                    loop = asyncio.get_running_loop()
                except RuntimeError:
                    self.flush()  # a source that is driven by hand
                    return
                self._flush = loop.call_later(GATHER, self.flush)
        elif what == "state":
            key = self.circuits.key_of(str(data["service"]), str(data["name"]))
            self.tell(
                "state",
                {
                    "k": key,
                    "at": round(float(data["at"]) * 1000),
                    "from": letter(data["before"]),
                    "to": letter(data["state"]),
                    "hosts": {letter(name): n for name, n in (data.get("states") or {}).items()},
                    "why": data.get("why"),
                },
                "circuits",
            )
        elif what == "action":
            self.tell("action", dict(data))

    def flush(self) -> None:
        """Tell what was noted."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        for row in self.journal.flush():
            self.tell("change", row, "changes")

    # --- looking

    async def _run(self) -> None:
        took = 0.0
        while self._viewers or self.clock.monotonic() - self._left < LOG_SECONDS:
            # An estate so large that looking takes long is looked at less often, or its clients would wait.
            await asyncio.sleep(max(self.interval - took, self.interval / 2, took * 2))
            began = self.clock.monotonic()
            try:
                await self.look()
            except Exception:
                _log.exception("the dashboard could not read its source")
            viewers, beats = tuple(self._viewers), dict[str, bytes]()
            for start in range(0, len(viewers), TOGETHER):
                self.beat(viewers[start : start + TOGETHER], beats)
                await asyncio.sleep(0)  # these are written before the next ones are
            took = self.clock.monotonic() - began
        self._task = None
        self._kept.clear()
        self._bytes = 0

    async def look(self) -> None:
        """Ask the source, and tell what is different."""
        self._looked = self.clock.monotonic()
        source = self.source
        summaries = await self._gently(source.summaries())
        circuits = await self._gently(source.circuits())
        self.node = node = source.node()
        now = self.clock.time()
        if (said := self.circuits.turn(circuits, now)) is not None:
            self.tell("circuits", said, "circuits")
        if (
            served := self.services.turn(summaries, self.circuits.towards, self.clock.monotonic())
        ) is not None:
            self.tell("services", served, "services")
        late: dict[str, int] = {}
        if node.get("mode") == "preserving":
            late = dict(node.get("late_zones") or {})
        for row in self.notices.turn(notices(node, self.beats(), late), self.now()):
            self.tell("notice", row)
        if self._looked - self._edges >= EDGES:
            self._edges = self._looked
            if any("edges" in one.topics for one in self._viewers):
                self.tell("edges", self.edges(), "edges")
        self._parts.clear()
        self._ticks.clear()

    async def refreshed(self) -> None:
        """Look, unless that was done a moment ago."""
        if self.clock.monotonic() - self._looked > 2 * self.interval:
            await self.look()

    async def _gently(self, rows: Iterable[_T]) -> list[_T]:
        """All rows, with a turn for everybody else now and then."""
        found: list[_T] = []
        began = self.clock.monotonic()
        for row in rows:
            found.append(row)
            if self.clock.monotonic() - began > SLICE:
                await asyncio.sleep(0)
                began = self.clock.monotonic()
        return found

    def beats(self) -> Row:
        """Heartbeats of the last minute, how many were due, and the share below which something is wrong."""
        return {
            "min": self.node.get("heartbeats_per_minute", 0),
            "want": round(self.services.want),
            "limit": self.node.get("beats_limit", LIMIT),
        }

    def edges(self) -> Row:
        """Who calls whom: ``nodes`` are ``[name, instances]``, ``edges`` those of :meth:`Circuits.edges`."""
        edges = self.circuits.edges()
        names = {row["n"]: row["total"] for row in self.services.rows()}
        for edge in edges:
            names.setdefault(edge[0], 0)
            names.setdefault(edge[1], 0)
        return {"nodes": [[name, names[name]] for name in sorted(names)], "edges": edges}

    async def rates(self, points: int) -> Mapping[str, Sequence[float | None]]:
        """Calls per second towards each service: asked for once for all pages that are opened meanwhile."""
        async with self._rating:
            at, most, found = self._rates
            if self.clock.monotonic() - at > self.interval or most != points:
                found = await self.source.rates(points)
                self._rates = (self.clock.monotonic(), points, found)
            return found

    def peers(self) -> list[list[Any]]:
        """The other nodes in short: name, state, lag (s), backlog."""
        return [
            [
                str(one.get("url") or ""),
                "ok" if one.get("well") else "bad",
                round(float(one.get("lag") or 0.0), 1),
                one.get("queue", 0),
            ]
            for one in self.node.get("peers") or ()
        ]

    def tick_for(self, topics: frozenset[str]) -> bytes:
        """The present tick for pages with these topics."""
        wanted = topics & {"services", "circuits", "nodes"}
        piece = self._ticks.get(wanted)
        if piece is None:
            parts = [b'{"now":%d,"beats":%b' % (self.now(), self._part("beats"))]
            parts += [
                b'"%b":%b' % (key.encode(), self._part(key))
                for topic, key in (("services", "s"), ("circuits", "c"), ("nodes", "nodes"))
                if topic in wanted
            ]
            piece = self._ticks[wanted] = frame("tick", b",".join(parts) + b"}", self._position())
        return piece

    def _part(self, key: str) -> bytes:
        part = self._parts.get(key)
        if part is None:
            value: Any
            if key == "services":
                value = self.services.full()
            elif key == "circuits":
                value = self.circuits.full()
            elif key == "s":
                value = self.services.live()
            elif key == "c":
                value = self.circuits.ticks
            elif key == "nodes":
                value = self.peers()
            else:
                value = self.beats()
            part = self._parts[key] = dump(value)
        return part

    def beat(self, viewers: Sequence[Viewer] | None = None, made: dict[str, bytes] | None = None) -> None:
        """Send the tick to these (all, if not given), and heartbeats to those of them that follow some;
        ``made`` keeps the latter for the next ones."""
        beats: dict[str, bytes] = {} if made is None else made
        for viewer in tuple(self._viewers) if viewers is None else viewers:
            viewer.tick(self.tick_for(viewer.topics))
            for name in viewer.beats:
                if name not in beats:
                    beats[name] = frame(f"beats:{name}", {"i": _rounded(self.source.beats(name))})
                viewer.put(beats[name])

    # --- the end

    async def close(self) -> None:
        """Take leave of everybody."""
        self.closed = True
        self._leave()
        if self._flush is not None:
            self._flush.cancel()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        bye = frame("bye", {"reason": "shutdown", "retryMs": 3000})
        for viewer in tuple(self._viewers):
            viewer.put(bye)
            viewer.close()


def _rounded(beats: Iterable[tuple[str, float]]) -> list[list[Any]]:
    return [[id, round(age, 1)] for id, age in beats]
