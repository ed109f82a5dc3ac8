"""A file replaced as a whole: whoever reads it finds the old one or the new one, after a crash too."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO


def beside(path: Path) -> Path:
    """Where the new one of a file grows: in the same folder, for only there it can take its place at once."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def opened(temporary: Path, head: bytes) -> IO[bytes]:
    """The new one, begun. For its owner alone: metadata may hold what is nobody else's business."""
    temporary.parent.mkdir(parents=True, exist_ok=True)
    file = os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    file.write(head)
    return file


def finish(file: IO[bytes], temporary: Path, path: Path) -> None:
    """It is complete: it takes the place of ``path``."""
    file.flush()
    os.fsync(file.fileno())
    os.replace(temporary, path)
    with contextlib.suppress(OSError):  # not every file system lets a directory be synced
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def give_up(temporary: Path) -> None:
    """It cannot be completed; the old one stays."""
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
