from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from door_kit import DOORS, SERVICE, SESSIONS, Door
from flaky import Flaky, Servers, servers

from resilient import Runtime


@pytest.fixture
def flaky() -> Iterator[Servers]:
    with servers() as made:
        yield made


@pytest.fixture
def estate(flaky: Servers) -> Iterator[Callable[..., tuple[Runtime, list[Flaky]]]]:
    """Start instances by their scripts and be their client: ``runtime, (a, b) = estate("reset", "ok")``."""
    active: list[Any] = []

    def start(*scripts: object, rule: Any = "first", **more: Any) -> tuple[Runtime, list[Flaky]]:
        made = [flaky.start(*(one if isinstance(one, tuple) else (one,))) for one in scripts]
        instances = {SERVICE: [one.url for one in made], **more}
        runtime = Runtime(instances=instances, rule=rule, rng=random.Random(1))
        here = runtime.active()
        here.__enter__()
        active.append(here)
        return runtime, made

    yield start
    while active:
        with contextlib.suppress(ValueError):  # begun in a coroutine's context, which is gone
            active.pop().__exit__(None, None, None)


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, estate: object) -> Door:
    """Each door there is; open it with ``with door.opened():`` once the estate has begun."""
    return Door(request.param)


@pytest.fixture(params=SESSIONS)
def session_door(request: pytest.FixtureRequest, estate: object) -> Door:
    """Each door that is a session."""
    return Door(request.param)
