"""What type checkers make of the front door."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_mypy_agrees_with_every_line_of_the_api_file(tmp_path: Path) -> None:
    """Errors that are meant are marked; a mark that is not needed is an error too."""
    # The package itself is checked by `make check`; here only what users see of it.
    config = tmp_path / "mypy.ini"
    config.write_text(
        "[mypy]\nstrict = true\nwarn_unused_ignores = true\nfollow_imports = silent\n"
        f"cache_dir = {tmp_path / 'cache'}\n"
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(config),
        *map(str, sorted((HERE / "typing").glob("*.py"))),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parent, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_is_marked_as_typed() -> None:
    assert (HERE.parent / "resilient" / "py.typed").exists()
