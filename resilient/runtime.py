"""Puts the rooms together for one process: circuits, balancer, directory, events. No rule of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future
from contextvars import ContextVar
from functools import partial
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .background import shared
from .balancing.balancer import Balancer
from .balancing.rules import Rule
from .circuits.book import CircuitBook
from .circuits.circuit import Circuit
from .circuits.guard import Guard
from .circuits.policy import TEXT_OPTIONS
from .clock import SYSTEM, Clock
from .discovery.ours import Ours
from .discovery.waiting import Seeker, bounded
from .errors import NoInstance
from .events import LOGGED, CircuitChanged, Event, EventBus, InstanceEjected, RegistryChanged
from .given import instance_from
from .model import Directory, Instance, Status
from .settings import Settings

if TYPE_CHECKING:
    from .discovery.tasks import Discovery

#: Seconds a call by name waits for the first directory of its process.
FIRST_DIRECTORY = 5.0


class Runtime:
    """All of one process's circuits, balancer, directory and events.

    Making one starts nothing. The first balanced name, :meth:`register`, or entering it (``with`` or
    ``async with``) reads the directory, on a background loop, so that neither a blocked event loop nor a
    program without one misses a heartbeat. ``instances`` gives lists of URLs or instances by service name,
    for use without a registry. ``me`` registers this process.
    """

    def __init__(
        self,
        me: Instance | None = None,
        *,
        settings: Settings | None = None,
        instances: Mapping[str, Iterable[str | Instance]] | None = None,
        rule: str | Rule = "two_choices",
        clock: Clock = SYSTEM,
        rng: Random | None = None,
    ) -> None:
        self.clock = clock
        self.settings = settings if settings is not None else Settings.load(os.environ)
        self.events = EventBus()
        self._rng = rng or Random()
        self.circuits = CircuitBook(
            publish=self.events.publish,
            wants=self.events.wants,
            overrides=lambda name: self.settings.circuit(name, TEXT_OPTIONS),
            clock=clock,
            rng=self._rng,
            settings_file=self.settings.settings,
        )
        self.events.watch(self.circuits.rewire)
        self._static = {
            name.lower(): tuple(instance_from(name.lower(), one) for one in listed)
            for name, listed in (instances or {}).items()
        }
        self._directory: Directory | None = None
        self._up: dict[str, tuple[Instance, ...]] = {}
        self._me = me
        self._discovery: Discovery | None = None
        self._leave_background: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._seeker = Seeker(self.serves, lambda: self._discovery, clock=clock)
        self._tried: Future[None] = Future()
        self._cause = ""
        self._at_stop: list[Callable[[], Awaitable[None]]] = []
        self.balancer = Balancer(
            self.lookup,
            rule,
            zone=None if self.settings.zone == "default" else self.settings.zone,
            publish=self.events.publish,
            clock=clock,
            rng=self._rng,
            known=self.services,
        )
        self.events.subscribe(self._heard, RegistryChanged, InstanceEjected, CircuitChanged)
        self.events.subscribe(self._log, *LOGGED)

    # ------------------------------------------------------------------ the directory

    @property
    def directory(self) -> Directory:
        """The latest directory; empty before the first one was read."""
        return self._directory or Directory()

    @property
    def has_directory(self) -> bool:
        """Whether names can be resolved now: a directory was read, or only given lists are used."""
        return self._directory is not None or bool(self._static)

    def services(self) -> list[str]:
        """The names of all services known here."""
        return [*self._static, *self.directory.services]

    def knows(self, name: str) -> bool:
        """Whether ``name`` (lower case) is a service of the directory or of the given lists."""
        return name in self._static or name in self.directory.services

    def serves(self, name: str) -> bool:
        """Whether there are instances of ``name`` (lower case) that may be called now."""
        return bool(self._static.get(name) or self._up.get(name))

    def lookup(self, service: str) -> Sequence[Instance]:
        """The instances of a service that may be called; the same object until something changes.

        Raises NoInstance while there is no directory at all, with the reason.
        """
        if service in self._static:
            return self._static[service]
        found = self._up.get(service)
        if found is not None:
            return found
        if self._directory is None and not self._static:
            self.start()
            cause = self._cause or "no registry has been found yet, still looking"
            raise NoInstance(service, reason=f"no directory: {cause}", undecided=True)
        return ()

    def instances(self, service: str) -> Sequence[Instance]:
        """The instances of a service that may be called, as the directory has them now."""
        return self.lookup(service.lower())

    async def ready(self, timeout: float = FIRST_DIRECTORY) -> bool:
        """Wait until the directory was read once, or the registry is known not to answer.

        At most ``timeout`` seconds; answers whether there is a directory.
        """
        self.start()
        if not self.has_directory and not self._tried.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._tried)), bounded(timeout))
        return self.has_directory

    def wait(self, timeout: float = FIRST_DIRECTORY) -> bool:
        """As :meth:`ready`, for plain functions: blocks this thread."""
        self.start()
        if not self.has_directory:
            with contextlib.suppress(TimeoutError):
                self._tried.result(bounded(timeout))
        return self.has_directory

    async def seek(self, service: str) -> None:
        """Before a call to a service without instances fails: ask the registry once more, and wait for the
        first instance as long as the setting ``wait_for_instances`` and the call under way allow."""
        await self._seeker.seek(service, self.settings.wait_for_instances)

    def seek_now(self, service: str) -> None:
        """As :meth:`seek`, for plain functions: blocks this thread."""
        self._seeker.seek_now(service, self.settings.wait_for_instances)

    def _learn(self, directory: Directory, touched: Set[str] | None = None) -> None:
        """A new directory. Services that did not change keep their very tuple: balancers rely on it."""
        old = self._directory.services if self._directory is not None else {}
        # The feed knows what it touched; then nobody looks at all the others.
        up = dict[str, tuple[Instance, ...]]() if touched is None else self._up
        for name in directory.services if touched is None else touched:
            listed = directory.services.get(name)
            if listed is None:
                up.pop(name, None)
            elif old.get(name) is listed:
                up[name] = self._up[name]
            else:
                up[name] = getattr(listed, "up", None) or tuple(  # the feed's copy has sorted them out
                    [one for one in listed if one.status is Status.UP]
                )
        self._up = up
        self._directory = directory
        self._seeker.wake(touched)
        self._tell_tried()

    def _heard(self, event: RegistryChanged | InstanceEjected | CircuitChanged) -> None:
        discovery = self._discovery
        if isinstance(event, RegistryChanged):
            self._cause = discovery.last_error if discovery is not None else event.detail
            if event.what == "lost":  # when it is found, the first directory says so
                self._tell_tried()
        elif discovery is None:
            return
        elif isinstance(event, InstanceEjected):
            discovery.refresh()
        else:
            discovery.nudge()

    def _log(self, event: Event) -> None:
        from .telemetry.logs import write  # loads structlog, which most need only when all is not well

        write(event, {"service": self._me.service, "instance": self._me.id} if self._me is not None else {})

    def _tell_tried(self) -> None:
        if not self._tried.done():
            with contextlib.suppress(Exception):  # two threads may say so at once
                self._tried.set_result(None)

    # ------------------------------------------------------------------ life

    def register(self, me: Instance) -> None:
        """Register this process as an instance; replaces an earlier registration of this runtime."""
        self._me = me
        self.stop_discovery()
        self.start()

    def set_status(self, status: Status) -> None:
        """Tell the registry how this process is."""
        if self._me is not None:
            self._me = self._me.become(status)
            if self._discovery is not None:
                self._discovery.become(status)

    def start(self) -> None:
        """Begin to read the directory (and to register, if there is somebody to register). Never waits."""
        if self._running() or (self._static and self._me is None):
            return
        with self._lock:
            if self._running():
                return
            # Loads aiohttp, which a breaker alone does not need.
            from .discovery.locate import locate
            from .discovery.tasks import Discovery

            ours = Ours(self.circuits, self.settings, self._registered, self.clock, self.balancer.report)
            self._discovery = discovery = Discovery(
                self.settings,
                partial(locate, self.settings),
                self._me,
                clock=self.clock,
                rng=self._rng,
                publish=self.events.publish,
                on_directory=self._learn,
                **ours.wires(),
            )
            background = shared()
            self._leave_background = background.on_stop(discovery.stop)
            background.run(discovery.start())

    @property
    def discovery(self) -> Discovery | None:
        """Our side of the registry; ``None`` as long as nobody has asked for a directory."""
        return self._discovery

    def _running(self) -> bool:
        return self._discovery is not None

    def _registered(self) -> Instance | None:
        return (self._discovery.instance if self._discovery is not None else None) or self._me

    def stop_discovery(self, timeout: float = 5.0) -> None:
        """Sign out and stop reading the directory; what was read last stays."""
        with self._lock:
            discovery, self._discovery = self._discovery, None
        if discovery is not None:
            self._leave_background()
            with contextlib.suppress(TimeoutError):
                shared().run(discovery.stop()).result(timeout)

    def _after_fork(self) -> None:
        """The parent's background loop does not run here: begin anew when a directory is needed."""
        self._lock = threading.Lock()
        self._seeker.after_fork()
        self._leave_background = lambda: None
        if self._discovery is not None:
            self._discovery = None
            self._tried = Future()

    def close(self) -> None:
        """Sign out and stop. Harmless when called again."""
        self._me = None  # calls still under way may want the directory, but must not sign us in again
        self.circuits.close()
        self.stop_discovery()

    def at_stop(self, closing: Callable[[], Awaitable[None]]) -> None:
        """Await ``closing`` when this runtime is left on its loop: doors close their sessions so."""
        if closing not in self._at_stop:
            self._at_stop.append(closing)

    async def aclose(self) -> None:
        """As :meth:`close`, without blocking the loop; closes this loop's shared sessions too."""
        await asyncio.to_thread(self.close)
        for closing in self._at_stop:
            await closing()

    async def __aenter__(self) -> Self:
        self._here = self.active()
        self._here.__enter__()
        await self.ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._here.__exit__(kind, error, tb)
        await self.aclose()

    def __enter__(self) -> Self:
        self._here = self.active()
        self._here.__enter__()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._here.__exit__(kind, error, tb)
        self.close()

    @contextlib.contextmanager
    def active(self) -> Iterator[Runtime]:
        """Be what :func:`current` finds inside this block (and in tasks made there)."""
        global _actives
        token = _active.set(self)
        _actives += 1
        _unbind()
        try:
            yield self
        finally:
            _actives -= 1
            _active.reset(token)
            _unbind()


