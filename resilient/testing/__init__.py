"""For the tests of programs that use us: a runtime without a network, faults on demand, a clock by hand.

Nothing here touches production code: see docs/testing.md for recipes. The pytest fixtures
``resilient_runtime`` and ``resilient_clock`` are in ``pytest_resilient``, which pytest finds by itself.
"""

from ..clock import ManualClock
from .local import LocalRuntime, runtime
from .outcomes import StandIn, failing, opened, replaced
from .script import Call, Step, answer, delay, drip, hang, ok, refuse, reset
from .server import Flaky, flaky

__all__ = [
    "Call",
    "Flaky",
    "LocalRuntime",
    "ManualClock",
    "StandIn",
    "Step",
    "answer",
    "delay",
    "drip",
    "failing",
    "flaky",
    "hang",
    "ok",
    "opened",
    "refuse",
    "replaced",
    "reset",
    "runtime",
]
