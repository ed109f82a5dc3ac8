"""One registry process for all tests of the command line."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_kit import RegistryProcess, registry

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def registry_process() -> Iterator[RegistryProcess]:
    with registry() as running:
        yield running
