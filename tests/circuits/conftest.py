from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from circuit_kit import KINDS, Service, Still, WildClock

from resilient import Runtime
from resilient.events import CircuitChanged


@pytest.fixture
def clock() -> WildClock:
    return WildClock()


@pytest.fixture(autouse=True)
def runtime(clock: WildClock) -> Iterator[Runtime]:
    with Runtime(clock=clock, rng=Still()).active() as runtime:
        yield runtime


@pytest.fixture
def turns(runtime: Runtime) -> list[tuple[str, str]]:
    """Every turn of every circuit, as (old, new)."""
    seen: list[tuple[str, str]] = []
    runtime.events.subscribe(lambda event: seen.append((event.old, event.new)), CircuitChanged)
    return seen


@pytest.fixture(params=KINDS)
def serve(request: pytest.FixtureRequest, runtime: Runtime) -> Iterator[Callable[..., Service]]:
    """Make services: each test that asks runs once with plain functions and once with coroutines."""
    with asyncio.Runner() as runner:
        runner.get_loop()

        def make(**options: Any) -> Service:
            return Service(request.param, runner, **options)

        yield make
