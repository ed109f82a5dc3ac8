"""Foreign programs for the interoperability tests: what they need, how they are built and started.

``INTEROP=full`` (what ``make test-interop`` sets) installs and builds what is missing and runs everything.
Without it only what starts in seconds and is installed already is run; the rest is skipped, with the reason.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from process_kit import Process, until

FULL = os.environ.get("INTEROP") == "full"
HERE = Path(__file__).parent
JAVA = HERE / "java"
JS = HERE / "js"
#: Starting several of them on two busy cores takes a while.
JAVA_START = 120.0

_SMALL = ("-Xmx192m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


# ---- what is there, and why not


@functools.cache
def java_missing() -> str:
    """Why no Java program can be run, or ``""``. Builds both of them if need be."""
    if not FULL:
        return "Java programs run with INTEROP=full only (make test-interop)"
    java = shutil.which("java")
    if java is None:
        return "no java on the PATH: install a JDK, 17 or later"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < 17:
        return f"java is too old, Spring Boot needs 17: {said.splitlines()[0] if said else 'it says nothing'}"
    if _built():
        return ""
    maven = shutil.which("mvn")
    if maven is None:
        return "no mvn on the PATH: install Maven, 3.8 or later"
    done = None
    for options in (["-o"], []):  # what was fetched before needs no network
        command = [maven, "-q", "-B", *options, "package"]
        try:
            done = subprocess.run(command, cwd=JAVA, capture_output=True, text=True, timeout=900)
        except subprocess.TimeoutExpired:
            return "mvn package did not end within 900 s"
        if done.returncode == 0:
            return ""
    assert done is not None
    wrong = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["it says nothing"]
    if "COMPILATION ERROR" in done.stdout:
        pytest.fail(done.stdout, pytrace=False)  # ours to repair: nothing is missing
    return f"mvn package failed: {wrong[0][:400]}"


def _jar(name: str) -> Path:
    return JAVA / name / "target" / f"{name}-1.jar"


def _built() -> bool:
    """Whether both programs are there and younger than all they were made of."""
    for name in ("client", "server"):
        made_of = [JAVA / "pom.xml", JAVA / name / "pom.xml", *(JAVA / name / "src").rglob("*.*")]
        if not _jar(name).exists() or _jar(name).stat().st_mtime <= max(p.stat().st_mtime for p in made_of):
            return False
    return True


@functools.cache
def js_missing() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        return "no node on the PATH: install Node.js, 18 or later"
    package = JS / "node_modules" / "eureka-js-client" / "package.json"
    if not package.exists():
        if not FULL:
            return (
                "eureka-js-client is not installed: run npm ci in tests/interop/js (make test-interop does)"
            )
        if npm is None:
            return "no npm on the PATH to install eureka-js-client with"
        done = subprocess.run([npm, "ci"], cwd=JS, capture_output=True, text=True, timeout=300)
        if done.returncode or not package.exists():
            return f"npm ci failed: {(done.stderr.strip().splitlines() or ['it says nothing'])[-1][:400]}"
    version = json.loads(package.read_text())["version"]
    return "" if version == "4.5.0" else f"eureka-js-client is {version}, not 4.5.0: run npm ci"


@pytest.fixture
def java() -> None:
    """Skips unless the Java programs can be run."""
    if why := java_missing():
        pytest.skip(why)


@pytest.fixture
def js() -> None:
    """Skips unless eureka-js-client can be run."""
    if why := js_missing():
        pytest.skip(why)


# ---- programs


def free_port() -> int:
    """A port nobody listens on; for programs that must know it before they start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program(Process):
    """A process that is told commands by line and answers each with one line of JSON."""

    def ask(self, command: str, timeout: float = 20.0) -> dict[str, Any]:
        self.tell(command)
        return self.answer(command.split()[0], timeout)

    def answer(self, did: str, timeout: float = 20.0) -> dict[str, Any]:
        return json.loads(self.line(lambda line: line.startswith(f'{{"did":"{did}"'), timeout))


def js_program(registry_port: int, app: str, *words: str) -> Program:
    return Program("node", str(JS / "program.js"), str(registry_port), app, *words)


@contextmanager
def our_registry(*options: str, port: int = 0) -> Iterator[str]:
    """``resilient registry`` with options; gives its URL."""
    command = (sys.executable, "-m", "resilient", "registry", "--port", str(port), "--json", *options)
    with Process(*command) as process:
        yield json.loads(process.line(lambda line: line.startswith('{"url"')))["url"]


@contextmanager
def closed_registry(token: str) -> Iterator[str]:
    """Our registry, open to nobody without the token; gives the URL as any Eureka client takes it."""
    with our_registry("--token", token, "--read-token", f"{token}-for-readers") as url:
        assert http("GET", f"{url}apps")[0] == 401
        yield url.replace("http://", f"http://anyone:{token}@")


def py_service(registry: str, name: str, **environ: str) -> Program:
    """A copy of a Python service; ``/whoami`` tells its process id and the path it was asked for."""
    environ = {
        "RESILIENT_FETCH_INTERVAL": "0.5",
        "RESILIENT_RENEW_EVERY": "1",
        "RESILIENT_EXPIRE_AFTER": "5",
    } | environ
    return Program(sys.executable, str(HERE / "py_service.py"), name, RESILIENT_REGISTRY=registry, **environ)


def py_caller(registry: str, **environ: str) -> Program:
    environ = {"RESILIENT_FETCH_INTERVAL": "0.5"} | environ
    return Program(sys.executable, str(HERE / "py_caller.py"), RESILIENT_REGISTRY=registry, **environ)


class JavaProgram(Process):
    """A Spring Boot program on a port of its own."""

    def __init__(self, name: str, port: int, **properties: str) -> None:
        self.port = port
        self.root = f"http://127.0.0.1:{port}"
        given = [f"--{key.replace('__', '.').replace('_', '-')}={value}" for key, value in properties.items()]
        super().__init__("java", *_SMALL, "-jar", str(_jar(name)), f"--server.port={port}", *given)

    def started(self) -> JavaProgram:
        self.line(lambda line: re.search(r": Started \w+ in ", line) is not None, JAVA_START)
        return self


def java_client(registry: str, **properties: str) -> JavaProgram:
    return JavaProgram("client", free_port(), eureka__client__service_url__defaultZone=registry, **properties)


def java_server(port: int = 0, **properties: str) -> JavaProgram:
    return JavaProgram("server", port or free_port(), **properties)


# ---- HTTP, as plain as can be


def http(
    method: str,
    url: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 10.0,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower case) and body, whatever the status is."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def eureka_apps(url: str) -> dict[str, list[dict[str, Any]]]:
    """What a Eureka server lists, by application; ``url`` is its base, ending in ``/eureka/``."""
    status, _, body = http("GET", f"{url}apps", headers={"Accept": "application/json"})
    if status != 200:
        raise OSError(f"{url}apps answered {status}")  # which waiting bears
    return {one["name"]: one["instance"] for one in json.loads(body)["applications"]["application"]}


@contextmanager
def eureka_server(port: int = 0, **properties: str) -> Iterator[JavaProgram]:
    """Netflix's server, started; ``url`` is the base to configure clients with."""
    with java_server(port, **properties) as server:
        yield server.started()


def eureka_url(server: JavaProgram) -> str:
    return f"{server.root}/eureka/"


def soon(there: Any, timeout: float = 30.0) -> Any:
    return until(there, timeout, every=0.1)
