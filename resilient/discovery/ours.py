"""What this process tells its registry about its circuits, and does to them when told to."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping

from ..circuits.book import CircuitBook
from ..given import program_name
from ..model import Instance
from ..settings import Settings

_log = logging.getLogger("resilient.discovery")


class Ours:
    """One process's circuits, seen from its registry. ``me`` is what it registered, if anything."""

    def __init__(self, circuits: CircuitBook, settings: Settings, me: Callable[[], Instance | None]) -> None:
        self._circuits = circuits
        self._settings = settings
        self._me = me

    def _names(self) -> tuple[str, str, str]:
        """Service, instance and worker."""
        worker = f"{socket.gethostname()}:{os.getpid()}"
        me = self._me()
        if me is None:
            return self._settings.service or program_name(), worker, worker
        return me.service, me.id, worker

    def who(self) -> tuple[str, str]:
        """``SERVICE/ID`` and the worker: whom commands for us name."""
        service, id, worker = self._names()
        return f"{service.upper()}/{id}", worker

    def report(self) -> dict[str, object] | None:
        """What to tell; nothing without circuits."""
        if not len(self._circuits):
            return None
        service, id, worker = self._names()
        return {
            "service": service,
            "instance": id,
            "worker": worker,
            "interval": self._settings.push_interval,
            "circuits": [circuit.snapshot().as_dict() for circuit in self._circuits],
        }

    def obey(self, payload: Mapping[str, object]) -> None:
        """Do to a circuit what a command says."""
        from ..circuits.commands import apply  # most processes are never told to do anything

        _log.info("a command for a circuit: %s", apply(self._circuits, payload))
