"""Several worker processes behind one address: who is the last one out?

Each worker holds a shared lock on one small file. On its way out it asks for the exclusive lock: who
gets it is alone, and signs off for all. A killed worker's lock is released by the kernel.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
import tempfile
import weakref
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this platform: every worker is alone
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger("resilient.discovery")

#: How long a new worker waits for the last one of before to finish signing off, in seconds.
JOIN_WAIT = 2.5
_STEP = 0.05


def folder(environ: dict[str, str] | None = None) -> Path:
    """The user's own directory for such files: below ``XDG_RUNTIME_DIR`` or the temporary directory.

    Made with mode 0700. PermissionError if somebody else's hands are on it.
    """
    runtime = (os.environ if environ is None else environ).get("XDG_RUNTIME_DIR", "")
    uid = os.getuid()
    if runtime and os.path.isabs(runtime) and os.path.isdir(runtime):
        path = Path(runtime) / "resilient"
    else:
        path = Path(tempfile.gettempdir()) / f"resilient-{uid}"
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        pass
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != uid or stat.S_IMODE(about.st_mode) & 0o077:
        raise PermissionError(f"{path} must be a directory of user {uid} with mode 0700")
    return path


class Worker:
    """This process as one of the workers behind an address. Where counting fails, each one is alone.

    Alone means that the first one out signs off for all; the next heartbeat of another signs in again.
    """

    def __init__(self, registry: str, instance: str, *, where: Path | None = None) -> None:
        self._name = hashlib.sha256(f"{registry}\n{instance}".encode()).hexdigest()[:32] + ".lock"
        self._where = where
        self._file: int | None = None
        _open_workers.add(self)

    async def join(self, wait: float = JOIN_WAIT) -> None:
        """Be counted. Waits ``wait`` seconds at most for somebody who is just signing off."""
        if fcntl is None or self._file is not None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + wait
        try:
            path = (self._where or folder()) / self._name
            while not self._lock(path):
                if loop.time() >= end:
                    return
                await asyncio.sleep(_STEP)
        except OSError as error:
            _log.debug("workers behind one address are not counted: %s", error)

    def last(self) -> bool:
        """Whether nobody else is left. If so, `close` must follow the signing off, to let others in.

        If not, this worker is no longer counted.
        """
        if fcntl is None or self._file is None:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            return False
        return True

    def close(self) -> None:
        """Let go of everything; again and again if you like."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _lock(self, path: Path) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        file = os.open(path, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return True


_open_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


def _after_fork() -> None:
    # A child that kept the parent's file open would keep the parent's lock alive after its death.
    # Closing the child's copy leaves the lock itself with the parent.
    for worker in list(_open_workers):
        worker.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
