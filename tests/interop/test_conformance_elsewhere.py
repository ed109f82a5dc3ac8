"""The conformance suite against Netflix's own server: what it asks of ours, the original does too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from interop_kit import eureka_server, eureka_url

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300, func_only=True), pytest.mark.usefixtures("java")]


def test_the_original_passes_in_its_own_profile() -> None:
    with eureka_server() as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "tests/conformance", "--profile", "ref"),
                *("--base-url", eureka_url(server).rstrip("/")),
            ],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if k != "INTEROP"},
            capture_output=True,
            text=True,
            timeout=240,
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 100, done.stdout[-2000:]
