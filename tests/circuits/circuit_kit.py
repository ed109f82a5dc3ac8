"""What the circuit tests share: a service that does what it is told, and a way to run tasks by the turn."""

from __future__ import annotations

import asyncio
import contextvars
import random
import threading
from collections.abc import Callable, Iterable
from typing import Any

from resilient import circuit
from resilient.clock import ManualClock

KINDS = ("sync", "async")


class Boom(Exception):
    """What a service that is ill raises."""


class Asked(Exception):
    """What a service raises that was asked the wrong thing."""


class Reply:
    """Looks like an HTTP response."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.closed = False

    def close(self) -> None:
        self.closed = True


class WildClock(ManualClock):
    """A manual clock that can step back, as no monotonic clock should."""

    def step(self, seconds: float) -> None:
        self._monotonic += seconds


class Still(random.Random):
    """Chance that always chooses the least: circuits stay open exactly as long as they were told."""

    def random(self) -> float:
        return 0.0


class Service:
    """One function behind a circuit, plain or async; ``service(act)`` raises, calls or returns ``act``."""

    def __init__(self, kind: str, runner: asyncio.Runner, name: str = "service", **options: Any) -> None:
        self.kind = kind
        self.invoked = 0
        self.runner = runner
        handle = circuit(name, **options)
        if kind == "async":

            async def function(act: Any = 1) -> Any:
                answer = self._act(act)
                return await answer if asyncio.iscoroutine(answer) else answer

        else:

            def function(act: Any = 1) -> Any:
                return self._act(act)

        self.f = handle(function)

    def _act(self, act: Any) -> Any:
        self.invoked += 1
        if isinstance(act, BaseException):
            raise act
        return act() if callable(act) else act

    def __call__(self, act: Any = 1) -> Any:
        return self.runner.run(self.f(act)) if self.kind == "async" else self.f(act)

    def good(self, n: int = 1) -> None:
        for _ in range(n):
            assert self() == 1

    def bad(self, n: int = 1, error: BaseException | None = None) -> None:
        for _ in range(n):
            thrown = error or Boom("no")
            try:
                self(thrown)
            except type(thrown) as seen:
                assert seen is thrown
            else:
                raise AssertionError("the error did not arrive")

    @property
    def state(self) -> str:
        return self.f.state

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.f.snapshot().counts)

    @property
    def in_flight(self) -> int:
        return self.f.snapshot().in_flight

    def refused(self) -> BaseException:
        """Call; it must be refused without being invoked. Answers the error."""
        from resilient import CircuitOpen

        before = self.invoked
        try:
            self()
        except CircuitOpen as error:
            assert self.invoked == before
            return error
        raise AssertionError(f"let through while {self.state}")


class Held:
    """An async function behind a circuit whose calls end when they are told to."""

    def __init__(self, name: str = "held", **options: Any) -> None:
        self.waiting: list[asyncio.Future[Any]] = []

        @circuit(name, **options)
        async def function() -> Any:
            future = asyncio.get_running_loop().create_future()
            self.waiting.append(future)
            return await future

        self.f = function

    async def begin(self) -> tuple[asyncio.Task[Any], asyncio.Future[Any]]:
        """Start one call. Answers its task, and the future that ends it."""
        before = len(self.waiting)
        task = asyncio.create_task(self.f())
        await asyncio.sleep(0)
        if len(self.waiting) == before:
            await task  # refused: raises
        return task, self.waiting[-1]


def together(n: int, work: Callable[[], Any]) -> list[Any]:
    """Run ``work`` in ``n`` threads that start at one moment, in this runtime; answers results and errors."""
    barrier = threading.Barrier(n)
    found: list[Any] = []

    def run() -> None:
        barrier.wait()
        try:
            found.append(work())
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(run,)) for _ in range(n)]
    for thread in threads:
        thread.start()
    join(threads)
    return found


def join(threads: Iterable[threading.Thread]) -> None:
    """Wait for threads; one that does not end is a deadlock."""
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "deadlock"
