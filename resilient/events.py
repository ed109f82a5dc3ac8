"""What happened, as plain records, and the bus that carries them to whoever cares."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

_log = logging.getLogger("resilient.events")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened. ``at`` is wall time, seconds since the epoch; ``level`` is for logs."""

    level: ClassVar[str] = "info"
    at: float = 0.0

    @property
    def severity(self) -> str:
        """The log level of this very event: the class's, unless the news is good."""
        return self.level


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Event):
    """A call through a circuit ended. Published only while somebody subscribes to it."""

    level: ClassVar[str] = "debug"
    circuit: str
    outcome: str
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackUsed(Event):
    """A fallback was asked instead of the service; ``worked`` says whether it had an answer."""

    level: ClassVar[str] = "debug"
    circuit: str
    cause: str
    worked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitChanged(Event):
    """A circuit turned from ``old`` to ``new``: ``closed``, ``open``, ``half-open``.

    Where somebody turned it by hand, ``by`` and ``reason`` are what they said of it.
    """

    level: ClassVar[str] = "warning"
    circuit: str
    old: str
    new: str
    reason: str = ""
    by: str = ""

    @property
    def severity(self) -> str:
        return "info" if self.new == "closed" else self.level


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChanged(Event):
    """A circuit's settings were changed at run time: ``changes`` holds (name, old, new) as text."""

    circuit: str
    changes: tuple[tuple[str, str, str], ...]
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsRead(Event):
    """The settings file has changed: it was read, or ``problem`` says what is wrong with it, and the cure.

    ``circuits`` are the names of its sections.
    """

    path: str
    circuits: tuple[str, ...] = ()
    problem: str = ""

    @property
    def severity(self) -> str:
        return "warning" if self.problem else self.level


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorActed(Event):
    """Somebody turned a circuit by hand from afar: ``action`` is ``open``, ``close``, ``auto`` or ``reset``.

    ``until`` is when it ends by itself, seconds since the epoch; ``None``: not by itself. ``command`` is the
    id of the command.
    """

    level: ClassVar[str] = "warning"
    circuit: str
    action: str
    by: str = ""
    reason: str = ""
    until: float | None = None
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredFromCache(Event):
    """A call was answered by what the same request had asked before. Only while somebody subscribes to it."""

    level: ClassVar[str] = "debug"
    circuit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsCollapsed(Event):
    """``calls`` single calls for ``keys`` different keys became one. Only while somebody subscribes to it."""

    level: ClassVar[str] = "debug"
    circuit: str
    calls: int
    keys: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDenied(Event):
    """A call was not repeated, for its retry budget is used up. Only while somebody subscribes to it."""

    level: ClassVar[str] = "debug"
    circuit: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEjected(Event):
    """A balancer stopped choosing an instance for ``seconds``, because of ``reason``."""

    level: ClassVar[str] = "warning"
    service: str
    instance: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRestored(Event):
    """An ejected instance answered its probe and is chosen again."""

    service: str
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseChanged(Event):
    """Our own registration: ``what`` is ``registered``, ``lost``, ``unreachable`` or ``signed-out``."""

    service: str
    instance: str
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEnding(Event):
    """A step of our own end: ``what`` is ``leaving``, ``signed-out``, ``closing``, ``cut`` or ``done``.

    ``seconds`` is how long the step may take: after ``signed-out`` callers are served until they have
    noticed, after ``closing`` the calls under way may end. Those that do not are ``cut``.
    """

    service: str
    instance: str
    what: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryChanged(Event):
    """Services that gained or lost instances since the last directory."""

    level: ClassVar[str] = "debug"
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryChanged(Event):
    """The connection to the registry: ``what`` is ``connected``, ``lost`` or ``moved``."""

    level: ClassVar[str] = "warning"
    url: str
    what: str
    detail: str = ""

    @property
    def severity(self) -> str:
        return "info" if self.what == "connected" else self.level


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedChanged(Event):
    """The feed of changes: ``what`` is ``live`` or ``lost``; without it the directory is polled."""

    url: str
    what: str
    detail: str = ""


#: What is worth a log line. Single calls are not: snapshots count them.
LOGGED: tuple[type[Event], ...] = (
    CircuitChanged,
    ConfigChanged,
    DirectoryChanged,
    FeedChanged,
    InstanceEjected,
    InstanceRestored,
    LeaseChanged,
    OperatorActed,
    RegistryChanged,
    ServiceEnding,
    SettingsRead,
)

Handler = Callable[[Any], None]
Publish = Callable[[Event], None]
_Entry = tuple[tuple[type[Event], ...], Handler]


def discard(event: Event) -> None:
    """A publisher for those who have nobody to tell."""


class EventBus:
    """Carries events to handlers on the thread where the thing happened, in order of subscription.

    A handler that raises is logged and the next one runs. Handlers must not wait.
    """

    def __init__(self) -> None:
        self._changed: Callable[[], None] = lambda: None
        with _lock:
            self._handlers = _everywhere
            _buses.add(self)

    def subscribe(self, handler: Handler, *kinds: type[Event]) -> Callable[[], None]:
        """Call ``handler`` for events of ``kinds`` (all, if none is named). Returns the way to leave."""
        entry = (kinds or (Event,), handler)
        self._join(entry)
        return lambda: self._leave(entry)

    def _join(self, entry: _Entry) -> None:
        with _lock:
            self._handlers = (*self._handlers, entry)
        self._changed()

    def _leave(self, entry: _Entry) -> None:
        with _lock:
            self._handlers = tuple(one for one in self._handlers if one is not entry)
        self._changed()

    def wants(self, kind: type[Event]) -> bool:
        """Whether anybody subscribed to ``kind``: lets publishers skip building records nobody reads."""
        # Asked for each failing call and nearly always empty: any() would make a generator first.
        for kinds, _ in self._handlers:  # noqa: SIM110
            if issubclass(kind, kinds):
                return True
        return False

    def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever somebody comes or goes: publishers may save work nobody sees."""
        self._changed = changed

    def publish(self, event: Event) -> None:
        """Tell everybody who asked for events of this kind."""
        for kinds, handler in self._handlers:
            if isinstance(event, kinds):
                try:
                    handler(event)
                except Exception:
                    _log.exception("event handler %r failed on %s", handler, type(event).__name__)


_everywhere: tuple[_Entry, ...] = ()
_buses: weakref.WeakSet[EventBus] = weakref.WeakSet()
_lock = threading.Lock()


def everywhere(handler: Handler, *kinds: type[Event]) -> Callable[[], None]:
    """As :meth:`EventBus.subscribe`, on every bus of this process, those yet to be made too."""
    global _everywhere
    entry = (kinds or (Event,), handler)
    with _lock:
        _everywhere = (*_everywhere, entry)
        buses = list(_buses)
    for bus in buses:
        bus._join(entry)

    def leave() -> None:
        global _everywhere
        with _lock:
            _everywhere = tuple(one for one in _everywhere if one is not entry)
            buses = list(_buses)
        for bus in buses:
            bus._leave(entry)

    return leave


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
