"""The registry's snapshot on disk: read before the first answer, written when something changed.

Only encoding happens on the event loop, some hundred records at a time; to deflate, write and wait for the
disk is a thread's work. A disk that is full or hangs leaves the old file as it was, and the registry alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
from collections.abc import Generator
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import IO

from . import replacing, snapshots
from .records import Record
from .registry import Registry
from .slices import sliced

_log = logging.getLogger("resilient.registry")

#: Seconds from one snapshot to the next: for a small registry; a large one spends a share of its time.
SOONEST = 1.0
LATEST = 30.0
SHARE = 0.01
#: Seconds a stopping registry waits for its last snapshot.
LAST = 10.0


class Keeper:
    """Keeps a registry's snapshot in the file ``path``."""

    def __init__(self, registry: Registry, path: str | Path) -> None:
        self._registry = registry
        self._path = Path(path)
        self._saved = -1
        self._took = 0.0
        self._task: asyncio.Task[None] | None = None
        self._saving = asyncio.Lock()
        #: Why the last snapshot could not be written; "" if it could.
        self.problem = ""
        #: Wall time of the last one that was written, or None.
        self.written_at: float | None = None

    # --- reading

    async def load(self) -> int:
        """Take what the file holds, and say how much that was. Never raises for what is on the disk."""
        began = perf_counter()
        try:
            data = await asyncio.to_thread(self._path.read_bytes)
        except FileNotFoundError:
            self._saved = self._registry.table.version
            return 0
        except OSError as error:
            _log.error("the snapshot %s cannot be read, so the directory is empty: %s", self._path, error)
            return 0
        # All of it is to stay: the collector would look at it again and again while it grows.
        collecting = gc.isenabled()
        gc.disable()
        try:
            found = await sliced(snapshots.read(data))
            taken = await sliced(self._taking(found.records))
        finally:
            if collecting:
                gc.enable()
        if found.damage:
            aside = self._path.with_name(self._path.name + ".damaged")
            with contextlib.suppress(OSError):
                os.replace(self._path, aside)
            _log.error(
                "the snapshot %s is damaged (%s): %d instances were read from it, and it was put aside as %s",
                self._path,
                found.damage,
                taken,
                aside,
            )
        else:
            self._saved = self._registry.table.version
            _log.info("%d instances were read from the snapshot in %.1fs", taken, perf_counter() - began)
        return taken

    def _taking(self, records: list[Record]) -> Generator[None, None, int]:
        taken = 0
        for at in range(0, len(records), snapshots.ROWS):
            taken += self._registry.restore(records[at : at + snapshots.ROWS])
            yield
        return taken

    # --- writing

    def start(self) -> None:
        """Write from now on, whenever something changed and it is time."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="registry snapshots")

    async def stop(self) -> None:
        """Write the last one. Harmless when called twice."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        try:
            async with asyncio.timeout(LAST):
                await self.save()
        except TimeoutError:
            _log.error("the last snapshot was not written in %gs, and is given up", LAST)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(min(max(SOONEST, self._took / SHARE), LATEST))
            await self.save()

    async def save(self) -> bool:
        """Write a snapshot if anything changed since the last one. False, and a word in the log, if that
        does not work."""
        async with self._saving:
            table = self._registry.table
            version = table.version
            if version == self._saved:
                return True
            began = perf_counter()
            temporary = replacing.beside(self._path)
            try:
                await self._write(temporary)
            except OSError as error:
                replacing.give_up(temporary)
                if not self.problem:
                    _log.error("the snapshot %s cannot be written: %s", self._path, error)
                self.problem = error.strerror or str(error)
                return False
            if self.problem:
                _log.warning("the snapshot %s can be written again", self._path)
            self.problem = ""
            self._saved = version
            self._took = perf_counter() - began
            self.written_at = self._registry.clock.time()
            return True

    async def _write(self, temporary: Path) -> None:
        table = self._registry.table
        header = {"instances": len(table), "at": self._registry.clock.time()}
        file = await asyncio.to_thread(replacing.opened, temporary, snapshots.head(header))
        try:
            for service in list(table.services()):
                leases = iter(list(table.leases(service).values()))
                while some := list(islice(leases, snapshots.ROWS)):
                    content = snapshots.rows(lease.record for lease in some)
                    await asyncio.to_thread(_add, file, content)
            await asyncio.to_thread(_finish, file, temporary, self._path)
        finally:
            file.close()


def _add(file: IO[bytes], content: bytes) -> None:
    file.write(snapshots.block(content))


def _finish(file: IO[bytes], temporary: Path, path: Path) -> None:
    file.write(snapshots.END)
    replacing.finish(file, temporary, path)
