"""Spring Cloud's Eureka client and load balancer against a real registry process, and Python services."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from interop_kit import JavaProgram, Program, closed_registry, http, java_client, py_caller, py_service, soon
from process_kit import get_json, registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300, func_only=True), pytest.mark.usefixtures("java")]


def _listening(service: Program) -> str:
    return service.line(lambda line: "listens on" in line).rsplit(" ", 1)[1]


def _call(client: JavaProgram, service: str, path: str) -> tuple[int, str]:
    """What Spring's load balancer got from a service, called by name."""
    status, _, body = http("GET", f"{client.root}/call?service={service}&path={path}")
    return status, body.decode()


@dataclass
class Load:
    """Calls by name through Java, without a pause: when each was answered, with what."""

    client: JavaProgram
    service: str
    calls: list[tuple[float, int, str]] = field(default_factory=list)

    @contextmanager
    def on(self) -> Iterator[Load]:
        ended = threading.Event()

        def run() -> None:
            while not ended.is_set():
                began = time.monotonic()
                status, body = _call(self.client, self.service, "/load")
                self.calls.append((began, status, body))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join(20)

    def pids(self, since: float = 0.0) -> set[int]:
        return {json.loads(body)["pid"] for at, status, body in self.calls if status == 200 and at >= since}

    def failures(self) -> list[str]:
        return [body for _, status, body in self.calls if status != 200]


@pytest.mark.parametrize(
    ("netflix", "transport"), [("false", "RestClient"), ("true", "Jersey3")], ids=["spring", "netflix"]
)
def test_registers_renews_returns_and_signs_out(netflix: str, transport: str) -> None:
    with registry() as reg, java_client(reg.url, eureka__client__jersey__enabled=netflix) as client:
        client.started()
        assert get_json(f"{client.root}/transport") == {"transport": f"{transport}TransportClientFactories"}
        listed = soon(lambda: reg.services().get("java-billing"))
        assert [one["url"] for one in listed] == [client.root]
        soon(lambda: [one["status"] for one in reg.services()["java-billing"]] == ["UP"])

        time.sleep(2.5)
        assert reg.services()["java-billing"][0]["renewed_ago"] < 1.8
        assert len(reg.services()["java-billing"]) == 1

        assert not [line for line in client.said if "Exception" in line], client.said

        # Killed and back, empty: the heartbeat's 404 has no body, so the client sees it and registers again.
        reg.kill()
        reg.restart()
        assert "java-billing" not in reg.services()
        soon(lambda: reg.urls("java-billing") == [client.root])
        # Nobody else is there, yet the client found its own entry again in what it read.
        soon(lambda: "java-billing" in get_json(f"{client.root}/known"))

        client.end(30)
        assert "java-billing" not in reg.services()


def test_calls_two_python_copies_and_no_longer_the_one_that_was_stopped() -> None:
    # A copy serves on for twice this interval after it signed out; it must be as long as Java's own is.
    callers = {"RESILIENT_FETCH_INTERVAL": "2"}
    with (
        registry() as reg,
        py_service(reg.url, "orders", **callers) as first,
        py_service(reg.url, "orders", **callers) as second,
        java_client(reg.url) as client,
    ):
        urls = {_listening(first), _listening(second)}
        client.started()
        soon(lambda: set(get_json(f"{client.root}/known").get("orders", [])) == urls)

        answers = [_call(client, "orders", "/orders/7") for _ in range(20)]
        assert {status for status, _ in answers} == {200}, answers
        assert {json.loads(body)["pid"] for _, body in answers} == {first.popen.pid, second.popen.pid}
        assert {json.loads(body)["path"] for _, body in answers} == {"/orders/7"}

        # One is stopped under load. It serves on until callers have noticed, so that nobody fails.
        with Load(client, "orders").on() as load:
            soon(lambda: len(load.calls) > 20)
            first.popen.terminate()
            soon(lambda: len(get_json(f"{client.root}/known")["orders"]) == 1, 10)
            known = time.monotonic()
            first.popen.wait(20)
            gone = time.monotonic()
            soon(lambda: len([at for at, _, _ in load.calls if at > gone]) > 50)
        assert first.popen.returncode == 0
        assert load.pids() == {first.popen.pid, second.popen.pid}
        assert load.pids(since=known) == {second.popen.pid}
        assert load.failures() == []


@pytest.mark.parametrize("netflix", ["false", "true"], ids=["spring", "netflix"])
def test_python_calls_it_by_name_where_a_token_is_needed(netflix: str) -> None:
    """The token is the password in the registry's URL, as Eureka clients of all languages know it."""
    with (
        closed_registry("a-token-of-some-length") as url,
        java_client(url, eureka__client__jersey__enabled=netflix) as client,
        py_caller(url) as caller,
    ):
        client.started()
        caller.answer("ready")
        listed = [{"url": client.root, "status": "UP"}]
        soon(lambda: caller.ask("known")["services"].get("java-billing") == listed)
        answer = caller.ask("call java-billing /hello")
        assert answer["status"] == 200
        assert json.loads(answer["body"]) == {"from": "java"}
        soon(lambda: get_json(f"{client.root}/known") == {"java-billing": [client.root]})

        client.end(30)
        soon(lambda: "java-billing" not in caller.ask("known")["services"])
