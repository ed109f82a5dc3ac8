"""Real processes for tests: a registry, services, callers. All of them end with the test."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def clean_environ(**more: str) -> dict[str, str]:
    """The environment without any setting of ours, but for ``more``."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RESILIENT_", "EUREKA_"))}
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


class Process:
    """One child process whose output lines can be awaited."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self.popen = subprocess.Popen(
            arguments,
            env=clean_environ(**environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.said.append(line)
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self, wanted: Callable[[str], bool] = lambda line: True, timeout: float = 60.0) -> str:
        """The next line for which ``wanted`` holds; fails with all that was said if none comes."""
        end = time.monotonic() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"{self.popen.args} did not say it; it said:\n{''.join(self.said)}")
            if wanted(line):
                return line

    def tell(self, text: str) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(text + "\n")
        self.popen.stdin.flush()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(10)

    def end(self, timeout: float = 15.0) -> int:
        """SIGTERM, and the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(timeout)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(10)
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                stream.close()


class RegistryProcess:
    """``resilient registry`` as a process that can be killed and started again on its port."""

    def __init__(self) -> None:
        self.process: Process | None = None
        self.url = ""
        self._start(0)

    def _start(self, port: int) -> None:
        self.process = Process(sys.executable, "-m", "resilient", "registry", "--port", str(port), "--json")
        line = self.process.line(lambda line: line.startswith('{"url"'))
        self.url = json.loads(line)["url"]

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    @property
    def root(self) -> str:
        return self.url.split("/eureka")[0]

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.__exit__()

    def restart(self) -> None:
        self._start(self.port)

    def services(self) -> dict[str, list[dict[str, Any]]]:
        """What is listed, by service name."""
        listed = get_json(f"{self.root}/resilient/v1/services")
        return {one["name"]: one["instances"] for one in listed}

    def urls(self, service: str) -> list[str]:
        return [one["url"] for one in self.services().get(service, [])]


def get_json(url: str, timeout: float = 5.0) -> Any:
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return json.load(answer)


@contextmanager
def registry() -> Iterator[RegistryProcess]:
    running = RegistryProcess()
    try:
        yield running
    finally:
        if running.process is not None:
            running.process.__exit__()


def until(there: Callable[[], Any], timeout: float = 15.0, every: float = 0.1) -> Any:
    """What ``there`` answers as soon as it is true; fails after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while True:
        try:
            found = there()
        except (urllib.error.URLError, OSError):
            found = None
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {there}")
        time.sleep(every)
