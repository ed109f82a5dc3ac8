"""A runtime for tests: its services are given lists, and it never looks for a registry."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Protocol, Self

from .. import runtime as home
from ..balancing.rules import Rule
from ..clock import SYSTEM, Clock
from ..given import instance_from
from ..model import Directory, Instance
from ..runtime import Runtime
from ..settings import Settings


class HasUrl(Protocol):
    """Whatever knows where it listens, like `Flaky`."""

    @property
    def url(self) -> str: ...


Place = str | Instance | HasUrl
Places = Place | Iterable[Place]


def runtime(
    services: Mapping[str, Places] | None = None,
    /,
    *,
    rule: str | Rule = "two_choices",
    clock: Clock = SYSTEM,
    seed: int = 0,
    settings: Settings | None = None,
    **more: Places,
) -> LocalRuntime:
    """A fresh runtime for ``with`` or ``async with``: ``with runtime(orders=["http://127.0.0.1:8001"]):``.

    Names that are no keywords go into a mapping: ``runtime({"my-orders": [...]})``. ``seed`` makes choices
    repeat. The environment is not read: what ``RESILIENT_*`` says here does not change a test; hand in
    ``settings`` to try some. Inside the block this is the runtime in use, in tasks made there too; threads
    need `LocalRuntime.everywhere`. Raises ConfigError for what is no URL.
    """
    made = LocalRuntime(rule=rule, clock=clock, seed=seed, settings=settings)
    made.announce(services, **more)
    return made


class _Punctual(Random):
    """No chance in when a trial is due: who moves a clock by ``reset_timeout`` gets one."""

    def uniform(self, a: float, b: float) -> float:
        return a


class LocalRuntime(Runtime):
    """Circuits, balancer and events as in production; the directory is what `announce` says.

    Only the random stretch of ``reset_timeout`` is left out.
    """

    def __init__(
        self,
        *,
        rule: str | Rule = "two_choices",
        clock: Clock = SYSTEM,
        seed: int = 0,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(
            settings=settings if settings is not None else Settings.load({}),
            rule=rule,
            clock=clock,
            rng=Random(seed),
        )
        self.circuits.rng = _Punctual(seed)
        self._wide = False
        self._learn(Directory())

    def announce(self, services: Mapping[str, Places] | None = None, /, **more: Places) -> None:
        """From now on these services are at these places; services that are not named stay as they are.

        A place is a URL, an Instance, or something with a ``url``. An empty list is a service of which no
        copy is left. Raises ConfigError for what is no URL.
        """
        listed = dict(self.directory.services)
        for name, places in {**(services or {}), **more}.items():
            service = name.lower()
            listed[service] = tuple(_instance(service, one) for one in _each(places))
        self._learn(Directory(listed))

    def everywhere(self) -> Self:
        """Be the runtime of the whole process inside the block: in every thread, loop and handler.

        Without, a runtime counts where context variables reach: this code and tasks made by it, but not
        threads started bare, nor an application that was given to ``setup`` or ``lifespan``. Calls of
        threads that outlive the block go on in whatever runtime the process has then.
        """
        self._wide = True
        return self

    def start(self) -> None:
        """Nothing to start: there is no registry to read or to register with."""

    @contextlib.contextmanager
    def active(self) -> Iterator[Runtime]:
        """Be what ``resilient.current()`` finds inside this block."""
        if not self._wide:
            with super().active():
                yield self
            return
        # A context variable would be copied into event loops and tasks that outlive the block, so none is
        # set, unless there is one that would hide this runtime here.
        token = home._active.set(self) if home._active.get() is not None else None
        with home._process_lock:
            before, home._process = home._process, self
            home._actives += 1
        home._unbind()
        try:
            yield self
        finally:
            with home._process_lock:
                home._process = before
                home._actives -= 1
            if token is not None:
                home._active.reset(token)
            home._unbind()


def _each(places: Places) -> list[Place]:
    if isinstance(places, str | Instance) or not isinstance(places, Iterable):
        return [places]
    return list(places)


def _instance(service: str, place: Place) -> Instance:
    return instance_from(service, place if isinstance(place, str | Instance) else place.url)
