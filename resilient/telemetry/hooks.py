"""Events for sinks of your own: a function that is called for each event of some kinds, and harms nobody.

::

    from resilient.events import CircuitChanged
    from resilient.telemetry.hooks import subscribe

    leave = subscribe(CircuitChanged, lambda event: page(event.circuit, event.new))

A function is called on a thread of its own, one event after the other in the order they happened, so it may
take its time: calls never wait for it. What it is too slow for is forgotten, the oldest first, and counted.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import ConfigError
from ..events import Event, EventBus, everywhere

_log = logging.getLogger("resilient.hooks")

#: Events that wait for one function, and functions at a time.
WAITING, MOST = 1000, 100
#: Seconds after which a thread that has nothing to do ends.
_KEEP = 60.0

Callback = Callable[[Any], object]
Kinds = type[Event] | Iterable[type[Event]]

_subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()


class Subscription:
    """One function that is told of events, until :meth:`leave`. Calling it leaves too."""

    def __init__(self, callback: Callback, *, at_once: bool, waiting: int) -> None:
        self._callback = callback
        self._at_once = at_once
        self._most = waiting
        self._queue: deque[Event] = deque()
        self._told: set[type[BaseException]] = set()
        self._stop: Callable[[], None] = lambda: None
        self._here = True
        #: Events that were forgotten because the function was too slow.
        self.dropped = 0
        #: Events for which it raised an error.
        self.failed = 0
        self._busy = threading.local()
        self.anew()

    def anew(self) -> None:
        """In a child process the parent's thread does not run, and its events are the parent's."""
        self._changed = threading.Condition(threading.Lock())
        self._queue.clear()
        self._running = self._working = False

    def __call__(self) -> None:
        self.leave()

    def leave(self) -> None:
        """Hear no more. What waits is forgotten. Harmless when called again."""
        self._stop()
        with self._changed:
            self._here = False
            self._queue.clear()
            self._changed.notify_all()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until the function was called for all that has happened so far; False if ``timeout`` seconds
        were not enough. Not from within the function."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._working, timeout)

    def hear(self, event: Event) -> None:
        """Something happened; called where it did. Never waits, never raises."""
        if self._at_once:
            if getattr(self._busy, "now", False):  # it makes what it hears of
                self.dropped += 1
                return
            self._busy.now = True
            try:
                self._call(event)
            finally:
                self._busy.now = False
            return
        with self._changed:
            if not self._here:
                return
            if len(self._queue) >= self._most:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(event)
            self._changed.notify_all()
            if self._running:
                return
            self._running = True
        try:
            threading.Thread(target=self._serve, name="resilient-hook", daemon=True).start()
        except RuntimeError:  # no thread can be had: the interpreter is shutting down
            self._running = False

    def _serve(self) -> None:
        while True:
            with self._changed:
                if not self._queue and not self._changed.wait_for(
                    lambda: self._queue or not self._here, _KEEP
                ):
                    self._running = False
                    return
                if not self._here:
                    self._running = False
                    return
                event = self._queue.popleft()
                self._working = True
            self._call(event)
            with self._changed:
                self._working = False
                self._changed.notify_all()

    def _call(self, event: Event) -> None:
        try:
            self._callback(event)
        except Exception as error:
            self.failed += 1
            if type(error) not in self._told and len(self._told) < 20:
                self._told.add(type(error))
                _log.exception(
                    "the function %r failed on %s; it stays subscribed, and this is said once for each kind "
                    "of error",
                    self._callback,
                    type(event).__name__,
                )


def subscribe(
    kinds: Kinds,
    callback: Callback,
    *,
    events: EventBus | None = None,
    at_once: bool = False,
    waiting: int = WAITING,
) -> Subscription:
    """Call ``callback`` with each event of ``kinds`` (a class of :mod:`resilient.events`, or several).

    It hears of everything in this process, or of one bus only if ``events`` is given. ``waiting`` is how many
    events may wait for it. ``at_once`` calls it where the event happens, which may be an event loop, in the
    middle of a call: only for what takes no time, such as counting. To subscribe to
    :class:`~resilient.events.CallEnded` makes every call take the long way.

    May be called from any thread. Raises ConfigError for what is no kind of event, and for the hundred and
    first function.
    """
    asked: tuple[Any, ...] = (kinds,) if isinstance(kinds, type) else tuple(kinds)
    for kind in asked:
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise ConfigError(f"subscribe() takes kinds of events, classes of resilient.events; got {kind!r}")
    if not asked:
        raise ConfigError("subscribe() takes at least one kind of event; Event stands for all of them")
    if not callable(callback):
        raise ConfigError(f"subscribe() takes a function to call, got {callback!r}")
    if waiting < 1:
        raise ConfigError(f"waiting must be at least 1, got {waiting!r}")
    if sum(one._here for one in list(_subscriptions)) >= MOST:
        raise ConfigError(f"{MOST} functions are subscribed already; leave() those that are not needed")
    subscription = Subscription(callback, at_once=at_once, waiting=waiting)
    join = everywhere if events is None else events.subscribe
    subscription._stop = join(subscription.hear, *asked)
    _subscriptions.add(subscription)
    return subscription


def _after_fork() -> None:
    for one in list(_subscriptions):
        one.anew()


os.register_at_fork(after_in_child=_after_fork)
