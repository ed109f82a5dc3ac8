"""What a circuit costs to have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
KIB = 1024


def measured(what: str) -> dict[str, float]:
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    done = subprocess.run(
        [sys.executable, str(HERE / "memory_program.py"), what],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(found)
    return found


def test_an_idle_circuit_and_a_busy_one():
    found = measured("living")
    assert found["idle"] <= 6 * KIB
    assert found["busy"] <= 16 * KIB
    assert found["calls"] > 8000


def test_turns_and_waiting_samples_do_not_pile_up():
    found = measured("turning")
    assert found["grown"] < 6 * KIB
    assert found["crews"] == 1
    assert found["fresh"] < 128
