"""What the retry tests share: a function under retry whose sleeps move its clock."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from resilient.clock import ManualClock
from resilient.retry import retry

KINDS = ("sync", "async")


class Longest(random.Random):
    """Draws the largest there is."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Status(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Again:
    """A function under retry that raises what it is told, then answers; with a clock that sleeping moves."""

    def __init__(self, kind: str, *script: Any, around: Any = None, **options: Any) -> None:
        self.kind = kind
        self.clock = options.setdefault("clock", ManualClock())
        self.script = list(script)
        self.calls = 0
        self.naps: list[float] = []
        self.during_nap: Any = None
        options.setdefault("rng", Longest())

        def nap(seconds: float) -> None:
            self.naps.append(seconds)
            self.clock.advance(seconds)
            if self.during_nap is not None:
                self.during_nap()

        if kind == "async":

            async def nap_async(seconds: float) -> None:
                nap(seconds)

            async def call() -> Any:
                return self._act()

            options.setdefault("sleep", nap_async)
        else:

            def call() -> Any:
                return self._act()

            options.setdefault("sleep", nap)
        name = options.pop("name", None)
        self.f: Any = retry(name, **options)(call)
        if around is not None:
            self.f = around(self.f)

    def _act(self) -> Any:
        self.calls += 1
        act = self.script.pop(0) if self.script else "fine"
        if isinstance(act, BaseException):
            raise act
        return act() if callable(act) else act

    def __call__(self) -> Any:
        return asyncio.run(self.f()) if self.kind == "async" else self.f()
