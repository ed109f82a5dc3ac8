"""When operators' statuses end by themselves, kept beside the registry's snapshot: a restart must not make
them last for ever. Who set them and why is kept with them.

A file that cannot be read or written is said once, and nothing else: the directory does not depend on it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from . import replacing

_log = logging.getLogger("resilient.registry")

#: The file is named as the snapshot, with this at its end; a larger one is none of ours.
SUFFIX, LARGEST = ".ends", 16 * 1024 * 1024


class End(NamedTuple):
    """``until`` and ``at`` are seconds since the epoch."""

    service: str
    id: str
    until: float
    by: str
    reason: str
    at: float


_ENDS = msgspec.json.Decoder(list[End])


class EndsFile:
    """The ends of one registry, beside the snapshot ``path``."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(f"{path}{SUFFIX}")
        self._complained = False

    def read(self) -> list[End]:
        """What was written last; nothing if there is no such file, or none that makes sense."""
        try:
            if self._path.stat().st_size > LARGEST:
                raise ValueError("too large")
            return _ENDS.decode(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError) as error:
            self._complain("read", error)
            return []

    def write(self, ends: Iterable[End]) -> None:
        """All of them, in place of those before."""
        temporary = replacing.beside(self._path)
        try:
            with replacing.opened(temporary, msgspec.json.encode(list(ends))) as file:
                replacing.finish(file, temporary, self._path)
        except OSError as error:
            replacing.give_up(temporary)
            self._complain("written", error)

    def _complain(self, what: str, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _log.error("the ends of operators' statuses in %s cannot be %s: %s", self._path, what, error)
