"""A lock that is never held while somebody else's code runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("resilient.circuits")


class Section:
    """``with section:`` decides under a lock; what was :meth:`later`-ed runs once the lock is free.

    Sections nest; telling waits for the outermost. One thread tells at a time, so what is told in order stays
    in order; one that raises is logged and the next one runs.
    """

    __slots__ = ("_depth", "_lock", "_notes", "_telling")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._telling = threading.Lock()
        self._depth = 0
        # A list, because it is nearly always empty, and an empty deque takes 700 bytes.
        self._notes: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        outermost = self._depth == 0
        self._lock.release()
        if outermost and self._notes:
            self._tell()

    def anew(self) -> None:
        """In a child process: whoever held the locks does not run here."""
        self._lock = threading.RLock()
        self._telling = threading.Lock()
        self._depth = 0
        self._notes = []

    def later(self, told: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call ``told`` when the lock is free: at the end of the section, or now if nobody is in one."""
        self._notes.append((told, args, kwargs))
        if self._depth == 0:
            self._tell()

    def _tell(self) -> None:
        # Asked again after letting go: a note may have come when we had seen the last one already.
        while self._notes and self._telling.acquire(blocking=False):
            try:
                while self._notes:
                    told, args, kwargs = self._notes.pop(0)
                    try:
                        told(*args, **kwargs)
                    except Exception:
                        _log.exception("%r failed", told)
            finally:
                self._telling.release()
