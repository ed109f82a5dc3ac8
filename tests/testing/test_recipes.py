"""The recipes of docs/testing.md, as a reader would run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from process_kit import clean_environ

DOCS = Path(__file__).parents[2] / "docs" / "testing.md"


def run(where: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """pytest in a directory that knows nothing of this project."""
    (where / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", "-q", *options]
    return subprocess.run(
        command, cwd=where, env=clean_environ(**environ), capture_output=True, text=True, timeout=60
    )


def test_all_recipes_run(tmp_path: Path) -> None:
    recipes = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(recipes) == 5
    for number, text in enumerate(recipes, 1):
        assert "def test_" in text
        (tmp_path / f"test_recipe_{number}.py").write_text(text)
    done = run(tmp_path)
    assert "5 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_a_run_that_asks_for_nothing_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    assert 'pytest_resilient' in sys.modules\n"
        "    assert [name for name in sys.modules if name.split('.')[0] == 'resilient'] == []\n"
    )
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_with_everything_switched_off(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "from resilient import ConfigError, circuit\n"
        "from resilient.testing import failing, opened, replaced\n"
        "@circuit(default=0)\n"
        "def price(): return 9\n"
        "def test_it():\n"
        "    with failing(price, KeyError('gone')):\n"
        "        with pytest.raises(KeyError): price()\n"
        "    with replaced(price, lambda: 1): assert price() == 1\n"
        "    assert price() == 9\n"
        "    with pytest.raises(ConfigError, match='RESILIENT_ENABLED=0'):\n"
        "        with opened(price): pass\n"
    )
    done = run(tmp_path, RESILIENT_ENABLED="0")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_plugin_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(resilient_runtime): pass\n")
    assert "fixture 'resilient_runtime' not found" in run(tmp_path, "-p", "no:resilient").stdout
