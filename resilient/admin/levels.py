"""Levels of loggers, changed for a while and put back by themselves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from .asked import Refused

WORDS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
#: Seconds a level may be held; without an end only what says less may be set.
LONGEST = 3600.0
#: Changes that may be held at a time.
MOST = 64
#: These print headers or bodies when told to say more, and with them credentials. So does the root for them.
WIRE = (
    "http.client", "urllib3", "requests", "httpx", "httpcore", "h11", "h2", "hpack", "aiohttp", "websockets",
    "botocore", "boto3", "urllib", "paramiko", "ldap3", "oauthlib", "requests_oauthlib",
)  # fmt: skip

Later = Callable[[float, Callable[[], None]], Callable[[], None]]


def by_timer(seconds: float, work: Callable[[], None]) -> Callable[[], None]:
    """Run ``work`` later on a daemon thread; answers the way to call it off."""
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.name = "resilient-level"
    timer.start()
    return timer.cancel


class Levels:
    """Lists loggers and sets their levels. ``later`` runs a function after so many seconds."""

    def __init__(self, later: Later = by_timer) -> None:
        self._later = later
        self._lock = threading.Lock()
        # name -> (level before, the way to call the timer off)
        self._held: dict[str, tuple[int, Callable[[], None]]] = {}

    def rows(self) -> list[dict[str, Any]]:
        """All loggers that say something of their own, the root first."""
        root = logging.getLogger()
        names = sorted(
            name for name, one in root.manager.loggerDict.items() if isinstance(one, logging.Logger)
        )
        return [_row("root", root), *(_row(name, logging.getLogger(name)) for name in names)]

    def set(self, name: str, level: object, ttl: float | None) -> tuple[str, str]:
        """Set a logger's level, for ``ttl`` seconds; answers (before, now). ``None`` inherits again.

        Raises Refused: 400 for a level that is none or DEBUG without an end, 403 for loggers that must not
        say more, 404 for one that is not there.
        """
        word = "NOTSET" if level is None else level.upper() if isinstance(level, str) else ""
        if word not in (*WORDS, "NOTSET"):
            raise Refused(400, "unknown-level", f"level must be one of {', '.join(WORDS)}, or null")
        number: int = getattr(logging, word)
        if ttl is None and number in (logging.DEBUG, logging.NOTSET) and word != "NOTSET":
            raise Refused(400, "no-end", f"DEBUG needs a ttl of at most {LONGEST:g} seconds")
        logger = logging.getLogger() if name in ("", "root") else None
        if logger is not None:
            raise Refused(403, "not-this-logger", "the root logger's level is the program's own")
        if any(name == one or name.startswith(f"{one}.") for one in WIRE) and number < logging.INFO:
            raise Refused(
                403, "not-this-logger", f"{name} prints headers, and credentials with them; INFO at most"
            )
        if name not in logging.getLogger().manager.loggerDict:
            raise Refused(404, "no-such-logger", "there is no logger of that name; GET lists them")
        return self._set(name, number, ttl)

    def _set(self, name: str, number: int, ttl: float | None) -> tuple[str, str]:
        logger = logging.getLogger(name)
        with self._lock:
            before = logger.level
            kept = self._held.pop(name, None)
            if kept is not None:
                kept[1]()
            elif ttl is not None and len(self._held) >= MOST:
                raise Refused(429, "too-many", f"{MOST} levels are held already")
            original = kept[0] if kept is not None else before
            logger.setLevel(number)
            if ttl is not None:
                self._held[name] = (original, self._later(ttl, lambda: self._back(name)))
        return logging.getLevelName(before), logging.getLevelName(number)

    def _back(self, name: str) -> None:
        with self._lock:
            kept = self._held.pop(name, None)
            if kept is not None:
                logging.getLogger(name).setLevel(kept[0])

    def restore(self) -> None:
        """Put everything back now."""
        for name, (_, cancel) in list(self._held.items()):
            cancel()
            self._back(name)


def _row(name: str, logger: logging.Logger) -> dict[str, Any]:
    return {
        "name": name,
        "level": logging.getLevelName(logger.level) if logger.level else None,
        "effective": logging.getLevelName(logger.getEffectiveLevel()),
    }