_active: ContextVar[Runtime | None] = ContextVar("resilient_runtime", default=None)
_actives = 0
_process: Runtime | None = None
_process_lock = threading.Lock()
_guards: weakref.WeakSet[Guard] = weakref.WeakSet()


def current() -> Runtime:
    """The runtime in use here: the active one, else the process's own, made at first need."""
    active = _active.get()
    return active if active is not None else _process or process_runtime()


def process_runtime() -> Runtime:
    """The process's own runtime, made at first need: doors that serve install themselves there."""
    global _process
    if _process is None:
        with _process_lock:
            if _process is None:
                _process = Runtime()
    return _process


def find_circuit(guard: Guard) -> tuple[Circuit, bool]:
    """A guard's circuit in the present runtime, and whether it is the only runtime there is."""
    return current().circuits.of(guard), _actives == 0


def remember(guard: Guard) -> None:
    """Let a guard hear when there is another runtime to look in."""
    _guards.add(guard)


def _after_fork() -> None:
    global _process_lock
    _process_lock = threading.Lock()
    if _process is not None:
        _process._after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _unbind() -> None:
    for guard in list(_guards):
        guard.circuit = None


def pick(service: str, **options: Any) -> Any:
    """Choose an instance for one try of whatever is not HTTP: ``with pick("postgres") as chosen:``.

    ``chosen.instance`` has host and port; how the block ends tells the balancer how it went. Raises
    NoInstance.
    """
    return current().balancer.pick(service.lower(), **options)


def instances(service: str) -> Sequence[Instance]:
    """The instances of a service that may be called now. Raises NoInstance without any directory."""
    return current().instances(service)
