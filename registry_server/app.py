"""The registry, put together: table, engine, routes, web UI, sweep, listener."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

from aiohttp import hdrs, web

from resilient.clock import SYSTEM, Clock
from resilient.telemetry.stalls import Stalls
from resilient.web.guard import Guard
from resilient.web.server import Listener, listen
from resilient.web.trust import Trust

from . import bodies, renewals
from .announcing import Announcer
from .api import EurekaApi
from .board import Board
from .board_actor import UiActor
from .board_ends import EndsFile
from .board_source import UiSource
from .engine import MemoryEngine
from .feed.actions import Actions
from .feed.hub import Feed
from .foreign import Foreign
from .metrics import RegistryMetrics
from .metrics_routes import MetricsRoutes
from .nodes import Nodes
from .peers.cluster import Cluster
from .ratelimit import RateLimiter
from .records import Cause, Change
from .registry import Registry
from .settings import Settings
from .snapshots_file import Keeper
from .tools import Tools
from .trust import Action, refusal
from .turbine import Turbine
from .views import Views

_log = logging.getLogger("resilient.registry")


class RegistryApp:
    """One registry with everything it serves. ``app`` is what a listener serves; :meth:`start` does both."""

    def __init__(self, settings: Settings, *, clock: Clock = SYSTEM, rng: Random | None = None) -> None:
        self.settings = settings
        self.registry = Registry(
            engine=MemoryEngine(),
            clock=clock,
            rng=rng,
            caps=settings.room,
            policy=settings.preservation,
            factor=settings.factor,
            strict=settings.strict,
        )
        self.cluster = Cluster(
            self.registry,
            settings.peers,
            rng=rng or Random(),
            timing=settings.peer_timing,
            wait=settings.peer_wait,
        )
        self.board = Board(clock)
        self.registry.subscribe(self._heard)
        self.trust = Trust(settings.token or None, settings.read_token or None, clock=clock)
        self.feed = Feed(self.registry, self.cluster.id)
        self.actions = Actions(clock)
        self.stalls = Stalls(clock=clock)
        self.keeper = Keeper(self.registry, settings.snapshot) if settings.snapshot else None
        self.announcer = Announcer(zone=settings.zone, token=settings.token) if settings.mdns else None
        self.views = Views(
            self.registry,
            self.board,
            self.cluster,
            settings.zone,
            actions=self.actions,
            position=lambda: self.feed.position,
            stalls=self.stalls,
            keeper=self.keeper,
        )
        self.foreign = Foreign(
            clock,
            rng or Random(),
            watched=lambda: self.feed.watch.on,
            loopback=self._is_loopback,
            knows=lambda name: bool(self.registry.table.leases(name)),
        )
        self.registry.subscribe(self.foreign.heard)
        self.nodes = Nodes(self.registry, self.cluster, watched=lambda: self.feed.watch.on)
        self.source = UiSource(
            self.registry,
            self.board,
            self.foreign.rows,
            self.views,
            self.actions,
            self.nodes,
            url=lambda: self.url,
            replicas=self.cluster.replicas,
        )
        ends = EndsFile(settings.snapshot) if settings.snapshot else None
        self.actor = UiActor(self.registry, self.source, self.feed, self.actions, ends)
        self.board.listen(pushed=self.actor.pushed)
        self.api = EurekaApi(
            self.registry,
            self.trust,
            self.cluster,
            zone=settings.zone,
            delta=settings.delta,
            limiter=None if settings.rates is None else RateLimiter(clock, settings.rates),
        )
        self.metrics = RegistryMetrics(
            self.registry,
            self.cluster,
            self.board,
            self.feed,
            self.stalls,
            keeper=self.keeper,
            ready=lambda: self._started and self.cluster.ready,
            refused=lambda: None if self.listener is None else self.listener.counts,
        )
        #: ``http://host:port/eureka/`` once it listens; what clients are configured with.
        self.url = ""
        self.port = 0
        self._started = False
        self.listener: Listener | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self.app = self._make_app()

    def _make_app(self) -> web.Application:
        app = web.Application()
        self.api.mount(app)
        tools = Tools(
            self.views,
            self.board,
            self.trust,
            self.feed,
            self.actions,
            ready=lambda: self._started and self.cluster.ready,
            opens_in=lambda: self.cluster.opens_in,
            foreign=self.source.foreign,
        )
        tools.mount(app)
        lists_itself = not self.trust.needs_read_token
        MetricsRoutes(self.metrics, self.registry.table, tools.guarded, lists_itself=lists_itself).mount(app)
        Turbine(self.board._processes.values, self.registry.clock, watch=self.feed.watch).install(
            app, tools.guarded
        )
        mounted = self.settings.ui and self._mount_ui(app)
        app.router.add_get("/", _front_page(mounted))
        # A base URL configured with a slash too many ("//eureka/apps") is common, and means no harm.
        app.router.add_route("*", "/{tail:.*}", self.api.handle)
        return app

    def _mount_ui(self, app: web.Application) -> bool:
        try:
            from dashboard import rights
            from dashboard.app import mount
        except ImportError as missing:
            _log.warning("the web UI is not installed: %s", missing)
            return False

        def allow(request: web.Request) -> int:
            return refusal(self.trust, self.trust.caller(request.remote, request.headers), Action.READ)

        def may_act(request: web.Request) -> tuple[int, str]:
            wide = not self._is_loopback()
            return rights.page_may_act(self.trust, request.remote, request.headers, bound_wide=wide)

        def roles(request: web.Request) -> list[str]:
            wide = not self._is_loopback()
            return rights.roles(self.trust, request.remote, request.headers, bound_wide=wide)

        mount(
            app,
            self.source,
            clock=self.registry.clock,
            allow=allow,
            roles=roles,
            may_act=may_act,
            actor=self.actor,
            watch=self.feed.watch,
        )
        return True

    def _is_loopback(self) -> bool:
        return self.listener is not None and self.listener.is_loopback

    def _heard(self, change: Change) -> None:
        """Who signed out is not silent, it is gone: so are the circuits it told of."""
        if change.record.cause is Cause.CANCELLED:
            self.board.forget(change.service, change.id)

    async def start(self) -> None:
        """Read the snapshot if there is one, bind, sweep. OSError if the address cannot be bound."""
        if self.keeper is not None:
            await self.keeper.load()
            for name in self.registry.table.services():
                for lease in self.registry.table.leases(name).values():
                    self.foreign.know(lease.record.instance)
        try:
            self.listener = await listen(
                self.app, self.settings.host, self.settings.port, guard=_guard(), front=self.api.front
            )
        except BaseException:
            self.registry.close()
            raise
        self.port = self.listener.port
        self.url = self.api.url = f"{self.listener.url}/eureka/"
        self._sweeper = asyncio.create_task(self._sweep_forever(), name="registry sweep")
        self.cluster.start(self.url)
        self.stalls.start()
        if self.keeper is not None:
            self.keeper.start()
        self._started = True
        if self.announcer is not None and not self.listener.is_loopback:
            self.announcer.start(self.listener.host, self.port)
        if not self.listener.is_loopback and not self.settings.token:
            _log.warning(
                "anybody who reaches %s:%d may register and read; set a token (--token, or "
                "RESILIENT_REGISTRY_TOKEN) to require it for every write. Until then, overrides and signing "
                "out the instances of others work from this machine only.",
                self.settings.host,
                self.port,
            )

    async def stop(self) -> None:
        """Stop listening, let requests end, and stop sweeping. Harmless when called twice."""
        self._started = False
        if self.announcer is not None:
            await self.announcer.stop()
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)
        await self.foreign.close()
        await self.nodes.close()
        listener, self.listener = self.listener, None
        if listener is not None:
            await listener.close()
        self.stalls.stop()
        if self.keeper is not None:
            await self.keeper.stop()
        await self.cluster.stop()
        self.registry.close()

    async def _sweep_forever(self) -> None:
        period = self.registry.preservation.policy.period
        while True:
            await asyncio.sleep(period)
            try:
                await self.registry.sweep()
                await self.source.ticked()
                self.nodes.tick()
                self.foreign.tick()
                await self.actor.tick()
            except Exception:
                _log.exception("a sweep failed; the next one comes in %gs", period)


def _guard() -> Guard:
    batches = ("/eureka/peerreplication", "/eureka/v2/peerreplication", "/v2/peerreplication")
    return Guard(
        # Errors without a body: Eureka's clients would read one as an instance.
        bare_errors=("/eureka", "/v2"),
        # The bodies of PUT and DELETE mean nothing, whatever their type; `bodies` looks at the others.
        content_types=None,
        bodies={
            **dict.fromkeys(batches, bodies.BATCH),
            "/resilient/v1/circuits": bodies.PUSH,
            "/resilient/v1/renewals": renewals.MOST_BYTES,
        },
    )


def make_app(settings: Settings, *, clock: Clock = SYSTEM, rng: Random | None = None) -> RegistryApp:
    """A registry that does not listen yet."""
    return RegistryApp(settings, clock=clock, rng=rng)


@contextlib.asynccontextmanager
async def running(
    settings: Settings | None = None, *, clock: Clock = SYSTEM, rng: Random | None = None
) -> AsyncIterator[RegistryApp]:
    """A registry that listens while the block runs; by default on a free port of this machine."""
    registry = make_app(settings or Settings(port=0), clock=clock, rng=rng)
    await registry.start()
    try:
        yield registry
    finally:
        await registry.stop()


def _front_page(ui: bool) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def front_page(request: web.Request) -> web.Response:
        if ui and "text/html" in request.headers.get(hdrs.ACCEPT, ""):
            # Relative, so that it also holds behind a proxy that adds a prefix.
            return web.Response(status=302, headers={hdrs.LOCATION: "ui/"})
        return web.Response(text="A resilient registry. Clients use /eureka/, people /ui/.\n")

    return front_page
