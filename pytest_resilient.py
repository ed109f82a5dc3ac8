"""Fixtures for pytest, which finds this file by itself: ``resilient_runtime`` and ``resilient_clock``.

It stands beside the package and not in it, because every run of pytest imports it, and importing the
package for runs that never ask for it would hold each of them up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from resilient.testing import LocalRuntime, ManualClock


@pytest.fixture
def resilient_runtime(request: pytest.FixtureRequest) -> Iterator[LocalRuntime]:
    """A fresh runtime for this test, in all of its threads: no registry, no services, no circuits yet.

    ``resilient_runtime.announce(orders=[url, ...])`` lists instances. A test that asks for
    ``resilient_clock`` too gets one whose time stands still.
    """
    from resilient.testing import ManualClock, runtime

    by_hand = "resilient_clock" in request.fixturenames
    with (runtime(clock=ManualClock()) if by_hand else runtime()).everywhere() as made:
        yield made


@pytest.fixture
def resilient_clock(resilient_runtime: LocalRuntime) -> ManualClock:
    """The clock of this test's runtime, which stands still until ``resilient_clock.advance(seconds)``.

    Deadlines of calls stand still with it.
    """
    from resilient.testing import ManualClock

    clock = resilient_runtime.clock
    if not isinstance(clock, ManualClock):
        pytest.fail(
            "ask for resilient_clock among the test's arguments: too late now, its runtime has the real clock"
        )
    return clock
