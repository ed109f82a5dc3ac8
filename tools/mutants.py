"""Do the tests notice? Each listed edit breaks one line; its named test must fail. `make mutants`

Every edit is made in a copy of the package, one at a time, and only its own test runs. What survives is
printed, and the exit status is 1. Words after the command pick edits by file: `tools/mutants.py judge`.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIST = Path(__file__).with_suffix(".txt")
COPIED = ("resilient", "tests/circuits", "tests/balancing", "tests/conftest.py", "pyproject.toml")
PATIENCE = 90  # seconds for one test; a mutant that hangs has been noticed too


@dataclass(frozen=True)
class Mutant:
    """In ``resilient/<file>`` the text ``was``, which stands there once, becomes ``now``."""

    file: str
    test: str
    was: str
    now: str

    @property
    def name(self) -> str:
        return f"{self.file}: {' '.join(self.was.split())}  ->  {' '.join(self.now.split()) or 'nothing'}"

    def apply(self, source: str) -> str:
        """The source with the edit. ValueError if the text is not there exactly once."""
        if source.count(self.was) != 1:
            raise ValueError(f"{self.file}: {self.was!r} stands there {source.count(self.was)} times")
        return source.replace(self.was, self.now)


def listed() -> list[Mutant]:
    """All edits of ``mutants.txt``."""
    blocks = LIST.read_text().split("\n\n")
    found = []
    for block in blocks:
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if lines:
            file, test = lines[0].split()
            was, now = ("\n".join(line[1:] for line in lines[1:] if line[0] == sign) for sign in "-+")
            found.append(Mutant(file, test, was, now))
    return found


def copy(to: Path) -> Path:
    """The package and its tests, without anything compiled."""
    for name in COPIED:
        source, target = ROOT / name, to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return to


def pytest(where: Path, *names: str) -> tuple[int, str]:
    """Run tests of a copy; exit status and output. 0: all passed, 1: some failed."""
    environment = {**os.environ, "PYTHONPATH": str(where), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "--tb=line", "--timeout=20", *names]
    try:
        done = subprocess.run(
            command, cwd=where, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return 1, "took too long"
    return done.returncode, done.stdout + done.stderr


def survives(where: Path, mutant: Mutant) -> str:
    """Why the edit was not noticed; empty if it was."""
    path = where / "resilient" / mutant.file
    source = path.read_text()
    path.write_text(mutant.apply(source))
    try:
        status, output = pytest(where, mutant.test)
    finally:
        path.write_text(source)
    if status == 1:
        return ""
    return "SURVIVED" if status == 0 else f"could not be tried:\n{output[-1000:]}"


def main(picked: list[str]) -> int:
    mutants = [one for one in listed() if not picked or any(word in one.file for word in picked)]
    start = time.monotonic()
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for one in mutants:
        waiting.put(one)
    bad: list[Mutant] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        first = copy(Path(folder) / "0")
        status, output = pytest(first, *sorted({one.test for one in mutants}))
        if status:
            print(f"the tests fail without any edit:\n{output[-3000:]}")
            return 1

        def work(number: int) -> None:
            where = first if number == 0 else copy(Path(folder) / str(number))
            while True:
                try:
                    mutant = waiting.get_nowait()
                except queue.Empty:
                    return
                why = survives(where, mutant)
                if why:
                    bad.append(mutant)
                print(f"{'x' if why else '.'} {mutant.name}{f'  {why}' if why else ''}", flush=True)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(min(4, os.cpu_count() or 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seconds = time.monotonic() - start
    print(f"{len(mutants)} edits, {len(bad)} not noticed, {seconds:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
