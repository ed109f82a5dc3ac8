"""Every example as a newcomer runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_kit import Process, RegistryProcess, clean_environ, get_json, registry, until

EXAMPLES = Path(__file__).parents[2] / "examples"
ROOT = str(EXAMPLES.parent)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def there() -> Iterator[RegistryProcess]:
    with registry() as running:
        yield running


def example(name: str, **environ: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        env=clean_environ(**environ),
        capture_output=True,
        text=True,
        timeout=30,
    )
    # What circuits do is logged, and who is left out; nothing else is.
    usual = ("circuit_changed", "instance_ejected")
    logged = [line for line in done.stderr.splitlines() if not any(word in line for word in usual)]
    assert (done.returncode, logged) == (0, [])
    return done.stdout.splitlines()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_this_file_runs_all_there_are() -> None:
    said = Path(__file__).read_text()
    for file in EXAMPLES.glob("*.py"):
        assert f'"{file.name}"' in said or f"examples.{file.stem}:app" in said, file


def test_protected_call() -> None:
    said = example("protected_call.py")
    assert said[:5] == ["failed: prices is down"] * 5
    assert all(line.startswith("refused at once; next trial in 0.") for line in said[5:7])
    assert said[7:] == ["price: 9.5 - the trial went well, the circuit is closed"]


def test_from_pybreaker() -> None:
    assert example("from_pybreaker.py") == [
        "good -> charged",
        "declined -> CardDeclined",
        "declined -> CardDeclined",
        "down -> ConnectionError",
        "down -> ConnectionError",
        "audit: payments is open",
        "down -> ConnectionError",
        "good -> CircuitOpen",
    ]


def test_pick_database() -> None:
    assert example("pick_database.py") == [
        "writes go to primary",
        "reads were answered by replica-1 replica-2",
        "primary: healthy",
        "replica-1: healthy",
        "replica-2: healthy",
        "replica-3: ejected refused the connection",
    ]


def test_a_service_and_its_callers(there: RegistryProcess) -> None:
    with Process(sys.executable, str(EXAMPLES / "service.py"), RESILIENT_REGISTRY=there.url) as service:
        url = service.line(lambda line: "listens on" in line).split()[-1]
        until(lambda: there.urls("orders") == [url])
        orders = [str({"id": id, "item": "anvil"}) for id in range(3)]
        assert example("caller_async.py", RESILIENT_REGISTRY=there.url) == orders
        assert example("caller_sync.py", RESILIENT_REGISTRY=there.url) == orders
        service.popen.send_signal(signal.SIGINT)
        assert service.popen.wait(10) == 0
    assert there.urls("orders") == []


def children(parent: int) -> list[int]:
    """The worker processes of a server; multiprocessing's own helper is none."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            words = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        if int(stat[1]) == parent and stat[0] != "Z" and "resource_tracker" not in words:
            found.append(int(pid))
    return sorted(found)


def workers_come_and_go(there: RegistryProcess, server: Process, service: str, url: str, path: str) -> None:
    """Two workers are one instance; one is killed and nobody notices; all end, and it leaves."""

    def answers() -> object:
        # A connection that the killed worker had accepted dies with it: that one call may fail.
        return json.load(urllib.request.urlopen(url + path, timeout=2))

    assert until(lambda: there.urls(service)) == [url]
    two = until(lambda: (found := children(server.popen.pid)) and len(found) == 2 and found)
    assert until(answers)
    os.kill(two[0], signal.SIGKILL)
    until(lambda: two[0] not in children(server.popen.pid))
    for _ in range(10):
        assert there.urls(service) == [url]
        assert until(answers, 5)
    # The server replaces it, and the new one joins the same instance.
    until(lambda: len(children(server.popen.pid)) == 2)
    assert until(answers)
    assert there.urls(service) == [url]
    assert server.end() == 0
    assert there.urls(service) == []


def test_uvicorn_with_workers(there: RegistryProcess) -> None:
    port = free_port()
    with Process(
        sys.executable, "-m", "uvicorn", "examples.asgi_service:app", "--app-dir", ROOT,
        "--workers", "2", "--port", str(port), RESILIENT_REGISTRY=there.url,
    ) as server:  # fmt: skip
        workers_come_and_go(there, server, "billing", f"http://127.0.0.1:{port}", "/bills/3")


@pytest.mark.parametrize("more", [[], ["--preload"]])
def test_gunicorn_with_workers(there: RegistryProcess, more: list[str]) -> None:
    port = free_port()
    with Process(
        sys.executable, "-m", "gunicorn", "examples.gunicorn_service:app", "--chdir", ROOT, *more,
        "-k", "aiohttp.GunicornWebWorker", "--workers", "2", "-b", f"127.0.0.1:{port}",
        "--no-control-socket", RESILIENT_REGISTRY=there.url,
    ) as server:  # fmt: skip
        workers_come_and_go(there, server, "stock", f"http://127.0.0.1:{port}", "/stock/anvil")


def test_a_service_without_a_registry_serves_all_the_same() -> None:
    with Process(
        sys.executable, str(EXAMPLES / "service.py"), RESILIENT_REGISTRY="http://127.0.0.1:1/eureka/"
    ) as service:
        url = service.line(lambda line: "listens on" in line).split()[-1]
        assert get_json(f"{url}/orders/7") == {"id": 7, "item": "anvil"}
