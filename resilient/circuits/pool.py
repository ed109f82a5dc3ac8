"""Threads for plain functions, so that their callers can leave when the time is up. No queue."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ConfigError

#: Seconds after which a thread that has nothing to do ends.
KEEP = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSnapshot:
    """A pool at one moment. ``done`` and ``rejected`` count since the start."""

    name: str
    size: int
    threads: int
    active: int
    largest: int
    done: int
    rejected: int


class Pool:
    """At most ``size`` threads, made when they are needed; work that finds none free is refused at once.

    The threads are daemons: a call that never returns does not keep the process from ending.
    """

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self._number = itertools.count(1)
        self.anew()

    def anew(self) -> None:
        """Begin without threads; in a child process those of the parent do not run."""
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[Callable[[], None]]] = []
        self._threads = 0
        self._active = 0
        self._largest = 0
        self._done = 0
        self._rejected = 0

    def start(self, work: Callable[[], None]) -> bool:
        """Let a thread do it; False if all are busy. ``work`` must not raise."""
        with self._lock:
            if self._active >= self.size:
                self._rejected += 1
                return False
            self._active += 1
            self._largest = max(self._largest, self._active)
            if self._idle:
                self._idle.pop().put(work)
                return True
            self._threads += 1
        thread = threading.Thread(
            target=self._serve, args=(work,), name=f"{self.name}-{next(self._number)}", daemon=True
        )
        try:
            thread.start()
        except BaseException:
            with self._lock:
                self._threads -= 1
                self._active -= 1
            raise
        return True

    def _serve(self, work: Callable[[], None]) -> None:
        inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        while True:
            work()
            del work  # it holds the caller's arguments
            with self._lock:
                self._active -= 1
                self._done += 1
                if self._threads > self.size:
                    self._threads -= 1
                    return
                self._idle.append(inbox)
            try:
                work = inbox.get(timeout=KEEP)
            except queue.Empty:
                with self._lock:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        self._threads -= 1
                        return
                work = inbox.get()  # somebody took us at the last moment

    def snapshot(self) -> PoolSnapshot:
        """The pool as it is now."""
        with self._lock:
            return PoolSnapshot(
                name=self.name,
                size=self.size,
                threads=self._threads,
                active=self._active,
                largest=self._largest,
                done=self._done,
                rejected=self._rejected,
            )


class Pools:
    """Pools by name: circuits that name one share it."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}
        self._lock = threading.Lock()

    def get(self, name: str, size: int) -> Pool:
        """The pool of that name. Raises ConfigError if another circuit gave it another size."""
        with self._lock:
            pool = self._pools.get(name)
            if pool is None:
                pool = self._pools[name] = Pool(name, size)
            elif pool.size != size:
                raise ConfigError(
                    f"two sizes for thread pool {name!r}: {pool.size} and {size}; give all its circuits "
                    "the same pool_size"
                )
            return pool

    def snapshots(self) -> list[PoolSnapshot]:
        """All pools as they are now."""
        return [pool.snapshot() for pool in list(self._pools.values())]

    def after_fork(self) -> None:
        """In a child process: no threads, no held lock."""
        self._lock = threading.Lock()
        for pool in self._pools.values():
            pool.anew()
