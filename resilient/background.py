"""An event loop on a thread of its own, for programs without one.

The thread is a daemon: it never keeps a process alive. What must still happen at the end (signing
out) is registered with `BackgroundLoop.on_stop` and gets at most two seconds.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
Closer = Callable[[], Awaitable[object]]

#: How long the end of a process may be held up, in seconds.
PATIENCE = 2.0

_log = logging.getLogger("resilient.background")

# Loops of a parent process, seen from a forked child. They share the parent's epoll, so a child that
# closed or collected one would deafen the parent: they are kept and never touched.
_abandoned: list[object] = []


class BackgroundLoop:
    """One event loop on one daemon thread, started by the first `run` and again after a `stop`."""

    def __init__(self, name: str = "resilient") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closers: list[Closer] = []
        self._pid = os.getpid()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running; starts it if need be."""
        with self._lock:
            if self._pid != os.getpid():
                self._forget()
            if self._loop is None:
                self._loop, self._thread = self._start()
            return self._loop

    @property
    def running(self) -> bool:
        """Whether the loop was started in this process and not stopped since."""
        return self._loop is not None and self._pid == os.getpid()

    def run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine there. Do not wait for the answer on the loop's own thread."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop)
        except BaseException:
            work.close()
            raise

    def call(self, func: Callable[..., T], *args: object) -> Future[T]:
        """Call a plain function there; it must not wait."""

        async def once() -> T:
            return func(*args)

        return self.run(once())

    def on_stop(self, closer: Closer) -> Callable[[], None]:
        """Await ``closer()`` on the loop before it stops. Returns the way to leave."""
        self._closers.append(closer)

        def leave() -> None:
            if closer in self._closers:
                self._closers.remove(closer)

        return leave

    def stop(self, timeout: float = PATIENCE) -> None:
        """Run the closers, cancel what is left, end the thread; within ``timeout`` seconds in all.

        Does nothing if the loop is not running here. From the loop's own thread it only asks for it.
        """
        with self._lock:
            loop, thread = self._loop, self._thread
            closers, self._closers = self._closers, []
            self._loop = self._thread = None
            if loop is None or thread is None or self._pid != os.getpid():
                if loop is not None:
                    _abandoned.append((loop, thread))
                return
        try:
            asyncio.run_coroutine_threadsafe(_finish(closers, timeout * 0.9), loop)
        except RuntimeError:  # the loop has ended by itself
            return
        if thread is not threading.current_thread():
            thread.join(timeout)

    def _start(self) -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_serve, args=(loop,), name=f"{self._name}-loop", daemon=True)
        thread.start()
        return loop, thread

    def _forget(self) -> None:
        if self._loop is not None:
            _abandoned.append((self._loop, self._thread))
        self._loop = self._thread = None
        self._closers = []
        self._pid = os.getpid()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _finish(closers: list[Closer], seconds: float) -> None:
    """Last thing on the loop: closers, then everything else cancelled, then the end."""
    loop = asyncio.get_running_loop()
    try:
        if closers:
            ends = [asyncio.ensure_future(_shielded(closer)) for closer in closers]
            await asyncio.wait(ends, timeout=seconds * 0.8)
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=seconds * 0.2)
        await loop.shutdown_asyncgens()
    finally:
        loop.stop()


async def _shielded(closer: Closer) -> None:
    try:
        await closer()
    except Exception:
        _log.exception("closing %r failed", closer)


_shared: BackgroundLoop | None = None
_shared_lock = threading.Lock()


def shared() -> BackgroundLoop:
    """The process's own background loop; a forked child gets a new one."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = BackgroundLoop()
        return _shared


def _at_exit() -> None:
    if _shared is not None:
        _shared.stop()


def _after_fork() -> None:
    global _shared, _shared_lock
    _shared_lock = threading.Lock()  # whoever held it in the parent is not here to release it
    if _shared is not None:
        _abandoned.append(_shared)
    _shared = None


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


async def off_loop(func: Callable[..., T], *args: object) -> T:
    """Run a blocking function on a daemon thread and await its answer.

    Unlike ``asyncio.to_thread`` a call that hangs does not hold up the end of the process, and it
    works while the interpreter shuts down, when the usual pool refuses work.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if answer.done():  # nobody waits any more
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        try:
            outcome: tuple[T | None, BaseException | None] = (func(*args), None)
        except BaseException as error:
            outcome = (None, error)
        try:
            loop.call_soon_threadsafe(tell, *outcome)
        except RuntimeError:  # the loop has closed meanwhile
            pass

    thread = threading.Thread(target=work, name="resilient-work", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter starts no more threads: wait for it here
        return func(*args)
    return await answer
