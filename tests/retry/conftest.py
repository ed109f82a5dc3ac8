from __future__ import annotations

from collections.abc import Iterator

import pytest
from retry_kit import KINDS

from resilient import (
    Runtime,
)
from resilient.clock import ManualClock


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(autouse=True)
def runtime(clock: ManualClock) -> Iterator[Runtime]:
    with Runtime(clock=clock).active() as runtime:
        yield runtime
