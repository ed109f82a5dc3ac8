"""The settings file: what it says about circuits, and word to them when that changes."""

from __future__ import annotations

import asyncio
import os
import threading
import tomllib
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from ..background import shared
from ..clock import Clock
from ..errors import ConfigError
from ..events import Publish, SettingsRead
from .layers import checked, quoted

#: Values of settings by circuit; ``*`` stands for all circuits.
Sections = Mapping[str, Mapping[str, object]]
#: Seconds between two looks at the file.
EVERY = 1.0
#: Bytes; a larger file is none of ours.
LARGEST = 1 << 20

_Stamp = tuple[int, int, int] | None


def parse(text: str) -> dict[str, dict[str, Any]]:
    """The sections ``[circuits.<name>]`` of a file, checked.

    Raises ConfigError naming section, field and cure.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from None
    for name in found:
        if name != "circuits":
            raise ConfigError(f"{name!r}: nobody reads this; sections are [circuits.<name>]")
    circuits = found.get("circuits", {})
    if not isinstance(circuits, dict):
        raise ConfigError("circuits must be sections: [circuits.<name>]")
    return {name: _section(name, values) for name, values in circuits.items()}


def _section(name: str, values: object) -> dict[str, Any]:
    where = f"[circuits.{quoted(name)}]"
    if not isinstance(values, dict):
        raise ConfigError(f'{where} must be a section with settings; for all circuits write [circuits."*"]')
    for key, value in values.items():
        if isinstance(value, dict):
            raise ConfigError(
                f"[circuits.{quoted(name)}.{quoted(key)}]: write a name with a dot in quotes: "
                f'[circuits."{name}.{key}"]'
            )
    return checked(values, f"{where} ", text=True)


class SettingsFile:
    """Reads the file at once, and again whenever it has changed; looks once a second while it is watched.

    A file that makes no sense raises ConfigError here; later on it is told by :class:`SettingsRead`, and what
    was read last stays in force.
    """

    def __init__(
        self, path: str, learn: Callable[[Sections, str], None], publish: Publish, clock: Clock
    ) -> None:
        self.path = os.path.abspath(path)
        self._learn = learn
        self._publish = publish
        self._clock = clock
        self._lock = threading.Lock()
        self._watching: Future[None] | None = None
        self._seen: _Stamp = self._stamp()
        self._learn(self._read(), self.path)

    def look(self) -> None:
        """Read the file if it is another one than before."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        problem = ""
        names: tuple[str, ...] = ()
        try:
            found = self._read()
            names = tuple(found)
            self._learn(found, self.path)
        except ConfigError as error:
            problem = f"{error}; what was read last stays in force"
        self._publish(SettingsRead(at=self._clock.time(), path=self.path, circuits=names, problem=problem))

    def _stamp(self) -> _Stamp:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            with open(self.path, "rb") as file:
                body = file.read(LARGEST + 1)
            if len(body) > LARGEST:
                raise ConfigError(f"more than {LARGEST >> 20} MiB, which no settings file has")
            return parse(body.decode())
        except OSError as error:
            raise ConfigError(
                f"settings file {self.path}: {error.strerror or type(error).__name__}; "
                "set RESILIENT_SETTINGS to a file that is there, or not at all"
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(f"settings file {self.path}: must be UTF-8") from None
        except ConfigError as error:
            raise ConfigError(f"settings file {self.path}: {error}") from None

    # ------------------------------------------------------------------ watching

    def watch(self) -> None:
        """Look once a second from now on, on the background loop. Does nothing if that is so already."""
        with self._lock:
            if self._watching is None:
                self._watching = shared().run(_watch(weakref.ref(self)))

    def leave(self) -> None:
        """Look no more."""
        with self._lock:
            watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()

    def after_fork(self) -> None:
        """In a child process nobody looks any more, if somebody did: begin again."""
        self._lock = threading.Lock()
        if self._watching is not None:
            self._watching = None
            self.watch()


async def _watch(file: weakref.ref[SettingsFile]) -> None:
    while True:
        await asyncio.sleep(EVERY)
        found = file()
        if found is None:
            return
        found.look()
        del found
