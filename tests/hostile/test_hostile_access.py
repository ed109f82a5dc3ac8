"""Who may do what (S-01 to S-07, without roles), secrets (S-33), and no calls to strangers (S-40)."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hostile_kit import HostileRegistry, Line, hostile_registry, instance, registration, request
from process_kit import Process

from registry_server.app import make_app
from registry_server.settings import Settings

TOKEN = "canary-token-0123456789"
READ = "canary-read-0123456789"
#: Each route and method, with what it takes (see `registry_server.trust`).
ROUTES = {
    "GET apps": "read", "GET apps/delta": "read", "POST apps/delta": "join", "GET apps/*": "read",
    "POST apps/*": "join",
    "GET apps/*/*": "read", "PUT apps/*/*": "join", "DELETE apps/*/*": "own", "PUT apps/*/*/status": "act",
    "DELETE apps/*/*/status": "act", "PUT apps/*/*/metadata": "own", "GET instances/*": "read",
    "GET vips/*": "read",
    "GET svips/*": "read", "POST peerreplication/batch": "act", "PUT asg/*/status": "nothing",
    "GET status": "read",
    "GET serverinfo/statusoverrides": "read",
}  # fmt: skip


def listening(pid: int) -> set[str]:
    """The addresses a process listens on, in hexadecimal."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as lines:
            for line in list(lines)[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                    found.add(fields[1].split(":")[0])
    return found


def test_S01_nothing_listens_beyond_this_machine_by_default(registry: HostileRegistry) -> None:
    assert listening(registry.process.popen.pid) == {"0100007F"}


def own_address() -> str:
    """An address of this machine that is not loopback, or none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return ""


def test_S02_bound_wide_without_a_token_strangers_join_but_do_not_act() -> None:
    with hostile_registry("--host", "0.0.0.0") as registry:
        assert any("set a token" in line for line in registry.process.said)
        address = own_address()
        away = {} if address else {"X-Forwarded-For": "203.0.113.9"}
        with Line(registry.port, address or "127.0.0.1") as line:

            def ask(method: str, path: str, body: bytes = b"") -> int:
                return line.ask(request(method, "/eureka/" + path, away, body, host="10.0.0.9")).status

            assert ask("POST", "apps/FAR", registration(instance("FAR", "far"))) == 204
            assert ask("PUT", "apps/FAR/far") == 200
            assert ask("GET", "apps") == 200
            assert ask("PUT", "apps/FAR/far/status?value=DOWN") == 403
            assert ask("DELETE", "apps/FAR/far/status") == 403
            assert ask("POST", "peerreplication/batch", b'{"replicationList":[]}') == 403
            if address:
                assert ask("DELETE", "apps/KEEPER-0/keeper-0") == 403
                assert ask("PUT", "apps/KEEPER-0/keeper-0/metadata?a=b") == 403
            assert ask("DELETE", "apps/FAR/far") == 200
        registry.check()


def test_S04_every_route_has_its_line_in_the_table() -> None:
    app = make_app(Settings(port=0, ui=False))
    there = {f"{method} {path}" for path, methods in app.api._routes.items() for method in methods}
    assert there == set(ROUTES)


@pytest.mark.parametrize("header", [{}, {"Authorization": f"Bearer {READ}"}], ids=["nothing", "read token"])
def test_S04_with_a_token_no_write_goes_without_it(guarded: TokenRegistry, header: dict[str, str]) -> None:
    for route, takes in ROUTES.items():
        method, path = route.split(" ", 1)
        target = path.replace("apps/*/*", "apps/KEEPER-0/keeper-0").replace("*", "KEEPER-0")
        status = guarded.bare(method, "/eureka/" + target, header)
        expected = (200, 404) if takes == "read" and header else (400,) if takes == "nothing" else (401, 403)
        assert status in expected, (route, status)
    for path in ("services", "changes", "node", "circuits"):
        assert guarded.bare("GET", f"/resilient/v1/{path}", header) == (200 if header else 401)
    assert guarded.bare("POST", "/resilient/v1/circuits", header) in (401, 403)
    assert guarded.bare("GET", "/ui/", header) == (200 if header else 401)
    assert guarded.bare("GET", "/health/live", header) == 200


class TokenRegistry(HostileRegistry):
    """It shows its token in everything it does for itself."""

    def ask(self, method, target, headers=None, body=b""):  # type: ignore[no-untyped-def]
        return super().ask(method, target, {**(headers or {}), "Authorization": f"Bearer {TOKEN}"}, body)

    def bare(self, method: str, target: str, headers: dict[str, str]) -> int:
        return self.line.ask(request(method, target, headers)).status


@pytest.fixture(scope="module")
def guarded() -> Iterator[TokenRegistry]:
    """A registry with both tokens."""
    with TokenRegistry("--token", TOKEN, "--read-token", READ) as registry:
        yield registry
        registry.check()


@pytest.mark.parametrize(
    "header",
    [
        {"User-Agent": "Nacos-Server"}, {"DiscoveryIdentity-Name": "DefaultServer"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"x-netflix-discovery-replication": "true"}, {"X-Real-IP": "127.0.0.1"},
        {"X-Forwarded-User": "admin"},
    ],
)  # fmt: skip
def test_S05_no_header_makes_a_friend(guarded: TokenRegistry, header: dict[str, str]) -> None:
    assert guarded.bare("PUT", "/eureka/apps/KEEPER-0/keeper-0", header) == 401
    assert guarded.bare("GET", "/eureka/apps", header) == 401
    assert guarded.bare("POST", "/eureka/peerreplication/batch", header) == 401


def test_S06_a_weak_token_does_not_start() -> None:
    token = "fifteen-letters"
    with Process(sys.executable, "-m", "resilient", "registry", "--port", "0", "--token", token) as process:
        assert process.popen.wait(20) == 2
    assert not any(token in line for line in process.said)


def test_S07_guessing_is_slowed_down_and_locks_nobody_out_who_knows() -> None:
    with TokenRegistry("--token", TOKEN) as registry:
        wrong = {"Authorization": "Bearer guess-guess-guess-guess"}
        statuses = [registry.bare("PUT", "/eureka/apps/KEEPER-0/keeper-0", wrong) for _ in range(15)]
        assert statuses == [401] * 10 + [429] * 5
        # Whoever shows none is not the guesser.
        assert registry.bare("GET", "/health/live", {}) == 200


def test_S33_no_secret_is_told_to_anybody() -> None:
    secrets = (TOKEN, READ, "canary-peer")
    with TokenRegistry(
        "--token", TOKEN, "--read-token", READ, "--peers", "http://me:canary-peer@127.0.0.1:1/eureka/",
        "--peer-wait", "0",
        RESILIENT_LOG_LEVEL="DEBUG",
    ) as registry:  # fmt: skip
        told = b""
        for path in (
            "/resilient/v1/node",
            "/resilient/v1/services",
            "/eureka/status",
            "/ui/",
            "/",
            "/eureka/apps",
            "/nowhere",
        ):
            reply = registry.get(path)
            told += reply.body + json.dumps(reply.headers).encode()
        for header in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN):
            told += registry.line.ask(request("PUT", "/eureka/apps/A/b", {"Authorization": header})).body
        registry.line.ask(request("GET", "/eureka/apps", {"Cookie": "canary-token-0123456789"}))
        time.sleep(0.3)
    told += "".join(registry.process.said).encode()
    for secret in secrets:
        assert secret.encode() not in told


def test_S40_it_calls_nobody_who_registered(registry: HostileRegistry) -> None:
    with ExitStack() as stack:
        canary = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        canary.settimeout(1.5)
        port = canary.getsockname()[1]
        url = f"http://127.0.0.1:{port}/"
        tree = instance(
            "CANARY", "canary", hostName="127.0.0.1", ipAddr="127.0.0.1", port={"$": port, "@enabled": "true"}
        )
        for name in ("homePageUrl", "statusPageUrl", "healthCheckUrl", "secureHealthCheckUrl"):
            tree[name] = url
        tree["metadata"] = dict.fromkeys(
            ("hystrix.stream", "management.port", "turbine", "resilient.admin", "jmx", "url"), url
        )
        assert registry.register(tree) == 204
        push = {"service": "canary", "instance": "canary", "circuits": [{"name": "c", "target": url}]}
        assert registry.ask("POST", "/resilient/v1/circuits", None, json.dumps(push).encode()).status == 204
        for path in (
            "apps",
            "apps/CANARY/canary",
            "/ui/",
            "/resilient/v1/services",
            "/resilient/v1/circuits",
        ):
            assert registry.get(path).status == 200
        with pytest.raises(TimeoutError):
            canary.accept()
    assert registry.ask("DELETE", "apps/CANARY/canary").status == 200
