"""The commands against a real registry process, and against a server that is not ours."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
from cli_kit import Foreign, foreign, push, register, run
from process_kit import Process, RegistryProcess, clean_environ, until
from yarl import URL

TOKEN, READ_TOKEN = "a-token-of-24-characters", "only-reading-24-letters!"


def announced(process: Process) -> str:
    """What ``resilient registry --json`` says first; log lines may come before it, on the other stream."""
    return str(json.loads(process.line(lambda line: line.startswith('{"url"')))["url"])


@pytest.fixture
def url(registry_process: RegistryProcess, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RESILIENT_REGISTRY", registry_process.url)
    return registry_process.url


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A registry with tokens."""
    with Process(
        sys.executable, "-m", "resilient", "registry", "--port", "0", "--json",
        RESILIENT_REGISTRY_TOKEN=TOKEN, RESILIENT_REGISTRY_READ_TOKEN=READ_TOKEN,
    ) as process:  # fmt: skip
        yield announced(process)


@pytest.fixture
def stranger() -> Iterator[Foreign]:
    with foreign() as server:
        yield server


def test_services_and_instances(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    register(url, "listed", "listed-1", 8001, version="2.4")
    register(url, "listed", "listed-2", 8002, status="DOWN")
    said = run(capsys, "services")
    assert (said.code, said.err) == (0, "")
    assert "listed 2 ● up 1 of 2 ✕ down 1 of 2" in " ".join(said.out.split())
    assert f"{url} (RESILIENT_REGISTRY)" in said.out
    said = run(capsys, "instances", "LISTED")
    lines = said.out.splitlines()
    assert lines[0].split() == ["ID", "URL", "STATE", "ZONE", "HEARTBEAT", "METADATA"]
    assert lines[1].startswith("listed-1   http://10.0.0.7:8001   ● up ")
    assert lines[1].endswith("version=2.4")
    assert lines[2].startswith("listed-2   http://10.0.0.7:8002   ✕ down")
    assert lines[-1] == "listed: 2 copies"


def test_as_json(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    register(url, "asjson", "asjson-1", 8001, note="\x1b[31m")
    found = {one["name"]: one for one in run(capsys, "services", "--json").json}
    said = run(capsys, "instances", "asjson", "--json")
    assert "\x1b" not in said.out
    assert said.json["instances"][0]["metadata"] == {"note": "\x1b[31m"}
    assert [one["id"] for one in found["asjson"]["instances"]] == ["asjson-1"]


def test_an_unknown_service_comes_with_the_nearest_one(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    register(url, "payments", "payments-1")
    assert run(capsys, "instances", "paymets") == (
        1,
        "",
        f"resilient: no service 'paymets' at {url}; did you mean 'payments'?\n",
    )


def test_status_takes_out_and_back_in(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    id = "host/a+b?:moved:1%"
    register(url, "moved", id)

    def status() -> tuple[str, str | None]:
        one = run(capsys, "instances", "moved", "--json").json["instances"][0]
        return one["status"], one["overridden"]

    said = run(capsys, "status", "moved", id, "out-of-service")
    assert said == (0, f"moved {id} is ○ out of service\n", "")
    assert status() == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    assert "○ out of service, by hand, itself up" in run(capsys, "instances", "moved").out
    # A heartbeat does not undo it.
    path = f"{url}apps/MOVED/{urllib.request.quote(id, safe='')}?status=UP"
    urllib.request.urlopen(urllib.request.Request(path, method="PUT"), timeout=5).close()
    assert status() == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    said = run(capsys, "status", "MOVED", id, "up", "--json")
    assert said.json == {"service": "moved", "id": id, "status": "UP", "registry": url}
    assert status() == ("UP", None)


def test_status_of_nobody(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "status", "orders", "no\x1bbody", "up")
    lists = "'resilient instances orders' lists them"
    assert said == (1, "", f"resilient: no instance 'no\\x1bbody' of 'orders' at {url}; {lists}\n")


@pytest.mark.parametrize(
    "command", [["services"], ["instances", "x"], ["circuits"], ["status", "x", "y", "up"]]
)
def test_without_the_token_one_line_says_how_to_give_it(
    guarded: str, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    said = run(capsys, *command, "--registry", guarded)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"resilient: registry {guarded} refused with status 401: "
        "it wants a token; give it with --token or RESILIENT_TOKEN\n"
    )


def test_tokens(guarded: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    register(guarded, "orders", "orders-1", token=TOKEN)
    monkeypatch.setenv("RESILIENT_REGISTRY", guarded)
    change = ("status", "orders", "orders-1", "out-of-service")
    wrong = run(capsys, *change, "--token", "wrong")
    assert "does not know the token from --token; give the right one" in wrong.err
    monkeypatch.setenv("RESILIENT_TOKEN", READ_TOKEN)
    assert run(capsys, "services").code == 0
    reader = run(capsys, *change)
    assert (reader.code, reader.err.count("\n")) == (1, 1)
    assert "refused with status 403: the token from RESILIENT_TOKEN is not enough" in reader.err
    assert "--token or RESILIENT_TOKEN" in reader.err
    assert run(capsys, *change, "--token", TOKEN).code == 0
    with_url = guarded.replace("://", f"://ops:{TOKEN}@")
    monkeypatch.delenv("RESILIENT_TOKEN")
    assert run(capsys, "status", "orders", "orders-1", "up", "--registry", with_url).code == 0


def test_from_another_machine_without_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    with Process(
        sys.executable, "-m", "resilient", "registry", "--host", "0.0.0.0", "--port", "0", "--json"
    ) as process:
        port = URL(announced(process)).port
        register(f"http://{address}:{port}/eureka/", "orders", "orders-1")
        said = run(
            capsys, "status", "orders", "orders-1", "out-of-service", "--registry", f"http://{address}:{port}"
        )
    assert said.code == 1
    assert "refused with status 403: from another machine this takes a token; " in said.err
    assert "--token or RESILIENT_TOKEN" in said.err
    assert said.err.count("\n") == 1


def test_circuits(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    push(
        url,
        "front",
        {"name": "orders", "state": "closed", "rate": 3.0, "counts": {"success": 30}, "calls": 30},
        {"name": "prices", "state": "open", "retry_in": 4.0, "last_error": "ConnectError: refused"},
    )
    said = run(capsys, "circuits")
    assert (said.code, said.err) == (0, "")
    assert "front    orders    ● closed" in said.out
    assert "✕ open, trial in" in said.out
    assert "ConnectError: refused" in said.out
    found = {one["name"]: one for one in run(capsys, "circuits", "--json").json}
    assert found["prices"]["state"] == "open"


def test_watching_circuits_ends_well_with_ctrl_c(url: str) -> None:
    push(url, "front", {"name": "orders", "state": "closed"})
    with Process(sys.executable, "-m", "resilient", "circuits", "--watch", RESILIENT_REGISTRY=url) as watch:
        for _ in range(2):  # drawn again
            watch.line(lambda line: "orders" in line)
        watch.popen.send_signal(signal.SIGINT)
        assert watch.popen.wait(60) == 0
        assert not any("Traceback" in line for line in watch.said)


def test_watching_on_a_terminal_keeps_the_last_picture_when_the_registry_is_gone() -> None:
    from process_kit import registry

    with registry() as own:
        push(own.url, "front", {"name": "orders", "state": "closed"})
        outer, inner = pty.openpty()
        watch = subprocess.Popen(
            [sys.executable, "-m", "resilient", "circuits", "--watch", "--registry", own.url],
            env=clean_environ(TERM="xterm", COLUMNS="100", LINES="30"),
            stdout=inner,
            stderr=inner,
        )
        os.close(inner)
        os.set_blocking(outer, False)
        seen = b""

        def shows(what: bytes) -> bool:
            nonlocal seen
            try:
                seen += os.read(outer, 65536)
            except BlockingIOError:
                pass
            return what in seen

        try:
            until(lambda: shows(b" closed"))
            own.kill()
            until(lambda: shows(b"s old: no registry answers"))
            assert watch.poll() is None
            watch.send_signal(signal.SIGINT)
            assert watch.wait(60) == 0
            shows(b"")
            assert b"Traceback" not in seen
            assert seen.rstrip().endswith(b"\x1b[?25h")  # the cursor is back
        finally:
            watch.kill()
            watch.wait(60)
            os.close(outer)


# -------------------------------------------------------------------- another product's registry


def test_a_foreign_registry_is_read_through_eureka(
    stranger: Foreign, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run(capsys, "services", "--registry", stranger.url)
    assert said.code == 0
    assert "orders         2   ● up 1 of 2   ✕ down 1 of 2" in said.out
    said = run(capsys, "instances", "orders", "--registry", stranger.url)
    assert said.out.splitlines()[1].split() == [
        "host:orders:1", "http://host:1", "●", "up", "default", "note=\\x1b[31mred\\u202e",
    ]  # fmt: skip
    assert "HEARTBEAT" not in said.out  # nobody tells


def test_a_foreign_registry_takes_overrides(stranger: Foreign, capsys: pytest.CaptureFixture[str]) -> None:
    with_it = ("--registry", stranger.url)
    assert run(capsys, "status", "orders", "host:orders:1", "out-of-service", *with_it).code == 0
    assert stranger.statuses["host:orders:1"] == "OUT_OF_SERVICE"
    assert run(capsys, "status", "orders", "host:orders:1", "up", *with_it).code == 0
    assert [method for method, path in stranger.asked if "/status?" in path] == ["PUT", "DELETE"]
    assert stranger.statuses["host:orders:1"] == "UP"


def test_a_foreign_registry_has_no_circuits(stranger: Foreign, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "circuits", "--registry", stranger.url)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"resilient: {stranger.url} keeps no circuits, as it is not one of ours;")
    assert said.err.count("\n") == 1


def test_the_second_address_is_asked_when_the_first_is_silent(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    said = run(capsys, "services", "--registry", f"http://127.0.0.1:1/eureka/,{url}")
    assert (said.code, said.err) == (0, "")
    assert f"{url} (--registry)" in said.out
    assert time.monotonic() - began < 5
