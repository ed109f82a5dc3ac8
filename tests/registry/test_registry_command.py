"""The program as people start it."""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from registry_server.command import add, main


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "registry_server", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_line_is_the_url_and_signals_end_it_cleanly(number: signal.Signals) -> None:
    with started("--port", "0", "--json") as (process, line):
        url = json.loads(line)["url"]
        with urllib.request.urlopen(url + "apps") as answer:
            assert answer.status == 200
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_bound_wide_without_a_token_it_warns_loudly() -> None:
    with started("--port", "0", "--host", "0.0.0.0") as (process, line):
        assert line.startswith("http://127.0.0.1:")
        process.terminate()
        _, errors = process.communicate(timeout=10)
        assert "--token" in errors


def test_a_taken_port_is_one_helpful_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.count("\n") == 1
    assert f"127.0.0.1:{port} is taken" in caught.err
    assert "--port" in caught.err


def test_a_bad_setting_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--token", "hunter2"]) == 2
    caught = capsys.readouterr()
    assert caught.err.count("\n") == 1
    assert "hunter2" not in caught.err


def test_it_is_a_sub_command_of_the_one_command() -> None:
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    args = parser.parse_args(["registry", "--port", "0", "--zone", "a"])
    assert (args.port, args.zone, args.json, callable(args.run)) == (0, "a", False, True)


def test_a_wrong_peer_is_one_line_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--peers", "http://a:1/eureka/,ftp://user:hunter2-hunter2@b"]) == 2
    caught = capsys.readouterr()
    assert caught.err.count("\n") == 1
    assert "URL number 2" in caught.err
    assert "hunter2" not in caught.err


def test_the_help_names_every_habit_of_strictness(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--strict-eureka" in text
    for habit in ("two lease durations", "registers it again", "lost at the next registration"):
        assert habit in text
    assert "--no-delta" in text
    assert "--rate-limit" in text
    assert "--peer-wait SECONDS" in text
