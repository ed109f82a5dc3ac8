"""What this process tells its registry about its circuits, and does to them when told to."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from ..circuits.book import CircuitBook
from ..clock import Clock
from ..given import program_name
from ..model import Instance
from ..settings import Settings
from .pushing import Pusher

_log = logging.getLogger("resilient.discovery")


class Ours:
    """One process's circuits, seen from its registry. ``me`` is what it registered, if anything; ``balancer``
    tells what its balancers think."""

    def __init__(
        self,
        circuits: CircuitBook,
        settings: Settings,
        me: Callable[[], Instance | None],
        clock: Clock,
        balancer: Callable[[], object] | None = None,
    ) -> None:
        self._circuits = circuits
        self._settings = settings
        self._me = me
        self._pusher = Pusher(circuits, clock, balancer)

    def _names(self) -> tuple[str, str, str]:
        """Service, instance and worker."""
        worker = f"{socket.gethostname()}:{os.getpid()}"
        me = self._me()
        if me is None:
            return self._settings.service or program_name(), worker, worker
        return me.service, me.id, worker

    def wires(self) -> dict[str, Any]:
        """What a :class:`.tasks.Discovery` needs of this."""
        return {
            "circuits": self.report,
            "who": self.who,
            "on_command": self.obey,
            "on_pushed": self.pushed,
        }

    def who(self) -> tuple[str, str]:
        """``SERVICE/ID`` and the worker: whom commands for us name."""
        service, id, worker = self._names()
        return f"{service.upper()}/{id}", worker

    def report(self) -> dict[str, object] | None:
        """What to tell; nothing without circuits."""
        if not len(self._circuits):
            return None
        return self._pusher.push(*self._names(), self._settings.push_interval)

    def pushed(self, taken: bool) -> None:
        """What was told was taken, or not: then the next time everything is told."""
        if not taken:
            self._pusher.forget()

    def obey(self, payload: Mapping[str, object]) -> None:
        """Do to a circuit what a command says."""
        from ..circuits.commands import apply  # most processes are never told to do anything

        _log.info("a command for a circuit: %s", apply(self._circuits, payload))
