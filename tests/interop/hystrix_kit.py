"""Netflix's own Hystrix and Turbine: how they are built, started and read."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interop_kit import FULL, HERE, JAVA_START
from process_kit import Process

HYSTRIX = HERE / "hystrix"
_JAR = HYSTRIX / "target" / "hystrix-1.jar"


@functools.cache
def hystrix_missing() -> str:
    """Why Netflix's programs cannot be run, or ``""``. Builds them if need be."""
    if not FULL:
        return "Netflix's Hystrix and Turbine run with INTEROP=full only (make test-interop)"
    if shutil.which("java") is None:
        return "no java on the PATH: install a JDK, 17 or later"
    made_of = [HYSTRIX / "pom.xml", *(HYSTRIX / "src").rglob("*.java")]
    if _JAR.exists() and _JAR.stat().st_mtime > max(path.stat().st_mtime for path in made_of):
        return ""
    maven = shutil.which("mvn")
    if maven is None:
        return "no mvn on the PATH: install Maven, 3.8 or later"
    said = ""
    for options in (["-o"], []):  # what was fetched before needs no network
        command = [maven, "-q", "-B", *options, "package"]
        try:
            done = subprocess.run(command, cwd=HYSTRIX, capture_output=True, text=True, timeout=900)
        except subprocess.TimeoutExpired:
            return "mvn package did not end within 900 s"
        if done.returncode == 0:
            return ""
        said = next((line for line in done.stdout.splitlines() if "ERROR" in line), "it says nothing")
    return f"mvn package failed: {said[:400]}"


class Streaming(Process):
    """A program that serves a stream and ends when its standard input does."""

    @property
    def port(self) -> int:
        if not hasattr(self, "_port"):
            self._port = json.loads(self.line(lambda line: line.startswith('{"port"'), JAVA_START))["port"]
        return int(self._port)


def netflix(*words: str) -> Streaming:
    """``hystrix``, or ``turbine`` and the ``host:port`` of those it is to add up."""
    path = f"{_JAR}:{HYSTRIX / 'target' / 'dependency'}/*"
    return Streaming("java", "-Xmx192m", "-XX:TieredStopAtLevel=1", "-cp", path, "interop.Main", *words)


def ours(how: str) -> Streaming:
    """One of our processes, ``ill`` or ``well``."""
    return Streaming(sys.executable, str(HERE / "hystrix_process.py"), how, PYTHONPATH=str(Path.cwd()))


def read_until(url: str, found: Callable[[dict[str, Any]], bool], timeout: float = 60.0) -> dict[str, Any]:
    """The first event of a stream for which ``found`` holds."""
    seen = []
    with urllib.request.urlopen(url, timeout=10) as answer:
        cut = threading.Timer(timeout, answer.close)
        cut.start()
        try:
            for line in answer:
                if line.startswith(b"data:"):
                    event = json.loads(line[5:])
                    if found(event):
                        return event
                    seen = [*seen[-4:], event]
        finally:
            cut.cancel()
    raise AssertionError(f"{url} did not say it; last: {seen}")
