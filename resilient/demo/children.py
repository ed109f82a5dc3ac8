"""Child processes that never outlive their parent, not even when it is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping


class Child:
    """One process. Its standard input is a lifeline: it leaves when our end of it closes."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.paused = False
        self._reader: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.returncode is None

    async def first_line(self, timeout: float = 30.0) -> str:
        """What it says first: the registry its URL, a service where it listens."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), timeout)
        if not line:
            raise RuntimeError(
                f"{self.name} ended before it said anything (exit {await self.process.wait()})"
            )
        self._reader = asyncio.ensure_future(self._drain())
        return line.decode().strip()

    async def _drain(self) -> None:
        assert self.process.stdout is not None
        while await self.process.stdout.readline():
            pass

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.running:
            os.kill(self.process.pid, number)
            self.paused = number == signal.SIGSTOP

    async def end(self, timeout: float = 5.0) -> None:
        """Ask it to leave; kill it if it does not."""
        if self.running:
            if self.paused:
                self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            if self.process.stdin is not None:
                self.process.stdin.close()
            try:
                await asyncio.wait_for(self.process.wait(), timeout)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)


class Children:
    """All of a parent's children."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = dict(environ)
        self.all: list[Child] = []

    async def start(self, name: str, *arguments: str, quiet: bool = True) -> Child:
        """Start ``python ARGUMENTS``; it must watch its standard input."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            env=self.environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL if quiet else None,
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        child = Child(name, process)
        self.all.append(child)
        return child

    def of(self, name: str) -> list[Child]:
        """The running children of a name."""
        return [child for child in self.all if child.name == name and child.running]

    async def end(self) -> None:
        """End them all, side by side."""
        await asyncio.gather(*(child.end() for child in self.all))
