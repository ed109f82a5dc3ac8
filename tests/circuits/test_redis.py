"""pybreaker's own Redis storage, on a real server that two processes share."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pybreaker
import pytest
from circuit_kit import Boom

from resilient import CircuitOpen, Runtime, circuit
from resilient.circuits.storage import CachedStorage

redis = pytest.importorskip("redis", reason="the package 'redis' is not installed (make setup)")
from redis.backoff import NoBackoff  # noqa: E402
from redis.retry import Retry  # noqa: E402

SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server here (apt-get install redis-server)")


@contextlib.contextmanager
def running(where: Path) -> Iterator[str]:
    """A server of our own, on a socket file: no port, nothing on disk, gone with the tests."""
    socket = str(where / "r.sock")
    assert SERVER is not None
    command = [SERVER, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=where)
    try:
        client = connected(socket)
        for _ in range(500):
            try:
                client.ping()
                break
            except redis.exceptions.ConnectionError:
                assert server.poll() is None, "redis-server ended"
                time.sleep(0.01)
        else:
            pytest.fail("redis-server does not answer")
        client.close()
        yield socket
    finally:
        server.terminate()
        server.wait(10)


def connected(socket: str) -> Any:
    return redis.Redis(unix_socket_path=socket, retry=Retry(NoBackoff(), 0))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("redis")) as socket:
        yield socket


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    client = connected(address)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Runtime]:
    with Runtime().active() as runtime:  # the real clock: pybreaker stamps this storage itself
        yield runtime


CHILD = """
import json, sys
import pybreaker, redis
from resilient import CircuitOpen, circuit
from resilient.circuits.storage import CachedStorage

storage = pybreaker.CircuitRedisStorage("closed", redis.Redis(unix_socket_path=sys.argv[1]), namespace="pay")

@circuit("pay", storage=CachedStorage(storage, fresh_for=0.01), fail_max=3, reset_timeout=float(sys.argv[2]),
         reset_jitter=0)
def pay(good):
    if not good:
        raise OSError("down")
    return "paid"

for line in sys.stdin:
    try:
        said = pay(line.strip() == "good")
    except (OSError, CircuitOpen) as error:
        said = type(error).__name__
    print(json.dumps([said, pay.state]), flush=True)
"""


class Other:
    """The same circuit in another process."""

    def __init__(self, address: str, reset_timeout: float) -> None:
        command = [sys.executable, "-c", CHILD, address, str(reset_timeout)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self, word: str) -> tuple[str, str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        said, state = json.loads(self._process.stdout.readline())
        return said, state

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def other(address: str, client: Any) -> Iterator[Any]:
    made: list[Other] = []

    def make(reset_timeout: float) -> Other:
        made.append(Other(address, reset_timeout))
        return made[-1]

    yield make
    for one in made:
        one.end()


def ours(client: Any, reset_timeout: float, fresh_for: float = 0.01) -> Any:
    storage = pybreaker.CircuitRedisStorage("closed", client, namespace="pay")

    @circuit(
        "pay",
        storage=CachedStorage(storage, fresh_for=fresh_for),
        fail_max=3,
        reset_timeout=reset_timeout,
        reset_jitter=0,
    )
    def pay(good: bool) -> str:
        if not good:
            raise Boom
        return "paid"

    return pay


def test_two_processes_share_one_state(client, other):
    there, here = other(60), ours(client, 60)
    assert there.call("good") == ("paid", "closed")
    assert here(True) == "paid"
    for n in range(3):
        assert there.call("bad") == ("OSError", "open" if n == 2 else "closed")
    time.sleep(0.02)
    with pytest.raises(CircuitOpen) as refused:
        here(True)
    assert 55 < refused.value.retry_after <= 60
    here.close()
    time.sleep(0.02)
    assert there.call("good") == ("paid", "closed")


def test_a_row_of_failures_is_counted_together(client, other):
    there, here = other(60), ours(client, 60)
    assert there.call("bad") == ("OSError", "closed")
    assert there.call("bad") == ("OSError", "closed")
    time.sleep(0.02)
    with pytest.raises(Boom):
        here(False)
    assert here.state == "open"
    time.sleep(0.02)
    assert there.call("good")[0] == "CircuitOpen"


def test_whoever_comes_first_makes_the_trial(client, other):
    there, here = other(2), ours(client, 2)
    assert there.call("good") == ("paid", "closed")  # it has started: that may take as long as two seconds
    here.open()
    time.sleep(0.02)
    assert there.call("good") == ("CircuitOpen", "open")
    deadline = time.monotonic() + 10
    while there.call("good")[0] != "paid":  # this storage keeps whole seconds
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.02)
    assert here.state == "closed"
    assert here(True) == "paid"


def test_a_server_that_goes_does_not_stop_calls(tmp_path):
    with running(tmp_path) as socket:
        here = ours(connected(socket), 60)
        assert here(True) == "paid"
    assert here(True) == "paid"
    with pytest.raises(Boom):
        here(False)
    assert here.snapshot().counts["success"] == 2


def commands(client: Any) -> int:
    return int(client.info("stats")["total_commands_processed"])


def test_cached_a_call_does_not_wait_for_the_server(client):
    here = ours(client, 60, fresh_for=3600)
    here(True)
    start = commands(client)
    asking = commands(client) - start
    for _ in range(1000):
        here(True)
    assert commands(client) - start - 2 * asking == 0
    with pytest.raises(Boom):
        here(False)
    assert commands(client) - start - 3 * asking <= 3  # one more failure, and what it makes the count now
    here.open()
    start = commands(client)
    for _ in range(1000):
        with pytest.raises(CircuitOpen):
            here(True)
    assert commands(client) - start - asking <= 2


def test_without_the_cache_each_call_asks(client):
    @circuit("bare", storage=pybreaker.CircuitRedisStorage("closed", client, namespace="bare"))
    def bare() -> int:
        return 1

    bare()
    start = commands(client)
    for _ in range(100):
        bare()
    assert commands(client) - start >= 100
