"""For all tests: the kit can be imported, and no setting of this machine leaks in."""

import logging
import os
import sys
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

sys.path.insert(0, str(Path(__file__).parent))

for name in list(os.environ):
    # Those who run tests side by side set the width of a terminal, where there is none.
    if name.startswith(("RESILIENT_", "EUREKA_")) or name in ("COLUMNS", "LINES"):
        del os.environ[name]


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """What a program configures in one test (levels, structlog) is not the next one's."""
    ours = logging.getLogger("resilient")
    level, root_level = ours.level, logging.getLogger().level
    yield
    ours.setLevel(level)
    logging.getLogger().setLevel(root_level)
    if "structlog" in sys.modules:
        sys.modules["structlog"].reset_defaults()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes name no test: what gzip packs differs each second, and two processes must agree on the names."""
    return argname if isinstance(val, bytes) else None
