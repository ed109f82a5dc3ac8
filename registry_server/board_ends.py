"""When operators' statuses end by themselves, kept beside the registry's snapshot: a restart must not make
them last for ever. Who set them and why is kept with them.

A file that cannot be read or written is said once, and nothing else: the directory does not depend on it.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

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
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(list(ends)))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            self._complain("written", error)

    def _complain(self, what: str, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _log.error("the ends of operators' statuses in %s cannot be %s: %s", self._path, what, error)
