from __future__ import annotations

from collections.abc import Iterator

import pytest
from hostile_kit import HostileRegistry, hostile_registry


@pytest.fixture(scope="session")
def shared_registry() -> Iterator[HostileRegistry]:
    """One registry process for all, and nothing lost when all is over."""
    with hostile_registry() as running:
        yield running
        running.check()


@pytest.fixture
def registry(shared_registry: HostileRegistry) -> Iterator[HostileRegistry]:
    """A registry in which some are registered, who are still there when the test is over."""
    yield shared_registry
    shared_registry.glance()
