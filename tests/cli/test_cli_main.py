"""How the command answers at once, and how it complains."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli_kit import run
from process_kit import clean_environ

from resilient import cli
from resilient.cli import lists


def test_alone_it_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys)
    assert said.code == 0
    for command in ("demo", "registry", "services", "instances NAME", "circuits", "status", "doctor"):
        assert f"resilient {command}" in said.out
    assert said == run(capsys, "--help")
    assert max(map(len, said.out.splitlines())) <= 100


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version").out == f"resilient {cli.version()}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["servces"], "resilient: no command 'servces'; did you mean 'services'?"),
        (["\x1b[2J"], "resilient: no command '\\x1b[2J'; see 'resilient --help'"),
        (["--colour"], "resilient: no option '--colour'; see 'resilient --help'"),
        (
            ["instances"],
            (
                "resilient instances: the following arguments are required: NAME; "
                "see 'resilient instances --help'"
            ),
        ),
        (
            ["services", "--registry", "ftp://x"],
            (
                "resilient: --registry must start with http:// or https://; "
                "write --registry http://127.0.0.1:8761/eureka/"
            ),
        ),
        (
            ["services", "--registry", ","],
            "resilient: --registry is empty; write --registry http://127.0.0.1:8761/eureka/",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    said = run(capsys, *arguments)
    assert said == (2, "", line + "\n")


def test_a_wrong_variable_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESILIENT_FETCH_INTERVAL", "often")
    said = run(capsys, "services")
    assert said.code == 2
    assert "'often' from RESILIENT_FETCH_INTERVAL; set RESILIENT_FETCH_INTERVAL=5" in said.err
    assert said.err.count("\n") == 1


def test_credentials_in_a_wrong_url_are_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "services", "--registry", "http://me:hunter2@/x")
    assert said.code == 2
    assert "hunter2" not in said.err


def test_nobody_there_is_one_line_and_exit_code_one(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "services", "--registry", "127.0.0.1:1")
    assert said == (
        1,
        "",
        "resilient: no registry answers: http://127.0.0.1:1/eureka/ (connection refused)\n",
    )


def test_an_unexpected_error_is_one_line_and_a_hint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(args: object) -> int:
        raise KeyError("x\x1b[1m")

    monkeypatch.setattr(lists, "services", broken)
    said = run(capsys, "services")
    assert (said.code, said.out) == (1, "")
    assert said.err == "resilient: unexpected KeyError: 'x\\x1b[1m'; RESILIENT_DEBUG=1 shows where\n"
    monkeypatch.setenv("RESILIENT_DEBUG", "1")
    with pytest.raises(KeyError):
        run(capsys, "services")


def test_common_options_may_stand_before_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[SimpleNamespace] = []
    monkeypatch.setattr(lists, "instances", lambda args: seen.append(args) or 0)
    assert run(capsys, "--registry", "a:1", "--json", "--token=t", "instances", "orders").code == 0
    assert (seen[0].name, seen[0].registry, seen[0].token, seen[0].json) == ("orders", "a:1", "t", True)


@pytest.mark.parametrize("command", ["registry", "demo"])
def test_a_foreign_module_before_ours_is_told_in_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "dashboard").mkdir()
    (tmp_path / "dashboard" / "__init__.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "resilient", command, "--port", "0"],
        cwd=tmp_path, env=clean_environ(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("resilient: another module 'dashboard' stands before ours (")
    assert "rename it" in done.stderr
    assert done.stderr.count("\n") == 1


def cpu(program: str) -> tuple[float, str]:
    """Seconds of processor that a fresh interpreter takes for it, and what it says on standard error."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environ(), capture_output=True, text=True, timeout=60
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stderr


def test_help_is_quick_because_nothing_is_loaded() -> None:
    # pybreaker loads the redis package where there is one, as there is for these tests: its time, not ours.
    library = "import sys; sys.modules['redis'] = None; import resilient;"
    program = (
        f"{library} from resilient.cli import main; main(['--help']);"
        "heavy = {'aiohttp', 'rich', 'zeroconf', 'registry_server'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    for _ in range(
        8
    ):  # a machine may be slow, and others may need it, too: so it is beside the library alone
        alone, _ = cpu(library)
        whole, said = cpu(program)
        assert said == "[]\n"
        if whole < 1.5 * alone:
            return
    raise AssertionError(f"help takes {whole:.2f} s, the library itself {alone:.2f} s")


@pytest.mark.parametrize("arguments", [[], ["doctor", "--json", "--registry", "127.0.0.1:1"]])
def test_a_reader_that_leaves_early_is_no_error(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "resilient", *arguments],
        env=clean_environ(), stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
