"""Fixtures of the interoperability tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from interop_kit import java, js

__all__ = ["java", "js"]
